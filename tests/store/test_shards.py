"""Shards in the database: claimed once, kept by a token, counted together, begun in slots."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from bridge.sharding import Claimed, Session
from bridge.store.database import Database, database_url
from bridge.store.engine import Engine
from bridge.store.shards import Shards
from bridge.store.tables import ShardServer

APP = "1234"
SESSION = Session("s1", 41, "wss://gateway.example/", 513)


@pytest.fixture
def shards(engine: Engine) -> Shards:
    return Shards(engine, "replica-1")


@pytest.fixture
def other(engine: Engine) -> Shards:
    return Shards(engine, "replica-2")


async def claimed(shards: Shards, number: int = 0) -> Claimed:
    sharing = await shards.look(APP)
    found = await shards.claim(APP, sharing.count, next(one for one in sharing.shards if one.number == number))
    assert found is not None
    return found


async def test_the_agreed_count_is_laid_out(shards: Shards) -> None:
    assert await shards.agree(APP, 3, exact=False) == 3
    assert await shards.agree("5678", 2, exact=False) == 2
    sharing = await shards.look(APP)
    assert (sharing.count, list(sharing.servers)) == (3, ["replica-1"])
    assert sorted((one.number, one.owner) for one in sharing.shards) == [(0, None), (1, None), (2, None)]


async def test_more_are_agreed_on_and_fewer_only_if_said_exactly(shards: Shards, other: Shards) -> None:
    await shards.agree(APP, 2, exact=True)
    mine = await claimed(shards)
    assert await other.agree(APP, 1, exact=False) == 2
    assert await shards.keep(APP, mine, SESSION)
    assert await other.agree(APP, 4, exact=False) == 4
    assert not await shards.keep(APP, mine, SESSION), "of a count that isn't served any more"
    assert len((await shards.look(APP)).shards) == 4
    assert await other.agree(APP, 3, exact=True) == 3
    assert len((await shards.look(APP)).shards) == 3


async def test_two_counts_at_once_never_mix(database: Database) -> None:
    async with database.prepared("replica-1") as one, database.prepared("replica-2") as two:
        await asyncio.gather(
            *(Shards(one, "replica-1").agree(APP, 2 + count % 3, exact=True) for count in range(6)),
            *(Shards(two, "replica-2").agree(APP, 2 + count % 4, exact=True) for count in range(6)),
        )
        sharing = await Shards(one, "replica-1").look(APP)
    assert sorted(held.number for held in sharing.shards) == list(range(sharing.count))


async def test_a_shard_is_claimed_by_one(shards: Shards, other: Shards) -> None:
    await shards.agree(APP, 2, exact=False)
    sharing = await shards.look(APP)
    seen = sharing.shards[0]
    got = await asyncio.gather(shards.claim(APP, 2, seen), other.claim(APP, 2, seen))
    assert sum(one is not None for one in got) == 1


async def test_who_was_taken_over_stores_nothing(shards: Shards, other: Shards) -> None:
    await shards.agree(APP, 1, exact=False)
    mine = await claimed(shards)
    assert mine.session is None
    assert await shards.keep(APP, mine, SESSION)
    theirs = await claimed(other)
    assert theirs.session == SESSION, "whoever takes over goes on where it was heard"
    assert not await shards.keep(APP, mine, Session("s0", 7, "wss://elsewhere/", 513))
    assert not await shards.keep(APP, mine, None)
    await shards.give_back(APP, mine, None)
    assert await other.keep(APP, theirs, None)
    assert (await claimed(other)).session == SESSION


async def test_what_is_given_back_is_free_with_its_session(shards: Shards, other: Shards) -> None:
    await shards.agree(APP, 1, exact=False)
    mine = await claimed(shards)
    await shards.give_back(APP, mine, SESSION)
    await shards.leave(APP)
    sharing = await other.look(APP)
    assert (list(sharing.servers), sharing.shards[0].owner) == (["replica-2"], None)
    assert (await claimed(other)).session == SESSION


async def test_an_old_session_is_not_resumed(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    await shards.agree(APP, 1, exact=False)
    await shards.give_back(APP, await claimed(shards), SESSION)
    monkeypatch.setattr("bridge.store.shards.RESUMABLE_FOR", 0)
    assert (await claimed(shards)).session is None


async def test_sessions_begin_in_slots_of_their_bucket(shards: Shards, other: Shards) -> None:
    waits = await asyncio.gather(*(one.start_in(APP, 0, 5.0) for one in (shards, other, shards)))
    assert sorted(round(wait / 5) for wait in waits) == [0, 1, 2]
    assert await other.start_in(APP, 1, 5.0) == 0.0


async def test_who_died_without_a_word_is_forgotten_by_the_next_that_starts(postgres_url: str) -> None:
    database = Database(database_url(postgres_url))
    async with database.prepared("r1") as engine, database.engine.connect() as connection:
        await Shards(engine, "dead").agree(APP, 2, exact=False)
        await Shards(engine, "dead").look(APP)
        await Shards(engine, "replica-1").agree(APP, 2, exact=False)
        await Shards(engine, "replica-1").look(APP)
        rows = await connection.execute(sa.select(ShardServer.__table__))  # type: ignore[attr-defined]
        assert [tuple(row) for row in rows] == [(APP, "replica-1")]
    await database.close()
