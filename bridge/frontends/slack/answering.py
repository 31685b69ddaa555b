"""The form for an answer in words, for why an approval is declined, and for feedback. No I/O."""

from __future__ import annotations

import json
from typing import Any, Literal, cast

from bridge.frontends.slack.content import Payload
from bridge.turns.surface import Action

WORDS = "threadbridge-words"  # the form's callback id
TEXT = "words"  # its one input
MAX_TEXT = 3_000  # characters of a text input, Slack's limit

FORMS: dict[Action, tuple[str, str, str]] = {  # title, label of the button that sends it, of the input
    "answer": ("Your answer", "Send", "The agent reads what you write here."),
    "decline": ("Decline", "Decline", "Why not? The agent and the thread are told."),
    "words": ("Your feedback", "Send", "What was good, or what was wrong?"),
}
Form = Literal["answer", "decline", "words"]


def form(action: Action, turn: str, channel: str, thread: str) -> dict[str, Any]:
    title, send, label = FORMS[action]
    words = {"type": "plain_text_input", "action_id": TEXT, "multiline": True, "max_length": MAX_TEXT}
    return {
        "type": "modal",
        "callback_id": WORDS,
        "private_metadata": json.dumps([action, turn, channel, thread]),
        "title": _plain(title),
        "submit": _plain(send),
        "close": _plain("Cancel"),
        "blocks": [
            {
                "type": "input",
                "block_id": TEXT,
                "label": _plain(label),
                "element": words,
                "optional": action == "decline",
            }
        ],
    }


def submitted(view: Payload) -> tuple[Form, str, str, str, str] | None:
    """Action, turn, channel, thread and what was written; None for a form that isn't ours."""
    try:
        action, turn, channel, thread = json.loads(view.get("private_metadata") or "")
    except ValueError:
        return None
    if action not in FORMS:
        return None
    values = (view.get("state") or {}).get("values") or {}
    text = str(((values.get(TEXT) or {}).get(TEXT) or {}).get("value") or "")
    return cast(Form, action), str(turn), str(channel), str(thread), text


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}
