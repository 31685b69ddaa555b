"""What adapters must do whose services show how they work, and what they quote."""

from __future__ import annotations

from itertools import count
from typing import ClassVar

from adapters.base import StepState
from adapters.testing.backends.brain import CITATIONS, INTERNAL
from adapters.testing.contract import Contract
from adapters.testing.turns import Heard, hear
from adapters.testing.world import World

MAX_REQUESTS = 60  # of one turn in a simulated world


class StepContract(Contract):
    """For adapters that tell of steps."""

    steps_question: ClassVar[str] = "Take some steps."

    async def test_steps_are_told_and_end_with_the_turn(self, world: World) -> None:
        heard = await self.turn(world.agent(), self.steps_question)
        assert len(heard.steps) > 1
        assert {step.state for step in heard.steps.values()} == {StepState.DONE}
        assert world.asked() == 1

    async def test_steps_hold_no_internals(self, world: World) -> None:
        heard = await self.turn(world.agent(), self.steps_question)
        for step in heard.steps.values():
            shown = f"{step.title} {step.detail}"
            assert INTERNAL not in shown
            assert not {"{", "_", "Traceback"} & set(shown.split())
            assert "_" not in step.title, "a tool's own name"

    async def test_a_turn_without_steps_shows_none_of_an_earlier_one(self, world: World) -> None:
        first = await self.turn(world.agent(), self.steps_question)
        second = await self.turn(world.agent(), self.second_question, first)
        other = await self.turn(world.agent(), self.second_question)
        assert titles(second) == titles(other)

    async def test_steps_come_again_from_whatever_checkpoint(self, world: World) -> None:
        """Under the ids that they had: whoever takes the turn up goes on with the same cards."""
        expected, total = Heard(), 1
        nth = -1
        while nth < total:
            agent = world.agent()
            message = self.message(agent, self.steps_question)
            before = world.asked()
            if nth < 0:
                expected = await hear(agent.ask(None, message))
                total = len(expected.checkpoints)
            else:
                checkpoint = await self.nth_checkpoint(agent.ask(None, message), nth)
                heard = await self.resumed(world, message, None, checkpoint)
                if heard:
                    assert sorted(titles(heard)) == sorted(titles(expected)), (
                        f"after checkpoint {nth + 1} of {total}"
                    )
                    assert {step.state for step in heard.steps.values()} == {StepState.DONE}
                assert world.asked() - before <= 1
            nth += 1

    async def test_the_cards_go_on_in_whatever_request_it_dies(self, world: World) -> None:
        for nth in count(1):
            assert nth <= MAX_REQUESTS
            agent = world.agent()
            message = self.message(agent, self.steps_question)
            before = world.asked()
            world.stall(nth)
            shown = Heard()
            checkpoint, finished = await self.crash(agent.ask(None, message), world.stalled(), shown)
            world.mend()
            if finished:
                break
            heard = await self.resumed(world, message, None, checkpoint)
            assert world.asked() - before <= 1, f"died in request {nth}"
            if heard:
                assert shown.steps.keys() <= heard.steps.keys(), f"died in request {nth}"
                assert {step.state for step in heard.steps.values()} == {StepState.DONE}


class SourcesContract(Contract):
    """For adapters whose services say what an answer quotes."""

    citing_question: ClassVar[str] = "Please cite your sources."

    async def test_what_is_quoted_is_numbered(self, world: World) -> None:
        heard = await self.turn(world.agent(), self.citing_question)
        assert [source.url for source in heard.sources] == [citation.url for citation in CITATIONS]
        assert [source.title for source in heard.sources] == [citation.title for citation in CITATIONS]

    async def test_an_answer_that_quotes_nothing_has_no_sources(self, world: World) -> None:
        assert not (await self.turn(world.agent(), self.question)).sources


def titles(heard: Heard) -> list[str]:
    return [step.title for step in heard.steps.values()]
