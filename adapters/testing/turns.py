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
    Approval,
    Attachment,
    Chart,
    Checkpoint,
    Done,
    Event,
    File,
    Files,
    InputRequest,
    Scalar,
    Source,
    Step,
    Table,
    Text,
)
from adapters.steps import MAX_SOURCES, MAX_STEP_DETAIL, MAX_STEP_TITLE, MAX_STEPS

PATIENCE = 60.0  # seconds until a test that waits has failed
MAX_CHECKPOINT = 4096  # bytes of a checkpoint's data as JSON
_LAST = Done | InputRequest | Approval


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

    @property
    def charts(self) -> list[Chart]:
        return [event for event in self.events if isinstance(event, Chart)]

    @property
    def steps(self) -> dict[str, Step]:
        """Each step as it was told last, in the order in which they began."""
        return {event.id: event for event in self.events if isinstance(event, Step)}

    @property
    def sources(self) -> tuple[Source, ...]:
        last = self.events[-1] if self.events else None
        return last.sources if isinstance(last, Done) else ()


async def hear(events: AsyncIterator[Event]) -> Heard:
    """Take in a whole turn, and check what is true of every turn."""
    heard = Heard()
    async with asyncio.timeout(PATIENCE):
        async for event in events:
            assert not heard.events or not isinstance(heard.events[-1], _LAST), "an event after the last"
            if isinstance(event, Checkpoint):
                _check(event)
            if isinstance(event, Step):
                _check_step(event)
            heard.events.append(event)
    assert heard.events, "no event at all"
    assert isinstance(heard.events[-1], _LAST), "the last event is neither Done nor a question"
    assert len(heard.steps) <= MAX_STEPS
    return heard


def _check(checkpoint: Checkpoint) -> None:
    for value in checkpoint.data.values():
        assert isinstance(value, Scalar), f"{value!r} in a checkpoint"
    assert len(json.dumps(dict(checkpoint.data))) < MAX_CHECKPOINT


def _check_step(step: Step) -> None:
    assert step.id, "a step without an id"
    assert step.title.strip(), "a step without a title"
    assert len(step.title) <= MAX_STEP_TITLE
    assert len(step.detail) <= MAX_STEP_DETAIL
    assert len(step.sources) <= MAX_SOURCES
    assert (step.title + step.detail).isprintable(), "more than a line"


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
