"""Opening the database: its address, its migrations, its one lock, and the engines on it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog
from filelock import FileLock, Timeout
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from bridge.backoff import Backoff
from bridge.store import key_ids, migrate
from bridge.store.encrypted_engine import EncryptedEngine
from bridge.store.encryption import Encryption, apply
from bridge.store.engine import Engine
from bridge.store.presence import Alone, Presence
from bridge.store.sqlite import BUSY_SECONDS, SqliteEngine, prepare

START_PATIENCE = 10.0  # seconds that a server may take to answer when a replica starts: it may be starting, too
POSTGRES_CONNECTIONS = 2  # of what reads at leisure; the prepared statements have a pool of their own
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0  # seconds between two tries of that
OWNER_ONLY = 0o600  # mode of a SQLite file: it holds what people wrote

log = structlog.get_logger()


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
    """For migrations, and for what reads at leisure."""
    # Parameters are what people wrote; an error in the log shows the statement alone.
    if url.get_backend_name() == "postgresql":
        from bridge.store.postgres import TIMEOUTS  # an extra: whoever has SQLite needn't install it

        return create_async_engine(
            url,
            pool_size=POSTGRES_CONNECTIONS,
            max_overflow=0,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={name: value for name, value in TIMEOUTS.items() if name not in url.query},
        )
    engine = create_async_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_SECONDS})
    sa.event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    sa.event.listen(engine.sync_engine, "begin", _begin_immediate)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # BEGIN is ours, see below
    cursor = connection.cursor()
    prepare(cursor)
    cursor.close()


def _begin_immediate(connection: sa.Connection) -> None:
    # A transaction that reads first and writes later would fail at once, not wait, when another process wrote
    # in between; taking the write lock at its start makes it wait.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


class Database:
    """An open database. `exclusive`: no other process serves it; without an `encryption` nothing is looked at whether
    it is encrypted."""

    def __init__(self, url: URL, *, exclusive: bool = False, encryption: Encryption | None = None) -> None:
        self.url = url
        self.engine = create_engine(url)
        self.exclusive = exclusive
        self._encryption: Encryption | None = None
        self.use(encryption)

    def use(self, encryption: Encryption | None) -> None:
        """For all that is read and written from now on."""
        self._encryption = encryption
        if encryption is not None:
            apply(encryption, self.engine.dialect)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session of SQLModel, for what reads at leisure."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @asynccontextmanager
    async def prepared(self, replica: str) -> AsyncIterator[Engine]:
        """What the prepared statements run on, for one replica."""
        async with self.plain(replica) as engine:
            yield engine if self._encryption is None else EncryptedEngine(engine, self._encryption)

    @asynccontextmanager
    async def plain(self, replica: str) -> AsyncIterator[Engine]:
        """The same with values as they are stored, encrypted or not."""
        if self.url.get_backend_name() == "sqlite":
            sqlite = SqliteEngine(self.url.database or ":memory:")
            try:
                yield sqlite
            finally:
                await sqlite.close()
            return
        from bridge.store.postgres import PostgresEngine

        postgres = PostgresEngine(self._conninfo(), replica)
        await postgres.open()
        try:
            yield postgres
        finally:
            await postgres.close()

    def presence(self, replica: str) -> Presence:
        """How this replica and the others know of each other."""
        if self.url.get_backend_name() == "sqlite":
            return Alone(replica)
        from bridge.store.replicas import Among

        return Among(self._conninfo(), replica)

    async def upgrade(self) -> None:
        """Bring the tables to the newest revision. Raises `DatabaseError`."""
        try:
            async with self.engine.begin() as connection:
                await connection.run_sync(migrate.upgrade)
        except migrate.NewerDatabase as error:
            raise DatabaseError(f"database_url: {error}") from None

    async def revision(self) -> tuple[str | None, str]:
        """The revision that the database has, and the newest there is. Raises `DatabaseError`."""
        try:
            async with self.engine.connect() as connection:
                return await connection.run_sync(migrate.current), migrate.newest()
        except migrate.NewerDatabase as error:
            raise DatabaseError(f"database_url: {error}") from None

    async def key_ids(self) -> frozenset[str]:
        """Of the keys by which something here may be encrypted."""
        async with self.engine.connect() as connection:
            return await connection.run_sync(key_ids.read_ids)

    async def add_key_id(self, key: str) -> None:
        async with self.engine.begin() as connection:
            await connection.run_sync(key_ids.add_id, key)

    async def keep_key_ids(self, keys: Collection[str]) -> None:
        """Nothing here is encrypted by any other key."""
        async with self.engine.begin() as connection:
            await connection.run_sync(key_ids.keep_ids, keys)

    async def close(self) -> None:
        await self.engine.dispose()

    def _conninfo(self) -> str:
        return self.url.set(drivername="postgresql").render_as_string(hide_password=False)


@asynccontextmanager
async def open_database(
    url: str, *, serve: bool = False, create: bool = False, encryption: Encryption | None = None
) -> AsyncIterator[Database]:
    """Open the database. A SQLite file that isn't there is made only to `serve`, or if told to `create`.

    With `serve` a SQLite file is locked for this process and brought up to date; PostgreSQL's migrations are an
    operator's step (`threadbridge db upgrade`), because other replicas may still run the older code. A key by which
    something may be encrypted, and that `encryption` hasn't, is one line in the log then.

    :raises DatabaseError: it can't be used.
    """
    parsed = database_url(url)
    if not (serve or create or _is_there(parsed)):
        raise DatabaseError(f"there is no {parsed.database} yet; `threadbridge run` makes it")
    lock = _lock(parsed) if serve else None
    database = Database(parsed, exclusive=lock is not None)
    try:
        try:
            if serve or create:
                _make_file(parsed)
            patience = 0.0
            if serve and parsed.get_backend_name() == "sqlite":
                await database.upgrade()
            elif serve:
                patience = START_PATIENCE
            current, newest = await _answered(database, patience)
        except sa.exc.DBAPIError as error:
            raise DatabaseError(f"database_url: can't open {_without_query(parsed)}: {_reason(error)}") from error
        if serve and current != newest:
            raise DatabaseError("the database isn't up to date; run `threadbridge db upgrade`")
        if current == newest:
            await _use(database, encryption, serve=serve)
        yield database
    finally:
        await database.close()
        if lock is not None:
            lock.release()


async def _use(database: Database, encryption: Encryption | None, *, serve: bool) -> None:
    known = await database.key_ids()
    if encryption is not None and encryption.encrypts and serve and encryption.key_ids[0] not in known:
        await database.add_key_id(encryption.key_ids[0])  # before anything is encrypted by it
    if encryption is None and known:
        encryption = Encryption()  # else what is encrypted would be taken for what people wrote
    database.use(encryption)
    if serve and (missing := known - set(encryption.key_ids if encryption is not None else ())):
        log.error(
            "a key is missing: turns that it encrypted fail until it is in data.keys again",
            keys=sorted(missing),
        )


async def _answered(database: Database, patience: float) -> tuple[str | None, str]:
    """The revisions; a server that doesn't answer is asked again for so many seconds, whatever it is that it says."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience
    backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
    while True:
        try:
            return await database.revision()
        except sa.exc.OperationalError as error:
            pause = backoff.pause()
            if loop.time() + pause > give_up:
                raise
            log.warning("database can't be reached", error=_reason(error), again_in=round(pause, 1))
            await asyncio.sleep(pause)


def _reason(error: sa.exc.DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0] if error.orig else type(error).__name__


def _is_there(url: URL) -> bool:
    return url.get_backend_name() != "sqlite" or Path(url.database or "").is_file()


def _make_file(url: URL) -> None:
    """SQLite gives its companions the mode of the file."""
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return
    try:
        os.close(os.open(str(url.database), os.O_CREAT | os.O_RDWR, OWNER_ONLY))
    except OSError as error:
        raise DatabaseError(f"database_url: can't open {url.database}: {error.strerror}") from None


def _without_query(url: URL) -> str:
    return url.set(query={}).render_as_string()  # a password may stand there too


@contextmanager
def unserved(url: URL) -> Iterator[bool]:
    """Whether no process serves a SQLite file; then none begins to, while the block lasts. PostgreSQL's know of each
    other by `Database.presence`."""
    try:
        lock = _lock(url)
    except DatabaseError:
        yield False
        return
    try:
        yield True
    finally:
        if lock is not None:
            lock.release()


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
    except OSError as error:
        raise DatabaseError(f"database_url: can't lock {path}: {error.strerror}") from None
    return lock
