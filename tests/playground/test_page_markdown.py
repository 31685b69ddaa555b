"""What the page makes of text and files that anybody wrote."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.playground.page.data_blocks import data_html
from bridge.playground.page.markdown import small_print, to_html
from bridge.playground.page.previews import MAX_CELL, MAX_COLUMNS, MAX_LINES, MAX_READ, MAX_ROWS, preview
from bridge.playground.page.views import PreviewView


def test_a_table_of_data_is_open_at_its_first_page_and_holds_no_markup() -> None:
    cells = [[{"type": "raw_text", "text": f"<b>{row}"}] for row in range(8)]
    html = data_html({"type": "data_table", "caption": "<i>", "rows": cells, "page_size": 5})
    assert html.startswith('<div class="data"><b>&lt;i&gt;</b><table>')
    assert "<summary>2 more rows</summary>" in html
    assert "<b>0" not in html


@pytest.mark.parametrize("kind", ["line", "bar", "area"])
def test_a_chart_of_data_is_drawn(kind: str) -> None:
    data = [{"label": "<Q1>", "value": 1}, {"label": "Q2", "value": -2.5}]
    chart = {
        "type": kind,
        "series": [{"name": "<n>", "data": data}],
        "axis_config": {"categories": ["<Q1>", "Q2"]},
    }
    html = data_html({"type": "data_visualization", "title": "A & B", "chart": chart})
    assert 'aria-label="A &amp; B"' in html
    assert "&lt;n&gt;" in html
    assert "<Q1>" not in html


def test_a_pie_of_one_slice_is_a_disc() -> None:
    chart = {"type": "pie", "segments": [{"label": "all", "value": 2}]}
    assert "<circle" in data_html({"type": "data_visualization", "title": "t", "chart": chart})


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("**a** _b_ ~~c~~", "<p><strong>a</strong> <em>b</em> <s>c</s></p>\n"),
        ("a\nb", "<p>a<br />\nb</p>\n"),
        ("<img src=x onerror=alert(1)>", "<p>&lt;img src=x onerror=alert(1)&gt;</p>\n"),
        ("`<b>`", "<p><code>&lt;b&gt;</code></p>\n"),
        (
            "[a](https://example.com/?a=1&b)",
            '<p><a href="https://example.com/?a=1&amp;b" target="_blank" rel="noopener noreferrer">a</a></p>\n',
        ),
        ("[a](javascript:alert(1))", "<p>[a](javascript:alert(1))</p>\n"),
        ("[a](data:image/png;base64,aa)", "<p>[a](data:image/png;base64,aa)</p>\n"),
        ("[a](/press/slack)", "<p>[a](/press/slack)</p>\n"),
        ("![a *b*](https://example.com/x.png)", "<p><em>a b</em></p>\n"),
    ],
)
def test_markdown(markdown: str, html: str) -> None:
    assert to_html(markdown) == html


def test_a_column_is_aligned_without_a_style() -> None:
    html = to_html("|a|b|\n|--:|---|\n|1|2|")
    assert '<th class="right">a</th>' in html
    assert '<td class="right">1</td>' in html
    assert "<td>2</td>" in html
    assert "style" not in html


@given(st.text(alphabet="<>&\"'[]()!`*_|-:\n javscriptonedt=/x", max_size=200))
def test_no_tag_or_attribute_comes_through(text: str) -> None:
    html = to_html(text)
    assert "<script" not in html
    assert "<img" not in html
    assert 'href="javascript' not in html
    assert re.search("<[^>]*style=", html) is None


@pytest.mark.parametrize(
    ("name", "media_type", "content", "expected"),
    [
        ("a.png", "image/png", b"\x89PNG", {"kind": "image"}),
        ("a.svg", "image/svg+xml", b"<svg/>", None),
        ("a.bin", "application/octet-stream", b"abc", None),
        ("a.txt", "text/plain; charset=utf-8", b"one\ntwo", {"kind": "text", "text": "one\ntwo"}),
        ("a.txt", "text/plain", b"\xff\xfe", None),
        (
            "a.csv",
            "text/csv",
            b'\xef\xbb\xbfa,"b\nc"\r\n1,2\r\n',
            {"kind": "table", "rows": [["a", "b c"], ["1", "2"]]},
        ),
        ("a.csv", "text/plain", b"a,b\n", {"kind": "table", "rows": [["a", "b"]]}),
        ("a.json", "application/json", b"{}", {"kind": "text", "text": "{}"}),
        ("empty.txt", "text/plain", b"", {"kind": "text", "text": ""}),
    ],
)
def test_previews(name: str, media_type: str, content: bytes, expected: PreviewView | None) -> None:
    shown = preview(name, media_type, content)
    assert shown == expected


def test_a_preview_is_small_whatever_the_file_is() -> None:
    wide = (",".join(["x" * 50] * 20) + "\n").encode() * 1000
    table = preview("a.csv", "text/csv", wide)
    assert table is not None
    assert len(table["rows"]) == MAX_ROWS
    assert all(len(row) == MAX_COLUMNS and len(row[0]) == MAX_CELL for row in table["rows"])
    text = preview("a.txt", "text/plain", "ü\n".encode() * MAX_READ)
    assert text is not None
    assert text["text"].splitlines() == ["ü"] * MAX_LINES + ["…"]
    cut = preview("a.txt", "text/plain", ("ab" + "ü" * MAX_READ)[1:].encode())  # in the middle of a letter
    assert cut is not None


def test_small_print_is_a_line_of_its_own() -> None:
    html = small_print(to_html("Words\n-# ⏳ Reading <b>\nmore -# words\n\n-# alone\n\n```\n-# code\n```"))
    assert html.count("<small>") == 2
    assert "<small>⏳ Reading &lt;b&gt;</small>" in html
    assert "<p><small>alone</small></p>" in html
    assert "more -# words" in html
