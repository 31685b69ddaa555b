"""The agent speaks first: whatever ends a process or loses the database, people see it once and whole."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from adapters.base import Approval, Done, InputRequest, Text
from bridge.inbound import Address
from bridge.store.database import Database, database_url
from bridge.store.engine import Engine, Op, Statement
from bridge.store.speaking import UNASKED, KnownThread, Speaking, Speech
from bridge.store.values import Spoken
from bridge.turns.inbox import Order
from bridge.turns.surface import Guard, Opening, PartKind
from tests.turns.agents import Backend, ScriptedAgent, Step
from tests.turns.process import Bridge, running
from tests.turns.test_every_step import LONG, MOST_STEPS, Blinking, Plug, PluggedEngine, PluggedPlatform
from tests.turns.world import HERE, LATER, STYLE, MemoryOpening, MemoryPlatform, inbound

REPLY: list[Step] = [Text("I see."), Done()]
THREADS = Statement(sa.text("SELECT platform, workspace, channel, thread FROM thread WHERE state != 'moved'"))


def speech(key: str = "k1", text: str = LONG, **more: Any) -> Speech:
    return Speech(key, text, Spoken("digest", "slack:C1", **more))


async def speak(bridge: Bridge, text: str = LONG, key: str = "k1", **more: Any) -> str:
    speaking = Speaking(bridge.engine)
    said = await speaking.open(
        "slack", "C1", speech(key, text), agent="support", conversation=None, direct=False, **more
    )
    bridge.runner.wake()
    return said.turn.id


async def opened(bridge: Bridge, turn: str) -> KnownThread:
    found = await Speaking(bridge.engine).by_id(turn)
    assert found is not None
    return found[1]


def check(platform: MemoryPlatform, step: object = None) -> None:
    assert " ".join(message.text for message in platform.messages).split() == LONG.split(), step
    assert all(message.finished for message in platform.messages), step
    assert [message.key.index for message in platform.messages] == list(range(len(platform.messages))), step
    assert len({message.key for message in platform.messages}) == len(platform.messages), step


class PluggedOpenings(PluggedPlatform):
    def opening(self, channel: str, person: str, *, guard: Guard) -> Opening:
        opening = MemoryOpening(self, channel, guard)
        for name in ("post", "open"):
            call = getattr(opening, name)

            async def plugged(*a: object, _call: object = call) -> object:
                await self.plug.step()
                result = await _call(*a)  # type: ignore[operator]
                await self.plug.step()
                return result

            setattr(opening, name, plugged)
        return opening


@pytest.mark.slow
async def test_killed_at_any_step_it_is_said_once_and_a_reply_goes_on_in_its_thread(
    migrated_sqlite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.turns.hold.RIDE_SECONDS", 0.0)
    whole = False
    for step in range(MOST_STEPS):
        platform, backend, plug = PluggedOpenings(), Backend(REPLY), Plug(step)
        platform.plug = plug
        path = tmp_path / f"{step}.db"
        shutil.copyfile(migrated_sqlite, path)
        database = Database(database_url(f"sqlite:///{path}"))

        def between(engine: Engine, plug: Plug = plug) -> Engine:
            return PluggedEngine(engine, plug)

        first = Bridge(database, platform, ScriptedAgent(backend), between=between)
        async with first.open():
            turn = await speak(first)
            serving = asyncio.create_task(first.runner.run())
            while not plug.pulled.is_set() and not whole:
                await asyncio.sleep(0.002)
                whole = set((await first.states()).values()) == {"done"}
            assert not serving.done()
            await plug.kill(serving)
        await database.close()

        database = Database(database_url(f"sqlite:///{path}"))
        platform.plug = Plug(10_000)
        async with running(Bridge(database, platform, ScriptedAgent(backend), replica="r2")) as second:
            await second.until_state("done")
            check(platform, step)
            thread = await opened(second, turn)
            assert thread.address == Address("slack", "T1", "C1", platform.messages[0].id), step
            assert await speak(second) == turn, "the key was used"
            await second.intake.take(replace(inbound(LATER, "why?"), address=thread.address))
            await second.until_state("done")
        await database.close()
        assert len(backend.asked) == 1
        assert backend.asked[0].endswith("why?")
        assert "Paragraph 7" in backend.asked[0], "its backend is told what was said in its name"
        if whole:
            break
    assert whole
    assert step > 10, "the plug was pulled at every step on the way"


@pytest.mark.slow
@pytest.mark.parametrize("done", [True, False], ids=["after it was done", "before"])
async def test_a_database_that_is_lost_at_any_step_changes_nothing_that_people_see(
    migrated_sqlite: Path, tmp_path: Path, done: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.store.engine.FIRST_PAUSE", 0.001)
    monkeypatch.setattr("bridge.turns.runner.LOOK_AGAIN", 0.01)
    monkeypatch.setattr("bridge.turns.runner.SWEEP", 0.02)
    monkeypatch.setattr("bridge.turns.hold.RIDE_SECONDS", 0.0)
    for step in range(MOST_STEPS):
        platform = MemoryPlatform()
        path = tmp_path / f"{step}.db"
        shutil.copyfile(migrated_sqlite, path)
        database = Database(database_url(f"sqlite:///{path}"))
        blinking: list[Blinking] = []

        def between(engine: Engine, step: int = step, blinking: list[Blinking] = blinking) -> Engine:
            blinking.append(Blinking(engine, step, done=done))
            return blinking[0]

        async with running(Bridge(database, platform, ScriptedAgent(Backend()), between=between)) as bridge:
            await speak(bridge)
            await bridge.until_state("done")
            check(platform, step)
        await database.close()
        if blinking[0].left >= 0:
            break
    assert step > 4
    assert blinking[0].left >= 0


async def test_a_shutdown_while_the_first_message_goes_out_doesnt_say_it_twice(database: Database) -> None:
    """The answer to the call is never seen, and the thread is given back in good order."""
    platform = MemoryPlatform()
    posted = asyncio.Event()

    class Hanging(MemoryOpening):
        async def post(self, key: Any, text: str, title: str) -> str:  # type: ignore[override]
            await super().post(key, text, title)
            posted.set()
            return await asyncio.Future()

    first = platform.opening
    platform.opening = lambda channel, person, *, guard: Hanging(platform, channel, guard)  # type: ignore[method-assign]
    async with running(Bridge(database, platform, ScriptedAgent(Backend()))) as bridge:
        await speak(bridge)
        await posted.wait()
    platform.opening = first  # type: ignore[method-assign]
    async with running(Bridge(database, platform, ScriptedAgent(Backend()), replica="r2")) as bridge:
        await bridge.until_state("done")
    check(platform)
    assert platform.caught_up == 1, "people may have replied while its thread wasn't known"


async def test_a_key_that_comes_to_two_replicas_at_once_is_said_once(postgres_url: str) -> None:
    platform = MemoryPlatform()
    one, two = (Database(database_url(postgres_url)) for _ in range(2))
    async with (
        running(Bridge(one, platform, ScriptedAgent(Backend()), replica="r1"), alone=False) as first,
        running(Bridge(two, platform, ScriptedAgent(Backend()), replica="r2"), alone=False) as second,
    ):
        turns = await asyncio.gather(*(speak(bridge) for bridge in (first, second) * 10))
        assert len(set(turns)) == 1
        await first.until_state("done")
        rows = await first.engine.run(Op(THREADS, {}))
        assert len(rows[0]) == 1, "and nothing of the others is left"
    check(platform)
    for used in (one, two):
        await used.close()


async def test_what_is_said_answers_no_question_of_the_agent(database: Database) -> None:
    """The thread waits for a person: something is said meanwhile, and the person's answer still counts as one."""
    platform, backend = MemoryPlatform(), Backend([Text("Hm."), InputRequest("Which one?"), Done()])
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1, "buy it"))
        await bridge.until_state("waiting")
        speaking = Speaking(bridge.engine)
        thread = await speaking.thread(HERE)
        assert thread is not None
        said = await speaking.say(thread.id, speech(text="By the way."))
        bridge.runner.wake()
        await platform.until(lambda: "By the way." in platform.texts())
        await bridge.until_state("waiting", "done")
        assert sorted((await bridge.states()).values()) == ["done", "waiting"]
        backend.script = REPLY
        await bridge.intake.take(inbound(LATER, "the red one"))
        await bridge.until_state("done")
        assert (await bridge.states())[said.turn.id] == "done"
    assert backend.asked[-1].endswith("the red one")


async def test_what_is_said_while_leave_is_waited_for_comes_after_the_decision(database: Database) -> None:
    """And before what people write after that."""
    platform = MemoryPlatform(style=replace(STYLE, limit=2_000))
    backend = Backend([Text("Hm."), Approval("Buy it"), Done()])
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1, "buy it"))
        await bridge.until_state("waiting")
        speaking = Speaking(bridge.engine)
        thread = await speaking.thread(HERE)
        assert thread is not None
        await speaking.say(thread.id, speech(text="By the way."))
        await bridge.runner._sweep()
        await bridge.until_state("waiting", "received")
        [approve, _] = platform.messages[-1].buttons
        backend.script = REPLY
        await bridge.intake.take(inbound(LATER, "and then?"))
        await bridge.press(approve)
        await bridge.until_state("done")
    assert backend.asked[:2] == ["buy it", "Approved"]
    assert backend.asked[2].endswith("and then?")
    assert UNASKED in backend.asked[2] or "By the way." in backend.asked[2]
    assert platform.texts()[2:] == ["I see.", "By the way.", "I see."]


async def test_a_retry_is_of_what_was_asked_last_and_not_of_what_was_said(database: Database) -> None:
    platform, backend = MemoryPlatform(), Backend(REPLY)
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1, "what?"))
        await bridge.until_state("done")
        speaking = Speaking(bridge.engine)
        thread = await speaking.thread(HERE)
        assert thread is not None
        await speaking.say(thread.id, speech(text="By the way."))
        bridge.runner.wake()
        await bridge.until_state("done")
        await bridge.intake.ordered(Order("retry", inbound().person, HERE))
        await bridge.until_state("done")
    assert len(backend.asked) == 2
    assert not any(UNASKED in asked for asked in backend.asked)


async def test_what_the_platform_refuses_for_good_ends_with_the_reason_and_may_be_delivered_again(
    database: Database,
) -> None:
    platform = MemoryPlatform(faults=["", "gone"])
    async with running(Bridge(database, platform, ScriptedAgent(Backend()))) as bridge:
        turn = await speak(bridge)
        await bridge.until_state("failed")
        found = await Speaking(bridge.engine).by_id(turn)
        assert found is not None
        assert found[0].turn.detail == "Gone: channel deleted"
        assert platform.sentences == []
        assert await bridge.ledger.retry(turn)
        bridge.runner.wake()
        await bridge.until_state("done")
    check(platform)


async def test_several_may_wait_for_a_thread_that_isnt_opened_yet(database: Database) -> None:
    platform = MemoryPlatform()
    async with (bridge := Bridge(database, platform, ScriptedAgent(Backend()))).open():
        turn = await speak(bridge, "one")
        speaking = Speaking(bridge.engine)
        for number in ("two", "three"):
            await speaking.say((await opened(bridge, turn)).id, speech(number, number))
        lines = await speaking.read((await opened(bridge, turn)).id, 0, 10)
        assert [line.answer for line in lines] == ["one", "two", "three"]
    async with running(Bridge(database, platform, ScriptedAgent(Backend()))) as bridge:
        await bridge.until_state("done")
        thread = await opened(bridge, turn)
        assert not thread.address.thread.startswith("~")
        lines = await Speaking(bridge.engine).read(thread.id, 0, 2)
        assert [line.answer for line in lines] == ["one", "two"]
    assert platform.texts() == ["one", "two", "three"]
    assert {message.key.kind for message in platform.messages} == {PartKind.TEXT}
