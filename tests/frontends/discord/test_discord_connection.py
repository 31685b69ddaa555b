"""The connection to the gateway, through all that can become of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import discord
import pytest
from discord.backoff import ExponentialBackoff
from structlog.testing import capture_logs

from adapters.testing.serving import serve
from bridge.frontends.discord import app
from bridge.frontends.discord.app import DiscordFrontEnd
from bridge.playground.discord import DiscordWorld, Times, create_app
from bridge.turns.surface import ConfigurationError
from tests.frontends.discord.running import (
    PATIENCE,
    MemoryInbox,
    connected,
    eventually,
    ready,
    serving,
    settings_for,
)


@pytest.fixture
def identify_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Discord wants a pause before a second identify; the simulated one can do without."""

    async def no_pause(self: discord.Client, shard_id: int | None, *, initial: bool = False) -> None: ...

    monkeypatch.setattr(discord.Client, "before_identify_hook", no_pause)


async def asks_and_is_heard(world: DiscordWorld, inbox: MemoryInbox, text: str = "still there?") -> None:
    message = await world.say("ada", "general", f"{world.mention} {text}")
    await eventually(lambda: any(turn.message_id == str(message) for turn in inbox.turns))


async def test_before_it_serves_there_is_trouble(inbox: MemoryInbox) -> None:
    front = DiscordFrontEnd(settings_for("http://127.0.0.1:1", "abc"), inbox)
    assert front.platform == "discord"
    assert list(front.routes) == []
    assert front.trouble() == "not started"
    await front.downloads.close()


async def test_a_lost_socket_is_resumed_and_nothing_is_lost(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    world.gateway.drop()
    message = await world.say("ada", "general", f"{world.mention} said while away")
    await world.until(lambda: world.gateway.resumed)
    await eventually(lambda: inbox.turns)
    assert [turn.message_id for turn in inbox.turns] == [str(message)]
    await eventually(lambda: front.trouble() is None)
    assert world.gateway.identified == 1


async def test_a_request_to_reconnect_is_followed(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    world.gateway.ask_to_reconnect()
    await world.until(lambda: world.gateway.resumed)
    await asks_and_is_heard(world, inbox)


@pytest.mark.usefixtures("identify_at_once")
@pytest.mark.parametrize("how", ["invalidated", "resume refused", "closed for good"])
async def test_a_session_that_cannot_be_resumed_is_begun_anew(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd, how: str
) -> None:
    match how:
        case "invalidated":
            world.gateway.invalidate()
        case "resume refused":
            world.gateway.refuse_resumes()
            world.gateway.drop()
        case _:
            world.gateway.drop(1000)
            world.gateway.refuse_resumes()
    await world.until(lambda: world.gateway.identified == 2)
    await ready(front)
    await asks_and_is_heard(world, inbox)


@pytest.mark.usefixtures("identify_at_once")
async def test_a_parsers_mistake_does_not_silence_the_bot(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    with capture_logs() as logs:
        world.dispatch("MESSAGE_CREATE", {"no": "message"})
        await world.until(lambda: world.gateway.identified == 2)
    assert [log["error"] for log in logs if log["event"] == "discord.connection_failed"] == ["KeyError"]
    await ready(front)
    await asks_and_is_heard(world, inbox)


async def test_a_silent_gateway_is_left(inbox: MemoryInbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "SILENCE", 0.3)
    world = DiscordWorld(rate=None, times=Times(heartbeat=0.1))
    async with connected(world, inbox):
        world.gateway.go_silent()
        await world.until(lambda: world.gateway.resumed)
        await asks_and_is_heard(world, inbox)


async def test_after_a_long_outage_it_is_back_soon(
    world: DiscordWorld, inbox: MemoryInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ExponentialBackoff, "delay", lambda _: 1024.0)  # discord.py's longest pause, in seconds
    monkeypatch.setattr(app, "LONGEST_PAUSE", 0.01)
    async with serve(create_app(world)) as url:
        front = DiscordFrontEnd(settings_for(url, world.token), inbox)
        task = asyncio.create_task(front.serve())
        await ready(front)
    await eventually(front.trouble)
    async with serve(create_app(world), port=int(url.rpartition(":")[2])):
        await ready(front)
        await asks_and_is_heard(world, inbox)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_trouble_lasts_as_long_as_the_connection_is_gone(world: DiscordWorld, inbox: MemoryInbox) -> None:
    async with serve(create_app(world)) as url:
        front = DiscordFrontEnd(settings_for(url, world.token), inbox)
        task = asyncio.create_task(front.serve())
        await ready(front)
    await eventually(front.trouble)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert front.trouble() == "stopped"


async def test_it_starts_before_discord_can_be_reached(world: DiscordWorld, inbox: MemoryInbox) -> None:
    world.faults.break_down("GET /users/*", 503, times=2)
    async with connected(world, inbox):
        await asks_and_is_heard(world, inbox)


async def test_a_wrong_token_is_said_in_one_sentence(world: DiscordWorld, inbox: MemoryInbox) -> None:
    async with serve(create_app(world)) as url:
        front = DiscordFrontEnd(settings_for(url, "MTIz.wrong.token"), inbox)
        with pytest.raises(ConfigurationError) as raised:
            await asyncio.wait_for(front.serve(), PATIENCE)
    assert "[discord]" in str(raised.value)
    assert "DISCORD_TOKEN" in str(raised.value)
    assert "wrong" not in str(raised.value)


@pytest.mark.parametrize(("code", "words"), [(4004, "token"), (4011, "servers"), (4013, "intents")])
async def test_what_no_new_connection_mends_ends_it(
    world: DiscordWorld, inbox: MemoryInbox, code: int, words: str
) -> None:
    async with serve(create_app(world)) as url:
        front = DiscordFrontEnd(settings_for(url, world.token), inbox)
        task = asyncio.create_task(front.serve())
        await ready(front)
        world.gateway.drop(code)
        with pytest.raises(ConfigurationError, match=words):
            await asyncio.wait_for(task, PATIENCE)


class TestWithoutTheMessageContentIntent:
    @pytest.fixture
    def world(self) -> DiscordWorld:
        return DiscordWorld(rate=None, message_content=False)

    async def test_it_warns_once_and_serves_mentions_and_direct_messages(
        self, world: DiscordWorld, inbox: MemoryInbox
    ) -> None:
        with capture_logs() as logs:
            async with serving(world, inbox) as front:
                await ready(front)
                assert front.message_content is False
                await asks_and_is_heard(world, inbox, "hello")
                await world.say("ada", world.direct("ada").id, "and here?")
                await eventually(lambda: len(inbox.turns) == 2)
        assert [turn.text for turn in inbox.turns] == ["hello", "and here?"]
        warnings = [log for log in logs if log["event"] == "discord.no_message_content"]
        assert len(warnings) == 1
        assert "Message Content" in warnings[0]["mend"]

    async def test_what_it_cannot_read_it_leaves_alone(self, world: DiscordWorld, inbox: MemoryInbox) -> None:
        async with connected(world, inbox):
            root = await world.say("ada", "general", f"{world.mention} first")
            await eventually(lambda: inbox.turns)
            await world.open_thread("ada", "general", "asked", on=root)
            await world.say("ada", root, "second, without a mention")
            await asks_and_is_heard(world, inbox)
        assert [turn.text for turn in inbox.turns] == ["first", "still there?"]


@pytest.fixture(autouse=True)
def nothing_secret_is_logged() -> Iterator[None]:
    with capture_logs() as logs:
        yield
    assert_silent(logs)


def assert_silent(logs: list[Any]) -> None:
    assert not [log for log in logs if "simulated-discord-token" in str(log) or "still there" in str(log)]
