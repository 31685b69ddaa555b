"""A text is rendered the same however it is cut into deltas."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.render.discord import DISCORD
from bridge.render.markdown import Renderer
from bridge.render.measure import utf8, utf16
from bridge.render.slack import SLACK
from bridge.render.split import Splitter
from bridge.render.style import Dialect, Style
from bridge.render.whole import render_whole
from tests.examples import examples
from tests.render.bad_texts import texts
from tests.render.constructs import documents, entities, lines

STYLES = [
    Style(DISCORD, 2_000, utf16, 1.0, appends=False, max_files=10, max_file_bytes=1),
    Style(SLACK, 11_000, utf8, 1.0, appends=True, max_files=10, max_file_bytes=1),
    Style(DISCORD, 100, utf16, 1.0, appends=False, max_files=10, max_file_bytes=1),
]
quick = examples(200)
dialects = st.sampled_from([DISCORD, SLACK])


def rendered(pieces: list[str], dialect: Dialect) -> str:
    renderer = Renderer(dialect)
    return "".join([*map(renderer.feed, pieces), renderer.finish()])


@examples(120)
@given(st.one_of(lines, documents), dialects)
def test_letter_by_letter(text: str, dialect: Dialect) -> None:
    assert rendered(list(text), dialect) == rendered([text], dialect)


@quick
@given(st.one_of(entities, lines), st.sampled_from(["", "a ", "# ", "- ", "| ", "> ", "**", "["]), dialects)
def test_cut_in_two_anywhere(construct: str, before: str, dialect: Dialect) -> None:
    text = f"{before}{construct} b"
    whole = rendered([text], dialect)
    for at in range(len(text) + 1):
        assert rendered([text[:at], text[at:]], dialect) == whole


@pytest.mark.parametrize(
    "entity", ["&#x27;", "&#X1f600;", "&#39;", "&CounterClockwiseContourIntegral;", "&nosuch;", "&#x;"]
)
def test_an_entity_cut_in_two(entity: str) -> None:
    for at in range(1, len(entity)):
        assert rendered([f"a{entity[:at]}", f"{entity[at:]}b"], DISCORD) == rendered([f"a{entity}b"], DISCORD)


@examples(50)
@given(st.lists(documents, max_size=6).map("\n\n".join), st.sampled_from(STYLES), st.integers(1, 60))
def test_parts_of_a_whole_text_are_those_of_a_streamed_one(text: str, style: Style, step: int) -> None:
    renderer, splitter = Renderer(style.dialect), Splitter(style.limit, style.measure)
    for at in range(0, len(text), step):
        splitter.feed(renderer.feed(text[at : at + step]))
    splitter.feed(renderer.finish())
    splitter.finish()
    assert render_whole(text, style) == splitter.parts


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES[:2], ids=["discord", "slack"])
def test_bad_texts_too(style: Style) -> None:
    for name, text in texts(2_500):
        renderer, splitter = Renderer(style.dialect), Splitter(style.limit, style.measure)
        for at in range(0, len(text), 97):
            splitter.feed(renderer.feed(text[at : at + 97]))
        splitter.feed(renderer.finish())
        splitter.finish()
        assert render_whole(text, style) == splitter.parts, name
