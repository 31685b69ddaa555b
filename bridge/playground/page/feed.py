"""The page's live feed: the whole state first, then every change, however slowly the page reads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Hashable, Mapping
from contextlib import suppress

from bridge.playground.page.views import ChangeView, News, PlatformView, TallyView

MAX_WAITING = 500  # changes kept for a slow page; beyond that it gets the whole state again
PAUSE = 0.05  # seconds between two bursts: growing texts come together, and still look alive
QUIET = 0.5  # seconds between two looks at the tally while turns may end without a change
RETRY = 500  # milliseconds after which a page connects again


Feed = AsyncGenerator[dict[str, str | int], None]


async def feed(platforms: Mapping[str, PlatformView], tally: Callable[[], TallyView], over: asyncio.Event) -> Feed:
    """Server-sent events for one page, until it goes or all is `over`."""
    waiting = _Waiting(platforms)
    watching = [asyncio.create_task(waiting.watch(platform)) for platform in platforms.values()]
    watching.append(asyncio.create_task(waiting.end_with(over)))
    told: TallyView | None = None
    try:
        await asyncio.sleep(0)  # they watch before the state is read, so that nothing falls between
        while not over.is_set():
            for change in waiting.take():
                yield {"data": json.dumps(change), "retry": RETRY}
            if (now := tally()) != told:
                told = now
                yield {"data": json.dumps({"tally": now})}
            await asyncio.sleep(PAUSE)
            at_work = now["written"] + now["repeated"] > now["replied"]
            await waiting.any(QUIET if at_work else None)
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)


class _Waiting:
    """What the page hasn't been told yet; the newest of each key."""

    def __init__(self, platforms: Mapping[str, PlatformView]) -> None:
        self._platforms = platforms
        self._news: dict[Hashable, News] = {}
        self._arrived = asyncio.Event()
        self._begin_anew()

    async def watch(self, platform: PlatformView) -> None:
        async for news in platform.changes():
            self._news[news.key] = news
            if len(self._news) > MAX_WAITING:
                self._begin_anew()
            self._arrived.set()

    async def end_with(self, over: asyncio.Event) -> None:
        await over.wait()
        self._arrived.set()

    def take(self) -> list[ChangeView]:
        news, self._news = self._news, {}
        self._arrived.clear()
        return [view for view in (one.view() for one in news.values()) if view is not None]

    async def any(self, within: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._arrived.wait()

    def _begin_anew(self) -> None:
        self._news = {}
        for name, platform in self._platforms.items():
            self._news[name, "server"] = News((name, "server"), _whole(name, platform))


def _whole(name: str, platform: PlatformView) -> Callable[[], ChangeView]:
    return lambda: {"platform": name, "server": platform.server()}
