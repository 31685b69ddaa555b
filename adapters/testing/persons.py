"""Who asks reaches the service, and nothing is said of nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.base import Checkpoint, Person, RateLimited
from adapters.person import as_object
from adapters.testing.contract import Contract
from adapters.testing.turns import conversation_of, hear
from adapters.testing.world import World

ANN = Person(
    "slack",
    "U0ANN",
    name="Änn 🧵 “the\r\nX-Evil: 1” \u202eO'Hara\"",
    workspace="T1",
    channel="C1",
    email="ann@example.com",
    token=SecretStr("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzbGFjazpVMEFOTiJ9.c2lnbmVk"),
)
BOB = Person("discord", "42", workspace="7", channel="8", roles=("100", "200"))


class PersonContract(Contract):
    """What every adapter does with `Message.person`."""

    async def test_who_asks_reaches_the_service(self, world: World) -> None:
        agent = world.agent()
        first = await hear(agent.ask(None, replace(self.message(agent, self.question), person=ANN)))
        then = replace(self.message(agent, self.second_question, first), person=BOB)
        await hear(agent.ask(conversation_of(first), then))
        assert in_turn(world) == [seen(ANN), seen(BOB)]

    async def test_without_a_person_nothing_is_sent(self, world: World) -> None:
        first = await self.turn(world.agent(), self.question)
        await self.turn(world.agent(), self.second_question, first)
        assert in_turn(world) == []

    async def test_a_request_that_is_sent_again_says_the_same(self, world: World) -> None:
        world.fail("question", "limited briefly")
        agent = world.agent()
        await hear(agent.ask(None, replace(self.message(agent, self.question), person=ANN)))
        assert len(world.told()) > 1
        assert in_turn(world) == [seen(ANN)]

    async def test_a_turn_that_is_taken_up_again_says_the_same(self, world: World) -> None:
        world.fail("question", "limited for long")
        agent = world.agent()
        message = replace(self.message(agent, self.question), person=ANN)
        left: list[Checkpoint] = []
        with pytest.raises(RateLimited):
            await self.take_in(agent.ask(None, message), left)
        world.mend()
        assert await self.resumed(world, message, None, left[-1])
        assert len(world.told()) > 1
        assert in_turn(world) == [seen(ANN)]


def in_turn(world: World) -> Sequence[Mapping[str, Any]]:
    """Who was told of, one after the other."""
    return [dict(one) for one, _ in groupby(world.told())]


def seen(person: Person) -> Mapping[str, Any]:
    token = {"token": person.token.get_secret_value()} if person.token else {}
    return as_object(person) | token
