from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.text import MAX_NAME, ThinkFilter, one_line, safe_name, scrub, without_thoughts


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("<think>a</think>b", "b"),
        ("<think>a</think>\n\n b", "b"),
        ("a <think>b</think> c", "a  c"),
        ("a<think>left open", "a"),
        ("<THINK>a</Think>b", "b"),
        ("<think>a</think><think>b</think>c", "c"),
        ("a < b and <thin", "a < b and <thin"),
        ("<think>a</thin", ""),
        ("use `<think>` to think", "use `<think>` to think"),
        ("İİİ<think>a</think>b", "İİİb"),  # two characters each in lower case
        ("  indented stays", "  indented stays"),
        ("", ""),
    ],
)
def test_thoughts_are_not_shown(text: str, shown: str) -> None:
    assert without_thoughts(text) == shown
    letters = ThinkFilter()
    assert "".join(letters.feed(c) for c in text) + letters.end() == shown


@pytest.mark.parametrize("piece", ["<think>a</think>", "`<think>", "<think>", "<", "İ<think>x</think>"])
def test_many_tags_cost_no_more_than_their_letters(piece: str) -> None:
    """Were the rest looked through at each of them, this would take minutes."""
    shown = without_thoughts(piece * 300_000)
    assert len(shown) in {0, 300_000 * len(piece), 300_000}


def test_letters_that_change_their_length_move_no_tag() -> None:
    assert without_thoughts("İİİ<think>İ</think>b") == "İİİb"


def test_only_the_beginning_of_a_tag_is_held_back() -> None:
    thoughts = ThinkFilter()
    assert thoughts.feed("a <th") == "a "
    assert thoughts.feed("e") == "<the"


@given(st.lists(st.one_of(st.text(max_size=5), st.sampled_from(["<think>", "</think>", "<thi", "nk>", "`"]))))
def test_chunks_make_no_difference(pieces: list[str]) -> None:
    thoughts = ThinkFilter()
    assert "".join(map(thoughts.feed, pieces)) + thoughts.end() == without_thoughts("".join(pieces))


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("report.md", "report.md"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\win.ini", "win.ini"),
        ("/", "file"),
        ("", "file"),
        ("..", "file"),
        ("...hidden", "hidden"),
        (".bashrc", "bashrc"),
        ("a\r\nb\x00.txt", "ab.txt"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("zero\u200bwidth.txt", "zerowidth.txt"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("a<b>:c|d?.txt", "a_b__c_d_.txt"),
        ("trailing. ", "trailing"),
        ("half \ud83d.txt", "half .txt"),
        ("日本語 🧵.csv", "日本語 🧵.csv"),
        ("x" * 300 + ".csv", "x" * (MAX_NAME - 4) + ".csv"),
        ("x" * 300, "x" * MAX_NAME),
        ("表" * 84 + ".csv", "表" * 78 + ".csv"),
        ("🧵" * 64 + ".csv", "🧵" * 59 + ".csv"),
        ("x" + "🧵" * 64, "x" + "🧵" * 59),
        ("👩\u200d👩\u200d👧" * 20 + ".png", "👩\u200d👩\u200d👧" * 13 + ".png"),
        ("🇨🇭" * 40, "🇨🇭" * 30),
        ("xx" + "🇨🇭" * 40, "xx" + "🇨🇭" * 29),
        ("👍🏽" * 40 + ".md", "👍🏽" * 29 + ".md"),
        ("x" + "क्षि" * 30, "x" + "क्षि" * 19 + "क्"),
        ("e" + "\u0301" * 300 + ".txt", "é" + "\u0301" * 117 + ".txt"),
        ("x" * 236 + " yy.md", "x" * 236 + ".md"),
        ("می\u200cخواهم.pdf", "می\u200cخواهم.pdf"),
        ("ක්\u200dෂ.txt", "ක්\u200dෂ.txt"),
        ("👩\u200d💻.png", "👩\u200d💻.png"),
        ("❤\ufe0f\u200d🔥.png", "❤\ufe0f\u200d🔥.png"),
        ("pay\u200dpal\u200c.exe", "paypal.exe"),
        ("\u200d👩\u200d\u200d👧\u200d.png", "👩\u200d👧.png"),
        ("a\u061c\u200e\u200f\u2066\u2069\ufeff\u00adb.txt", "ab.txt"),
        ("ব্র\u200d্যান্ড.txt", "ব্র\u200d্যান্ড.txt"),
        ("ḁ\u200dḁ.txt", "ḁḁ.txt"),
        ("e\x1f\u0301.txt", "é.txt"),
        ("flag\U0001f3f4\U000e0067\U000e007f.png", "flag\U0001f3f4.png"),
    ],
)
def test_names_become_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@given(st.one_of(st.text(), st.text("a .é\u0301表🧵👩🏽🇨\u200d\u200cक्", min_size=60, max_size=300)))
def test_a_safe_name_is_one_whatever_comes(name: str) -> None:
    safe = safe_name(name)
    assert 0 < len(safe.encode()) <= MAX_NAME
    assert not set(safe) & set('/\\\0\r\n"<>|')
    assert not safe.startswith(".")
    assert safe.replace("\u200c", "").replace("\u200d", "").isprintable()
    assert safe_name(safe) == safe


@given(st.text(), st.integers(2, 50))
def test_one_line_is_one_short_line(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert line.isprintable()


def test_scrub_leaves_what_utf8_carries() -> None:
    assert scrub("a\ud83db 🧵") == "a?b 🧵"
