"""The packages know each other as they are drawn: see `[tool.importlinter]` in pyproject.toml."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from importlinter.cli import lint_imports


def test_imports_follow_the_drawing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(Path(__file__).parents[1])
    assert lint_imports(cache_dir=os.fspath(tmp_path)) == 0
