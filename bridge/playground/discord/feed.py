"""Tells whoever watches the world what changes in it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from bridge.playground.discord.model import Change

MAX_WAITING = 1_000  # changes kept for a slow watcher

T = TypeVar("T")


class Watch(AsyncIterator[Change]):
    """The changes since it was made. One that falls `MAX_WAITING` behind gets `lost` for what it missed."""

    def __init__(self, watches: set[Watch]) -> None:
        self._watches = watches
        self._changes: deque[Change] = deque()
        self._arrived = asyncio.Event()
        watches.add(self)

    def put(self, change: Change) -> None:
        if len(self._changes) >= MAX_WAITING:
            self._changes.clear()
            change = Change("lost")
        self._changes.append(change)
        self._arrived.set()

    async def __anext__(self) -> Change:
        while not self._changes:
            if self not in self._watches:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._changes.popleft()

    def close(self) -> None:
        """End the watch; what it has seen can still be read."""
        self._watches.discard(self)
        self._arrived.set()


class Feed:
    """Holds the watchers, and those who wait for a condition."""

    def __init__(self) -> None:
        self._watches: set[Watch] = set()
        self._moved: set[asyncio.Event] = set()

    def watch(self) -> Watch:
        return Watch(self._watches)

    def publish(self, change: Change) -> None:
        for watch in self._watches:
            watch.put(change)
        self.stir()

    def stir(self) -> None:
        """Let everyone who waits for a condition look again."""
        for event in self._moved:
            event.set()

    async def until(self, condition: Callable[[], T | None], timeout: float) -> T:
        """Wait until the condition gives something true, and return that. Raises TimeoutError."""
        moved = asyncio.Event()
        self._moved.add(moved)
        try:
            async with asyncio.timeout(timeout):
                while not (value := condition()):
                    await moved.wait()
                    moved.clear()
                return value
        finally:
            self._moved.discard(moved)
