"""The contract that every adapter keeps, as a pytest suite. Needs pytest, pytest-asyncio (mode auto) and stamina.

    class TestMyAdapter(AdapterContract, UploadContract, FilesContract, HistoryContract):
        @pytest.fixture
        async def world(self) -> AsyncIterator[World]:
            ...  # start a simulated backend, yield a `World` of it, stop it

The base class holds what every adapter must do; each mix-in what only some can. What an adapter can't do isn't
skipped: its mix-in is left out, and the base class checks that the agent then lacks the Protocol too.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import pytest
import stamina

import adapters.http
import adapters.polling
from adapters.base import (
    Agent,
    AgentError,
    Attachment,
    AuthenticationFailed,
    Cancels,
    Checkpoint,
    Deletes,
    Done,
    Event,
    Exchange,
    File,
    Files,
    History,
    Lists,
    Message,
    NotFound,
    ProtocolError,
    Question,
    RateLimited,
    Rejected,
    Scalar,
    Stateless,
    Table,
    Text,
    TimedOut,
    Unavailable,
    Uncertain,
)
from adapters.text import safe_name

PATIENCE = 20.0  # seconds until a test that waits has failed
MAX_CHECKPOINT = 4096  # bytes of a checkpoint's data as JSON
MAX_REQUESTS = 60  # of one turn in a simulated world
ODD_LETTERS = "Größe 🧵 日本語 \u2028 “quoted”\n\n```\ncode\n```"
LIKE_A_STREAM = "data: [DONE]\n\n: not a comment\nid: 7"
OUTLAST = 20  # faults in a row, more than any adapter repeats a request

Step = Literal["question", "answer", "stream", "upload", "download"]
"""A kind of request. `question`: starts work. `answer`: a poll or a look at the history. `stream`: an answer that
is streamed, which may be that of the question. What an adapter never sends is missing in `World.steps`."""

Trouble = Literal[
    "dropped before",  # the connection is cut before the request took effect
    "dropped after",  # it took effect, the answer is lost
    "unauthorized",  # 401
    "not found",  # 404
    "rejected",  # 400
    "limited",  # 429 without a word on how long
    "limited briefly",  # 429, Retry-After: 1
    "limited for long",  # 429, Retry-After: 600
    "down",  # 503
    "garbage",  # 200 with an HTML page
    "endless",  # 200 with more than 16 MiB of JSON
    "redirected",  # 302 to another origin
    "cut",  # a stream breaks off in the middle of a line
    "crlf",  # a stream with the other line ends
    "commented",  # a stream with comments, ids and unknown fields
    "dribbled",  # a stream byte by byte
    "huge event",  # an event of several MiB
]


class World(Protocol):
    """A simulated backend, as the suite needs it. Names of the agent's doings are in the words of the suite."""

    key: str
    steps: Collection[Step]

    def agent(self) -> Agent:
        """A new agent that talks to the backend and knows nothing of earlier ones."""
        ...

    def unreachable(self) -> Agent:
        """An agent whose backend's address takes no connection."""
        ...

    def asked(self) -> int:
        """How many questions the backend took, in all."""
        ...

    def violations(self) -> Sequence[str]:
        """What the adapter did that the service doesn't tolerate."""
        ...

    def say(self, text: str) -> None:
        """The next question is answered by exactly this."""
        ...

    def hold(self) -> None:
        """Questions taken from now on are worked on without an end, until `release`."""
        ...

    def release(self) -> None: ...

    def fail(self, step: Step, trouble: Trouble, times: int = 1) -> None:
        """The next requests of this kind meet trouble."""
        ...

    def stall(self, nth: int) -> None:
        """The `nth` request from now on, of any kind, takes effect and is never answered."""
        ...

    async def stalled(self) -> None:
        """Returns once that request has taken effect."""
        ...

    def mend(self) -> None:
        """Forget all trouble that is still to come."""
        ...

    def leaked(self) -> bool:
        """Whether the other origin, that of "redirected", ever saw the key."""
        ...


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
            assert not heard.events or not isinstance(heard.events[-1], Done | Question), "an event after the last"
            if isinstance(event, Checkpoint):
                _check(event)
            heard.events.append(event)
    assert heard.events, "no event at all"
    assert isinstance(heard.events[-1], Done | Question), "the last event is neither Done nor Question"
    return heard


def _check(checkpoint: Checkpoint) -> None:
    for value in checkpoint.data.values():
        assert isinstance(value, Scalar), f"{value!r} in a checkpoint"
    assert len(json.dumps(dict(checkpoint.data))) < MAX_CHECKPOINT


class Contract:
    """What all the classes here share. `question` and the others are said to the agent: override them where the
    simulated backend listens to other words."""

    question: ClassVar[str] = "What is the plan for today?"
    second_question: ClassVar[str] = "And for tomorrow?"
    file_question: ClassVar[str] = "Please write a report."
    table_question: ClassVar[str] = "Show me a table."
    failing_question: ClassVar[str] = "Please fail."
    recovers: ClassVar[bool] = True
    """Whether an answer can be had after a crash. False for services that keep nothing: then it is `Uncertain`."""

    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Retries without waiting, polls without patience."""
        monkeypatch.setattr(adapters.polling, "FIRST", 0.01)
        monkeypatch.setattr(adapters.polling, "LONGEST", 0.05)
        monkeypatch.setattr(adapters.polling, "SETTLING", 0.1)
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
        return Message(f"turn-{text}", text, attachments, history)

    async def crash(self, events: AsyncIterator[Event], when: Awaitable[None]) -> tuple[Checkpoint | None, bool]:
        """Take events until `when` is there, then stop as a killed process would. The last checkpoint, and
        whether the turn came to its end before."""
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

    async def _until(self, seconds: float, events: AsyncIterator[Event], seen: list[Checkpoint]) -> None:
        """Take events until the caller's own deadline, which cancels."""
        async with asyncio.timeout(seconds), closing(events):
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


class AdapterContract(Contract):
    """What every adapter must do."""

    # --- what it can do

    async def test_it_has_the_protocols_of_its_mixins_and_no_others(self, world: World) -> None:
        agent = world.agent()
        assert isinstance(agent, Agent)
        for protocol, mixin in (
            (Files, FilesContract),
            (Cancels, CancelsContract),
            (Deletes, DeletesContract),
            (History, HistoryContract),
            (Lists, ListsContract),
        ):
            assert isinstance(agent, protocol) == isinstance(self, mixin), protocol.__name__
        for step, mixins in (
            ("upload", UploadContract),
            ("download", FilesContract),
            ("answer", PolledContract),
            ("stream", StreamContract),
        ):
            assert (step in world.steps) == isinstance(self, mixins), step

    async def test_files_in_are_taken_or_refused_before_anything_is_asked(
        self, world: World, tmp_path: Path
    ) -> None:
        agent = world.agent()
        message = self.message(agent, self.question, attachments=(attachment(tmp_path),))
        if isinstance(self, UploadContract):
            await hear(agent.ask(None, message))
            assert world.asked() == 1
        else:
            assert isinstance(await self.error_of(world, agent.ask(None, message)), Rejected)
            assert world.asked() == 0

    # --- the happy path

    async def test_one_turn(self, world: World) -> None:
        heard = await self.turn(world.agent(), self.question)
        assert heard.text.strip()
        assert world.asked() == 1
        assert heard.conversation or isinstance(world.agent(), Stateless)

    async def test_a_second_turn_goes_on_in_the_conversation(self, world: World) -> None:
        first = await self.turn(world.agent(), self.question)
        second = await self.turn(world.agent(), self.second_question, first)
        assert second.text not in {"", first.text}
        assert self.question in second.text, "the simulated agent says what it was asked before"
        assert second.conversation == first.conversation
        assert world.asked() == 2

    async def test_the_first_event_is_a_checkpoint_and_nothing_was_asked_yet(self, world: World) -> None:
        events = world.agent().ask(None, self.message(world.agent(), self.question))
        try:
            assert isinstance(await anext(events), Checkpoint)
            assert world.asked() == 0
        finally:
            await close(events)

    async def test_two_conversations_at_once_stay_apart(self, world: World) -> None:
        agent = world.agent()
        one, two = await asyncio.gather(
            self.turn(agent, "Tell me of apples."), self.turn(agent, "Tell me of pears.")
        )
        assert "apples" in one.text
        assert "pears" not in one.text
        assert "pears" in two.text
        assert world.asked() == 2

    @pytest.mark.parametrize(
        ("said", "shown"),
        [
            ("<think>not for people</think>Good morning.", "Good morning."),
            ("Good<think>not for people</think> morning.", "Good morning."),
            ("Good morning.<think>never closed", "Good morning."),
            (
                "Größe 🧵 日本語 \u2028 “quoted”\n\n```\ncode\n```",
                "Größe 🧵 日本語 \u2028 “quoted”\n\n```\ncode\n```",
            ),
            ("data: [DONE]\n\n: not a comment\nid: 7", "data: [DONE]\n\n: not a comment\nid: 7"),
        ],
    )
    async def test_what_is_said_is_shown_without_thoughts(self, world: World, said: str, shown: str) -> None:
        world.say(said)
        assert (await self.turn(world.agent(), self.question)).text == shown

    async def test_an_answer_as_long_as_a_book(self, world: World) -> None:
        said = "".join(f"Line {n} of the book.\n" for n in range(8_000)) + "The end."
        world.say(said)
        assert (await self.turn(world.agent(), self.question)).text == said

    async def test_half_a_surrogate_pair_does_no_harm(self, world: World) -> None:
        assert (await self.turn(world.agent(), "odd \ud83d letters")).text
        assert world.asked() == 1

    async def test_a_failed_run_is_an_error_that_shows_nothing_of_it(self, world: World) -> None:
        agent = world.agent()
        error = await self.error_of(world, agent.ask(None, self.message(agent, self.failing_question)))
        assert isinstance(error, Rejected | Unavailable | Uncertain | ProtocolError)
        assert "Traceback" not in error.sentence
        assert world.asked() == 1

    # --- stopping

    async def test_closing_it_in_the_middle_leaves_nothing_behind(self, world: World) -> None:
        world.hold()
        agent = world.agent()
        message = self.message(agent, self.question)
        _, ended = await self.crash(agent.ask(None, message), self.begun(world))
        assert not ended
        assert _left_behind(agent) == []
        world.release()

    async def test_a_deadline_ends_it_and_the_turn_can_be_taken_up(self, world: World) -> None:
        world.hold()
        agent = world.agent()
        message = self.message(agent, self.question)
        seen: list[Checkpoint] = []
        with pytest.raises(TimeoutError):
            await self._until(0.5, agent.ask(None, message), seen)
        assert _left_behind(agent) == []
        assert world.asked() == 1
        world.release()
        heard = await self.resumed(world, message, None, seen[-1])
        assert world.asked() == 1
        assert (heard is not None) == self.recovers
        if heard:
            assert self.question in heard.text

    # --- crashes

    @pytest.mark.parametrize("later", [False, True], ids=["first turn", "later turn"])
    async def test_it_is_asked_once_from_whatever_checkpoint(self, world: World, later: bool) -> None:
        expected, total = None, 1
        nth = 0
        while nth < total:
            first = await self.turn(world.agent(), self.question) if later else None
            agent = world.agent()
            message = self.message(agent, self.second_question, first)
            if expected is None:
                reference = await hear(agent.ask(conversation_of(first), message))
                expected, total = reference.text, len(reference.checkpoints)
                continue
            before = world.asked()
            checkpoint = await self._nth_checkpoint(agent.ask(conversation_of(first), message), nth)
            heard = await self.resumed(world, message, conversation_of(first), checkpoint)
            if heard:
                assert heard.text == expected
                assert world.asked() - before == 1, f"after checkpoint {nth + 1} of {total}"
            else:
                assert world.asked() - before <= 1, f"after checkpoint {nth + 1} of {total}"
                assert nth or not self.recovers, "uncertain before anything was sent"
            nth += 1

    @pytest.mark.parametrize("later", [False, True], ids=["first turn", "later turn"])
    async def test_it_is_asked_once_in_whatever_request_it_dies(self, world: World, later: bool) -> None:
        uncertain = 0
        for nth in count(1):
            assert nth <= MAX_REQUESTS
            first = await self.turn(world.agent(), self.question) if later else None
            agent = world.agent()
            message = self.message(agent, self.second_question, first)
            before = world.asked()
            world.stall(nth)
            checkpoint, finished = await self.crash(agent.ask(conversation_of(first), message), world.stalled())
            world.mend()
            if finished:
                break
            heard = await self.resumed(world, message, conversation_of(first), checkpoint)
            if heard:
                assert self.second_question in heard.text
                assert world.asked() - before == 1, f"died in request {nth}"
            else:
                assert world.asked() - before <= 1, f"died in request {nth}"
                uncertain += 1
        assert uncertain <= 1 or not self.recovers, "only the request that asks may leave doubt"

    # --- trouble with the question

    @pytest.mark.parametrize(
        ("trouble", "errors"),
        [
            ("unauthorized", AuthenticationFailed),
            ("not found", NotFound),
            ("rejected", Rejected),
            ("limited", RateLimited),
            ("limited for long", RateLimited),
            ("down", Unavailable),
            ("garbage", (ProtocolError, Uncertain)),
            ("endless", (ProtocolError, Uncertain)),
            ("redirected", (ProtocolError, Uncertain)),
            ("dropped before", (Unavailable, Uncertain)),
        ],
    )
    async def test_each_failure_of_the_question_has_its_error(
        self, world: World, trouble: Trouble, errors: type[AgentError] | tuple[type[AgentError], ...]
    ) -> None:
        world.fail("question", trouble, OUTLAST)
        agent = world.agent()
        error = await self.error_of(world, agent.ask(None, self.message(agent, self.question)))
        assert isinstance(error, errors), repr(error)
        assert world.asked() == 0
        if trouble == "limited for long":
            assert isinstance(error, RateLimited)
            assert error.retry_after == pytest.approx(600, abs=5)

    @pytest.mark.parametrize("trouble", ["limited", "limited briefly", "down"])
    async def test_a_question_that_was_not_taken_is_sent_again(self, world: World, trouble: Trouble) -> None:
        world.fail("question", trouble)
        assert (await self.turn(world.agent(), self.question)).text
        assert world.asked() == 1

    async def test_a_question_whose_answer_was_lost_is_not_sent_again(self, world: World) -> None:
        world.fail("question", "dropped after", OUTLAST)
        agent = world.agent()
        try:
            heard = await hear(agent.ask(None, self.message(agent, self.question)))
        except Uncertain as error:
            self.fit(world, error)
        else:
            assert self.question in heard.text
        assert world.asked() == 1

    async def test_a_backend_that_is_not_there_is_unavailable(self, world: World) -> None:
        agent = world.unreachable()
        error = await self.error_of(world, agent.ask(None, self.message(agent, self.question)))
        assert isinstance(error, Unavailable)

    # --- helpers

    async def _nth_checkpoint(self, events: AsyncIterator[Event], nth: int) -> Checkpoint:
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


class PolledContract(Contract):
    """For adapters that ask for the answer, or look it up in the history."""

    @pytest.mark.parametrize("trouble", ["limited", "limited briefly", "down", "dropped before", "dropped after"])
    async def test_a_hitch_while_it_waits_goes_unnoticed(self, world: World, trouble: Trouble) -> None:
        world.fail("answer", trouble)
        assert self.question in (await self.turn(world.agent(), self.question)).text
        assert world.asked() == 1

    @pytest.mark.parametrize(
        ("trouble", "errors"),
        [
            ("unauthorized", AuthenticationFailed),
            ("limited for long", RateLimited),
            ("down", (Unavailable, TimedOut)),
            ("garbage", ProtocolError),
            ("endless", ProtocolError),
            ("redirected", ProtocolError),
        ],
    )
    async def test_each_lasting_failure_of_the_answer_has_its_error_and_can_be_resumed(
        self, world: World, trouble: Trouble, errors: type[AgentError] | tuple[type[AgentError], ...]
    ) -> None:
        world.fail("answer", trouble, OUTLAST)
        agent = world.agent()
        message = self.message(agent, self.question)
        seen: list[Checkpoint] = []
        with pytest.raises(AgentError) as caught:
            await self._until(PATIENCE, agent.ask(None, message), seen)
        self.fit(world, caught.value)
        assert isinstance(caught.value, errors), repr(caught.value)
        world.mend()
        heard = await self.resumed(world, message, None, seen[-1])
        assert heard
        assert self.question in heard.text
        assert world.asked() == 1


class StreamContract(Contract):
    """For adapters whose answers are streamed, at least in later turns."""

    async def test_the_first_words_come_while_it_still_talks(self, world: World) -> None:
        first = await self.turn(world.agent(), self.question)
        world.hold()
        agent = world.agent()
        events = agent.ask(first.conversation, self.message(agent, self.second_question, first))
        try:
            async with asyncio.timeout(PATIENCE):
                while not isinstance(await anext(events), Text):
                    pass
        finally:
            await close(events)
            world.release()
        assert world.asked() == 2

    @pytest.mark.parametrize("trouble", ["crlf", "commented", "dribbled"])
    async def test_odd_streams_are_read_all_the_same(self, world: World, trouble: Trouble) -> None:
        first = await self.turn(world.agent(), self.question)
        expected = await self.turn(world.agent(), self.second_question, first)
        other = await self.turn(world.agent(), self.question)
        world.fail("stream", trouble)
        odd = await self.turn(world.agent(), self.second_question, other)
        assert odd.text == expected.text
        assert "".join(e.delta for e in odd.events if isinstance(e, Text)).strip()

    @pytest.mark.parametrize("trouble", ["cut", "huge event"])
    async def test_a_broken_stream_ends_whole_or_in_an_error(self, world: World, trouble: Trouble) -> None:
        first = await self.turn(world.agent(), self.question)
        world.fail("stream", trouble, OUTLAST)
        agent = world.agent()
        try:
            heard = await hear(agent.ask(first.conversation, self.message(agent, self.second_question, first)))
        except (Uncertain, Unavailable, ProtocolError, TimedOut) as error:
            self.fit(world, error)
        else:
            assert self.second_question in heard.text
            assert heard.text.endswith((".", "`", "?"))
        assert world.asked() == 2


class UploadContract(Contract):
    """For adapters that pass a person's files on. The simulated agent names each file and says its first line."""

    async def test_files_arrive_with_the_question(self, world: World, tmp_path: Path) -> None:
        attachments = (
            attachment(tmp_path, "notes.txt", b"first of notes\nsecond"),
            attachment(tmp_path, "figures.txt", b"first of figures\nsecond"),
        )
        heard = await self.turn(world.agent(), self.question, attachments=attachments)
        for words in ("notes.txt", "first of notes", "figures.txt", "first of figures"):
            assert words in heard.text
        assert world.asked() == 1

    async def test_files_arrive_in_a_later_turn(self, world: World, tmp_path: Path) -> None:
        first = await self.turn(world.agent(), self.question)
        heard = await self.turn(world.agent(), self.second_question, first, (attachment(tmp_path),))
        assert "notes.txt" in heard.text
        assert world.asked() == 2

    @pytest.mark.parametrize(
        "name", ["../../etc/passwd.txt", "a\r\nX-Evil: 1\r\n\r\n.txt", 'q"uo;te.txt', "ünï 🧵.txt"]
    )
    async def test_names_are_sent_harmless(self, world: World, tmp_path: Path, name: str) -> None:
        path = tmp_path / "local.txt"
        path.write_bytes(b"only line")
        sent = Attachment(name, "text/plain", path, path.stat().st_size)
        heard = await self.turn(world.agent(), self.question, attachments=(sent,))
        assert safe_name(name) in heard.text
        assert "only line" in heard.text

    async def test_a_file_that_is_gone_is_said_so_and_nothing_asked(self, world: World, tmp_path: Path) -> None:
        agent = world.agent()
        gone = Attachment("gone.txt", "text/plain", tmp_path / "gone.txt", 3)
        message = self.message(agent, self.question, attachments=(gone,))
        assert isinstance(await self.error_of(world, agent.ask(None, message)), Rejected)
        assert world.asked() == 0

    @pytest.mark.parametrize(
        ("trouble", "error"),
        [("rejected", Rejected), ("down", Unavailable), ("unauthorized", AuthenticationFailed)],
    )
    async def test_an_upload_that_fails_leaves_nothing_asked(
        self, world: World, tmp_path: Path, trouble: Trouble, error: type[AgentError]
    ) -> None:
        world.fail("upload", trouble, OUTLAST)
        agent = world.agent()
        message = self.message(agent, self.question, attachments=(attachment(tmp_path),))
        assert isinstance(await self.error_of(world, agent.ask(None, message)), error)
        assert world.asked() == 0

    async def test_with_files_too_it_is_asked_once_whatever_request_it_dies_in(
        self, world: World, tmp_path: Path
    ) -> None:
        sent = (attachment(tmp_path, "one.txt"), attachment(tmp_path, "two.txt"))
        for nth in count(1):
            assert nth <= MAX_REQUESTS
            agent = world.agent()
            message = self.message(agent, self.question, attachments=sent)
            before = world.asked()
            world.stall(nth)
            checkpoint, finished = await self.crash(agent.ask(None, message), world.stalled())
            world.mend()
            if finished:
                break
            heard = await self.resumed(world, message, None, checkpoint)
            assert world.asked() - before == 1 or (heard is None and world.asked() == before)
            if heard:
                assert "one.txt" in heard.text
                assert "two.txt" in heard.text


class FilesContract(Contract):
    """For agents that make files."""

    async def test_a_file_that_it_makes_can_be_fetched(self, world: World) -> None:
        agent = world.agent()
        heard = await self.turn(agent, self.file_question)
        assert isinstance(agent, Files)
        assert heard.conversation
        assert heard.files
        for file in heard.files:
            assert safe_name(file.name) == file.name
            content = await fetch(agent, heard.conversation, file.ref)
            assert content
            assert file.size in {None, len(content)}
            assert file.ref in {listed.ref for listed in await agent.files(heard.conversation)}

    async def test_a_file_is_not_shown_again_in_the_next_turn(self, world: World) -> None:
        first = await self.turn(world.agent(), self.file_question)
        second = await self.turn(world.agent(), self.second_question, first)
        assert first.files
        assert not second.files

    async def test_files_come_after_a_crash_too(self, world: World) -> None:
        agent = world.agent()
        message = self.message(agent, self.file_question)
        reference = await hear(agent.ask(None, message))
        last = None
        async with asyncio.timeout(PATIENCE), closing(agent.ask(None, message)) as events:
            async for event in events:
                last = event if isinstance(event, Checkpoint) else last
                if isinstance(event, File):
                    break
        heard = await self.resumed(world, message, None, last)
        assert (heard is not None) == self.recovers
        if heard:
            assert [file.name for file in heard.files] == [file.name for file in reference.files]

    async def test_old_files_are_not_shown_as_new_after_a_crash(self, world: World) -> None:
        first = await self.turn(world.agent(), self.file_question)
        agent = world.agent()
        message = self.message(agent, self.second_question, first)
        second = await hear(agent.ask(first.conversation, message))
        for checkpoint in second.checkpoints:
            heard = await self.resumed(world, message, first.conversation, checkpoint)
            assert heard is None or not heard.files

    async def test_a_file_that_does_not_exist_is_not_found(self, world: World) -> None:
        agent = world.agent()
        heard = await self.turn(agent, self.question)
        assert heard.conversation
        with pytest.raises(NotFound) as caught:
            await fetch(agent, heard.conversation, "no-such-file.txt")
        self.fit(world, caught.value)

    @pytest.mark.parametrize("trouble", ["unauthorized", "down", "limited for long", "redirected"])
    async def test_a_download_that_fails_is_an_error_and_the_key_stays_here(
        self, world: World, trouble: Trouble
    ) -> None:
        agent = world.agent()
        heard = await self.turn(agent, self.file_question)
        assert heard.conversation
        world.fail("download", trouble, OUTLAST)
        try:
            await fetch(agent, heard.conversation, heard.files[0].ref)
        except AgentError as error:
            self.fit(world, error)
        else:
            assert trouble == "redirected", "a redirect may be followed, without the key"


class HistoryContract(Contract):
    """For backends that can be asked what was said."""

    async def test_the_history_tells_who_said_what_in_order(self, world: World) -> None:
        agent = world.agent()
        first = await self.turn(agent, self.question)
        second = await self.turn(agent, self.second_question, first)
        assert isinstance(agent, History)
        assert first.conversation
        rows = await agent.history(first.conversation)
        assert [row.text for row in rows if row.role == "person"] == [self.question, self.second_question]
        assert [row.text for row in rows if row.role == "agent"] == [first.text, second.text]
        assert [row.role for row in rows] == ["person", "agent", "person", "agent"]


class ListsContract(Contract):
    """For backends that list their conversations."""

    async def test_every_conversation_is_listed(self, world: World) -> None:
        agent = world.agent()
        assert isinstance(agent, Lists)
        made = [(await self.turn(agent, self.question)).conversation for _ in range(3)]
        assert set(made) <= set(await agent.conversations())


class DeletesContract(Contract):
    """For backends that delete a conversation."""

    async def test_a_deleted_conversation_is_gone(self, world: World) -> None:
        agent = world.agent()
        heard = await self.turn(agent, self.question)
        assert isinstance(agent, Deletes)
        assert heard.conversation
        await agent.delete(heard.conversation)
        if isinstance(agent, Lists):
            assert heard.conversation not in await agent.conversations()
        message = self.message(agent, self.second_question)
        assert isinstance(await self.error_of(world, agent.ask(heard.conversation, message)), NotFound)
        assert world.asked() == 1


class CancelsContract(Contract):
    """For backends whose runs can be stopped."""

    async def test_a_cancelled_turn_ends(self, world: World) -> None:
        world.hold()
        agent = world.agent()
        last: Checkpoint | None = None
        cancelled = False
        try:
            async with asyncio.timeout(PATIENCE), closing(self._asked(agent)) as events:
                pending = asyncio.ensure_future(anext(events, None))
                while True:
                    done, _ = await asyncio.wait({pending}, timeout=0.2)
                    if not done and not cancelled and world.asked():
                        assert isinstance(agent, Cancels)
                        assert last
                        assert last.conversation
                        await world.agent().cancel(last.conversation, last)  # type: ignore[attr-defined]
                        cancelled = True
                    if done:
                        event = pending.result()
                        if event is None:
                            break
                        last = event if isinstance(event, Checkpoint) else last
                        pending = asyncio.ensure_future(anext(events, None))
        except AgentError as error:
            self.fit(world, error)
        assert cancelled
        assert world.asked() == 1

    def _asked(self, agent: Agent) -> AsyncIterator[Event]:
        return agent.ask(None, self.message(agent, self.question))


class QuestionContract(Contract):
    """For agents that ask back."""

    asking_question: ClassVar[str] = "Ask me before you go on."
    answer: ClassVar[str] = "The year 2024."

    async def test_it_asks_back_and_goes_on_with_the_answer(self, world: World) -> None:
        agent = world.agent()
        heard = await hear(agent.ask(None, self.message(agent, self.asking_question)))
        assert isinstance(heard.events[-1], Question)
        assert heard.events[-1].text
        answered = await hear(
            world.agent().ask(heard.conversation, self.message(agent, self.answer), resume=heard.checkpoints[-1])
        )
        assert isinstance(answered.events[-1], Done)
        assert answered.text

    async def test_the_question_comes_again_after_a_crash(self, world: World) -> None:
        agent = world.agent()
        message = self.message(agent, self.asking_question)
        heard = await hear(agent.ask(None, message))
        assert len(heard.checkpoints) > 1
        again = await self.resumed(world, message, None, heard.checkpoints[-2])
        assert again
        assert again.events[-1] == heard.events[-1]
        assert world.asked() == 1


class TablesContract(Contract):
    """For agents that make data frames."""

    async def test_a_table_comes_with_its_rows(self, world: World) -> None:
        heard = await self.turn(world.agent(), self.table_question)
        assert heard.tables
        for table in heard.tables:
            assert table.name
            assert table.columns
            assert table.rows
            assert all(len(row) == len(table.columns) for row in table.rows)

    async def test_a_table_is_not_shown_again_in_the_next_turn(self, world: World) -> None:
        first = await self.turn(world.agent(), self.table_question)
        second = await self.turn(world.agent(), self.second_question, first)
        assert not second.tables


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


async def _drop(future: asyncio.Future[Any]) -> None:
    future.cancel()
    await asyncio.gather(future, return_exceptions=True)


def _left_behind(agent: Agent) -> list[str]:
    """Tasks of the agent's that still run."""
    ours = {inspect.getfile(type(agent)), adapters.http.__file__}
    coroutines = [task.get_coro() for task in asyncio.all_tasks()]
    return [str(c) for c in coroutines if inspect.iscoroutine(c) and c.cr_code.co_filename in ours]
