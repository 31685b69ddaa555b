"""A platform in memory, and a database for what doesn't depend on its kind."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.store.database import Database, database_url
from tests.turns.world import MemoryPlatform


@pytest.fixture
def platform() -> MemoryPlatform:
    return MemoryPlatform()


@pytest.fixture
async def quick(migrated_sqlite: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """SQLite alone, for what doesn't depend on the database's kind."""
    path = tmp_path / "quick.db"
    shutil.copyfile(migrated_sqlite, path)
    database = Database(database_url(f"sqlite:///{path}"))
    yield database
    await database.close()
