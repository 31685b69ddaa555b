"""Texts that a careless scanner takes too long for, each `size` characters long."""

from __future__ import annotations

from collections.abc import Iterator

MARKERS = "\\`*_~[]!<>@&:|#-+=.()'\"/ \t\n"
PIECES = [
    *["_a ", "_a_", "__a ", "___a _", "*a ", "**a", "**a ", "***a*", "~~a", "_*", "*_", "_한", "**「", "`a``"],
    *["[a](", "[[a]", "![[", "![a](", "[a](b ", "[a](<b", '[a](b "', "[a](  ", "[](", "[`", "[_", "_[", "\\["],
    *["![a](data:image/png,", "[a](http://b.c)", "<@", "<@1> ", "@every", "@everyone", "<<<", "</", "<b>"],
    *["&#", "&#x2", "&#x27;", "&amp", "&amp;", "&a", "https://", "http:", "https://a.b/", "www.", "a.b."],
    *["> ", ">", "> > ", "- ", "  - ", "1. ", "- [ ] ", "- [x", "# ", "# #", "#a", "###### ", "=\n", "a\n=\n"],
    *["|a", "| a |", "|-|", "|\n", "| a |\n", "| a |\n|---|\n", "|-\n", "| |", "\\|", "> | a |\n> |---|\n"],
    *["```\n", "```a\n", "``` ", "~~~\n", "> ```\n", "  ```\n", "`\n", "```\n`", "\n\n", " \n", "a\\\n"],
    *["한", "。", "e\u0301", "\u0301", "\u200d", "a\u200d", "👩\u200d", "🇰🇷", "क्", "\ud83d", "\ufe0f", "\u202e"],
    *["word ", "x", "a.b ", "https://a.b/c?d=e#f ", "<think>", "</think>", "<think>a</think>"],
]  # fmt: skip
# What goes on for the rest of the text after a beginning.
OPENINGS = [
    *[("[", "a"), ("[", "a "), ("[a](", "b"), ("`", "a "), ("``", "`a"), ("_", "a "), ("_a", "*b ")],
    *[("https://", "a"), ("&", "a"), ("![a](data:,", "A"), ("# ", "a "), ("#", " "), ("- ", "- ")],
    *[("```\n", "x "), ("```\n", "`"), ("```\n", "@"), ("~~~\n", "~"), ("|", "a|"), ("| a |\n|---|\n", "| b ")],
    *[("[a](", " "), ("[a](", '"'), ("[", "\\]"), ("| a |\n|", "-"), ("<think>", "a"), ("- [", " "), ("> ", "> ")],
]  # fmt: skip


def texts(size: int) -> Iterator[tuple[str, str]]:
    for marker in MARKERS:
        for piece in (marker, f"a{marker}", f"{marker} ", f"{marker}\n"):
            yield repr(piece), _filled(piece, size)
    yield from worse_texts(size)
    yield from tables(size)


def worse_texts(size: int) -> Iterator[tuple[str, str]]:
    for piece in PIECES:
        yield repr(piece), _filled(piece, size)
    for opening, piece in OPENINGS:
        yield repr((opening, piece)), opening + _filled(piece, size - len(opening))
    nested = "".join(f"{'  ' * (depth % 40)}- a\n" for depth in range(size))
    yield "nested lists", nested[:size]
    runs = " ".join("`" * length for length in range(1, 40))
    yield "runs of backticks", _filled(runs + " ", size)


def tables(size: int) -> Iterator[tuple[str, str]]:
    for columns in (5, 20, 60, 300, 900):
        head = f"|{'a|' * columns}\n|{'-|' * columns}\n"
        for name, row in (
            ("short", "|a\n"),
            ("full", f"|{'b|' * columns}\n"),
            ("marked", f"|{'**b** `c`|' * 20}\n"),
        ):
            yield f"a table of {columns} columns, {name} rows", (head + _filled(row, size))[:size]
    name = "long name " * 150
    yield "a table of long names", _filled(f"|{name}|b|\n|-|-|\n" + "|a\n" * 200, size)
    yield "a table of a long row", (f"|a|b|\n|-|-|\n|{'c ' * size}|d|\n")[:size]
    yield "a table of links", _filled("|a|b|\n|-|-|\n" + "|[a](http://b.c)\n" * 100, size)


def _filled(piece: str, size: int) -> str:
    return (piece * (size // len(piece) + 1))[:size]
