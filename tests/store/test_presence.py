"""Replicas on a real PostgreSQL: the dead are buried soon, the frozen after the lease, the living never."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import psycopg
import pytest

from bridge.store import replicas
from bridge.store.presence import Alone
from bridge.store.replicas import Among
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.slow


class Watched(Among):
    """A replica that notes whom it takes for dead, and buries them so far as this table goes."""

    def __init__(self, conninfo: str, replica: str) -> None:
        super().__init__(conninfo, replica)
        self.buried: list[str] = []
        self.heard: list[str] = []

    async def bury(self, replicas: Sequence[str]) -> None:
        for replica in replicas:
            await self.end_sessions(replica)
            await self.leave(replica)
            self.buried.append(replica)


@asynccontextmanager
async def kept(url: str, name: str) -> AsyncIterator[Watched]:
    replica = Watched(url, name)
    task = asyncio.create_task(replica.keep(replica.bury, replica.heard.append))
    try:
        await replica.lease.until_sure()
        yield replica
    finally:
        task.cancel()
        await asyncio.wait([task])


async def beats(replica: Watched, count: int) -> None:
    """Wait for so many heartbeats."""
    for _ in range(count):
        confirmed = replica.lease._confirmed
        await eventually(lambda confirmed=confirmed: replica.lease._confirmed != confirmed)  # type: ignore[misc]


def sessions(url: str, name: str) -> list[int]:
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND datname = current_database()"
    with psycopg.connect(url, autocommit=True) as server:
        return [pid for (pid,) in server.execute(query, (f"threadbridge {name}",)).fetchall()]


def terminate(url: str, like: str = "threadbridge %") -> None:
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE %s AND datname = current_database() AND pid <> pg_backend_pid()",
            (like,),
        )


@pytest.fixture
def quick_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "TICK", 0.02)
    monkeypatch.setattr(replicas, "SILENT", 0.1)


@pytest.mark.usefixtures("quick_ticks")
async def test_who_died_is_buried_by_another_without_waiting_for_the_lease(postgres_url: str) -> None:
    async with kept(postgres_url, "alive") as alive:
        async with kept(postgres_url, "doomed") as doomed:
            await eventually(lambda: doomed.lease.sure)
            assert set(await alive.alive()) == {"alive", "doomed"}
        # Its task ends as at SIGKILL: without a word, and its connections with it.
        await eventually(lambda: alive.buried)
        assert alive.buried == ["doomed"]
        assert await alive.alive() == ["alive"]


@pytest.mark.usefixtures("quick_ticks")
async def test_who_is_frozen_is_buried_after_the_lease_and_its_sessions_ended(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = Watched(postgres_url, "frozen")
    async with await frozen._connect() as connection:
        await connection.execute("SELECT pg_advisory_lock(77)")
        await connection.execute(replicas._JOIN, {"id": "frozen", "lock": 77})
        async with kept(postgres_url, "alive") as alive:
            await alive._ask("UPDATE replica SET heartbeat_at = heartbeat_at - 5000000 WHERE id = 'frozen'", {})
            await beats(alive, 3)
            assert alive.buried == [], "it is silent, but its session lives"
            monkeypatch.setattr(replicas, "LEASE", 1.0)
            await eventually(lambda: alive.buried)
            assert alive.buried == ["frozen"]
            await eventually(lambda: not sessions(postgres_url, "frozen"))


@pytest.mark.usefixtures("quick_ticks")
async def test_after_a_loss_of_all_connections_nobody_buries_the_living(postgres_url: str) -> None:
    """All come back together, some later than others: for a while a free lock proves nothing."""
    async with kept(postgres_url, "one") as one, kept(postgres_url, "two") as two:
        for _ in range(3):
            before = sessions(postgres_url, "one") + sessions(postgres_url, "two")
            terminate(postgres_url)
            await eventually(
                lambda before=before: (  # type: ignore[misc]
                    len(now := sessions(postgres_url, "one") + sessions(postgres_url, "two")) >= 4
                    and not set(now) & set(before)
                )
            )
            await eventually(lambda: one.lease.sure and two.lease.sure)
        assert one.buried == two.buried == []
        assert set(await one.alive()) == {"one", "two"}


@pytest.mark.usefixtures("quick_ticks")
async def test_whose_session_ends_is_sure_of_nothing_until_it_has_joined_again(postgres_url: str) -> None:
    """Its lock is free from then on: others may take over long before the lease ends."""
    async with kept(postgres_url, "a") as one:
        await beats(one, 1)
        gaps = one.lease.gaps
        terminate(postgres_url)
        await eventually(lambda: one.lease.gaps > gaps)
        await one.lease.until_sure()


async def test_who_was_buried_alive_notices_and_joins_again(postgres_url: str) -> None:
    async with kept(postgres_url, "one") as one:
        gaps = one.lease.gaps
        await Watched(postgres_url, "two").leave("one")
        await eventually(lambda: one.lease.gaps > gaps and one.lease.sure)
        assert await one.alive() == ["one"]


@pytest.mark.usefixtures("quick_ticks")
async def test_what_is_announced_is_heard_by_all(postgres_url: str) -> None:
    async with kept(postgres_url, "one") as one, kept(postgres_url, "two") as two:
        await eventually(lambda: one.heard and two.heard)  # each looks for what it missed
        await one._ask("SELECT pg_notify('threadbridge', 'stop:7')", {})
        await eventually(lambda: "stop:7" in one.heard and "stop:7" in two.heard)


@pytest.mark.usefixtures("quick_ticks")
async def test_a_lock_that_somebody_waits_for_holds_up_no_heartbeat(postgres_url: str) -> None:
    """A replica that buries others does so beside its own heartbeat."""
    go_on = asyncio.Event()
    begun = asyncio.Event()

    async def stuck(replicas: Sequence[str]) -> None:
        begun.set()
        await go_on.wait()

    slow = Watched(postgres_url, "slow")  # alone: nobody buries before it
    task = asyncio.create_task(slow.keep(stuck, slow.heard.append))
    await slow.lease.until_sure()
    await slow._ask(replicas._JOIN, {"id": "dead", "lock": 88})
    await begun.wait()
    await beats(slow, 2)
    go_on.set()
    task.cancel()
    await asyncio.wait([task])


async def test_one_that_serves_alone_needs_nobody() -> None:
    alone = Alone("me")
    assert alone.lease.sure
    assert await alone.alive() == ["me"]
