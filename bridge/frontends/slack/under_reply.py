"""The buttons under a finished reply, as Slack has them: its own thumbs, and plain buttons below. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bridge.frontends.slack.reading import ACTION_PREFIX
from bridge.turns.surface import Button

THUMBS = {"good": "positive_button", "bad": "negative_button"}  # by a button's value


def split(buttons: Sequence[Button]) -> tuple[Sequence[Button], Sequence[Button]]:
    """The thumbs, and all others."""
    thumbs = [one for one in buttons if one.action == "rate" and one.value in THUMBS]
    return thumbs, [one for one in buttons if one not in thumbs]


def thumbs_block(thumbs: Sequence[Button], label: Callable[[Button], str]) -> dict[str, Any]:
    """A block of context actions takes no plain buttons, and an icon button no icon but a trash can."""
    feedback = {
        THUMBS[one.value]: {
            "text": {"type": "plain_text", "text": label(one)},
            "accessibility_label": label(one),
            "value": f"{one.turn}:{one.value}",
        }
        for one in thumbs
    }
    return {
        "type": "context_actions",
        "elements": [{"type": "feedback_buttons", "action_id": f"{ACTION_PREFIX}rate", **feedback}],
    }
