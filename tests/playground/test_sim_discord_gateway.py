"""The simulated gateway: with the unmodified discord.py, and by hand where a client would never do it."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest

from bridge.playground.discord import DiscordWorld, Times
from tests.e2e.waiting import PATIENCE
from tests.playground.discord_client import Bot, discord, intents, running, served


@pytest.fixture
def world() -> DiscordWorld:
    return DiscordWorld(rate=None)


async def test_a_dropped_connection_is_resumed_and_nothing_is_missed(world: DiscordWorld) -> None:
    async with running(world) as bot:
        before = await world.say("ada", "general", "before")
        await bot.hears("before")
        world.gateway.drop()
        await world.until(lambda: not world.gateway.connected)
        missed = await world.say("ada", "general", "while away")
        await world.edit("ada", "general", missed, "while away, again")
        await bot.until(lambda: bot.edits)
        assert [message.id for message in bot.heard] == [before, missed]
        assert bot.edits[0].message.content == "while away, again"
    assert (world.gateway.identified, world.gateway.resumed) == (1, 1)


@pytest.mark.parametrize("code", [1000, 1012, 4000, 4009])
async def test_a_closed_connection_is_resumed(world: DiscordWorld, code: int) -> None:
    async with running(world) as bot:
        world.gateway.drop(code)
        await world.until(lambda: world.gateway.resumed == 1)
        await world.say("ada", "general", "hello")
        await bot.hears("hello")


async def test_op_7_makes_the_client_resume(world: DiscordWorld) -> None:
    async with running(world) as bot:
        world.gateway.ask_to_reconnect()
        await world.until(lambda: world.gateway.resumed == 1)
        await world.say("ada", "general", "hello")
        await bot.hears("hello")


@pytest.mark.parametrize("resumable", [True, False])
async def test_op_9_makes_the_client_resume_or_begin_anew(world: DiscordWorld, resumable: bool) -> None:
    async with running(world) as bot:
        world.gateway.invalidate(resumable=resumable)
        await world.say("ada", "general", "while away")
        await world.until(lambda: world.gateway.resumed + world.gateway.identified == 2)
        await bot.until(lambda: bot.events.count("GUILD_CREATE") == (1 if resumable else 2))
        await world.say("ada", "general", "hello")
        await bot.hears("hello")
        assert ("while away" in bot.texts) == resumable
    assert world.gateway.resumed == (1 if resumable else 0)


async def test_a_refused_resume_loses_what_was_missed(world: DiscordWorld) -> None:
    async with running(world) as bot:
        world.gateway.refuse_resumes()
        world.gateway.drop()
        await world.until(lambda: not world.gateway.connected)
        await world.say("ada", "general", "lost")
        await world.until(lambda: world.gateway.identified == 2)
        await bot.until(lambda: bot.events.count("GUILD_CREATE") == 2)
        await world.say("ada", "general", "hello")
        await bot.hears("hello")
        assert bot.texts == ["hello"]


async def test_a_silent_connection_is_noticed_and_resumed() -> None:
    world = DiscordWorld(rate=None, times=Times(heartbeat=0.05))
    async with running(world, Bot(intents(), heartbeat_timeout=0.2)) as bot:
        world.gateway.go_silent()
        await world.say("ada", "general", "unheard at first")
        await bot.hears("unheard at first")
    assert world.gateway.resumed


async def test_an_event_can_come_twice(world: DiscordWorld) -> None:
    async with running(world) as bot:
        await world.say("ada", "general", "hello")
        world.gateway.repeat_last()
        await bot.until(lambda: bot.texts == ["hello", "hello"])
        assert bot.heard[0].id == bot.heard[1].id


class ShardedBot(discord.AutoShardedClient):
    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Without the five seconds between two shards."""


async def test_a_guild_lies_on_one_shard() -> None:
    world = DiscordWorld(rate=None, shards=2)
    bot = ShardedBot(intents=intents(), guild_ready_timeout=0.02)
    heard: dict[str, int] = {}

    async def on_message(message: discord.Message) -> None:
        heard[message.content] = message.guild.shard_id if message.guild else 0
        world.stir()

    bot.event(on_message)
    async with served(world):
        serving = asyncio.create_task(bot.start(world.token))
        await world.until(lambda: world.gateway.identified == 2)
        await world.say("ada", "general", "hello")
        await world.say("ada", world.direct("ada").id, "psst")
        await world.until(lambda: len(heard) == 2)
        assert {session.shard for session in world.gateway.sessions.values()} == {(0, 2), (1, 2)}
        await bot.close()
        with suppress(asyncio.CancelledError):
            await serving
    assert heard == {"hello": (world.guild.id >> 22) % 2, "psst": 0}


async def test_a_session_is_resumed_by_another_connection_which_ends_the_first(world: DiscordWorld) -> None:
    async with served(world) as url, socket(url) as first, socket(url) as second:
        await first.send(2, identify(world))
        ready = await first.until("READY")
        await second.frame()
        resume = {"token": world.token, "session_id": ready["d"]["session_id"], "seq": ready["s"]}
        await second.send(6, resume)
        await second.until("RESUMED")
        assert await first.closed() == 4000
        await world.say("ada", "general", "hello")
        await second.until("MESSAGE_CREATE")


async def test_sessions_of_a_bucket_begin_one_after_another() -> None:
    now = 1_800_000_000.0
    world = DiscordWorld(clock=lambda: now, shards=4, max_concurrency=2)
    async with served(world) as url:

        async def begins(number: int) -> bool:
            async with socket(url) as gateway:
                await gateway.frame()
                await gateway.send(2, identify(world, shard=[number, 4]))
                return (await gateway.frame()).get("t") == "READY"

        assert [await begins(number) for number in (0, 1, 2, 3)] == [True, True, False, False]
        now += 5.0
        assert [await begins(number) for number in (2, 3)] == [True, True]
        assert world.gateway.starts == 996, "a refused one isn't counted"


async def test_a_shard_with_too_many_servers_is_refused(world: DiscordWorld) -> None:
    world.guilds_a_shard = 1
    world.add_guild("Other")
    async with served(world) as url:
        async with socket(url) as gateway:
            await gateway.send(2, identify(world))
            assert await gateway.closed() == 4011
        async with socket(url) as gateway:
            await gateway.send(2, identify(world, shard=[2, 2]))
            assert await gateway.closed() == 4010


# --- by hand -------------------------------------------------------------------------------------------------


class Socket:
    """A gateway connection that says what it is told to."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._inflate = zlib.decompressobj()

    async def send(self, op: int, data: object = None) -> None:
        await self._socket.send_json({"op": op, "d": data})

    async def send_text(self, text: str) -> None:
        await self._socket.send_str(text)

    async def frame(self) -> dict[str, Any]:
        message = await self._socket.receive(timeout=PATIENCE)
        if message.type is aiohttp.WSMsgType.BINARY:
            assert message.data.endswith(b"\x00\x00\xff\xff")
            found: dict[str, Any] = json.loads(self._inflate.decompress(message.data))
            return found
        assert message.type is aiohttp.WSMsgType.TEXT, message
        return dict(json.loads(message.data))

    async def until(self, event: str) -> dict[str, Any]:
        while (frame := await self.frame()).get("t") != event:
            pass
        return frame

    async def closed(self) -> int | None:
        while (message := await self._socket.receive(timeout=PATIENCE)).type in (
            aiohttp.WSMsgType.TEXT,
            aiohttp.WSMsgType.BINARY,
        ):
            pass
        assert message.type is aiohttp.WSMsgType.CLOSE
        return self._socket.close_code


@asynccontextmanager
async def socket(url: str, query: str = "v=10&encoding=json") -> AsyncIterator[Socket]:
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}/gateway/?{query}") as connection:
        yield Socket(connection)


def identify(world: DiscordWorld, **changed: object) -> dict[str, object]:
    return {"token": world.token, "intents": 1 | 1 << 9, "properties": {}} | changed


@pytest.mark.parametrize("compress", ["", "&compress=zlib-stream", "&compress=zstd-stream"])
async def test_hello_ready_guilds_and_heartbeats(world: DiscordWorld, compress: str) -> None:
    async with served(world) as url, socket(url, f"v=10&encoding=json{compress}") as gateway:
        hello = await gateway.frame()
        assert (hello["op"], hello["d"]["heartbeat_interval"]) == (10, 41250)
        await gateway.send(1)
        assert (await gateway.frame())["op"] == 11
        await gateway.send(2, identify(world))
        ready, guild = await gateway.frame(), await gateway.frame()
        assert (ready["t"], ready["s"], guild["t"], guild["s"]) == ("READY", 1, "GUILD_CREATE", 2)
        assert ready["d"]["guilds"] == [{"id": str(world.guild.id), "unavailable": True}]
        assert ready["d"]["resume_gateway_url"] == f"{url.replace('http', 'ws')}/gateway"


REFUSED: dict[str, tuple[int, list[tuple[int, object]]]] = {
    "unknown opcode": (4001, [(99, None)]),
    "events before identifying": (4003, [(8, {"guild_id": "1"})]),
    "wrong token": (4004, [(2, {"token": "other", "intents": 0})]),
    "wrong token to resume": (4004, [(6, {"token": "other", "session_id": "x", "seq": 1})]),
    "identified twice": (4005, [(2, {"intents": 0}), (2, {"intents": 0})]),
    "sequence that is no number": (4002, [(6, {"session_id": "x", "seq": "y"})]),
    "shard out of range": (4010, [(2, {"intents": 0, "shard": [2, 2]})]),
    "shard that is none": (4010, [(2, {"intents": 0, "shard": "x"})]),
    "no intents": (4013, [(2, {})]),
    "unknown intents": (4013, [(2, {"intents": 1 << 30})]),
    "members without their intent": (4014, [(2, {"intents": 1 << 1})]),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_closes_a_connection(world: DiscordWorld, name: str) -> None:
    code, frames = REFUSED[name]
    async with served(world) as url, socket(url) as gateway:
        for op, data in frames:
            await gateway.send(op, {"token": world.token} | data if isinstance(data, dict) else data)
        assert await gateway.closed() == code


@pytest.mark.parametrize("text", ["{", "[]", "1"])
async def test_what_is_no_frame_closes_the_connection(world: DiscordWorld, text: str) -> None:
    async with served(world) as url, socket(url) as gateway:
        await gateway.send_text(text)
        assert await gateway.closed() == 4002


async def test_sessions_are_counted_and_one_too_many_costs_the_token(world: DiscordWorld) -> None:
    token = world.token
    world.gateway.starts = 1
    async with served(world) as url:
        async with socket(url) as gateway, aiohttp.ClientSession() as session:
            await gateway.send(2, {"token": token, "intents": 0})
            await world.until(lambda: world.gateway.identified == 1)
            headers = {"Authorization": f"Bot {token}"}
            async with session.get(f"{url}/api/v10/gateway/bot", headers=headers) as answer:
                limit = (await answer.json())["session_start_limit"]
            assert (limit["total"], limit["remaining"]) == (1000, 0)
            assert 0 < limit["reset_after"] <= 86_400_000
        async with socket(url) as gateway:
            await gateway.send(2, {"token": token, "intents": 0})
            assert await gateway.closed() == 4004
    assert world.token != token


def test_after_a_day_there_are_sessions_again() -> None:
    now = 1_800_000_000.0
    world = DiscordWorld(clock=lambda: now)
    world.gateway.starts = 0
    now += 86_400
    assert world.gateway.count_start()
    assert world.gateway.starts == 999


async def test_another_version_is_refused(world: DiscordWorld) -> None:
    async with served(world) as url, socket(url, "v=6") as gateway:
        assert await gateway.closed() == 4012


async def test_a_client_that_talks_too_much_is_closed(world: DiscordWorld) -> None:
    async with served(world) as url, socket(url) as gateway:
        for _ in range(121):
            await gateway.send(1)
        assert await gateway.closed() == 4008


async def test_a_client_without_a_heartbeat_is_closed() -> None:
    world = DiscordWorld(times=Times(heartbeat=0.02))
    async with served(world) as url, socket(url) as gateway:
        assert await gateway.closed() == 4009


async def test_a_resume_replays_from_the_number_it_names(world: DiscordWorld) -> None:
    async with served(world) as url:
        async with socket(url) as gateway:
            await gateway.send(2, identify(world))
            ready = await gateway.until("READY")
            first = await world.say("ada", "general", "one")
            await gateway.until("MESSAGE_CREATE")
        await world.until(lambda: not world.gateway.sessions)  # a close with 1000 ends it
        async with socket(url) as gateway:
            await gateway.send(6, {"token": world.token, "session_id": ready["d"]["session_id"], "seq": 2})
            assert [(await gateway.frame())["op"], await gateway.frame()] == [
                10,
                {"op": 9, "d": False},
            ]
            await gateway.send(2, identify(world))
            ready = await gateway.until("READY")
            await world.say("ada", "general", "two")
            await gateway.until("MESSAGE_CREATE")
            world.gateway.drop(4000)
            assert await gateway.closed() == 4000
        async with socket(url) as gateway:
            await gateway.frame()
            await gateway.send(6, {"token": world.token, "session_id": ready["d"]["session_id"], "seq": 2})
            replayed, resumed = await gateway.frame(), await gateway.frame()
            assert (replayed["t"], replayed["s"], replayed["d"]["content"]) == ("MESSAGE_CREATE", 3, "")
            assert (resumed["t"], resumed["s"]) == ("RESUMED", 4)
    assert first in [message.id for message in world.messages("general")]


async def test_a_session_that_waited_too_long_or_missed_too_much_is_gone() -> None:
    now = 1_800_000_000.0
    world = DiscordWorld(rate=None, clock=lambda: now)
    async with served(world) as url:
        for cause in ("time", "events"):
            async with socket(url) as gateway:
                await gateway.send(2, identify(world))
                session = (await gateway.until("READY"))["d"]["session_id"]
                world.gateway.drop(4000)
                await world.until(lambda: not world.gateway.connected)
            now += 181 if cause == "time" else 0
            for _ in range(1001 if cause == "events" else 1):
                await world.type_in("ada", "general")
                await world.say("ada", "general", "x")
            async with socket(url) as gateway:
                await gateway.frame()
                await gateway.send(6, {"token": world.token, "session_id": session, "seq": 2})
                assert await gateway.frame() == {"op": 9, "d": False}


async def test_only_what_was_asked_for_is_sent(world: DiscordWorld) -> None:
    async with served(world) as url, socket(url) as gateway:
        await gateway.send(2, identify(world, intents=1 << 12))
        await gateway.until("READY")
        await world.say("ada", "general", "in the guild")
        await world.type_in("ada", world.direct("ada").id)
        await world.say("ada", world.direct("ada").id, "to you")
        frame = await gateway.frame()
        assert (frame["t"], frame["d"]["content"]) == ("MESSAGE_CREATE", "to you")
        assert "guild_id" not in frame["d"]
