import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bridge.render.discord import DISCORD
from bridge.render.markdown import RULE, Renderer
from bridge.render.slack import SLACK
from bridge.render.style import ZERO_WIDTH, Dialect
from tests.examples import examples

Z = ZERO_WIDTH

quick = examples(60)
dialects = st.sampled_from([DISCORD, SLACK])


def render(text: str, dialect: Dialect) -> str:
    renderer = Renderer(dialect)
    return renderer.feed(text) + renderer.finish()


BOTH = [
    ("plain", "Hello, world", "Hello, world"),
    ("paragraphs", "one\n\n\n\ntwo\nthree\n\n", "one\n\ntwo\nthree"),
    ("leading blank lines", "\n\n  \nhello", "hello"),
    ("line ends", "a\r\nb\rc", "a\nb\nc"),
    ("hard breaks", "a\\\nb", "a\nb"),
    ("emphasis", "**bold** *it* ***both*** ~~gone~~", "**bold** *it* ***both*** ~~gone~~"),
    ("underscores", "__bold__ and _it_", "**bold** and *it*"),
    ("snake case", "call my_own_name or __dunder in _private", "call my_own_name or __dunder in _private"),
    ("emphasis over lines", "**bold\nstill bold** no", "**bold\nstill bold** no"),
    ("headings", "# One\n## Two ##\n### Three", "# One\n## Two\n### Three"),
    ("an empty heading", "#\ntext", "text"),
    ("a hash tag", "#tag", "#tag"),
    ("bullets", "* a\n+ b\n- c\n    - d", "- a\n- b\n- c\n    - d"),
    ("numbers", "1. a\n2) b\n10. c", "1. a\n2) b\n10. c"),
    ("tasks", "- [ ] open\n- [x] done\n* [X] done", "- ☐ open\n- ☑ done\n- ☑ done"),
    ("no task", "- [link](http://x.y)", "- [link](http://x.y)"),
    ("quotes", ">one\n> two\n>\n> > three\n>>> four", "> one\n> two\n>\n> three\n> four"),
    ("a list in a quote", "> - a\n>   - b", "> - a\n>   - b"),
    ("rules", "a\n---\nb\n\n***\n\n_ _ _", f"a\n{RULE}\nb\n\n{RULE}\n\n{RULE}"),
    ("spoilers", "||secret|| ||x", "||secret|| ||x"),
    ("code keeps all but pings", "`<#1> </b> <@1> **x** [a](b)`", f"`<#1> </b> <{Z}@1> **x** [a](b)`"),
    ("code with a backtick", "``a`b``", "``a`b``"),
    ("code with three backticks", "`a ``` b`", f"`` a `{Z}`{Z}` b ``"),
    ("code with many backticks", "````a ``` b`` c````", f"`` a `{Z}`{Z}` b`{Z}` c ``"),
    ("code of three backticks", "````` ``` `````", f"`` `{Z}`{Z}` ``"),
    ("code by three backticks", "x ```code``` y", "x `code` y"),
    ("lone backticks", "use `` or ``` here", r"use \`\` or \`\`\` here"),
    ("backticks that don't match", "``a `@everyone`", rf"\`\`a `@{Z}everyone`"),
    ("a fence", "```python\nx = 1\n\n\ny\n```\nafter", "```python\nx = 1\n\n\ny\n```\nafter"),
    ("tildes", "~~~js\nx\n~~~", "```js\nx\n```"),
    ("a longer fence", "````md\n```\nx\n```\n````", f"```md\n`{Z}``\nx\n`{Z}``\n```"),
    ("words after the language", '```py title="x"\ny\n```', "```py\ny\n```"),
    ("a language in braces", "```{.r}\ny\n```", "```\ny\n```"),
    ("a fence left open", "```py\nx", "```py\nx\n```"),
    ("an empty fence", "a\n```py\n```\nb", "a\n\nb"),
    ("a fence in a list", "- a\n  ```py\n  x\n    y\n  ```\n- b", "- a\n```py\nx\n  y\n```\n- b"),
    ("a fence as an item", "1. ```\n   x\n   ```", "1.\n```\nx\n```"),
    ("a fence in a quote", "> a\n> ```\n> x\n> ```\n> b", "> a\n```\nx\n```\n> b"),
    ("a quote that ends its fence", "> ```\n> x\nb", "```\nx\n```\nb"),
    ("links", "[a](http://x.y) [b](<http://x.y/a b> 'title')", "[a](http://x.y) [b](http://x.y/a%20b)"),
    ("parentheses in a link", "[a](http://x.y/b_(c))", "[a](http://x.y/b_%28c%29)"),
    ("brackets in a link", "[a [b]](http://x.y)", "[a [b]](http://x.y)"),
    ("images", "![cat](http://x.y/c.png) ![](http://x.y)", "[cat](http://x.y/c.png) [image](http://x.y)"),
    ("a badge", "[![build](http://x.y/b.svg)](http://x.y)", "[build](http://x.y)"),
    ("links to nowhere", "[a](/rel) [b](sandbox:/mnt/b.csv) [c]()", "a (/rel) b (sandbox:/mnt/b.csv) c"),
    ("a link named as another", "[https://a.b](https://c.d)", "https://a.b (https://c.d)"),
    ("a link named as itself", "[https://a.b/c](https://a.b/c)", "https://a.b/c"),
    ("no links", "[1] [a] [b](c d) [unfinished", "[1] [a] [b](c d) [unfinished"),
    ("addresses", "https://a.b/__x__/*y*?c=1&d=2 x", "https://a.b/__x__/*y*?c=1&d=2 x"),
    ("markers after an s or a k in an address", "https://a.s/k__x__", "https://a.s/k__x__"),
    ("an address in brackets", "<https://a.b/_c_>", "<https://a.b/_c_>"),
    ("escapes", r"\*no\* \# \[x\](y) a\b", r"\*no\* \# \[x\](y) a\b"),
    ("entities", "&copy; &nbsp;x &#42;y&#42; &nosuch; &x AT&T", "© \xa0x \\*y\\* &nosuch; &x AT&T"),
    ("everyone", "@everyone and @here", f"@{Z}everyone and @{Z}here"),
    ("everyone in bold", "**@everyone**", f"**@{Z}everyone**"),
    ("everyone in a link", "[@everyone](http://x.y/@here)", f"[@{Z}everyone](http://x.y/%40here)"),
    ("everyone in an address", "https://a.b/@here", f"https://a.b/@{Z}here"),
    ("a person", "<@123> and \\<@123>", f"<{Z}@123> and \\<{Z}@123>"),
    ("a channel", "<#C12>", f"<{Z}#C12>"),
    ("mail", "a@b.c @you", "a@b.c @you"),
    ("a pipe in text", "a | b\nc", "a | b\nc"),
    ("no table", "| a | b |\nc", "| a | b |\nc"),
    ("Korean", "**강조**는 **「강조」**는", f"**강조**는 **「강조」{Z}**는"),
    ("Japanese", "これは**「重要」**です。**注意：**本文", f"これは**{Z}「重要」{Z}**です。**注意：{Z}**本文"),
    ("Chinese", "**复现：**10 轮 ~~（旧）~~新", f"**复现：{Z}**10 轮 ~~（旧）{Z}~~新"),
    ("underscores in Korean", "_강조_는 보고_2024_최종", "*강조*는 보고_2024_최종"),
    ("a power", "2**(n-1) and f(*args)", "2**(n-1) and f(*args)"),
    ("a broken surrogate pair", "\ud83d\ude00 \ud83d x", "😀 \ufffd x"),
]


@pytest.mark.parametrize(("text", "expected"), [(a, b) for _, a, b in BOTH], ids=[name for name, *_ in BOTH])
@pytest.mark.parametrize("dialect", [DISCORD, SLACK], ids=lambda dialect: dialect.name)
def test_what_both_platforms_show(dialect: Dialect, text: str, expected: str) -> None:
    assert render(text, dialect) == expected


ONE = [
    (DISCORD, "<b>bold</b> a < b <br>", f"<b>bold<{Z}/b> a < b <br>"),
    (SLACK, "<b>bold</b> a < b <br>", "<b>bold</b> a < b <br>"),
    (DISCORD, "| a | b |\n|---|---|\n\nx", "```\na   | b\n----|----\n```\n\nx"),
    (SLACK, "| a | b |\n|---|---|\n\nx", "| a | b |\n| --- | --- |\n\nx"),
    (DISCORD, "#### Deep **down** `a` _b_", "**Deep down `a` *b***"),
    (DISCORD, "- ###### x", "- **x**"),
    (SLACK, "#### Deep", "#### Deep"),
    (DISCORD, "<@!1> <@&2> <:a:3> <a:b:4> <t:5:R> </c:6> <id:guide>",
     f"<{Z}@!1> <{Z}@&2> <{Z}:a:3> <{Z}a:b:4> <{Z}t:5:R> <{Z}/c:6> <{Z}id:guide>"),
    (DISCORD, "&lt;@1&gt; &amp; &commat;everyone", f"{Z}<{Z}@1> & {Z}@{Z}everyone"),
    (DISCORD, "<&#64;1> <&#x23;1> <&#116;:1> @every&#111;ne",
     f"<{Z}@{Z}1> <\\#1> <&#116;:1> @every&#111;ne"),
    (SLACK, "@every&#111;ne", "@every&amp;#111;ne"),
    (SLACK, "&lt;!here&gt; &amp; &#64;here &#60;!here>", f"&lt;!here&gt; &amp; {Z}@{Z}here &lt;!here>"),
    (SLACK, "<!channel> <!subteam^S1> <@U1> <@W1|x> @channel",
     f"<{Z}!channel> <{Z}!subteam^S1> <{Z}@U1> <{Z}@W1|x> @{Z}channel"),
    (DISCORD, "@channel <!channel>", "@channel <!channel>"),
    (DISCORD, "[m](mailto:a@b.c)", "m (mailto:a@b.c)"),
    (SLACK, "[m](mailto:a@b.c)", "[m](mailto:a@b.c)"),
    (DISCORD, "x\n| Name | N |\n|:--|--:|\n| **A** | 1 |\n| 김 | `22` |\nafter",
     "x\n```\nName |   N\n-----|----\nA    |   1\n김   |  22\n```\nafter"),
    (SLACK, "x\n| Name | N |\n|:--|--:|\n| **A** | 1 |\n| a\\|b | <@U1> |\nafter",
     f"x\n\n| Name | N |\n| --- | --: |\n| **A** | 1 |\n| a\\|b | <{Z}@U1> |\n\nafter"),
    (DISCORD, "| a | b |\n|---|---|\n| [x](http://x.y) | 1 |\n| y | |",
     "**a:** [x](http://x.y)\n**b:** 1\n\n**a:** y"),
    (DISCORD, f"| a | b |\n|---|---|\n| {'long ' * 12}| {'wide ' * 12}|",
     f"**a:** {('long ' * 12).strip()}\n**b:** {('wide ' * 12).strip()}"),
    (DISCORD, "| a | b |\n|---|---|\n| 1 | 2 | 3 |\n| 4", "```\na   | b\n----|----\n1   | 2 3\n4   |\n```"),
    (DISCORD, "> | a |\n> |---|\n> | 1 |\nx", "```\na\n---\n1\n```\nx"),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "text", "expected"), ONE)
def test_what_one_platform_shows(dialect: Dialect, text: str, expected: str) -> None:
    assert render(text, dialect) == expected


@pytest.mark.parametrize("dialect", [DISCORD, SLACK], ids=lambda dialect: dialect.name)
def test_words_come_out_as_they_are_complete(dialect: Dialect) -> None:
    renderer = Renderer(dialect)
    assert renderer.feed("Hel") == ""
    assert renderer.feed("lo wor") == "Hello "
    assert renderer.feed("ld, see [the docs](http") == "world, see "
    assert renderer.feed("://x.y) and **bo") == "[the docs](http://x.y) and "
    assert renderer.feed("ld** `co") == "**bold** "
    assert renderer.feed("de` @ev") == "`code` "
    assert renderer.feed("eryone") == ""
    assert renderer.finish() == f"@{Z}everyone"


def test_a_line_begun_is_not_held_longer_than_its_first_letters() -> None:
    renderer = Renderer(DISCORD)
    assert renderer.feed("- [") == ""
    assert renderer.feed("x] do") == "- ☑ "
    assert renderer.feed("ne now") == "done "


@pytest.mark.parametrize("stray", ["[", "`", "[a](", "_", "&", "![", "<", "**", "https://"])
def test_a_stray_marker_holds_back_a_bounded_piece(stray: str) -> None:
    renderer = Renderer(SLACK)
    out = renderer.feed(stray)
    for _ in range(400):
        out += renderer.feed("word ")
    assert len(out) > 5 * 400 - 1_100
    assert out + renderer.finish() == stray.replace("`", "\\`") + "word " * 400


def test_an_image_written_out_in_the_text_shows_its_name_only() -> None:
    for size in (10, 100_000):
        text = f"see ![a chart](data:image/png;base64,{'iVBORw0K+/' * size}==) there\nand here"
        renderer = Renderer(DISCORD)
        out = "".join(renderer.feed(text[at : at + 50]) for at in range(0, len(text), 50)) + renderer.finish()
        assert out == render(text, DISCORD) == "see a chart there\nand here"
    cut_off = f"![a chart](data:image/png;base64,{'A' * 2_000}"
    assert render(f"{cut_off}\nand here", DISCORD) == "a chart\nand here"


def test_a_table_goes_out_whole_and_a_huge_one_in_pieces_with_its_header() -> None:
    renderer = Renderer(SLACK)
    assert renderer.feed("| n |\n|---|\n| 1 |\n") == ""
    out = "".join(renderer.feed(f"| {number} |\n") for number in range(2, 251)) + renderer.finish()
    assert out.count("| n |\n| --- |\n") == 3
    assert [int(number) for number in re.findall(r"^\| (\d+) \|$", out, re.MULTILINE)] == list(range(1, 251))


# Pieces that agents' texts are made of, and that halves of may be cut off anywhere.
PIECES = [
    *["alpha ", "beta", " gamma", "\n", "\n", "\n\n", "  ", "\t", "\r\n", "한국어", "、", "「日本」", "😀"],
    *["*", "**", "***", "_", "__", "~~", "`", "``", "```", "\n```\n", "\n```py\n", "\n~~~\n", "|", "||", "# "],
    *["\n| a | b |\n|---|:-:|\n| one | two |\n", "\n|---|---|\n", "| x |", "\n---\n", "\n===\n", "\n> ", "> > "],
    *["\n- ", "\n- [x] ", "\n1. ", "\n   ", "[", "]", "(", ")", "![", "[link](http://x.y)", "](", "<", ">", "@"],
    *["@everyone", "@here", "@channel", "<@123>", "<@&1>", "<#1>", "<!here>", "<t:1:R>", "<:a:1>", "</a:1>"],
    *["https://a.b/c", "http", "://", ":", "&amp;", "&lt;", "&", ";", "\\", "\ud83d", "\ude00", "\u0301"],
    *["![img](data:image/png;base64," + "A" * 1_100, "&#64;", "&#35;", "&#47;", "&#58;", "#", "👩\u200d💻"],
]  # fmt: skip
markdown = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)


@st.composite
def chunked(draw: st.DrawFn, texts: st.SearchStrategy[str] = markdown) -> tuple[str, list[str]]:
    text = draw(texts)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=len(text) // 2 + 1)))
    return text, [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@examples(400)
@given(chunked(), dialects)
def test_output_does_not_depend_on_the_chunks(example: tuple[str, list[str]], dialect: Dialect) -> None:
    text, chunks = example
    renderer = Renderer(dialect)
    assert "".join(map(renderer.feed, chunks)) + renderer.finish() == render(text, dialect)


@quick
@given(markdown, dialects)
def test_output_does_not_depend_on_the_chunks_by_single_characters(text: str, dialect: Dialect) -> None:
    renderer = Renderer(dialect)
    assert "".join(map(renderer.feed, text)) + renderer.finish() == render(text, dialect)


@quick
@given(st.text(max_size=300), dialects)
def test_any_text_at_all(text: str, dialect: Dialect) -> None:
    renderer = Renderer(dialect)
    out = "".join(map(renderer.feed, text)) + renderer.finish()
    assert out == render(text, dialect)
    out.encode()


def code_removed(text: str) -> str:
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"\\[^\w\s]|(?<!`)(`+)(?!`)[^\n]*?(?<!`)\1(?!`)", "", text)


@examples(300)
@given(markdown, dialects)
def test_no_mention_outside_code(text: str, dialect: Dialect) -> None:
    out = code_removed(render(text, dialect))
    assert dialect.mentions.search(out) is None


@examples(300)
@given(markdown, dialects)
def test_fences_are_balanced_and_code_cannot_end_them(text: str, dialect: Dialect) -> None:
    lines = render(text, dialect).split("\n")
    fences = [line for line in lines if line.startswith("```")]
    assert len(fences) % 2 == 0
    assert all(line == "```" for line in fences[1::2])
    assert sum(line.replace(r"\`", " ").count("```") for line in lines) == len(fences)


numbered = st.lists(st.sampled_from([*PIECES, *["word "] * 20]), max_size=60).map(
    lambda pieces: "".join(
        f" w{number}w " if piece == "word " else piece for number, piece in enumerate(pieces) if '"' not in piece
    )
)


@examples(300)
@given(numbered, dialects)
def test_no_word_is_lost(text: str, dialect: Dialect) -> None:
    text = re.sub(r"(```+|~~~+)(?!\n)", r"\1\n", text)  # what follows a fence on its line names the language
    written = re.findall(r"w\d+w", text)
    assert set(written) == set(re.findall(r"w\d+w", render(text, dialect)))


def code_in(text: str) -> list[str]:
    [block] = MarkdownIt("commonmark").parseInline(text)
    return [token.content.replace(Z, "").strip() for token in block.children or () if token.type == "code_inline"]


@examples(300)
@given(st.text(alphabet="`a <@1>#", min_size=1, max_size=12), st.integers(1, 5), dialects)
def test_what_is_code_stays_code(content: str, size: int, dialect: Dialect) -> None:
    text = f"x {'`' * size}{content}{'`' * size} y"
    assert code_in(render(text, dialect)) == code_in(text)
