"""What was removed leaves the disk too: the files are written anew without it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlmodel import SQLModel

from bridge.store.database import Database
from bridge.store.sqlite import prepare

WAIT = 30.0  # seconds for whoever writes
WAIT_FOR_READERS = 10.0  # seconds, as one may hold the log of writes that is to be emptied


async def clean(database: Database, *, rewrite: bool = False) -> str:
    """Why something may still stand in the database's files; "" if nothing does. `rewrite`: PostgreSQL's tables are
    written anew, for which each is locked."""
    if database.url.get_backend_name() == "sqlite":
        return await asyncio.to_thread(_clean_sqlite, database.url)
    return await _clean_postgres(database, rewrite=rewrite)


def _clean_sqlite(url: URL) -> str:
    try:
        with closing(sqlite3.connect(str(url.database), timeout=WAIT, isolation_level=None)) as connection:
            prepare(connection)
            connection.execute("VACUUM")
            connection.execute(f"PRAGMA busy_timeout = {round(WAIT_FOR_READERS * 1000)}")
            busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not busy:
                return ""
    except sqlite3.Error as error:
        return f"the database file couldn't be written anew: {error}"
    return f"{url.database}-wal couldn't be emptied: somebody reads the database"


async def _clean_postgres(database: Database, *, rewrite: bool) -> str:
    how = "FULL, ANALYZE" if rewrite else "ANALYZE"
    try:
        async with database.engine.connect() as connection:
            plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await plain.execute(sa.text(f"SET lock_timeout = '{round(WAIT)}s'"))
            preparer = database.engine.dialect.identifier_preparer
            for table in SQLModel.metadata.sorted_tables:
                await plain.execute(sa.text(f"VACUUM ({how}) {preparer.format_table(table)}"))
            if rewrite:  # the planner's samples of what stood in the columns
                await plain.execute(sa.text("VACUUM (FULL) pg_catalog.pg_statistic"))
    except sa.exc.DBAPIError as error:
        said = str(error.orig).strip().splitlines()[0]
        return f"the tables couldn't be vacuumed: {said}"
    return ""
