"""An agent that lives in this process and says back what it was told: for trials and for tests.

Words in the message make it do what real agents do:

    file NAME.EXT [N KB|MB]     makes a file of that name (`report` makes report.md)
    table [N]                   makes a table of N rows
    long N                      answers with a Markdown document of about N characters
    ask                         asks back, with two choices; what the person then writes is the answer
    suggest                     suggests what to ask next
    approve [WHAT]              asks for leave first
    think, or steps [N]         works in N steps
    chart [line|bar|area|pie]   makes a chart
    sources                     quotes two pages
    whoami                      says who asks, as far as it was told
    slow [N]                    takes N seconds for its answer
    fail [late] [KIND]          fails: authentication, not_found, rejected, run_failed, rate_limited,
                                unavailable, timed_out, protocol or uncertain; with `late` after half of
                                the answer

All of it follows from the message alone, so an `ask` that is resumed after a restart gives the same events.
"""

from __future__ import annotations

import asyncio
import json
import mimetypes
import re
import struct
import zlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic import Field

from adapters.base import (
    MAX_TABLE_ROWS,
    AgentError,
    AgentSettings,
    Approval,
    Attachment,
    AuthenticationFailed,
    Chart,
    ChartKind,
    Checkpoint,
    Decision,
    Done,
    Event,
    File,
    InputRequest,
    Message,
    NotFound,
    Person,
    ProtocolError,
    RateLimited,
    Rejected,
    Row,
    RunFailed,
    Series,
    Source,
    Status,
    Step,
    StepState,
    Table,
    Text,
    TimedOut,
    Unavailable,
    Uncertain,
    Usage,
)
from adapters.http.outgoing import opened
from adapters.person import as_object
from adapters.text import one_line

MAX_CONVERSATIONS = 1_000  # held in memory, the least recently used forgotten first
MAX_EXCHANGES = 200  # of one conversation, the oldest forgotten first
MAX_LONG = 200_000  # characters of a long answer
MAX_FILE_BYTES = 50 * 2**20  # of a made file
MAX_SLOW = 3_600  # seconds
DEFAULT_SLOW = 10  # seconds
QUICKEST = 15  # seconds that an answer takes at most unless it was told to be slow
DEFAULT_STEPS = 3
MAX_STEPS = 20
MAX_TITLE = 80  # characters of what it asks leave for
CHARTED = 12  # numbers in a chart
FIRST_LINE = 200  # characters shown of an attachment
CHUNK = 64 * 1024  # bytes of a download

ERRORS: dict[str, type[AgentError]] = {
    "authentication": AuthenticationFailed,
    "not_found": NotFound,
    "rejected": Rejected,
    "run_failed": RunFailed,
    "rate_limited": RateLimited,
    "unavailable": Unavailable,
    "timed_out": TimedOut,
    "protocol": ProtocolError,
    "uncertain": Uncertain,
}
SUGGESTIONS = ("Make a table 5", "Make a file numbers.csv", "Write something long 2500")
UNITS = {"": 1, "b": 1, "kb": 2**10, "mb": 2**20}

_FILE = re.compile(r"\bfile\s+(\S*\.\w+)(?:\s+(\d{1,9})\s*([km]?b)\b)?", re.IGNORECASE)
_REPORT = re.compile(r"\breport\b", re.IGNORECASE)
_TABLE = re.compile(r"\btable\b(?:\s+(\d{1,9}))?", re.IGNORECASE)
_LONG = re.compile(r"\blong\s+(\d{1,9})\b", re.IGNORECASE)
_APPROVE = re.compile(r"\bapprove\b[ \t]*([^\n]*)", re.IGNORECASE)
_STEPS = re.compile(r"\b(?:think|steps)\b(?:\s+(\d{1,2})\b)?", re.IGNORECASE)
_CHART = re.compile(rf"\bchart\b(?!\.\w)(?:\s+({'|'.join(ChartKind)})\b)?", re.IGNORECASE)
_SOURCES = re.compile(r"\bsources\b", re.IGNORECASE)
_ASK = re.compile(r"\bask\b", re.IGNORECASE)
_WHOAMI = re.compile(r"\bwhoami\b", re.IGNORECASE)
_SUGGEST = re.compile(r"\bsuggest\b", re.IGNORECASE)
_SLOW = re.compile(r"\bslow(?:ly)?\b(?:\s+(\d{1,4}(?:\.\d{1,3})?))?", re.IGNORECASE)
_FAIL = re.compile(rf"\bfail\b(?:\s+(late)\b)?(?:\s+({'|'.join(ERRORS)})\b)?", re.IGNORECASE)
_WORDS = re.compile(r"\S+\s*|\s+")

SOURCES = (
    Source("https://spec.commonmark.org/0.31.2/", "CommonMark"),
    Source("https://example.com/", "An example"),
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the words of a message ask for."""

    file: File | None = None
    table_rows: int | None = None
    long: int | None = None
    asks: bool = False
    approves: str = ""
    steps: int = 0
    chart: ChartKind | None = None
    cites: bool = False
    slow: float | None = None
    fails: type[AgentError] | None = None
    fails_late: bool = False

    @classmethod
    def of(cls, text: str) -> Wish:
        table, long, slow, fail = (p.search(text) for p in (_TABLE, _LONG, _SLOW, _FAIL))
        approve, steps, chart = (p.search(text) for p in (_APPROVE, _STEPS, _CHART))
        return cls(
            file=_wished_file(text),
            table_rows=int(table[1] or 12) if table else None,
            long=min(int(long[1]), MAX_LONG) if long else None,
            asks=_ASK.search(text) is not None,
            approves=(one_line(approve[1], MAX_TITLE) or "go on") if approve else "",
            steps=min(int(steps[1] or DEFAULT_STEPS), MAX_STEPS) if steps else 0,
            chart=ChartKind((chart[1] or "line").lower()) if chart else None,
            cites=_SOURCES.search(text) is not None,
            slow=min(float(slow[1] or DEFAULT_SLOW), MAX_SLOW) if slow else None,
            fails=ERRORS[(fail[2] or "rejected").lower()] if fail else None,
            fails_late=bool(fail and fail[1]),
        )


def _wished_file(text: str) -> File | None:
    if named := _FILE.search(text):
        name, number, unit = named[1], int(named[2] or 0), (named[3] or "").lower()
        return made_file(name, min(number * UNITS[unit], MAX_FILE_BYTES))
    return made_file("report.md", 0) if _REPORT.search(text) else None


# --- what it makes ------------------------------------------------------------------------------------------


def made_file(name: str, size: int) -> File:
    """The file of that name; `size` in bytes, 0 for whatever it takes. The `ref` holds all that its bytes
    follow from, so it can be fetched after a restart too."""
    media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    exact = size or sum(map(len, file_bytes(name, 0)))
    return File(name, ref=f"{size}/{name}", media_type=media_type, size=exact)


def file_bytes(name: str, size: int) -> Iterator[bytes]:
    """The bytes of a made file in chunks: a picture, a CSV or numbered lines."""
    suffix = name.rpartition(".")[2].lower()
    if suffix == "png":
        start = _picture()
    elif suffix == "csv":
        start = "".join(f"{a},{b},{c}\r\n" for a, b, c in (("n", "square", "cube"), *_numbers(12))).encode()
    else:
        start = f"# {name}\n\nMade by the echo agent.\n".encode()
    if not size:
        yield start
        return
    filler = (b"echo " * (CHUNK // 5 + 1))[:CHUNK]
    yield start[:size]
    for at in range(len(start), size, CHUNK):
        yield filler[: size - at]


def _picture(side: int = 96) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(
        b"\0" + bytes(v for x in range(side) for v in (x * 255 // side, y * 255 // side, 160)) for y in range(side)
    )
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def _numbers(count: int) -> Iterator[tuple[int, int, int]]:
    return ((n, n * n, n * n * n) for n in range(1, count + 1))


def made_table(rows: int) -> Table:
    return Table(
        "numbers",
        ("n", "square", "cube"),
        tuple(_numbers(min(rows, MAX_TABLE_ROWS))),
        truncated=rows > MAX_TABLE_ROWS,
    )


def made_chart(kind: ChartKind) -> Chart:
    numbers = list(_numbers(CHARTED))
    series = (
        Series("square", tuple(float(square) for _, square, _ in numbers)),
        Series("cube", tuple(float(cube) for _, _, cube in numbers)),
    )
    return Chart("numbers", kind, tuple(str(n) for n, _, _ in numbers), series)


_BLOCKS = (
    "Each thread is one conversation, and what a person wrote is asked **exactly once**, _in order_. "
    "The `checkpoint` says where a turn stands; see [the standard](https://spec.commonmark.org/0.31.2/) "
    "for what ~~might~~ may stand here, and mind the snake_case_names and 2 * 3 * 4 = 24.",
    "- a first point\n- a second one\n  - with a point below it\n  - and `code` in it\n- [x] a third, done\n\n"
    "1. one\n2. two\n3. three, **bold at the end**",
    "```python\nasync def answers(agent, words):\n    # a comment with *stars* and _lines_\n"
    '    async for event in agent.ask(None, words):\n        print(f"{event!r:>40}")\n```',
    "| city | people | since |\n|:--|--:|:-:|\n| Zürich | 443,037 | 929 |\n| 東京 | 14,178,000 | 1457 |\n"
    "| São Paulo | 11,895,578 | 1554 |",
    "会話は一つのスレッドです。**「返信」**は一度だけ届きます。分割しても文字は壊れません。"
    "中文也一样：**每条消息只发送一次**。한국어도 됩니다.",
    "> A quotation of two lines,\n> the second with an emoji 🎉.\n\n"
    "Families 👩‍👩‍👧‍👦, flags 🇨🇭🇯🇵 and skin tones 👍🏽 stay whole; "
    "so do é and e\u0301.",
    "```json\n"
    + '{\n  "turn": "0123456789abcdef",\n  "parts": [0, 1, 2],\n  "done": true\n}\n```'
    + "\n\n```sql\nSELECT thread, count(*) FROM turn WHERE state = 'waiting' GROUP BY thread;\n```",
    "~~~markdown\nA fence of tildes that shows a fence:\n\n```sh\nmake test\n```\n~~~",
)


def long_markdown(size: int) -> str:
    """A document of `size` characters at least, and at most one block more."""
    blocks: list[str] = []
    length = 0
    number = 0
    while length < size:
        if number % len(_BLOCKS) == 0:
            section = number // len(_BLOCKS) + 1
            blocks.append(f"{'#' * (1 + (section - 1) % 4)} Section {section}")
            length += len(blocks[-1]) + 2
        blocks.append(_BLOCKS[number % len(_BLOCKS)])
        length += len(blocks[-1]) + 2
        number += 1
    return "\n\n".join([*blocks, "The end."])


def _about(attachment: Attachment) -> str:
    line = f"I got `{attachment.name}` ({attachment.size:,} bytes, {attachment.media_type})."
    if not attachment.media_type.startswith("text/"):
        return line
    with opened(attachment) as file:
        start = file.read(4 * FIRST_LINE).decode(errors="replace").lstrip("\ufeff").splitlines()
    return f"{line} It begins: {start[0][:FIRST_LINE]}" if start else f"{line} It is empty."


def answer(message: Message, *, waited: bool, leave: bool = False) -> str:
    """The whole answer; `waited` when the message is the answer to a question of ours, `leave` to one for leave."""
    wish = Wish.of(message.text)
    words = f"You answered: {message.text}" if waited else message.text
    if leave:
        made = decision_in(message)
        words = " ".join(
            ("Approved, so I went on." if made.approved else "Declined, so I did nothing.", made.reason)
        )
    if wish.long is not None:
        words = long_markdown(wish.long)
    if _WHOAMI.search(message.text):
        words = f"{words}\n\n{_who(message.person)}"
    cited = "This is written in [1], and something else in [2]." if wish.cites else ""
    return "\n\n".join(filter(None, (words, *map(_about, message.attachments), cited))) or "You said nothing."


def decision_in(message: Message) -> Decision:
    """Words alone are no leave."""
    return message.decision or Decision(approved=False, reason=message.text)


def _who(person: Person | None) -> str:
    if person is None:
        return "I wasn't told who asks."
    shown = json.dumps(as_object(person), ensure_ascii=False, indent=2)
    signed = "A signed token came along." if person.token else "No signed token came along."
    return f"Who asks, as I was told:\n\n```json\n{shown}\n```\n\n{signed}"


# --- the agent ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Conversation:
    exchanges: OrderedDict[str, tuple[str, str]] = field(default_factory=OrderedDict)  # by message id
    files: OrderedDict[str, File] = field(default_factory=OrderedDict)  # by ref
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)


class EchoSettings(AgentSettings):
    """How fast it talks."""

    delay: float = Field(default=0.02, ge=0, le=60, description="Seconds between two words.")


class Echo:
    """`asked` counts the questions taken, resumed ones not again; `decided` holds what was decided on approvals, by the
    id of the message that told."""

    Settings = EchoSettings

    def __init__(self, settings: EchoSettings, client: httpx.AsyncClient) -> None:  # noqa: ARG002
        self._delay = settings.delay
        self._conversations: OrderedDict[str, _Conversation] = OrderedDict()
        self.asked = 0
        self.decided: dict[str, Decision] = {}

    async def ask(
        self, conversation: str | None, message: Message, *, resume: Checkpoint | None = None
    ) -> AsyncIterator[Event]:
        if resume is not None:
            conversation = resume.conversation or conversation
        conversation = conversation or f"echo-{message.id}"
        state, asked = (resume.data.get("state"), resume.data.get("asked")) if resume else (None, None)
        answers = state == "waiting" and asked != message.id
        # "answered": the turn of the answer to a question of ours, taken up again
        waited = answers or state == "answered"
        leave = bool(waited and resume and resume.data.get("leave"))
        yield Checkpoint(
            conversation, {"state": "answered" if waited else "asked"} | ({"leave": True} if leave else {})
        )

        held = self._hold(conversation)
        held.cancelled.clear()
        wish = Wish.of(message.text)
        if state is None or answers:
            self.asked += 1
        if leave:
            self.decided[message.id] = decision_in(message)
        if wish.fails is not None and not wish.fails_late:
            raise wish.fails(f"told to fail: {wish.fails.__name__}")
        if wish.approves and not waited:
            yield Checkpoint(conversation, {"state": "waiting", "asked": message.id, "leave": True})
            yield Approval(one_line(f"May I do this: {wish.approves}?", MAX_TITLE), f"You wrote: {message.text}")
            return
        if wish.asks and not waited:
            yield Checkpoint(conversation, {"state": "waiting", "asked": message.id})
            yield InputRequest("What shall I answer?", choices=("yes", "no"))
            return

        yield Status("Thinking")
        for thought in _steps(wish.steps):
            if await _cancelled(held, self._step_pause(wish)):
                yield Done()
                return
            yield thought
        words = answer(message, waited=waited, leave=leave)
        deltas = _WORDS.findall(words)
        pause, step = self._pace(len(deltas), wish)
        stop = len(deltas) // 2 if wish.fails_late else len(deltas)
        for at in range(0, stop, step):
            if await _cancelled(held, pause):
                yield Done()
                return
            yield Text("".join(deltas[at : min(at + step, stop)]))
        if wish.fails is not None:
            raise wish.fails(f"told to fail late: {wish.fails.__name__}")

        if wish.table_rows is not None:
            yield made_table(wish.table_rows)
        if wish.chart is not None:
            yield made_chart(wish.chart)
        if wish.file is not None:
            held.files[wish.file.ref] = wish.file
            _trim(held.files, MAX_EXCHANGES)
            yield wish.file
        held.exchanges[message.id] = (message.text, words)
        _trim(held.exchanges, MAX_EXCHANGES)
        yield Done(
            usage=Usage(len(message.text.split()), len(words.split()), "echo"),
            sources=SOURCES if wish.cites else (),
            suggestions=SUGGESTIONS if _SUGGEST.search(message.text) else (),
        )

    def _step_pause(self, wish: Wish) -> float:
        """Seconds before each event of a step: as many again as the words take, where it was told to be slow."""
        return self._delay if wish.slow is None else wish.slow / (2 * wish.steps)

    def _pace(self, count: int, wish: Wish) -> tuple[float, int]:
        """Seconds before each delta and how many words it has."""
        if wish.slow is not None:
            return wish.slow / max(count, 1), 1
        return self._delay, max(1, -int(-count * self._delay // QUICKEST))

    def _hold(self, conversation: str) -> _Conversation:
        held = self._conversations.setdefault(conversation, _Conversation())
        self._conversations.move_to_end(conversation)
        _trim(self._conversations, MAX_CONVERSATIONS)
        return held

    async def cancel(self, conversation: str, checkpoint: Checkpoint) -> None:  # noqa: ARG002
        if held := self._conversations.get(conversation):
            held.cancelled.set()

    async def files(self, conversation: str) -> Sequence[File]:
        held = self._conversations.get(conversation)
        return tuple(held.files.values()) if held else ()

    async def download(self, conversation: str, ref: str) -> AsyncIterator[bytes]:  # noqa: ARG002
        size, slash, name = ref.partition("/")
        if not slash or not size.isdigit() or int(size) > MAX_FILE_BYTES:
            raise NotFound(f"no file {ref!r}")
        for chunk in file_bytes(name, int(size)):
            yield chunk
            await asyncio.sleep(0)

    async def history(self, conversation: str) -> Sequence[Row]:
        held = self._conversations.get(conversation)
        if held is None:
            raise NotFound(f"no conversation {conversation!r}")
        return [row for q, a in held.exchanges.values() for row in (Row("person", q), Row("agent", a))]

    async def conversations(self) -> Sequence[str]:
        return tuple(reversed(self._conversations))

    async def delete(self, conversation: str) -> None:
        if self._conversations.pop(conversation, None) is None:
            raise NotFound(f"no conversation {conversation!r}")


def _steps(count: int) -> Iterator[Step]:
    for number in range(1, count + 1):
        for state, detail in ((StepState.RUNNING, ""), (StepState.DONE, f"{number} of {count}")):
            yield Step(
                f"step-{number}", f"Thought {number}", state, detail, SOURCES if state == StepState.DONE else ()
            )


async def _cancelled(held: _Conversation, pause: float) -> bool:
    """Wait so many seconds, or until the turn is cancelled."""
    with suppress(TimeoutError):
        async with asyncio.timeout(pause):
            await held.cancelled.wait()
    return held.cancelled.is_set()


def _trim(held: OrderedDict[str, Any], most: int) -> None:
    while len(held) > most:
        held.popitem(last=False)
