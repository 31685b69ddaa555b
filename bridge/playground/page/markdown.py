"""Markdown as HTML that is safe to put into the page, whoever wrote it."""

from __future__ import annotations

import re
from collections.abc import MutableMapping, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

_SMALL = re.compile(r"(<p>|<br />\n)-# ([^\n]*?)(?=<br />|</p>)")  # Discord's small print
LINKS = ("https://", "http://", "mailto:")
Env = MutableMapping[str, Any]


def to_html(markdown: str) -> str:
    """No raw tags, no inline styles, nothing loaded from elsewhere; links open in a new tab."""
    html: str = _markdown.render(markdown)
    return _SMALL.sub(r"\1<small>\2</small>", html) if "-# " in html else html


class _Renderer(RendererHTML):
    def link_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: Env) -> str:
        tokens[index].attrs |= {"target": "_blank", "rel": "noopener noreferrer"}
        return self.renderToken(tokens, index, options, env)

    def image(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: Env) -> str:
        """As the platforms do: only the words that stand for it."""
        return f"<em>{self.renderInlineAsText(tokens[index].children or [], options, env)}</em>"

    def th_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: Env) -> str:
        """The page's policy forbids style attributes, which is how a column is aligned otherwise."""
        style = str(tokens[index].attrs.pop("style", ""))
        if style:
            tokens[index].attrs["class"] = style.removeprefix("text-align:")
        return self.renderToken(tokens, index, options, env)

    td_open = th_open


_markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}, renderer_cls=_Renderer)
_markdown.enable(["table", "strikethrough"])
_markdown.validateLink = lambda url: url.strip().lower().startswith(LINKS)  # type: ignore[method-assign]
