"""The packages know each other as they are drawn: see `[tool.importlinter]` in pyproject.toml."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import lint_imports


def test_imports_follow_the_drawing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(Path(__file__).parents[1])
    assert lint_imports(cache_dir=os.fspath(tmp_path)) == 0


def test_a_command_that_needs_no_database_starts_without_its_library() -> None:
    """It is the half of the time that `threadbridge ask` takes to begin."""
    code = "import sys, bridge.cli; sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
