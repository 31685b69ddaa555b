import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.render.characters import width
from bridge.render.discord import DISCORD
from bridge.render.markdown import Renderer
from bridge.render.measure import utf8, utf16
from bridge.render.slack import SLACK
from bridge.render.style import ZERO_WIDTH, Dialect
from bridge.render.tables import COLUMNS, WIDEST, preview, to_csv
from tests.examples import examples

ROWS = [(f"name {number}", number, None) for number in range(240)]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("", 0),
        ("abc", 3),
        ("한글", 4),
        ("日本", 4),
        ("ｱｲ", 2),
        ("Ａ", 2),
        ("e\u0301", 1),
        ("😀", 2),
        ("👩\u200d💻", 2),
        ("❤\ufe0f", 2),
        ("a\u200bb", 2),
        ("각", 2),
    ],
)
def test_width(text: str, columns: int) -> None:
    assert width(text) == columns


@pytest.mark.parametrize(("text", "units", "size"), [("abc", 3, 3), ("é", 1, 2), ("한", 1, 3), ("😀", 2, 4)])
def test_measures(text: str, units: int, size: int) -> None:
    assert utf16(text) == units
    assert utf8(text) == size


def test_a_preview_on_discord_lines_up_and_says_how_many_rows_there_are() -> None:
    assert preview(["Name", "수량"], [("Ann", 1), ("김철수", 22)], DISCORD, limit=500) == (
        "```\nName   | 수량\n-------|-----\nAnn    |    1\n김철수 |   22\n```\n\n2 rows"
    )
    assert preview(["n", "i", "x"], ROWS, DISCORD, limit=2_000).endswith("\n```\n\nFirst 10 of 240 rows")


def test_a_preview_on_slack_is_a_table() -> None:
    assert preview(["a", "b"], [("x", 1.5)], SLACK, limit=500) == "| a | b |\n| --- | --: |\n| x | 1.5 |\n\n1 row"


def test_a_preview_has_a_title() -> None:
    text = preview(["a"], [("x",)], SLACK, title="the_@here *table*")
    assert text.startswith(f"**the\\_@{ZERO_WIDTH}here \\*table\\***\n\n| a |\n")


def test_a_preview_of_what_was_cut_already() -> None:
    text = preview(["n", "i", "x"], ROWS, DISCORD, limit=2_000, max_rows=3, truncated=True)
    assert text.endswith("First 3 of more than 240 rows")


@pytest.mark.parametrize("dialect", [DISCORD, SLACK], ids=lambda dialect: dialect.name)
def test_a_preview_fits(dialect: Dialect) -> None:
    wide = [tuple("long text " * 10 for _ in range(12))] * 50
    names = [f"column {number}" for number in range(12)]
    for limit in (60, 200, 1_000, 4_000):
        assert len(preview(names, wide, dialect, limit=limit)) <= limit
    assert "First 1 of 50" in preview(names, wide, dialect, limit=1_000)


def test_cells_are_harmless() -> None:
    cells = [("@everyone", "**x** | `y`", "a\nb")]
    assert preview(["a", "b", "c"], cells, SLACK, limit=500).split("\n")[2] == (
        f"| @{ZERO_WIDTH}everyone | \\*\\*x\\*\\* \\| \\`y\\` | a b |"
    )
    assert "```" not in preview(["a"], [("```",)], DISCORD, limit=500)[4:-20]


def test_a_wide_preview_goes_row_by_row() -> None:
    names = [f"column {number}" for number in range(9)]
    text = preview(names, [tuple(range(100_000, 100_009))] * 2, DISCORD, limit=2_000)
    assert text.startswith("**column 0:** 100000\n**column 1:** 100001\n")
    assert all(len(line) <= WIDEST for line in text.split("\n"))


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "+1"),
        ("-1.5e3", "-1.5e3"),
        ("-cmd", "'-cmd"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("  =x", "'  =x"),
        ("＝x", "'＝x"),
        *[(f"{blank}=x", f"'{blank}=x") for blank in ("\u00a0", "\ufeff", "\u200b", "\u200d", "\u2060", "\u00ad")],
        *[
            (f"{blank}@x", f"'{blank}@x")
            for blank in ("\u3000", "\x0b", "\x1f", "\u202e", "\U000e0041", " \u00a0\ufeff")
        ],
        *[(f"\u00a0{sign}x", f"'\u00a0{sign}x") for sign in "+-@＝＋－＠﹢﹣﹫⁺"],
        ("\u200b-5", "'\u200b-5"),
        ("\nx", "'\nx"),
        ("\u00a0x=1", "\u00a0x=1"),
        ("", ""),
        ("\u200b", "\u200b"),
        (-5, "-5"),
        (None, ""),
        (True, "True"),
        ("한글, 쉼표", "한글, 쉼표"),
        ("a=b", "a=b"),
    ],
)
def test_csv_cells_run_nothing(cell: str | float | None, written: str) -> None:
    content = to_csv(["x"], [(cell,), ("y",)])
    assert content.startswith(b"\xef\xbb\xbf")
    assert list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))) == [["x"], [written], ["y"]]


@examples(60)
@given(st.lists(st.tuples(st.text(), st.integers(), st.none() | st.booleans()), max_size=20))
def test_csv_keeps_everything(rows: list[tuple[str, int, bool | None]]) -> None:
    read = list(csv.reader(io.StringIO(to_csv(["a", "b", "c"], rows).decode("utf-8-sig"), newline="")))
    assert len(read) == len(rows) + 1
    for (text, number, _), cells in zip(rows, read[1:], strict=True):
        assert cells[0].removeprefix("'") == text.removeprefix("'")
        assert cells[1] == str(number)


@pytest.mark.parametrize("dialect", [DISCORD, SLACK], ids=lambda dialect: dialect.name)
def test_a_preview_of_many_columns_says_how_many_are_left_out(dialect: Dialect) -> None:
    names = [f"c{number}" for number in range(1_000)]
    text = preview(names, [tuple(range(1_000))] * 3, dialect, limit=4_000)
    assert text.endswith("3 rows, 40 of 1,000 columns")
    assert "c39" in text
    assert "c40" not in text


def test_a_preview_without_room_for_a_row_shows_the_columns() -> None:
    wide = [f"column {number}" for number in range(12)]
    assert preview(wide, [("long text " * 9,) * 12], DISCORD, limit=200).startswith("column 0 · column 1 · ")
    assert preview(wide, [("x",) * 12], DISCORD, limit=60) == "First 0 of 1 row"


def render(text: str, dialect: Dialect) -> str:
    renderer = Renderer(dialect)
    return renderer.feed(text) + renderer.finish()


@pytest.mark.parametrize("dialect", [DISCORD, SLACK], ids=lambda dialect: dialect.name)
def test_a_table_of_many_columns_loses_nothing(dialect: Dialect) -> None:
    count = 3 * COLUMNS
    table = [[f"{letter}{number}" for number in range(count)] for letter in "hxy"]
    rows = [f"| {' | '.join(row)} |" for row in (table[0], ["-"] * count, *table[1:])]
    out = render("\n".join(rows), dialect)
    assert all(cell in out for row in table for cell in row)
    assert out.count("**x") == 0
    assert f"**h{COLUMNS - 2}:** x{COLUMNS - 2}\n" in out


def test_a_long_name_of_a_column_is_written_out_once() -> None:
    name = "a name of a column that goes on " * 5
    out = render(f"| {name} | b |\n|---|---|\n" + f"| [x](http://x.y) | {'1' * 90} |\n" * 5, DISCORD)
    assert out.count(name.strip()) == 1
    assert out.count("**a name of a column") == 5
    assert out.count("…:** [x](http://x.y)") == 4


def test_a_column_that_is_empty_everywhere_is_named_once() -> None:
    out = render(f"| a | b |\n|---|---|\n| {'1' * 90} | |\n| {'2' * 90} |", DISCORD)
    assert out == f"**a:** {'1' * 90}\n**b:** \n\n**a:** {'2' * 90}"
