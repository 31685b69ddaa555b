"""The command as a command: version and help, its input, output that can't be written, hostile text."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from bridge.cli.commands import app
from bridge.printable import printable, printable_json
from tests.cli.command import PATIENCE, WHOLE_TEST, run_command
from tests.cli.conftest import Command
from tests.e2e.running import environment

pytestmark = pytest.mark.timeout(WHOLE_TEST)

ROOT = Path(__file__).parents[2]
LISTING = ("sema4ai", "enthusiast")
DELETING = ("sema4ai", "openai")
HOSTILE = "\x1b]0;owned\x07a\x9b31mb\u202ec\u2066d\x7f\r\ne\u2028f"
HARMLESS = "é 🧑🏽\u200d🚀 می\u200cخواهم \u200fא"

# --- without a process ---------------------------------------------------------------------------------------


def test_the_version_is_that_of_the_distribution() -> None:
    result = CliRunner().invoke(app, ["--version"])
    released = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert (result.exit_code, result.output) == (0, f"{released}\n")


@pytest.mark.parametrize("command", [[], ["ask"], ["turns", "show"], ["manifest"]])
def test_help_is_to_be_had_by_h(command: list[str]) -> None:
    short, long = (CliRunner().invoke(app, [*command, option]) for option in ("-h", "--help"))
    assert short.exit_code == 0
    assert short.output == long.output


def test_completion_can_be_installed() -> None:
    assert "--install-completion" in CliRunner().invoke(app, ["-h"], env={"COLUMNS": "200"}).output


def test_what_a_terminal_would_obey_is_taken_out_and_joiners_stay() -> None:
    assert printable(HOSTILE) == "]0;ownedabcd\ne\nf".replace("ab", "a31mb")
    assert printable(HARMLESS) == HARMLESS


@given(st.text(st.characters()))
def test_json_for_a_terminal_says_all_and_nothing_that_is_obeyed(text: str) -> None:
    shown = printable_json({"text": text}, indent=2)
    assert json.loads(shown) == {"text": text}
    assert printable(shown) == shown


# --- as a process --------------------------------------------------------------------------------------------


def folder_with(tmp_path: Path, settings: str) -> Path:
    (tmp_path / "threadbridge.toml").write_text(settings, encoding="utf-8")
    return tmp_path


ECHO = '[agents.echo]\nkind = "echo"\ndelay = 0\n'


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("ask", "echo", "-"), ("ask", "echo")])
async def test_a_question_comes_from_standard_input(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    folder = folder_with(tmp_path, ECHO)
    ended = await run_command(*arguments, folder=folder, typed="what is\nin this?\n")
    assert (ended.code, ended.out) == (0, "what is\nin this?\n")
    empty = await run_command(*arguments, folder=folder, typed=" \n")
    assert empty.is_one_sentence("standard input is empty"), empty.err


@pytest.mark.slow
async def test_what_an_agent_says_cant_steer_the_terminal(tmp_path: Path) -> None:
    ended = await run_command("ask", "echo", f"{HOSTILE} {HARMLESS}", folder=folder_with(tmp_path, ECHO))
    assert ended.code == 0, ended.err
    assert printable(ended.out) == ended.out
    assert HARMLESS in ended.out
    as_json = await run_command("ask", "echo", HOSTILE, "--json", folder=tmp_path)
    assert printable(as_json.out) == as_json.out
    assert "".join(event.get("delta", "") for event in as_json.events) == HOSTILE


async def ended_with(*arguments: str, folder: Path, out: int) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge", *arguments),
        cwd=folder,
        env=environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=out,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        _, err = await process.communicate()
    return process.returncode, err.decode()


def besides_asides(err: str) -> list[str]:
    return [line for line in err.splitlines() if not line.startswith(("conversation: ", "["))]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("--version",), ("ask", "echo", "hello"), ("manifest", "slack"), ("-h",)])
async def test_a_full_disk_below_the_output_is_one_sentence(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        code, err = await ended_with(*arguments, folder=folder_with(tmp_path, ECHO), out=full)
    finally:
        os.close(full)
    assert code == 1
    assert besides_asides(err) == ["threadbridge: the output can't be written: No space left on device"]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("--version",), ("ask", "echo", "hello"), ("manifest", "slack")])
async def test_a_reader_that_has_gone_is_no_news(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        code, err = await ended_with(*arguments, folder=folder_with(tmp_path, ECHO), out=writer)
    finally:
        os.close(writer)
    assert code == 1
    assert besides_asides(err) == []


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("run",), ("turns",), ("ask", "echo", "hello")])
async def test_where_no_settings_are_found_it_says_where_it_looked(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    ended = await run_command(*arguments, folder=tmp_path)
    assert ended.is_one_sentence(f"there is no threadbridge.toml in {tmp_path}", "threadbridge init"), ended.err


@pytest.mark.slow
@pytest.mark.parametrize("port", ["-1", "65536", "99999999999"])
async def test_a_port_out_of_range_is_one_sentence(tmp_path: Path, port: str) -> None:
    ended = await run_command("demo", "--no-browser", f"--port={port}", folder=tmp_path)
    assert ended.is_one_sentence(f"--port is {port}", "from 0 to 65535"), ended.err


# --- what a backend keeps ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("agent", ["sema4ai", "openai", "enthusiast"], ids=["both", "deletes", "lists"])
async def test_conversations_are_listed_read_and_deleted(command: Command, agent: str) -> None:
    asked = await command("ask", agent, "what now?")
    assert asked.code == 0, asked.err
    read = await command("history", agent, asked.conversation)
    assert read.code == 0, read.err
    assert read.out.startswith("person:\n  what now?\nagent:\n  You asked: “what now?”.\n")
    listed = await command("conversations", agent)
    if agent in LISTING:
        assert asked.conversation in listed.out.split()
    else:
        assert listed.is_one_sentence(f"{agent} can't list conversations", f"the kind '{agent}'"), listed.err
    deleted = await command("conversations", agent, "--delete", asked.conversation)
    if agent in DELETING:
        assert (deleted.code, deleted.err) == (0, f"deleted: {asked.conversation}\n")
        assert asked.conversation not in (await command("conversations", agent)).out.split()
    else:
        assert deleted.is_one_sentence(f"{agent} can't delete conversations"), deleted.err


@pytest.mark.slow
async def test_what_a_kind_cant_do_and_what_isnt_there(command: Command) -> None:
    for words in (("conversations",), ("conversations", "--delete", "1"), ("history", "1")):
        name, *rest = words
        refused = await command(name, "fifthelement", *rest)
        assert refused.is_one_sentence("the agent fifthelement can't", "has no way to"), refused.err
    missing = await command("history", "sema4ai", "nothing")
    assert missing.code == 1
    assert "threadbridge: detail: " in missing.err
    empty = await command("conversations", "general")
    assert (empty.code, empty.out, empty.err) == (0, "", "the agent general keeps no conversations\n")
