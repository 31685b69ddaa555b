"""Whatever is wrong with the set-up: one sentence that says what to do, and exit code 1."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.cli.command import WHOLE_TEST, run_command
from tests.cli.conftest import Command
from tests.e2e.people import SlackPeople
from tests.e2e.running import as_toml, running
from tests.e2e.town import Town

pytestmark = [pytest.mark.slow, pytest.mark.timeout(WHOLE_TEST)]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("port = = 1", ["isn't valid TOML", "line 1"]),
        ('[slak]\nbot_token = "x"', ["unknown key slak", "'slack'"]),
        ('[slack]\nbot_token = "secret-word"', ["slack.bot_token", "xoxb-", "OAuth & Permissions"]),
        ('[slack]\nbot_token = "xoxb-1"', ["slack", "app_token"]),
        ('[discord]\ntoken = "two words"', ["discord.token", "Developer Portal"]),
        ('[http]\nport = "many"', ["http.port"]),
        ('default_agent = "x"\n[agents.y]\nkind = "echo"', ["default_agent", "[agents.x]"]),
        ("[agents.y]\ndeadline = 3", ["agents.y.kind is missing"]),
        ('[discord]\ntoken = "abc"', ["no agent", "[agents.NAME]"]),
        ('[agents.y]\nkind = "echo"', ["neither [slack] nor [discord]"]),
        ('[discord]\ntoken = "abc"\n[agents.y]\nkind = "toqa"', ["agents.y.kind is 'toqa'", "toqan"]),
        ('[discord]\ntoken = "abc"\n[agents.y]\nkind = "toqan"', ["agents.y", "is missing", "api_key"]),
        (
            'database_url = "mysql://u:pw-secret@h/d"\n[discord]\ntoken = "abc"\n[agents.y]\nkind = "echo"',
            ["database_url", "sqlite and postgresql"],
        ),
        (
            'database_url = "sqlite:///no/such/folder/x.db"\n[discord]\ntoken = "abc"\n[agents.y]\nkind = "echo"',
            ["no/such/folder", "doesn't exist"],
        ),
        (
            'database_url = "postgresql://u:pw-secret@127.0.0.1:9/d"\n[discord]\ntoken = "abc"\n'
            '[agents.y]\nkind = "echo"',
            ["database_url", "127.0.0.1:9"],
        ),
    ],
)
async def test_settings_that_are_wrong(tmp_path: Path, written: str, words: list[str]) -> None:
    config = tmp_path / "threadbridge.toml"
    config.write_text(written, encoding="utf-8")
    ended = await run_command("run", folder=tmp_path)
    assert ended.is_one_sentence(*words), ended.err
    assert "secret" not in ended.err


async def test_settings_that_are_not_there(tmp_path: Path) -> None:
    ended = await run_command("run", "--config", "elsewhere.toml", folder=tmp_path)
    assert ended.is_one_sentence("elsewhere.toml doesn't exist", "threadbridge init"), ended.err


async def test_a_wrong_slack_bot_token(town: Town, command: Command, database: Path) -> None:
    config = town.settings(database).model_copy(update={"discord": None})
    path = database.with_name("wrong.toml")
    path.write_text(as_toml(config).replace(town.slack.bot_token, "xoxb-mistyped"), encoding="utf-8")
    ended = await command("run", settings=path)
    assert ended.is_one_sentence("slack.bot_token (invalid_auth)", "OAuth & Permissions"), ended.err
    assert "xoxb-mistyped" not in ended.err


async def test_a_wrong_slack_app_token(town: Town, command: Command, database: Path) -> None:
    path = database.with_name("wrong.toml")
    settings = as_toml(town.settings(database)).replace(town.slack.app_token, "xapp-mistyped")
    path.write_text(settings, encoding="utf-8")
    ended = await command("run", settings=path)
    assert ended.is_one_sentence("slack.app_token", "connections:write"), ended.err
    assert "xapp-mistyped" not in ended.err


async def test_a_wrong_discord_token(town: Town, command: Command, database: Path) -> None:
    path = database.with_name("wrong.toml")
    settings = as_toml(town.settings(database)).replace(town.discord.token, "mistyped")
    path.write_text(settings, encoding="utf-8")
    ended = await command("run", settings=path)
    assert ended.is_one_sentence("Discord refused the token", "Bot > Reset Token"), ended.err
    assert '"mistyped"' not in ended.err


async def test_a_port_in_use(town: Town, command: Command, database: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        path = database.with_name("port.toml")
        path.write_text(as_toml(town.settings(database)).replace("port = 0", f"port = {port}"), encoding="utf-8")
        ended = await command("run", settings=path)
        assert ended.is_one_sentence(f"can't listen on 127.0.0.1:{port}", "in use"), ended.err
        demo = await run_command("demo", "--no-browser", "--port", str(port), folder=database.parent)
        assert demo.is_one_sentence(f"--port {port}", "in use"), demo.err


@pytest.mark.parametrize("platform", ["slack"])
async def test_a_database_that_another_process_serves(
    town: Town, people: SlackPeople, command: Command, config: Path
) -> None:
    async with running(config, people):
        ended = await command("run")
        assert ended.is_one_sentence("another threadbridge already serves", "PostgreSQL"), ended.err
        listed = await command("turns")
        assert (listed.code, listed.out) == (0, "")
