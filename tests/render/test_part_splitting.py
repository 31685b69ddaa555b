import re
from collections.abc import Callable, Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bridge.render.characters import is_boundary
from bridge.render.discord import DISCORD
from bridge.render.markdown import Renderer
from bridge.render.measure import utf8, utf16
from bridge.render.slack import SLACK
from bridge.render.split import Part, Splitter
from tests.examples import examples

quick = examples(60)


def split(
    text: str, limit: int, measure: Callable[[str], int] = len, cuts: Sequence[int] = (), step: int = 0
) -> list[Part]:
    splitter = Splitter(limit, measure, cuts)
    for start in range(0, len(text), step or len(text) or 1):
        splitter.feed(text[start : start + step] if step else text)
    splitter.finish()
    return list(splitter.parts)


def texts(text: str, limit: int = 100) -> list[str]:
    return [part.text for part in split(text, limit)]


def line(letter: str, count: int) -> str:
    return f"{letter} " * (count // 2 - 1) + f"{letter}."


def test_nothing_has_no_parts() -> None:
    assert texts("") == []
    assert texts(" \n\n ") == []


def test_a_short_text_is_one_part() -> None:
    assert split("  Hello\n\nthere ", 100) == [Part(0, "Hello\n\nthere", "", 0, 14, True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{line('a', 74)}\n\nb", [line("a", 74), "b"]),
        (f"{line('a', 60)}\n\nb", [f"{line('a', 60)}\n\nb"]),
        (f"{line('a', 74)}\nb", [f"{line('a', 74)}\nb"]),
        (f"{line('a', 88)}\nb", [line("a", 88), "b"]),
        (f"{line('a', 94)} b", [line("a", 94), "b"]),
        (f"{'a ' * 48}bbbbbb", [("a " * 48).strip(), "bbbbbb"]),
        (f"{line('a', 60)}\n# Heading that is long enough\n\nb", None),
    ],
    ids=["blank line", "too early", "no line end yet", "line end", "sentence", "word", "heading"],
)
def test_where_a_part_ends(text: str, expected: list[str] | None) -> None:
    assert texts(text) == (expected or [text])


def test_code_is_closed_and_opened_again() -> None:
    code = "\n".join(f"line {number:02}" for number in range(24))
    parts = texts(f"Look:\n```py\n{code}\n```\nend")
    assert len(parts) == 3
    assert parts[0].startswith("Look:\n```py\nline 00\n")
    assert all(part.endswith("\n```") for part in parts[:2])
    assert all(part.startswith("```py\nline ") for part in parts[1:])
    assert parts[2].endswith("line 23\n```\nend")
    assert re.findall(r"line (\d+)", "".join(parts)) == [f"{number:02}" for number in range(24)]


def test_an_open_part_in_code_says_how_to_close_it() -> None:
    splitter = Splitter(100)
    splitter.feed("a\n```py\nx = 1\ny = 2")
    assert splitter.parts == [Part(0, "a\n```py\nx = 1", "\n```", 0, 13, False)]
    splitter.feed("\n```")
    splitter.finish()
    assert splitter.parts == [Part(0, "a\n```py\nx = 1\ny = 2\n```", "", 0, 23, True)]


def test_late_code_that_fits_in_a_part_begins_one() -> None:
    intro = line("a", 60)
    code = "```py\n" + "x = 1\n" * 8 + "```"
    assert texts(f"{intro}\n{code}\nend") == [intro, f"{code}\nend"]
    small = "```py\nx = 1\n```"
    assert texts(f"{intro}\n{small}\nend") == [f"{intro}\n{small}\nend"]


def test_late_code_is_not_held_back_for_long() -> None:
    splitter = Splitter(4_000)
    splitter.feed(f"{line('a', 2_100)}\n```py\n")
    for number in range(60):
        splitter.feed(f"x{number} = 1234\n")
    assert splitter.parts[-1].text.endswith("x58 = 1234\nx59 = 1234")
    assert len(splitter.parts) == 1


def test_a_table_goes_whole_or_by_rows_with_its_header() -> None:
    intro = line("a", 40)
    table = "| n | m |\n| --- | --- |\n" + "\n".join(f"| {number} | x |" for number in range(4))
    assert texts(f"{intro}\n\n{table}\n\nend") == [intro, f"{table}\n\nend"]
    rows = [f"| {number} | x |" for number in range(30)]
    parts = texts("| n | m |\n| --- | --- |\n" + "\n".join(rows))
    assert len(parts) > 2
    assert all(part.startswith("| n | m |\n| --- | --- |\n| ") for part in parts)
    assert [row for part in parts for row in part.split("\n")[2:]] == rows


def test_a_table_in_code_repeats_its_header_too() -> None:
    rows = [f"{number:<4} | x" for number in range(30)]
    parts = texts("```\nn    | m\n-----|---\n" + "\n".join(rows) + "\n```")
    assert all(part.startswith("```\nn    | m\n-----|---\n") and part.endswith("\n```") for part in parts)
    assert [row for part in parts for row in part.split("\n")[3:-1]] == rows


@pytest.mark.parametrize(
    "whole",
    [
        "[a label of some words](https://example.com/a_rather_long_path)",
        "`inline code with some spaces in it that go on`",
        "https://example.com/a_rather_long_path_without_any_space",
        "**[bold link](https://example.com/path)**,",
    ],
)
@pytest.mark.parametrize("before", range(20, 100, 7))
def test_what_is_never_cut(whole: str, before: int) -> None:
    text = "w " * (before // 2) + whole + " and more words" * 5
    assert sum(whole in part for part in texts(text)) == 1


def test_a_quote_goes_on_as_a_quote() -> None:
    first, second = texts("> " + "word " * 30)
    assert first.startswith("> word")
    assert second.startswith("> word")


def test_a_stray_bracket_holds_nothing_for_long() -> None:
    splitter = Splitter(4_000)
    splitter.feed("[" + "word " * 400)
    assert len(splitter.parts[0].text) > 1_900
    splitter = Splitter(4_000)
    splitter.feed("[word\nword\n")
    assert splitter.parts[0].text == "[word\nword"


def test_a_cut_closes_what_is_shown_and_is_kept_by_the_next_process() -> None:
    text = "one two three\n```py\nfour\nfive\n```\nsix"
    splitter = Splitter(100)
    splitter.feed(text[:10])
    splitter.cut()
    splitter.feed(text[10:27])
    splitter.cut()
    splitter.cut()
    splitter.feed(text[27:])
    splitter.finish()
    assert [part.text for part in splitter.parts] == [
        "one two",
        "three\n```py\nfour\n```",
        "```py\nfive\n```\nsix",
    ]
    assert split(text, 100, cuts=[part.end for part in splitter.parts]) == splitter.parts
    assert split(text, 100, cuts=[splitter.parts[0].end, splitter.parts[1].end], step=1) == splitter.parts


def test_no_part_begins_with_what_closes_a_sentence() -> None:
    splitter = Splitter(4_000)
    splitter.feed("这是一个句子。")
    splitter.cut()
    splitter.feed("又一个」。")
    splitter.cut()
    splitter.finish()
    assert [part.text for part in splitter.parts] == ["这是一个句", "子。又一", "个」。"]


def test_a_limit_without_room_for_a_fence_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 64"):
        Splitter(63)


PIECES = [
    *["word ", "word", "longerword ", ". ", ", ", "\n", "\n", "\n\n", "  ", "한국어 문장이다. ", "日本語、"],
    *["「引用」。", "😀", "👨\u200d👩\u200d👧\u200d👦", "👍🏽", "🇰🇷", "e\u0301", "क्ष", "**", "*", "_", "~~", "`"],
    *["``", "[", "](", ")", "\\", "\n# Heading\n", "\n- item ", "\n> quote ", "\n```py\n", "\n```\n"],
    *["[label](http://x.y/z) ", "`some code` ", "http://x.y/" + "path/" * 8, "a" * 90, "x = 1\n", "    y\n"],
    *["| c | d |\n", "| 한 | 글 |\n", "@everyone", "\n---\n", "|", "\n~~~\n", "\n| a | b |\n|---|---|\n"],
]  # fmt: skip
documents = st.lists(st.sampled_from(PIECES), max_size=120).map("".join)
limits = st.sampled_from([64, 100, 180, 300])
measures = st.sampled_from([len, utf16, utf8])
dialects = st.sampled_from([DISCORD, SLACK])


@st.composite
def rendered(draw: st.DrawFn) -> str:
    renderer = Renderer(draw(dialects))
    return renderer.feed(draw(documents)) + renderer.finish()


@st.composite
def chunks(draw: st.DrawFn, text: str) -> list[str]:
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=40)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@examples(250)
@given(rendered(), limits, measures, st.data())
def test_parts_do_not_depend_on_the_chunks_and_only_grow(
    text: str, limit: int, measure: Callable[[str], int], data: st.DataObject
) -> None:
    splitter = Splitter(limit, measure)
    shown: dict[int, Part] = {}
    for chunk in data.draw(chunks(text)):
        splitter.feed(chunk)
        for part in splitter.parts:
            before = shown.get(part.index)
            assert before is None or part.text.startswith(before.text)
            assert before is None or not before.closed or part == before
            assert measure(part.text + part.closing) <= limit
            shown[part.index] = part
        assert all(part.closed for part in splitter.parts[:-1])
    splitter.finish()
    assert splitter.parts == split(text, limit, measure)


@examples(250)
@given(rendered(), limits, measures)
def test_every_part_is_well_formed(text: str, limit: int, measure: Callable[[str], int]) -> None:
    parts = split(text, limit, measure, step=7)
    end = 0
    for index, part in enumerate(parts):
        assert part.closed
        assert part.closing == ""
        assert part.index == index
        assert part.text.strip()
        assert measure(part.text) <= limit
        assert part.start == end < part.end
        end = part.end
        fences = [line for line in part.text.split("\n") if line.startswith("```")]
        assert len(fences) % 2 == 0
        assert all(fence == "```" for fence in fences[1::2])
    assert end <= len(text)


@examples(250)
@given(rendered(), limits)
def test_each_part_shows_its_piece_of_the_text(text: str, limit: int) -> None:
    for part in split(text, limit):
        piece = visible(text[part.start : part.end])
        assert piece in visible(part.text)
    assert visible("".join(part.text for part in split(text, 100_000))) == visible(text)


def visible(text: str) -> str:
    """Without white space and what may be closed and opened again: fences, quotes, rules of tables."""
    text = re.sub(r"^```.*$|^> ?", "", text, flags=re.MULTILINE)
    return re.sub(r"[\s|-]", "", text)


@examples(250)
@given(rendered(), limits)
def test_no_character_is_cut(text: str, limit: int) -> None:
    for part in split(text, limit)[:-1]:
        assert is_boundary(text, part.end)


@examples(250)
@given(rendered(), limits, st.data())
def test_a_resumed_reply_has_the_same_parts(text: str, limit: int, data: st.DataObject) -> None:
    splitter = Splitter(limit)
    forced = []
    for chunk in data.draw(chunks(text)):
        splitter.feed(chunk)
        if data.draw(st.integers(0, 3)) == 0:
            splitter.cut()
            forced += [part.end for part in splitter.parts[-1:]]
    splitter.finish()
    ends = [part.end for part in splitter.parts]
    assert split(text, limit, cuts=forced, step=5) == splitter.parts
    assert split(text, limit, cuts=ends) == splitter.parts
    assert split(text, limit, cuts=ends[: len(ends) // 2] + forced, step=11) == splitter.parts


@quick
@given(st.text(max_size=400), limits, measures)
def test_any_text_at_all(text: str, limit: int, measure: Callable[[str], int]) -> None:
    assume("\r" not in text)
    parts = split(text, limit, measure)
    assert parts == split(text, limit, measure, step=1)
    assert all(measure(part.text) <= limit for part in parts)
