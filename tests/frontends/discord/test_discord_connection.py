"""The connection to the gateway, through all that can become of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import discord
import pytest
from structlog.testing import capture_logs

from adapters.testing.serving import serve
from bridge.backoff import Backoff
from bridge.frontends.discord import gateway, served
from bridge.frontends.discord.app import DiscordFrontEnd
from bridge.frontends.discord.gateway import Starts
from bridge.playground.discord import DiscordWorld, Guild, Times, create_app, payloads
from bridge.playground.discord.model import Json
from bridge.playground.discord.state import State
from bridge.turns.surface import ConfigurationError, PartKey, PartKind
from tests.frontends.discord.running import (
    PATIENCE,
    MemoryInbox,
    connected,
    eventually,
    ready,
    serving,
    settings_for,
)
from tests.turns.world import unguarded


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


@pytest.mark.parametrize(
    "event",
    [
        "MESSAGE_CREATE",
        "MESSAGE_UPDATE",
        "MESSAGE_DELETE",
        "GUILD_CREATE",
        "CHANNEL_UPDATE",
        "THREAD_CREATE",
        "THREAD_LIST_SYNC",
        "INTERACTION_CREATE",
        "TYPING_START",
        "SOMETHING_NEW",
    ],
)
@pytest.mark.parametrize("data", [{"guild_id": "7", "author": []}, [], None, "text"])
async def test_an_event_that_cannot_be_read_costs_that_event_and_no_other(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd, event: str, data: Any
) -> None:
    with capture_logs() as logs:
        before = await world.say("ada", "general", f"{world.mention} before")
        world.dispatch(event, data)
        after = await world.say("ada", "general", f"{world.mention} after")
        await eventually(lambda: len(inbox.turns) == 2)
    assert [turn.message_id for turn in inbox.turns] == [str(before), str(after)]
    assert (world.gateway.identified, world.gateway.resumed) == (1, 0)
    dropped = [log for log in logs if log["event"] == "discord.event_dropped"]
    assert {log["event_name"] for log in dropped} <= {event}
    if event == "MESSAGE_CREATE" and isinstance(data, dict):
        assert [(log["error"], log["guild_id"]) for log in dropped] == [("KeyError", "7")]


async def test_a_server_that_cannot_be_read_costs_no_connection_and_the_others_are_served(
    world: DiscordWorld, inbox: MemoryInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = world.add_guild("Other")
    elsewhere = world.add_channel(other, "elsewhere")
    whole = payloads.guild_create_json

    def broken(state: State, guild: Guild) -> Json:
        return whole(state, guild) if guild is not other else {"id": str(other.id), "channels": 7}

    monkeypatch.setattr(payloads, "guild_create_json", broken)
    async with connected(world, inbox) as front:
        await asks_and_is_heard(world, inbox)
        await world.say("ada", elsewhere.id, f"{world.mention} and here?")
        await eventually(lambda: any(turn.text == "and here?" for turn in inbox.turns))
        turn = inbox.turns[-1]
        surface = front.surface(turn.address, person=turn.person, guard=unguarded)
        await surface.post(PartKey("0123456789abcdef", PartKind.TEXT), "yes", last=True)
    assert world.gateway.identified == 1
    assert world.messages(turn.address.thread)[-1].content == "yes"


def break_frames(patch: pytest.MonkeyPatch, breaks: Callable[[Any], bool]) -> None:
    whole = discord.utils._from_json

    def read(text: str) -> Any:
        frame = whole(text)
        if isinstance(frame, dict) and frame.get("t") == "MESSAGE_CREATE" and breaks(frame):
            raise ValueError("no JSON")
        return frame

    patch.setattr(discord.utils, "_from_json", read)


async def test_a_frame_that_cannot_be_read_resumes_the_session(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = [True]
    break_frames(monkeypatch, lambda _: bool(broken and broken.pop()))
    await world.say("ada", "general", f"{world.mention} lost on the way")
    await world.until(lambda: world.gateway.resumed)
    await eventually(lambda: [turn.text for turn in inbox.turns] == ["lost on the way"])
    assert world.gateway.identified == 1


async def test_a_session_that_keeps_breaking_the_connection_is_given_up(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_frames(monkeypatch, lambda _: world.gateway.identified == 1)
    await world.say("ada", "general", f"{world.mention} never readable")
    await world.until(lambda: world.gateway.identified == 2)
    assert world.gateway.resumed == gateway.RESUME_TRIES - 1
    await asks_and_is_heard(world, inbox)


async def test_a_session_whose_beginning_cannot_be_read_is_not_resumed(
    world: DiscordWorld, inbox: MemoryInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = payloads.user_json
    monkeypatch.setattr(payloads, "user_json", lambda user: whole(user) if world.gateway.identified != 1 else {})
    async with serving(world, inbox) as front:
        await world.until(lambda: world.gateway.identified == 2)
        await ready(front)
        await asks_and_is_heard(world, inbox)
    assert world.gateway.resumed == 0


class TestSessionsLeft:
    async def test_the_last_ones_of_a_day_are_never_used(self, world: DiscordWorld, inbox: MemoryInbox) -> None:
        world.gateway.starts = gateway.KEPT_STARTS
        with capture_logs() as logs:
            async with serving(world, inbox) as front:
                await eventually(lambda: "no new session" in (front.trouble() or ""))
                assert world.gateway.identified == 0
        assert [log["remaining"] for log in logs if log["event"] == "discord.no_sessions_left"] == [10]

    async def test_they_are_waited_for(
        self, world: DiscordWorld, inbox: MemoryInbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(gateway, "LONGEST_LOOK", 0.01)
        world.gateway.starts = gateway.KEPT_STARTS
        async with serving(world, inbox) as front:
            await eventually(lambda: len(world.calls("GET /gateway/bot")) > 2)
            assert world.gateway.identified == 0
            world.gateway.starts = 1000
            await ready(front)

    async def test_where_it_cannot_be_asked_none_is_begun(self, world: DiscordWorld, inbox: MemoryInbox) -> None:
        world.faults.break_down("GET /gateway/bot", 503, times=3)
        async with connected(world, inbox):
            assert len(world.calls("GET /gateway/bot")) == 4
            assert world.gateway.identified == 1

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            ({"session_start_limit": {"remaining": 999, "reset_after": 3_600_000}}, 0.0),
            ({"session_start_limit": {"remaining": 50, "reset_after": 3_600_000}}, 72.0),
            ({"session_start_limit": {"remaining": 20, "reset_after": 0}}, 0.0),
        ],
    )
    def test_few_are_spread_over_the_time_until_there_are_more(self, answer: Any, expected: float) -> None:
        starts = Starts.read(answer)
        assert starts is not None
        assert not starts.spent
        assert starts.pause() == expected

    @pytest.mark.parametrize(
        "answer", [None, "<html>", [], {}, {"session_start_limit": {"remaining": "many", "reset_after": 1}}]
    )
    def test_any_other_answer_says_nothing(self, answer: Any) -> None:
        assert Starts.read(answer) is None


async def test_a_connection_that_lives_long_enough_is_followed_by_the_next_at_once(
    world: DiscordWorld, inbox: MemoryInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    class Noted(Backoff):
        def pause(self) -> float:
            pauses.append(0.0)
            return 0.0

        def reset(self) -> None:
            pauses.clear()

    monkeypatch.setattr(gateway, "Backoff", Noted)
    async with connected(world, inbox):
        world.gateway.drop()
        await world.until(lambda: world.gateway.resumed == 1)
        world.gateway.drop()
        await world.until(lambda: world.gateway.resumed == 2)
        assert len(pauses) == 2
        monkeypatch.setattr(gateway, "STEADY", 0.0)
        world.gateway.drop()
        await world.until(lambda: world.gateway.resumed == 3)
        assert pauses == []


async def test_a_silent_gateway_is_left(inbox: MemoryInbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "SILENCE", 0.3)
    world = DiscordWorld(rate=None, times=Times(heartbeat=0.1))
    async with connected(world, inbox):
        world.gateway.go_silent()
        await world.until(lambda: world.gateway.resumed)
        await asks_and_is_heard(world, inbox)


async def test_after_a_long_outage_it_is_back_soon(
    world: DiscordWorld, inbox: MemoryInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "LONGEST_PAUSE", 0.02)
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
