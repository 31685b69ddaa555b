"""What goes out to Slack, as its JSON: here, and nowhere else, text is made unable to mention anyone. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from bridge.frontends.slack.content import Payload
from bridge.frontends.slack.reading import ACTION_PREFIX
from bridge.frontends.slack.under_reply import THUMBS, split, thumbs_block
from bridge.render.markdown import Renderer
from bridge.render.slack import SLACK, slack_mrkdwn
from bridge.render.style import ZERO_WIDTH
from bridge.turns.surface import Button, PartKey, PartKind

METADATA_TYPE = "threadbridge_part"
MAX_FALLBACK = 600  # characters; chat.update refuses a text of 4,000, and escaped it can be five times as long
MAX_SETTLED = 200  # characters; Slack takes 2,000, and escaped it can be five times as long
MAX_LABEL = 75  # characters of a button's text and of an option's, Slack's limit
MAX_CHOICE_BUTTONS = 5  # more are a select
MAX_CHOICES = 100  # options of a select, Slack's limit
STYLES = {"approve": "primary", "decline": "danger"}
MAX_BUTTONS = 25  # in one block of actions, Slack's limit
MAX_STATUS = 50  # characters; Slack shows one line of it
MAX_FILE_NAME = 255  # bytes
MAX_ENDING = 20  # characters of a name's ending that are kept where it is cut

# What begins a mention. The renderer leaves code as it is, and Slack doesn't say whether a mention in code
# notifies. Nothing that follows is looked at, so that the beginning of a text always goes out as the same
# characters.
_MENTION = re.compile(r"<(?:@[UWB]|!(?:ch|he|ev|su))")

# The last paragraph of an approval, as `SLACK.moment` writes its time: what an agent writes can't look like more.
_UNTIL = re.compile(
    r"(?:\A|\n\n)Until <!date\^\d{1,12}\^\{date_short_pretty\} at \{time\}\|(?P<utc>[-0-9: ]{1,20}UTC)>\.\Z"
)


def outgoing(markdown: str) -> str:
    """Rendered Markdown, with the mentions that its code may hold taken apart."""
    return _MENTION.sub(rf"\g<0>{ZERO_WIDTH}", markdown)


def sentence_of(key: PartKey, text: str) -> str:
    """The text of a part as rendered Markdown: the bridge's own words aren't rendered yet, and quote file
    names."""
    if key.kind is not PartKind.NOTICE:
        return text
    renderer = Renderer(SLACK)
    return renderer.feed(text) + renderer.finish()


def part_blocks(text: str, buttons: Sequence[Button]) -> list[dict[str, Any]]:
    """The text as Slack's own rendering of Markdown, and the buttons below it."""
    words, until = text, _UNTIL.search(text)
    if until is not None:
        words = text[: until.start()]
    shown: list[dict[str, Any]] = [{"type": "markdown", "text": outgoing(words)}] if words else []
    if until is not None:  # Slack shows a time to each reader in theirs in its own mark-up only
        shown.append({"type": "context", "elements": [{"type": "mrkdwn", "text": until[0].strip()}]})
    return shown + all_buttons(buttons)


def all_buttons(buttons: Sequence[Button]) -> list[dict[str, Any]]:
    """Thumbs in a block of their own, above all others."""
    thumbs, others = split(buttons)
    return [*([thumbs_block(thumbs, _label)] if len(thumbs) == len(THUMBS) else ()), *button_blocks(others)]


def button_blocks(buttons: Sequence[Button]) -> list[dict[str, Any]]:
    choices = [button for button in buttons if button.action == "choose"]
    others = [button for button in buttons if button.action != "choose"]
    if len(choices) <= MAX_CHOICE_BUTTONS:
        elements = [_button(one) for one in buttons]
    else:
        elements = [_select(choices[:MAX_CHOICES]), *map(_button, others)]
    return [{"type": "actions", "elements": elements[:MAX_BUTTONS]}] if elements else []


def _select(choices: Sequence[Button]) -> dict[str, Any]:
    return {
        "type": "static_select",
        "action_id": f"{ACTION_PREFIX}choose",
        "placeholder": {"type": "plain_text", "text": "Choose…"},
        "options": [
            {
                "text": {"type": "plain_text", "text": _label(one)},
                "value": f"{one.turn}:{one.value}",
            }
            for one in choices
        ],
    }


def _button(button: Button) -> dict[str, Any]:
    # Within a block no two may have the same id, as the choices would.
    choice = f":{button.value}" if button.value else ""
    style = STYLES.get(button.action)
    return {
        "type": "button",
        "action_id": f"{ACTION_PREFIX}{button.action}{choice}",
        "text": {"type": "plain_text", "text": _label(button)},
        "value": f"{button.turn}{choice}",
        **({"style": style} if style else {}),
    }


def _label(button: Button) -> str:
    label = " ".join(SLACK.escape(button.label).split()) or "…"
    return label if len(label) <= MAX_LABEL else label[: MAX_LABEL - 1] + "…"


def settled_blocks(message: Payload, line: str) -> list[dict[str, Any]]:
    """The blocks of a message with `line` in place of its first buttons of ours, and without the others."""
    return list(_settled(message.get("blocks") or (), line))


def _settled(blocks: Sequence[Payload], line: str) -> Iterator[dict[str, Any]]:
    said = False
    for block in blocks:
        if not _is_ours(block):
            yield dict(block)
        elif not said:
            said = True
            yield {"type": "context", "elements": [{"type": "mrkdwn", "text": fallback(line[:MAX_SETTLED])}]}


def _is_ours(block: Payload) -> bool:
    elements = block.get("elements") or ()
    return block.get("type") == "actions" and any(
        str(element.get("action_id", "")).startswith(ACTION_PREFIX) for element in elements
    )


def fallback(text: str) -> str:
    """What notifications show: the beginning, unable to mention anyone."""
    return slack_mrkdwn(_UNTIL.sub(r"\n\nUntil \g<utc>.", text)[:MAX_FALLBACK]) or "…"


def status_line(label: str) -> str:
    return SLACK.escape(" ".join(label.split()))[:MAX_STATUS]


def file_name(name: str) -> str:
    """A name that is no mention and no longer than any file system's."""
    name = SLACK.escape(name)
    if len(name.encode()) <= MAX_FILE_NAME:
        return name
    stem, dot, ending = name.rpartition(".")
    tail = f"{dot}{ending}".encode() if dot and len(ending) < MAX_ENDING else b""
    kept = (stem if tail else name).encode()[: MAX_FILE_NAME - len(tail)]
    return kept.decode(errors="ignore") + tail.decode()


def metadata(key: PartKey) -> dict[str, Any]:
    return {
        "event_type": METADATA_TYPE,
        "event_payload": {"turn": key.turn, "kind": str(key.kind), "index": key.index},
    }


def key_of(message: Payload) -> PartKey | None:
    """The part that a message says it is."""
    found = message.get("metadata") or {}
    payload = found.get("event_payload") or {}
    if found.get("event_type") != METADATA_TYPE:
        return None
    try:
        return PartKey(str(payload["turn"]), PartKind(payload["kind"]), int(payload["index"]))
    except (KeyError, ValueError, TypeError):
        return None
