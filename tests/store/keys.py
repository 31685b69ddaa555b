"""Keys and what is stored with them, for tests."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import SecretStr

from bridge.store.database import Database
from bridge.store.encryption import Encryption


def key(number: int) -> SecretStr:
    return SecretStr(base64.b64encode(bytes([number]) * 32).decode())


def encrypting(*numbers: int) -> Encryption:
    return Encryption([key(number) for number in numbers], encrypts=True)


def reading(*numbers: int) -> Encryption:
    """With keys, and clear from now on."""
    return Encryption([key(number) for number in numbers])


def bytes_of(path: Path) -> bytes:
    """Of a SQLite file and its log."""
    return b"".join(one.read_bytes() for one in (path, Path(f"{path}-wal")) if one.exists())


async def stored(database: Database, column: str, table: str = "turn") -> list[Any]:
    """As it stands in the database, without a key."""
    async with database.engine.connect() as connection:
        rows = await connection.execute(sa.text(f'SELECT "{column}" FROM {table} ORDER BY 1'))
        return list(rows.scalars())
