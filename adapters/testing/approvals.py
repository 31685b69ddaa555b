"""What adapters must do whose agents ask for leave, or offer choices."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count
from typing import ClassVar

import pytest

from adapters.base import Agent, Approval, Decision, Done, Event, InputRequest, Message
from adapters.testing.contract import Contract
from adapters.testing.persons import ANN, BOB, in_turn, seen
from adapters.testing.steps import MAX_REQUESTS
from adapters.testing.turns import Heard, hear
from adapters.testing.world import World

YES = Decision(approved=True, reason="Fine with me.")
NO = Decision(approved=False, reason="Not before Monday.")


class ApprovalContract(Contract):
    """For agents that ask for leave before they do something."""

    approving_question: ClassVar[str] = "Ask for approval before you go on."

    @pytest.mark.parametrize("decision", [YES, NO], ids=["approved", "declined"])
    async def test_it_asks_for_leave_and_goes_on_with_the_decision(self, world: World, decision: Decision) -> None:
        asked = await self._asking(world)
        approval = asked.events[-1]
        assert isinstance(approval, Approval)
        assert approval.title.strip()
        assert "\n" not in approval.title
        assert not world.decided()
        answered = await hear(self._decide(world, asked, self._decision(decision)))
        assert isinstance(answered.events[-1], Done)
        assert answered.text
        assert [told.approved for told in world.decided()] == [decision.approved]
        assert decision.reason in world.decided()[0].reason

    async def test_the_conversation_goes_on_after_it(self, world: World) -> None:
        asked = await self._asking(world)
        answered = await hear(self._decide(world, asked, self._decision(NO)))
        first = replace_conversation(answered, asked)
        assert (await self.turn(world.agent(), self.second_question, first)).text

    async def test_words_without_a_decision_are_no_leave(self, world: World) -> None:
        asked = await self._asking(world)
        answered = await hear(self._decide(world, asked, self.message(world.agent(), "Rather call them.")))
        assert isinstance(answered.events[-1], Done | Approval)
        assert not any(told.approved for told in world.decided())

    async def test_who_decides_is_told(self, world: World) -> None:
        agent = world.agent()
        message = replace(self.message(agent, self.approving_question), person=ANN)
        asked = await hear(agent.ask(None, message))
        await hear(self._decide(world, asked, replace(self._decision(YES), person=BOB)))
        assert in_turn(world) == [seen(ANN), seen(BOB)]

    async def test_it_asks_again_after_a_crash(self, world: World) -> None:
        """Whoever died after the last checkpoint and before the question must not decide it with itself."""
        agent = world.agent()
        message = self.message(agent, self.approving_question)
        asked = await hear(agent.ask(None, message))
        assert len(asked.checkpoints) > 1
        again = asked
        for checkpoint in asked.checkpoints[-2:]:
            resumed = await self.resumed(world, message, None, checkpoint)
            assert resumed
            again = resumed
            assert again.events[-1] == asked.events[-1]
            assert world.asked() == 1
        assert not world.decided()
        answered = await hear(self._decide(world, replace_conversation(again, asked), self._decision(YES)))
        assert isinstance(answered.events[-1], Done)
        assert [told.approved for told in world.decided()] == [True]

    @pytest.mark.parametrize("tried_again", [False, True], ids=["crashed", "tried again"])
    async def test_the_decision_is_given_once_from_whatever_checkpoint(
        self, world: World, tried_again: bool
    ) -> None:
        expected, total = "", 1
        nth = -1
        while nth < total:
            asked = await self._asking(world)
            message = self._decision(YES)
            before = len(world.decided())
            events = self._decide(world, asked, message)
            if nth < 0:
                reference = await hear(events)
                expected, total = reference.text, len(reference.checkpoints)
            else:
                checkpoint = await self.nth_checkpoint(events, nth)
                message = self.again(message) if tried_again else message
                heard = await self.resumed(world, message, asked.conversation, checkpoint)
                assert heard is None or heard.text == expected, f"after checkpoint {nth + 1} of {total}"
                decided = len(world.decided()) - before
                assert decided == 1 or (heard is None and decided == 0), f"after checkpoint {nth + 1} of {total}"
            nth += 1

    async def test_the_decision_is_given_once_in_whatever_request_it_dies(self, world: World) -> None:
        uncertain = 0
        for nth in count(1):
            assert nth <= MAX_REQUESTS
            asked = await self._asking(world)
            message = self._decision(YES)
            before = len(world.decided())
            world.stall(nth)
            checkpoint, finished = await self.crash(self._decide(world, asked, message), world.stalled())
            world.mend()
            if finished:
                break
            checkpoint = checkpoint or asked.checkpoints[-1]
            heard = await self.resumed(world, message, asked.conversation, checkpoint)
            decided = len(world.decided()) - before
            assert decided == 1 or (heard is None and decided == 0), f"died in request {nth}"
            uncertain += heard is None
        assert uncertain <= 1, "only the request that decides may leave doubt"

    async def _asking(self, world: World) -> Heard:
        agent = world.agent()
        asked = await hear(agent.ask(None, self.message(agent, self.approving_question)))
        assert isinstance(asked.events[-1], Approval)
        return asked

    def _decision(self, decision: Decision) -> Message:
        words = "Approved." if decision.approved else f"Declined: {decision.reason}"
        return Message(f"turn-{next(self.ids)}", words, decision=decision)

    def _decide(self, world: World, asked: Heard, message: Message) -> AsyncIterator[Event]:
        return world.agent().ask(asked.conversation, message, resume=asked.checkpoints[-1])


class ChoiceContract(Contract):
    """For agents that offer choices when they ask back."""

    choosing_question: ClassVar[str] = "Ask me which before you go on."

    async def test_a_question_has_choices_and_takes_one(self, world: World) -> None:
        agent = world.agent()
        asked = await hear(agent.ask(None, self.message(agent, self.choosing_question)))
        question = asked.events[-1]
        assert isinstance(question, InputRequest)
        assert len(question.choices) > 1
        answer = await self._answered(agent, asked, question.choices[-1])
        assert question.choices[-1] in answer.text

    async def test_words_of_ones_own_are_taken_too(self, world: World) -> None:
        agent = world.agent()
        asked = await hear(agent.ask(None, self.message(agent, self.choosing_question)))
        assert "1815" in (await self._answered(agent, asked, "1815")).text

    async def test_the_choices_come_again_after_a_crash(self, world: World) -> None:
        agent = world.agent()
        message = self.message(agent, self.choosing_question)
        asked = await hear(agent.ask(None, message))
        again = await self.resumed(world, message, None, asked.checkpoints[-1])
        assert again
        assert again.events[-1] == asked.events[-1]

    async def _answered(self, agent: Agent, asked: Heard, answer: str) -> Heard:
        events = agent.ask(asked.conversation, self.message(agent, answer), resume=asked.checkpoints[-1])
        heard = await hear(events)
        assert isinstance(heard.events[-1], Done)
        return heard


def replace_conversation(heard: Heard, known: Heard) -> Heard:
    """`heard`, in the conversation of `known` where it told none."""
    return heard if heard.conversation else Heard([*known.checkpoints[-1:], *heard.events])
