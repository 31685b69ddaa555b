"""Reactions on the page: the few that mean something here, on both platforms. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bridge.playground.page.views import ReactionView

# Slack's names. The first asks the agent about a message; it puts the others on questions itself.
NAMES = {"🤖": "robot_face", "👀": "eyes", "✅": "white_check_mark"}
ASKS = "🤖"
SHOWN = {name: emoji for emoji, name in NAMES.items()} | {"hourglass_flowing_sand": "⏳", "warning": "⚠️"}


def reactions(given: Mapping[str, Sequence[object]]) -> list[ReactionView]:
    return [{"emoji": SHOWN.get(name, name), "count": len(people)} for name, people in given.items() if people]
