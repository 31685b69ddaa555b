"""A newcomer's whole path: an empty folder, `init` at a terminal, `doctor`, `run`, and a mention that is answered."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.cli.command import PATIENCE, WHOLE_TEST
from tests.deploy.starting import started
from tests.e2e.people import DiscordPeople, People, SlackPeople
from tests.e2e.running import at_rest, environment
from tests.e2e.town import Town
from tests.e2e.waiting import eventually
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(WHOLE_TEST)]

HERE = [sys.executable, "-m", "bridge"]


async def at_terminal(
    arguments: Sequence[str], answers: Sequence[tuple[str, str]], folder: Path, variables: Mapping[str, str]
) -> str:
    """What a terminal shows while each question gets its answer."""
    terminal, end = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *HERE,
        *arguments,
        cwd=folder,
        env=dict(variables),
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
    )
    os.close(end)
    shown = bytearray()
    loop = asyncio.get_running_loop()

    def read() -> None:
        try:
            shown.extend(os.read(terminal, 65_536))
        except OSError:  # the other end is closed
            loop.remove_reader(terminal)

    loop.add_reader(terminal, read)
    try:
        at = 0
        for question, answer in answers:

            def asked(question: str = question, at: int = at) -> bool:
                assert process.returncode is None, shown.decode()
                text = shown.decode(errors="replace")
                return question in text[at:] and text.endswith(": ")

            await eventually(asked)
            at = len(shown.decode(errors="replace"))
            os.write(terminal, f"{answer}\n".encode())
        async with asyncio.timeout(PATIENCE):
            assert await process.wait() == 0, shown.decode()
        await asyncio.sleep(0)
        read()
    finally:
        loop.remove_reader(terminal)
        os.close(terminal)
        if process.returncode is None:
            process.kill()
            await process.wait()
    return shown.decode(errors="replace")


async def test_from_an_empty_folder_to_an_answered_mention_on_both_platforms(
    town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "bot"
    folder.mkdir()
    simulated = {
        "THREADBRIDGE_SLACK__API_URL": f"{town.url}/slack/api/",
        "THREADBRIDGE_DISCORD__API_URL": f"{town.url}/discord/api/v10",
        "THREADBRIDGE_DISCORD__GATEWAY_URL": f"{town.url.replace('http', 'ws', 1)}/discord/gateway",
        "THREADBRIDGE_HTTP__PORT": str(free_port()),
    }
    variables = environment() | simulated
    server = str(next(iter(town.discord.guilds)))
    secrets = (town.slack.bot_token, town.slack.app_token, town.discord.token)
    begun = time.monotonic()
    said = await at_terminal(
        ["init"],
        [
            ("Which platforms", ""),
            ("Slack by", ""),
            ("slack.bot_token (empty", "xoxp-1-2-3-users"),  # the wrong one first
            ("slack.bot_token (empty", town.slack.bot_token),
            ("slack.app_token (empty", town.slack.app_token),
            ("discord.token (empty", town.discord.token),
            ("discord.access.servers", server),
            ("Which kind", ""),
            ("A name", ""),
            ("systemd unit", "y"),
        ],
        folder,
        variables,
    )
    set_up = time.monotonic()
    assert "That looks like a User OAuth Token" in said
    assert "What `threadbridge doctor` says of it" in said
    assert [secret for secret in secrets if secret in said] == []
    assert [line for line in said.splitlines() if line.strip().startswith("fail")] == []
    assert sorted(one.name for one in folder.iterdir()) == ["threadbridge.service", "threadbridge.toml"]

    doctor = await asyncio.create_subprocess_exec(
        *HERE, "doctor", "--json", cwd=folder, env=variables, stdout=asyncio.subprocess.PIPE
    )
    findings = json.loads((await doctor.communicate())[0])
    checked = time.monotonic()
    assert doctor.returncode == 0
    assert {one["mark"] for one in findings} == {"ok"}, findings

    slack, discord = SlackPeople(town.slack), DiscordPeople(town.discord)
    both: tuple[People, People] = (slack, discord)
    async with started([*HERE, "run"], variables, folder, slack) as process:
        await process.until(discord.connected)
        for number, people in enumerate(both, start=1):
            thread = await people.say("ada", "general", "@threadbridge hello")
            assert await at_rest(folder / "threadbridge.db", number) == ["done"] * number
            assert "hello" in people.shown(thread)[-1].text
        answered = time.monotonic()
    with capsys.disabled():
        print(f"\ninit {set_up - begun:.1f} s, doctor {checked - set_up:.1f} s, run to the answers "
              f"{answered - checked:.1f} s: {answered - begun:.1f} s of the machine's")  # fmt: skip
