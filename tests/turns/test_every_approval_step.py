"""The plug is pulled at every single step between a question, the approval that it needs and what follows: it is asked
once, decided once, the agent is told once, and the message says so in the end."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.base import Approval, Done, Text
from bridge.store.database import Database, database_url
from bridge.store.engine import Engine
from bridge.turns.surface import PartKind
from tests.e2e.waiting import eventually
from tests.turns.agents import Backend, ScriptedAgent
from tests.turns.process import Bridge, running
from tests.turns.test_every_step import Plug, PluggedEngine, PluggedPlatform
from tests.turns.world import STYLE, MemoryPlatform, Posted, inbound

pytestmark = pytest.mark.slow

MOST_STEPS = 200
APPROVED = ["wipe it", "Approved"]
EXPIRED = ["wipe it", "Declined: nobody decided in time"]


def request(platform: MemoryPlatform) -> Posted | None:
    found = [one for one in platform.messages if one.key.kind is PartKind.REQUEST]
    assert len(found) <= 1, "it is shown once"
    return found[0] if found else None


async def press_when_shown(bridge: Bridge, platform: MemoryPlatform) -> None:
    """As a person does, who presses again where nothing came of it."""
    while True:
        shown = request(platform)
        if shown is not None and shown.buttons:
            said = await bridge.press(shown.buttons[0])
            assert said in ("", "That was decided already.", "Just a moment: please press again.")
        await asyncio.sleep(0.002)


def check(platform: MemoryPlatform, backend: Backend, wanted: list[str], step: int) -> None:
    assert backend.asked == wanted, step
    assert len(backend.decisions) == 1, step
    shown = request(platform)
    assert shown is not None
    assert shown.buttons == (), step
    line = "Approved · Ann" if wanted is APPROVED else "Declined · nobody decided in time"
    assert shown.text.endswith(line), step
    texts = [one.text for one in platform.messages if one.key.kind is PartKind.TEXT]
    assert texts == ["Let me see.", "Let me see. That is it."], step


@pytest.mark.parametrize("wanted", [APPROVED, EXPIRED], ids=["pressed", "expired"])
async def test_killed_at_any_step_it_is_decided_once_and_the_agent_is_told_once(
    migrated_sqlite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: list[str]
) -> None:
    monkeypatch.setattr("bridge.turns.hold.RIDE_SECONDS", 0.0)
    monkeypatch.setattr("bridge.turns.runner.SWEEP", 0.005)
    approval = Approval("Wipe the disk", seconds=None if wanted is APPROVED else 0.0)
    whole = False
    for step in range(MOST_STEPS):
        platform = PluggedPlatform(style=replace(STYLE, limit=2_000))
        backend = Backend([Text("Let me see. "), approval, Text("That is it."), Done()])
        path = tmp_path / f"{step}.db"
        shutil.copyfile(migrated_sqlite, path)
        plug = Plug(step)
        platform.plug, backend.step = plug, plug.step
        database = Database(database_url(f"sqlite:///{path}"))

        def between(engine: Engine, plug: Plug = plug) -> Engine:
            return PluggedEngine(engine, plug)

        first = Bridge(database, platform, ScriptedAgent(backend), between=between)
        async with first.open():
            await first.intake.take(inbound(1, "wipe it"))
            serving = asyncio.create_task(first.runner.run())
            pressing = asyncio.create_task(press_when_shown(first, platform)) if wanted is APPROVED else None
            while not plug.pulled.is_set() and not whole:
                await asyncio.sleep(0.002)
                whole = len(await first.states()) == 2 and set((await first.states()).values()) == {"done"}
            if pressing is not None:
                pressing.cancel()
                await asyncio.gather(pressing, return_exceptions=True)
            await plug.kill(serving)
        await database.close()

        database = Database(database_url(f"sqlite:///{path}"))
        platform.plug = Plug(10_000)
        backend.step = platform.plug.step
        backend.running.clear()
        async with running(Bridge(database, platform, ScriptedAgent(backend), replica="r2")) as second:
            pressing = asyncio.create_task(press_when_shown(second, platform)) if wanted is APPROVED else None
            while set((states := await second.states()).values()) != {"done"} or len(states) != 2:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
            if pressing is not None:
                pressing.cancel()
                await asyncio.gather(pressing, return_exceptions=True)
        await database.close()
        check(platform, backend, wanted, step)
        if whole:
            break
    assert whole
    assert step > 20, "the plug was pulled at every step on the way"


@pytest.fixture
async def shared(postgres_url: str) -> AsyncIterator[Database]:
    database = Database(database_url(postgres_url))
    yield database
    await database.close()


async def test_of_several_replicas_exactly_one_declines_what_nobody_decided(shared: Database) -> None:
    platform = MemoryPlatform(style=replace(STYLE, limit=2_000))
    backend = Backend([Approval("Wipe the disk", seconds=0.0), Done("Then not.")])
    bridges = [Bridge(shared, platform, ScriptedAgent(backend), replica=f"r{number}") for number in range(3)]
    async with running(bridges[0]) as one, running(bridges[1]) as two, running(bridges[2]) as three:
        await one.intake.take(inbound(1, "wipe it"))
        await one.until_state("waiting")
        await asyncio.gather(*(bridge.runner._sweep() for bridge in (one, two, three) for _ in range(3)))
        await eventually(lambda: backend.decisions)
        await one.until_state("done")
    assert backend.asked == EXPIRED
    assert len(backend.decisions) == 1


async def test_whoever_takes_over_from_a_killed_replica_tells_the_agent_of_the_decision_once(
    shared: Database,
) -> None:
    """It dies with the decision's question on its way."""
    platform = MemoryPlatform(style=replace(STYLE, limit=2_000))
    backend, plug = Backend([Approval("Wipe the disk"), Done("Wiped.")]), Plug(10_000)
    agent = ScriptedAgent(backend)
    killed = Bridge(shared, platform, agent, between=lambda engine: PluggedEngine(engine, plug))
    async with running(Bridge(shared, platform, agent, replica="r2")) as survivor:
        async with survivor.runner._claiming, killed.open():
            serving = asyncio.create_task(killed.runner.run())
            await killed.intake.take(inbound(1, "wipe it"))
            await killed.until_state("waiting")
            backend.step, plug.left = plug.step, 3
            shown = request(platform)
            assert shown is not None
            await killed.press(shown.buttons[0])
            await plug.pulled.wait()
            await plug.kill(serving)
            backend.step = Plug(10_000).step
        backend.running.clear()
        await survivor.until_state("done")
    assert backend.asked == APPROVED
    assert [decision.approved for decision, _ in backend.decisions] == [True]
    assert request(platform).buttons == ()  # type: ignore[union-attr]
