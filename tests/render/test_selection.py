"""Which columns of a table, and in which order its rows: as people write it."""

from __future__ import annotations

import pytest

from adapters.base import Scalar
from bridge.render.selection import Selection, WrongSelection, select, split

COLUMNS = ("Month", "Region", "Total")
ROWS: tuple[tuple[Scalar, ...], ...] = (
    ("May", "north", "9"),
    ("June", None, "10"),
    ("April", "South", None),
    ("July", "east", "-2.5"),
)


@pytest.mark.parametrize(
    ("words", "name", "columns", "sort"),
    [
        ("sales.csv", "sales.csv", "", ""),
        (" my sales.csv ", "my sales.csv", "", ""),
        ("sales.csv columns=month,total sort=-total", "sales.csv", "month,total", "-total"),
        ("my sales.csv sort= -total, month  columns=Net total", "my sales.csv", "Net total", "-total, month"),
        ('a.csv COLUMNS="month, total"', "a.csv", "month, total", ""),
        ("columns=a", "", "a", ""),
        ("resort=1.csv", "resort=1.csv", "", ""),
    ],
)
def test_a_name_and_what_follows_it(words: str, name: str, columns: str, sort: str) -> None:
    assert split(words) == (name, Selection(columns, sort))


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), [list(row) for row in ROWS]),
        (Selection("total, month"), [["9", "May"], ["10", "June"], [None, "April"], ["-2.5", "July"]]),
        (Selection("month", "total"), [["July"], ["May"], ["June"], ["April"]]),
        (Selection("MONTH", "-Total"), [["June"], ["May"], ["July"], ["April"]]),
        (Selection("month", "region"), [["July"], ["May"], ["April"], ["June"]]),
        (Selection("month", "-region"), [["April"], ["May"], ["July"], ["June"]]),
        (Selection("month,month", "-month,,"), [["May"] * 2, ["June"] * 2, ["July"] * 2, ["April"] * 2]),
    ],
)
def test_columns_and_order(selection: Selection, expected: list[list[Scalar]]) -> None:
    _, rows = select(COLUMNS, ROWS, selection)
    assert [list(row) for row in rows] == expected


def test_several_columns_decide_one_after_the_other() -> None:
    rows = [("a", 2), ("b", 1), ("a", 1), ("b", 2)]
    _, sorted_rows = select(("name", "n"), rows, Selection("", "-n,name"))
    assert list(sorted_rows) == [("a", 2), ("b", 2), ("a", 1), ("b", 1)]


@pytest.mark.parametrize("selection", [Selection("months"), Selection("", "-sum"), Selection("month,-total")])
def test_a_column_that_is_not_there_is_a_sentence_with_those_that_are(selection: Selection) -> None:
    with pytest.raises(WrongSelection) as caught:
        select(COLUMNS, ROWS, selection)
    assert "It has `Month`, `Region`, `Total`." in str(caught.value)


def test_one_of_two_columns_of_a_name_has_to_be_written_as_it_is() -> None:
    columns, rows = ("a", "A", "b"), [(1, 2, 3)]
    assert select(columns, rows, Selection("A"))[1] == [[2]]
    with pytest.raises(WrongSelection):
        select(("x", "X"), [(1, 2)], Selection("x ,Y"))


def test_the_sentence_is_bounded_and_harmless() -> None:
    columns = tuple(f"`col` {number} {'x' * 100}" for number in range(500))
    with pytest.raises(WrongSelection) as caught:
        select(columns, [], Selection("`<!channel>`" * 50))
    assert len(str(caught.value)) < 1_900
