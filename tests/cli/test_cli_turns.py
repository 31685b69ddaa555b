"""`threadbridge turns`, `db` and `manifest`."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from adapters.testing.backends import faults
from tests.cli.command import WHOLE_TEST
from tests.cli.conftest import Command
from tests.e2e.people import People, text_of
from tests.e2e.running import at_rest, states
from tests.e2e.town import Town
from tests.e2e.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(WHOLE_TEST)]


@pytest.mark.usefixtures("bridging")
async def test_turns_are_listed_shown_and_retried(
    town: Town, people: People, database: Path, command: Command
) -> None:
    town.backend("toqan").faults.add("create", faults.refuse(401))
    failed = await people.say("ada", "toqan", "@threadbridge a question\nof two lines")
    assert await at_rest(database, 1) == ["failed"]
    await people.say("grace", "sema4ai", "@threadbridge a table")
    assert await at_rest(database, 2) == ["failed", "done"]

    listed = await command("turns")
    assert listed.code == 0, listed.err
    newest, oldest = [line.split("\t") for line in listed.out.splitlines()]
    assert newest[1].strip() == "done"
    assert newest[4:6] == ["sema4ai", "answered"]
    assert newest[6].endswith(" a table")
    assert oldest[1].strip() == "failed"
    assert oldest[3] == f"{people.name}:{failed.channel}:{failed.id}"
    assert oldest[4:6] == ["toqan", "authentication_failed"]
    assert oldest[6].endswith(" a question of two lines")

    only = await command("turns", "--state", "failed")
    assert [line.split("\t")[0] for line in only.out.splitlines()] == [oldest[0]]
    one = await command("turns", "--thread", failed.id)
    assert [line.split("\t")[0] for line in one.out.splitlines()] == [oldest[0]]

    shown = await command("turns", "show", newest[0])
    assert shown.code == 0, shown.err
    record = json.loads(shown.out)
    assert record["turn"]["text"].endswith("a table")
    assert record["thread"]["agent"] == "sema4ai"
    assert sorted((part["kind"], part["index"]) for part in record["parts"]) == [("p", 0), ("t", 0)]
    assert [artifact["name"] for artifact in record["artifacts"]] == ["sales"]

    retried = await command("turns", "retry", oldest[0])
    assert retried.code == 0, retried.err
    assert await at_rest(database, 3) == ["failed", "done", "done"]
    assert town.backend("toqan").count() == 1
    assert "a question of two lines" in text_of(people.shown(failed))
    again = await command("turns", "retry", oldest[0])
    assert again.is_one_sentence("sent again already"), again.err


async def test_what_there_is_no_turn_of(command: Command, database: Path) -> None:
    before = await command("turns")
    assert before.is_one_sentence("there is no", f"{database.name} yet", "threadbridge run"), before.err
    upgraded = await command("db", "upgrade")
    assert upgraded.code == 0, upgraded.err
    assert upgraded.out.startswith("the database is at ")
    assert states(database) == []

    empty = await command("turns")
    assert (empty.code, empty.out, empty.err) == (0, "", "no turn is stored yet\n")
    none = await command("turns", "--state", "failed")
    assert (none.code, none.out, none.err) == (0, "", "no turn is like that\n")
    for arguments in (("turns", "show", "nothing"), ("turns", "retry", "nothing")):
        ended = await command(*arguments)
        assert ended.is_one_sentence("there is no turn nothing"), ended.err
    state = await command("turns", "--state", "broken")
    assert state.is_one_sentence("--state is 'broken'", "received", "waiting"), state.err


async def test_manifests(command: Command, config: Path, tmp_path: Path) -> None:
    slack = await command("manifest", "slack")
    assert slack.code == 0, slack.err
    manifest = json.loads(slack.out)
    assert manifest["settings"]["socket_mode_enabled"] is True
    assert "chat:write" in manifest["oauth_config"]["scopes"]["bot"]
    assert "app_mention" in manifest["settings"]["event_subscriptions"]["bot_events"]

    real = tmp_path / "real.toml"
    token = "MTIzNDU2Nzg5MDEyMzQ1Njc4.abcdef.ghijklmnopqrstuvwxyz"
    text = config.read_text(encoding="utf-8").replace("simulated-discord-token", token)
    real.write_text(text, encoding="utf-8")
    discord = await command("manifest", "discord", settings=real)
    assert discord.code == 0, discord.err
    assert "client_id=123456789012345678" in discord.out
    assert "Message Content" in discord.out
    assert token not in discord.out + discord.err


@pytest.mark.usefixtures("bridging")
async def test_feedback_is_listed_counted_and_written_as_csv(
    people: People, database: Path, command: Command, tmp_path: Path
) -> None:
    none = await command("feedback")
    assert (none.code, none.out) == (0, "")
    thread = await people.say("ada", "fifthelement", "@threadbridge =what?")
    assert await at_rest(database, 1) == ["done"]
    shown = people.shown(thread)[-1]
    await people.press("ada", shown, "Good answer")
    await people.press("grace", shown, "Bad answer")
    await eventually(lambda: len(people.private("ada")) == len(people.private("grace")) == 1)

    listed = await command("feedback", "--agent", "fifthelement", "--since", "1")
    assert [line.split("\t")[3].strip() for line in listed.out.splitlines()] == ["bad", "good"]
    assert "1 good, 1 bad" in listed.err
    assert not (await command("feedback", "--agent", "toqan")).out
    file = tmp_path / "feedback.csv"
    assert (await command("feedback", "--csv", str(file))).code == 0
    rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"), newline="")))
    assert [row["rating"] for row in rows] == ["bad", "good"]
    assert (await command("feedback", "--csv", "-")).out.startswith("at,agent,rating")
    wrong = await command("feedback", "--csv", str(tmp_path / "no" / "such"))
    assert wrong.is_one_sentence("--csv", "can't be written"), wrong.err
