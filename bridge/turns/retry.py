"""Calls to a platform that must get through: a 429 delays them, an outage is waited out."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from bridge.turns.surface import Throttled, Unreachable

FIRST_PAUSE = 0.5  # seconds after the first failure; doubled after each
LONGEST_PAUSE = 60.0
PATIENCE = 24 * 3600.0  # seconds; an outage longer than a day ends the turn

T = TypeVar("T")
log = structlog.get_logger()


async def retry(
    call: Callable[[], Awaitable[T]],
    *,
    ready: Callable[[], Awaitable[None]] | None = None,
    throttled: Callable[[float], None] | None = None,
    patience: float = PATIENCE,
) -> T:
    """Repeat `call` until it works. `ready` is awaited before each try and `throttled` told of each 429; without
    them the delay is slept here. Every other error is raised, and `Unreachable` once `patience` is spent."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience
    pause = FIRST_PAUSE
    while True:
        if ready is not None:
            await ready()
        try:
            return await call()
        except Throttled as error:
            log.info("platform throttles", retry_after=error.retry_after)
            if loop.time() + error.retry_after > give_up:
                raise
            if throttled is not None:
                throttled(error.retry_after)
            else:
                await asyncio.sleep(error.retry_after)
        except Unreachable as error:
            log.warning("platform can't be reached", error=str(error), pause=pause)
            if loop.time() + pause > give_up:
                raise
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
            pause = min(pause * 2, LONGEST_PAUSE)
