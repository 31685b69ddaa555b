"""What people see as one character is never cut in two, wherever a text is cut."""

from __future__ import annotations

import re

import pytest

from bridge.render.characters import boundary, is_boundary
from bridge.render.discord import DISCORD
from bridge.render.markdown import Renderer
from bridge.render.measure import utf16
from bridge.render.slack import SLACK
from bridge.render.split import LINE_HELD, ROWS_HELD, WORD_HELD, Splitter
from bridge.render.tables import preview

CHARACTERS = {
    "accent": "e\u0301",
    "two marks": "a\u0323\u0302",
    "family": "👨\u200d👩\u200d👧",
    "flag": "🇰🇷",
    "skin": "👍🏽",
    "emoji form": "❤\ufe0f",
    "Scotland": "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "letters of Hangul": "\u1112\u1161\u11ab",
    "conjunct": "क्ष",
    "vowel sign": "கி",
}
each_character = pytest.mark.parametrize("character", CHARACTERS.values(), ids=CHARACTERS)


def whole(text: str, character: str) -> bool:
    """Whether a text of letters, digits, spaces and `character` has it whole."""
    return re.fullmatch(r"[\w`\n |.…*:-]*", text.replace(character, ""), re.ASCII) is not None


def parts(text: str, limit: int, step: int = 0) -> list[str]:
    splitter = Splitter(limit, utf16)
    for at in range(0, len(text), step or len(text)):
        splitter.feed(text[at : at + (step or len(text))])
    splitter.finish()
    return [part.text for part in splitter.parts]


@each_character
@pytest.mark.parametrize(
    "around", ["{}", "```\n{}\n```", "| {} |\n| --- |\n| {} |", "word {} word", "`{}`", "[{}"]
)
def test_where_a_part_is_full(character: str, around: str) -> None:
    for before in range(14):
        text = around.replace("{}", "x" * before + character * 60)
        cut = parts(text, 64)
        assert len(cut) > 1
        assert all(whole(part.replace("[", ""), character) for part in cut)
        assert cut == parts(text, 64, step=1)


@each_character
@pytest.mark.parametrize(
    ("around", "held"), [("{}", WORD_HELD), ("```\n{}\n```", LINE_HELD), ("| a |\n| --- |\n| {} |", ROWS_HELD)]
)
def test_where_a_word_or_a_line_is_too_long_to_wait_for(character: str, around: str, held: int) -> None:
    """The piece before the cut may be shown for a while before the rest comes, or a part may be closed there."""
    for before in range(len(character) + 1):
        text = around.replace("{}", "x" * before + character * (3 * held // len(character)))
        splitter = Splitter(30_000, utf16)
        for at in range(0, len(text), 50):
            splitter.feed(text[at : at + 50])
            if splitter.parts:
                assert whole(splitter.parts[-1].text, character)
                splitter.cut()


@each_character
def test_where_a_word_is_shown_before_its_end(character: str) -> None:
    for before in ("", "x", " ", "한", "x" * 39, "x" * 40, "x" * 41):
        renderer = Renderer(DISCORD)
        shown = ""
        for letter in before + character * 60 + "x" * 60:
            shown += renderer.feed(letter)
            assert whole(shown.replace("한", ""), character)


@each_character
def test_where_the_first_delta_is_long(character: str) -> None:
    text = "x" * 50 + character * 3
    for at in range(50, len(text)):
        assert whole(Renderer(DISCORD).feed(text[:at]), character)


@each_character
def test_in_a_cell_that_is_shortened(character: str) -> None:
    for dialect in (DISCORD, SLACK):
        for before in range(len(character) + 1):
            cell = "x" * before + character * 60
            assert whole(preview([cell], [(cell,)], dialect, title=cell, limit=4_000), character)


@each_character
def test_is_boundary(character: str) -> None:
    text = f"x{character}{character}y"
    bounds = [at for at in range(len(text) + 1) if is_boundary(text, at)]
    assert bounds == [0, 1, 1 + len(character), 1 + 2 * len(character), len(text)]
    assert [boundary(text, at) for at in range(2, 1 + len(character))] == [1] * (len(character) - 1)


def test_flags_are_counted_from_their_first() -> None:
    assert [at for at in range(9) if is_boundary("🇰🇷🇯🇵🇩🇪🇫🇷", at)] == [0, 2, 4, 6, 8]


def test_decoration_without_end_is_cut() -> None:
    text = "a" + "\u0301" * 1_000
    assert [len(part) for part in parts(text, 100)][:2] == [100, 100]
    assert boundary(text, 500) == 500
