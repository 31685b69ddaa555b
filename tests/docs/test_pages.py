"""The documents hold what they promise: links lead somewhere, what is made from the code is the code's, tests exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from tests.docs import reference

ROOT = reference.ROOT
SECURITY = (ROOT / ".github" / "SECURITY.md").read_text(encoding="utf-8")
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob(".github/*.md"),
        *reference.DOCS.glob("*.md"),
        ROOT / "bridge" / "README.md",
        ROOT / "adapters" / "README.md",
    ]
)
FENCE = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)")
FIRST_SCREEN = 15  # lines
QUOTED = re.compile(r"(?<!\*)\*([A-Z…a-z][^*|]+[.…\w])\*(?!\*)|`(?:ok|warn|fail) [\w.\[\]]+: ([^`]+)`")
LEFT_OPEN = re.compile(
    r"C?…|threadbridge\.toml|[\d.]+:\d+|'\w+'|routes\[\d\]|`[^`]+`"
)  # what stands for something else in a quoted sentence
LEAST = 9  # characters of a piece that says which sentence it is


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            assert anchor in _anchors(file), target


def _anchors(file: Path) -> set[str]:
    """Those of its headings, as GitHub makes them."""
    text = FENCE.sub("", file.read_text(encoding="utf-8"))
    headings = [
        re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    ]
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in headings}


def test_each_page_is_reached_from_the_first() -> None:
    index = (reference.DOCS / "index.md").read_text(encoding="utf-8")
    linked = set(LINK.findall(index))
    assert {page.name for page in reference.DOCS.glob("*.md")} - {"index.md"} <= linked


@pytest.mark.parametrize("name", sorted(reference.PAGES))
def test_what_is_made_from_the_code_is_the_codes(name: str) -> None:
    """`python -m tests.docs.reference` writes it anew."""
    page = (reference.DOCS / name).read_text(encoding="utf-8")
    assert page == reference.rewritten(page, reference.PAGES[name]())


@pytest.mark.parametrize(("place", "model"), list(reference.models()))
def test_each_setting_says_what_it_is_for(place: str, model: type[BaseModel]) -> None:
    assert not [f"{place}.{name}" for name, field in model.model_fields.items() if not field.description]


def test_the_first_screen_has_the_two_commands() -> None:
    screen = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:FIRST_SCREEN]
    assert [line.partition(" #")[0].strip() for line in screen if line.startswith("make ")] == [
        "make demo",
        "make test",
    ]


def test_each_threat_is_answered_by_a_test() -> None:
    model = SECURITY.partition("## Threat model")[2].partition("## What isn't answered")[0]
    rows = [line for line in model.splitlines() if line.startswith("| ") and "shown by" not in line]
    assert len(rows) > 50
    assert not [row for row in rows if not re.search(r"`[\w/]+\.py::test_\w+` \|$", row)]


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([\w/]+\.py::\w+)`", SECURITY))))
def test_a_test_that_is_named_is_there(name: str) -> None:
    path, _, test = name.partition("::")
    text = (ROOT / "tests" / path).read_text(encoding="utf-8")
    assert re.search(rf"^\s*(async )?def {test}\b", text, re.MULTILINE)


def test_what_people_and_doctor_are_quoted_with_is_what_they_say() -> None:
    page = (reference.DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    quoted = [first or second for row in rows for first, second in QUOTED.findall(row.split(" | ")[0])]
    pieces = [piece.strip() for one in quoted for piece in LEFT_OPEN.split(one) if len(piece.strip()) >= LEAST]
    assert len(pieces) > 30
    said = "\n".join(
        node.value
        for package in ("bridge", "adapters")
        for module in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    assert not [piece for piece in pieces if piece not in said]
