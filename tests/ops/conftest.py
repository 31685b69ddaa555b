"""Both platforms and every backend simulated on one port, and a settings file that names them all."""

from __future__ import annotations

import os
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import stamina

with warnings.catch_warnings():
    # discord.py imports audioop, which Python 3.13 leaves out.
    warnings.filterwarnings("ignore", "'audioop' is deprecated", DeprecationWarning)
    import discord  # noqa: F401

from tests.ops.everything import Everything, serve_everything


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("THREADBRIDGE_", "SLACK_", "DISCORD_", "DATABASE_URL")):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=2):
        yield


@pytest.fixture
async def everything(tmp_path: Path) -> AsyncIterator[Everything]:
    async with serve_everything(tmp_path) as everything:
        yield everything
