"""A turn whose key is gone ends with a sentence, in its own thread alone, and can be had once the key is back."""

from __future__ import annotations

import sqlalchemy as sa
from structlog.testing import capture_logs

from adapters.base import Done, InputRequest
from bridge.store.arrivals import Arrivals
from bridge.store.database import Database
from bridge.turns.turn import UNREADABLE
from tests.store.keys import encrypting
from tests.turns.agents import Backend, ScriptedAgent
from tests.turns.process import Bridge, running
from tests.turns.world import HERE, LATER, MemoryPlatform, inbound


async def store(database: Database, *texts: str, thread: str = HERE.thread) -> None:
    """By a process that ends before it asks."""
    async with database.prepared("r0") as engine:
        for number, text in enumerate(texts, 1):
            await Arrivals(engine).put(inbound(number, text, thread=thread), "support")


async def test_it_fails_with_a_sentence_and_nothing_else_does(
    database: Database, platform: MemoryPlatform
) -> None:
    database.use(encrypting(1))
    await store(database, "lost")
    database.use(encrypting(2))
    await store(database, "read", thread="200.0")
    backend = Backend()
    bridge = Bridge(database, platform, ScriptedAgent(backend))
    with capture_logs() as logs:
        async with running(bridge):
            await bridge.intake.take(inbound(2, "behind it"))
            await bridge.until_state("done", "failed")
    assert sorted(backend.asked) == ["behind it", "read"], "the agent is asked nothing that can't be read"
    assert await bridge.outcome("100.0-1") == ("failed", "unreadable")
    assert sorted(platform.texts()) == sorted([UNREADABLE, "answer to behind it", "answer to read"])
    [line] = [line for line in logs if line["event"] == "turn can't be read"]
    assert encrypting(1).key_ids[0] in line["reason"]
    records = await bridge.ledger.turns(state="failed", thread=None, limit=5)
    [failed] = [one.turn for one in records]
    assert line["turn"] == failed.id
    assert encrypting(1).key_ids[0] in (failed.detail or "")

    assert not await bridge.ledger.retry(failed.id), "as long as it can't be read"
    database.use(encrypting(2, 1))
    assert await bridge.ledger.retry(failed.id)
    async with running(bridge):
        await bridge.until_state("done", "failed")
    assert backend.asked[-1] == "lost"
    assert platform.texts()[-1] == "answer to lost"


async def test_a_stored_answer_is_delivered_once_the_key_is_back(
    database: Database, platform: MemoryPlatform
) -> None:
    """It isn't written over, and the agent isn't asked again."""
    database.use(encrypting(1))
    backend = Backend()
    down = Bridge(database, platform, ScriptedAgent(backend))
    async with running(down):
        await down.intake.take(inbound(1, "hello"))
        await down.until_state("done")
    [record] = await down.ledger.turns(state=None, thread=None, limit=5)
    await set_state(database, record.turn.id, "replying")
    database.use(encrypting(2))
    bridge = Bridge(database, platform, ScriptedAgent(backend))
    async with running(bridge):
        await bridge.until_state("failed")
    database.use(encrypting(2, 1))
    assert await bridge.ledger.retry(record.turn.id)
    async with running(bridge):
        await bridge.until_state("done")
    assert backend.asked == ["hello"]
    assert platform.texts()[0] == "answer to hello"


async def set_state(database: Database, turn: str, state: str) -> None:
    async with database.engine.begin() as connection:
        await connection.execute(
            sa.text("UPDATE turn SET state = :state WHERE id = :id"), {"state": state, "id": turn}
        )
        await connection.execute(sa.text("UPDATE thread SET state = 'ready', seat = 'U1'"))


async def test_an_answer_to_what_cant_be_read_any_more_asks_nothing(
    database: Database, platform: MemoryPlatform
) -> None:
    """Without its checkpoint the agent would take the answer for a question."""
    database.use(encrypting(1))
    backend = Backend(script=[InputRequest("which year?"), Done()])
    first = Bridge(database, platform, ScriptedAgent(backend))
    async with running(first):
        await first.intake.take(inbound(1, "a table"))
        await first.until_state("waiting")
    database.use(encrypting(2))
    bridge = Bridge(database, platform, ScriptedAgent(backend))
    async with running(bridge):
        await bridge.intake.take(inbound(LATER, "2024"))
        await bridge.until_state("waiting", "failed")
        assert backend.asked == ["a table"]
        assert platform.texts()[-1] == UNREADABLE
    database.use(encrypting(2, 1))
    backend.script = ()
    again = Bridge(database, platform, ScriptedAgent(backend))
    async with running(again):
        await again.intake.take(inbound(LATER + 1, "2025"))
        await again.until_state("done", "failed")
    assert backend.asked == ["a table", "2025"]
