"""The database: its engine for SQLite and PostgreSQL, its migrations, its one lock."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from filelock import FileLock, Timeout
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

SQLITE_BUSY_SECONDS = 30  # how long a command beside the running bridge waits for its writes
POSTGRES_CONNECTIONS = 10  # a turn holds one for a few milliseconds only
# libpq's; without them a server that has vanished is waited for a quarter of an hour, and by cancelling too.
POSTGRES_TIMEOUTS = {
    "connect_timeout": 10,  # seconds
    "keepalives_idle": 15,  # seconds
    "keepalives_interval": 5,  # seconds
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
}


P = ParamSpec("P")
T = TypeVar("T")


class DatabaseError(Exception):
    """The database can't be used; `str(error)` is one sentence for the operator."""


def database_url(text: str) -> URL:
    """The asynchronous form of `sqlite:///file` or `postgresql://…`."""
    try:
        url = make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        raise DatabaseError("database_url isn't an address such as sqlite:///threadbridge.db") from None
    match url.get_backend_name():
        case "sqlite":
            return url.set(drivername="sqlite+aiosqlite")
        case "postgresql" | "postgres":
            return url.set(drivername="postgresql+psycopg")
        case other:
            raise DatabaseError(f"database_url names {other}; Threadbridge runs on sqlite and postgresql")


def create_engine(url: URL) -> AsyncEngine:
    # Parameters are what people wrote; an error in the log shows the statement alone.
    if url.get_backend_name() == "postgresql":
        return create_async_engine(
            url,
            pool_size=POSTGRES_CONNECTIONS,
            max_overflow=0,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={name: value for name, value in POSTGRES_TIMEOUTS.items() if name not in url.query},
        )
    # One connection, so that this process never waits for itself inside SQLite.
    engine = create_async_engine(
        url,
        hide_parameters=True,
        poolclass=sa.AsyncAdaptedQueuePool,
        pool_size=1,
        max_overflow=0,
        connect_args={"timeout": SQLITE_BUSY_SECONDS},
    )
    sa.event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    sa.event.listen(engine.sync_engine, "begin", _begin_immediate)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # BEGIN is ours, see below
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # what was acknowledged outlives a power cut
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_immediate(connection: sa.Connection) -> None:
    # A transaction that reads first and writes later would fail at once, not wait, when another process wrote
    # in between; taking the write lock at its start makes it wait.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def undisturbed(work: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """A transaction that was begun is finished, even if who asked for it is cancelled.

    Cancelled half-way, the driver gives the connection up; SQLite's then stays open, and locks the file for all
    others until it is collected.
    """

    @functools.wraps(work)
    async def whole(*arguments: P.args, **named: P.kwargs) -> T:
        task = asyncio.ensure_future(work(*arguments, **named))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # seen: nobody is left to tell
            raise

    return whole


class Database:
    """Sessions on one engine."""

    def __init__(self, engine: AsyncEngine, *, exclusive: bool = False) -> None:
        self.engine = engine
        self.exclusive = exclusive  # no other process serves it

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        async with AsyncSession(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    async def upgrade(self) -> None:
        """Bring the tables to the newest migration."""
        async with self.engine.begin() as connection:
            await connection.run_sync(_migrate)

    async def revision(self) -> tuple[str | None, str]:
        """The migration that the database has, and the newest there is."""
        from alembic.runtime.migration import MigrationContext
        from alembic.script import ScriptDirectory

        async with self.engine.connect() as connection:
            current = await connection.run_sync(lambda c: MigrationContext.configure(c).get_current_revision())
        return current, ScriptDirectory.from_config(_alembic()).get_current_head() or ""

    async def close(self) -> None:
        await self.engine.dispose()


@asynccontextmanager
async def open_database(url: str, *, serve: bool = False, create: bool = False) -> AsyncIterator[Database]:
    """Open the database. A SQLite file that isn't there is made only to `serve`, or if told to `create`.

    With `serve` a SQLite file is locked for this process and brought up to date; PostgreSQL's migrations are an
    operator's step (`threadbridge db upgrade`), because other replicas may still run the older code.
    """
    parsed = database_url(url)
    if not (serve or create or _is_there(parsed)):
        raise DatabaseError(f"there is no {parsed.database} yet; `threadbridge run` makes it")
    lock = _lock(parsed) if serve else None
    database = Database(create_engine(parsed), exclusive=lock is not None)
    try:
        try:
            if serve and parsed.get_backend_name() == "sqlite":
                await database.upgrade()
            current, newest = await database.revision()
        except sa.exc.DBAPIError as error:
            reason = str(error.orig).strip().splitlines()[0] if error.orig else type(error).__name__
            raise DatabaseError(f"database_url: can't open {_without_query(parsed)}: {reason}") from error
        if serve and current != newest:
            raise DatabaseError("the database isn't up to date; run `threadbridge db upgrade`")
        yield database
    finally:
        await database.close()
        if lock is not None:
            lock.release()


def _is_there(url: URL) -> bool:
    return url.get_backend_name() != "sqlite" or Path(url.database or "").is_file()


def _without_query(url: URL) -> str:
    return url.set(query={}).render_as_string()  # a password may stand there too


def _lock(url: URL) -> FileLock | None:
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    path = Path(f"{url.database}.lock")
    if not path.parent.is_dir():
        raise DatabaseError(f"database_url: the folder {path.parent} doesn't exist")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise DatabaseError(
            f"another threadbridge already serves {url.database}; SQLite serves one process, PostgreSQL several"
        ) from None
    return lock


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(resources.files("bridge.store") / "migrations"))
    return config


def _migrate(connection: sa.Connection) -> None:
    config = _alembic()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
