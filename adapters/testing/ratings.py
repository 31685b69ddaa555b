"""What adapters must do whose services take what people think of an answer."""

from __future__ import annotations

import pytest

from adapters.base import AgentError, AuthenticationFailed, NotFound, Rates, Unavailable
from adapters.testing.contract import Contract
from adapters.testing.turns import Heard
from adapters.testing.world import World


class RatesContract(Contract):
    """For services that take ratings. World: "rating" is a step of its own."""

    @pytest.mark.parametrize(("good", "words"), [(True, ""), (True, "Just right."), (False, "Too long.")])
    async def test_an_answer_is_rated(self, world: World, good: bool, words: str) -> None:
        heard = await self.turn(world.agent(), self.question)
        await self._rate(world, heard, good, words)
        assert world.rated() == {self.question: (good, words)}
        assert world.asked() == 1

    async def test_the_last_word_counts_and_a_repeat_changes_nothing(self, world: World) -> None:
        heard = await self.turn(world.agent(), self.question)
        for good, words in ((True, "Fine."), (False, "No, wrong."), (False, "No, wrong.")):
            await self._rate(world, heard, good, words)
        assert world.rated() == {self.question: (False, "No, wrong.")}

    async def test_an_earlier_answer_is_rated_by_its_own_checkpoint(self, world: World) -> None:
        first = await self.turn(world.agent(), self.question)
        second = await self.turn(world.agent(), self.second_question, first)
        await self._rate(world, first, False, "")
        await self._rate(world, second, True, "")
        assert world.rated() == {self.question: (False, ""), self.second_question: (True, "")}

    async def test_half_a_surrogate_pair_does_no_harm(self, world: World) -> None:
        heard = await self.turn(world.agent(), self.question)
        await self._rate(world, heard, True, "odd \ud83d letters")
        assert world.rated() == {self.question: (True, "odd ? letters")}

    @pytest.mark.parametrize(
        ("trouble", "error"),
        [("unauthorized", AuthenticationFailed), ("down", Unavailable), ("not found", NotFound)],
    )
    async def test_each_failure_has_its_error(self, world: World, trouble: str, error: type[AgentError]) -> None:
        heard = await self.turn(world.agent(), self.question)
        world.fail("rating", trouble, 1_000)  # type: ignore[arg-type]
        with pytest.raises(error) as caught:
            await self._rate(world, heard, True, "")
        self.fit(world, caught.value)
        assert not world.rated()

    @pytest.mark.parametrize("trouble", ["limited", "dropped after", "dropped before"])
    async def test_it_is_sent_again_where_it_may_not_have_arrived(self, world: World, trouble: str) -> None:
        heard = await self.turn(world.agent(), self.question)
        world.fail("rating", trouble)  # type: ignore[arg-type]
        await self._rate(world, heard, True, "Good.")
        assert world.rated() == {self.question: (True, "Good.")}

    async def _rate(self, world: World, heard: Heard, good: bool, words: str) -> None:
        agent = world.agent()
        assert isinstance(agent, Rates)
        assert heard.conversation
        await agent.rate(heard.conversation, heard.checkpoints[-1], good, words)
