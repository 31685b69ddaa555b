"""The unit's command line, environment and folder, as a plain process: it serves, is healthy, and ends when told to."""

from __future__ import annotations

import os
import re
import stat
import sys
from pathlib import Path

import pytest

from tests.cli.command import WHOLE_TEST
from tests.deploy.starting import ROOT, healthy, started
from tests.e2e.people import SlackPeople
from tests.e2e.running import as_toml, at_rest, settings_for
from tests.e2e.town import Town
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(WHOLE_TEST)]

UNIT = (ROOT / "deploy" / "systemd" / "threadbridge.service").read_text(encoding="utf-8")


def line(key: str) -> str:
    [value] = re.findall(rf"^{key}=(.+)$", UNIT, re.MULTILINE)
    return str(value)


async def test_its_command_serves_in_its_folder_with_its_credential(town: Town, tmp_path: Path) -> None:
    credentials, state = tmp_path / "credentials", tmp_path / "state"
    (state / line("StateDirectory")).mkdir(parents=True)
    credentials.mkdir()
    name, _, source = line("LoadCredential").partition(":")
    assert source == "/etc/threadbridge/threadbridge.toml"
    settings = as_toml(settings_for(town, "slack", Path("threadbridge.db")))
    (credentials / name).write_text(settings, encoding="utf-8")
    (credentials / name).chmod(0o400)

    key, _, value = line("Environment").partition("=")
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        key: value.replace("%d", str(credentials)),
        "THREADBRIDGE_HTTP__PORT": str(port),
    }
    program, *arguments = line("ExecStart").split()
    assert program.endswith("/threadbridge")
    folder = Path(line("WorkingDirectory").replace("%S", str(state)))
    people = SlackPeople(town.slack)
    async with started([sys.executable, "-m", "bridge", *arguments], environment, folder, people) as process:
        assert await healthy(port)
        thread = await people.say("ada", "general", "@threadbridge hello")
        await at_rest(folder / "threadbridge.db", 1)
        assert "hello" in people.shown(thread)[-1].text
        process.terminate()
        assert await process.ended() == 0, process.log()
    assert not await healthy(port)
    assert stat.S_IMODE((folder / "threadbridge.db").stat().st_mode) == 0o600
