"""Renders a reply that is all there."""

from __future__ import annotations

from bridge.render.markdown import Renderer
from bridge.render.split import Part, Splitter
from bridge.render.style import Style

# Characters of Markdown. A longer text holds an event loop up for more than 15 ms: render it in a thread.
LEAVES_THE_LOOP = 20_000


def render_whole(text: str, style: Style) -> list[Part]:
    """The parts that a reply of this text has: those that it has too where it comes in pieces. It shares nothing,
    so it may run in any thread."""
    renderer, splitter = Renderer(style.dialect), Splitter(style.limit, style.measure)
    splitter.feed(renderer.feed(text) + renderer.finish())
    splitter.finish()
    return list(splitter.parts)
