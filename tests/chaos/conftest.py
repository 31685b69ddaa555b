"""Everything simulated, people of either platform, and the bridge as a process that can be killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.fixtures import bridging, database, people, platform, quick, town
from tests.e2e.running import as_toml, settings_for
from tests.e2e.town import Town

__all__ = ["bridging", "config", "database", "people", "platform", "quick", "town"]


@pytest.fixture
def config(town: Town, platform: str, database: Path, tmp_path: Path) -> Path:
    """The settings file of a bridge that serves the platform of `people`."""
    path = tmp_path / "threadbridge.toml"
    path.write_text(as_toml(settings_for(town, platform, database)), encoding="utf-8")
    return path
