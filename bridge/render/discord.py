"""Discord's Markdown."""

from __future__ import annotations

import re

from bridge.render.style import Dialect

DISCORD = Dialect(
    name="discord",
    max_heading=3,
    tables=False,
    schemes=frozenset({"http", "https"}),
    entities=frozenset(),
    # Users, roles, channels, commands, emoji, times and guild navigation, each with "<" before it.
    mentions=re.compile(r"<(?=[@#/:]|a:|t:|id:)|@(?=everyone|here)", re.IGNORECASE),
    pings=re.compile(r"<(?=@[!&]?[0-9])|@(?=everyone|here)", re.IGNORECASE),
    moment="<t:{at}:f> (<t:{at}:R>)",
    small="-# ",
)
