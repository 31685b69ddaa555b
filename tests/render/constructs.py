"""Markdown made from the grammar of CommonMark and of its table and strikethrough extensions: each construct in
its variants, nested in each other, with what almost is one."""

from __future__ import annotations

from html.entities import html5

from hypothesis import strategies as st

words = st.sampled_from(
    ["a", "word", "two words", "snake_case", "x1", "한국어", "「日本」", "é", "👩\u200d💻", "1.", "@here", ""]
)
names = st.sampled_from(sorted(name for name in html5 if name.endswith(";")))
entities = st.one_of(
    names.map(lambda name: f"&{name}"),
    st.sampled_from(
        ["&#39;", "&#x27;", "&#X27;", "&#x2;", "&#64;", "&#0;", "&#1234567;", "&#12345678;", "&#xabcdef;"]
    ),
    st.integers(0, 0x10FFFF).map(lambda number: f"&#{number};"),
    st.integers(0, 0x10FFFF).map(lambda number: f"&#x{number:x};"),
    st.sampled_from(["&", "&;", "&#;", "&#x;", "&#xg;", "&copy", "&nosuch;", "&#x27", "&amp;amp;", "&lt;@1&gt;"]),
)
escapes = st.sampled_from("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ a").map(lambda character: f"\\{character}")
runs = st.tuples(st.sampled_from("`*_~[]()<>!#|-+=:&\\@"), st.integers(1, 5)).map(lambda run: run[0] * run[1])
addresses = st.sampled_from(
    [
        "https://a.b/c_d?e=f&g=h#i",
        "http://a.b/(c)",
        "<https://a.b>",
        "<ann@a.b>",
        "<made-up:x>",
        "www.a.b",
        "https://",
        "ftp://a.b",
    ]
)
html = st.sampled_from(
    ["<b>", "</b>", "<br/>", '<a href="b">', "<!-- c -->", "<?php ?>", "<!X>", "<![CDATA[>]]>", "<a", "< b>"]
)


def _around(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    marks = st.sampled_from(["*", "_", "**", "__", "***", "___", "~~", "~", "`", "``", "```", "||"])
    targets = st.one_of(
        addresses,
        st.sampled_from(["", "/a", "a b", "<a b>", "a (b)", "a 'b'", 'a "b"', "data:,x", "mailto:a@b.c"]),
    )
    return st.one_of(
        st.tuples(marks, inner, marks, st.booleans()).map(lambda t: t[0] + t[1] + (t[0] if t[3] else t[2])),
        st.tuples(st.sampled_from(["[", "!["]), inner, targets).map(lambda t: f"{t[0]}{t[1]}]({t[2]})"),
        st.tuples(inner, inner).map(lambda t: f"[{t[0]}][{t[1]}]"),
        st.lists(inner, min_size=2, max_size=4).map(" ".join),
        st.lists(inner, min_size=2, max_size=4).map("".join),
    )


lines = st.recursive(st.one_of(words, entities, escapes, runs, addresses, html), _around, max_leaves=8)
_leads = st.sampled_from(
    [
        "",
        "",
        "",
        "> ",
        ">",
        "- ",
        "* ",
        "+ ",
        "1. ",
        "2) ",
        "    ",
        "\t",
        "- [ ] ",
        "- [x] ",
        "> - ",
        "  ",
        "# ",
        "###### ",
        "#",
    ]
)
_cells = st.lists(lines.map(lambda line: line.replace("|", "\\|")), min_size=1, max_size=4)
_rows = _cells.map(lambda cells: f"| {' | '.join(cells)} |")
_rules = (
    st.lists(st.sampled_from(["---", ":-", "-:", ":-:", "-"]), min_size=1, max_size=4)
    .map("|".join)
    .map("|{}|".format)
)
blocks = st.one_of(
    st.tuples(_leads, lines).map("".join),
    st.tuples(_leads, _leads, lines).map("".join),
    st.sampled_from(["---", "***", "_ _ _", "===", "", "", "```", "```py", "~~~", "````", "> ```", "  ```"]),
    st.tuples(_rows, _rules, st.lists(_rows, max_size=3)).map(lambda t: "\n".join([t[0], t[1], *t[2]])),
    st.tuples(
        st.sampled_from(["```", "~~~", "```py", "> ```"]), lines, st.sampled_from(["```", "~~~", "> ```"])
    ).map("\n".join),
)
documents = st.lists(blocks, max_size=8).flatmap(
    lambda made: st.sampled_from(["\n", "\n\n", "\r\n"]).map(lambda end: end.join(made))
)
