"""Tokens that expire: refreshed in time, by one replica, stored before they are used, whatever fails in between."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from adapters.testing.serving import serve
from bridge.cipher import Cipher
from bridge.frontends.slack import installed as installed_module
from bridge.frontends.slack.check import check_slack
from bridge.frontends.slack.client import Connections
from bridge.frontends.slack.installed import Installed
from bridge.frontends.slack.many import ManyWorkspaces
from bridge.frontends.slack.served import Serving
from bridge.frontends.slack.settings import SlackSettings
from bridge.frontends.slack.surface import SlackSurface
from bridge.inbound import Address, Person, Seen
from bridge.installations import Installation, Installations, StoreAway, Tokens
from bridge.listening import as_ever
from bridge.playground.slack import SlackWorld
from bridge.playground.slack.teams import Teams, create_teams_app
from bridge.store.database import Database, database_url
from bridge.store.engine import Engine, StoreUnavailable
from bridge.store.installations import InstallationStore
from bridge.turns.surface import Gone, PartKey, PartKind, Unreachable
from tests.e2e.waiting import eventually
from tests.frontends.slack.memory import MemoryInbox
from tests.turns.world import unguarded

TEAM = "T0TEAM1"
KEY = SecretStr(base64.b64encode(os.urandom(32)).decode())


@pytest.fixture
def teams() -> Teams:
    teams = Teams(SlackWorld(rate=None))
    teams.token_seconds = 3_600.0
    return teams


@pytest.fixture
async def settings(teams: Teams) -> AsyncIterator[SlackSettings]:
    async with serve(create_teams_app(teams, "http://unused")) as url:
        yield SlackSettings(
            client_id=teams.client_id,
            client_secret=SecretStr(teams.client_secret),
            app_token=SecretStr("xapp-1"),
            api_url=f"{url}/api/",
        )


def replica(kept: Installations, settings: SlackSettings) -> Installed:
    return Installed(kept, settings, Serving(MemoryInbox(), lambda _: (), 24.0), Connections(), as_ever)


def store_on(engine: Engine) -> InstallationStore:
    return InstallationStore(engine, Cipher([KEY]))


async def install(teams: Teams, kept: Installations) -> Installation:
    """As if a person had come from Slack's page just now."""
    grant = teams.grants[TEAM].issue(teams.token_seconds)
    tokens = Tokens(SecretStr(grant.token), SecretStr(grant.refresh), grant.until)
    bot = teams.worlds[TEAM].bot
    scopes = frozenset(teams.worlds[TEAM].scopes)
    return await kept.put(Installation(TEAM, "One", bot.id, bot.bot_id or "", "A1", scopes, tokens))


class Slow:
    """A store that is away as often as it is told, for one kind of call."""

    def __init__(self, kept: Installations, name: str, times: int) -> None:
        self._kept, self._name, self.times = kept, name, times

    def __getattr__(self, name: str) -> object:
        async def call(*arguments: object) -> object:
            if name == self._name and self.times:
                self.times -= 1
                raise StoreAway("locked")
            return await getattr(self._kept, name)(*arguments)

        return call


async def test_of_several_replicas_one_refreshes_and_all_go_on(
    teams: Teams, settings: SlackSettings, migrated_url: str
) -> None:
    async with AsyncExitStack() as stack:
        engines: Sequence[Engine]
        if migrated_url.startswith("sqlite"):
            database = Database(database_url(migrated_url))
            engines = [await stack.enter_async_context(database.prepared("one"))] * 3
            stack.push_async_callback(database.close)
        else:
            databases = [Database(database_url(migrated_url)) for _ in range(3)]
            engines = [
                await stack.enter_async_context(opened.prepared(f"replica-{n}"))
                for n, opened in enumerate(databases)
            ]
            for opened in databases:
                stack.push_async_callback(opened.close)
        replicas = [replica(store_on(engine), settings) for engine in engines]
        await install(teams, store_on(engines[0]))
        grants = teams.grants[TEAM]
        for round_ in range(1, 4):
            for one in replicas:
                await one.load()
            for one in replicas:
                one.refresh_due()
                one.refresh_due()
            await eventually(lambda: not any(one._refreshing for one in replicas))
            for one in replicas:
                await one.load()
            assert grants.refreshed == round_
            newest = {one.workspace(TEAM).token for one in replicas}
            assert newest == {grants.newest.token}
        assert teams.refused == 0


async def test_new_tokens_are_stored_before_they_are_used(
    teams: Teams, settings: SlackSettings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installed_module, "FIRST_PAUSE", 0.01)
    kept = Slow(store_on(engine), "refreshed", 3)
    one = replica(kept, settings)  # type: ignore[arg-type]
    before = await install(teams, store_on(engine))
    await one.load()
    workspace = one.workspace(TEAM)
    one.refresh_due()
    await eventually(lambda: kept.times < 3)
    assert before.tokens is not None
    assert kept.times == 0 or workspace.token == before.tokens.access.get_secret_value()
    await one.close()
    found = await store_on(engine).find(TEAM)
    assert found is not None
    assert found.tokens is not None
    assert workspace.token == found.tokens.access.get_secret_value() == teams.grants[TEAM].newest.token


async def test_whoever_dies_with_new_tokens_in_hand_leaves_the_old_one_working(
    teams: Teams, settings: SlackSettings, engine: Engine
) -> None:
    await install(teams, store_on(engine))
    grants = teams.grants[TEAM]
    old = grants.newest
    grants.refresh(old.refresh, 3_600.0)  # and its process died
    one = replica(store_on(engine), settings)
    await one.load()
    with capture_logs() as logs:
        for _ in range(3):
            one.refresh_due()
            await eventually(lambda: not one._refreshing)
    assert teams.refused == 1, "what Slack refused once isn't sent again"
    [told] = [line for line in logs if line["event"] == "slack.not_refreshed"]
    assert "installed there again" in told["mend"]
    await one.workspace(TEAM).client.auth_test()
    assert one.workspace(TEAM).token == old.token
    await install(teams, store_on(engine))
    await one.load()
    one.refresh_due()
    await eventually(lambda: not one._refreshing)
    assert one.workspace(TEAM).token == grants.newest.token


async def test_an_expired_token_is_refreshed_when_slack_says_so(
    teams: Teams, settings: SlackSettings, engine: Engine
) -> None:
    await install(teams, store_on(engine))
    one = replica(store_on(engine), settings)
    await one.load()
    workspace = one.workspace(TEAM)
    old = teams.grants[TEAM].newest
    old.until = 0.0
    with pytest.raises(Exception, match="token_expired"):
        await workspace.client.auth_test()
    await eventually(lambda: workspace.token != old.token)
    await workspace.client.auth_test()


async def test_a_workspace_that_is_not_installed_is_gone_and_one_that_nobody_could_look_up_is_not(
    settings: SlackSettings, engine: Engine
) -> None:
    kept = Slow(store_on(engine), "find", 2)
    one = replica(kept, settings)  # type: ignore[arg-type]
    address = Address("slack", "T9", "C0", "1.0")
    surface = SlackSurface(one.workspace("T9"), address, person=Person("U1"), guard=unguarded)
    key = PartKey("turn000000000001", PartKind.NOTICE)
    with pytest.raises(Unreachable):
        await surface.post(key, "hello", last=True)
    await eventually(lambda: kept.times == 0)
    with pytest.raises(Gone):
        await surface.post(key, "hello", last=True)


async def test_there_is_one_workspace_of_each_as_long_as_anybody_holds_it(
    teams: Teams, settings: SlackSettings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installed_module, "OPEN", 1)
    one = replica(store_on(engine), settings)
    await install(teams, store_on(engine))
    await one.load()
    held = one.workspace(TEAM)
    for other in ("T7", "T8"):
        one.served(other)
    assert one.served(TEAM).workspace is held
    assert len(one._recent) == 1
    await one.close()


async def test_the_sdk_keeps_nothing_of_its_own_where_our_variables_are_its_too(
    teams: Teams, settings: SlackSettings, engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SLACK_CLIENT_ID", "1.1")
    monkeypatch.setenv("SLACK_CLIENT_SECRET", "secret")
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    await install(teams, store_on(engine))
    one = replica(store_on(engine), settings)
    await one.load()
    body = {"type": "block_actions", "team": {"id": TEAM}, "user": {"id": "U1"}, "actions": [{"action_id": "x"}]}
    assert (await one.served(TEAM).dispatch(body)).status == 200
    assert list(home.iterdir()) == []
    await one.close()


async def test_doctor_tells_whether_slack_takes_the_apps_credentials(
    teams: Teams, settings: SlackSettings
) -> None:
    async def told(checked: SlackSettings) -> str:
        return next(str(one) for one in [one async for one in check_slack(checked, {})])

    assert (await told(settings)).startswith("ok   slack.client_id: accepted")
    wrong = settings.model_copy(update={"client_secret": SecretStr("wrong")})
    assert (await told(wrong)).startswith("fail slack.client_id: refused by Slack (bad_client_secret)")


async def test_a_workspace_that_is_not_installed_is_told_of_once(settings: SlackSettings, engine: Engine) -> None:
    many = ManyWorkspaces(settings, MemoryInbox(), store_on(engine), "https://b.example.com")
    with capture_logs() as lines:
        for team in ("T8", "T9", "T8", "T8"):
            answer = await many._dispatch(
                {"type": "event_callback", "team_id": team, "event": {"type": "message"}}
            )
            assert answer.status == 200
    assert [one["team"] for one in lines if one["event"] == "slack.not_installed"] == ["T8", "T9"]


async def test_when_nothing_was_heard_is_known_until_it_can_be_read_again(
    teams: Teams, settings: SlackSettings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket and the database were away at once, and the socket came back first."""
    inbox = MemoryInbox()
    many = ManyWorkspaces(settings, inbox, store_on(engine), "https://b.example.com")
    await install(teams, store_on(engine))
    await many.installed.load()
    missed: list[str] = []
    monkeypatch.setattr(many.installed.served(TEAM), "missed", missed.append)

    async def away(_: str) -> Sequence[Seen]:
        raise StoreUnavailable("gone")

    many._missed("1700000000.000000")
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(inbox, "seen", away)
        await many.catch_up()
    assert missed == []
    inbox.threads.append(Seen(Address("slack", TEAM, "C0", "1.0"), "1800000000.000000", False))
    await many.catch_up()
    assert missed == ["1700000000.000000"]
    await many.installed.close()
