"""The real client against the simulated Discord."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator

import pytest

with warnings.catch_warnings():
    # discord.py imports audioop, which Python 3.13 leaves out; from there on it brings a replacement.
    warnings.filterwarnings("ignore", "'audioop' is deprecated", DeprecationWarning)
    import discord  # noqa: F401

from bridge.frontends.discord import catch_up, gateway, served
from bridge.frontends.discord.app import DiscordFrontEnd
from bridge.playground.discord import DiscordWorld
from tests.frontends.discord.running import MemoryInbox, connected, waits_for_windows


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (served, gateway, catch_up):
        monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(gateway, "BEGIN_PAUSE", (0.0, 0.01))


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    return waits_for_windows(monkeypatch)


@pytest.fixture
def world() -> DiscordWorld:
    return DiscordWorld(rate=None)


@pytest.fixture
def inbox() -> MemoryInbox:
    return MemoryInbox()


@pytest.fixture
async def front(world: DiscordWorld, inbox: MemoryInbox) -> AsyncIterator[DiscordFrontEnd]:
    async with connected(world, inbox) as front:
        yield front
