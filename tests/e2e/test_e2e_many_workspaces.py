"""One bridge in many Slack workspaces: each installs the app by a browser, and none meets the other's threads."""

from __future__ import annotations

import asyncio
import base64
import html
import os
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import SecretStr

from adapters.testing.serving import serve
from bridge.app import bridge
from bridge.frontends.slack import installed as installed_module
from bridge.frontends.slack.installing import BAD_CODE, BAD_STATE, DENIED, NOT_KEPT, NOT_SERVED
from bridge.frontends.slack.manifest import EVENTS, LEAVING, SCOPES
from bridge.installations import StoreAway
from bridge.playground.slack import SlackWorld
from bridge.playground.slack.teams import Teams, create_teams_app
from bridge.settings import Settings
from bridge.store.installations import InstallationStore
from tests.e2e.people import SlackPeople, Thread, text_of
from tests.e2e.running import at_rest, quick_replies, states
from tests.e2e.waiting import LOOK, eventually

BOT = "@threadbridge"
ONE, TWO = "T0TEAM1", "T0TEAM2"


@dataclass
class Place:
    """A browser, the bridge's address, and the workspaces."""

    teams: Teams
    settings: Settings
    url: str
    database: Path

    def people(self, team: str) -> SlackPeople:
        return SlackPeople(self.teams.worlds[team])

    def browser(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, trust_env=False, verify=False)  # no TLS here

    async def install(self, choice: str, browser: httpx.AsyncClient | None = None) -> httpx.Response:
        """As a browser does: from the bridge to Slack, and back from there."""
        self.teams.choice = choice
        async with self.browser() as fresh:
            mine = browser or fresh
            to_slack = await mine.get("/slack/install")
            assert to_slack.status_code == 302
            back = await mine.get(to_slack.headers["location"])
            assert back.status_code == 302, back.text
            return await mine.get(back.headers["location"])

    @asynccontextmanager
    async def running(self, **updates: object) -> AsyncIterator[None]:
        async with bridge(self.settings.model_copy(update=updates)):
            deliveries = self.teams.deliveries
            if self.settings.slack is not None and self.settings.slack.mode == "http":
                async with self.browser() as client:
                    while True:
                        try:
                            if (await client.get(f"{self.url}/readyz")).status_code == 200:
                                break
                        except httpx.TransportError:
                            pass
                        await asyncio.sleep(LOOK)
                await next(iter(self.teams.worlds.values())).connect_http(f"{self.url}/slack/events")
            else:
                await eventually(lambda: deliveries.connections)
            yield

    async def answered(self, team: str, thread: Thread, words: str) -> str:
        people = self.people(team)
        return await eventually(lambda: text if words in (text := text_of(people.shown(thread))) else "")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def world(ids_from: int = 0) -> SlackWorld:
    world = SlackWorld(rate=None, retry_delays=(0.0, 0.1, 0.2, 0.5), ids_from=ids_from)
    world.subscriptions = {*EVENTS, *LEAVING}
    return world


@asynccontextmanager
async def place(database: Path, teams: Teams, *, mode: str = "http", url: str = "") -> AsyncIterator[Place]:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    teams.redirect_urls.add(f"{address}/slack/oauth_redirect")
    async with serve_teams(teams) as slack_url:
        settings = Settings.model_validate(
            {
                "database_url": url or f"sqlite:///{database}",
                "http": {"port": port, "public_url": address},
                "data": {"keys": [base64.b64encode(os.urandom(32)).decode()]},
                "slack": {
                    "mode": mode,
                    "client_id": teams.client_id,
                    "client_secret": teams.client_secret,
                    "signing_secret": next(iter(teams.worlds.values())).signing_secret,
                    "app_token": next(iter(teams.worlds.values())).app_token,
                    "api_url": f"{slack_url}/api/",
                },
                "agents": {"echo": {"kind": "echo"}, "other": {"kind": "echo"}},
                "default_agent": "echo",
            }
        )
        yield Place(teams, settings, address, database)
    for one in teams.worlds.values():
        await one.aclose()


@asynccontextmanager
async def serve_teams(teams: Teams) -> AsyncIterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with serve(create_teams_app(teams, url), port=port):
        yield url


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick_replies(monkeypatch)
    monkeypatch.setattr(installed_module, "LOOK_EVERY", 0.05)


@pytest.fixture
def teams() -> Teams:
    return Teams(world(), world())


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["http", "socket"])
async def test_two_workspaces_with_the_same_ids_never_mix(tmp_path: Path, teams: Teams, mode: str) -> None:
    database = tmp_path / "threadbridge.db"
    async with place(database, teams, mode=mode) as here, here.running():
        for team in (ONE, TWO):
            page = await here.install(team)
            assert page.status_code == 200, page.text
            assert "It is installed" in page.text
        assert [set(asked["scope"].split(",")) for asked in teams.asked] == [set(SCOPES)] * 2
        one, two = here.people(ONE), here.people(TWO)
        assert one.world.channel("general").id == two.world.channel("general").id
        threads = [
            await people.say("ada", "general", f"{BOT} hello from {n}") for n, people in enumerate((one, two))
        ]
        await here.answered(ONE, threads[0], "hello from 0")
        await here.answered(TWO, threads[1], "hello from 1")
        await one.reply("ada", threads[0], "and on in the first")
        await here.answered(ONE, threads[0], "and on in the first")
        assert await at_rest(database, 3) == ["done"] * 3
        assert "hello from 1" not in str(one.shown(threads[0]))
        assert len(one.world.messages("general")) == 4
        assert len(two.world.messages("general")) == 2
        tokens = [grants.newest.token for grants in teams.grants.values()]
    assert len(set(tokens)) == 2
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.name.startswith("threadbridge.db"))
    assert b"Playground" in written
    for secret in (*tokens, teams.client_secret):
        assert secret.encode() not in written


@pytest.mark.slow
async def test_an_uninstall_in_mid_reply_ends_it_and_a_new_installation_takes_up_again(
    tmp_path: Path, teams: Teams
) -> None:
    database = tmp_path / "threadbridge.db"
    async with place(database, teams) as here, here.running():
        await here.install(ONE)
        await here.install(TWO)
        one, two = here.people(ONE), here.people(TWO)
        thread = await one.say("ada", "general", f"{BOT} slow 1 hello")
        await eventually(lambda: states(database) == ["asking"] or states(database) == ["replying"])
        teams.uninstall(ONE)
        assert await at_rest(database, 1) == ["failed"]
        calls = len(one.world.made_calls)
        other = await two.say("ada", "general", f"{BOT} still here?")
        await here.answered(TWO, other, "still here?")
        assert len(one.world.made_calls) == calls, "nothing is tried any more"
        await here.install(ONE)
        again = await one.say("ada", "general", f"{BOT} back again")
        await here.answered(ONE, again, "back again")
        assert text_of(one.shown(thread)) != "back again"
        await teams.deliveries.settled()


@pytest.mark.slow
async def test_what_slack_refuses_tells_of_an_uninstall_that_nobody_told_of(tmp_path: Path, teams: Teams) -> None:
    database = tmp_path / "threadbridge.db"
    async with place(database, teams) as here, here.running():
        await here.install(ONE)
        await here.people(ONE).say("ada", "general", f"{BOT} slow 1 hello")
        await eventually(lambda: states(database))
        teams.uninstall(ONE, told=False)
        assert await at_rest(database, 1) == ["failed"]


@pytest.mark.slow
async def test_a_late_word_of_an_old_uninstall_leaves_the_new_installation(tmp_path: Path, teams: Teams) -> None:
    async with place(tmp_path / "threadbridge.db", teams) as here, here.running():
        await here.install(ONE)
        one = here.people(ONE)
        one.world.emit("app_uninstalled", None, {"type": "app_uninstalled", "event_ts": one.world.new_ts()})
        await teams.deliveries.settled()
        thread = await one.say("ada", "general", f"{BOT} are you there")
        await here.answered(ONE, thread, "are you there")


@pytest.mark.slow
async def test_a_restart_knows_what_is_installed_and_fetches_what_was_missed(tmp_path: Path, teams: Teams) -> None:
    database = tmp_path / "threadbridge.db"
    async with place(database, teams) as here:
        async with here.running():
            await here.install(ONE)
            await here.install(TWO)
            threads = [await here.people(team).say("ada", "general", f"{BOT} hello") for team in (ONE, TWO)]
            assert await at_rest(database, 2) == ["done"] * 2
        teams.deliveries.request_url = None
        for team, thread in zip((ONE, TWO), threads, strict=True):
            await here.people(team).reply("ada", thread, f"while you slept in {team}")
        async with here.running():
            for team, thread in zip((ONE, TWO), threads, strict=True):
                await here.answered(team, thread, f"while you slept in {team}")


@pytest.mark.slow
async def test_tokens_are_refreshed_while_turns_run_and_each_once(tmp_path: Path, teams: Teams) -> None:
    teams.token_seconds = 3_600.0  # less than the time before their end at which they are refreshed
    database = tmp_path / "threadbridge.db"
    async with place(database, teams) as here, here.running():
        await here.install(ONE)
        grants, one = teams.grants[ONE], here.people(ONE)
        first = grants.newest
        thread = await one.say("ada", "general", f"{BOT} slow 1 hello")
        await eventually(lambda: grants.refreshed >= 3)
        await here.answered(ONE, thread, "hello")
        assert teams.refused == 0
        assert grants.trouble(first.token) == "token_expired", "the first one is past use, and nobody noticed"
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.name.startswith("threadbridge.db"))
    assert b"xoxe" not in written


Attack = Callable[[httpx.URL], str]


def _changed(name: str, value: str) -> Attack:
    return lambda url: str(url.copy_set_param(name, value))


HOSTILE: dict[str, Attack] = {
    "forged": _changed("state", "4000000000.AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    "none": lambda url: str(url.copy_remove_param("state")),
    "twice": lambda url: f"{url}&state=x",
    "not text": lambda url: f"{url.copy_remove_param('state')}&state=%ff%00%0d%0a",
    "long": lambda url: f"{url}&x={'a' * 10_000}",
    "markup": _changed("state", "<script>alert(1)</script>"),
}


@pytest.mark.slow
async def test_only_what_began_in_this_browser_is_installed_and_once(tmp_path: Path, teams: Teams) -> None:
    async with place(tmp_path / "threadbridge.db", teams) as here, here.running():
        teams.choice = ONE
        async with here.browser() as mine, here.browser() as other:
            back = await _back(mine)
            for attack in HOSTILE.values():
                page = await mine.get(attack(back))
                assert (page.status_code, says(page, BAD_STATE)) == (400, True)
                assert "<script" not in page.text
            stolen = await other.get(str(back))
            assert (stolen.status_code, says(stolen, BAD_STATE)) == (400, True)
            assert (await mine.head(str(back))).status_code == 405
            assert not teams.grants[ONE].active, "no code was spent"
            cookies = dict(mine.cookies)
            assert (await mine.get(str(back))).status_code == 200
            mine.cookies.update(cookies)
            replayed = await mine.get(str(back))
            assert (replayed.status_code, says(replayed, BAD_STATE)) == (400, True)


@pytest.mark.slow
async def test_each_failure_is_a_page_and_nothing_is_kept(
    tmp_path: Path, teams: Teams, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place(tmp_path / "threadbridge.db", teams) as here, here.running():
        denied = await here.install("")
        assert (denied.status_code, says(denied, DENIED)) == (400, True)
        teams.choice = ONE
        async with here.browser() as mine:
            back = await _back(mine)
            teams.codes[parse_qs(urlsplit(str(back)).query)["code"][0]].until = 0.0
            expired = await mine.get(str(back))
            assert (expired.status_code, says(expired, BAD_CODE)) == (400, True)
        world = here.people(ONE).world
        for method in ("oauth.v2.access", "auth.test"):
            world.faults.refuse(method, "internal_error")
            assert (await here.install(ONE)).status_code == 502

        async def away(*_: object) -> None:
            raise StoreAway("locked")

        with monkeypatch.context() as patch:
            patch.setattr(InstallationStore, "put", away)
            page = await here.install(ONE)
            assert (page.status_code, says(page, NOT_KEPT)) == (503, True)
        with sqlite3.connect(here.database) as connection:
            assert connection.execute("SELECT count(*) FROM installation").fetchone() == (0,)
        connection.close()
        page = await here.install(ONE)
        assert page.status_code == 200
        assert page.headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in page.headers["content-security-policy"]


@pytest.mark.slow
async def test_a_workspace_that_is_not_let_in_keeps_no_token_here(tmp_path: Path, teams: Teams) -> None:
    async with place(tmp_path / "threadbridge.db", teams) as here:
        access = here.settings.access.model_copy(update={"workspaces": (TWO,)})
        async with here.running(access=access):
            page = await here.install(ONE)
            assert (page.status_code, says(page, NOT_SERVED)) == (403, True)
            assert not teams.grants[ONE].active, "it was given back"
            assert (await here.install(TWO)).status_code == 200


@pytest.mark.slow
async def test_each_workspace_has_its_agent(tmp_path: Path, teams: Teams) -> None:
    async with place(tmp_path / "threadbridge.db", teams) as here:
        route = Settings.model_validate(
            {"routes": [{"platform": "slack", "workspace": TWO, "agent": "", "listen": "mention"}]}
        ).routes
        async with here.running(routes=route):
            await here.install(ONE)
            await here.install(TWO)
            await here.people(TWO).say("ada", "general", f"{BOT} nobody answers here")
            thread = await here.people(ONE).say("ada", "general", f"{BOT} but here")
            await here.answered(ONE, thread, "but here")
            await teams.deliveries.settled()
            assert len(states(here.database)) == 1


@pytest.mark.slow
async def test_an_organisation_installs_it_for_all_its_workspaces(tmp_path: Path) -> None:
    teams = Teams(world(), world(1_000), organisation="E0ORG")
    async with place(tmp_path / "threadbridge.db", teams) as here, here.running():
        page = await here.install("E0ORG")
        assert page.status_code == 200, page.text
        for team in (ONE, TWO):
            thread = await here.people(team).say("ada", "general", f"{BOT} hello from {team}")
            await here.answered(team, thread, f"hello from {team}")
        await here.people(TWO).world.command("ada", "general", "/agent", "help")


@pytest.mark.slow
async def test_a_message_that_two_workspaces_see_is_asked_by_the_one_whose_app_it_mentions(tmp_path: Path) -> None:
    """In a shared channel Slack tells each installation of it, or only one: `authorizations` says which."""
    teams = Teams(world(), world(1_000))
    async with place(tmp_path / "threadbridge.db", teams) as here, here.running():
        await here.install(ONE)
        await here.install(TWO)
        two = here.people(TWO)
        thread = await two.say("ada", "general", f"{BOT} hello")
        await here.answered(TWO, thread, "hello")
        told = next(one.payload for one in teams.deliveries.envelopes if one.event.get("ts") == thread.id)
        one_sees = {**told["authorizations"][0], "team_id": ONE, "user_id": here.people(ONE).world.bot.id}
        shared = {"event_id": "EvSHARED", "authorizations": [one_sees], "is_ext_shared_channel": True}
        assert told["team_id"] == TWO
        teams.deliveries.post({**told, **shared})
        await teams.deliveries.settled()
        assert await at_rest(here.database, 1) == ["done"]


@pytest.mark.slow
async def test_whoever_speaks_first_names_the_workspace(tmp_path: Path, teams: Teams) -> None:
    async with place(tmp_path / "threadbridge.db", teams) as here:
        channel = here.people(TWO).world.channel("general").id
        token = "a token that is long enough"
        speaks = here.settings.http.model_copy(
            update={"token": SecretStr(token), "speak": [f"slack:{TWO}:{channel}", f"slack:{channel}"]}
        )
        async with here.running(http=speaks), here.browser() as program:
            await here.install(ONE)
            await here.install(TWO)
            headers = {"Authorization": f"Bearer {token}"}

            async def speak(where: str) -> httpx.Response:
                said = {"platform": "slack", "channel": where, "text": "Good morning"}
                return await program.post("/threads", json=said, headers=headers | {"Idempotency-Key": where})

            assert (await speak(channel)).status_code == 404, "it could be in either"
            assert (await speak(f"{ONE}:{channel}")).status_code == 403
            assert (await speak(f"{TWO}:{channel}")).status_code in (200, 201, 202)
            two, one = (here.people(team).world for team in (TWO, ONE))
            await eventually(lambda: [message.shown for message in two.messages("general")] == ["Good morning"])
            assert one.messages("general") == []


def says(page: httpx.Response, sentence: str) -> bool:
    return sentence in html.unescape(page.text)


async def _back(browser: httpx.AsyncClient) -> httpx.URL:
    """Where Slack sends the browser, once the person has allowed it."""
    to_slack = await browser.get("/slack/install")
    assert "httponly" in to_slack.headers["set-cookie"].lower()
    back = await browser.get(to_slack.headers["location"])
    return httpx.URL(back.headers["location"])
