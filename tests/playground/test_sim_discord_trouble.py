"""Rate limits and faults of the simulated Discord, as the unmodified discord.py meets them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import aiohttp
import httpx
import pytest

from bridge.playground.discord import DiscordWorld, create_app
from bridge.playground.discord.faults import Faults
from tests.playground.discord_client import Bot, discord, running

SEND = "POST /channels/*/messages"


@pytest.fixture
def world() -> DiscordWorld:
    return DiscordWorld(rate=None)


@pytest.fixture
async def bot(world: DiscordWorld) -> AsyncIterator[Bot]:
    async with running(world) as bot:
        yield bot


def texts(world: DiscordWorld) -> list[str]:
    return [message.content for message in world.messages("general")]


# --- limits --------------------------------------------------------------------------------------------------


class Asking:
    """Calls the API at times of its own."""

    def __init__(self, rate: float | None = 1.0) -> None:
        self.now = 1_800_000_000.0
        self.world = DiscordWorld(rate=rate, clock=lambda: self.now)
        self._http = httpx.AsyncClient(
            transport=httpx.ASGITransport(create_app(self.world)),
            base_url="http://discord.test/api/v10",
            headers={"Authorization": f"Bot {self.world.token}"},
        )

    async def send(self, room: str = "general") -> httpx.Response:
        return await self._http.post(f"/channels/{self.world.place(room).id}/messages", json={"content": "x"})

    async def edit(self, message_id: int) -> httpx.Response:
        path = f"/channels/{self.world.place('general').id}/messages/{message_id}"
        return await self._http.patch(path, json={"content": "y"})

    async def open_thread(self, message_id: int) -> httpx.Response:
        path = f"/channels/{self.world.place('general').id}/messages/{message_id}/threads"
        return await self._http.post(path, json={"name": "asked"})

    async def me(self) -> httpx.Response:
        return await self._http.get("/users/@me")


async def test_five_messages_in_five_seconds_and_channel() -> None:
    asking = Asking()
    sent = [await asking.send() for _ in range(6)]
    assert [answer.status_code for answer in sent] == [200] * 5 + [429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in sent] == ["4", "3", "2", "1", "0", "0"]
    assert sent[0].headers["x-ratelimit-limit"] == "5"
    assert sent[0].headers["x-ratelimit-reset-after"] == "5.000"
    assert float(sent[0].headers["x-ratelimit-reset"]) == asking.now + 5
    refused = sent[-1]
    assert refused.json() == {
        "message": "You are being rate limited.",
        "retry_after": 5.0,
        "global": False,
        "code": 0,
    }
    assert (refused.headers["retry-after"], refused.headers["x-ratelimit-scope"]) == ("5", "user")
    assert (await asking.send("random")).status_code == 200
    asking.now += 5
    assert (await asking.send()).status_code == 200


async def test_edits_have_a_limit_of_their_own_and_a_stricter_one_when_old() -> None:
    asking = Asking()
    message_id = int((await asking.send()).json()["id"])
    assert [(await asking.edit(message_id)).status_code for _ in range(6)] == [200] * 5 + [429]
    asking.now += 3601
    old = [await asking.edit(message_id) for _ in range(4)]
    assert [answer.status_code for answer in old] == [200] * 3 + [429]
    assert old[-1].json()["code"] == 30046


async def test_fifty_requests_a_second_in_all() -> None:
    asking = Asking()
    answers = [await asking.me() for _ in range(51)]
    assert [answer.status_code for answer in answers] == [200] * 50 + [429]
    assert answers[-1].json()["global"] is True
    assert answers[-1].headers["x-ratelimit-global"] == "true"


@pytest.mark.parametrize(("rate", "wait", "status"), [(10.0, 0.5, 200), (10.0, 0.4, 429), (None, 0.0, 200)])
async def test_limits_can_be_quicker_or_off(rate: float | None, wait: float, status: int) -> None:
    asking = Asking(rate)
    for _ in range(5):
        await asking.send()
    asking.now += wait
    assert (await asking.send()).status_code == status


async def test_limits_can_be_switched_on_and_off_at_any_time() -> None:
    asking = Asking()
    for rate, statuses in ((None, [200] * 7), (1.0, [200] * 5 + [429] * 2), (None, [200] * 2)):
        asking.world.limits.rate = rate
        assert [(await asking.send()).status_code for _ in statuses] == statuses


async def test_fifty_threads_in_five_minutes_and_channel() -> None:
    asking = Asking()
    questions = [await asking.world.say("ada", "general", f"question {number}") for number in range(51)]
    statuses = []
    for question in questions:
        asking.now += 0.1  # within the limit of the whole bot
        statuses.append((await asking.open_thread(question)).status_code)
    assert statuses == [201] * 50 + [429]
    asking.now += 300
    assert (await asking.open_thread(questions[-1])).status_code == 201


async def test_the_client_waits_the_limits_out() -> None:
    world = DiscordWorld(rate=50)
    async with running(world) as bot:
        await asyncio.gather(*(bot.room("general").send(str(number)) for number in range(12)))
    assert sorted(texts(world), key=int) == [str(number) for number in range(12)]


# --- faults --------------------------------------------------------------------------------------------------


async def test_an_error_of_discord(world: DiscordWorld, bot: Bot) -> None:
    world.faults.refuse(SEND, 403, 50013, "Missing Permissions", times=2)
    for _ in range(2):
        with pytest.raises(discord.Forbidden) as refused:
            await bot.room("general").send("no")
        assert refused.value.code == 50013
    await bot.room("general").send("yes")
    assert texts(world) == ["yes"]
    assert [(call.status, call.code) for call in world.calls(SEND)] == [(403, 50013), (403, 50013), (200, None)]


@pytest.mark.parametrize("after", [False, True])
async def test_a_server_error_before_or_after_taking_effect(world: DiscordWorld, bot: Bot, after: bool) -> None:
    world.faults.break_down(SEND, 503, after=after)
    with pytest.raises(discord.DiscordServerError):
        await bot.room("general").send("once", nonce="n")
    assert texts(world) == (["once"] if after else [])
    await bot.room("general").send("once", nonce="n")
    assert texts(world) == ["once"]


@pytest.mark.parametrize("after", [False, True])
async def test_a_cut_connection_before_or_after_taking_effect(world: DiscordWorld, bot: Bot, after: bool) -> None:
    world.faults.hang_up(SEND, after=after)
    with pytest.raises((aiohttp.ClientError, OSError)):
        await bot.room("general").send("once")
    assert texts(world) == (["once"] if after else [])
    assert [call.status for call in world.calls(SEND)] == [0]


@pytest.mark.parametrize("everywhere", [False, True])
async def test_a_429_is_waited_out(world: DiscordWorld, bot: Bot, everywhere: bool) -> None:
    world.faults.throttle(SEND, 0.05, everywhere=everywhere, times=2)
    before = time.monotonic()
    await bot.room("general").send("late")
    assert time.monotonic() - before >= 0.1
    assert [call.status for call in world.calls(SEND)] == [429, 429, 200]


async def test_a_slow_call(world: DiscordWorld, bot: Bot) -> None:
    world.faults.delay(SEND, 0.05)
    world.faults.break_down(SEND, 503)
    before = time.monotonic()
    with pytest.raises(discord.DiscordServerError):
        await bot.room("general").send("no")
    assert time.monotonic() - before >= 0.05


async def test_a_download_that_fails(world: DiscordWorld, bot: Bot) -> None:
    await world.say("ada", "general", "a file", files=[("a.txt", "text/plain", b"a")])
    heard = await bot.hears("a file")
    world.faults.break_down("GET /attachments/*/*/*", 502)
    with pytest.raises(discord.HTTPException):
        await heard.attachments[0].read()
    assert await heard.attachments[0].read() == b"a"
    assert [call.status for call in world.calls("GET /attachments/*/*/*")] == [502, 200]


@pytest.mark.parametrize(
    ("route", "call", "met"),
    [
        ("*", "GET /users/@me", True),
        ("POST /channels/*/messages", "POST /channels/1/messages", True),
        ("POST /channels/*/messages", "PATCH /channels/1/messages", False),
        ("POST /channels/*/messages", "POST /channels/1/messages/2/threads", False),
        ("POST /channels/*/messages", "POST /channels/1/2/messages", False),
        ("* /channels/*", "DELETE /channels/1", True),
    ],
)
def test_routes_of_faults(route: str, call: str, met: bool) -> None:
    faults = Faults()
    faults.break_down(route)
    assert bool(faults.take(call)) is met
    assert not faults.take("GET /users/@me") or not met


def test_faults_are_used_up_in_order_with_their_delays() -> None:
    faults = Faults()
    faults.delay("*", 1.0, times=2)
    faults.hang_up("*")
    faults.throttle("*")
    assert [fault.trouble for fault in faults.take("GET /a")] == ["delay", "hang_up"]
    assert [fault.trouble for fault in faults.take("GET /a")] == ["delay", "throttle"]
    assert faults.take("GET /a") == []
    faults.delay("*", 1.0)
    faults.clear()
    assert faults.take("GET /a") == []
