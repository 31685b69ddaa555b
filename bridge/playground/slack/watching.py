"""Watchers of a workspace: each gets every change, through a queue of its own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from bridge.playground.slack.values import Change

WATCHER_QUEUE = 2_000  # changes a watcher may fall behind


class Watch(AsyncIterator[Change]):
    """The changes since `watch` was called. A watcher that falls `WATCHER_QUEUE` behind gets one `lost`."""

    def __init__(self, watchers: set[Watch]) -> None:
        self._watchers = watchers
        self._queue: deque[Change] = deque()
        self._more = asyncio.Event()
        watchers.add(self)

    def put(self, change: Change) -> None:
        if len(self._queue) >= WATCHER_QUEUE:
            self._queue.clear()
            change = Change("lost")
        self._queue.append(change)
        self._more.set()

    async def __anext__(self) -> Change:
        while not self._queue:
            if self not in self._watchers:
                raise StopAsyncIteration
            self._more.clear()
            await self._more.wait()
        return self._queue.popleft()

    def close(self) -> None:
        self._watchers.discard(self)
        self._more.set()
