"""What text costs, counted in steps: in proportion to its length, whatever the text is."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

import pytest

import adapters.text
from adapters.text import ThinkFilter
from bridge.render import characters, incoming, inline, links, markdown, slack, split, style, tables, words
from bridge.render.discord import DISCORD
from bridge.render.incoming import from_discord, from_slack
from bridge.render.markdown import Renderer
from bridge.render.measure import utf8, utf16
from bridge.render.slack import SLACK, slack_mrkdwn
from bridge.render.split import Splitter
from bridge.render.style import Dialect
from bridge.render.tables import preview
from tests.render.bad_texts import tables as bad_tables
from tests.render.bad_texts import texts, worse_texts
from tests.render.steps import CountingText, Steps, counted, counting, repeats_group_possessively

MODULES = [adapters.text, characters, incoming, inline, links, markdown, slack, split, style, tables, words]
LIBRARY = [module for name, module in sys.modules.items() if name.startswith("markdown_it.")]

SIZE = 1_100  # characters; beyond what any marker waits for its partner
LONG = 3_000
MOST = 250  # steps for a character. The worst so far are lines of one character: 130
DELTA = 20


def deliver(text: str, dialect: Dialect, steps: Steps, delta: int) -> None:
    limit, measure = (2_000, utf16) if dialect.name == "discord" else (11_000, utf8)
    renderer, splitter = Renderer(dialect), Splitter(limit, measure)
    for start in range(0, len(text), delta):
        splitter.feed(CountingText(renderer.feed(CountingText(text[start : start + delta], steps)), steps))
    splitter.feed(CountingText(renderer.finish(), steps))
    splitter.finish()


def several(count: int) -> pytest.MarkDecorator:
    """Tests of many texts each, so that they are shared among processes."""
    return pytest.mark.parametrize("which", [slice(start, None, count) for start in range(count)], ids=str)


def test_no_group_is_repeated_possessively() -> None:
    """Python up to 3.11.4 matches that wrongly where the group has alternatives; an atomic group does the same."""
    patterns = [
        found.pattern for module in MODULES for found in vars(module).values() if isinstance(found, re.Pattern)
    ]
    assert len(patterns) > 20
    patterns += [found.pattern for brackets in (inline.LABEL, inline.PARENTHESES) for found in vars(brackets).values()
                 if isinstance(found, re.Pattern)]  # fmt: skip
    assert [pattern for pattern in patterns if repeats_group_possessively(pattern)] == []
    assert repeats_group_possessively("a(?:b|cc)*+")


@pytest.mark.slow
@several(6)
def test_each_character_that_comes_in_deltas_costs_little(which: slice, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in [*texts(SIZE)][which]:
        with counted(monkeypatch, MODULES) as steps:
            deliver(text, counting(DISCORD, steps), steps, DELTA)
        assert steps.total <= MOST * SIZE, (name, steps)


@pytest.mark.slow
@several(4)
def test_each_character_of_a_whole_reply_costs_little(which: slice, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in [*worse_texts(SIZE), *bad_tables(SIZE)][which]:
        with counted(monkeypatch, MODULES) as steps:
            deliver(text, counting(SLACK, steps), steps, SIZE)
        assert steps.total <= MOST * SIZE, (name, steps)


@pytest.mark.slow
@several(4)
def test_a_reply_of_twice_the_length_costs_twice_as_much(which: slice, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = zip(worse_texts(LONG), worse_texts(2 * LONG), strict=True)
    for (name, once), (_, twice) in [*pairs][which]:
        costs = []
        for text in (once, twice):
            with counted(monkeypatch, MODULES, patterns=False) as steps:
                deliver(text, DISCORD, steps, 2 * LONG)
            costs.append(steps.total)
        assert costs[1] <= 2.4 * costs[0] + 5 * LONG, (name, costs)


@pytest.mark.slow
@pytest.mark.parametrize("piece", ["word ", "x", "[", "e\u0301\u0301", "`a", "_a ", "| a "])
def test_a_line_of_100_000_characters(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = piece * (100_000 // len(piece))
    with counted(monkeypatch, MODULES, patterns=False) as steps:
        deliver(text, DISCORD, steps, len(text))
    assert steps.total <= MOST * len(text), steps


def think(text: str) -> str:
    thoughts = ThinkFilter()
    return thoughts.feed(text) + thoughts.end()


def mrkdwn(text: str) -> str:
    renderer = Renderer(SLACK)
    return slack_mrkdwn(renderer.feed(text) + renderer.finish())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("run", "most"),
    [
        (think, 20),
        (lambda text: from_slack(text, str.lower), MOST),
        (lambda text: from_discord(text, str.lower), MOST),
        (mrkdwn, 8 * MOST),
    ],
    ids=["thoughts", "from Slack", "from Discord", "mrkdwn"],
)
def test_what_else_reads_text(run: Callable[[str], object], most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in worse_texts(SIZE // 4):
        with counted(monkeypatch, [*MODULES, *LIBRARY]) as steps:
            run(CountingText(text, steps))
        assert steps.total <= most * len(text), (name, steps)


@pytest.mark.slow
@pytest.mark.parametrize("dialect", [DISCORD, SLACK], ids=lambda dialect: dialect.name)
def test_a_preview_costs_the_same_however_large_the_table_is(
    dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cost(columns: int, rows: int, cell: int) -> int:
        header, cells = [f"name {number}" for number in range(columns)], [("x" * cell,) * columns] * rows
        with counted(monkeypatch, MODULES) as steps:
            preview(header, cells, counting(dialect, steps))
        return steps.total

    assert cost(1_000, 1_000, 10_000) <= cost(100, 20, 3_000) * 1.2


@pytest.mark.parametrize("dialect", [DISCORD, SLACK], ids=lambda dialect: dialect.name)
def test_no_table_becomes_much_longer_than_it_was(dialect: Dialect) -> None:
    for name, text in bad_tables(10_000):
        renderer = Renderer(dialect)
        assert len(renderer.feed(text) + renderer.finish()) <= 40 * len(text), name
