"""A platform in memory, and a database for what doesn't depend on its kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.store.database import Database, create_engine, database_url
from tests.turns.world import MemoryPlatform


@pytest.fixture
def platform() -> MemoryPlatform:
    return MemoryPlatform()


@pytest.fixture
async def quick(tmp_path: Path) -> AsyncIterator[Database]:
    """SQLite alone, for what doesn't depend on the database's kind."""
    database = Database(create_engine(database_url(f"sqlite:///{tmp_path / 'quick.db'}")))
    await database.upgrade()
    yield database
    await database.close()
