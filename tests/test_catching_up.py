"""After an outage of the database both platforms are asked what was missed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from bridge.catching_up import CATCH_UP_AFTER, CatchingUp
from tests.e2e.waiting import eventually
from tests.turns.world import MemoryPlatform


@dataclass
class Slow(MemoryPlatform):
    """Each look ends when it is told to."""

    begun: int = 0
    go_on: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def catch_up(self) -> None:
        self.begun += 1
        await self.go_on.acquire()


async def test_a_short_outage_was_waited_out_where_it_was_met() -> None:
    platform = Slow()
    catching_up = CatchingUp([platform])
    catching_up.after(CATCH_UP_AFTER / 2)
    await asyncio.sleep(0)
    assert platform.begun == 0
    await catching_up.close()


async def test_outages_during_a_look_are_followed_by_one_more_look() -> None:
    """What it has read already may have changed; the other platform doesn't wait for it."""
    slow, other = Slow(), Slow(platform="discord")
    catching_up = CatchingUp([slow, other])
    catching_up.after(CATCH_UP_AFTER)
    await eventually(lambda: slow.begun == other.begun == 1)
    for _ in range(3):
        catching_up.after(CATCH_UP_AFTER)
    other.go_on.release()
    await eventually(lambda: other.begun == 2)
    assert slow.begun == 1
    for platform in (slow, slow, other):
        platform.go_on.release()
    await eventually(lambda: not catching_up._tasks)
    assert (slow.begun, other.begun) == (2, 2)
    await catching_up.close()
