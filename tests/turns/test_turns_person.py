"""Who asks reaches the agent: whoever wrote, answered, chose or had it sent again, whichever process asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.base import Checkpoint, Done, Event, InputRequest, Message, Person, RunFailed, Text, Unavailable
from bridge import inbound as read
from bridge.access import Access, AccessTable
from bridge.inbound import Address
from bridge.store.database import Database
from bridge.turns import outages
from bridge.turns.gate import Gate
from bridge.turns.inbox import Press
from bridge.turns.person import Level, Telling
from bridge.turns.surface import Guard, Surface
from tests.turns.agents import Backend, ScriptedAgent, Step
from tests.turns.process import Bridge, running
from tests.turns.world import HERE, LATER, MemoryPlatform, MemorySurface, inbound

ANN = read.Person("U1", "Ann", "T1", ("7",))
BOB = read.Person("U2", "Bob", "T9", ("8",))
BOB_IS_ADMIN = Gate(Access(AccessTable(admins=("slack:U2",), external=True)))
TOLD_ANN = Person("slack", "U1", workspace="T1", channel="C1", roles=("7",))
TOLD_BOB = Person("slack", "U2", workspace="T9", channel="C1", roles=("8",))


class NotingAgent(ScriptedAgent):
    """Notes who asked, each time that it was asked or resumed."""

    def __init__(self, script: list[Step] | None = None) -> None:
        super().__init__(Backend(script or []))
        self.told: list[Person | None] = []

    async def ask(
        self, conversation: str | None, message: Message, *, resume: Checkpoint | None = None
    ) -> AsyncIterator[Event]:
        self.told.append(message.person)
        async for event in super().ask(conversation, message, resume=resume):
            yield event


async def pressed(bridge: Bridge, platform: MemoryPlatform, by: read.Person, which: int = 0) -> None:
    [buttons] = [message.buttons for message in platform.messages if message.buttons]
    button = buttons[which]
    await bridge.intake.pressed(Press(button.action, button.turn, by, HERE, button.value))


async def test_who_wrote_is_told_and_no_name(database: Database, platform: MemoryPlatform) -> None:
    agent = NotingAgent()
    async with running(Bridge(database, platform, agent, gate=BOB_IS_ADMIN)) as bridge:
        await bridge.intake.take(inbound(1, person=ANN))
        await bridge.until_state("done")
        await bridge.intake.take(inbound(2, person=BOB))
        await bridge.until_state("done")
    assert agent.told == [TOLD_ANN, TOLD_BOB]


@pytest.mark.parametrize("failure", [RunFailed("it failed"), Unavailable("away")], ids=["anew", "resumed"])
async def test_who_has_it_sent_again_asks(
    quick: Database, platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    monkeypatch.setattr(outages, "OUTAGE_PATIENCE", 0.0)
    agent = NotingAgent([failure])  # type: ignore[list-item]
    async with running(Bridge(quick, platform, agent, gate=BOB_IS_ADMIN)) as bridge:
        await bridge.intake.take(inbound(1, person=ANN))
        await bridge.until_state("failed")
        agent.backend.script = []
        await pressed(bridge, platform, BOB)
        await bridge.until_state("failed", "done")
    assert agent.told == [TOLD_ANN, TOLD_BOB]
    assert agent.backend.asked[-1] == "question 1", "in the words of whoever wrote, and no name"


async def test_who_chooses_answers(quick: Database, platform: MemoryPlatform) -> None:
    agent = NotingAgent([InputRequest("Which?", ("this", "that"))])
    async with running(Bridge(quick, platform, agent)) as bridge:
        await bridge.intake.take(inbound(1, person=ANN))
        await bridge.until_state("waiting")
        agent.backend.script = []
        await pressed(bridge, platform, BOB, which=1)
        await bridge.until_state("done")
    assert agent.told == [TOLD_ANN, TOLD_BOB]


async def test_who_answers_by_writing_is_told(quick: Database, platform: MemoryPlatform) -> None:
    agent = NotingAgent([InputRequest("Which?")])
    async with running(Bridge(quick, platform, agent)) as bridge:
        await bridge.intake.take(inbound(1, person=ANN))
        await bridge.until_state("waiting")
        agent.backend.script = []
        await bridge.intake.take(inbound(LATER, "that", person=BOB))
        await bridge.until_state("done")
    assert agent.told == [TOLD_ANN, TOLD_BOB]


async def test_another_process_tells_of_the_same_person(database: Database, platform: MemoryPlatform) -> None:
    """The first one ends in the middle of the answer to what Bob had sent again."""
    hanging = asyncio.Event()

    async def hang() -> None:
        hanging.set()
        await asyncio.Event().wait()

    agent = NotingAgent([RunFailed("it failed")])
    async with running(Bridge(database, platform, agent, gate=BOB_IS_ADMIN)) as bridge:
        await bridge.intake.take(inbound(1, person=ANN))
        await bridge.until_state("failed")
        agent.backend.script = [Text("first half, "), hang, Done()]
        await pressed(bridge, platform, BOB)
        await hanging.wait()
    agent.backend.script = []
    async with running(Bridge(database, platform, agent, replica="r2", gate=BOB_IS_ADMIN)) as bridge:
        await bridge.until_state("failed", "done")
    assert agent.told == [TOLD_ANN, TOLD_BOB, TOLD_BOB]


class Directory(MemoryPlatform):
    """A platform that tells names and addresses when it is asked."""

    def surface(self, address: Address, *, person: read.Person, guard: Guard) -> Surface:
        return DirectorySurface(self, guard)


class DirectorySurface(MemorySurface):
    async def resolve(self, person: read.Person, text: str) -> tuple[str, str]:
        return f"{person.name} of {person.workspace}", text

    async def email(self, person: read.Person) -> str:
        return f"{person.id}@example.com"


@pytest.mark.parametrize("level", ["full", "id"])
async def test_names_and_addresses_are_told_only_where_all_is(quick: Database, level: Level) -> None:
    platform, agent = Directory(), NotingAgent([RunFailed("it failed")])
    bridge = Bridge(quick, platform, agent, telling=lambda name: Telling(name, level), gate=BOB_IS_ADMIN)
    async with running(bridge):
        await bridge.intake.take(inbound(1, person=ANN))
        await bridge.until_state("failed")
        agent.backend.script = []
        await pressed(bridge, platform, BOB)
        await bridge.until_state("failed", "done")
    if level == "id":
        assert agent.told == [TOLD_ANN, TOLD_BOB]
        return
    assert agent.told == [
        replace(TOLD_ANN, name="Ann of T1", email="U1@example.com"),
        replace(TOLD_BOB, name="Bob of T9", email="U2@example.com"),
    ]


async def test_nobody_is_told_of_where_the_settings_say_so(quick: Database, platform: MemoryPlatform) -> None:
    agent = NotingAgent()
    bridge = Bridge(quick, platform, agent, telling=lambda name: Telling(name, "none"))
    async with running(bridge):
        await bridge.intake.take(inbound(1, person=ANN))
        await bridge.until_state("done")
    assert agent.told == [None]
