"""A copy of a SQLite database while it is served, and what follows when an older state was put back, on both."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.engine import URL
from sqlmodel import col, select

from bridge.lifecycle import Outcome, ThreadState, TurnState
from bridge.store import statements as sql
from bridge.store.audit import Deed, entry
from bridge.store.database import OWNER_ONLY, Database, DatabaseError
from bridge.store.engine import Engine, Op
from bridge.store.tables import Thread, Turn, now

WAIT = 30.0  # seconds for whoever has the file to himself
BEFORE_RESTORE = "the database was restored: it may have been answered after the backup"


async def back_up(url: URL, to: Path) -> None:
    """A whole copy, of one moment; nobody who writes waits for it. Raises `DatabaseError`."""
    await asyncio.to_thread(_back_up, url, to)


def _back_up(url: URL, to: Path) -> None:
    if to.exists():
        raise DatabaseError(f"{to} is there already; a backup doesn't replace one")
    unfinished = to.with_name(f"{to.name}.unfinished")
    try:
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_RDWR, OWNER_ONLY))
    except OSError as error:
        raise DatabaseError(f"{unfinished}: {error.strerror}") from None
    try:
        with closing(sqlite3.connect(str(url.database), timeout=WAIT, isolation_level=None)) as connection:
            connection.execute("VACUUM INTO ?", (str(unfinished),))
        with closing(sqlite3.connect(unfinished)) as copy:
            [[sound]] = copy.execute("PRAGMA quick_check(1)").fetchall()
        if sound != "ok":
            raise DatabaseError(f"the copy isn't sound: {sound}")
        _write_through(unfinished)
        unfinished.rename(to)
    except sqlite3.Error as error:
        raise DatabaseError(f"the database can't be copied: {error}") from None
    finally:
        with suppress(FileNotFoundError):
            unfinished.unlink()


def _write_through(path: Path) -> None:
    """What is said to be there outlives a power cut."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


async def after_restore(database: Database, engine: Engine, by: str) -> Sequence[str]:
    """The state is an older one: what people wrote before now isn't asked any more, and neither is what waited to be
    asked then, as it may have been asked after the backup. The ids of these turns: they count as failed, and can be
    retried one by one. What an agent was at work on goes on from its checkpoint, as after a crash.

    Nobody may serve the database meanwhile. May be repeated.
    """
    at = now()
    async with database.transaction() as session:
        waited = (await session.exec(select(Turn).where(col(Turn.state) == TurnState.RECEIVED))).all()
        for turn in waited:
            turn.state, turn.outcome = TurnState.FAILED, Outcome.GAVE_UP
            turn.detail, turn.ended_at = BEFORE_RESTORE, datetime.now(UTC)
            session.add(turn)
        at_rest = (ThreadState.QUEUED, ThreadState.READY)
        active = select(Turn.thread_id).where(col(Turn.state).in_([TurnState.ASKING, TurnState.REPLYING]))
        idle = select(Thread).where(col(Thread.state).in_(at_rest), col(Thread.id).not_in(active))
        for thread in (await session.exec(idle)).all():
            thread.state, thread.seat = ThreadState.IDLE, None
            session.add(thread)
        turns = [turn.id for turn in waited]
    await engine.run(
        Op(sql.PUT_RESTORED, {"at": at}), entry(by, Deed.RESTORED, detail={"turns_not_asked": len(turns)})
    )
    return turns


async def restored_at(engine: Engine) -> int:
    """The stored time of the last restore; 0 if there was none."""
    [[(at,)]] = await engine.run(Op(sql.RESTORED_AT, {}))
    return int(at or 0)
