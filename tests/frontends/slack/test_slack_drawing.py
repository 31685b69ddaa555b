"""Tables and charts as Slack's own blocks: within its limits, found again, and left where it refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import Chart, ChartKind, Scalar, Series, Table
from bridge.frontends.slack.drawing import MAX_COLUMNS, MAX_ROWS, drawn, rows_shown
from bridge.frontends.slack.surface import SlackSurface
from bridge.playground.slack import SlackWorld
from bridge.playground.slack.checks import check_message
from bridge.playground.slack.errors import SlackError
from bridge.render.data import Data
from bridge.turns.surface import Gone, PartKey, PartKind, Refused

KEY = PartKey("turn000000000001", PartKind.DRAWN)
TABLE = Data.of(Table("Sales of <@U1>", ("City", "Units"), (("Zürich", 5), ("<!channel>", 7))))


def chart(kind: ChartKind, labels: Sequence[str], *series: Sequence[float | None]) -> Data:
    named = tuple(Series(f"s{number}", tuple(values)) for number, values in enumerate(series))
    return Data.of(Chart("A chart", kind, tuple(labels), named))


def test_a_table_is_a_block_that_sorts_numbers_as_numbers() -> None:
    block = drawn(TABLE)
    assert block["type"] == "data_table"
    assert block["rows"][0] == [{"type": "raw_text", "text": "City"}, {"type": "raw_text", "text": "Units"}]
    assert block["rows"][1][1] == {"type": "raw_number", "value": 5, "text": "5"}
    assert "<!channel" not in str(block)
    assert "<@U1" not in str(block)


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (Data("many", ["n"], [[number] for number in range(250)]), MAX_ROWS),
        (Data("wide", [f"c{n}" for n in range(30)], [list(range(30))]), 1),
        (Data("long", ["a"], [["x" * 5_000]] * 100), 33),
        (Data("empty", ["a"], []), 0),
        (Data("nothing", [], []), 0),
        (Data("ragged", ["a", "b"], [[1], [1, 2, 3]]), 2),
        (chart(ChartKind.BAR, ["a", "b"], [1, 2], [3, -4]), 2),
        (chart(ChartKind.LINE, [str(n) for n in range(20)], range(20)), 20),
        (chart(ChartKind.LINE, [str(n) for n in range(21)], range(21)), 0),
        (chart(ChartKind.AREA, ["a"], *[[1]] * 7), 0),
        (chart(ChartKind.BAR, ["a", "a"], [1, 2]), 0),
        (chart(ChartKind.BAR, ["a", ""], [1, 2]), 0),
        (chart(ChartKind.BAR, ["a", "b"], [1, None]), 0),
        (chart(ChartKind.BAR, ["a", "b"], [1, float("nan")]), 0),
        (chart(ChartKind.PIE, ["a", "b"], [1, 2], [3, 4]), 2),
        (chart(ChartKind.PIE, ["a", "b"], [1, 0]), 0),
        (chart(ChartKind.PIE, list("abcdefg"), [1] * 7), 0),
        (chart(ChartKind.PIE, ["a"]), 0),
    ],
)
def test_how_much_of_it_a_block_shows(data: Data, rows: int) -> None:
    assert rows_shown(data) == rows
    if rows:
        check_message([drawn(data)])


cells: st.SearchStrategy[Scalar] = st.one_of(st.none(), st.booleans(), st.text(), st.integers(), st.floats())


@given(
    st.text(),
    st.lists(st.text(), max_size=MAX_COLUMNS + 3),
    st.lists(st.lists(cells, max_size=6), max_size=12),
    st.sampled_from([None, *ChartKind]),
)
def test_what_is_drawn_is_never_refused(
    title: str, columns: list[str], rows: list[list[Scalar]], kind: ChartKind | None
) -> None:
    width = max(1, len(columns))
    data = Data(title, columns or ["a"], [(row + [None] * width)[:width] for row in rows], chart=kind)
    if rows_shown(data):
        check_message([drawn(data)])


async def test_it_is_a_message_that_is_found_again_by_its_key(
    world: SlackWorld, surface: SlackSurface, make_surface: Callable[[], SlackSurface], root: str
) -> None:
    message_id = await surface.draw(KEY, TABLE)
    [posted] = [one for one in world.thread("general", root) if one.user == world.bot.id]
    assert posted.ts == message_id
    assert [block["type"] for block in posted.blocks] == ["data_table"]
    assert await make_surface().find(KEY, after=root, known=()) == message_id
    assert world.pings == []


@pytest.mark.parametrize("code", ["invalid_blocks", "msg_blocks_too_long", "something_new"])
async def test_what_slack_has_against_it_is_a_refusal(world: SlackWorld, surface: SlackSurface, code: str) -> None:
    world.faults.refuse("chat.postMessage", code)
    with pytest.raises(Refused):
        await surface.draw(KEY, TABLE)


async def test_a_thread_that_is_gone_is_gone(world: SlackWorld, surface: SlackSurface) -> None:
    world.faults.refuse("chat.postMessage", "channel_not_found")
    with pytest.raises(Gone):
        await surface.draw(KEY, TABLE)


@pytest.mark.parametrize(
    "broken",
    [
        {"caption": ""},
        {"page_size": 101},
        {"rows": [[{"type": "raw_text", "text": "a"}]]},
        {"rows": [[{"type": "raw_text", "text": "a"}]] * 102},
        {"rows": [[{"type": "raw_text", "text": ""}]] * 2},
        {"rows": [[{"type": "raw_text", "text": "a"}], [{"type": "raw_number", "value": "1", "text": "1"}]]},
        {"rows": [[{"type": "raw_text", "text": "a"}], [{"type": "raw_text", "text": "a"}] * 2]},
        {"rows": [[{"type": "raw_text", "text": "a"}], [{"type": "raw_text", "text": "a" * 10_000}]]},
        {"rows": [[{"type": "rich_text", "elements": []}], [{"type": "raw_text", "text": "a"}]]},
        {"colour": "red"},
    ],
)
def test_the_simulated_slack_refuses_a_table_that_slack_would(broken: dict[str, object]) -> None:
    cell = {"type": "raw_text", "text": "a"}
    with pytest.raises(SlackError):
        check_message([{"type": "data_table", "caption": "c", "rows": [[cell], [cell]], **broken}])


@pytest.mark.parametrize(
    "broken",
    [
        {"type": "radar", "segments": [{"label": "a", "value": 1}]},
        {"type": "pie", "segments": []},
        {"type": "pie", "segments": [{"label": "a", "value": 0}]},
        {"type": "pie", "segments": [{"label": "a" * 21, "value": 1}]},
        {"type": "bar", "series": [{"name": "s", "data": [{"label": "a", "value": 1}]}]},
        {"type": "bar", "series": [{"name": "s", "data": []}], "axis_config": {"categories": ["a"]}},
        {
            "type": "line",
            "series": [{"name": "s", "data": [{"label": "b", "value": 1}]}],
            "axis_config": {"categories": ["a"]},
        },
        {
            "type": "line",
            "series": [{"name": "s", "data": [{"label": "a", "value": 1}]}] * 2,
            "axis_config": {"categories": ["a"]},
        },
    ],
)
def test_the_simulated_slack_refuses_a_chart_that_slack_would(broken: dict[str, object]) -> None:
    with pytest.raises(SlackError):
        check_message([{"type": "data_visualization", "title": "t", "chart": broken}])


def test_the_simulated_slack_takes_two_charts_in_a_message_and_no_third() -> None:
    block = {
        "type": "data_visualization",
        "title": "t",
        "chart": {"type": "pie", "segments": [{"label": "a", "value": 1}]},
    }
    check_message([block] * 2)
    with pytest.raises(SlackError):
        check_message([block] * 3)
