"""What an operator types to find a thread, as ids. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_QUERY = 300  # characters

_SLACK_LINK = re.compile(
    r"https://[\w.-]+\.slack\.com/archives/([A-Z0-9]+)/p(\d{6,20})(\d{6})(?:\?(.*))?", re.ASCII
)
_SLACK_ROOT = re.compile(r"thread_ts=(\d+\.\d+)")
_DISCORD_LINK = re.compile(r"https://(?:\w+\.)?discord\.com/channels/(?:\d+|@me)/(\d+)(?:/\d+)?", re.ASCII)
_TURN = re.compile(r"[0-9a-f]{16}")
_WORKSPACE = re.compile(r"[TE][A-Z0-9]{1,30}")
_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A turn; or the threads of a channel, or of this id. `either`: nobody can tell which of the two it is."""

    turn: str | None = None
    channel: str | None = None
    thread: str | None = None
    either: bool = False


def wanted(query: str) -> Wanted | None:
    """What `slack:C0123:1700000000.000100`, a part of that, a message's link or a turn's id asks for. None for what is
    none of these."""
    text = query.strip()[:MAX_QUERY]
    if found := _SLACK_LINK.fullmatch(text):
        channel, seconds, fraction, rest = found.groups()
        root = _SLACK_ROOT.search(rest or "")
        return Wanted(channel=channel, thread=root[1] if root else f"{seconds}.{fraction}")
    if found := _DISCORD_LINK.fullmatch(text):
        return Wanted(channel=found[1], thread=found[1], either=True)
    if _TURN.fullmatch(text) and not text.isdecimal():
        return Wanted(turn=text)
    ids = [part for part in text.split(":") if part not in ("slack", "discord")]
    if len(ids) > 1 and _WORKSPACE.fullmatch(ids[0]):  # named before its channel, which is found without it
        del ids[0]
    if not ids or len(ids) > 2 or not all(_ID.fullmatch(one) for one in ids):
        return None
    if len(ids) == 2:
        return Wanted(channel=ids[0], thread=ids[1])
    return Wanted(channel=ids[0], thread=ids[0], either=True)
