"""The "is typing" of a thread, kept up while an agent works and never for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from bridge.turns.surface import SurfaceError

log = structlog.get_logger()

REPEAT = 8.0  # seconds: Discord shows it for 10
TASK = "discord.typing"
LIMIT = 900.0  # seconds after the last sign of life: no turn is silent for longer


class TypingSign:
    """Calls `send` at once and again until stopped. `keep` gets the task, to cancel it when serving ends."""

    def __init__(self, send: Callable[[], Awaitable[None]], keep: Callable[[asyncio.Task[None]], None]) -> None:
        self._send = send
        self._keep = keep
        self._until = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Show it, for at most `LIMIT` seconds from now. Returns at once."""
        self._until = asyncio.get_running_loop().time() + LIMIT
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._repeat(), name=TASK)
            self._keep(self._task)

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _repeat(self) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < self._until:
            try:
                await self._send()
            except SurfaceError as error:
                log.info("discord.typing_failed", reason=str(error))
            await asyncio.sleep(REPEAT)
