"""A platform in memory, strict about what a surface promises, with faults to switch on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from bridge.inbound import Address, ContextMessage, Inbound, Person, RemoteFile
from bridge.render.slack import SLACK
from bridge.render.style import Style
from bridge.turns.surface import (
    NO_PROGRESS,
    Button,
    Gone,
    Guard,
    Opening,
    PartFull,
    PartKey,
    PartKind,
    Progress,
    Refused,
    Sending,
    StoppedByPerson,
    Surface,
    Throttled,
    Unreachable,
    Upload,
)

STYLE = Style(
    dialect=SLACK, limit=400, measure=len, interval=0.0, appends=False, max_files=10, max_file_bytes=10_000
)

FIRST_ID = 1_000  # of our messages; an id tells the position, so what people write with a lower number is older
LATER = 5_000  # number of a message that a person writes after all of ours


@dataclass
class Posted:
    """A message as people see it."""

    id: str
    key: PartKey
    text: str
    finished: bool
    buttons: tuple[Button, ...] = ()
    files: tuple[tuple[str, bytes], ...] = ()
    history: list[str] = field(default_factory=list)  # every text it ever showed
    progress: Progress = NO_PROGRESS
    followed: list[Progress] = field(default_factory=list)  # every progress it ever showed


@dataclass
class MemoryPlatform:
    """The thread's messages outlive surfaces, processes and queues."""

    style: Style = STYLE
    messages: list[Posted] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    before: list[ContextMessage] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)  # lost, unheard, throttled, full, gone, stopped: one per call
    calls: int = 0
    slots: list[Sending] = field(default_factory=list)  # what each call was for
    marks: list[bool] = field(default_factory=list)  # shown on a question: it waits, or no longer
    waiting: set[str] = field(default_factory=set)  # messages that show that they wait
    sentences: list[str] = field(default_factory=list)  # said about a reply that couldn't be delivered
    ids: Iterator[int] = field(default_factory=lambda: count(FIRST_ID))
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    platform: str = "slack"
    caught_up: int = 0

    def surface(self, address: Address, *, person: Person, guard: Guard) -> Surface:
        return MemorySurface(self, guard)

    async def workspace(self, channel: str) -> str:
        return "T1"

    def opening(self, channel: str, person: str, *, guard: Guard) -> Opening:
        return MemoryOpening(self, channel or f"D{person}", guard)

    async def catch_up(self) -> None:
        self.caught_up += 1

    async def serve(self) -> None:
        await asyncio.Event().wait()

    def trouble(self) -> str | None:
        return None

    def texts(self) -> list[str]:
        return [message.text for message in self.messages]

    async def until(self, met: Callable[[], object]) -> None:
        """Wait until `met()` holds after a change; the test's timeout bounds it."""
        while not met():
            self.changed.clear()
            await self.changed.wait()


async def unguarded() -> None:
    """A guard that is always sure."""


def part_name(key: PartKey) -> str:
    return str(key.index) if key.kind is PartKind.TEXT else f"{key.kind}{key.index}"


class MemorySurface:
    def __init__(self, platform: MemoryPlatform, guard: Guard = unguarded) -> None:
        self._platform = platform
        self._guard = guard
        self.style = platform.style

    @asynccontextmanager
    async def slot(self, sending: Sending) -> AsyncIterator[None]:
        self._platform.slots.append(sending)
        yield

    async def resolve(self, person: Person, text: str) -> tuple[str, str]:
        return person.name or person.id, text

    async def mark_waiting(self, asked: str, waits: bool) -> bool:
        await self._guard()
        self._platform.marks.append(waits)
        (self._platform.waiting.add if waits else self._platform.waiting.discard)(asked)
        self._platform.changed.set()
        return True

    async def say_undeliverable(self, asked: str, sentence: str) -> bool:
        self._platform.sentences.append(sentence)
        return True

    async def working(self, label: str | None) -> None:
        self._platform.labels.append(label)
        self._platform.changed.set()

    async def _called(self) -> str:
        """A call to the platform; the fault that it meets."""
        await self._guard()
        await asyncio.sleep(0)
        self._platform.calls += 1
        fault = self._platform.faults.pop(0) if self._platform.faults else ""
        match fault:
            case "lost":
                raise Unreachable("the call was lost")
            case "throttled":
                raise Throttled("slow down", 0.01)
            case "gone":
                raise Gone("channel deleted")
            case "stopped":
                raise StoppedByPerson("stopped on the platform")
        return fault

    def _check(self, text: str, progress: Progress) -> None:
        if not text.strip() and not progress:
            raise Refused("empty text")
        assert not progress.steps or self.style.cards, "a line has no steps"
        assert self.style.cards or progress.phase or progress == NO_PROGRESS
        if self.style.measure(text) > self.style.limit:
            raise Refused(f"{len(text)} characters are too long")

    async def post(
        self,
        key: PartKey,
        text: str,
        *,
        last: bool,
        buttons: Sequence[Button] = (),
        progress: Progress = NO_PROGRESS,
    ) -> str:
        fault = await self._called()
        self._check(text, progress)
        posted = self._add(
            key, text, finished=last, buttons=tuple(buttons), progress=progress, followed=[progress]
        )
        if fault == "unheard":
            raise Unreachable("the answer was lost")
        return posted.id

    def _add(self, key: PartKey, text: str, **more: object) -> Posted:
        assert len(key.nonce) <= 25
        posted = Posted(str(next(self._platform.ids)), key, text, history=[text], **more)  # type: ignore[arg-type]
        self._platform.messages.append(posted)
        self._platform.changed.set()
        return posted

    def _message(self, message_id: str) -> Posted:
        for message in self._platform.messages:
            if message.id == message_id:
                return message
        raise Gone("no such message")

    async def edit(
        self,
        key: PartKey,
        message_id: str,
        text: str,
        *,
        shown: str | None,
        last: bool,
        buttons: Sequence[Button] = (),
        progress: Progress = NO_PROGRESS,
    ) -> None:
        fault = await self._called()
        if fault == "full" and not last and text:
            raise PartFull("the stream expired")
        self._check(text, progress)
        message = self._message(message_id)
        if shown is not None:
            assert shown in message.history, "the reply knows what it showed"
            if self.style.appends:
                assert text.startswith(shown), "live text is only appended"
        assert key == message.key
        message.text, message.finished, message.buttons = text, last, tuple(buttons)
        message.history.append(text)
        message.progress = progress
        message.followed.append(progress)
        self._platform.changed.set()
        if fault == "unheard":
            raise Unreachable("the answer was lost")

    async def close(self, key: PartKey, message_id: str, *, progress: Progress = NO_PROGRESS) -> None:
        await self._called()
        message = self._message(message_id)
        message.finished, message.buttons, message.progress = True, (), progress
        self._platform.changed.set()

    async def delete(self, message_id: str) -> None:
        await self._called()
        self._platform.messages[:] = [one for one in self._platform.messages if one.id != message_id]

    async def upload(self, key: PartKey, files: Sequence[Upload], text: str = "") -> str:
        fault = await self._called()
        contents = tuple((file.name, file.path.read_bytes()) for file in files)
        posted = self._add(key, text, finished=True, files=contents)
        if fault == "unheard":
            raise Unreachable("the answer was lost")
        return posted.id

    async def find(self, key: PartKey, *, after: str, known: Collection[str]) -> str | None:
        for message in self._platform.messages:
            if message.key == key:
                return message.id
        return None

    async def earlier(self, before: str) -> Sequence[ContextMessage]:
        await self._called()
        return self._platform.before

    async def fetch(self, file: RemoteFile, to: Path, max_bytes: int) -> None:
        await self._called()
        content = self._platform.contents[file.id]
        if len(content) > max_bytes:
            raise Refused("too large")
        to.write_bytes(content)


class MemoryOpening(MemorySurface):
    """A channel, where a message begins the thread of its id."""

    def __init__(self, platform: MemoryPlatform, channel: str, guard: Guard = unguarded) -> None:
        super().__init__(platform, guard)
        self._channel = channel

    async def locate(self) -> Address | None:
        await self._called()
        return None

    def moment(self, at: float) -> str:
        return f"{at:.6f}"

    async def find(self, key: PartKey, text: str, since: float) -> str | None:  # type: ignore[override]
        await self._guard()
        return await super().find(key, after="", known=())

    async def post(self, key: PartKey, text: str, title: str) -> str:  # type: ignore[override]
        return await super().post(key, text, last=True)

    async def open(self, message_id: str, title: str) -> Address:
        await self._called()
        return Address("slack", "T1", self._channel, message_id)


HERE = Address("slack", "T1", "C1", "100.0")


def inbound(number: int = 1, text: str = "", *, thread: str = "100.0", **more: object) -> Inbound:
    """Message `number` of a thread."""
    author = str(more.pop("author", "U1"))
    values = Inbound(
        address=replace(HERE, thread=thread),
        event_id=f"Ev{thread}-{number}",
        message_id=f"{thread}-{number}",
        position=number,
        person=Person(author, author.replace("U", "Person ")),
        text=text or f"question {number}",
    )
    return replace(values, **more)  # type: ignore[arg-type]
