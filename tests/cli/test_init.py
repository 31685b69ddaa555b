"""`threadbridge init`: what is answered stands in a file that loads, and nothing else happens."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from bridge.agents import load_adapter
from bridge.cli import unit_file
from bridge.cli.agent_questions import NAME
from bridge.cli.commands import app
from bridge.cli.settings_file import Line, Value, text_of
from bridge.cli.tokens import APP_TOKEN, BOT_TOKEN, SIGNING_SECRET, Secret, mistaken
from bridge.cli.tokens import DISCORD_TOKEN as DISCORD_TOKEN_ASKED
from bridge.frontends.slack.settings import SlackSettings
from bridge.settings import Settings, SettingsError, load
from tests.cli.command import WHOLE_TEST
from tests.ops.everything import Everything

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
    init("anew", *BY_SOCKET, *ECHO)
    files = {file.name: file.stat().st_mode & 0o777 for file in Path().iterdir()}
    assert files == {"threadbridge.toml": 0o600, "threadbridge.toml.old": 0o600}


def test_a_file_that_a_group_may_read_stays_so() -> None:
    """Of a service's account, for one."""
    Path("threadbridge.toml").write_text("# mine\n")
    Path("threadbridge.toml").chmod(0o640)
    init("complete", *BY_SOCKET, *ECHO)
    assert Path("threadbridge.toml").stat().st_mode & 0o777 == 0o640


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
        "slack.bot_token stands at https://api.slack.com/apps"
    )
    for token in ("slack.bot_token", "slack.app_token"):
        assert slack.index(f"{token} stands at") < slack.index(f"{token} (empty")
    assert "Discord" not in slack
    discord = init("anew", "discord", DISCORD_TOKEN, "", *ECHO).output
    assert "api.slack.com" not in discord
    assert discord.index("switch on Message Content") < discord.index("discord.token (empty")
    assert discord.index("Bot > Reset Token") < discord.index("discord.token (empty")
    assert discord.index("client_id=123456789012345678") < discord.index("discord.access.servers, ids")
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
    result = invoke(answers=("discord", "MTIz.wrong.token", "y", simulated.discord.token, "", *ECHO))
    assert "fail discord.token: refused by Discord" in result.output
    assert result.output.index("refused by Discord") < result.output.index("ok   discord.token")
    assert written().discord is not None
    kept = invoke(answers=("anew", "discord", "MTIz.wrong.token", "n", "", *ECHO))
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


def test_a_file_that_is_there_is_written_anew_only_on_that_word_and_kept_beside() -> None:
    file = Path("threadbridge.toml")
    file.write_text("# mine")
    for answer in ("leave", ""):
        result = init(answer)
        assert result.exit_code == 0
        assert file.read_text() == "# mine"
        assert "left as it is" in result.output
    init("anew", *BY_SOCKET, *ECHO)
    assert "# mine" not in file.read_text()
    assert Path("threadbridge.toml.old").read_text() == "# mine"


MINE = """\
# what we agreed on
default_agent = "helper"  # by vote

[slack]
bot_token = "xoxb-old"  # of the first app
# app_token comes with the next line
app_token = "xapp-old"
command = "/bot"

[slack.access]
people = ["slack:U1"]

[agents.helper]
kind = "echo"
"""


def test_a_file_is_completed_with_its_comments_its_order_and_its_agents() -> None:
    file = Path("threadbridge.toml")
    file.write_text(MINE)
    result = init("complete", "both", "socket", "xoxb-new", "", DISCORD_TOKEN, "4711")
    assert result.exit_code == 0, result.output
    assert "Which kind of agent" not in result.output
    assert "Still to be set" not in result.output, "the app token was there"
    text = file.read_text()
    assert text.startswith(MINE.replace('xoxb-old"', 'xoxb-new"').partition("command")[0])
    for line in MINE.splitlines():
        assert line.replace("xoxb-old", "xoxb-new") in text
    settings = written()
    assert settings.slack is not None
    assert settings.slack.app_token == SecretStr("xapp-old")
    assert settings.slack.access.people == ("slack:U1",)
    assert settings.discord is not None
    assert settings.discord.access.servers == ("4711",)
    assert list(settings.agents) == ["helper"]


def test_a_file_for_many_workspaces_is_given_no_bot_token_and_left_as_it_is() -> None:
    file = Path("threadbridge.toml")
    many = '[slack]\nclient_id = "1.2"\nclient_secret = "s"\napp_token = "xapp-1"\n'
    file.write_text(many)
    result = init("complete", "slack", "socket", "xoxb-new", "xapp-new", *ECHO)
    assert result.exit_code == 1
    assert "many workspaces by client_id" in str(result.exception)
    assert file.read_text() == many


def test_a_file_that_is_no_toml_is_left_as_it_is() -> None:
    Path("threadbridge.toml").write_text("[slack")
    result = init("complete")
    assert result.exit_code == 1
    assert "threadbridge.toml isn't valid TOML" in str(result.exception)
    assert Path("threadbridge.toml").read_text() == "[slack"


# --- the systemd unit ----------------------------------------------------------------------------------------


def test_the_unit_is_the_one_that_is_shipped_with_this_file_and_command() -> None:
    shipped = (ROOT / "deploy" / "systemd" / unit_file.NAME).read_text(encoding="utf-8")
    ours = unit_file.text_for(Path(unit_file.SETTINGS), unit_file.COMMAND)
    assert ours == shipped, "bridge/cli has a copy, because the wheel has no deploy/"
    odd = unit_file.text_for(Path("/srv/100% ours/x.toml"), "/opt/a b/threadbridge")
    assert "LoadCredential=threadbridge.toml:/srv/100%% ours/x.toml\n" in odd
    assert 'ExecStart="/opt/a b/threadbridge" run\n' in odd
    with pytest.raises(SettingsError):
        unit_file.text_for(Path("/srv/x\nExecStartPre=evil"), unit_file.COMMAND)


def test_a_unit_is_written_only_where_it_is_wanted() -> None:
    assert "Write a systemd unit" in init(*BY_SOCKET, *ECHO, "").output
    assert not Path(unit_file.NAME).exists()
    result = init("anew", *BY_SOCKET, *ECHO, "y")
    assert "sudo systemctl enable --now threadbridge" in result.output
    unit = Path(unit_file.NAME).read_text(encoding="utf-8")
    assert f"LoadCredential=threadbridge.toml:{Path('threadbridge.toml').resolve()}" in unit
    Path(unit_file.NAME).write_text("mine")
    init("anew", *BY_SOCKET, *ECHO, "y", "n")
    assert Path(unit_file.NAME).read_text() == "mine"


# --- what was pasted in place of a token ---------------------------------------------------------------------

A_DISCORD_TOKEN = f"{'M' * 24}.GaBcDe.{'a' * 38}"


@pytest.mark.parametrize(
    ("secret", "pasted", "said"),
    [
        (BOT_TOKEN, "xoxp-1-2-3-a", "a User OAuth Token"),
        (BOT_TOKEN, "xapp-1-A1-2-a", "app-level token"),
        (BOT_TOKEN, "xoxe-1-a", "a refresh token"),
        (BOT_TOKEN, "0" * 32, "Signing Secret or Client Secret"),
        (BOT_TOKEN, "A0123456789", "Slack's App ID"),
        (BOT_TOKEN, "1234567890.1234567890", "Client ID"),
        (BOT_TOKEN, A_DISCORD_TOKEN, "a Discord bot's token"),
        (BOT_TOKEN, '"xoxb-1-2-a"', "quotes around it"),
        (BOT_TOKEN, "“xoxb-1-2-a”", "quotes around it"),
        (BOT_TOKEN, "xoxb-1 2-a", "a space or a line break"),
        (BOT_TOKEN, "SLACK_BOT_TOKEN=xoxb-1-2-a", "the variable's name"),
        (APP_TOKEN, "xoxb-1-2-a", "Bot User OAuth Token"),
        (APP_TOKEN, "xoxp-1-2-a", "a User OAuth Token"),
        (SIGNING_SECRET, "xoxb-1-2-a", "Bot User OAuth Token"),
        (SIGNING_SECRET, "a1" * 12, "Verification Token"),
        (DISCORD_TOKEN_ASKED, "123456789012345678", "an Application ID"),
        (DISCORD_TOKEN_ASKED, "0a" * 32, "Public Key"),
        (DISCORD_TOKEN_ASKED, "aB-_" * 8, "Client Secret"),
        (DISCORD_TOKEN_ASKED, f"Bot {A_DISCORD_TOKEN}", "belongs to a header"),
        (DISCORD_TOKEN_ASKED, "xoxb-1-2-a", "Bot User OAuth Token"),
        (DISCORD_TOKEN_ASKED, "https://discord.com/oauth2/authorize?client_id=1", "an address"),
    ],
)
def test_what_was_pasted_in_place_of_a_token_is_named(secret: Secret, pasted: str, said: str) -> None:
    sentence = mistaken(secret, pasted)
    assert said in sentence
    assert pasted not in sentence


def test_a_right_token_is_never_taken_for_another() -> None:
    for secret, right in (
        (BOT_TOKEN, "xoxb-123-456-aBc"),
        (BOT_TOKEN, "xoxe.xoxb-1-aBc"),
        (APP_TOKEN, "xapp-1-A1-2-aBc"),
        (SIGNING_SECRET, "0123456789abcdef" * 2),
        (DISCORD_TOKEN_ASKED, A_DISCORD_TOKEN),
        (DISCORD_TOKEN_ASKED, DISCORD_TOKEN),
    ):
        assert mistaken(secret, right) == ""


def test_a_wrong_paste_is_asked_for_again_and_never_shown() -> None:
    result = init("discord", "123456789012345678", f"'{DISCORD_TOKEN}'", DISCORD_TOKEN, "", *ECHO)
    assert result.exit_code == 0, result.output
    assert "That looks like an Application ID" in result.output
    assert "quotes around it" in result.output
    assert DISCORD_TOKEN not in result.output


@pytest.mark.parametrize("answers", [[], ["both"], ["slack", "socket", "xoxb-1"], [*BY_SOCKET, "toqan", ""]])
@pytest.mark.parametrize("there", [True, False])
def test_answers_that_end_too_early_leave_everything_as_it_was(answers: list[str], there: bool) -> None:
    if there:
        Path("threadbridge.toml").write_text("# mine")
        answers = ["anew", *answers]
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
        assert NAME.fullmatch(name)
    for name in ("Support", "help-desk", "two__words", "_x", "1st", "", "a.b"):
        assert not NAME.fullmatch(name)


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
