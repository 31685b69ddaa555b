"""The "is typing" of a thread, kept up while an agent works in silence and never for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from bridge.turns.surface import Fenced, SurfaceError

log = structlog.get_logger()

SIGN_AFTER = 0.25  # seconds: words that come sooner need no sign before them
REPEAT = 8.0  # seconds: Discord shows it for 10
TASK = "discord.typing"
LIMIT = 900.0  # seconds after the last sign of life: no turn is silent for longer


class TypingSign:
    """Calls `prepare` at once, and `send` after a moment and again until stopped; words are a sign themselves.
    `keep` gets the task, to cancel it when serving ends."""

    def __init__(
        self,
        prepare: Callable[[], Awaitable[object]],
        send: Callable[[], Awaitable[None]],
        keep: Callable[[asyncio.Task[None]], None],
    ) -> None:
        self._prepare = prepare
        self._send = send
        self._keep = keep
        self._until = 0.0
        self._due = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Show it, for at most `LIMIT` seconds from now. Returns at once."""
        now = asyncio.get_running_loop().time()
        self._until = now + LIMIT
        if self._task is None or self._task.done():
            self._due = max(self._due, now + SIGN_AFTER)
            self._task = asyncio.create_task(self._repeat(), name=TASK)
            self._keep(self._task)

    def words(self) -> None:
        """Words were shown: for a while nothing else is needed."""
        self._due = asyncio.get_running_loop().time() + REPEAT

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _repeat(self) -> None:
        loop = asyncio.get_running_loop()
        send: Callable[[], Awaitable[object]] = self._prepare
        while loop.time() < self._until:
            try:
                await send()
            except SurfaceError as error:
                log.info("discord.typing_failed", reason=str(error))
            except Fenced:
                return
            send = self._send
            while (pause := self._due - loop.time()) > 0:  # noqa: ASYNC110 - words move it on
                await asyncio.sleep(pause)
            self.words()
