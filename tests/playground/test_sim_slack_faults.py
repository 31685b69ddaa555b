"""Faults of the simulated Slack's Web API, met by the real client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncServerErrorRetryHandler
from slack_sdk.http_retry.builtin_interval_calculators import FixedValueRetryIntervalCalculator
from slack_sdk.web.async_client import AsyncWebClient

from adapters.testing.serving import serve
from bridge.playground.slack import SlackWorld, create_app


@pytest.fixture
async def world() -> AsyncIterator[SlackWorld]:
    world = SlackWorld(rate=None, retry_delays=())
    yield world
    await world.aclose()


@pytest.fixture
async def client(world: SlackWorld) -> AsyncIterator[AsyncWebClient]:
    async with serve(create_app(world)) as url:
        yield AsyncWebClient(world.bot_token, base_url=f"{url}/api/", retry_handlers=[])


@pytest.fixture
def general(world: SlackWorld) -> str:
    return world.channel("general").id


def said(world: SlackWorld) -> list[str]:
    return [message.shown for message in world.messages("general")]


async def test_refuses_so_many_times(client: AsyncWebClient, world: SlackWorld, general: str) -> None:
    world.faults.refuse("chat.postMessage", "fatal_error", times=2)
    for _ in range(2):
        with pytest.raises(SlackApiError, match="fatal_error"):
            await client.chat_postMessage(channel=general, text="x")
    await client.chat_postMessage(channel=general, text="x")
    assert said(world) == ["x"]
    assert [call.error for call in world.calls("chat.postMessage")] == ["fatal_error", "fatal_error", None]


@pytest.mark.parametrize("after", [False, True])
async def test_breaks_down_before_or_after_the_effect(
    client: AsyncWebClient, world: SlackWorld, general: str, after: bool
) -> None:
    world.faults.break_down("chat.postMessage", 503, after=after)
    with pytest.raises(SlackApiError) as failure:
        await client.chat_postMessage(channel=general, text="x")
    assert failure.value.response.status_code == 503
    assert said(world) == (["x"] if after else [])


@pytest.mark.parametrize("after", [False, True])
async def test_hangs_up_before_or_after_the_effect(
    client: AsyncWebClient, world: SlackWorld, general: str, after: bool
) -> None:
    world.faults.hang_up("chat.postMessage", after=after)
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await client.chat_postMessage(channel=general, text="x")
    assert said(world) == (["x"] if after else [])


async def test_a_careless_retry_posts_twice(client: AsyncWebClient, world: SlackWorld, general: str) -> None:
    at_once = FixedValueRetryIntervalCalculator(0.01)
    client.retry_handlers.append(AsyncServerErrorRetryHandler(interval_calculator=at_once))
    world.faults.break_down("chat.postMessage", after=True)
    await client.chat_postMessage(channel=general, text="x")
    assert said(world) == ["x", "x"]


async def test_throttles(client: AsyncWebClient, world: SlackWorld, general: str) -> None:
    world.faults.throttle("*", 7)
    with pytest.raises(SlackApiError) as limit:
        await client.chat_postMessage(channel=general, text="x")
    assert limit.value.response.status_code == 429
    assert limit.value.response.headers["Retry-After"] == "7"


async def test_delays_and_then_fails(client: AsyncWebClient, world: SlackWorld, general: str) -> None:
    world.faults.delay("chat.postMessage", 0.05)
    world.faults.refuse("chat.postMessage", "fatal_error")
    began = asyncio.get_running_loop().time()
    with pytest.raises(SlackApiError, match="fatal_error"):
        await client.chat_postMessage(channel=general, text="x")
    assert asyncio.get_running_loop().time() - began >= 0.05
    assert list(world.faults) == []


async def test_what_is_armed_can_be_cleared(client: AsyncWebClient, world: SlackWorld) -> None:
    world.faults.refuse("auth.test", "fatal_error", times=9)
    world.faults.clear()
    await client.auth_test()


async def test_uploads_and_downloads_fail_too(client: AsyncWebClient, world: SlackWorld, general: str) -> None:
    world.faults.break_down("files.upload")
    with pytest.raises(Exception, match="Failed to upload a file"):
        await client.files_upload_v2(channel=general, filename="a.txt", content="abc")
    assert said(world) == []
    world.faults.hang_up("files.upload", after=True)
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await client.files_upload_v2(channel=general, filename="a.txt", content="abc")
    await world.say("ada", "general", "look", files=[("a.txt", "text/plain", b"abc")])
    history = await client.conversations_history(channel=general)
    link = history["messages"][0]["files"][0]["url_private_download"]
    headers = {"Authorization": f"Bearer {world.bot_token}"}
    world.faults.break_down("files.download", 500)
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.get(link) as answer:
            assert answer.status == 500
        async with session.get(link) as answer:
            assert await answer.read() == b"abc"
