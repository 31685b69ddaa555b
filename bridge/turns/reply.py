"""A turn's reply: events become parts, and every part arrives exactly once.

What should be shown (the splitter's parts) and what is shown (the platform's messages) are kept apart; a pump
brings the second to the first as fast as the platform's budget allows. Text that comes in meanwhile is simply part
of the next step. A part's row is written before its message is posted, so that whoever goes on after a crash looks
for the message first.
"""

from __future__ import annotations

import asyncio
import codecs
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, TypeVar

import structlog

from bridge.render.markdown import Renderer
from bridge.render.pace import Pacer
from bridge.render.split import Part, Splitter
from bridge.store.rows import storable
from bridge.store.tables import Part as PartRow
from bridge.turns.retry import retry
from bridge.turns.surface import Button, PartFull, PartKey, Surface, Unreachable, Upload

MAX_REPLY = 100_000  # characters shown as messages; a longer answer comes as a file besides
SHOWN_EVERY = 3.0  # seconds between two records of how much a growing part shows

T = TypeVar("T")
log = structlog.get_logger()


class Journal(Protocol):
    """Where a reply writes down what it posted."""

    async def record(
        self,
        name: str,
        *,
        message_id: str | None = None,
        ends: int | None = None,
        shown: int | None = None,
        digest: str | None = None,
    ) -> None: ...

    async def forget(self, name: str) -> None: ...


@dataclass(slots=True)
class _Message:
    """What a platform message is known to show."""

    id: str
    text: str | None = None  # None after a restart
    digest: str | None = None  # of the text it was finished with
    length: int = 0  # characters of the part's text that it shows at least: no live edit takes them back


class Reply:
    """Used as a context manager around a turn; leaving it by an exception stops the pump where it is."""

    def __init__(
        self,
        surface: Surface,
        journal: Journal,
        *,
        turn: str,
        asked: str,
        rows: Mapping[str, PartRow],
        known: set[str],
    ) -> None:
        self._surface = surface
        self._style = surface.style
        self._journal = journal
        self._turn = turn
        self._asked = asked
        self._known = known
        self._messages = {
            row.name: _Message(row.message_id, digest=row.digest, length=row.shown)
            for row in rows.values()
            if row.message_id is not None
        }
        self._perhaps = {row.name for row in rows.values() if row.message_id is None}
        self._pacer = Pacer(self._style.interval)
        self._raw: list[str] = []
        # A service that counts in UTF-16 may cut a character in two: the half waits for the other one.
        self._whole = codecs.getincrementaldecoder("utf-16-le")("replace")
        self._length = 0
        self._renderer = Renderer(self._style.dialect)
        cuts = sorted(row.ends for row in rows.values() if row.ends is not None)
        self._splitter = Splitter(self._style.limit, self._style.measure, cuts)
        self._settled = 0  # parts that are finished and recorded, from the first on
        self._recorded_at = 0.0
        self._complete = False
        self._replacement: str | None = None  # the final text where it isn't what was streamed
        self._wake = asyncio.Event()
        self._label: str | None = None
        self._label_changed = asyncio.Event()
        self._signs: asyncio.Task[None] | None = None
        self._pump: asyncio.Task[None] | None = None
        self._began = 0.0
        self.first_words_after: float | None = None  # seconds from the reply's beginning

    async def __aenter__(self) -> Self:
        self._began = asyncio.get_running_loop().time()
        self._pump = asyncio.create_task(self._run(), name=f"reply {self._turn}")
        self._signs = asyncio.create_task(self._show_signs(), name=f"signs {self._turn}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._pump is not None and self._signs is not None  # noqa: S101, PT018  # made on entering
        self._pump.cancel()
        self._signs.cancel()
        await asyncio.gather(self._pump, self._signs, return_exceptions=True)

    # --- what the turn says -----------------------------------------------------------------------------

    @property
    def text_so_far(self) -> str:
        return "".join(self._raw)

    def text(self, delta: str) -> None:
        """More of the answer. Raises what has stopped the pump, if anything did."""
        self._check()
        self._grow(self._whole.decode(delta.encode("utf-16-le", "surrogatepass")).replace("\0", ""))

    def _grow(self, delta: str) -> None:
        if self._complete or not delta:
            return
        self._raw.append(delta)
        room = max(0, MAX_REPLY - self._length)
        self._length += len(delta)
        self._splitter.feed(self._renderer.feed(delta[:room]))
        self._wake.set()

    async def finish(self, text: str | None = None) -> None:
        """The answer is complete; `text` is the whole of it where it may differ from what was streamed. Returns
        when every part stands in the thread."""
        if not self._complete:
            streamed = self.text_so_far
            whole = storable(text) if text is not None else streamed
            if whole.startswith(streamed):
                self._check()
                self._grow(whole[len(streamed) :])
            else:
                self._replacement = whole
            self._splitter.feed(self._renderer.finish())
            self._splitter.finish()
            self._complete = True
            self._wake.set()
        assert self._pump is not None  # inside the context manager  # noqa: S101
        await asyncio.shield(self._pump)

    def working(self, label: str | None) -> None:
        """Show that the agent works, or no longer does; returns at once, and only the newest label counts."""
        self._label = label
        self._label_changed.set()

    async def notice(self, name: str, sentence: str, buttons: Sequence[Button] = ()) -> None:
        """The bridge's own words, in a part of their own."""
        key = PartKey(self._turn, name)
        sentence = storable(sentence)  # an adapter's may quote a backend
        await self._once(key, lambda: self._surface.post(key, sentence, last=True, buttons=buttons))

    async def upload(self, name: str, upload: Upload, text: str = "") -> None:
        """A file into the thread; `name` is its part's."""
        key = PartKey(self._turn, name)
        await self._once(key, lambda: self._surface.upload(key, [upload], text))

    def has(self, name: str) -> bool:
        """Whether a part is known to stand in the thread."""
        return name in self._messages

    @property
    def part_count(self) -> int:
        return len(self._messages)

    @property
    def length(self) -> int:
        """Characters of the answer so far."""
        return self._length

    @property
    def overflowed(self) -> bool:
        """Whether the answer is longer than what is shown as messages."""
        return self._length > MAX_REPLY

    # --- the pump ---------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            complete = self._complete
            await self._sync()
            if complete:
                await self._take_away_surplus()
                return

    async def _show_signs(self) -> None:
        while True:
            await self._label_changed.wait()
            self._label_changed.clear()
            await self._surface.working(self._label)

    def _start_over_if_told(self) -> None:
        """The final, whole rendering: parts that read the same stay as they are, others are edited."""
        if (text := self._replacement) is None:
            return
        log.info("final text differs from the streamed one")
        self._replacement = None
        self._raw, self._length = [text], len(text)
        renderer = Renderer(self._style.dialect)
        self._splitter = Splitter(self._style.limit, self._style.measure)
        self._splitter.feed(renderer.feed(text[:MAX_REPLY]) + renderer.finish())
        self._splitter.finish()
        self._settled = 0

    async def _sync(self) -> None:
        """Bring part after part to what it should show, up to the open one."""
        while True:
            self._start_over_if_told()
            index = self._settled
            if index == len(self._splitter.parts):
                return
            try:
                await self._bring(index)
            except PartFull as full:
                log.info("part takes no more", part=index, reason=str(full))
                if not self._splitter.parts[index].closed:
                    self._splitter.cut()
                continue
            if self._replacement is None:
                if self._is_settled(index):
                    self._settled += 1
                elif not self._splitter.parts[index].closed:
                    return

    def _is_settled(self, index: int) -> bool:
        part, message = self._splitter.parts[index], self._messages[str(index)]
        return part.closed and message.digest == _digest(part.text)

    async def _bring(self, index: int) -> None:
        key = PartKey(self._turn, str(index))
        message = self._messages.get(key.name)
        if message is None:
            await self._open(key, index)
            return
        part = self._splitter.parts[index]
        if part.closed:
            if message.digest != _digest(part.text):
                await self._edit(key, index, message)
        elif message.digest is None and message.text != self._wanted(part) and len(part.text) > message.length:
            await self._edit(key, index, message)

    async def _open(self, key: PartKey, index: int) -> None:
        sent: list[tuple[Part, str]] = []

        async def post() -> str:
            part = self._splitter.parts[index]
            text = self._wanted(part)
            message_id = await self._surface.post(key, text, last=part.closed, buttons=self._buttons(part))
            sent.append((part, text))
            return message_id

        await self._once(key, post)
        if self.first_words_after is None:
            self.first_words_after = asyncio.get_running_loop().time() - self._began
        for part, text in sent:
            await self._now_shows(key.name, part, text)

    async def _edit(self, key: PartKey, index: int, message: _Message) -> None:
        async def edit() -> tuple[Part, str]:
            part = self._splitter.parts[index]
            text = self._wanted(part)
            buttons = self._buttons(part)
            await self._surface.edit(key, message.id, text, shown=message.text, last=part.closed, buttons=buttons)
            return part, text

        await self._now_shows(key.name, *await self._insist(edit))

    async def _now_shows(self, name: str, part: Part, text: str) -> None:
        message = self._messages[name]
        message.text, message.length = text, len(part.text)
        if part.closed:
            message.digest = _digest(text)
            await self._journal.record(name, ends=part.end, digest=message.digest)
        elif (at := asyncio.get_running_loop().time()) - self._recorded_at >= SHOWN_EVERY:
            self._recorded_at = at
            await self._journal.record(name, shown=message.length)

    def _wanted(self, part: Part) -> str:
        whole = part.closed or self._style.appends
        return part.text if whole else part.text + part.closing

    def _buttons(self, part: Part) -> tuple[Button, ...]:
        return () if part.closed else (Button("stop", "Stop", self._turn),)

    async def _take_away_surplus(self) -> None:
        count = len(self._splitter.parts)
        for name in [name for name in self._messages if name.isdecimal() and int(name) >= count]:
            message_id = self._messages[name].id
            await self._insist(lambda message_id=message_id: self._surface.delete(message_id))  # type: ignore[misc]
            await self._journal.forget(name)
            del self._messages[name]

    # --- calls to the surface ---------------------------------------------------------------------------

    async def _once(self, key: PartKey, post: Callable[[], Awaitable[str]]) -> str:
        """Post a part that may have been posted before: by an earlier process, or by a try without an answer."""
        if key.name in self._messages:
            return self._messages[key.name].id

        async def attempt() -> str:
            if key.name in self._perhaps:
                found = await self._surface.find(key, after=self._asked, known=self._known)
                if found is not None:
                    return found
            try:
                return await post()
            except Unreachable:
                self._perhaps.add(key.name)
                raise

        if key.name not in self._perhaps:
            await self._journal.record(key.name)
        message_id = await self._insist(attempt)
        self._perhaps.discard(key.name)
        self._known.add(message_id)
        self._messages[key.name] = _Message(message_id)
        await self._journal.record(key.name, message_id=message_id)
        return message_id

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T:
        loop = asyncio.get_running_loop()

        async def ready() -> None:
            await asyncio.sleep(self._pacer.delay(loop.time()))

        async def paced() -> T:
            result = await call()
            self._pacer.sent(loop.time())
            return result

        return await retry(
            paced,
            ready=ready,
            throttled=lambda retry_after: self._pacer.throttled(loop.time(), retry_after),
        )

    def _check(self) -> None:
        if self._pump is not None and self._pump.done() and not self._complete:
            self._pump.result()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
