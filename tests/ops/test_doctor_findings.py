"""What doctor says of a set-up that works, and of each thing that can be wrong with it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import sqlite3
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as StarletteRoute

from adapters.base import (
    AgentError,
    AuthenticationFailed,
    Checks,
    Lists,
    NotFound,
    ProtocolError,
    RateLimited,
    Rejected,
    TimedOut,
    Unavailable,
)
from adapters.http.failures import WrongAddress
from adapters.testing.backends import faults, sema4ai, simulated_backends
from adapters.testing.serving import serve
from bridge.agents import make_agent
from bridge.findings import Finding, Mark, fail, ok
from bridge.frontends.slack.settings import SlackSettings
from bridge.ops import check_agents, doctor
from bridge.ops.check_settings import check_settings
from bridge.ops.doctor import check_database, examine
from bridge.playground.discord import payloads
from bridge.playground.discord.model import Permission
from bridge.settings import AgentTable, DataSettings, HttpSettings, Settings
from bridge.store.database import open_database
from tests.e2e.waiting import PATIENCE
from tests.ops.everything import Everything
from tests.store.keys import encrypting, key

CHECKING = ("a2a", "agentok", "enthusiast", "openai", "sema4ai", "toqan")

Change = Callable[[Everything], object]


def about(findings: Sequence[Finding], place: str) -> list[Finding]:
    return [finding for finding in findings if finding.place == place]


def wrong(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.mark is not Mark.OK]


def nobody_listens() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


async def test_what_works_is_ok_from_top_to_bottom(everything: Everything) -> None:
    findings = await examine(everything.file())
    assert wrong(findings) == []
    places = list(dict.fromkeys(finding.place for finding in findings))
    assert places == [
        *("settings", "database_url", "http.port"),
        *("slack.bot_token", "slack.app_token", "discord.token", "discord"),
        *(f"agents.{kind}" for kind in everything.backends),
    ]


@pytest.mark.slow
async def test_nobody_notices_a_check(everything: Everything) -> None:
    await examine(everything.file())
    methods = {call.method for call in everything.slack.made_calls}
    assert methods == {"auth.test", "apps.connections.open", "views.publish"}
    published = everything.slack.calls("views.publish")
    assert {call.args["user_id"] for call in published} == {everything.slack.bot.id}  # whose Home tab nobody sees
    assert {call.method for call in everything.discord.calls()} == {"GET"}
    assert not everything.discord.gateway.connected
    assert [one.backend.count() for one in everything.backends.values()] == [0] * len(everything.backends)
    assert not (everything.folder / "threadbridge.db").exists()


def unprovable(everything: Everything) -> list[str]:
    """The agents that neither check themselves nor list conversations, so only their address is looked at."""
    client = httpx.AsyncClient()
    made = {
        kind: make_agent(kind, AgentTable(**table), client) for kind, table in everything.tables["agents"].items()
    }
    return [f"agents.{kind}" for kind, agent in made.items() if not isinstance(agent, Checks | Lists)]


@pytest.mark.slow
async def test_the_kinds_whose_key_cant_be_checked_say_so(everything: Everything) -> None:
    findings = await examine(everything.file())
    unchecked = [
        f"agents.{kind}"
        for kind in everything.backends
        if "isn't checked" in about(findings, f"agents.{kind}")[0].found
    ]
    assert unchecked == unprovable(everything)


@pytest.mark.slow
async def test_a_service_for_voice_notes_is_looked_at(everything: Everything) -> None:
    everything.tables["transcription"] = {"base_url": nobody_listens(), "model": "m", "api_key": "sk_ears"}
    [finding] = about(await examine(everything.file()), "transcription")
    assert finding.mark is Mark.FAIL
    assert "can't be reached" in finding.found
    assert "sk_ears" not in str(finding)


# --- the settings --------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_settings_that_cant_be_read_are_the_one_finding(everything: Everything) -> None:
    everything.tables["slack"]["bot_tokn"] = "xoxb-secret"
    (finding,) = await examine(everything.file())
    assert finding.mark is Mark.FAIL
    assert "did you mean 'bot_token'?" in finding.found
    assert "xoxb" not in str(finding)


@pytest.mark.slow
async def test_nothing_to_serve_is_said(everything: Everything) -> None:
    for table in ("slack", "discord", "agents"):
        del everything.tables[table]
    said = [finding.found for finding in wrong(await examine(everything.file()))]
    assert said == ["neither [slack] nor [discord] is configured", "no agent is configured"]


# --- the platforms -------------------------------------------------------------------------------------------


def lose_scopes(everything: Everything) -> None:
    everything.slack.scopes -= {"files:write", "im:history"}


def set_wrong(table: str, name: str, value: str) -> Change:
    return lambda everything: everything.tables[table].update({name: value})


def hear_everything(everything: Everything) -> None:
    no_intent(everything)
    everything.tables["routes"] = [{"platform": "discord", "agent": "toqan", "listen": "all"}]


def no_intent(everything: Everything) -> None:
    everything.discord.message_content = False


@pytest.mark.parametrize(
    ("change", "mark", "place", "said", "fix"),
    [
        (lose_scopes, Mark.FAIL, "slack.bot_token", "lacks the scopes files:write, im:history", "reinstall"),
        (
            set_wrong("slack", "bot_token", "xoxb-wrong"),
            Mark.FAIL,
            "slack.bot_token",
            "refused by Slack (invalid_auth)",
            "OAuth & Permissions",
        ),
        (
            set_wrong("slack", "app_token", "xapp-wrong"),
            Mark.FAIL,
            "slack.app_token",
            "refused by Slack (invalid_auth)",
            "connections:write",
        ),
        (
            lambda everything: everything.slack.faults.throttle("auth.test", 30),
            Mark.WARN,
            "slack.bot_token",
            "not checked",
            "Wait",
        ),
        (
            lambda everything: everything.slack.faults.break_down("auth.test", 404),
            Mark.FAIL,
            "slack.bot_token",
            "the answer isn't Slack's (HTTP 404)",
            "slack.api_url",
        ),
        (
            set_wrong("discord", "token", "MTIz.wrong.token"),
            Mark.FAIL,
            "discord.token",
            "refused by Discord",
            "Reset Token",
        ),
        (
            hear_everything,
            Mark.FAIL,
            "routes[0].listen",
            "so nothing is heard there",
            "Privileged Gateway Intents",
        ),
        (no_intent, Mark.WARN, "discord", "the Message Content intent is off", "direct messages still work"),
        (
            lambda everything: everything.discord.faults.refuse("GET /users/@me", 403, 40001),
            Mark.FAIL,
            "discord.token",
            "Discord answers with an error (login: HTTP 403, code 40001)",
            "discord.api_url",
        ),
        (
            lambda everything: everything.discord.faults.throttle("GET /users/@me", 60),
            Mark.WARN,
            "discord.token",
            "not checked",
            "Wait",
        ),
    ],
)
@pytest.mark.slow
async def test_what_is_wrong_with_a_platform_is_one_finding_with_its_fix(
    everything: Everything, change: Change, mark: Mark, place: str, said: str, fix: str
) -> None:
    change(everything)
    (finding,) = wrong(await examine(everything.file()))
    assert (finding.mark, finding.place) == (mark, place)
    assert said in finding.found
    assert fix in finding.fix


def routes(given: list[dict[str, str]], **changed: object) -> list[Finding]:
    """What is found in settings with both platforms and these routes."""
    tables = {
        "slack": {"bot_token": "xoxb-1", "app_token": "xapp-1"},
        "discord": {"token": "abc"},
        "agents": {"toqan": {"kind": "echo"}, "a2a": {"kind": "echo"}},
        "routes": given,
    }
    return check_settings(Settings.model_validate(tables | changed))


@pytest.mark.parametrize(("channel", "shape"), [("#general", "slack"), ("general", "slack"), ("C0123", "discord")])
def test_a_channels_name_in_a_route_fails_and_says_where_its_id_stands(channel: str, shape: str) -> None:
    found_all = routes([{"platform": shape, "channel": channel, "agent": "toqan"}])
    (finding,) = [one for one in wrong(found_all) if one.place.startswith("routes")]
    assert (finding.mark, finding.place) == (Mark.FAIL, "routes[0].channel")
    assert f"{channel!r} isn't a channel's id" in finding.found
    assert {"slack": "About", "discord": "Copy Channel ID"}[shape] in finding.fix


@pytest.mark.parametrize(
    ("first", "second", "shadowed"),
    [
        ({}, {"platform": "slack"}, True),
        ({"platform": "slack"}, {"platform": "slack", "channel": "C01234567"}, True),
        ({"channel": "C01234567"}, {"platform": "slack", "channel": "C01234567"}, True),
        ({"platform": "slack", "channel": "C01234567"}, {"platform": "slack"}, False),
        ({"platform": "discord"}, {"platform": "slack"}, False),
        ({"workspace": "T1"}, {"platform": "slack"}, False),
    ],
)
def test_a_route_that_is_never_reached_is_said(
    first: dict[str, str], second: dict[str, str], shadowed: bool
) -> None:
    found_all = routes([first | {"agent": "toqan"}, second | {"agent": "a2a"}])
    found = about(found_all, "routes[1]")
    assert [finding.mark for finding in found] == [Mark.WARN] * shadowed
    if shadowed:
        assert "never reached: routes[0]" in found[0].found


def test_a_route_of_a_platform_that_isnt_configured_is_said() -> None:
    found_all = routes([{"platform": "discord", "agent": "toqan"}], discord=None)
    (finding,) = about(found_all, "routes[0].platform")
    assert (finding.mark, "[discord] isn't configured" in finding.found) == (Mark.WARN, True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("http", "mark", "place", "said"),
    [
        ({"token": "x" * 40, "speak": ["slack:C0123"]}, Mark.OK, "http.token", "may speak first"),
        ({"token": "x" * 25, "speak": ["slack:C0123"]}, Mark.WARN, "http.token", "fewer than 32 characters"),
        ({"token": "x" * 40}, Mark.WARN, "http.speak", "names no place"),
        ({"ops_token": "x" * 25}, Mark.WARN, "http.ops_token", "fewer than 32 characters"),
        (
            {"ops_token": "x" * 40, "metrics_token": "x" * 40},
            Mark.WARN,
            "http.ops_token",
            "that of http.metrics_token",
        ),
        ({"public_url": "https://b.example.com"}, Mark.WARN, "http.metrics_token", "may read /metrics"),
        ({"speak": ["slack:C0123"]}, Mark.WARN, "http.speak", "without http.token"),
        ({"token": "x" * 40, "speak": ["discord:1"]}, Mark.WARN, "http.speak", "[discord] isn't configured"),
    ],
)
def test_each_token_for_http_is_looked_at(http: dict[str, Any], mark: Mark, place: str, said: str) -> None:
    slack = SlackSettings(bot_token=SecretStr("xoxb-1"), app_token=SecretStr("xapp-1"))
    found = check_settings(Settings(http=HttpSettings(**http), slack=slack))
    assert any((one.mark, one.place) == (mark, place) and said in one.found for one in found), found
    assert "x" * 25 not in str(found)


async def test_the_routes_channels_are_looked_up_on_slack(everything: Everything) -> None:
    here, elsewhere = everything.slack.channel("general"), everything.slack.channel("random")
    elsewhere.members.discard(everything.slack.bot.id)
    channels = [here.id, elsewhere.id, "C0NOWHERE"]
    everything.tables["routes"] = [{"platform": "slack", "channel": one, "agent": "toqan"} for one in channels]
    findings = await examine(everything.file())
    ok_one, not_in_it, unknown = (about(findings, f"routes[{index}].channel")[0] for index in range(3))
    assert (ok_one.mark, ok_one.found) == (Mark.OK, f"the app is in {here.id} and can read it")
    assert (not_in_it.mark, "/invite" in not_in_it.fix) == (Mark.WARN, True)
    assert (unknown.mark, "no channel C0NOWHERE" in unknown.found) == (Mark.FAIL, True)


@pytest.mark.parametrize(
    ("code", "found", "fix"),
    [
        ("missing_scope", "isn't checked, because the app lacks a scope for it", "threadbridge manifest slack"),
        ("never_heard_of", "isn't checked (never_heard_of)", "Try again later."),
    ],
)
@pytest.mark.slow
async def test_a_routes_channel_that_slack_doesnt_tell_about_is_said_to_be_unchecked(
    everything: Everything, code: str, found: str, fix: str
) -> None:
    everything.slack.faults.refuse("conversations.history", code)
    here = everything.slack.channel("general").id
    everything.tables["routes"] = [{"platform": "slack", "channel": here, "agent": "toqan"}]
    (finding,) = wrong(await examine(everything.file()))
    assert (finding.mark, finding.place, finding.found) == (Mark.WARN, "routes[0].channel", f"{here} {found}")
    assert fix in finding.fix


@pytest.mark.slow
async def test_an_app_made_without_a_home_tab_is_told_of_the_manifest(everything: Everything) -> None:
    assert wrong(await examine(everything.file())) == []
    everything.slack.home_tab_enabled = False
    (finding,) = wrong(await examine(everything.file()))
    assert (finding.mark, finding.place) == (Mark.WARN, "slack")
    assert "no Home tab" in finding.found
    assert "threadbridge manifest slack" in finding.fix


@pytest.mark.slow
async def test_the_routes_channels_are_looked_up_on_discord_with_what_the_bot_may_do_there(
    everything: Everything,
) -> None:
    world = everything.discord
    general, help_, random = (world.place(name) for name in ("general", "help", "random"))
    world.deny(random.id, Permission.CREATE_PUBLIC_THREADS | Permission.ATTACH_FILES)
    thread = await world.open_thread("ada", "general", "A thread")
    channels = [general.id, help_.id, random.id, thread, 10**17]
    everything.tables["routes"] = [
        {"platform": "discord", "channel": str(one), "agent": "toqan"} for one in channels
    ]
    findings = await examine(everything.file())
    found = [about(findings, f"routes[{index}].channel")[0] for index in range(5)]
    assert [finding.mark for finding in found] == [Mark.OK, Mark.OK, Mark.FAIL, Mark.FAIL, Mark.FAIL]
    assert "#random the bot lacks “Attach Files”, “Create Public Threads”" in found[2].found
    assert str(general.id) in found[3].fix
    assert "no channel" in found[4].found


@pytest.mark.slow
async def test_what_the_bot_lacks_in_other_channels_is_one_warning(
    everything: Everything,
) -> None:
    world = everything.discord
    for name in "abcde":
        world.add_channel(world.guild, name, denied=Permission.SEND_MESSAGES_IN_THREADS)
    world.add_channel(world.guild, "staff", denied=Permission.VIEW_CHANNEL)  # nobody asks the bot there
    (finding,) = wrong(about(await examine(everything.file()), "discord"))
    assert (finding.mark, finding.found) == (
        Mark.WARN,
        "Playground: the bot lacks “Send Messages in Threads” in #a, #b, #c and 2 more",
    )


@pytest.mark.slow
@pytest.mark.parametrize(("servers", "warned"), [("", True), ('"!1"', True), ('"1"', False)])
async def test_a_public_bot_without_a_list_of_servers_is_a_warning(
    everything: Everything, servers: str, warned: bool
) -> None:
    everything.discord.bot_public = True
    file = everything.file()
    file.write_text(f"{file.read_text(encoding='utf-8')}\n[access]\nservers = [{servers}]\n", encoding="utf-8")
    found = about(await examine(file), "access.servers")
    assert [finding.mark for finding in found] == ([Mark.WARN] if warned else [])


@pytest.mark.slow
async def test_a_bot_in_no_server_fails_with_its_invite_link(everything: Everything) -> None:
    everything.discord.guilds.clear()
    (finding,) = wrong(about(await examine(everything.file()), "discord"))
    assert (finding.mark, finding.found) == (Mark.FAIL, "the bot is in no server")
    assert f"client_id={everything.discord.application_id}" in finding.fix


@pytest.mark.slow
async def test_servers_that_cant_be_read_leave_what_is_known(everything: Everything) -> None:
    everything.discord.faults.refuse("GET /users/@me/guilds", 403, 40333)
    findings = await examine(everything.file())
    (finding,) = wrong(about(findings, "discord"))
    assert (finding.mark, "aren't checked" in finding.found) == (Mark.WARN, True)
    assert about(findings, "discord.token")[0].mark is Mark.OK


@pytest.mark.slow
async def test_a_port_that_another_program_has_fails(
    everything: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "PROBED_WITHIN", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        everything.tables["http"] = {"port": port}
        (finding,) = about(await examine(everything.file()), "http.port")
    assert finding.mark is Mark.FAIL
    assert f"can't listen on 127.0.0.1:{port} (Address already in use)" in finding.found


@pytest.mark.slow
async def test_a_port_that_a_running_threadbridge_has_is_ok(
    everything: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "PROBED_WITHIN", PATIENCE)
    app = Starlette(routes=[StarletteRoute("/healthz", lambda _request: JSONResponse({"status": "ok"}))])
    async with serve(app) as url:
        everything.tables["http"] = {"port": int(url.rpartition(":")[2])}
        (finding,) = about(await examine(everything.file()), "http.port")
    assert (finding.mark, "a Threadbridge that runs already" in finding.found) == (Mark.OK, True)


@pytest.mark.parametrize("flag", [1 << 18, 1 << 19])
@pytest.mark.slow
async def test_both_flags_of_the_intent_are_good(
    everything: Everything, monkeypatch: pytest.MonkeyPatch, flag: int
) -> None:
    monkeypatch.setattr(payloads, "HAS_MESSAGE_CONTENT", flag)
    assert ok("discord", "the Message Content intent is on") in await examine(everything.file())


@pytest.mark.slow
async def test_platforms_that_cant_be_reached_are_said(everything: Everything) -> None:
    nowhere = nobody_listens()
    everything.tables["slack"]["api_url"] = f"{nowhere}/api/"
    everything.tables["discord"]["api_url"] = f"{nowhere}/api/v10"
    findings = wrong(await examine(everything.file()))
    assert [finding.place for finding in findings] == ["slack.bot_token", "slack.app_token", "discord.token"]
    assert all("can't be reached" in finding.found for finding in findings)


@pytest.mark.slow
async def test_by_http_the_signing_secret_stands_for_the_app_token(everything: Everything) -> None:
    del everything.tables["slack"]["app_token"]
    everything.tables["slack"] |= {"mode": "http", "signing_secret": "sign-here"}
    findings = await examine(everything.file())
    assert wrong(findings) == []
    assert about(findings, "slack.signing_secret")
    assert {call.method for call in everything.slack.made_calls} == {"auth.test", "views.publish"}


# --- the agents ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CHECKING)
@pytest.mark.slow
async def test_a_wrong_key_is_refused(everything: Everything, kind: str) -> None:
    everything.tables["agents"][kind]["api_key"] = "another-key"
    everything.tables["agents"]["sema4ai"]["agent_id"] = (
        sema4ai.AGENT_ID
    )  # by its name it isn't found without a key
    (finding,) = wrong(await examine(everything.file()))
    assert (finding.mark, finding.place) == (Mark.FAIL, f"agents.{kind}")
    assert "the key was refused" in finding.found
    assert "another-key" not in str(finding)


@pytest.mark.parametrize("kind", simulated_backends())
@pytest.mark.slow
async def test_an_agent_that_cant_be_reached_fails_alone(everything: Everything, kind: str) -> None:
    everything.tables["agents"][kind]["base_url"] = nobody_listens()
    (finding,) = wrong(await examine(everything.file()))
    assert (finding.mark, finding.place) == (Mark.FAIL, f"agents.{kind}")
    assert "can't be reached" in finding.found
    assert f"agents.{kind}.base_url" in finding.fix


@pytest.mark.parametrize(
    ("fault", "mark", "said"),
    [
        (faults.refuse(404), Mark.FAIL, "a setting names what isn't there"),
        (faults.refuse(400), Mark.FAIL, "there is no data set 3: refused on purpose"),
        (faults.refuse(429), Mark.WARN, "too many requests"),
        (faults.refuse(503), Mark.FAIL, "can't be reached"),
        (faults.garbage(), Mark.FAIL, "answers like another service"),
    ],
)
@pytest.mark.slow
async def test_what_a_backend_answers_is_told_apart(
    everything: Everything, fault: faults.Fault, mark: Mark, said: str
) -> None:
    everything.backends["enthusiast"].backend.faults.add(faults.EVERY, fault, times=10)
    (finding,) = wrong(await examine(everything.file()))
    assert (finding.mark, finding.place) == (mark, "agents.enthusiast")
    assert said in finding.found


class Checked:
    """An agent that checks itself, and would also list."""

    def __init__(self, outcome: str | AgentError) -> None:
        self._outcome = outcome

    async def check(self) -> str:
        if isinstance(self._outcome, AgentError):
            raise self._outcome
        return self._outcome

    async def conversations(self) -> Sequence[str]:
        raise AssertionError("its own check comes first")


async def own_finding() -> Finding:
    async with httpx.AsyncClient() as client:
        (finding,) = [one async for one in check_agents.check_agent("own", AgentTable(kind="own"), client)]
    return finding


class UnknownTrouble(AgentError):
    """A kind of error that doctor has never heard of."""


@pytest.mark.parametrize(
    ("outcome", "mark", "found"),
    [
        ("gpt-9 answers", Mark.OK, "gpt-9 answers"),
        (AuthenticationFailed("401"), Mark.FAIL, "the key was refused (401)"),
        (NotFound("no model gpt-9"), Mark.FAIL, "a setting names what isn't there (no model gpt-9)"),
        (Rejected("data set 7 isn't yours"), Mark.FAIL, "refuses these settings (data set 7 isn't yours)"),
        (Unavailable("503"), Mark.FAIL, "can't be reached (503)"),
        (TimedOut("30 s"), Mark.FAIL, "can't be reached (30 s)"),
        (RateLimited("429"), Mark.WARN, "not checked: too many requests (429)"),
        (WrongAddress("htp://"), Mark.FAIL, "no request can be sent to its address (htp://)"),
        (ProtocolError("HTML"), Mark.FAIL, "answers like another service (HTML)"),
        (UnknownTrouble("odd"), Mark.FAIL, "answers like another service (odd)"),
    ],
)
async def test_an_agents_own_check_is_what_counts(
    monkeypatch: pytest.MonkeyPatch, outcome: str | AgentError, mark: Mark, found: str
) -> None:
    monkeypatch.setattr(check_agents, "make_agent", lambda *_: Checked(outcome))
    finding = await own_finding()
    assert (finding.mark, finding.place, finding.found) == (mark, "agents.own", found)


class Listing:
    """An agent that can't check itself, and lists."""

    def __init__(self, outcome: AgentError | None) -> None:
        self._outcome = outcome

    async def conversations(self) -> Sequence[str]:
        if self._outcome:
            raise self._outcome
        return []


@pytest.mark.parametrize(
    ("outcome", "mark", "found"),
    [
        (None, Mark.OK, "answers, and accepts what it is sent"),
        (AuthenticationFailed("401"), Mark.FAIL, "the key was refused (401)"),
        (Rejected("400"), Mark.WARN, "doesn't list conversations (400), so the key isn't checked"),
    ],
)
async def test_the_list_counts_where_an_agent_has_no_check_of_its_own(
    monkeypatch: pytest.MonkeyPatch, outcome: AgentError | None, mark: Mark, found: str
) -> None:
    monkeypatch.setattr(check_agents, "make_agent", lambda *_: Listing(outcome))
    finding = await own_finding()
    assert (finding.mark, finding.place) == (mark, "agents.own")
    assert found in finding.found


@pytest.mark.parametrize(
    ("status", "mark"),
    [
        *((status, Mark.OK) for status in (200, 401, 418)),
        *((status, Mark.WARN) for status in (302, 404, 410, 500, 599)),
    ],
)
async def test_an_address_alone_never_proves_the_key(status: int, mark: Mark) -> None:
    async def answer(_request: Request) -> Response:
        return Response(status_code=status, headers={"Location": "/elsewhere"} if status == 302 else {})

    app = Starlette(routes=[StarletteRoute("/", answer)])
    async with serve(app) as url, httpx.AsyncClient(trust_env=False) as client:
        finding = await check_agents.check_address("agents.x", url, client)
    assert finding.mark is mark
    assert f"HTTP {status}" in finding.found
    assert status >= 500 or "the key isn't checked" in finding.found


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"kind": "tokan"}, "kind is 'tokan'; known are"),
        ({"kind": "toqan"}, "api_key is missing (a toqan agent takes"),
        ({"kind": "toqan", "api_key": "k", "base_url": "htp://x"}, "no request can be sent to its address"),
        (
            {"kind": "toqan", "api_key": "k", "base_url": "http://127.0.0.1:x"},
            "no request can be sent to its address",
        ),
    ],
)
@pytest.mark.slow
async def test_an_agents_own_mistake_is_said_and_the_rest_is_checked(
    everything: Everything, table: dict[str, str], said: str
) -> None:
    everything.tables["agents"]["odd"] = table
    findings = await examine(everything.file())
    (finding,) = wrong(findings)
    assert (finding.mark, finding.place) == (Mark.FAIL, "agents.odd")
    assert said in finding.found
    assert len({one.place for one in findings}) == 8 + len(everything.backends)


@pytest.mark.slow
async def test_an_agent_without_an_address_is_checked_as_far_as_it_goes(everything: Everything) -> None:
    everything.tables["agents"] = {"plain": {"kind": "echo"}}
    assert wrong(await examine(everything.file())) == []


# --- the database --------------------------------------------------------------------------------------------


async def found(address: str, data: DataSettings | None = None) -> list[Finding]:
    return [finding async for finding in check_database(SecretStr(address), data or DataSettings())]


async def test_a_migrated_database_is_ok(any_database_url: str) -> None:
    async with open_database(any_database_url, create=True) as database:
        await database.upgrade()
    assert [finding.mark for finding in await found(any_database_url)] == [Mark.OK]


@pytest.mark.parametrize(
    ("used", "data", "mark", "said"),
    [
        ((), {}, None, ""),
        ((), {"keys": [key(1)]}, None, ""),
        ((1,), {"keys": [key(1)], "encrypt_text": True}, Mark.OK, "encrypted by key {0}"),
        ((1, 2), {"keys": [key(1), key(2)], "encrypt_text": True}, Mark.WARN, "older ones perhaps by another"),
        ((1,), {"keys": [key(1)]}, Mark.WARN, "older ones are encrypted"),
        ((1,), {"keys": [key(2)], "encrypt_text": True}, Mark.FAIL, "by key {0}, which isn't here"),
        ((1,), {}, Mark.FAIL, "by key {0}, which isn't here"),
    ],
)
async def test_the_keys_of_the_database_are_looked_for(
    migrated_sqlite: Path,
    tmp_path: Path,
    used: tuple[int, ...],
    data: dict[str, Any],
    mark: Mark | None,
    said: str,
) -> None:
    shutil.copyfile(migrated_sqlite, file := tmp_path / "threadbridge.db")
    ids = [encrypting(one).key_ids[0] for one in used]
    async with open_database(f"sqlite:///{file}") as database:
        for one in ids:
            await database.add_key_id(one)
    keys = (await found(f"sqlite:///{file}", DataSettings(**data)))[1:]
    assert [finding.mark for finding in keys] == ([mark] if mark else [])
    assert all(said.format(*ids) in finding.found for finding in keys)


async def test_an_unmigrated_postgresql_is_the_operators_to_upgrade(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    (finding,) = await found(request.getfixturevalue("postgres"))
    assert finding.mark is Mark.FAIL
    assert "threadbridge db upgrade" in finding.fix


async def test_an_unmigrated_sqlite_file_is_upgraded_by_run(tmp_path: Path) -> None:
    file = tmp_path / "old.db"
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE other (id INTEGER)")
    (finding,) = await found(f"sqlite:///{file}")
    assert finding.mark is Mark.WARN
    assert "threadbridge run" in finding.fix


async def test_a_sqlite_file_that_isnt_there_is_made_by_run_and_not_by_doctor(tmp_path: Path) -> None:
    (finding,) = await found(f"sqlite:///{tmp_path / 'new.db'}")
    assert finding.mark is Mark.OK
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("sqlite:///{folder}/nowhere/x.db", "nowhere doesn't exist"),
        ("sqlite:///{folder}/text.db", "file is not a database"),
        ("mysql://u:hunter2@127.0.0.1/x", "runs on sqlite and postgresql"),
        ("postgresql://u:hunter2@127.0.0.1:{port}/x", "can't open"),
    ],
)
async def test_a_database_that_cant_be_used_fails_and_shows_no_password(
    tmp_path: Path, address: str, said: str
) -> None:
    (tmp_path / "text.db").write_text("This is a letter, not a database. " * 100)
    port = nobody_listens().rpartition(":")[2]
    (finding,) = await found(address.format(folder=tmp_path, port=port))
    assert finding.mark is Mark.FAIL
    assert said in finding.found
    assert "hunter2" not in str(finding)


# --- all of it -----------------------------------------------------------------------------------------------


async def test_no_check_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async def endless() -> AsyncGenerator[Finding]:
        yield ok("slack.bot_token", "so far")
        await asyncio.Event().wait()

    monkeypatch.setattr(doctor, "CHECK_WITHIN", 0.05)
    found, late = await doctor.bounded("slack", endless())
    assert found == ok("slack.bot_token", "so far"), "what was found before stays"
    assert (late.mark, late.place, late.found) == (Mark.FAIL, "slack", "no answer within 0.05 seconds")


@pytest.mark.slow
async def test_no_check_holds_up_another(everything: Everything, monkeypatch: pytest.MonkeyPatch) -> None:
    discord_looked = asyncio.Event()

    async def waits(*_: object) -> AsyncGenerator[Finding]:
        await discord_looked.wait()
        yield ok("slack", "after Discord, which is looked at later")

    async def is_waited_for(*_: object, **_more: object) -> AsyncGenerator[Finding]:
        discord_looked.set()
        yield ok("discord", "looked at")

    monkeypatch.setattr(doctor, "check_slack", waits)
    monkeypatch.setattr(doctor, "check_discord", is_waited_for)
    assert wrong(await examine(everything.file())) == []


@pytest.mark.slow
async def test_a_check_that_breaks_is_a_finding_without_its_words(
    everything: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_settings: object, _channels: object) -> AsyncGenerator[Finding]:
        yield ok("slack", "so far")
        raise RuntimeError("hunter2")

    monkeypatch.setattr(doctor, "check_slack", broken)
    findings = await examine(everything.file())
    (finding,) = wrong(findings)
    assert "the check broke off (RuntimeError)" in finding.found
    assert "hunter2" not in str(finding)
    assert about(findings, "discord.token")


async def test_secrets_are_never_said(everything: Everything) -> None:
    secrets = everything.secrets
    good = await examine(everything.file())
    lose_scopes(everything)
    everything.slack.app_token, everything.discord.token = "xapp-new", "new.token.now"
    for one in everything.backends.values():
        one.backend.key = "changed"
    bad = await examine(everything.file())
    assert len(wrong(bad)) == 3 + len(CHECKING)
    said = "\n".join(map(str, [*good, *bad]))
    assert [secret for secret in secrets if secret in said] == []


def test_a_finding_is_one_line_whatever_a_service_says() -> None:
    line = str(fail("agents.x", "said\n\x1b[31mred\r\nand " + "more " * 1_000, "Mend it."))
    assert line.isprintable()
    assert line.startswith("fail agents.x: said")
    assert line.endswith("… Mend it.") or line.endswith("…. Mend it.")
