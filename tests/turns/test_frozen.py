"""A process that was frozen, or cut off from the database: while it isn't sure of its threads it calls nobody, and what
it may have written over is written again by whoever took them over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from adapters.base import Done, Text
from bridge.app import look_before_request
from bridge.store.database import Database
from bridge.store.lease import SURE, Lease
from bridge.store.presence import Bury
from tests.e2e.waiting import eventually
from tests.turns.agents import Backend, ScriptedAgent, Step
from tests.turns.process import Bridge, running
from tests.turns.world import MemoryPlatform, inbound

A_WHILE = 0.1  # seconds in which something forbidden would happen


class Frozen:
    """A replica whose heartbeat is the test's."""

    def __init__(self) -> None:
        self.at = 0.0
        self.lease = Lease(alone=False, clock=lambda: self.at)
        self.beat()

    def beat(self) -> None:
        self.lease.confirmed(self.at)

    def freeze(self) -> None:
        self.at += SURE + 1

    async def keep(self, bury: Bury, hear: Callable[[str], None]) -> None:
        await asyncio.Event().wait()

    async def alive(self) -> Sequence[str]:
        return ["r1", "r2"]

    async def end_sessions(self, replica: str) -> None:
        return

    async def leave(self, replica: str) -> None:
        return


class Gate:
    """A point in an agent's script at which the first one to come stops."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()

    async def step(self) -> None:
        if not self.reached.is_set():
            self.reached.set()
            await self.go_on.wait()


async def test_while_it_is_not_sure_it_makes_no_call_and_then_it_goes_on(
    quick: Database, platform: MemoryPlatform
) -> None:
    presence, gate = Frozen(), Gate()
    backend = Backend([Text("one "), gate.step, Text("two"), Done()])
    async with running(Bridge(quick, platform, ScriptedAgent(backend), presence=presence)) as bridge:
        await bridge.intake.take(inbound(1))
        await gate.reached.wait()
        await platform.until(lambda: platform.messages)
        calls = platform.calls
        presence.freeze()
        gate.go_on.set()
        await asyncio.sleep(A_WHILE)
        assert platform.calls == calls
        presence.beat()
        await bridge.until_state("done")
        [record] = await bridge.ledger.turns(state=None, thread=None, limit=1)
        assert record.thread.token == 1, "it was its own all the time"
    assert platform.texts() == ["one two"]


async def test_while_it_is_not_sure_it_claims_nothing(quick: Database, platform: MemoryPlatform) -> None:
    presence = Frozen()
    presence.freeze()
    async with running(Bridge(quick, platform, ScriptedAgent(Backend()), presence=presence)) as bridge:
        await bridge.intake.take(inbound(1))
        await asyncio.sleep(A_WHILE)
        assert set((await bridge.states()).values()) == {"received"}
        presence.beat()
        await bridge.until_state("done")


@pytest.mark.parametrize("torn", [False, True], ids=["nothing under way", "a call under way at the thaw"])
async def test_what_a_thawed_process_wrote_over_is_written_again_by_the_new_owner(
    quick: Database, platform: MemoryPlatform, torn: bool
) -> None:
    presence, gate = Frozen(), Gate()
    backend = Backend([Text("The first words, "), gate.step, Text("and the last."), Done()])
    agent = ScriptedAgent(backend)
    old = Bridge(quick, platform, agent, presence=presence)
    new = Bridge(quick, platform, agent, replica="r2", presence=Frozen())
    async with running(old):
        await old.intake.take(inbound(1))
        await gate.reached.wait()
        await platform.until(lambda: platform.messages)
        presence.freeze()
        async with running(new, alone=False):
            assert await new.queue.reclaim("r1") == 1
            new.runner.wake()
            await new.until_state("done")
            [message] = platform.messages
            assert message.text == "The first words, and the last."
            if torn:  # what left the process before it was frozen, and arrives only now
                message.text, message.finished = "The first words,", False
            calls = platform.calls
            presence.beat()
            gate.go_on.set()
            await eventually(lambda: not old.runner._held)
            new.runner.wake()
            await platform.until(lambda: message.finished and platform.calls > calls)
            await eventually(lambda: not new.runner._held)
            [record] = await new.ledger.turns(state=None, thread=None, limit=1)
            assert (record.thread.state, record.thread.recheck_turn) == ("idle", None)
    assert platform.texts() == ["The first words, and the last."]
    assert platform.calls == calls + 1, "the old one called nobody, the new one wrote once"
    assert backend.asked == ["question 1"]


async def test_a_process_that_lost_its_thread_asks_no_agent(quick: Database, platform: MemoryPlatform) -> None:
    """Each request of an agent's looks first, as the platforms do."""
    presence, gate = Frozen(), Gate()
    answered = asyncio.Event()

    async def request() -> None:
        await look_before_request()
        answered.set()

    script: list[Step] = [gate.step, request, Text("hello"), Done()]
    backend = Backend(script)
    async with running(Bridge(quick, platform, ScriptedAgent(backend), presence=presence)) as bridge:
        await bridge.intake.take(inbound(1))
        await gate.reached.wait()
        presence.freeze()
        await bridge.queue.free_unheld({})
        gate.go_on.set()
        await asyncio.sleep(A_WHILE)
        assert not answered.is_set()
        presence.beat()
        await eventually(lambda: not bridge.runner._held)
        bridge.runner.wake()
        await bridge.until_state("done")
    assert platform.texts() == ["hello"]
    assert backend.asked == ["question 1"]
