"""What doctor says of a set-up that works, and of each thing that can be wrong with it."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.testing.backends import faults, sema4ai
from bridge.findings import Finding, Mark, fail, ok
from bridge.ops import doctor
from bridge.ops.doctor import check_database, examine
from bridge.playground.discord import payloads
from bridge.store.database import open_database
from tests.ops.everything import Everything

LISTING = ("a2a", "agentok", "enthusiast", "sema4ai")
SILENT = ("fifthelement", "openai", "toqan")  # list no conversations

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
        *("settings", "database_url", "slack.bot_token", "slack.app_token", "discord.token", "discord"),
        *(f"agents.{kind}" for kind in everything.backends),
    ]


async def test_nobody_notices_a_check(everything: Everything) -> None:
    await examine(everything.file())
    assert {call.method for call in everything.slack.made_calls} == {"auth.test", "apps.connections.open"}
    assert {call.method for call in everything.discord.calls()} == {"GET"}
    assert not everything.discord.gateway.connected
    assert [one.backend.count() for one in everything.backends.values()] == [0] * len(everything.backends)
    assert not (everything.folder / "threadbridge.db").exists()


async def test_the_kinds_whose_key_cant_be_checked_say_so(everything: Everything) -> None:
    findings = await examine(everything.file())
    unchecked = [
        kind for kind in everything.backends if "isn't checked" in about(findings, f"agents.{kind}")[0].said
    ]
    assert sorted(unchecked) == sorted(SILENT)


# --- the settings --------------------------------------------------------------------------------------------


async def test_settings_that_cant_be_read_are_the_one_finding(everything: Everything) -> None:
    everything.tables["slack"]["bot_tokn"] = "xoxb-secret"
    (finding,) = await examine(everything.file())
    assert finding.mark is Mark.FAIL
    assert "did you mean 'bot_token'?" in finding.said
    assert "xoxb" not in str(finding)


async def test_nothing_to_serve_is_said(everything: Everything) -> None:
    for table in ("slack", "discord", "agents"):
        del everything.tables[table]
    said = [finding.said for finding in wrong(await examine(everything.file()))]
    assert said == ["neither [slack] nor [discord] is configured", "no agent is configured"]


# --- the platforms -------------------------------------------------------------------------------------------


def lose_scopes(everything: Everything) -> None:
    everything.slack.scopes -= {"files:write", "im:history"}


def set_wrong(table: str, name: str, value: str) -> Change:
    return lambda everything: everything.tables[table].update({name: value})


def no_intent(everything: Everything) -> None:
    everything.discord.message_content = False


@pytest.mark.parametrize(
    ("change", "mark", "place", "said", "mend"),
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
async def test_what_is_wrong_with_a_platform_is_one_finding_with_its_mend(
    everything: Everything, change: Change, mark: Mark, place: str, said: str, mend: str
) -> None:
    change(everything)
    (finding,) = wrong(await examine(everything.file()))
    assert (finding.mark, finding.place) == (mark, place)
    assert said in finding.said
    assert mend in finding.mend


@pytest.mark.parametrize("flag", [1 << 18, 1 << 19])
async def test_both_flags_of_the_intent_are_good(
    everything: Everything, monkeypatch: pytest.MonkeyPatch, flag: int
) -> None:
    monkeypatch.setattr(payloads, "HAS_MESSAGE_CONTENT", flag)
    assert about(await examine(everything.file()), "discord") == [
        ok("discord", "the Message Content intent is on")
    ]


@pytest.mark.slow
async def test_platforms_that_cant_be_reached_are_said(everything: Everything) -> None:
    nowhere = nobody_listens()
    everything.tables["slack"]["api_url"] = f"{nowhere}/api/"
    everything.tables["discord"]["api_url"] = f"{nowhere}/api/v10"
    findings = wrong(await examine(everything.file()))
    assert [finding.place for finding in findings] == ["slack.bot_token", "slack.app_token", "discord.token"]
    assert all("can't be reached" in finding.said for finding in findings)


async def test_by_http_the_signing_secret_stands_for_the_app_token(everything: Everything) -> None:
    del everything.tables["slack"]["app_token"]
    everything.tables["slack"] |= {"mode": "http", "signing_secret": "sign-here"}
    findings = await examine(everything.file())
    assert wrong(findings) == []
    assert about(findings, "slack.signing_secret")
    assert {call.method for call in everything.slack.made_calls} == {"auth.test"}


# --- the agents ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LISTING)
async def test_a_wrong_key_is_refused(everything: Everything, kind: str) -> None:
    everything.tables["agents"][kind]["api_key"] = "another-key"
    everything.tables["agents"]["sema4ai"]["agent_id"] = (
        sema4ai.AGENT_ID
    )  # by its name it isn't found without a key
    (finding,) = wrong(await examine(everything.file()))
    assert (finding.mark, finding.place) == (Mark.FAIL, f"agents.{kind}")
    assert "the key was refused" in finding.said
    assert "another-key" not in str(finding)


@pytest.mark.parametrize("kind", [*LISTING, *SILENT])
async def test_an_agent_that_cant_be_reached_fails_alone(everything: Everything, kind: str) -> None:
    everything.tables["agents"][kind]["base_url"] = nobody_listens()
    (finding,) = wrong(await examine(everything.file()))
    assert (finding.mark, finding.place) == (Mark.FAIL, f"agents.{kind}")
    assert "can't be reached" in finding.said
    assert f"agents.{kind}.base_url" in finding.mend


@pytest.mark.parametrize(
    ("fault", "mark", "said"),
    [
        (faults.refuse(404), Mark.FAIL, "there is no such place"),
        (faults.refuse(400), Mark.WARN, "the key isn't checked"),
        (faults.refuse(429), Mark.WARN, "too many requests"),
        (faults.refuse(503), Mark.FAIL, "can't be reached"),
        (faults.garbage(), Mark.FAIL, "answers like another service"),
    ],
)
async def test_what_a_backend_answers_is_told_apart(
    everything: Everything, fault: faults.Fault, mark: Mark, said: str
) -> None:
    everything.backends["enthusiast"].backend.faults.add(faults.EVERY, fault, times=10)
    (finding,) = wrong(await examine(everything.file()))
    assert (finding.mark, finding.place) == (mark, "agents.enthusiast")
    assert said in finding.said


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"kind": "tokan"}, "kind is 'tokan'; known are"),
        ({"kind": "toqan"}, "api_key is missing; a toqan agent takes"),
        ({"kind": "toqan", "api_key": "k", "base_url": "htp://x"}, "can't be reached (UnsupportedProtocol)"),
        ({"kind": "toqan", "api_key": "k", "base_url": "http://127.0.0.1:x"}, "can't be reached (InvalidURL)"),
    ],
)
async def test_an_agents_own_mistake_is_said_and_the_rest_is_checked(
    everything: Everything, table: dict[str, str], said: str
) -> None:
    everything.tables["agents"]["odd"] = table
    findings = await examine(everything.file())
    (finding,) = wrong(findings)
    assert (finding.mark, finding.place) == (Mark.FAIL, "agents.odd")
    assert said in finding.said
    assert len({one.place for one in findings}) == 7 + len(everything.backends)


async def test_an_agent_without_an_address_is_checked_as_far_as_it_goes(everything: Everything) -> None:
    everything.tables["agents"] = {"plain": {"kind": "echo"}}
    assert wrong(await examine(everything.file())) == []


# --- the database --------------------------------------------------------------------------------------------


async def found(address: str) -> list[Finding]:
    return [finding async for finding in check_database(SecretStr(address))]


async def test_a_migrated_database_is_ok(any_database_url: str) -> None:
    async with open_database(any_database_url, create=True) as database:
        await database.upgrade()
    assert [finding.mark for finding in await found(any_database_url)] == [Mark.OK]


async def test_an_unmigrated_postgresql_is_the_operators_to_upgrade(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    (finding,) = await found(request.getfixturevalue("postgres"))
    assert finding.mark is Mark.FAIL
    assert "threadbridge db upgrade" in finding.mend


async def test_an_unmigrated_sqlite_file_is_upgraded_by_run(tmp_path: Path) -> None:
    file = tmp_path / "old.db"
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE other (id INTEGER)")
    (finding,) = await found(f"sqlite:///{file}")
    assert finding.mark is Mark.WARN
    assert "threadbridge run" in finding.mend


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
    assert said in finding.said
    assert "hunter2" not in str(finding)


# --- all of it -----------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_no_check_waits_for_ever_or_holds_up_another(
    everything: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything.slack.faults.delay("apps.connections.open", 30)
    everything.backends["sema4ai"].backend.faults.add(faults.EVERY, faults.late(30))
    monkeypatch.setattr(doctor, "CHECK_WITHIN", 1.0)
    findings = await examine(everything.file())
    late = wrong(findings)
    assert [finding.place for finding in late] == ["slack", "agents.sema4ai"]
    assert all(finding.said == "no answer within 1 seconds" for finding in late)
    assert about(findings, "slack.bot_token"), "what was found before stays"


async def test_a_check_that_breaks_is_a_finding_without_its_words(
    everything: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_settings: object) -> AsyncGenerator[Finding]:
        yield ok("slack", "so far")
        raise RuntimeError("hunter2")

    monkeypatch.setattr(doctor, "check_slack", broken)
    findings = await examine(everything.file())
    (finding,) = wrong(findings)
    assert "the check broke off (RuntimeError)" in finding.said
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
    assert len(wrong(bad)) == 3 + len(LISTING)
    said = "\n".join(map(str, [*good, *bad]))
    assert [secret for secret in secrets if secret in said] == []


def test_a_finding_is_one_line_whatever_a_service_says() -> None:
    line = str(fail("agents.x", "said\n\x1b[31mred\r\nand " + "more " * 1_000, "Mend it."))
    assert line.isprintable()
    assert line.startswith("fail agents.x: said")
    assert line.endswith("… Mend it.") or line.endswith("…. Mend it.")
