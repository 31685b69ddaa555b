"""Several simulated workspaces: OAuth, tokens that expire, and an app that is removed, as strict as Slack's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from adapters.testing.serving import serve
from bridge.playground.slack import SlackWorld
from bridge.playground.slack.teams import Teams, create_teams_app

BACK = "https://bot.example/back"
ASKED = {"client_id": "1.1", "scope": "chat:write", "redirect_uri": BACK, "state": "s"}
APP = {"client_id": "1.1", "client_secret": "simulated-client-secret"}


@pytest.fixture
def teams() -> Teams:
    teams = Teams(SlackWorld(rate=None), SlackWorld(rate=None), redirect_urls=[BACK])
    teams.choice = "T0TEAM1"
    return teams


@pytest.fixture
async def slack(teams: Teams) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serve(create_teams_app(teams, "http://unused")) as url,
        httpx.AsyncClient(base_url=url, trust_env=False, verify=False) as client,
    ):
        yield client


async def code_of(slack: httpx.AsyncClient) -> str:
    page = await slack.get("/oauth/v2/authorize", params=ASKED)
    return parse_qs(urlsplit(page.headers["location"]).query)["code"][0]


async def access(slack: httpx.AsyncClient, **given: str) -> dict[str, object]:
    answer: dict[str, object] = (await slack.post("/api/oauth.v2.access", data=APP | given)).json()
    return answer


async def answer_to(slack: httpx.AsyncClient, token: object) -> object:
    answer = (await slack.post("/api/auth.test", headers={"Authorization": f"Bearer {token}"})).json()
    return answer.get("error") or answer["team_id"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"client_id": "2.2"}, "client_id"),
        ({"scope": "admin"}, "permissions"),
        ({"scope": ""}, "permissions"),
        ({"redirect_uri": "https://evil.example"}, "redirect_uri"),
    ],
)
async def test_the_page_refuses_what_slack_refuses(
    slack: httpx.AsyncClient, asked: dict[str, str], told: str
) -> None:
    page = await slack.get("/oauth/v2/authorize", params=ASKED | asked)
    assert (page.status_code, told in page.text) == (400, True)


async def test_a_code_is_good_once_for_its_app_and_address(slack: httpx.AsyncClient, teams: Teams) -> None:
    code = await code_of(slack)
    assert (await access(slack, code=code))["error"] == "bad_redirect_uri"
    assert (await access(slack, code=code, client_secret="x"))["error"] == "bad_client_secret"
    assert (await access(slack, code=code, client_id="2.2"))["error"] == "invalid_client_id"
    given = await access(slack, code=code, redirect_uri=BACK)
    assert (given["ok"], given["scope"]) == (True, "chat:write")
    assert (await access(slack, code=code, redirect_uri=BACK))["error"] == "code_already_used"
    assert (await access(slack, code="none", redirect_uri=BACK))["error"] == "invalid_code"
    assert await answer_to(slack, given["access_token"]) == "T0TEAM1"
    assert await answer_to(slack, "xoxb-simulated-bot") == "invalid_auth"
    again = await access(slack, code=await code_of(slack), redirect_uri=BACK)
    assert again["access_token"] == given["access_token"], "one that doesn't expire is the same each time"


async def test_a_refresh_token_is_good_once_and_two_tokens_live_beside_each_other(
    slack: httpx.AsyncClient, teams: Teams
) -> None:
    teams.token_seconds = 43_200
    given = [await access(slack, code=await code_of(slack), redirect_uri=BACK)]
    for _ in range(2):
        refresh = str(given[-1]["refresh_token"])
        given.append(await access(slack, grant_type="refresh_token", refresh_token=refresh))
        assert (await access(slack, grant_type="refresh_token", refresh_token=refresh))["error"] == (
            "invalid_refresh_token"
        )
    told = [await answer_to(slack, one["access_token"]) for one in given]
    assert told == ["token_expired", "T0TEAM1", "T0TEAM1"]


async def test_an_app_that_was_removed_has_no_token(slack: httpx.AsyncClient, teams: Teams) -> None:
    given = await access(slack, code=await code_of(slack), redirect_uri=BACK)
    teams.uninstall("T0TEAM1", told=False)
    assert await answer_to(slack, given["access_token"]) == "account_inactive"
    teams.choice = ""
    denied = await slack.get("/oauth/v2/authorize", params=ASKED)
    assert "error=access_denied" in denied.headers["location"]
