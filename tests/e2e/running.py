"""The real bridge: in this process, or as the command in a process of its own that can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bridge.app import bridge
from bridge.frontends.discord import surface as discord_surface
from bridge.frontends.slack import surface as slack_surface
from bridge.settings import Settings
from tests.e2e.people import DiscordPeople, People, SlackPeople
from tests.e2e.town import Town
from tests.e2e.waiting import PATIENCE, eventually

AT_WORK = ("received", "asking", "replying")
TABLES = ("slack", "discord", "http")
LOG_SHOWN = 6_000  # characters
INTERVAL = 0.02  # seconds between two edits: the simulators have no limits of rate


def quick_replies(patch: pytest.MonkeyPatch) -> None:
    """Let replies in this process grow at the simulators' pace."""
    for style in ("STREAM_STYLE", "UPDATE_STYLE"):
        brisk = dataclasses.replace(getattr(slack_surface, style), interval=INTERVAL)
        patch.setattr(slack_surface, style, brisk)
    patch.setattr(discord_surface, "INTERVAL", INTERVAL)


def people_of(town: Town, platform: str) -> People:
    return SlackPeople(town.slack) if platform == "slack" else DiscordPeople(town.discord)


def settings_for(town: Town, platform: str, database: Path) -> Settings:
    """One platform, every agent."""
    other = "discord" if platform == "slack" else "slack"
    return town.settings(database).model_copy(update={other: None})


@asynccontextmanager
async def serving(settings: Settings, *everyone: People) -> AsyncIterator[None]:
    """The bridge in this process, connected."""
    async with bridge(settings) as tasks:
        await eventually(lambda: all(people.connected() for people in everyone) or _ended(tasks))
        yield


def _ended(tasks: object) -> bool:
    assert isinstance(tasks, list)
    for task in tasks:
        if task.done():
            task.result()
    return False


def states(database: Path) -> list[str]:
    """The state of every turn, oldest first."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return [state for (state,) in connection.execute("SELECT state FROM turn ORDER BY received_at, id")]


async def at_rest(database: Path, turns: int) -> list[str]:
    """The states of the turns once there are so many and none is being worked on."""

    def rest() -> list[str]:
        found = states(database)
        return found if len(found) == turns and not set(found) & set(AT_WORK) else []

    return await eventually(rest)


def as_toml(settings: Settings) -> str:
    """The settings as a person would write them."""
    plain = settings.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    for name in TABLES:
        for key, value in (plain.get(name) or {}).items():
            if value == "**********":
                plain[name][key] = getattr(getattr(settings, name), key).get_secret_value()
    plain["database_url"] = settings.database_url.get_secret_value()
    tables = {name: value for name, value in plain.items() if isinstance(value, dict)}
    routes = plain.pop("routes", [])
    lines = [f"{key} = {_inline(value)}" for key, value in plain.items() if key not in tables]
    for name, table in tables.items():
        named = table.items() if name == "agents" else [("", table)]
        for inner, values in named:
            lines += [f"[{name}.{inner}]" if inner else f"[{name}]", *_lines(values)]
    for route in routes:
        lines += ["[[routes]]", *_lines(route)]
    return "\n".join(lines) + "\n"


def _lines(values: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {_inline(value)}" for key, value in values.items()]


def environment() -> dict[str, str]:
    """Ours, without settings that would reach the command."""
    foreign = ("THREADBRIDGE_", "SLACK_", "DISCORD_", "DATABASE_URL")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {"PYTHONPATH": str(Path(__file__).parents[2])}


class Process:
    """`threadbridge run` in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        return self._process.pid

    def log(self) -> str:
        """The end of what the command wrote."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-LOG_SHOWN:]

    async def kill(self) -> None:
        self._process.kill()
        await self._process.wait()

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    async def ended(self) -> int:
        """The exit code, once it ended by itself."""
        async with asyncio.timeout(PATIENCE):
            return await self._process.wait()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for a condition while the process lives."""

        def met() -> bool:
            assert self._process.returncode is None, self.log()
            return bool(condition())

        try:
            await eventually(met)
        except TimeoutError:
            raise AssertionError(f"not in time; the log:\n{self.log()}") from None


@asynccontextmanager
async def running(config: Path, *everyone: People) -> AsyncIterator[Process]:
    """The command, started and connected; killed at the end if it still lives."""
    log = config.with_name(f"{config.stem}.log")
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bridge", "run", "--config", str(config),
            stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, env=environment(),
        )  # fmt: skip
    started = Process(process, log)
    try:
        await started.until(lambda: all(people.connected() for people in everyone))
        yield started
    finally:
        if process.returncode is None:
            await started.kill()


def _inline(value: Any) -> str:
    """A value as TOML has it within a line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_inline(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value)
