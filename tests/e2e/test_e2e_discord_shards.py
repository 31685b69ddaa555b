"""Discord's shards among replicas that are processes of their own: killed and frozen, every question is answered
once."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from bridge.playground.discord import DiscordWorld
from bridge.settings import HttpSettings
from bridge.sharding import shard_of
from tests.chaos.replicas import Replica, running
from tests.e2e.town import Town
from tests.e2e.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

COUNT = 4
REPLICAS = 3
WITHIN = 60.0  # seconds for anything; a freeze shows after the lease


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def rooms(world: DiscordWorld) -> Mapping[int, int]:
    """A channel in a server of each shard."""
    found: dict[int, int] = {}
    while len(found) < COUNT:
        if shard_of(world.take_id(), COUNT) not in found:
            guild = world.add_guild("Another")
            found[shard_of(guild.id, COUNT)] = world.add_channel(guild, "room").id
        await asyncio.sleep(0.0005)
    return found


def owners(url: str) -> Mapping[int, str | None]:
    with psycopg.connect(url, autocommit=True) as server:
        return dict(server.execute("SELECT number, owner FROM shard WHERE session IS NOT NULL").fetchall())


def shares(url: str, replicas: list[Replica]) -> list[list[int]]:
    names = [re.search(r'"replica": "(\w+)"', one.log.read_text(encoding="utf-8")) for one in replicas]
    held = owners(url)
    return [[number for number, owner in held.items() if name and owner == name[1]] for name in names]


async def test_a_replica_is_killed_and_another_one_frozen(town: Town, postgres_url: str, tmp_path: Path) -> None:
    world = town.discord
    world.shards = world.max_concurrency = COUNT
    places = await rooms(world)
    asked: list[int] = []

    async def ask_everywhere(text: str) -> None:
        asked.extend([await world.say("ada", place, f"{world.mention} {text}") for place in places.values()])

    def answers(message: int) -> int:
        thread = world.channels.get(message)
        return (
            0
            if thread is None
            else sum(bool(one.content) and one.author.id == world.bot.id for one in thread.messages.values())
        )

    async def all_answered() -> None:
        await eventually(lambda: all(answers(message) for message in asked), WITHIN)
        twice = [message for message in asked if answers(message) != 1]
        assert not twice, [[one.content for one in world.messages(message)] for message in twice]

    whole = town.settings(tmp_path / "unused.db").model_copy(
        update={"slack": None, "routes": [], "database_url": SecretStr(postgres_url)}
    )
    ports = [free_port() for _ in range(REPLICAS)]
    settings = [(whole.model_copy(update={"http": HttpSettings(port=port)}), port) for port in ports]
    async with running(settings, tmp_path) as replicas:
        await eventually(lambda: sorted(map(len, shares(postgres_url, replicas))) == [1, 1, 2], WITHIN)
        await ask_everywhere("before")
        await all_answered()

        killed = max(replicas, key=lambda one: len(shares(postgres_url, [one])[0]))
        await killed.kill()
        await ask_everywhere("while one is dead")
        await all_answered()
        left = [one for one in replicas if one is not killed]
        await eventually(lambda: sorted(map(len, shares(postgres_url, left))) == [2, 2], WITHIN)
        assert world.gateway.identified <= COUNT + 1, "what it left was resumed"

        frozen, awake = left
        frozen.freeze()
        await ask_everywhere("while one is frozen")
        await all_answered()
        assert len(shares(postgres_url, [awake])[0]) == COUNT
        frozen.thaw()
        await ask_everywhere("awake again")
        await all_answered()
        await eventually(lambda: sorted(map(len, shares(postgres_url, left))) == [2, 2], WITHIN)
        await ask_everywhere("at last")
        await all_answered()
