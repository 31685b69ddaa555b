"""Slack in mode "http": signed requests to the bridge's own port, and what that port says of its health."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from adapters.testing.backends import faults
from bridge.app import bridge
from bridge.frontends.slack import app as slack_app
from bridge.frontends.slack.settings import SlackSettings
from bridge.settings import Settings
from tests.e2e.people import SlackPeople, text_of
from tests.e2e.running import at_rest, serving, settings_for, states
from tests.e2e.town import Town
from tests.e2e.waiting import LOOK, PATIENCE

BOT = "@threadbridge"
LAST_WORDS = "or send me a file."


@dataclass(frozen=True, slots=True)
class Served:
    """The bridge's own port, as Slack and an operator reach it."""

    client: httpx.AsyncClient
    url: str


@pytest.fixture
def people(town: Town) -> SlackPeople:
    return SlackPeople(town.slack)


@pytest.fixture
def settings(town: Town, database: Path) -> Settings:
    both = settings_for(town, "slack", database)
    assert both.slack is not None
    slack = SlackSettings(
        mode="http",
        bot_token=both.slack.bot_token,
        signing_secret=SecretStr(town.slack.signing_secret),
        api_url=both.slack.api_url,
    )
    return both.model_copy(update={"slack": slack})


@pytest.fixture
async def served(quick: None, town: Town, settings: Settings) -> AsyncIterator[Served]:
    with capture_logs() as logs:
        async with bridge(settings), httpx.AsyncClient(trust_env=False) as client:
            [port] = [line["port"] for line in logs if line["event"] == "serving"]
            url = f"http://127.0.0.1:{port}"
            await town.slack.connect_http(f"{url}/slack/events")
            await until_readyz(client, url, 200)
            yield Served(client, url)


async def until_readyz(client: httpx.AsyncClient, url: str, status: int) -> httpx.Response:
    async with asyncio.timeout(PATIENCE):
        while (answer := await client.get(f"{url}/readyz")).status_code != status:
            assert answer.status_code in (200, 503)
            await asyncio.sleep(LOOK)
    return answer


async def test_a_mention_and_a_follow_up_are_answered_in_their_thread(
    town: Town, people: SlackPeople, database: Path, served: Served
) -> None:
    thread = await people.say("ada", "toqan", f"{BOT} first question")
    assert await at_rest(database, 1) == ["done"]
    await people.reply("ada", thread, "second question")
    assert await at_rest(database, 2) == ["done", "done"]
    assert [asked.text for asked in town.backend("toqan").questions] == ["first question", "second question"]
    assert [shown.text.endswith(LAST_WORDS) for shown in people.shown(thread)] == [True, True]
    await town.slack.deliveries.settled()
    assert all(envelope.attempts == 1 for envelope in town.slack.deliveries.envelopes)
    assert people.harm() == []


async def test_what_is_delivered_again_is_asked_once(
    town: Town, people: SlackPeople, database: Path, served: Served
) -> None:
    thread = await people.say("ada", "toqan", f"{BOT} a question")
    assert await at_rest(database, 1) == ["done"]
    again = await town.slack.deliveries.redeliver()
    assert again.attempts == 2
    assert again.acknowledged
    await people.reply("ada", thread, "another")
    assert await at_rest(database, 2) == ["done", "done"]
    assert town.backend("toqan").count() == 2
    assert len(people.shown(thread)) == 2


async def test_a_request_that_slack_did_not_sign_is_refused(
    town: Town, people: SlackPeople, database: Path, served: Served
) -> None:
    thread = await people.say("ada", "toqan", f"{BOT} a question")
    await at_rest(database, 1)
    event = town.slack.deliveries.envelopes[0].payload | {"event_id": "Ev0FORGED"}
    forged = json.dumps(event).replace(thread.first, "1700000009.000100")
    headers = {"Content-Type": "application/json"} | town.slack.deliveries.signed(f"{forged} ")
    answer = await served.client.post(f"{served.url}/slack/events", content=forged, headers=headers)
    assert answer.status_code == 401
    signed = {"Content-Type": "application/json"} | town.slack.deliveries.signed(forged)
    answer = await served.client.post(f"{served.url}/slack/events", content=forged, headers=signed)
    assert answer.status_code == 200
    assert len(states(database)) == 2  # stored when it was acknowledged, and the forged one was not


async def test_a_button_is_pressed(town: Town, people: SlackPeople, database: Path, served: Served) -> None:
    town.backend("toqan").faults.add("create", faults.refuse(429, Retry_After="600"))
    thread = await people.say("ada", "toqan", f"{BOT} a question")
    assert await at_rest(database, 1) == ["failed"]
    [notice] = people.shown(thread)
    await people.press("ada", notice, "Try again")
    assert await at_rest(database, 2) == ["failed", "done"]
    assert LAST_WORDS in text_of(people.shown(thread))


async def test_it_says_that_it_is_ready(served: Served) -> None:
    assert (await served.client.get(f"{served.url}/healthz")).status_code == 200
    assert (await served.client.get(f"{served.url}/readyz")).json() == {"status": "ready"}


async def test_it_is_not_ready_while_the_socket_is_dead(
    quick: None, town: Town, people: SlackPeople, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack_app, "LOOK_EVERY", 0.02)
    with capture_logs() as logs:
        async with (
            serving(settings_for(town, "slack", database), people),
            httpx.AsyncClient(trust_env=False) as client,
        ):
            [port] = [line["port"] for line in logs if line["event"] == "serving"]
            url = f"http://127.0.0.1:{port}"
            await until_readyz(client, url, 200)
            town.slack.faults.refuse("apps.connections.open", "internal_error", times=50)
            town.slack.deliveries.drop()
            answer = await until_readyz(client, url, 503)
            assert answer.json()["reasons"] == {"slack": "Slack: the socket is down or delivers nothing"}
            assert (await client.get(f"{url}/healthz")).status_code == 200
