"""After an outage of the database, what people wrote meanwhile and nobody could keep is fetched."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from bridge.turns.surface import FrontEnd

CATCH_UP_AFTER = 2.0  # seconds of an outage; a shorter one is waited out where it was met


class CatchingUp:
    """One look at a platform at a time."""

    def __init__(self, platforms: Collection[FrontEnd]) -> None:
        self._platforms = platforms
        self._wanted: set[str] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def after(self, seconds: float) -> None:
        if seconds < CATCH_UP_AFTER:
            return
        for platform in self._platforms:
            name = platform.platform
            self._wanted.add(name)  # while one is under way, what it has read already may have changed
            if name not in self._tasks:
                self._tasks[name] = asyncio.create_task(self._catch_up(platform), name=f"{name} catch-up")

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _catch_up(self, platform: FrontEnd) -> None:
        try:
            while platform.platform in self._wanted:
                self._wanted.discard(platform.platform)
                await platform.catch_up()
        finally:
            del self._tasks[platform.platform]
