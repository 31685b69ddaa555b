"""The queue's, the intake's and the commands' own tests once more, with texts encrypted."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.store.database import Database, database_url
from tests.store.keys import encrypting
from tests.store.test_arrivals import *  # noqa: F403
from tests.store.test_desk import *  # noqa: F403
from tests.store.test_queue import *  # noqa: F403


@pytest.fixture
async def database(migrated_sqlite: Path, tmp_path: Path) -> AsyncIterator[Database]:
    path = tmp_path / "threadbridge.db"
    shutil.copyfile(migrated_sqlite, path)
    database = Database(database_url(f"sqlite:///{path}"), encryption=encrypting(2, 1))
    yield database
    await database.close()
