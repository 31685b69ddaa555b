"""Fixtures of every folder that runs the whole bridge."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.people import People
from tests.e2e.running import people_of, quick_replies, serving, settings_for
from tests.e2e.town import Town, make_town


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    async with make_town() as simulated:
        yield simulated


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick_replies(monkeypatch)


@pytest.fixture(params=["slack", "discord"])
def platform(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def people(town: Town, platform: str) -> People:
    return people_of(town, platform)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "threadbridge.db"


@pytest.fixture
async def bridging(quick: None, town: Town, people: People, platform: str, database: Path) -> AsyncIterator[None]:
    """The bridge in this process, serving the platform of `people`."""
    async with serving(settings_for(town, platform, database), people):
        yield
