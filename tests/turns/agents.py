"""Agents made of a script, with a backend that outlives them and counts what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from adapters.base import (
    AgentError,
    Approval,
    Checkpoint,
    Decision,
    Done,
    Event,
    File,
    InputRequest,
    Message,
    Person,
    Text,
    Uncertain,
)

Step = Event | AgentError | Callable[[], Awaitable[None]]


async def nothing() -> None:
    """Where a test has no point of its own."""


@dataclass
class Backend:
    """What the real service would remember."""

    script: Sequence[Step] = ()
    asked: list[str] = field(default_factory=list)  # each question that really arrived, in order
    ids: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    running: set[str] = field(default_factory=set)
    overlaps: int = 0
    step: Callable[[], Awaitable[None]] = nothing  # called before each request and event: a test may die here
    contents: dict[str, bytes] = field(default_factory=dict)
    decisions: list[tuple[Decision, Person | None]] = field(default_factory=list)  # that really arrived
    has_history: bool = True


class ScriptedAgent:
    """Asks once, then reads the script; resumed, it looks whether the question arrived."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    async def ask(
        self, conversation: str | None, message: Message, *, resume: Checkpoint | None = None
    ) -> AsyncIterator[Event]:
        backend = self.backend
        conversation = conversation or "conv"
        phase = resume.data.get("phase") if resume else None
        if phase == "waiting" and resume is not None and resume.data["turn"] != message.id:
            phase = None  # the answer, or the decision
        if phase is None:
            yield Checkpoint(conversation, {"phase": "sending", "turn": message.id})
            await backend.step()
            await self._post(message)
        elif phase == "sending" and message.id not in backend.ids:
            if not backend.has_history:
                raise Uncertain("nobody knows")
            await self._post(message)
        yield Checkpoint(conversation, {"phase": "sent", "turn": message.id})
        backend.overlaps += conversation in backend.running
        backend.running.add(conversation)
        try:
            async for event in self._play(conversation, message):
                yield event
        finally:
            backend.running.discard(conversation)

    async def _play(self, conversation: str, message: Message) -> AsyncIterator[Event]:
        for step in self.backend.script:
            await self.backend.step()
            if isinstance(step, AgentError):
                raise step
            if isinstance(step, Approval) and message.decision is not None:
                continue
            if isinstance(step, InputRequest | Approval):
                yield Checkpoint(conversation, {"phase": "waiting", "turn": message.id})
                yield step
                return
            if isinstance(step, Event):
                yield step
            else:
                await step()
        if not self.backend.script:
            yield Text(f"answer to {message.text}")
        if not any(isinstance(step, Done) for step in self.backend.script):
            yield Done()

    async def _post(self, message: Message) -> None:
        self.backend.asked.append(message.text)
        self.backend.ids.append(message.id)
        if message.decision is not None:
            self.backend.decisions.append((message.decision, message.person))
        await self.backend.step()
        await asyncio.sleep(0)


class FileAgent(ScriptedAgent):
    async def files(self, conversation: str) -> Sequence[File]:
        return [File(name, name) for name in self.backend.contents]

    async def download(self, conversation: str, ref: str) -> AsyncIterator[bytes]:
        await self.backend.step()
        yield self.backend.contents[ref]


class CancellableAgent(ScriptedAgent):
    async def cancel(self, conversation: str, checkpoint: Checkpoint) -> None:
        self.backend.cancelled.append(conversation)
