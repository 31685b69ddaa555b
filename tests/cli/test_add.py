"""`threadbridge add`: what answers at an address stands in the settings file, and nothing else of it has changed."""

from __future__ import annotations

import logging
import os
import stat
import sys
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner, Result

from bridge.cli.add import is_open
from bridge.cli.commands import app
from bridge.cli.questions import no_log
from bridge.settings import SettingsError, load
from tests.cli.command import WHOLE_TEST
from tests.ops.everything import Everything

pytestmark = pytest.mark.timeout(WHOLE_TEST)

FILE = Path("threadbridge.toml")
MINE = """\
# ours
default_agent = "helper"  # by vote

[agents.helper]   # the first
kind = "echo"

[[routes]]
agent = "helper"
# the end"""


@pytest.fixture(autouse=True)
def here(simulated: Everything, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the platforms' addresses, which an environment of `simulated` has."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in list(os.environ):
        if name.startswith(("THREADBRIDGE_", "SLACK_", "DISCORD_", "DATABASE_URL")):
            monkeypatch.delenv(name)


def add(url: str, *arguments: str, answers: tuple[str, ...] = ()) -> Result:
    return CliRunner().invoke(app, ["add", url, *arguments], input="".join(f"{answer}\n" for answer in answers))


def url_of(simulated: Everything, kind: str) -> str:
    return str(simulated.tables["agents"][kind]["base_url"])


def said(result: Result) -> str:
    """The sentence that the command ended with."""
    assert result.exit_code == 1
    return str(result.exception) if isinstance(result.exception, SettingsError) else result.output


def test_an_agent_and_a_server_are_added_below_what_is_there_and_doctor_is_content(simulated: Everything) -> None:
    Path("real.toml").write_text(MINE)
    Path("real.toml").chmod(0o640)
    FILE.symlink_to("real.toml")
    keys = {kind: simulated.backends[kind].backend.key for kind in ("a2a", "openai")}
    first = add(url_of(simulated, "a2a"), "--name", "planner", answers=("wrong", keys["a2a"]))
    assert first.exit_code == 0, first.output
    assert "That key was refused." in first.output
    assert "ok   agents.planner: card of 'Simulated agent'" in first.output
    second = add(url_of(simulated, "openai").removesuffix("/v1"), "--name", "gpt", answers=(keys["openai"],))
    assert second.exit_code == 0, second.output
    assert "ok   agents.gpt: the key is taken" in second.output
    assert not [key for key in keys.values() if key in first.output + second.output]
    assert FILE.read_text().startswith(f"{MINE}\n\n[agents.planner]\n")
    assert FILE.is_symlink()
    assert stat.S_IMODE(FILE.stat().st_mode) == 0o640
    agents = load(FILE).agents
    assert list(agents) == ["helper", "planner", "gpt"]
    assert agents["gpt"].rest == {
        "base_url": url_of(simulated, "openai"), "api_key": keys["openai"], "model": "simulated-1", "api": "chat",
    }  # fmt: skip
    again = add(url_of(simulated, "openai"), "--name", "gpt", answers=(keys["openai"],))
    assert said(again) == "threadbridge.toml has an agent 'gpt' already; --name gives this one another name"


def test_without_a_file_one_is_made_with_the_agent_alone(
    simulated: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THEIR_KEY", simulated.backends["a2a"].backend.key)
    result = add(url_of(simulated, "a2a"), "--api-key-env", "THEIR_KEY")
    assert result.exit_code == 0, result.output
    assert list(load(FILE).agents) == ["simulated_agent"]
    assert stat.S_IMODE(FILE.stat().st_mode) == 0o600
    assert "threadbridge demo --config threadbridge.toml" in result.output


def test_a_key_that_the_agent_has_from_the_environment_isnt_written(
    simulated: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = simulated.backends["openai"].backend.key
    monkeypatch.setenv("THREADBRIDGE_AGENTS__GPT__API_KEY", key)
    result = add(url_of(simulated, "openai"), "--name", "gpt")
    assert result.exit_code == 0, result.output
    assert key not in FILE.read_text()
    assert load(FILE).agents["gpt"].rest["api_key"] == key


def test_where_something_is_wrong_nothing_is_written(
    simulated: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = url_of(simulated, "openai")
    assert said(add(server)) == "it wants a key: set THREADBRIDGE_API_KEY, or name a variable by --api-key-env"
    assert said(add(server, "--api-key-env", "UNSET")) == "--api-key-env: UNSET isn't set"
    assert "refuses the keys" in said(add(server, answers=("a", "b", "c")))
    monkeypatch.setenv("THREADBRIDGE_API_KEY", simulated.backends["openai"].backend.key)
    assert "there is no 'nope'; there are simulated-1" in said(add(server, "--model", "nope"))
    assert "can't name an agent" in said(add(server, "--name", "No Name"))
    monkeypatch.setitem(sys.modules, "openai", None)
    monkeypatch.setattr("bridge.extras.find_spec", lambda module: None if module == "openai" else module)
    assert said(add(server)).endswith('pip install "threadbridge[openai]"')
    assert not FILE.exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[slack", "threadbridge.toml isn't valid TOML"),
        ("agents = 7", "agents must be tables"),
        ("agents = {helper = {kind = 'echo'}}", "agents stands within braces"),
    ],
)
def test_a_file_that_takes_no_agent_is_left_as_it_is(
    simulated: Everything, monkeypatch: pytest.MonkeyPatch, text: str, sentence: str
) -> None:
    FILE.write_text(text)
    monkeypatch.setenv("THREADBRIDGE_API_KEY", simulated.backends["a2a"].backend.key)
    assert sentence in said(add(url_of(simulated, "a2a")))
    assert FILE.read_text() == text


def test_a_key_that_would_go_out_in_the_clear_is_said_to(simulated: Everything) -> None:
    assert not is_open("http://127.0.0.1:11434")
    assert not is_open("http://localhost/v1")
    assert not is_open("http://[::1]:80")
    assert not is_open("https://agent.example")
    assert is_open("http://agent.example")
    assert is_open("http://10.0.0.1")


def test_of_several_models_one_is_chosen_by_number_or_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from bridge.cli import add as adding

    answers = iter(["9", "nope", "2", "b"])
    monkeypatch.setattr(adding, "ask", lambda _: next(answers))
    assert adding._chosen(["a", "b"], "") == "b"
    assert adding._chosen(["a", "b"], "") == "b"
    assert adding._chosen(["a", "b"], "a") == "a"


def test_names_are_made_of_what_an_agent_calls_itself() -> None:
    from bridge.cli.add import _made_name
    from bridge.ops.discovery import Card, Models

    assert _made_name(Card("https://a", "Recipe Helper (v2)!", wants_key=False)) == "recipe_helper_v2"
    assert _made_name(Card("https://a", "日本 3", wants_key=False)) == "agent"
    assert _made_name(Models("https://api.openai.com/v1", [], "chat")) == "openai_com"
    assert len(_made_name(Card("https://a", "word " * 100, wants_key=False))) <= 32


def test_no_line_of_the_log_stands_between_the_questions(capsys: pytest.CaptureFixture[str]) -> None:
    with no_log():
        structlog.get_logger().warning("again")
        logging.getLogger("library").error("again")
    assert capsys.readouterr() == ("", "")
    structlog.get_logger().warning("afterwards")
    assert "afterwards" in "".join(capsys.readouterr())
