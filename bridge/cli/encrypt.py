"""`threadbridge db encrypt`: says how far it is, and what is left to do."""

from __future__ import annotations

import asyncio
from collections import Counter

from bridge.cli.output import aside, fail, write
from bridge.settings import Settings
from bridge.store.database import Database, open_database
from bridge.store.encryption import Encryption
from bridge.store.reencrypt import TABLES, Progress, reencrypt, tidy

TOLD = 10  # percent of a table between two lines


async def encrypt_stored(settings: Settings) -> None:
    """Exit 1 if a value can't be read, or if a bridge with other settings goes on writing."""
    encryption = settings.data.encryption or Encryption()
    async with open_database(settings.database_url.get_secret_value()) as database:
        current, newest = await database.revision()
        if current != newest:
            fail("the database isn't up to date; run `threadbridge db upgrade`")
        ends = await _rewrite(database, encryption)
        tidied = await _tidy(database) if any(end.replaced for end in ends.values()) else True
    left = sum(end.left for end in ends.values())
    unreadable = sum((end.unreadable for end in ends.values()), Counter[str]())
    for reason, count in unreadable.items():
        aside(f"{count} values stay as they are: {reason}")
    if left:
        aside("a bridge with other settings is writing: restart it with these, and run this again")
    if not tidied:
        aside("the file is in use all the time, so that old bytes are still in it: run this again")
    if unreadable or left or not tidied:
        raise SystemExit(1)
    how = f"encrypted by key {encryption.key_ids[0]}" if encryption.encrypts else "clear"
    write(f"all stored texts are {how}")


async def _rewrite(database: Database, encryption: Encryption) -> dict[str, Progress]:
    ends: dict[str, Progress] = {}
    told: dict[str, int] = {}
    async for progress in reencrypt(database, encryption):
        ends[progress.table] = progress
        percent = 100 if progress.seen >= progress.rows else progress.seen * 100 // progress.rows
        before = told.get(progress.table, 0)
        if percent >= before + TOLD or before < percent == 100:
            told[progress.table] = percent
            write(f"{progress.table}: {percent} %, {progress.replaced} values rewritten")
    assert len(ends) == len(TABLES)  # noqa: S101
    return ends


async def _tidy(database: Database) -> bool:
    if database.url.get_backend_name() == "sqlite":
        return await asyncio.to_thread(tidy, database.url.database or "")
    tables = ", ".join(table.name for table in TABLES)
    aside(
        f"PostgreSQL keeps the old rows until it has cleaned up: run VACUUM FULL {tables}, at a quiet time, as it locks"
        " them"
    )
    return True
