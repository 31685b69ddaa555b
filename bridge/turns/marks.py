"""A message that waits, in a busy thread or for room, shows that it does, by a mark on it, until it is asked.

That it is marked is stored before it is, so that whoever asks it takes the mark away, after a crash or a fail-over,
too. Replies don't wait for any of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress

import structlog

from bridge.store.engine import StoreUnavailable
from bridge.store.queue import Queue
from bridge.store.values import Marked
from bridge.turns.surface import Surface

WAITS = 2.0  # seconds that a message waits before it shows it
LOOK_EVERY = 2.0  # seconds
AT_ONCE = 8  # marks of each kind in one look: Slack takes some 50 a minute
TRIES = 30  # of taking one away

log = structlog.get_logger()


class Marks:
    """`surfaces` are those of the turns at work here, by their threads; `made` gives one for a thread that nobody works
    on."""

    def __init__(
        self,
        queue: Queue,
        platforms: Collection[str],
        surfaces: Mapping[int, Surface],
        made: Callable[[Marked], Surface],
    ) -> None:
        self._queue = queue
        self._platforms = platforms
        self._surfaces = surfaces
        self._made = made
        self._changed = asyncio.Event()
        self._tried: dict[str, int] = {}

    def changed(self) -> None:
        """A message that is marked was asked."""
        self._changed.set()

    async def run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await self._changed.wait()
            self._changed.clear()
            try:
                await self._look()
            except StoreUnavailable:
                pass  # the next look does it
            except Exception:  # a mark must not end the process
                log.exception("marks failed")

    async def _look(self) -> None:
        """Taken away first, as that is what people wait for; one after the other for each message."""
        platforms = list(self._platforms)
        begun = await self._queue.marked_no_more(AT_ONCE, platforms)
        taken = await asyncio.gather(*(self._take_away(one) for one in begun))
        await self._queue.unmark([one.turn for one, done in zip(begun, taken, strict=True) if done])
        waiting = await self._queue.mark(WAITS, AT_ONCE, platforms) if self._surfaces else ()
        await asyncio.gather(*self._adding(waiting))
        await self._queue.mark_again([one.turn for one in waiting])

    def _adding(self, waiting: Iterable[Marked]) -> Iterable[asyncio.Task[bool]]:
        for one in waiting:
            surface = self._surfaces.get(one.thread) or self._made(one)
            yield asyncio.create_task(surface.mark_waiting(one.message_id, waits=True), name="waits")

    async def _take_away(self, one: Marked) -> bool:
        """Whether there is nothing left to do."""
        if one.withdrawn:  # the message is gone
            return True
        surface = self._surfaces.get(one.thread) or self._made(one)
        if await surface.mark_waiting(one.message_id, waits=False):
            self._tried.pop(one.turn, None)
            return True
        self._tried[one.turn] = self._tried.get(one.turn, 0) + 1
        if self._tried[one.turn] < TRIES:
            return False
        log.warning("a mark stays", turn=one.turn)
        del self._tried[one.turn]
        return True
