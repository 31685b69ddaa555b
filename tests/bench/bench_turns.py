"""How long a turn takes beside the agent and the platform, as a ratio to the bare database writes it needs.

    python tests/bench/bench_turns.py

The floor is the same number of committed transactions that a turn makes, each with one small insert, on the same
SQLite file settings in the same run.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa
import structlog

sys.path.insert(0, str(Path(__file__).parents[2]))

from bridge.store.database import Database, create_engine, database_url
from tests.turns.agents import Backend, ScriptedAgent
from tests.turns.process import Bridge, running
from tests.turns.world import MemoryPlatform, inbound

TURNS = 200


async def turns(folder: Path) -> tuple[float, float, float]:
    """Seconds a turn in one thread and in many threads at once, and the transactions of a turn."""
    database = Database(create_engine(database_url(f"sqlite:///{folder / 'turns.db'}")))
    await database.upgrade()
    begun = 0

    def count(_connection: sa.Connection) -> None:
        nonlocal begun
        begun += 1

    bridge = Bridge(database, MemoryPlatform(), ScriptedAgent(Backend()))
    async with running(bridge):
        sa.event.listen(database.engine.sync_engine, "begin", count)
        start = time.perf_counter()
        for number in range(TURNS):
            await bridge.intake.take(inbound(number))
        await bridge.platform.until(lambda: len(bridge.platform.messages) == TURNS)
        in_a_row = (time.perf_counter() - start) / TURNS
        made = begun / TURNS
        start = time.perf_counter()
        for number in range(TURNS):
            await bridge.intake.take(inbound(1, thread=f"t{number}"))
        await bridge.platform.until(lambda: len(bridge.platform.messages) == 2 * TURNS)
        at_once = (time.perf_counter() - start) / TURNS
    await database.close()
    return in_a_row, at_once, made


async def floor(folder: Path, transactions: int) -> float:
    """Seconds for the bare transactions of one turn."""
    engine = create_engine(database_url(f"sqlite:///{folder / 'floor.db'}"))
    async with engine.begin() as connection:
        await connection.execute(sa.text("CREATE TABLE row (id INTEGER PRIMARY KEY, text TEXT)"))
    start = time.perf_counter()
    for _ in range(TURNS):
        for _ in range(transactions):
            async with engine.begin() as connection:
                await connection.execute(sa.text("INSERT INTO row (text) VALUES ('a small row')"))
    seconds = (time.perf_counter() - start) / TURNS
    await engine.dispose()
    return seconds


async def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory() as folder:
        in_a_row, at_once, made = await turns(Path(folder))
        bare = await floor(Path(folder), round(made))
    print(f"transactions a turn    {made:6.1f}")
    print(f"floor, the bare writes {bare * 1000:6.2f} ms")
    print(f"a turn in one thread   {in_a_row * 1000:6.2f} ms, {in_a_row / bare:4.2f} times the floor")
    print(f"a turn of many threads {at_once * 1000:6.2f} ms, {at_once / bare:4.2f} times the floor")


if __name__ == "__main__":
    asyncio.run(main())
