"""What the documents name is there: tests, files, the drawing of a turn's life."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bridge import lifecycle

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "bridge" / "README.md").read_text(encoding="utf-8")


def test_the_drawing_of_a_turns_life_is_the_codes() -> None:
    assert f"```mermaid\n{lifecycle.drawing()}\n```" in GUIDE


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([\w/]+\.py::\w+)`", GUIDE))))
def test_a_proof_that_is_named_is_there(name: str) -> None:
    path, _, test = name.partition("::")
    assert re.search(rf"^\s*(async )?(def|class) {test}\b", (ROOT / "tests" / path).read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"`((?:turns|store|render|frontends|playground)/[\w/]+\.py)`", GUIDE)))
)
def test_a_module_that_is_named_is_there(name: str) -> None:
    assert (ROOT / "bridge" / name).is_file() or (ROOT / "tests" / name).is_file()
