"""The task that removes what is old never ends by itself, and nothing ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import pytest
from structlog.testing import capture_logs

from bridge.ops import retention
from bridge.store.engine import StoreUnavailable
from bridge.store.retention import Removed, Retention


class Sweeps:
    """An outage, a mistake, a sweep that removes something, then nothing any more."""

    def __init__(self) -> None:
        self.count = 0
        self.quiet = asyncio.Event()

    async def sweep(self, pause: Callable[[], Awaitable[None]]) -> Removed:
        self.count += 1
        await pause()
        if self.count == 1:
            raise StoreUnavailable("away")
        if self.count == 2:
            raise ValueError("a mistake")
        if self.count == 3:
            return Removed(turns=2)
        self.quiet.set()
        return Removed()


async def test_it_goes_on_after_an_outage_and_after_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_AFTER", "EVERY", "BETWEEN_BITES"):
        monkeypatch.setattr(retention, name, 0.0)
    sweeps = Sweeps()
    with capture_logs() as logs:
        task = asyncio.create_task(retention.sweep_for_ever(cast(Retention, sweeps)))
        await sweeps.quiet.wait()
        task.cancel()
        await asyncio.wait([task])
    assert [line["event"] for line in logs] == [
        "retention waits for the database", "retention failed", "old data removed",
    ]  # fmt: skip
    assert (logs[-1]["turns"], logs[-1]["threads"]) == (2, 0)
