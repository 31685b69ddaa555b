"""`threadbridge db encrypt`: all stored texts as the settings want them now: encrypted by the first key, or clear.

Goes through the tables in the order of their keys, a few rows at a time, while the bridge serves. A value is replaced
only where it is still the one that was read, so nothing that is written meanwhile is lost; and as each replacement is
whole by itself, it can be ended at any time and begun again.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlmodel import SQLModel

from bridge.cipher import WrongKey, id_of, is_encrypted
from bridge.store.database import Database
from bridge.store.encryption import NOTHING, Encryption
from bridge.store.engine import Engine, Op, Row, Statement, persist
from bridge.store.sqlite import BUSY_SECONDS
from bridge.store.tables import Words

ROWS = 200  # read at once
MAX_PASSES = 3  # over a table: what a bridge with other settings writes meanwhile would never end


@dataclass(slots=True)
class Progress:
    """Of one table, so far."""

    table: str
    rows: int  # when it began
    seen: int = 0
    replaced: int = 0  # values
    unreadable: Counter[str] = field(default_factory=Counter)  # values that stay as they are, by the reason
    left: int = 0  # values that a bridge with other settings goes on writing


class _Table:
    """The statements over one table that has encrypted columns."""

    def __init__(self, table: sa.Table) -> None:
        self.name = table.name
        self.key = list(table.primary_key.columns)
        self.words = [column for column in table.columns if isinstance(column.type, Words)]
        chosen = [sa.type_coerce(column, sa.Text).label(column.name) for column in self.words]
        rows = sa.select(*self.key, *chosen).order_by(*self.key).limit(sa.bindparam("most", type_=sa.BigInteger))
        after = sa.tuple_(*self.key) > sa.tuple_(*(self._bound(column, "after") for column in self.key))
        self.count = Statement(sa.select(sa.func.count()).select_from(table))
        self.first = Statement(rows)
        self.next = Statement(rows.where(after))
        self.replace = [
            Statement(
                sa.update(table)
                .where(
                    *(column == self._bound(column, "key") for column in self.key),
                    sa.type_coerce(words, sa.Text) == sa.bindparam("was", type_=sa.Text),
                )
                .values({words: sa.bindparam("becomes", type_=sa.Text)})
                .returning(self.key[0])
            )
            for words in self.words
        ]

    def values(self, row: Row, prefix: str) -> dict[str, Any]:
        return {f"{prefix}_{column.name}": value for column, value in zip(self.key, row, strict=False)}

    @staticmethod
    def _bound(column: sa.Column[Any], prefix: str) -> sa.BindParameter[Any]:
        return sa.bindparam(f"{prefix}_{column.name}", type_=column.type)


TABLES: Sequence[_Table] = [
    _Table(table)
    for table in SQLModel.metadata.sorted_tables
    if any(isinstance(column.type, Words) for column in table.columns)
]


async def reencrypt(database: Database, encryption: Encryption) -> AsyncIterator[Progress]:
    """Yields after each few rows, the same object for one table; at the end of each its last state. Then only the keys
    that are still needed are known as such. Waits out an outage of the database."""
    if encryption.encrypts:
        await database.add_key_id(encryption.key_ids[0])
    needed: set[str] = set()
    async with database.plain("encrypt") as engine:
        for table in TABLES:
            [[[rows]]] = await persist(partial(engine.run, Op(table.count, {})))
            progress = Progress(table.name, int(rows))
            for _ in range(MAX_PASSES):
                before, progress.seen = progress.replaced, 0
                progress.unreadable.clear()
                keys: set[str] = set()
                async for _ in _pass(engine, table, encryption, progress, keys):
                    yield progress
                progress.left = progress.replaced - before
                if not progress.left:
                    break
            needed |= keys
            yield progress
    await database.keep_key_ids(needed | set(encryption.key_ids[:1] if encryption.encrypts else ()))


async def _pass(
    engine: Engine, table: _Table, encryption: Encryption, progress: Progress, keys: set[str]
) -> AsyncIterator[None]:
    """Once over the table. `keys` gets the ids of those that encrypted what stays."""
    op = Op(table.first, {"most": ROWS})
    while True:
        [rows] = await persist(partial(engine.run, op))
        # Each row is a unit of its own: it waits for one turn's lock at most, and holds up one. SQLite commits them
        # together.
        ops = [found for row in rows if (found := _replacements(table, row, encryption, progress, keys))]
        for replaced in await asyncio.gather(*(persist(partial(engine.run, *one)) for one in ops)):
            progress.replaced += sum(map(len, replaced))
        progress.seen += len(rows)
        yield
        if len(rows) < ROWS:
            return
        op = Op(table.next, table.values(rows[-1], "after") | {"most": ROWS})


def _replacements(
    table: _Table, row: Row, encryption: Encryption, progress: Progress, keys: set[str]
) -> Sequence[Op]:
    ops: list[Op] = []
    stored_words = row[len(table.key) :]
    for column, statement, stored in zip(table.words, table.replace, stored_words, strict=True):
        if stored is None or stored in NOTHING:
            continue
        if is_encrypted(stored):
            keys.add(id_of(stored))
        try:
            becomes = encryption.restored(f"{table.name}.{column.name}", stored)
        except WrongKey as error:
            progress.unreadable[str(error)] += 1
            continue
        if becomes is not None:
            ops.append(Op(statement, table.values(row, "key") | {"was": stored, "becomes": becomes}))
    return ops


def tidy(path: str) -> bool:
    """Take out of a SQLite file, and of its log, what was replaced or deleted: until then its bytes are still there.
    False where somebody reads or writes all the time: it can be tried again."""
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
        try:
            connection.execute("PRAGMA secure_delete=ON")  # else new pages may have what memory had
            connection.execute("VACUUM")
            [busy, _, _] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError:
            return False
    return not busy
