"""What every adapter must do."""

from __future__ import annotations

import asyncio
import inspect
from itertools import count
from pathlib import Path

import pytest

import adapters.http.polling
import adapters.http.service
from adapters.base import (
    Accepts,
    Agent,
    AgentError,
    AuthenticationFailed,
    Cancels,
    Checkpoint,
    Deletes,
    Files,
    History,
    Lists,
    NotFound,
    ProtocolError,
    RateLimited,
    Rates,
    Rejected,
    Stateless,
    Unavailable,
    Uncertain,
)
from adapters.testing.abilities import (
    MAX_REQUESTS,
    OUTLAST,
    CancelsContract,
    DeletesContract,
    FilesContract,
    HistoryContract,
    ListsContract,
    PolledContract,
    StreamContract,
    UploadContract,
)
from adapters.testing.persons import PersonContract
from adapters.testing.ratings import RatesContract
from adapters.testing.traces import TraceContract
from adapters.testing.turns import attachment, close, conversation_of, hear
from adapters.testing.world import Trouble, World

ODD_LETTERS = "Größe 🧵 日本語 \u2028 “quoted”\n\n```\ncode\n```"
LIKE_A_STREAM = "data: [DONE]\n\n: not a comment\nid: 7"


class AdapterContract(PersonContract, TraceContract):
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
            (Rates, RatesContract),
        ):
            assert isinstance(agent, protocol) == isinstance(self, mixin), protocol.__name__
        for step, mixins in (
            ("upload", UploadContract),
            ("download", FilesContract),
            ("answer", PolledContract),
            ("stream", StreamContract),
            ("rating", RatesContract),
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

    async def test_what_it_says_it_does_not_accept_it_refuses(self, world: World, tmp_path: Path) -> None:
        agent = world.agent()
        sent = attachment(tmp_path)
        if not isinstance(agent, Accepts) or not (
            sentence := agent.accepts(sent.name, sent.media_type, sent.size)
        ):
            return
        assert not isinstance(self, UploadContract), sentence
        message = self.message(agent, self.question, attachments=(sent,))
        assert (await self.error_of(world, agent.ask(None, message))).sentence == sentence

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
            (ODD_LETTERS, ODD_LETTERS),
            (LIKE_A_STREAM, LIKE_A_STREAM),
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
            await self.take_in(agent.ask(None, message), seen, until=self.begun(world))
        assert _left_behind(agent) == []
        assert world.asked() == 1
        world.release()
        heard = await self.resumed(world, self.again(message), None, seen[-1])
        assert world.asked() == 1
        assert (heard is not None) == self.recovers
        if heard:
            assert self.question in heard.text

    # --- crashes

    @pytest.mark.parametrize(
        ("later", "tried_again"),
        [(False, True), (True, False), (True, True)],
        ids=["first turn, tried again", "later turn, crashed", "later turn, tried again"],
    )
    async def test_it_is_asked_once_from_whatever_checkpoint(
        self, world: World, later: bool, tried_again: bool
    ) -> None:
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
            checkpoint = await self.nth_checkpoint(agent.ask(conversation_of(first), message), nth)
            message = self.again(message) if tried_again else message
            heard = await self.resumed(world, message, conversation_of(first), checkpoint)
            if heard:
                assert heard.text == expected
                assert world.asked() - before == 1, f"after checkpoint {nth + 1} of {total}"
            else:
                assert world.asked() - before <= 1, f"after checkpoint {nth + 1} of {total}"
                assert nth or not self.recovers, "uncertain before anything was sent"
            nth += 1

    @pytest.mark.parametrize(
        ("later", "tried_again"),
        [(False, False), (True, True)],
        ids=["first turn, crashed", "later turn, tried again"],
    )
    async def test_it_is_asked_once_in_whatever_request_it_dies(
        self, world: World, later: bool, tried_again: bool
    ) -> None:
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
            message = self.again(message) if tried_again else message
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

    @pytest.mark.parametrize("trouble", ["limited", "limited for long", "down"])
    async def test_a_question_that_was_not_taken_is_asked_when_a_person_tries_again(
        self, world: World, trouble: Trouble
    ) -> None:
        world.fail("question", trouble, OUTLAST)
        message = self.message(world.agent(), self.question)
        seen: list[Checkpoint] = []
        with pytest.raises((RateLimited, Unavailable)):
            await self.take_in(world.agent().ask(None, message), seen)
        assert world.asked() == 0
        world.mend()
        heard = await self.resumed(world, self.again(message), None, seen[-1])
        assert heard, "nobody need doubt that it hadn't arrived"
        assert self.question in heard.text
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


def _left_behind(agent: Agent) -> list[str]:
    """Tasks of the agent's that still run."""
    ours = {inspect.getfile(type(agent)), adapters.http.service.__file__}
    coroutines = [task.get_coro() for task in asyncio.all_tasks()]
    return [str(c) for c in coroutines if inspect.iscoroutine(c) and c.cr_code.co_filename in ours]
