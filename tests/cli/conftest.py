"""Everything simulated, and the command beside it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.command import PATIENCE, Ended, run_command
from tests.e2e.fixtures import bridging, database, people, platform, quick, town
from tests.e2e.running import as_toml
from tests.e2e.town import Town
from tests.ops.everything import Everything, serve_everything

__all__ = ["bridging", "command", "config", "database", "people", "platform", "quick", "town"]

Command = Callable[..., Awaitable[Ended]]


@pytest.fixture
def config(town: Town, database: Path, tmp_path: Path) -> Path:
    """A settings file with both platforms and every agent."""
    path = tmp_path / "threadbridge.toml"
    path.write_text(as_toml(town.settings(database)), encoding="utf-8")
    return path


@pytest.fixture
def command(town: Town, config: Path, tmp_path: Path) -> Command:
    """Run `threadbridge` with these arguments in a folder of its own; no secret may stand in what it writes."""
    secrets = {town.slack.bot_token, town.slack.app_token, town.discord.token}
    secrets |= {backend.key for backend in town.backends}

    async def run(*arguments: str, typed: str | None = None, settings: Path | None = None) -> Ended:
        ended = await run_command(
            *arguments, "--config", str(settings or config), typed=typed, folder=tmp_path / "here"
        )
        assert not [secret for secret in secrets if secret in ended.out + ended.err]
        return ended

    return run


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
