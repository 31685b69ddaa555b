"""A runner and its claims: none is given up by mistake, none is kept by one that lost it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from adapters.base import Checkpoint, Done, Text, Uncertain
from bridge.store import statements as sql
from bridge.store.database import Database
from bridge.store.engine import Engine, Op, Rows, Statement
from bridge.store.values import PartRecord
from bridge.turns.surface import Button, PartKey, PartKind
from tests.e2e.waiting import eventually
from tests.turns.agents import Backend, ScriptedAgent, Step
from tests.turns.process import Bridge, running
from tests.turns.world import HERE, MemoryPlatform, inbound, unguarded

A_WHILE = 0.1  # seconds in which something forbidden would happen


class Held:
    """An engine on which the answer to the first statement of a kind comes only when it is let go."""

    def __init__(self, engine: Engine, statement: Statement) -> None:
        self.dialect = engine.dialect
        self.health = engine.health
        self._engine = engine
        self._statement = statement
        self.done = asyncio.Event()  # in the database
        self.go_on = asyncio.Event()

    async def run(self, *ops: Op) -> Sequence[Rows]:
        rows = await self._engine.run(*ops)
        if ops[0].statement is self._statement and rows[0]:
            self.done.set()
            await self.go_on.wait()
        return rows

    async def close(self) -> None:
        return


async def token(bridge: Bridge) -> int:
    [record] = await bridge.ledger.turns(state=None, thread=None, limit=1)
    return record.thread.token


async def test_a_claim_whose_answer_is_on_its_way_is_not_taken_for_a_lost_one(
    quick: Database, platform: MemoryPlatform
) -> None:
    held: list[Held] = []

    def between(engine: Engine) -> Engine:
        held.append(Held(engine, sql.CLAIM))
        return held[0]

    async with running(Bridge(quick, platform, ScriptedAgent(Backend()), between=between)) as bridge:
        await bridge.intake.take(inbound(1))
        await held[0].done.wait()
        sweeping = asyncio.create_task(bridge.runner._sweep())
        await asyncio.wait([sweeping], timeout=A_WHILE)
        held[0].go_on.set()
        await sweeping
        await bridge.until_state("done")
        assert await token(bridge) == 1, "claimed once"


async def test_a_claim_whose_answer_was_lost_is_taken_up_by_the_next_sweep(
    quick: Database, platform: MemoryPlatform
) -> None:
    async with running(Bridge(quick, platform, ScriptedAgent(Backend()))) as bridge:
        async with bridge.runner._claiming:
            await bridge.intake.take(inbound(1))
            await bridge.queue.claim(10, ["slack"])
        await bridge.runner._sweep()
        await bridge.until_state("done")
        assert await token(bridge) == 2
    assert platform.texts() == ["answer to question 1"]


async def test_a_thread_that_was_lost_and_claimed_anew_by_the_same_process_is_served_once_more(
    quick: Database, platform: MemoryPlatform
) -> None:
    """The task that lost it ends last, and takes nothing of the new one's along."""
    first, go_on = asyncio.Event(), asyncio.Event()
    backend = Backend()

    async def hang_once() -> None:
        if not first.is_set():
            first.set()
            await go_on.wait()

    script: list[Step] = [hang_once, Text("done"), Done()]
    backend.script = script
    async with running(Bridge(quick, platform, ScriptedAgent(backend), max_running=1)) as bridge:
        await bridge.intake.take(inbound(1))
        await first.wait()
        [(claim, old)] = bridge.runner._held.values()
        await bridge.queue.free_unheld({})
        [again] = await bridge.queue.claim(1, ["slack"])
        new = asyncio.create_task(bridge.runner._serve(again))
        bridge.runner._held[again.thread] = again, new
        await new
        await bridge.until_state("done")
        assert old is not new
        go_on.set()
        await asyncio.wait([old])
        assert old.exception() is None
        assert bridge.runner._held == {}
        assert bridge.runner._at_work == {}
        assert claim.token < again.token
        await bridge.intake.take(inbound(2))
        await eventually(lambda: len(platform.messages) == 2)
    assert backend.asked == ["question 1", "question 2"]


async def test_a_thread_that_may_end_processes_runs_beside_no_other_such(
    quick: Database, platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.turns.runner.LOOK_AGAIN", 0.01)  # one at each look
    at_once: list[int] = []

    async def look() -> None:
        at_once.append(len(bridge.runner._held))

    backend = Backend([look, Text("x"), Done()])
    bridge = Bridge(quick, platform, ScriptedAgent(backend))
    async with running(bridge):
        async with bridge.runner._claiming:
            for number in range(4):
                await bridge.intake.take(inbound(1, thread=str(number)))
            for _ in range(3):
                await bridge.queue.claim(10, ["slack"])
                await bridge.queue.free_unheld({})
        bridge.runner.wake()
        await bridge.until_state("done")
    assert at_once == [1, 1, 1, 1]


async def test_a_turn_that_took_the_process_down_too_often_is_given_up(
    quick: Database, platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten times without anything achieved; what it shows stands and no longer grows, and it can be tried again."""
    backend = Backend([Text("all of it"), Done()])
    bridge = Bridge(quick, platform, ScriptedAgent(backend))
    async with running(bridge):
        async with bridge.runner._claiming:
            await bridge.intake.take(inbound(1))
            [claim] = await bridge.queue.claim(1, ["slack"])
            turn = (await bridge.queue.look(claim)).turn
            assert turn is not None
            await bridge.queue.begin(claim, turn, Checkpoint("c", {"phase": "sent"}))
            surface = platform.surface(HERE, person=turn.person, guard=unguarded)
            key = PartKey(turn.id, PartKind.TEXT)
            shown = await surface.post(key, "half of it", last=False, buttons=[Button("stop", "Stop", turn.id)])
            await bridge.queue.record_parts(claim, turn.id, [PartRecord(key.kind, key.index, shown, shown=10)])
            for attempt in range(1, 11):
                await bridge.queue.free_unheld({})
                [claim] = await bridge.queue.claim(1, ["slack"], suspects=attempt > 3)
                assert claim.attempts == attempt
            await bridge.queue.free_unheld({})
        bridge.runner.wake()
        await bridge.until_state("failed")
        assert await bridge.outcome() == ("failed", "gave_up")
        assert backend.asked == []
        half, notice = platform.messages
        assert (half.text, half.finished, half.buttons) == ("half of it", True, ())
        assert [button.label for button in notice.buttons] == ["Try again"]
        await bridge.press(notice.buttons[0])
        await bridge.until_state("failed", "done")
    assert platform.texts()[-1] == "all of it"
    assert backend.asked == [], "it goes on from the checkpoint: the agent had the question"


async def attempt_that_died(bridge: Bridge, platform: MemoryPlatform, *shown: str) -> None:
    """An attempt that asked, showed this and recorded nothing of it."""
    await bridge.intake.take(inbound(1))
    [claim] = await bridge.queue.claim(1, ["slack"])
    turn = (await bridge.queue.look(claim)).turn
    assert turn is not None
    await bridge.queue.begin(claim, turn, Checkpoint("c", {"phase": "sent"}))
    surface = platform.surface(HERE, person=turn.person, guard=unguarded)
    for index, text in enumerate(shown):
        stop = [Button("stop", "Stop", turn.id)] if index == len(shown) - 1 else []
        await surface.post(PartKey(turn.id, PartKind.TEXT, index), text, last=not stop, buttons=stop)
    await bridge.queue.free_unheld({})


async def test_what_was_shown_stands_where_nobody_knows_how_it_went_on(
    quick: Database, platform: MemoryPlatform
) -> None:
    bridge = Bridge(quick, platform, ScriptedAgent(Backend([Uncertain("it may have arrived")])))
    async with running(bridge):
        async with bridge.runner._claiming:
            await attempt_that_died(bridge, platform, "half of it")
        bridge.runner.wake()
        await bridge.until_state("waiting")
        half, notice = platform.messages
    assert (half.text, half.finished, half.buttons) == ("half of it", True, ())
    assert [button.label for button in notice.buttons] == ["Send it again", "Leave it"]


async def test_what_the_whole_answer_has_no_use_for_goes_though_nobody_recorded_it(
    quick: Database, platform: MemoryPlatform
) -> None:
    bridge = Bridge(quick, platform, ScriptedAgent(Backend([Text("short"), Done()])))
    async with running(bridge):
        async with bridge.runner._claiming:
            await attempt_that_died(bridge, platform, "a long beginning", "and more of it")
        bridge.runner.wake()
        await bridge.until_state("done")
    assert platform.texts() == ["short"]


async def test_a_turn_is_tried_ten_times(quick: Database, platform: MemoryPlatform) -> None:
    backend = Backend([Text("at last"), Done()])
    bridge = Bridge(quick, platform, ScriptedAgent(backend))
    async with running(bridge):
        async with bridge.runner._claiming:
            await bridge.intake.take(inbound(1))
            for attempt in range(1, 10):
                [claim] = await bridge.queue.claim(1, ["slack"], suspects=attempt > 3)
                assert claim.attempts == attempt
                await bridge.queue.free_unheld({})
        bridge.runner.wake()
        await bridge.until_state("done")
    assert platform.texts() == ["at last"]


async def test_what_nobody_thought_of_ends_neither_the_sweep_nor_the_marks_nor_the_process(
    quick: Database, platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.turns.runner.SWEEP", 0.01)
    monkeypatch.setattr("bridge.turns.marks.LOOK_EVERY", 0.01)
    async with running(Bridge(quick, platform, ScriptedAgent(Backend()))) as bridge:
        met = {"expire": 0, "marked_no_more": 0}

        def spoiled(name: str) -> Callable[..., Awaitable[object]]:
            async def raises(*_: object) -> object:
                met[name] += 1
                raise ValueError("a row that can't be read")

            return raises

        for name in met:
            monkeypatch.setattr(bridge.queue, name, spoiled(name))
        await eventually(lambda: min(met.values()) > 1)
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
