"""The engine alone: what a turn costs beside an agent and a platform that do nothing.

    python tests/bench/bench_turns.py [--postgres URL] [--turns 1500] [--json FILE]

From `Intake.take` to the thread at rest, on an empty database and on one of 200,000 turns, 20,000 of them in the thread
that goes on. The floor is the bare work of the database in the same run: as many committed units of the same statements
a turn, one after another without a bridge around them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from secrets import token_hex

import sqlalchemy as sa
import structlog
from sqlmodel import col

sys.path.insert(0, str(Path(__file__).parents[2]))

from adapters.base import Checkpoint, Done, Event, Message, Text
from bridge.store.database import Database, database_url
from bridge.store.tables import Thread, Turn, now
from tests.turns.process import Bridge, running
from tests.turns.world import HERE, MemoryPlatform, inbound

AT_ONCE = 50  # threads
OLD_TURNS = 20_000  # in the thread that goes on
TABLE = 200_000  # turns


class Nothing:
    """An agent that answers at once."""

    async def ask(
        self, conversation: str | None, message: Message, *, resume: Checkpoint | None = None
    ) -> AsyncIterator[Event]:
        yield Checkpoint(conversation or "c")
        yield Text("ok")
        yield Done()


@dataclass(frozen=True)
class Figures:
    turns_a_second: float
    cpu_ms: float  # a turn, all threads of the process


async def measure(bridge: Bridge, turns: int, prefix: str) -> Figures:
    """Many threads at once, each with several turns in a row."""
    platform = bridge.platform
    before, wall, cpu = len(platform.messages), time.perf_counter(), time.process_time()

    async def person(thread: str) -> None:
        for number in range(turns // AT_ONCE):
            await bridge.intake.take(inbound(10**9 + number, thread=thread))

    await asyncio.gather(*(person(f"{prefix}{index}") for index in range(AT_ONCE)))
    await platform.until(lambda: len(platform.messages) - before >= turns)
    seconds, used = time.perf_counter() - wall, time.process_time() - cpu
    return Figures(turns / seconds, used / turns * 1000)


async def one_thread(bridge: Bridge, turns: int, start: int) -> Figures:
    platform = bridge.platform
    before, wall, cpu = len(platform.messages), time.perf_counter(), time.process_time()
    for number in range(turns):
        await bridge.intake.take(inbound(start + number, thread="long"))
    await platform.until(lambda: len(platform.messages) - before >= turns)
    seconds, used = time.perf_counter() - wall, time.process_time() - cpu
    return Figures(turns / seconds, used / turns * 1000)


async def fill(database: Database) -> None:
    """A table of finished turns, many of them in one thread."""
    async with database.engine.begin() as connection:
        at = now()
        thread = {
            "platform": HERE.platform, "workspace": HERE.workspace, "channel": HERE.channel, "direct": False,
            "agent": "support", "state": "idle", "token": 0, "attempts": 0, "ready_at": at, "person": "U1",
            "several": False, "newest": "1", "newest_position": 1, "touched_at": at, "created_at": at,
        }  # fmt: skip
        names = [f"old{number}" for number in range((TABLE - OLD_TURNS) // 20)]
        await connection.execute(sa.insert(Thread), [thread | {"thread": name} for name in names])
        by_age = sa.select(col(Thread.id)).order_by(col(Thread.thread) != "long", col(Thread.id))
        found = await connection.execute(by_age)
        ids = list(found.scalars())
        for begin in range(0, TABLE, 10_000):
            await connection.execute(
                sa.insert(Turn), [_old_turn(number, ids, at) for number in range(begin, begin + 10_000)]
            )


def _old_turn(number: int, threads: Sequence[int], at: int) -> dict[str, object]:
    thread = threads[0] if number < OLD_TURNS else threads[1 + number % (len(threads) - 1)]
    key = f"old:{number}"
    return {
        "id": f"{number:016x}", "thread_id": thread, "event_key": key, "message_key": key, "message_id": key,
        "position": number, "person": "U1", "person_name": "Ann", "person_workspace": "", "text": "an old question",
        "files": [], "direct": False, "mid_thread": False, "revision": 0, "state": "done", "stopped": False,
        "outcome": "answered", "answer": "an old answer " * 10, "received_at": at,
    }  # fmt: skip


async def run(url: str, turns: int) -> dict[str, Figures]:
    found: dict[str, Figures] = {}
    database = Database(database_url(url))
    await database.upgrade()
    async with running(Bridge(database, MemoryPlatform(), Nothing())) as bridge:
        await measure(bridge, AT_ONCE * 2, "warm")
        found["many threads, empty"] = await measure(bridge, turns, "a")
        found["one thread, empty"] = await one_thread(bridge, turns // 4, 10**9)
    await fill(database)
    async with running(Bridge(database, MemoryPlatform(), Nothing(), replica="r2")) as bridge:
        await measure(bridge, AT_ONCE * 2, "warm-again")
        found[f"many threads, {TABLE:,} turns in the table"] = await measure(bridge, turns, "b")
        found[f"one thread, {OLD_TURNS:,} turns in it"] = await one_thread(bridge, turns // 4, 2 * 10**9)
    await database.close()
    return found


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgres", help="the address of an empty server; a database is made in it")
    parser.add_argument("--turns", type=int, default=1_500)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    results: dict[str, dict[str, Figures]] = {}
    with tempfile.TemporaryDirectory() as folder:
        results["SQLite, synchronous=FULL"] = await run(f"sqlite:///{folder}/turns.db", options.turns)
    if options.postgres:
        results["PostgreSQL"] = await run(await _made(options.postgres), options.turns)
    print("| | turns/s | CPU a turn |\n|---|---:|---:|")
    for database, found in results.items():
        for name, figures in found.items():
            print(f"| {database}: {name} | {figures.turns_a_second:,.0f} | {figures.cpu_ms:.2f} ms |")
    if options.json:
        plain = {
            database: {name: asdict(one) for name, one in found.items()} for database, found in results.items()
        }
        options.json.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")


async def _made(server: str) -> str:
    import psycopg

    name = f"bench{token_hex(4)}"
    async with await psycopg.AsyncConnection.connect(server, autocommit=True) as connection:
        await connection.execute(f"CREATE DATABASE {name}")
    return server.replace("/postgres?", f"/{name}?")


if __name__ == "__main__":
    asyncio.run(main())
