"""Files by command: a modal that takes them, and what was submitted as a question of its thread.

Slack's commands take no files and don't work in threads. So the modal has a file input and, where it wasn't opened from
a thread, a choice among the threads that the person asked in last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.commands import MAX_FILES
from bridge.frontends.slack.content import Payload
from bridge.frontends.slack.reading import remote_files
from bridge.inbound import Address, RemoteFile
from bridge.render.slack import SLACK

UPLOAD = "threadbridge-upload"  # the modal's callback id, and the action id of the button that opens it
FILES, TEXT, THREAD = "files", "text", "thread"  # its inputs
MAX_LABEL = 75  # characters of an option's text, Slack's limit
MAX_TEXT = 3_000  # characters of a text input, Slack's limit
NEW = ""  # stands for a thread that isn't there yet


@dataclass(frozen=True, slots=True)
class Submitted:
    """A filled-in modal."""

    view: str
    channel: str
    thread: str  # `NEW`: one of its own
    text: str
    files: tuple[RemoteFile, ...]


def button(thread: str) -> dict[str, Any]:
    """The answer to `@bot upload` in a thread."""
    element = {"type": "button", "action_id": UPLOAD, "text": plain("Choose files"), "value": thread}
    return {"text": "Choose files", "blocks": [{"type": "actions", "elements": [element]}]}


def modal(channel: str, thread: str, text: str, recent: Mapping[Address, str]) -> dict[str, Any]:
    """For one thread, or with a choice among the `recent` ones and a new one in this channel."""
    words: dict[str, Any] = {
        "type": "plain_text_input",
        "action_id": TEXT,
        "multiline": True,
        "max_length": MAX_TEXT,
    }
    if text:
        words["initial_value"] = text[:MAX_TEXT]
    blocks: list[dict[str, Any]] = [
        field(FILES, "Files", {"type": "file_input", "action_id": FILES, "max_files": MAX_FILES}),
        field(TEXT, "What should the agent do with them?", words) | {"optional": True},
    ]
    if thread == NEW:
        places = [("A new thread here", f"{channel}:{NEW}")]
        places += [(asked, f"{one.channel}:{one.thread}") for one, asked in recent.items()]
        blocks.append(field(THREAD, "Where to", choose(THREAD, places)))
    return {
        "type": "modal",
        "callback_id": UPLOAD,
        "private_metadata": f"{channel}:{thread}",
        "title": plain("Send files"),
        "submit": plain("Send"),
        "close": plain("Cancel"),
        "blocks": blocks,
    }


def submitted(view: Payload) -> Submitted:
    values: Payload = (view.get("state") or {}).get("values") or {}
    chosen = value(values, THREAD).get("selected_option") or {}
    channel, _, thread = str(chosen.get("value") or view.get("private_metadata") or "").partition(":")
    files: Sequence[Payload] = value(values, FILES).get("files") or ()
    text = str(value(values, TEXT).get("value") or "").strip()
    return Submitted(str(view.get("id") or ""), channel, thread, text, remote_files(files))


def value(values: Payload, name: str) -> Payload:
    """What was filled in there."""
    found: Payload = (values.get(name) or {}).get(name) or {}
    return found


def field(name: str, label: str, element: dict[str, Any]) -> dict[str, Any]:
    """An input of a form."""
    return {"type": "input", "block_id": name, "label": plain(label), "element": element}


def choose(name: str, places: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """A choice among places, by what people read and what comes back; the first is chosen already."""
    options = [_option(label, place) for label, place in places]
    return {"type": "static_select", "action_id": name, "options": options, "initial_option": options[0]}


def _option(label: str, place: str) -> dict[str, Any]:
    line = SLACK.escape(" ".join(label.split()))
    shown = line if len(line) <= MAX_LABEL else f"{line[: MAX_LABEL - 1].rstrip()}…"
    return {"text": plain(shown or "…"), "value": place}


def plain(text: str) -> dict[str, Any]:
    """Text that Slack formats in no way."""
    return {"type": "plain_text", "text": text}
