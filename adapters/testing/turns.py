"""What is heard of a turn, and the small things that tests of turns need."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from adapters.base import (
    Agent,
    Attachment,
    Checkpoint,
    Done,
    Event,
    File,
    Files,
    InputRequest,
    Scalar,
    Table,
    Text,
)

PATIENCE = 60.0  # seconds until a test that waits has failed
MAX_CHECKPOINT = 4096  # bytes of a checkpoint's data as JSON


@dataclass
class Heard:
    """What came of one call of `ask`."""

    events: list[Event] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The whole answer, as a reply would finally show it."""
        last = self.events[-1] if self.events else None
        if isinstance(last, Done) and last.text is not None:
            return last.text
        return "".join(event.delta for event in self.events if isinstance(event, Text))

    @property
    def checkpoints(self) -> list[Checkpoint]:
        return [event for event in self.events if isinstance(event, Checkpoint)]

    @property
    def conversation(self) -> str | None:
        known = [checkpoint.conversation for checkpoint in self.checkpoints if checkpoint.conversation]
        return known[-1] if known else None

    @property
    def files(self) -> list[File]:
        return [event for event in self.events if isinstance(event, File)]

    @property
    def tables(self) -> list[Table]:
        return [event for event in self.events if isinstance(event, Table)]


async def hear(events: AsyncIterator[Event]) -> Heard:
    """Take in a whole turn, and check what is true of every turn."""
    heard = Heard()
    async with asyncio.timeout(PATIENCE):
        async for event in events:
            assert not heard.events or not isinstance(heard.events[-1], Done | InputRequest), (
                "an event after the last"
            )
            if isinstance(event, Checkpoint):
                _check(event)
            heard.events.append(event)
    assert heard.events, "no event at all"
    assert isinstance(heard.events[-1], Done | InputRequest), "the last event is neither Done nor InputRequest"
    return heard


def _check(checkpoint: Checkpoint) -> None:
    for value in checkpoint.data.values():
        assert isinstance(value, Scalar), f"{value!r} in a checkpoint"
    assert len(json.dumps(dict(checkpoint.data))) < MAX_CHECKPOINT


def attachment(folder: Path, name: str = "notes.txt", content: bytes = b"buy milk\nand bread") -> Attachment:
    """A file on disk, as a person would have sent it."""
    path = folder / name
    path.write_bytes(content)
    return Attachment(name, "text/plain", path, len(content))


async def fetch(agent: Agent, conversation: str, ref: str) -> bytes:
    """A whole file."""
    assert isinstance(agent, Files)
    async with asyncio.timeout(PATIENCE):
        return b"".join([chunk async for chunk in agent.download(conversation, ref)])


async def close(events: AsyncIterator[Event]) -> None:
    """Close what `ask` returned, as the runner does."""
    aclose = getattr(events, "aclose", None)
    if aclose is not None:
        await aclose()


@asynccontextmanager
async def closing(events: AsyncIterator[Event]) -> AsyncIterator[AsyncIterator[Event]]:
    try:
        yield events
    finally:
        await close(events)


def conversation_of(heard: Heard | None) -> str | None:
    return heard.conversation if heard else None
