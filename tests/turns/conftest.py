"""A platform in memory, a database for what doesn't depend on its kind, and a runner that is always told."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.store.database import Database, database_url
from bridge.turns import runner
from tests.turns.world import MemoryPlatform


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is found by chance: a turn that nobody announced would wait for ever."""
    monkeypatch.setattr(runner, "LOOK_AGAIN", 10_000.0)


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


@pytest.fixture
def swept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A seat is given at once to what was sent again from outside."""
    monkeypatch.setattr("bridge.turns.runner.SWEEP", 0.1)
