"""`/slack/events` before anyone who can reach it: nothing is read, parsed or believed beyond what Slack signs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from urllib.parse import urlencode, urlsplit

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

from adapters.testing.serving import serve
from bridge.frontends.slack import http as http_module
from bridge.frontends.slack.app import SlackFrontEnd
from bridge.frontends.slack.settings import SlackSettings
from bridge.playground.slack import SlackWorld
from tests.e2e.waiting import PATIENCE, eventually
from tests.frontends.slack.memory import MemoryInbox

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def endpoint(world: SlackWorld, slack_url: str, inbox: MemoryInbox) -> AsyncIterator[str]:
    settings = SlackSettings(
        mode="http",
        bot_token=SecretStr(world.bot_token),
        signing_secret=SecretStr(world.signing_secret),
        api_url=f"{slack_url}/api/",
    )
    front_end = SlackFrontEnd(settings, inbox)
    serving = asyncio.create_task(front_end.serve())
    async with serve(Starlette(routes=front_end.routes)) as url:
        await eventually(lambda: front_end.trouble() is None)
        yield f"{url}/slack/events"
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


def event_of(world: SlackWorld, **more: object) -> str:
    event = {"type": "message", "channel": "D1", "user": "U1", "text": "hi", "ts": "1700000001.000100"}
    return json.dumps({"type": "event_callback", "event_id": "E", "team_id": world.team_id, "event": event} | more)


async def post(url: str, body: str | bytes, headers: dict[str, str]) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(url, content=body, headers=headers)


async def raw(url: str, request: bytes) -> bytes:
    """The first line of the answer to bytes that no client would send."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(request)
    try:
        async with asyncio.timeout(PATIENCE):
            return await reader.readline()
    finally:
        writer.close()


async def test_what_slack_signed_is_taken(world: SlackWorld, endpoint: str, inbox: MemoryInbox) -> None:
    body = event_of(world)
    assert (await post(endpoint, body, world.deliveries.signed(body) | JSON)).status_code == 200
    assert [one.text for one in inbox.taken] == ["hi"]


async def test_the_bytes_as_they_came_are_what_is_verified(
    world: SlackWorld, endpoint: str, inbox: MemoryInbox
) -> None:
    body = '{"type":"event_callback",  "event":\n{"type": "app_home_opened"}, "x": "ä\\u00e4"}'
    assert (await post(endpoint, body, world.deliveries.signed(body) | JSON)).status_code == 200
    again = json.dumps(json.loads(body))
    assert (await post(endpoint, again, world.deliveries.signed(body) | JSON)).status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        {"X-Slack-Request-Timestamp": "soon"},
        {"X-Slack-Request-Timestamp": ""},
        {"X-Slack-Request-Timestamp": "9" * 400},
        {"X-Slack-Request-Timestamp": "-1"},
        {"X-Slack-Signature": ""},
        {"X-Slack-Signature": "v0="},
        {"X-Slack-Signature": "v1=00"},
    ],
)
async def test_a_signature_that_is_none_is_refused(
    world: SlackWorld, endpoint: str, inbox: MemoryInbox, change: dict[str, str]
) -> None:
    body = event_of(world)
    assert (await post(endpoint, body, world.deliveries.signed(body) | JSON | change)).status_code == 401
    assert inbox.offered == 0


@pytest.mark.parametrize("body", [b"\xff\xfe", b"", b"{", b"[" * 100_000, b"payload=%7B"])
async def test_nonsense_without_a_signature_is_refused_unread(endpoint: str, body: bytes) -> None:
    for headers in ({}, JSON, FORM, {"Content-Type": "application/json; charset=utf-7"}):
        assert (await post(endpoint, body, headers)).status_code == 401


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ("", JSON),
        ("{", JSON),
        ("[]", JSON),
        ("null", JSON),
        ("7", JSON),
        ("[" * 100_000, JSON),
        (urlencode({"payload": "{"}), FORM),
        (urlencode({"payload": "[]"}), FORM),
        ("NaN", JSON),
    ],
    ids=str,
)
async def test_nonsense_with_a_signature_is_refused_without_a_traceback(
    world: SlackWorld, endpoint: str, body: str, headers: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert (await post(endpoint, body, world.deliveries.signed(body) | headers)).status_code == 400
    assert "Traceback" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    "body",
    [
        '{"type": "event_callback"}',
        '{"type": "event_callback", "event": {}}',
        '{"type": "block_actions"}',
        '{"type": "view_submission"}',
        "{}",
    ],
)
async def test_what_says_nothing_is_acknowledged_or_refused_and_breaks_nothing(
    world: SlackWorld, endpoint: str, inbox: MemoryInbox, body: str
) -> None:
    answer = await post(endpoint, body, world.deliveries.signed(body) | JSON)
    assert answer.status_code in (200, 404)
    good = event_of(world)
    assert (await post(endpoint, good, world.deliveries.signed(good) | JSON)).status_code == 200


async def test_no_more_is_read_than_slack_sends(world: SlackWorld, endpoint: str, inbox: MemoryInbox) -> None:
    large = event_of(world, padding="x" * http_module.MAX_REQUEST)

    async def in_chunks() -> AsyncIterator[bytes]:
        for begin in range(0, len(large), 10_000):
            yield large[begin : begin + 10_000].encode()

    async with httpx.AsyncClient(trust_env=False) as client:
        headers = world.deliveries.signed(large) | JSON
        assert (await client.post(endpoint, content=large, headers=headers)).status_code == 413
        assert (await client.post(endpoint, content=in_chunks(), headers=headers)).status_code == 413
    assert inbox.offered == 0


@pytest.mark.parametrize("length", [b"5", b"0", b"-1", b"x", b"9" * 30])
async def test_two_lengths_or_none_are_refused(endpoint: str, length: bytes) -> None:
    head = b"POST /slack/events HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + b"\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    assert b" 400 " in await raw(endpoint, chunked)
    if length not in (b"5", b"0"):
        assert b" 4" in await raw(endpoint, head + b"\r\n")


async def test_a_body_that_comes_too_slowly_is_not_waited_for(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_module, "BODY_WITHIN", 0.05)
    head = b"POST /slack/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    assert b" 408 " in await raw(endpoint, head)


async def test_only_so_many_wait_for_the_store(
    world: SlackWorld, endpoint: str, inbox: MemoryInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_module, "AT_ONCE", 2)
    inbox.gate = asyncio.Event()

    def send(number: int) -> asyncio.Task[httpx.Response]:
        body = event_of(world, event_id=f"E{number}", event={
            "type": "message", "channel": f"D{number}", "user": "U1", "text": "hi", "ts": f"170000000{number}.1",
        })  # fmt: skip
        return asyncio.create_task(post(endpoint, body, world.deliveries.signed(body) | JSON))

    waiting = [send(1), send(2)]
    await eventually(lambda: inbox.offered == 2)
    assert (await send(3)).status_code == 503
    inbox.gate.set()
    assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200, 200]
    assert (await send(3)).status_code == 200
    assert len(inbox.taken) == 3


async def test_refusals_are_counted_and_told_at_a_bounded_rate(
    endpoint: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(20):
        await post(endpoint, b"{}", {})
    assert capsys.readouterr().out.count("slack.requests_refused") == 1
    monkeypatch.setattr(http_module, "TELL_EVERY", 0.0)
    await post(endpoint, b"{}", {})
    told = capsys.readouterr().out
    assert "20" in told  # 19 untold ones and this


@pytest.mark.parametrize("kind", ["ssl_check", "challenge"])
async def test_slacks_own_checks_are_answered(world: SlackWorld, endpoint: str, kind: str) -> None:
    if kind == "challenge":
        body, headers = json.dumps({"type": "url_verification", "challenge": "abc"}), JSON
    else:
        body, headers = urlencode({"ssl_check": "1", "token": "x"}), FORM
    answer = await post(endpoint, body, world.deliveries.signed(body) | headers)
    assert answer.status_code == 200
    if kind == "challenge":
        assert answer.json() == {"challenge": "abc"}
