"""Several replicas share the shards of one bot: everything is heard, and taken once, whatever becomes of a replica."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from adapters.testing.serving import serve
from bridge.frontends.discord import shards, unseen
from bridge.frontends.discord.app import DiscordFrontEnd
from bridge.frontends.discord.settings import DiscordReactions
from bridge.inbound import Address, Inbound, Person
from bridge.playground.discord import DiscordWorld, Guild, Times, create_app
from bridge.sharding import shard_of
from bridge.store.database import Database, database_url
from bridge.store.shards import Shards
from bridge.turns.surface import ConfigurationError, Gone, PartKey, PartKind, Unreachable
from tests.frontends.discord.running import MemoryInbox, eventually, settings_for
from tests.turns.world import unguarded

pytestmark = pytest.mark.slow

COUNT = 4
FIRST, SECOND, THIRD = (PartKey(f"{number:016}", PartKind.TEXT) for number in range(3))


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "LOOK", 0.02)
    monkeypatch.setattr(shards, "APART", 0.06)
    monkeypatch.setattr(shards, "END_WITHIN", 0.2)
    monkeypatch.setattr(unseen, "FIRST_PAUSE", 0.01)


@pytest.fixture
async def world() -> DiscordWorld:
    """With a server on each of four shards, which has a channel of its number's name."""
    world = DiscordWorld(shards=COUNT, times=Times(between_starts=0.05))
    found = {shard_of(world.guild.id, COUNT): world.guild}
    world.add_channel(world.guild, room(shard_of(world.guild.id, COUNT)))
    while len(found) < COUNT:
        if (number := shard_of(world.take_id(), COUNT)) not in found:
            guild = world.add_guild(f"Server {number}")
            if (number := shard_of(guild.id, COUNT)) not in found:
                found[number] = guild
                world.add_channel(guild, room(number))
        await asyncio.sleep(0.0005)
    return world


def room(number: int) -> str:
    return f"room-{number}"


def guild_of(world: DiscordWorld, number: int) -> Guild:
    return world.guilds[world.place(room(number)).guild_id or 0]


class Desk(Shards):
    """Of a replica that can be cut off from the database."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.reached = asyncio.Event()
        self.reached.set()

    async def look(self, *args: Any) -> Any:
        await self.reached.wait()
        return await super().look(*args)

    async def keep(self, *args: Any) -> Any:
        await self.reached.wait()
        return await super().keep(*args)

    async def give_back(self, *args: Any) -> Any:
        await self.reached.wait()
        return await super().give_back(*args)


@dataclass
class Ears(MemoryInbox):
    """One replica's way into what all share."""

    heard: list[str] = field(default_factory=list)

    async def take(self, inbound: Inbound) -> bool:
        new = await super().take(inbound)
        if new:
            self.heard.append(inbound.text)
        return new


@dataclass
class Replica:
    name: str
    desk: Desk
    inbox: Ears
    front: DiscordFrontEnd
    task: asyncio.Task[None]

    @property
    def shards(self) -> set[int]:
        assert self.front._shards is not None
        return set(self.front._shards._shares)


@dataclass
class Cluster:
    """Replicas on one database, and what they took all together."""

    world: DiscordWorld
    url: str
    database: Database
    address: str
    setting: int
    stack: AsyncExitStack
    reactions: DiscordReactions = field(default_factory=DiscordReactions)
    all: MemoryInbox = field(default_factory=MemoryInbox)
    replicas: dict[str, Replica] = field(default_factory=dict)

    async def start(self, name: str) -> Replica:
        if self.url.startswith("postgresql"):
            self._execute("INSERT INTO replica (id, lock, started_at, heartbeat_at) VALUES (%s, 1, 0, 0)", name)
        engine = await self.stack.enter_async_context(self.database.prepared(name))
        inbox = Ears(turns=self.all.turns, known=self.all.known, edits=self.all.edits)
        settings = settings_for(self.address, self.world.token).model_copy(
            update={"shards": self.setting, "reactions": self.reactions}
        )
        desk = Desk(engine, name)
        front = DiscordFrontEnd(settings, inbox, desk=desk)
        task = asyncio.create_task(front.serve(), name=name)
        self.replicas[name] = Replica(name, desk, inbox, front, task)
        return self.replicas[name]

    async def kill(self, replica: Replica) -> None:
        """It stores nothing more, and the others find it dead."""
        replica.desk.reached.clear()
        await self.stop(replica)
        self.bury(replica)

    async def stop(self, replica: Replica) -> None:
        replica.task.cancel()
        await asyncio.wait([replica.task])
        del self.replicas[replica.name]

    def bury(self, replica: Replica) -> None:
        self._execute("DELETE FROM replica WHERE id = %s", replica.name)

    async def settled(self, *sizes: int) -> None:
        """Wait until the shards are shared out so, each is connected, and its session stored."""

        def is_settled() -> bool:
            fronts = [one.front for one in self.replicas.values()]
            if any(front._shards is None or front.trouble() is not None for front in fronts):
                return False
            if any(share.kept is None for front in fronts for share in front._shards._shares.values()):  # type: ignore[union-attr]
                return False
            shares = [one.shards for one in self.replicas.values()]
            return sorted(map(len, shares)) == sorted(sizes) and len(set().union(*shares)) == sum(sizes)

        await eventually(is_settled)

    async def say_everywhere(self, text: str) -> None:
        for number in range(COUNT):
            await self.world.say("ada", room(number), f"{self.world.mention} {text} {number}")

    async def taken_everywhere(self, text: str) -> None:
        expected = {f"{text} {number}" for number in range(COUNT)}
        await eventually(lambda: expected <= {turn.text for turn in self.all.turns})

    def once(self) -> None:
        counts = Counter(turn.text for turn in self.all.turns)
        assert set(counts.values()) == {1}

    def owner(self, number: int) -> Replica:
        return next(one for one in self.replicas.values() if number in one.shards)

    def _execute(self, query: str, name: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as server:
            server.execute(query, (name,))


@asynccontextmanager
async def gathered(world: DiscordWorld, url: str, *, setting: int = COUNT) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(serve(create_app(world)))
        database = Database(database_url(url))
        stack.push_async_callback(database.close)
        cluster = Cluster(world, url, database, address, setting, stack)
        try:
            yield cluster
        finally:
            for replica in list(cluster.replicas.values()):
                replica.desk.reached.set()
                await cluster.stop(replica)


@pytest.fixture
async def three(world: DiscordWorld, postgres_url: str) -> AsyncIterator[Cluster]:
    async with gathered(world, postgres_url) as cluster:
        for name in ("a", "b", "c"):
            await cluster.start(name)
        await cluster.settled(1, 1, 2)
        yield cluster


async def test_every_server_is_heard_by_one_replica(three: Cluster, world: DiscordWorld) -> None:
    await three.say_everywhere("hello")
    await world.say("ada", world.direct("ada").id, "psst")
    await three.taken_everywhere("hello")
    await eventually(lambda: "psst" in three.owner(0).inbox.heard)
    three.once()
    for number in range(COUNT):
        assert f"hello {number}" in three.owner(number).inbox.heard
    assert len(world.calls("PUT /applications/*/commands")) <= 1, "registered by the first shard's replica alone"


async def test_a_new_replica_gets_its_share_and_nothing_is_missed(world: DiscordWorld, postgres_url: str) -> None:
    async with gathered(world, postgres_url) as cluster:
        await cluster.start("a")
        await cluster.settled(4)
        begun = world.gateway.identified
        await cluster.say_everywhere("before")
        await cluster.start("b")
        for moment in range(10):  # some of it while a shard is on its way
            await cluster.say_everywhere(f"moving {moment}")
            await asyncio.sleep(0.01)
        await cluster.settled(2, 2)
        await cluster.say_everywhere("after")
        for text in ("before", *(f"moving {moment}" for moment in range(10)), "after"):
            await cluster.taken_everywhere(text)
        cluster.once()
        assert world.gateway.identified == begun == COUNT, "handed over, not begun anew"
        await cluster.stop(cluster.replicas["a"])
        await cluster.settled(4)
        await cluster.say_everywhere("alone")
        await cluster.taken_everywhere("alone")
        assert world.gateway.identified == COUNT


async def test_what_is_written_while_nobody_listens_is_taken_once_by_who_takes_over(
    three: Cluster, world: DiscordWorld
) -> None:
    await three.say_everywhere("before")
    await three.taken_everywhere("before")
    dead = next(one for one in three.replicas.values() if len(one.shards) == 2)
    number = min(dead.shards)
    asked = await world.say("ada", room(number), f"{world.mention} to be changed")
    await eventually(lambda: "to be changed" in dead.inbox.heard)
    await three.kill(dead)
    await three.say_everywhere("meanwhile")
    await world.edit("ada", room(number), asked, f"{world.mention} changed")
    await three.settled(2, 2)
    await three.say_everywhere("after")
    for text in ("meanwhile", "after"):
        await three.taken_everywhere(text)
    three.once()
    await eventually(lambda: any(text == "changed" for _, _, text in three.all.edits)), "replayed, not caught up"
    assert world.gateway.identified == COUNT


async def test_a_frozen_replica_that_wakes_neither_hears_nor_takes_the_session_back(
    three: Cluster, world: DiscordWorld
) -> None:
    frozen = next(one for one in three.replicas.values() if len(one.shards) == 2)
    lost = set(frozen.shards)
    frozen.desk.reached.clear()
    three.bury(frozen)
    others = [one for one in three.replicas.values() if one is not frozen]
    await eventually(lambda: lost <= set().union(*(one.shards for one in others)))
    await eventually(lambda: all(one.front.trouble() is None for one in others))
    resumed = world.gateway.resumed
    await three.say_everywhere("meanwhile")
    await three.taken_everywhere("meanwhile")
    assert not any(text.startswith("meanwhile") for text in frozen.inbox.heard)
    assert world.gateway.resumed == resumed, "it didn't ask for the session that another one has"
    frozen.desk.reached.set()
    await eventually(lambda: not frozen.shards)
    assert frozen.front.trouble() is None
    await three.say_everywhere("awake")
    await three.taken_everywhere("awake")
    three.once()
    # What it was delivered before it looked is known already.
    world.gateway.repeat_last()
    await three.say_everywhere("again")
    await three.taken_everywhere("again")
    three.once()


async def test_where_the_session_is_gone_only_that_shard_is_caught_up(three: Cluster, world: DiscordWorld) -> None:
    await three.say_everywhere("before")
    await three.taken_everywhere("before")
    dead = next(one for one in three.replicas.values() if len(one.shards) == 1)
    [number] = dead.shards
    begun = world.gateway.identified
    await three.kill(dead)
    world.gateway.refuse_resumes()
    read = len(world.calls("GET /channels/*/messages"))
    await three.say_everywhere("meanwhile")
    await three.settled(2, 2)
    await three.taken_everywhere("meanwhile")
    three.once()
    assert world.gateway.identified == begun + 1
    rooms = {call.path.split("/")[-2] for call in world.calls("GET /channels/*/messages")[read:]}
    here = {str(one.id) for one in world.channels_of(guild_of(world, number))}
    assert rooms
    assert rooms <= here


async def test_where_a_server_cannot_be_read_a_new_session_tells_of_all(
    three: Cluster, world: DiscordWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreachable(_client: object, _guild: int) -> None:
        raise Unreachable("read server")

    await three.say_everywhere("before")
    await three.taken_everywhere("before")
    begun = world.gateway.identified
    monkeypatch.setattr(unseen, "tell", unreachable)
    await three.kill(next(one for one in three.replicas.values() if len(one.shards) == 1))
    await three.say_everywhere("meanwhile")
    await three.taken_everywhere("meanwhile")
    three.once()
    assert world.gateway.identified == begun + 1


async def test_a_session_for_other_events_is_not_resumed(world: DiscordWorld, postgres_url: str) -> None:
    async with gathered(world, postgres_url) as cluster:
        await cluster.stop(await started(cluster, "a"))
        cluster.reactions = DiscordReactions(ask="👀")
        await started(cluster, "b")
        assert world.gateway.identified == 2 * COUNT


async def started(cluster: Cluster, name: str) -> Replica:
    """Alone."""
    replica = await cluster.start(name)
    await cluster.settled(COUNT)
    return replica


async def test_without_the_message_content_intent_each_shard_does_without(postgres_url: str) -> None:
    world = DiscordWorld(rate=None, shards=2, message_content=False)
    async with gathered(world, postgres_url, setting=2) as cluster:
        front = (await cluster.start("a")).front
        await cluster.settled(2)
        assert front.message_content is False


async def test_a_replica_writes_in_servers_that_it_does_not_hear(three: Cluster, world: DiscordWorld) -> None:
    replica = next(iter(three.replicas.values()))
    number = min(set(range(COUNT)) - replica.shards)
    guild = guild_of(world, number)
    asked = await world.say("ada", room(number), "a question")
    channel = str(world.place(room(number)).id)
    ada = Person(str(world.person("ada").id), "Ada")
    address = Address("discord", str(guild.id), channel, str(asked))
    surface = replica.front.surface(address, person=ada, guard=unguarded)
    await surface.post(FIRST, "an answer", last=True)
    assert world.messages(asked)[-1].content == "an answer"
    forum = world.add_forum(guild, "forum")
    post = await world.create_forum_post("ada", forum.id, "A post", "about this", tags=["question"])
    address = Address("discord", str(guild.id), str(forum.id), str(post))
    await replica.front.surface(address, person=ada, guard=unguarded).post(SECOND, "in the post", last=True)
    assert world.messages(post)[-1].content == "in the post"
    assert await replica.front.workspace(channel) == str(guild.id)
    with pytest.raises(Gone):
        await replica.front.workspace("7")
    opening = replica.front.opening(channel, "", guard=unguarded)
    assert await opening.locate() is None
    opened = await opening.open(await opening.post(THIRD, "unasked", "A title"), "A title")
    assert opened.workspace == str(guild.id)


async def test_in_direct_messages_the_roles_of_all_servers_count(three: Cluster, world: DiscordWorld) -> None:
    first = three.owner(0)
    served = first.front._shards._shares[0].served  # type: ignore[union-attr]
    role = world.add_role(guild_of(world, 3), "staff")
    world.give_role(guild_of(world, 3), "ada", role)
    direct = Address("discord", "", *[str(world.direct("ada").id)] * 2)
    person = await served.listeners._who_is(Person(str(world.person("ada").id), "Ada"), direct)
    assert str(role) in person.roles


async def test_more_shards_than_were_set_are_needed(world: DiscordWorld, postgres_url: str) -> None:
    async with gathered(world, postgres_url, setting=2) as cluster:
        world.guilds_a_shard = 0
        replica = await cluster.start("a")
        with pytest.raises(ConfigurationError, match="shards = 0"):
            await asyncio.wait_for(asyncio.shield(replica.task), 20)


async def test_as_many_as_discord_recommends_and_more_when_it_wants_more(
    world: DiscordWorld, postgres_url: str
) -> None:
    world.shards = 2
    async with gathered(world, postgres_url, setting=0) as cluster:
        await cluster.start("a")
        await cluster.start("b")
        await cluster.settled(1, 1)
        world.gateway.drop(4011)
        await eventually(lambda: {one.shard[1] for one in world.gateway.sessions.values() if one.link} == {3})
        await cluster.settled(1, 2)
        await cluster.say_everywhere("hello")
        await cluster.taken_everywhere("hello")
        cluster.once()


async def test_with_more_replicas_than_shards_one_stands_by_and_is_well(
    world: DiscordWorld, postgres_url: str
) -> None:
    async with gathered(world, postgres_url, setting=2) as cluster:
        for name in ("a", "b", "c"):
            await cluster.start(name)
        await cluster.settled(0, 1, 1)


async def test_one_process_serves_all_of_them(world: DiscordWorld, migrated_url: str) -> None:
    async with gathered(world, migrated_url) as cluster:
        await cluster.start("a")
        await cluster.settled(COUNT)
        await cluster.say_everywhere("hello")
        await cluster.taken_everywhere("hello")
        cluster.once()
        await cluster.stop(cluster.replicas["a"])
        await cluster.say_everywhere("meanwhile")
        await cluster.start("again")
        await cluster.settled(COUNT)
        await cluster.taken_everywhere("meanwhile")
        cluster.once()
        assert world.gateway.identified == COUNT, "a restart resumes"
