"""The bridge in the world of a chaos run: its processes, connected, on a database of their own."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.databases import Postgres, Sqlite, postgres, sqlite
from tests.chaos.options import Options
from tests.chaos.replicas import Replica, command, running
from tests.chaos.world import World, make_world
from tests.e2e.running import as_toml
from tests.e2e.waiting import eventually
from tests.ports import free_port

CONNECTS_WITHIN = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Stage:
    world: World
    replicas: list[Replica]
    store: Postgres | Sqlite

    async def connected(self) -> None:
        """Return once every replica holds its sockets."""
        slack, sessions = self.world.slack.deliveries.connections, self.world.discord.gateway.sessions
        await eventually(
            lambda: (
                len(slack) >= len(self.replicas)
                and sum(session.link is not None for session in sessions.values()) >= len(self.replicas)
            ),
            CONNECTS_WITHIN,
        )


@asynccontextmanager
async def staged(options: Options, rooms: Sequence[str] = (), behind: float = 0.0) -> AsyncIterator[Stage]:
    async with contextlib.AsyncExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        folder.mkdir(parents=True, exist_ok=True)
        store: Postgres | Sqlite
        if options.database == "postgres":
            store = await stack.enter_async_context(postgres())
        else:
            store = await stack.enter_async_context(sqlite())
        world = await stack.enter_async_context(make_world(options.replicas, options.rate, rooms, behind))
        settings = []
        for number in range(options.replicas):
            port = free_port()
            settings.append((world.settings(number, await store.url(number), port), port))
        migration = folder / "migration.toml"
        migration.write_text(as_toml(settings[0][0]), encoding="utf-8")
        await command(migration, "db", "upgrade")
        replicas = await stack.enter_async_context(running(settings, folder))
        stage = Stage(world, replicas, store)
        await stage.connected()
        yield stage
