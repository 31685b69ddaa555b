"""`threadbridge init`: what is answered stands in a file that loads, and nothing else happens."""

from __future__ import annotations

import asyncio
import os
import pty
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from bridge.agents import load_adapter
from bridge.cli import init as setup
from bridge.cli.commands import app
from bridge.cli.settings_file import Line, Value, text_of
from bridge.frontends.slack.settings import SlackSettings
from bridge.settings import Settings, load
from tests.cli.command import PATIENCE, WHOLE_TEST
from tests.ops.everything import Everything, serve_everything

pytestmark = pytest.mark.timeout(WHOLE_TEST)

ROOT = Path(__file__).parents[2]
DISCORD_TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4.a.b"
BY_SOCKET = ["slack", "socket", "xoxb-1", "xapp-1"]
ECHO = ["echo", ""]
NOTHING_WRITTEN = (
    "threadbridge: not all questions were answered, so nothing was written; `threadbridge init` asks at a terminal"
)
NO_FOLDER = "threadbridge: nowhere/x.toml: the folder nowhere doesn't exist"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("THREADBRIDGE_", "SLACK_", "DISCORD_", "DATABASE_URL")):
            monkeypatch.delenv(name)


def init(*answers: str, arguments: tuple[str, ...] = ()) -> Result:
    """Without a network."""
    return invoke("--offline", *arguments, answers=answers)


def invoke(*arguments: str, answers: tuple[str, ...]) -> Result:
    return CliRunner().invoke(app, ["init", *arguments], input="".join(f"{answer}\n" for answer in answers))


def written() -> Settings:
    return load(Path("threadbridge.toml"))


def plain(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in values.items()
    }


def test_both_platforms_and_an_agent_are_asked_for_written_and_loaded() -> None:
    result = init("both", "socket", "xoxb-1", "xapp-1", DISCORD_TOKEN, "", "toqan", "support", "sk_1")
    assert result.exit_code == 0, result.output
    settings = written()
    assert settings.slack is not None
    asked_for = SlackSettings(bot_token=SecretStr("xoxb-1"), app_token=SecretStr("xapp-1"))
    assert plain(dict(settings.slack)) == plain(dict(asked_for)), "all else is as it is by itself"
    assert settings.discord is not None
    assert settings.discord.token.get_secret_value() == DISCORD_TOKEN
    assert settings.default_agent == "support"
    assert settings.agents["support"].kind == "toqan"
    assert settings.agents["support"].rest == {"api_key": "sk_1"}


def test_only_its_owner_can_read_the_file() -> None:
    Path("threadbridge.toml").write_text("")
    Path("threadbridge.toml").chmod(0o644)
    init("y", *BY_SOCKET, *ECHO)
    assert Path("threadbridge.toml").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in Path().iterdir()] == ["threadbridge.toml"]


def test_by_http_the_signing_secret_is_asked_for() -> None:
    result = init("slack", "http", "xoxb-1", "sign", *ECHO)
    slack = written().slack
    assert slack is not None
    assert slack.mode == "http"
    assert slack.signing_secret == SecretStr("sign")
    assert slack.app_token is None
    assert "YOUR-HOST" in result.output


def test_it_says_where_a_token_is_to_be_had_before_it_asks_for_it() -> None:
    slack = init(*BY_SOCKET, *ECHO).output
    assert slack.index("https://api.slack.com/apps?new_app=1&manifest_json=%7B") < slack.index(
        "slack.bot_token, at"
    )
    assert "Discord" not in slack
    discord = init("y", "discord", DISCORD_TOKEN, "", *ECHO).output
    assert "api.slack.com" not in discord
    assert discord.index("switch on Message Content") < discord.index("discord.token, at")
    assert discord.index("Reset Token shows the token") < discord.index("discord.token, at")
    for said in (slack, discord):
        assert said.index("threadbridge doctor") < said.index("threadbridge run")


def test_it_ends_with_the_invite_link() -> None:
    result = init("both", *BY_SOCKET[1:], DISCORD_TOKEN, "", *ECHO)
    assert "client_id=123456789012345678" in result.output.splitlines()[-1]


def test_another_file_is_named_in_the_next_steps(tmp_path: Path) -> None:
    result = init(*BY_SOCKET, *ECHO, arguments=("--config", "my settings.toml"))
    assert "threadbridge doctor --config 'my settings.toml'" in result.output
    assert load(Path("my settings.toml")).slack is not None


# --- secrets -------------------------------------------------------------------------------------------------


def test_secrets_are_never_printed() -> None:
    secrets = ["xoxb-hidden", "xapp-hidden", DISCORD_TOKEN, "sk_hidden"]
    result = init("both", "socket", "nope-hidden", *secrets[:3], "", "toqan", "", "sk_hidden")
    assert result.exit_code == 0, result.output
    assert [secret for secret in [*secrets, "nope-hidden"] if secret in result.output] == []


@pytest.mark.slow
def test_on_a_terminal_a_secret_isnt_shown_while_it_is_typed(tmp_path: Path) -> None:
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "bridge", "init", "--offline"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
    )
    os.close(end)
    shown = ""
    answers = {
        "Which platforms": "discord",
        "discord.token": DISCORD_TOKEN,
        "discord.access.servers": "",
        "Which kind": "echo",
        "A name": "helpful",
    }
    try:
        for question, answer in answers.items():
            while not shown.rpartition(question)[1] or not shown.endswith(": "):
                shown += os.read(terminal, 4096).decode()
            os.write(terminal, f"{answer}\n".encode())
        assert process.wait(timeout=PATIENCE) == 0
        shown += os.read(terminal, 65_536).decode()
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    assert "helpful" in shown
    assert DISCORD_TOKEN not in shown
    assert written().discord is not None


def test_what_is_left_empty_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {
        "SLACK_BOT_TOKEN": "xoxb-2",
        "SLACK_APP_TOKEN": "xapp-2",
        "DISCORD_TOKEN": DISCORD_TOKEN,
        "THREADBRIDGE_AGENTS__HELP_DESK__API_KEY": "sk_2",
    }
    result = init("both", "", "", "", "", "", "toqan", "help_desk", "")
    assert f"Still to be set, in threadbridge.toml or in the environment: {', '.join(variables)}." in result.output
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = written()
    assert settings.slack is not None
    assert settings.slack.bot_token is not None
    assert settings.slack.bot_token.get_secret_value() == "xoxb-2"
    assert settings.discord is not None
    assert settings.agents["help_desk"].rest == {"api_key": "sk_2"}


def test_the_manifest_can_be_had_before_there_are_tokens() -> None:
    init("both", "http", "", "", "", "", *ECHO)
    result = CliRunner().invoke(app, ["manifest", "slack"])
    assert result.exit_code == 0, result.output
    assert '"socket_mode_enabled": false' in result.output


# --- tried on the platforms ----------------------------------------------------------------------------------


@pytest.fixture
def simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Everything]:
    """Both platforms, served by a thread, as the command has a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    serving = serve_everything(tmp_path)
    everything = asyncio.run_coroutine_threadsafe(serving.__aenter__(), loop).result(PATIENCE)
    for table, name in (("slack", "api_url"), ("discord", "api_url"), ("discord", "gateway_url")):
        monkeypatch.setenv(f"THREADBRIDGE_{table}__{name}".upper(), everything.tables[table][name])
    yield everything
    asyncio.run_coroutine_threadsafe(serving.__aexit__(None, None, None), loop).result(PATIENCE)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(PATIENCE)
    loop.close()


def test_good_tokens_are_said_to_be_good_and_it_ends_with_what_doctor_says(simulated: Everything) -> None:
    slack, discord = simulated.slack, simulated.discord
    result = invoke(answers=("both", "", slack.bot_token, slack.app_token, discord.token, "", *ECHO))
    assert result.exit_code == 0, result.output
    tried, _, doctor = result.output.partition("What `threadbridge doctor` says of it:")
    for line in (
        "ok   slack.bot_token: accepted",
        "ok   slack.app_token: accepted",
        "ok   discord.token: accepted",
    ):
        assert line in tried
        assert line in doctor
    assert "ok   agents.echo" in doctor
    assert "fail" not in result.output
    assert not [secret for secret in simulated.secrets if secret in result.output]


def test_a_refused_token_is_asked_for_again_while_the_person_wants_to(
    simulated: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("THREADBRIDGE_SLACK__API_URL")
    result = invoke(answers=("discord", "MTIz.wrong.token", "", "y", simulated.discord.token, "", *ECHO))
    assert "fail discord.token: refused by Discord" in result.output
    assert result.output.index("refused by Discord") < result.output.index("ok   discord.token")
    assert written().discord is not None
    kept = invoke(answers=("y", "discord", "MTIz.wrong.token", "", "n", *ECHO))
    assert kept.exit_code == 0, kept.output
    discord = written().discord
    assert discord is not None
    assert discord.token.get_secret_value() == "MTIz.wrong.token"


# --- the agent's questions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "answers", "rest"),
    [
        ("echo", [], {}),
        ("toqan", ["sk"], {"api_key": "sk"}),
        ("sema4ai", ["http://a", "sk", "7"], {"base_url": "http://a", "api_key": "sk", "agent_id": "7"}),
        ("enthusiast", ["http://a", "sk", "no", "7"], {"base_url": "http://a", "api_key": "sk", "data_set_id": 7}),
        (
            "agentok",
            ["http://a", "sk", "project", "", "12", ""],
            {"base_url": "http://a", "api_key": "sk", "from_type": "project", "from_project": 12},
        ),
        ("fifthelement", ["", "http://a", "sk", "x"], {"base_url": "http://a", "api_key": "sk", "slug": "x"}),
        ("openai", ["sk", "gpt"], {"api_key": "sk", "model": "gpt"}),
        ("a2a", ["http://a", ""], {"base_url": "http://a"}),
        ("a2a", ["http://a", "sk"], {"base_url": "http://a", "api_key": "sk"}),
    ],
)
def test_each_kind_is_asked_for_what_it_needs(kind: str, answers: list[str], rest: dict[str, object]) -> None:
    result = init(*BY_SOCKET, kind, "", *answers)
    assert result.exit_code == 0, result.output
    settings = written().agents[kind].rest
    assert settings == rest
    load_adapter(kind, "").Settings(**settings)


def test_a_wrong_answer_is_asked_for_again() -> None:
    result = init("teams", "slack", "", "wrong", "xoxb-1", "wrong", "xapp-1", "nokind", "echo", "No Name", "name")
    assert result.exit_code == 0, result.output
    assert "'teams' is none of them." in result.output
    assert 'the bot token begins with "xoxb-"' in result.output
    assert list(written().agents) == ["name"]


# --- the file ------------------------------------------------------------------------------------------------


def test_a_file_that_is_there_is_written_anew_only_on_yes() -> None:
    file = Path("threadbridge.toml")
    file.write_text("# mine")
    result = init("n")
    assert result.exit_code == 0
    assert file.read_text() == "# mine"
    assert "left as it is" in result.output
    init("y", *BY_SOCKET, *ECHO)
    assert "# mine" not in file.read_text()


@pytest.mark.parametrize("answers", [[], ["both"], ["slack", "socket", "xoxb-1"], [*BY_SOCKET, "toqan", ""]])
@pytest.mark.parametrize("there", [True, False])
def test_answers_that_end_too_early_leave_everything_as_it_was(answers: list[str], there: bool) -> None:
    if there:
        Path("threadbridge.toml").write_text("# mine")
        answers = ["y", *answers]
    result = init(*answers)
    assert result.exit_code == 1
    assert result.stderr == f"{NOTHING_WRITTEN}\n"
    assert [(file.name, file.read_text()) for file in Path().iterdir()] == (
        [("threadbridge.toml", "# mine")] if there else []
    )


@pytest.mark.slow
@pytest.mark.parametrize(("file", "sentence"), [("x.toml", NOTHING_WRITTEN), ("nowhere/x.toml", NO_FOLDER)])
def test_a_process_without_a_terminal_ends_with_one_sentence(tmp_path: Path, file: str, sentence: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bridge", "init", "--config", file],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == f"{sentence}\n"
    assert list(tmp_path.iterdir()) == []


def test_what_is_typed_can_break_nothing() -> None:
    nasty = 'sk"\\\'"""\x7f\x1b#\t]é🙂'
    assert init(*BY_SOCKET, "sema4ai", "", "http://a", nasty, 'a" # b').exit_code == 0
    assert written().agents["sema4ai"].rest == {"base_url": "http://a", "api_key": nasty, "agent_id": 'a" # b'}


scalars = st.text(st.characters(codec="utf-8")) | st.booleans() | st.integers() | st.floats(allow_nan=False)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)


@given(values, st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_every_value_comes_back_from_the_file(value: Value, comment: str) -> None:
    lines = [Line("a b", value, comment), Line("c", value, active=False)]
    written = tomllib.loads(text_of([], {}, "x", lines))
    assert written == {"agents": {"x": {"a b": value}}}


def test_the_names_of_agents_fit_into_variables() -> None:
    for name in ("support", "help_desk", "a2a"):
        assert setup.NAME.fullmatch(name)
    for name in ("Support", "help-desk", "two__words", "_x", "1st", "", "a.b"):
        assert not setup.NAME.fullmatch(name)


def test_the_servers_that_a_bot_is_for_are_asked_for() -> None:
    result = init("discord", DISCORD_TOKEN, "Playground", "100200300400500600, 700", *ECHO)
    assert "'Playground' isn't an id" in result.output
    settings = written()
    assert settings.rules.lists_servers
    assert settings.discord is not None
    assert settings.discord.access.servers == ("100200300400500600", "700")


def test_without_an_answer_a_bot_serves_every_server() -> None:
    init("discord", DISCORD_TOKEN, "", *ECHO)
    assert not written().rules.lists_servers
    assert "# access = {servers = []}" in Path("threadbridge.toml").read_text(encoding="utf-8")
