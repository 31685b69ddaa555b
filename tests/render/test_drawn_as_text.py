"""Charts as text, footnotes, and whether a text shows a table already."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import Chart, ChartKind, Series, Source, Table
from bridge.render.characters import width
from bridge.render.charts import BAR, LABEL, LIMIT, text_chart
from bridge.render.data import Data
from bridge.render.discord import DISCORD
from bridge.render.footnotes import MAX_SOURCES, address, footnotes, linked
from bridge.render.markdown import Renderer
from bridge.render.measure import utf16
from bridge.render.repeated import shows
from bridge.render.slack import SLACK
from bridge.render.style import Dialect


def chart(kind: ChartKind, values: dict[str, float | None], name: str = "c") -> Data:
    return Data.of(Chart(name, kind, tuple(values), (Series("s", tuple(values.values())),)))


# --- charts -------------------------------------------------------------------------------------------------


def test_bars_line_up_beside_wide_labels_and_each_says_its_number() -> None:
    shown = text_chart(chart(ChartKind.BAR, {"東京": 24, "Bern": 12, "no": None, "minus": -6}), DISCORD)
    assert shown == (
        "**c**\n\n```\n東京  ████████████████████████ 24\nBern  ████████████ 12\nno    –\nminus ░░░░░░ -6\n```"
    )


def test_a_pie_says_each_share() -> None:
    shown = text_chart(chart(ChartKind.PIE, {"a": 1, "b": 3}), DISCORD)
    assert "a ████████ 1 (25%)\nb ████████████████████████ 3 (75%)" in shown


def test_a_line_is_one_line_of_heights_with_its_ends() -> None:
    shown = text_chart(chart(ChartKind.LINE, {f"w{n}": n for n in range(8)}), DISCORD)
    assert "s ▁▂▃▄▅▆▇█ 0 → 7, from 0 to 7\nw0 – w7 (8 values)" in shown


def test_a_chart_without_a_number_is_no_chart() -> None:
    assert text_chart(chart(ChartKind.BAR, {"a": None}), DISCORD) == ""
    assert text_chart(Data.of(Chart("c", ChartKind.LINE, (), ())), DISCORD) == ""


def test_what_an_agent_wrote_neither_ends_the_block_nor_pings() -> None:
    shown = text_chart(chart(ChartKind.BAR, {"```@everyone": 1}, name="@here"), DISCORD)
    assert shown.count("```") == 2
    assert "@everyone" not in shown
    assert "@here" not in shown


@given(
    st.sampled_from(ChartKind),
    st.lists(st.text(max_size=30), max_size=60),
    st.lists(st.one_of(st.none(), st.floats(), st.integers()), min_size=1, max_size=60),
    st.integers(1, 8),
)
def test_any_chart_fits_and_never_fails(
    kind: ChartKind, labels: list[str], values: list[float | None], count: int
) -> None:
    given = Chart("any", kind, tuple(labels), tuple(Series(f"s{n}", tuple(values)) for n in range(count)))
    shown = text_chart(Data.of(given), DISCORD)
    assert utf16(shown) <= LIMIT
    assert all(width(line) <= 2 * LABEL + BAR + 60 for line in shown.split("\n"))


# --- sources ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", [SLACK, DISCORD], ids=lambda dialect: dialect.name)
def test_a_title_can_fake_no_address_no_mention_and_no_markup(dialect: Dialect) -> None:
    sources = [
        Source("https://evil.example/", "https://bank.com"),
        Source("https://x.org/", "*b* [c](d) @everyone <@1>"),
    ]
    shown = footnotes(sources, dialect)
    assert "https://bank.com (https://evil.example/)" in shown
    assert "\\*b\\* \\[c\\](d)" in shown
    assert "@everyone" not in shown
    assert "<@1" not in shown


def test_on_discord_they_are_small_print() -> None:
    assert footnotes([Source("https://x.org/a")], DISCORD) == "-# **Sources**\n-# 1. [x.org](https://x.org/a)"


def test_more_sources_than_anyone_reads_are_counted() -> None:
    shown = footnotes([Source(f"https://x.org/{n}") for n in range(25)], SLACK)
    assert shown.count("](https://") == MAX_SOURCES
    assert shown.endswith("and 5 more")


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://x.org/a_(b)", "https://x.org/a_%28b%29"),
        (" https://x.org/a b\n", "https://x.org/ab"),
        ("javascript:alert(1)", ""),
        ("file:///etc/passwd", ""),
        ("//x.org", ""),
        ("https://", ""),
        ("http://[", ""),
        ("https://x.org/" + "a" * 2_000, ""),
    ],
)
def test_only_the_web_is_linked(url: str, target: str) -> None:
    assert address(url) == target


def test_markers_become_links_outside_code_and_links() -> None:
    sources = [Source("https://x.org/1"), Source("nowhere:")]
    text = "One [1], two [2], three [3]. `[1]` [1](https://y.org) [1]: x\n```\n[1]\n```\n~~~\n[1]"
    assert linked(text, sources) == text.replace("One [1]", "One [\\[1\\]](https://x.org/1)")
    renderer = Renderer(DISCORD)
    assert renderer.feed(linked("so[1].", sources)) + renderer.finish() == "so[\\[1\\]](https://x.org/1)."


@given(st.text(), st.lists(st.builds(Source, st.text(), st.text()), max_size=3))
def test_any_source_is_harmless(text: str, sources: list[Source]) -> None:
    for dialect in (SLACK, DISCORD):
        assert not dialect.pings.search(footnotes(sources, dialect))
        assert linked(text, []) == text


# --- the same table twice -----------------------------------------------------------------------------------

TABLE = Data.of(Table("t", ("Name", "Share"), (("Ann", 0.333), ("Bob | Co", 1234567.0), ("Eve", None), ("Z", 9))))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("| name | share |\n|---|---|\n| **Ann** | 33.3% |", False),
        (
            "| name | share |\n|---|---|\n| **Ann** | 0.33 |\n| Bob \\| Co | 1,234,567 |\n| Eve | |\n| other | 1 |",
            True,
        ),
        ("Name | Share\n---|---\nAnn | 0.333\n", True),
        ("```\n| Name | Share |\n|---|---|\n| Ann | 0.333 |\n```", False),
        ("| Name | Share |\n|---|---|\n| Ann | 0.5 |", False),
        ("| Name | Share |\n|---|---|\n", False),
        ("| Name |\n|---|\n| Ann |", False),
        ("no table | at all", False),
    ],
)
def test_whether_a_text_shows_a_table(text: str, shown: bool) -> None:
    assert shows(text, TABLE) is shown


@given(st.text(alphabet="|-:` ~\na1", max_size=80))
def test_any_text_may_be_looked_at(text: str) -> None:
    shows(text, TABLE)
