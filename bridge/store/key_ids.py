"""Which keys encrypted what a database holds: their ids stand in a table, so that a missing one is known at the start
and not at the first row that can't be read."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert  # spelled alike on SQLite

from bridge.store.tables import EncryptionKey, now, table_of

_key = table_of(EncryptionKey)


def read_ids(connection: sa.Connection) -> frozenset[str]:
    """Empty where the table isn't there yet, too."""
    if not sa.inspect(connection).has_table(_key.name):
        return frozenset()
    return frozenset(connection.execute(sa.select(_key.c.id)).scalars())


def add_id(connection: sa.Connection, key: str) -> None:
    connection.execute(insert(_key).values(id=key, since=now()).on_conflict_do_nothing())


def keep_ids(connection: sa.Connection, keys: Collection[str]) -> None:
    """Nothing is encrypted by any other key."""
    connection.execute(sa.delete(_key).where(_key.c.id.not_in(keys)))
