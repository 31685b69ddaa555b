"""Slack's two languages: the standard Markdown of its markdown blocks and streams, and its older mrkdwn."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from bridge.render.markdown import RULE
from bridge.render.style import ZERO_WIDTH, Dialect
from bridge.render.tables import Alignment, aligned

SLACK = Dialect(
    name="slack",
    max_heading=6,
    tables=True,  # since spring 2026, in markdown blocks and in streams
    schemes=frozenset({"http", "https", "mailto", "tel"}),
    entities=frozenset("&<>"),
    mentions=re.compile(r"<(?=[!@#])|@(?=channel|here|everyone)", re.IGNORECASE),
    pings=re.compile(
        r"<(?=!(?:channel|here|everyone|subteam)|@[a-z0-9])|@(?=channel|here|everyone)", re.IGNORECASE
    ),
    moment="<!date^{at}^{{date_short_pretty}} at {{time}}|{utc}>",
)

_STYLES = {"strong": "*", "em": "_", "s": "~"}
_parser = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])


def slack_mrkdwn(markdown: str) -> str:
    """Markdown as mrkdwn, for the `text` of a message that notifications and old clients show. The Markdown is
    best a `Renderer`'s: its emphasis is found beside letters too."""
    tree = SyntaxTreeNode(_parser.parse(markdown))
    return "\n\n".join(filter(None, map(_block, tree.children)))


def _escape(text: str) -> str:
    return html.escape(SLACK.escape(text), quote=False)


def _code(text: str) -> str:
    return html.escape(SLACK.code(text), quote=False)


def _block(node: SyntaxTreeNode) -> str:
    match node.type:
        case "heading":
            title = _inline(node.children[0], bold=True)
            return f"*{title}*" if title else ""
        case "paragraph":
            return _inline(node.children[0])
        case "fence" | "code_block":
            return f"```\n{_code(node.content.rstrip())}\n```"
        case "blockquote":
            inside = "\n\n".join(filter(None, map(_block, node.children)))
            return "\n".join(f"> {line}" for line in inside.split("\n"))
        case "bullet_list" | "ordered_list":
            return "\n".join(_items(node))
        case "table":
            return _table(node)
        case "hr":
            return RULE
        case _:
            return "\n\n".join(map(_block, node.children)) or _escape(node.content)


def _items(node: SyntaxTreeNode) -> Iterator[str]:
    number = int(node.attrs.get("start", 1)) if node.type == "ordered_list" else None
    for item in node.children:
        marker = "•" if number is None else f"{number}."
        number = None if number is None else number + 1
        text = "\n".join(filter(None, map(_block, item.children)))
        yield f"{marker} {text}".replace("\n", "\n    ")


def _table(node: SyntaxTreeNode) -> str:
    cells = [["".join(_words(cell)) for cell in row.children] for part in node.children for row in part.children]
    sides: list[Alignment] = ["left"] * len(cells[0])
    block = aligned(sides, *cells) or "\n".join(" | ".join(row) for row in cells)
    return html.escape(block, quote=False)


def _words(node: SyntaxTreeNode) -> Iterator[str]:
    if node.type in ("text", "code_inline", "image"):
        yield SLACK.code(node.content)
    elif node.type in ("softbreak", "hardbreak"):
        yield " "
    for child in node.children if node.type != "image" else ():
        yield from _words(child)


def _inline(node: SyntaxTreeNode, *, bold: bool = False) -> str:
    """mrkdwn takes a marker for one only beside a space: a zero-width one does where words have none."""
    pieces: list[str] = []
    before = ""  # the kind of the piece before
    for kind, piece in _spans(node, frozenset("*") if bold else frozenset()):
        touches = (kind == "opens" and before == "text") or (kind == "text" and before == "closes")
        if touches and not (pieces[-1][-1] if kind == "opens" else piece[0]).isspace():
            pieces.append(ZERO_WIDTH)
        pieces.append(piece)
        before = kind
    return "".join(pieces)


def _spans(node: SyntaxTreeNode, styles: frozenset[str]) -> Iterator[tuple[str, str]]:
    """The pieces of a paragraph, each with what it is: "text", or a marker that "opens" or "closes"."""
    for child in node.children:
        marker = _STYLES.get(child.type, "")
        if marker and marker not in styles:
            yield "opens", marker
            yield from _spans(child, styles | {marker})
            yield "closes", marker
        elif child.type == "link":
            label = "".join(_words(child)).replace("|", "¦")
            yield "text", f"<{_target(child)}|{_escape(label)}>" if label else f"<{_target(child)}>"
        elif child.type == "image":
            yield "text", f"<{_target(child)}|{_escape(child.content or 'image')}>"
        elif child.type == "code_inline":
            yield "text", f"`{_code(child.content)}`"
        elif child.type in ("softbreak", "hardbreak"):
            yield "text", "\n"
        elif child.children:
            yield from _spans(child, styles)
        elif child.content:
            yield "text", _escape(child.content)


def _target(node: SyntaxTreeNode) -> str:
    target = str(node.attrs.get("href") or node.attrs.get("src") or "")
    return html.escape(target, quote=False).replace("|", "%7C")
