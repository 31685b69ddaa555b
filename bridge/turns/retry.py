"""Calls to a platform that must get through: a 429 delays them, an outage is waited out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from bridge import metrics
from bridge.backoff import Backoff
from bridge.turns.surface import Throttled, Unreachable

FIRST_PAUSE = 0.5  # seconds after the first failure; doubled after each
LONGEST_PAUSE = 60.0
PATIENCE = 24 * 3600.0  # seconds; an outage longer than a day ends the turn

T = TypeVar("T")
log = structlog.get_logger()


async def retry(call: Callable[[], Awaitable[T]], *, patience: float = PATIENCE) -> T:
    """Repeat `call` until it works. Every other error is raised, and these two once `patience` (seconds) is spent."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience
    backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
    while True:
        try:
            return await call()
        except Throttled as error:
            pause = error.retry_after
            log.info("platform throttles", retry_after=error.retry_after)
            if loop.time() + pause > give_up:
                raise
            metrics.platform_retried("throttled")
        except Unreachable as error:
            pause = backoff.pause()
            log.warning("platform can't be reached", error=str(error), again_in=round(pause, 1))
            if loop.time() + pause > give_up:
                raise
            metrics.platform_retried("unreachable")
        await asyncio.sleep(pause)
