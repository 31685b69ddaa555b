"""What all the classes of the suite share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any, ClassVar

import pytest
import stamina

import adapters.http.polling
import adapters.http.service
from adapters.base import (
    Agent,
    AgentError,
    Attachment,
    Checkpoint,
    Event,
    Exchange,
    Message,
    Stateless,
    Uncertain,
)
from adapters.testing.turns import PATIENCE, Heard, close, closing, conversation_of, hear
from adapters.testing.world import World

SOON = 0.03  # seconds in which the answer to a question that was taken gets through


class Contract:
    """What all the classes here share. `question` and the others are said to the agent: override them where the
    simulated backend listens to other words."""

    question: ClassVar[str] = "What is the plan for today?"
    second_question: ClassVar[str] = "And for tomorrow?"
    file_question: ClassVar[str] = "Please write a report."
    table_question: ClassVar[str] = "Show me a table."
    failing_question: ClassVar[str] = "Please fail."
    ids: ClassVar[Iterator[int]] = count(1)
    recovers: ClassVar[bool] = True
    """Whether an answer can be had after a crash. False for services that keep nothing: then it is `Uncertain`."""

    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Retries without waiting, polls without patience."""
        monkeypatch.setattr(adapters.http.polling, "FIRST", 0.001)
        monkeypatch.setattr(adapters.http.polling, "LONGEST", 0.005)
        monkeypatch.setattr(adapters.http.polling, "SETTLING", 0.1)
        with stamina.set_testing(True, attempts=4):
            yield

    @pytest.fixture(autouse=True)
    async def tidy(self, world: World) -> AsyncIterator[None]:
        """After each test: nothing that the service doesn't tolerate, and the key told to nobody else."""
        yield
        assert list(world.violations()) == []
        assert not world.leaked()

    async def turn(
        self, agent: Agent, text: str, first: Heard | None = None, attachments: tuple[Attachment, ...] = ()
    ) -> Heard:
        """One turn; `first` is the turn before it."""
        return await hear(agent.ask(conversation_of(first), self.message(agent, text, first, attachments)))

    def message(
        self, agent: Agent, text: str, first: Heard | None = None, attachments: tuple[Attachment, ...] = ()
    ) -> Message:
        history = (Exchange(self.question, first.text),) if first and isinstance(agent, Stateless) else ()
        return Message(f"turn-{next(self.ids)}", text, attachments, history)

    def again(self, message: Message) -> Message:
        """The same words when a person tries again: the caller makes another turn of them."""
        return replace(message, id=f"turn-{next(self.ids)}")

    async def crash(
        self, events: AsyncIterator[Event], when: Awaitable[None], heard: Heard | None = None
    ) -> tuple[Checkpoint | None, bool]:
        """Take events until `when` is there, then stop as a killed process would. The last checkpoint, and
        whether the turn came to its end before. `heard` gets all that was taken."""
        last: Checkpoint | None = None
        struck = asyncio.ensure_future(when)
        step: asyncio.Future[Event | None] | None = None
        try:
            while True:
                step = asyncio.ensure_future(anext(events, None))
                await asyncio.wait({step, struck}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
                if step.done():
                    event = step.result()
                    if event is None:
                        return last, True
                    last = event if isinstance(event, Checkpoint) else last
                    if heard is not None:
                        heard.events.append(event)
                if struck.done():
                    return last, False
                assert step.done(), "nothing happens any more"
        finally:
            await _drop(struck)
            if step:
                await _drop(step)
            await close(events)

    async def begun(self, world: World) -> None:
        """Returns once the backend took a question."""
        async with asyncio.timeout(PATIENCE):
            while not world.asked():  # noqa: ASYNC110 - a number is all that a world need have
                await asyncio.sleep(0.01)

    async def resumed(
        self, world: World, message: Message, conversation: str | None, checkpoint: Checkpoint | None
    ) -> Heard | None:
        """Take the turn up in a new process; None for `Uncertain`."""
        conversation = (checkpoint.conversation if checkpoint else None) or conversation
        try:
            return await hear(world.agent().ask(conversation, message, resume=checkpoint))
        except Uncertain as error:
            self.fit(world, error)
            return None

    async def nth_checkpoint(self, events: AsyncIterator[Event], nth: int) -> Checkpoint:
        seen = 0
        try:
            async with asyncio.timeout(PATIENCE):
                async for event in events:
                    if isinstance(event, Checkpoint):
                        if seen == nth:
                            return event
                        seen += 1
        finally:
            await close(events)
        raise AssertionError(f"only {seen} checkpoints this time")

    async def take_in(
        self, events: AsyncIterator[Event], seen: list[Checkpoint], until: Awaitable[None] | None = None
    ) -> None:
        """Take events until the caller's own deadline, which cancels: soon after `until` is there."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE) as deadline, closing(events):
            struck = asyncio.ensure_future(until) if until else None
            if struck:
                struck.add_done_callback(lambda _: deadline.reschedule(loop.time() + SOON))
            async for event in events:
                if isinstance(event, Checkpoint):
                    seen.append(event)

    async def error_of(self, world: World, events: AsyncIterator[Event]) -> AgentError:
        with pytest.raises(AgentError) as caught:
            await hear(events)
        self.fit(world, caught.value)
        return caught.value

    def fit(self, world: World, error: AgentError) -> None:
        """An error as it may be shown and logged: a sentence without internals, a detail without the key."""
        assert str(error), "no detail for the log"
        assert world.key not in f"{error} {error!r} {error.sentence}"
        assert error.sentence.endswith(".")
        assert "http" not in error.sentence
        assert "{" not in error.sentence


async def _drop(future: asyncio.Future[Any]) -> None:
    future.cancel()
    await asyncio.gather(future, return_exceptions=True)
