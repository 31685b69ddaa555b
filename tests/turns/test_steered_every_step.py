"""The plug is pulled at every single step of a turn that several messages are joined into: each is asked once."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from adapters.base import Done, Text
from bridge.store.database import Database, database_url
from bridge.store.engine import Engine
from tests.turns.agents import Backend, ScriptedAgent
from tests.turns.process import Bridge, running
from tests.turns.test_every_step import MOST_STEPS, Plug, PluggedEngine, PluggedPlatform
from tests.turns.world import inbound

pytestmark = pytest.mark.slow

ASKED = "one\n\ntwo\n\nthree"


async def test_killed_at_any_step_what_is_joined_is_asked_once_and_nothing_is_dropped(
    migrated_sqlite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.turns.hold.RIDE_SECONDS", 0.0)
    finished_without_a_kill = False
    for step in range(MOST_STEPS):
        platform = PluggedPlatform()
        backend = Backend([Text("all three"), Done()])
        path = tmp_path / f"{step}.db"
        shutil.copyfile(migrated_sqlite, path)
        plug = Plug(step)
        platform.plug, backend.step = plug, plug.step
        database = Database(database_url(f"sqlite:///{path}"))

        def between(engine: Engine, plug: Plug = plug) -> Engine:
            return PluggedEngine(engine, plug)

        first = Bridge(database, platform, ScriptedAgent(backend), between=between, busy="steer")
        async with first.open():
            for number, text in enumerate(("one", "two", "three"), 1):
                await first.intake.take(inbound(number, text))
            serving = asyncio.create_task(first.runner.run())
            while not plug.pulled.is_set() and not finished_without_a_kill:
                await asyncio.sleep(0.002)
                finished_without_a_kill = set((await first.states()).values()) == {"done"}
            await plug.kill(serving)
        await database.close()

        database = Database(database_url(f"sqlite:///{path}"))
        platform.plug = Plug(10_000)
        backend.step = platform.plug.step
        backend.running.clear()
        second = Bridge(database, platform, ScriptedAgent(backend), replica="r2", busy="steer")
        async with running(second):
            await second.until_state("done")
        await database.close()
        assert backend.asked == [ASKED], step
        assert platform.texts() == ["all three"], step
        if finished_without_a_kill:
            break
    assert finished_without_a_kill
    assert step > 8, "the plug was pulled at every step on the way"
