"""The plug is pulled, or the database lost, at every single step of a turn: asked once, the whole reply once."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from adapters import base
from adapters.base import Done, File, Status, StepState, Text
from bridge.inbound import Address, Person
from bridge.store.database import Database, database_url
from bridge.store.engine import Engine, Op, Rows, StoreUnavailable
from bridge.turns.surface import Guard, PartKind, Surface
from tests.turns.agents import Backend, FileAgent, Step
from tests.turns.process import Bridge, running
from tests.turns.world import STYLE, MemoryPlatform, MemorySurface, inbound

pytestmark = pytest.mark.slow

LONG = "\n\n".join(f"Paragraph {number} " + "word " * 20 + "end." for number in range(8))
SCRIPT: list[Step] = [Text(LONG[:300]), Status("thinking"), Text(LONG[300:]), File("a.txt", "a.txt"), Done()]
SEARCH, READ = base.Step("search", "Search"), base.Step("read", "Read")
STEPS: list[Step] = [
    SEARCH,
    replace(SEARCH, state=StepState.DONE, detail="3 found"),
    Text(LONG[:300]),
    READ,
    Text(LONG[300:]),
    replace(READ, state=StepState.DONE),
    File("a.txt", "a.txt"),
    Done(),
]
MOST_STEPS = 200
RESTS = ("done", "waiting", "failed")


class Plug:
    """Pulled at the nth step: from then on nothing of that process gets through any more."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.pulled = asyncio.Event()
        self._dead = asyncio.Event()

    async def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            self.pulled.set()
            await self._dead.wait()
            raise RuntimeError("this process is dead")

    async def kill(self, task: asyncio.Task[None]) -> None:
        """What SIGKILL leaves: the task runs no more, and what it tried last didn't get through."""
        self.left = 0
        self._dead.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class PluggedEngine:
    """Each unit of work may be the last thing that the process did: before it, or after it."""

    def __init__(self, engine: Engine, plug: Plug) -> None:
        self.dialect = engine.dialect
        self.health = engine.health
        self._engine = engine
        self._plug = plug

    async def run(self, *ops: Op) -> Sequence[Rows]:
        if all(op.statement.reads for op in ops):
            return await self._engine.run(*ops)
        await self._plug.step()
        rows = await self._engine.run(*ops)
        await self._plug.step()
        return rows

    async def close(self) -> None:
        return


class PluggedPlatform(MemoryPlatform):
    plug: Plug

    def surface(self, address: Address, *, person: Person, guard: Guard) -> Surface:
        surface = MemorySurface(self, guard)
        for name in ("post", "edit", "upload", "delete"):
            call = getattr(surface, name)

            async def plugged(*a: object, _call: object = call, **n: object) -> object:
                await self.plug.step()
                result = await _call(*a, **n)  # type: ignore[operator]
                await self.plug.step()
                return result

            setattr(surface, name, plugged)
        return surface


@pytest.mark.parametrize(("has_history", "script"), [(True, SCRIPT), (False, SCRIPT), (True, STEPS)])
async def test_killed_at_any_step_it_asks_once_and_the_whole_reply_arrives_once(
    migrated_sqlite: Path,
    tmp_path: Path,
    has_history: bool,
    script: list[Step],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bridge.turns.hold.RIDE_SECONDS", 0.0)  # its own steps, too
    finished_without_a_kill = False
    uncertain = 0
    for step in range(MOST_STEPS):
        platform = PluggedPlatform(style=replace(STYLE, cards=True))
        backend = Backend(script, contents={"a.txt": b"made"}, has_history=has_history)
        path = tmp_path / f"{step}.db"
        shutil.copyfile(migrated_sqlite, path)
        plug = Plug(step)
        platform.plug, backend.step = plug, plug.step
        database = Database(database_url(f"sqlite:///{path}"))

        def between(engine: Engine, plug: Plug = plug) -> Engine:
            return PluggedEngine(engine, plug)

        first = Bridge(database, platform, FileAgent(backend), between=between)
        async with first.open():
            await first.intake.take(inbound(1, "what?"))
            serving = asyncio.create_task(first.runner.run())
            while not plug.pulled.is_set() and not finished_without_a_kill:
                await asyncio.sleep(0.002)
                finished_without_a_kill = set((await first.states()).values()) <= set(RESTS)
            assert not serving.done()
            await plug.kill(serving)
        await database.close()

        database = Database(database_url(f"sqlite:///{path}"))
        platform.plug = Plug(10_000)
        backend.step = platform.plug.step
        backend.running.clear()
        async with running(Bridge(database, platform, FileAgent(backend), replica="r2")) as second:
            await second.until_state(*RESTS)
            state, outcome = await second.outcome()
        await database.close()
        if outcome == "uncertain":
            uncertain += 1
            assert not has_history
            assert len(backend.asked) <= 1
            assert platform.messages[-1].buttons, "the person is asked"
        else:
            assert state == "done", (step, outcome)
            check_reply(platform, backend, step)
            check_steps(platform, {"search", "read"} if script is STEPS else set())
        if finished_without_a_kill:
            break
    assert finished_without_a_kill
    assert step > 15, "the plug was pulled at every step on the way"
    assert uncertain <= 5, "only around the question itself"


class Blinking:
    """Loses the connection at the nth unit of work, before it was done or with the answer to it."""

    def __init__(self, engine: Engine, at: int, *, done: bool) -> None:
        self.dialect = engine.dialect
        self.health = engine.health
        self.left = at
        self._engine = engine
        self._done = done

    async def run(self, *ops: Op) -> Sequence[Rows]:
        if all(op.statement.reads for op in ops):
            return await self._engine.run(*ops)
        self.left -= 1
        if self.left != -1:
            return await self._engine.run(*ops)
        if self._done:
            await self._engine.run(*ops)
        raise StoreUnavailable("the connection is lost")

    async def close(self) -> None:
        return


@pytest.mark.parametrize("done", [True, False], ids=["after it was done", "before"])
async def test_a_database_that_is_lost_at_any_step_changes_nothing_that_people_see(
    migrated_sqlite: Path, tmp_path: Path, done: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each unit of work may be repeated, and comes to the same: nobody is asked about a blip."""
    monkeypatch.setattr("bridge.store.engine.FIRST_PAUSE", 0.001)
    monkeypatch.setattr("bridge.turns.runner.LOOK_AGAIN", 0.01)
    monkeypatch.setattr("bridge.turns.runner.SWEEP", 0.02)
    monkeypatch.setattr("bridge.turns.hold.RIDE_SECONDS", 0.0)
    for step in range(MOST_STEPS):
        platform = MemoryPlatform()
        backend = Backend(SCRIPT, contents={"a.txt": b"made"}, has_history=False)
        path = tmp_path / f"{step}.db"
        shutil.copyfile(migrated_sqlite, path)
        database = Database(database_url(f"sqlite:///{path}"))
        blinking: list[Blinking] = []

        def between(engine: Engine, step: int = step, blinking: list[Blinking] = blinking) -> Engine:
            blinking.append(Blinking(engine, step, done=done))
            return blinking[0]

        async with running(Bridge(database, platform, FileAgent(backend), between=between)) as bridge:
            await bridge.intake.take(inbound(1, "what?"))
            await bridge.until_state(*RESTS)
            assert await bridge.outcome() == ("done", "answered"), step
            check_reply(platform, backend, step)
            await bridge.intake.take(inbound(2, "and then?"))
            await bridge.until_state("done")
        await database.close()
        if blinking[0].left >= 0:
            break
    assert step > 5
    assert blinking[0].left >= 0


def check_steps(platform: MemoryPlatform, wanted: set[str]) -> None:
    shown = [one for message in platform.messages for one in message.progress.steps]
    assert {one.id for one in shown} == wanted
    assert all(one.state is StepState.DONE for one in shown)
    ended = [one.id for one in shown if one.detail != "goes on below"]
    assert len(ended) == len(set(ended)), "each stands there once, but where it moved on"


def check_reply(platform: MemoryPlatform, backend: Backend, step: int) -> None:
    assert backend.asked == ["what?"], step
    texts = [message for message in platform.messages if message.key.kind is PartKind.TEXT]
    assert " ".join(message.text for message in texts).split() == LONG.split(), step
    assert all(message.finished for message in texts), step
    assert [m.files for m in platform.messages if m.files] == [(("a.txt", b"made"),)], step
    assert len({message.key for message in platform.messages}) == len(platform.messages), step
