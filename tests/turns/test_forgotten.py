"""A person is forgotten while an agent works for them; and what people do stands in the audit log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlmodel import select
from structlog.testing import capture_logs

from adapters.base import Agent, Approval, Done, Rejected, Text
from bridge.commands import CommandName
from bridge.inbound import Person
from bridge.ops.forget import forget
from bridge.store.database import Database
from bridge.store.forget import Forgetting
from bridge.store.persons import Identity, belongings
from bridge.store.tables import Turn
from bridge.turns.inbox import Order, Press
from tests.e2e.waiting import eventually
from tests.turns.agents import Backend, ScriptedAgent
from tests.turns.process import Bridge, running
from tests.turns.world import HERE, MemoryPlatform, inbound

ANN = Identity("slack", "U1")
WORDS = "Zqquestionqz"


def no_agents(_: Sequence[str]) -> Any:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Mapping[str, Agent]]:
        yield {}

    return opened()


async def texts(database: Database) -> set[str]:
    async with database.transaction() as session:
        return {turn.text for turn in (await session.exec(select(Turn))).all()}


async def test_what_does_not_end_is_taken_away_and_nothing_of_it_is_written_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.turns.runner.SWEEP", 0.1)
    go_on = asyncio.Event()
    platform = MemoryPlatform()
    agent = ScriptedAgent(Backend([Text(f"You said {WORDS}. "), go_on.wait, Done("The end.")]))  # type: ignore[list-item]
    with capture_logs() as logs:
        async with running(Bridge(database, platform, agent)) as bridge:
            await bridge.intake.take(inbound(1, text=WORDS))
            await platform.until(lambda: any(WORDS in text for text in platform.texts()))
            await bridge.intake.take(inbound(2, text="of another", author="U2"))
            await bridge.intake.take(inbound(3, text=f"{WORDS} again"))
            report = await forget(database, ANN, no_agents, patience=0)
            assert (report.forgotten.turns, report.remains) == (2, [])
            assert "others asked" in report.notes[0]
            assert await texts(database) == {"of another"}
            go_on.set()
            await bridge.until_state("done")
            assert await texts(database) == {"of another"}
            assert not await bridge.intake.take(inbound(1, text=WORDS)), "delivered late"
            assert not await bridge.intake.take(inbound(3, text=WORDS))
    assert [text for text in agent.backend.asked if WORDS in text] == [WORDS], "never twice"
    assert agent.backend.asked[-1].endswith("of another")
    assert WORDS not in str(logs)


async def test_a_turn_is_stopped_and_ends_by_itself_where_it_can(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.turns.runner.SWEEP", 0.01)
    go_on = asyncio.Event()
    platform = MemoryPlatform()
    agent = ScriptedAgent(Backend([Text("one "), go_on.wait, Done("two")]))  # type: ignore[list-item]
    async with running(Bridge(database, platform, agent)) as bridge:
        await bridge.intake.take(inbound(1, text=WORDS))
        await platform.until(lambda: any("one" in text for text in platform.texts()))
        forgetting = Forgetting(database, bridge.engine, ANN)
        stopping = asyncio.create_task(forgetting.stop(await belongings(database, ANN), patience=30))
        [turn] = await bridge.states()
        await eventually(lambda: bridge.runner._at_work[turn]._stopped)
        go_on.set()
        await stopping
        assert (await bridge.outcome())[0] == "cancelled"


async def test_an_agents_detail_may_quote_what_was_asked_and_stays_out_of_the_log(database: Database) -> None:
    refuses = ScriptedAgent(Backend([Rejected(f"400: can't read {WORDS}")]))
    with capture_logs() as logs:
        async with running(Bridge(database, MemoryPlatform(), refuses)) as bridge:
            await bridge.intake.take(inbound(1, text=WORDS))
            await bridge.until_state("failed")
            [record] = await bridge.ledger.turns(state=None, thread=None, limit=10)
            assert WORDS in (record.turn.detail or ""), "the operator finds it by `turns show`"
    assert WORDS not in str(logs)


async def test_what_people_decide_stands_in_the_audit_log(database: Database) -> None:
    ann = Person("U1", "Ann")

    def order(name: CommandName, argument: str = "") -> Order:
        return Order(name, ann, HERE, argument)

    go_on = asyncio.Event()
    script = [go_on.wait, Approval("pay", "5 EUR", ()), Done("done")]
    agent = ScriptedAgent(Backend(script))  # type: ignore[arg-type]
    async with running(Bridge(database, MemoryPlatform(), agent)) as bridge:
        await bridge.intake.take(inbound(1))
        await eventually(lambda: agent.backend.asked)
        go_on.set()
        await bridge.until_state("waiting")
        [asked] = await bridge.states()
        await bridge.intake.pressed(Press("approve", asked, ann, HERE, WORDS))
        await bridge.until_state("done")
        assert await bridge.intake.ordered(order("new"))
        assert await bridge.intake.ordered(order("agent", "research"))
        lines = await bridge.ledger.audit(since=None, limit=10)
    thread = f"thread {lines[0].about.split()[-1]}"
    assert [(line.who, line.what, line.about, line.detail) for line in reversed(lines)] == [
        ("slack:U1", "approved", asked, None),
        ("slack:U1", "conversation begun anew", thread, {"agent": "support"}),
        ("slack:U1", "agent changed", thread, {"from": "support", "to": "research"}),
    ]
    assert WORDS not in str(lines)


async def test_who_pressed_stop_stands_in_the_audit_log(database: Database) -> None:
    go_on = asyncio.Event()
    agent = ScriptedAgent(Backend([Text("one "), go_on.wait, Done("two")]))  # type: ignore[list-item]
    async with running(Bridge(database, MemoryPlatform(), agent)) as bridge:
        await bridge.intake.take(inbound(1))
        await eventually(lambda: agent.backend.asked)
        [turn] = await bridge.states()
        await bridge.intake.pressed(Press("stop", turn, Person("U1", "Ann"), HERE))
        go_on.set()
        await bridge.until_state("cancelled")
        [line] = await bridge.ledger.audit(since=None, limit=10)
    assert (line.who, line.what, line.about) == ("slack:U1", "turn stopped", turn)
