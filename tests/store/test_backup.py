"""A backup is whole, and what is restored from one asks nothing twice."""

from __future__ import annotations

import asyncio
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.base import Checkpoint
from bridge.inbound import Address
from bridge.lifecycle import TurnState
from bridge.store.arrivals import DISCORD_EPOCH, SNOWFLAKE_BITS, Arrivals
from bridge.store.backup import after_restore, back_up, restored_at
from bridge.store.database import Database, DatabaseError, database_url
from bridge.store.decisions import Decided, Decisions
from bridge.store.engine import Engine
from bridge.store.ledger import Ledger
from bridge.store.queue import Queue
from bridge.store.tables import now
from tests.store.kept import PG_DUMP, PG_RESTORE
from tests.store.steps import HERE, begin_next, claim_one, end, inbound, thread, work_off

STARTED = Checkpoint("conversation", {"asked": True})


async def copied(database: Database, url: str, tmp_path: Path) -> Path:
    """A backup, as the documents say how it is made."""
    copy = tmp_path / "backup"
    if url.startswith("sqlite"):
        await back_up(database.url, copy)
    else:
        await run(PG_DUMP, "--format=custom", "--file", copy, url)
    return copy


async def put_back(database: Database, url: str, copy: Path) -> None:
    await database.engine.dispose()
    if url.startswith("sqlite"):
        for companion in ("-wal", "-shm"):
            Path(f"{database.url.database}{companion}").unlink(missing_ok=True)
        shutil.copyfile(copy, str(database.url.database))
    else:
        await run(PG_RESTORE, "--clean", "--if-exists", "--single-transaction", "--dbname", url, copy)


async def run(*command: Path | str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0


@pytest.mark.slow
async def test_what_is_restored_goes_on_and_asks_nothing_twice(
    database: Database, migrated_url: str, tmp_path: Path
) -> None:
    """A thread at work, one that waits, one at rest when the backup is made; all of it, and more, is done after."""
    before = now()
    async with database.prepared("first") as engine:
        arrivals, queue = Arrivals(engine), Queue(engine, "first")
        await arrivals.put(inbound(1, position=before), "a")
        at_work = await claim_one(queue)
        asked = await begin_next(queue, at_work, STARTED)
        await arrivals.put(inbound(1, address=thread(7), position=before + 1), "a")
        copy = await copied(database, migrated_url, tmp_path)
        await end(queue, at_work, asked)
        await work_off(queue, await claim_one(queue))
        await arrivals.put(inbound(2, position=before + 2), "a")
        await work_off(queue, await claim_one(queue))
    await put_back(database, migrated_url, copy)

    async with database.prepared("second") as engine:
        turns = await after_restore(database, engine, "operator:ann")
        assert await after_restore(database, engine, "operator:ann") == []
        queue = Queue(engine, "second")
        arrivals = Arrivals(engine, restored_at=await restored_at(engine))
        for number, where, written in ((1, HERE, before), (1, thread(7), before + 1), (2, HERE, before + 2)):
            again = inbound(number, address=where, position=written)
            assert not await arrivals.put(again, "a"), "by catch-up, or late"
        await queue.free_all()
        claim = await claim_one(queue)
        outlook = await queue.look(claim)
        assert outlook.turn is not None
        assert (outlook.turn.id, outlook.turn.state) == (asked.id, TurnState.ASKING)
        assert outlook.turn.checkpoint == STARTED, "goes on from there, as after a crash"
        await end(queue, claim, outlook.turn)
        assert not await queue.claim(10, ("slack", "discord")), "what waited isn't asked by itself"
        assert await arrivals.put(inbound(3, position=now()), "a"), "what people write now is"
        [waited] = turns
        decided = await Decisions(engine).retry(thread(7), waited)
        assert decided is Decided.SENT, "an operator who has looked can have it asked"
        lines = await Ledger(database).audit(since=None, limit=10)
        assert [(one.who, one.what) for one in lines[-2:]] == [("operator:ann", "database restored")] * 2
        assert [one.detail for one in lines[-2:]] == [{"turns_not_asked": 0}, {"turns_not_asked": 1}]


@pytest.mark.parametrize("seconds", [-1, 1])
async def test_when_a_message_was_written_by_its_platforms_clock(engine: Engine, seconds: int) -> None:
    at = now()
    arrivals = Arrivals(engine, restored_at=at)
    written = at + seconds * 1_000_000
    discord = Address("discord", "1", "2", "3")
    snowflake = (written // 1_000 - DISCORD_EPOCH) << SNOWFLAKE_BITS
    assert await arrivals.put(inbound(1, position=written), "a") is (seconds > 0)
    assert await arrivals.put(inbound(2, address=discord, position=snowflake), "a") is (seconds > 0)
    by_reaction = inbound(3, address=replace(HERE, thread="9.0"), position=written, asked_with="U1")
    assert await arrivals.put(by_reaction, "a"), "a person wants to know of an old message now"


async def test_a_backup_is_its_owners_alone_and_replaces_nothing(migrated_sqlite: Path, tmp_path: Path) -> None:
    url = database_url(f"sqlite:///{migrated_sqlite}")
    to = tmp_path / "backup.db"
    await back_up(url, to)
    assert stat.S_IMODE(to.stat().st_mode) == 0o600
    with pytest.raises(DatabaseError, match="is there already"):
        await back_up(url, to)
    with pytest.raises(DatabaseError, match="No such file"):
        await back_up(url, tmp_path / "no" / "such")
    assert list(tmp_path.iterdir()) == [to]
