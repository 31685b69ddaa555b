"""A part as Slack's JSON. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bridge.frontends.slack.reading import ACTION_PREFIX, Payload
from bridge.render.slack import slack_mrkdwn
from bridge.turns.surface import Button, PartKey

METADATA_TYPE = "threadbridge_part"
MAX_FALLBACK = 600  # characters; chat.update refuses a text of 4,000, and escaped it can be five times as long
MAX_LABEL = 75  # characters of a button's text, Slack's limit


def part_blocks(text: str, buttons: Sequence[Button]) -> list[dict[str, Any]]:
    """The text as Slack's own rendering of Markdown, and the buttons below it."""
    shown: list[dict[str, Any]] = [{"type": "markdown", "text": text}] if text else []
    return shown + button_blocks(buttons)


def button_blocks(buttons: Sequence[Button]) -> list[dict[str, Any]]:
    if not buttons:
        return []
    elements = [
        {
            "type": "button",
            "action_id": f"{ACTION_PREFIX}{button.action}",
            "text": {"type": "plain_text", "text": button.label[:MAX_LABEL]},
            "value": button.turn,
        }
        for button in buttons
    ]
    return [{"type": "actions", "elements": elements}]


def fallback(text: str) -> str:
    """What notifications show: the beginning, unable to mention anyone."""
    return slack_mrkdwn(text[:MAX_FALLBACK]) or "…"


def metadata(key: PartKey) -> dict[str, Any]:
    return {"event_type": METADATA_TYPE, "event_payload": {"turn": key.turn, "part": key.name}}


def key_of(message: Payload) -> PartKey | None:
    """The part that a message says it is."""
    found = message.get("metadata") or {}
    payload = found.get("event_payload") or {}
    if found.get("event_type") != METADATA_TYPE:
        return None
    return PartKey(str(payload.get("turn", "")), str(payload.get("part", "")))
