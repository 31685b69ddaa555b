"""Waiting for a condition, never for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 60.0  # seconds that anything may take on a very busy machine; no measure of anything
LOOK = 0.003  # seconds between two looks


async def eventually(condition: Callable[[], T | None], within: float = PATIENCE) -> T:
    """What `condition` gives as soon as it is true. Raises `TimeoutError`."""
    async with asyncio.timeout(within):
        while not (found := condition()):  # noqa: ASYNC110
            await asyncio.sleep(LOOK)
    return found
