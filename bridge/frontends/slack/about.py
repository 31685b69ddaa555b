"""What a person does with somebody's message from its menu: ask about it, or add its files to a conversation.

The message comes with the shortcut and isn't read again: what is needed of it stays in the form until that is sent. Who
wrote it, its words and its link go along with the question, as a quote. No I/O.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from bridge.frontends.slack.content import Payload, words
from bridge.frontends.slack.reading import attached
from bridge.frontends.slack.uploading import MAX_TEXT, choose, field, plain, value
from bridge.inbound import Address, RemoteFile
from bridge.render.characters import boundary
from bridge.render.slack import SLACK

Shortcut = Literal["ask_about", "add_files"]  # callback ids, in the manifest too

NAMES: Mapping[Shortcut, tuple[str, str]] = {  # at most 24 and 150 characters, Slack's limits
    "ask_about": ("Ask about this message", "Ask the agent about this message; its files go along"),
    "add_files": ("Add its files", "Give this message's files to the agent, in a conversation of yours"),
}
ABOUT = "threadbridge-about"  # the form's callback id
TEXT, THREAD = "text", "thread"  # its inputs
DIRECT = "@"  # stands for the person's direct message with the app
MAX_KEPT = 2_900  # characters of what the form keeps; Slack takes 3,000
MAX_FILES = 10
MAX_NAME = 60  # characters of a file's name
SHOWN = 300  # characters of the message in the form

NO_FILES = "That message has no files."


@dataclass(frozen=True, slots=True)
class Quoted:
    """Somebody's message, as far as a question about it needs it."""

    channel: str
    ts: str
    root: str  # of its thread; its own ts where it has none
    user: str  # "" of a bot without one
    name: str  # of such a bot
    words: str  # as Slack writes them
    files: tuple[RemoteFile, ...] = ()  # without their addresses, which can be had by their ids

    @classmethod
    def of(cls, body: Payload) -> Quoted:
        """The message of a shortcut."""
        message: Payload = body.get("message") or {}
        ts = str(message.get("ts") or body.get("message_ts") or "")
        bot = message.get("username") or (message.get("bot_profile") or {}).get("name") or "a bot"
        return cls(
            channel=str((body.get("channel") or {}).get("id") or ""),
            ts=ts,
            root=str(message.get("thread_ts") or ts),
            user=str(message.get("user") or ""),
            name=str(bot),
            words=words(message),
            files=attached(message)[:MAX_FILES],
        )

    def kept(self, shortcut: Shortcut) -> str:
        """As JSON for the form, with as much of the words as it has room for."""
        files = [[one.id, one.name[-MAX_NAME:], one.media_type[:MAX_NAME], one.size] for one in self.files]
        about = [shortcut, self.channel, self.ts, self.root, self.user, self.name[:MAX_NAME], files]
        text = self.words
        while len(kept := json.dumps([*about, text], ensure_ascii=False)) > MAX_KEPT and text:
            text = text[: boundary(text, max(0, len(text) - (len(kept) - MAX_KEPT) - 1))]
        return kept


def read(kept: str) -> tuple[Shortcut, Quoted] | None:
    """What `Quoted.kept` wrote; None for anything else."""
    try:
        shortcut, channel, ts, root, user, name, files, text = json.loads(kept)
        found = tuple(
            RemoteFile(str(one), str(called), str(kind), int(size), "") for one, called, kind, size in files
        )
    except (ValueError, TypeError):
        return None
    if shortcut not in get_args(Shortcut):
        return None
    return cast(Shortcut, shortcut), Quoted(
        str(channel), str(ts), str(root), str(user), str(name), str(text), found
    )


def modal(shortcut: Shortcut, quoted: Quoted, recent: Mapping[Address, str]) -> dict[str, Any]:
    """The form of a shortcut; without an input where there is nothing to add."""
    shown = SLACK.escape(" ".join(quoted.words.split()))[:SHOWN] or "…"
    view: dict[str, Any] = {
        "type": "modal",
        "callback_id": ABOUT,
        "private_metadata": quoted.kept(shortcut),
        "title": plain(NAMES[shortcut][0]),
        "close": plain("Cancel"),
    }
    if shortcut == "add_files" and not quoted.files:
        return view | {"blocks": [_said(NO_FILES)]}
    names = ", ".join(SLACK.escape(one.name) for one in quoted.files)
    asks = shortcut == "ask_about"
    label = "What do you want to know?" if asks else "What should the agent do with them?"
    typed = {"type": "plain_text_input", "action_id": TEXT, "multiline": True, "max_length": MAX_TEXT}
    places = [
        ("In the thread of this message", f"{quoted.channel}:{quoted.root}"),
        ("In a direct message", f"{DIRECT}:"),
    ]
    places += [(asked, f"{one.channel}:{one.thread}") for one, asked in recent.items()]
    return view | {
        "submit": plain("Ask" if asks else "Add"),
        "blocks": [
            _said(shown if asks else names),
            field(TEXT, label, typed) | {"optional": not asks},
            field(THREAD, "Where to", choose(THREAD, places)),
        ],
    }


@dataclass(frozen=True, slots=True)
class Submitted:
    """A filled-in form."""

    view: str
    shortcut: Shortcut
    quoted: Quoted
    channel: str  # `DIRECT`: the direct message with the app
    thread: str
    text: str  # as it was typed


def submitted(view: Payload) -> Submitted | None:
    """None for a form that isn't ours."""
    kept = read(str(view.get("private_metadata") or ""))
    if kept is None:
        return None
    values: Payload = (view.get("state") or {}).get("values") or {}
    chosen = value(values, THREAD).get("selected_option") or {}
    channel, _, thread = str(chosen.get("value") or f"{DIRECT}:").partition(":")
    text = str(value(values, TEXT).get("value") or "").strip()
    return Submitted(str(view.get("id") or ""), *kept, channel, thread, text)


def question(escaped: str, quoted: Quoted, link: str) -> str:
    """What the agent is asked, as Slack writes messages: the person's words, and the message below as a quote."""
    author = f"<@{quoted.user}>" if quoted.user else quoted.name.replace("&", "&amp;").replace("<", "&lt;")
    where = f" (<{link}>)" if link else ""
    lines = [f"&gt; {line}" for line in quoted.words.splitlines()]
    return "\n".join([escaped, "", f"About a message of {author}{where}:", *lines]).strip()


def _said(text: str) -> dict[str, Any]:
    return {"type": "section", "text": plain(text[:SHOWN])}


def shortcuts() -> Sequence[dict[str, str]]:
    """For the manifest."""
    return [
        {"name": name, "type": "message", "callback_id": callback, "description": about}
        for callback, (name, about) in NAMES.items()
    ]
