"""`threadbridge doctor` as a command: its lines, its exit code, and nothing besides."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from tests.cli.command import WHOLE_TEST
from tests.ops.everything import Everything, serve_everything

ROOT = Path(__file__).parents[2]
MARKS = ("ok   ", "warn ", "fail ")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(WHOLE_TEST)]  # a process each


async def doctor(*arguments: str, folder: Path, **environment: str) -> tuple[int | None, list[str], str]:
    """Exit code, lines, and what went to standard error."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge", "doctor", *arguments),
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, trouble = await process.communicate()
    return process.returncode, said.decode().splitlines(), trouble.decode()


def spoil(everything: Everything) -> None:
    everything.slack.scopes.discard("files:read")
    everything.discord.message_content = False
    everything.backends["agentok"].backend.key = "changed"
    everything.tables["agents"]["toqan"]["base_url"] = "http://127.0.0.1:1"
    everything.tables["agents"]["sema4ai"]["base_url"] = "http://127.0.0.1:1"


async def test_a_good_set_up_exits_with_0(tmp_path: Path) -> None:
    async with serve_everything(tmp_path) as everything:
        code, lines, trouble = await doctor("--config", str(everything.file()), folder=tmp_path)
    assert (code, trouble) == (0, "")
    assert len(lines) == 9 + len(everything.backends)
    assert all(line.startswith("ok   ") for line in lines)


async def test_a_bad_one_exits_with_1_and_says_each_fix_on_its_line(tmp_path: Path) -> None:
    async with serve_everything(tmp_path) as everything:
        secrets = everything.secrets
        spoil(everything)
        code, lines, trouble = await doctor("--config", str(everything.file()), folder=tmp_path)
    assert (code, trouble) == (1, "")
    assert all(line.startswith(MARKS) for line in lines)
    assert [line.split(":")[0] for line in lines if not line.startswith("ok")] == [
        "fail slack.bot_token",
        "warn discord",
        "fail agents.toqan",
        "fail agents.sema4ai",
        "fail agents.agentok",
    ]
    assert [secret for secret in secrets if secret in "\n".join(lines)] == []


async def test_a_warning_alone_exits_with_0_and_as_json_each_finding_is_an_object(tmp_path: Path) -> None:
    async with serve_everything(tmp_path) as everything:
        everything.discord.message_content = False
        file = everything.file()
        file.chmod(0o644)
        code, lines, trouble = await doctor("--json", "--fix", "--config", str(file), folder=tmp_path)
    assert (code, trouble) == (0, "")
    findings = json.loads("\n".join(lines))
    assert {tuple(one) for one in findings} == {("place", "mark", "text", "mend")}
    assert {one["mark"] for one in findings} == {"ok", "warn", "done"}
    [intent] = [one for one in findings if one["mark"] == "warn"]
    assert (intent["place"], intent["text"]) == ("discord", "the Message Content intent is off")
    assert intent["mend"].endswith(".")
    [mended] = [one for one in findings if one["mark"] == "done"]
    assert mended["place"] == "settings"
    assert file.stat().st_mode & 0o777 == 0o640


async def test_without_a_file_it_says_where_to_begin(tmp_path: Path) -> None:
    code, lines, trouble = await doctor(folder=tmp_path)
    assert (code, trouble) == (1, "")
    assert f"there is no threadbridge.toml in {tmp_path}; `threadbridge init` writes one" in lines[0]


async def test_tokens_from_the_environment_are_checked(tmp_path: Path) -> None:
    async with serve_everything(tmp_path) as everything:
        for name in ("bot_token", "app_token"):
            del everything.tables["slack"][name]
        code, lines, _ = await doctor(
            folder=tmp_path,
            THREADBRIDGE_CONFIG=str(everything.file()),
            SLACK_BOT_TOKEN=everything.slack.bot_token,
            SLACK_APP_TOKEN="xapp-wrong",
        )
    assert code == 1
    assert [line for line in lines if line.startswith("ok   slack.bot_token")]
    assert [line for line in lines if line.startswith("fail slack.app_token: refused by Slack (invalid_auth)")]
