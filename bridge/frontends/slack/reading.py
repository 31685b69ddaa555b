"""What an event of Slack's means for the turns: payload in, value out. No I/O and no state."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast, get_args

from bridge.commands import Given, spoken
from bridge.frontends.slack.content import Payload, forwarded_in, words
from bridge.inbound import Address, Person, RemoteFile, position
from bridge.turns.surface import Action

ACTION_PREFIX = "threadbridge:"  # of our buttons' action ids; the button's value is the turn
# Messages of people. Every other subtype is a notice (someone joined, a topic changed) or not a person's.
PEOPLES_SUBTYPES = frozenset({None, "file_share", "me_message", "thread_broadcast"})
SLACKBOT = "USLACKBOT"
GONE_FILES = frozenset({"tombstone", "hidden_by_limit"})  # modes of files that can't be had any more

_MENTION = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>")
_OPENING_MENTION = re.compile(r"\s*(?:<@([UW][A-Z0-9]+)(?:\|[^>]*)?>|<!subteam\^[^>]*>)")


@dataclass(frozen=True, slots=True)
class Me:
    """Who this app is in its workspace."""

    team: str
    user: str
    bot: str
    app: str = ""  # "" as long as Slack didn't say

    def is_addressed(self, body: Payload) -> bool:
        """Whether an event, command or interaction is for this app in this workspace. In a channel that is shared
        with others an event may name the team of who wrote; `authorizations` then says for whom it is."""
        app = body.get("api_app_id")
        if self.app and app and app != self.app:
            return False
        teams = {body.get("team_id"), body.get("context_team_id"), (body.get("team") or {}).get("id")}
        teams |= {one.get("team_id") for one in body.get("authorizations") or ()}
        return self.team in teams or not any(teams)

    def wrote(self, message: Payload) -> bool:
        return message.get("user") == self.user or (bool(self.bot) and message.get("bot_id") == self.bot)


@dataclass(frozen=True, slots=True)
class Heard:
    """A message of a person. `text` is as Slack sends it."""

    address: Address
    event_id: str
    message_id: str
    person: Person
    text: str
    files: tuple[RemoteFile, ...]
    direct: bool  # in the direct message with this app
    called: bool  # mentions this app
    to_others: bool  # begins by mentioning someone else, and doesn't mention this app
    in_thread: bool  # a reply, so there were messages before it
    command: Given | None = None  # it is a command, by `bridge.commands.spoken`, and no question

    @property
    def position(self) -> int:
        return position(self.message_id)

    @property
    def may_concern_us(self) -> bool:
        """False for the talk of a channel, which is most of what arrives: not worth a look at the store."""
        return self.direct or self.called or (self.in_thread and not self.to_others)

    def is_for_us(self, *, known: bool) -> bool:
        """`known`: this app was called into the thread before."""
        return self.command is None and (self.direct or self.called or (known and not self.to_others))


@dataclass(frozen=True, slots=True)
class Edited:
    address: Address
    message_id: str
    text: str
    person: str  # the id of whoever wrote it
    heard: Heard | None = field(default=None, compare=False)  # the message as it reads now


@dataclass(frozen=True, slots=True)
class Deleted:
    address: Address
    message_id: str


@dataclass(frozen=True, slots=True)
class Stopped:
    address: Address


@dataclass(frozen=True, slots=True)
class Pressed:
    action: Action
    turn: str
    value: str
    address: Address
    person: Person
    message: Payload | None = field(default=None, compare=False)  # None of one that only the person sees
    response_url: str = ""  # where the message of the button can be replaced
    trigger: str = ""  # with which a form can be opened, within seconds


Reading = Heard | Edited | Deleted | Stopped


def read_event(body: Payload, me: Me) -> Reading | None:
    """Read an `event_callback`; None for what doesn't concern the turns."""
    event: Payload = body.get("event") or {}
    match event.get("type"), event.get("subtype"):
        case "message", "message_changed":
            return _changed(event, str(body.get("event_id", "")), me)
        case "message", "message_deleted":
            return _deleted(event, event.get("previous_message") or {}, event.get("deleted_ts"), me)
        case "message" | "app_mention", subtype if subtype in PEOPLES_SUBTYPES:
            return _heard(event, str(body.get("event_id", "")), me)
        case "agent_session_stopped", _ if event.get("thread_ts"):
            return Stopped(_address(event["channel"], event["thread_ts"], me))
        case _:
            return None


def read_press(body: Payload, me: Me) -> Pressed | None:
    """Read a `block_actions` payload; None if the button isn't ours."""
    action = (body.get("actions") or [{}])[0]
    prefix, _, rest = str(action.get("action_id", "")).partition(ACTION_PREFIX)
    name = "" if prefix else rest.partition(":")[0]
    place: Payload = {**(body.get("container") or {}), **(body.get("message") or {})}
    channel = (body.get("channel") or {}).get("id") or place.get("channel_id")
    thread = place.get("thread_ts") or place.get("ts") or place.get("message_ts")
    if name not in get_args(Action) or not channel or not thread:
        return None
    chosen: Payload = action.get("selected_option") or action  # of a select
    turn, _, value = str(chosen.get("value", "")).partition(":")
    user: Payload = body["user"]
    return Pressed(
        action=cast(Action, name),
        turn=turn,
        value=value,
        address=_address(channel, thread, me),
        person=Person(user["id"], str(user.get("name") or ""), str(user.get("team_id") or "")),
        message=body.get("message"),
        response_url=str(body.get("response_url") or ""),
        trigger=str(body.get("trigger_id") or ""),
    )


def mentioned(text: str) -> list[str]:
    """The ids of the people whom a text mentions."""
    return _MENTION.findall(text)


def _seconds(file: Payload) -> float | None:
    """How long a clip is that was recorded in Slack. Its media type may be a video's."""
    if file.get("subtype") != "slack_audio":
        return None
    duration = file.get("duration_ms")
    return duration / 1_000 if isinstance(duration, int | float) else 0.0


def remote_files(files: Sequence[Payload]) -> tuple[RemoteFile, ...]:
    return tuple(
        RemoteFile(
            id=file["id"],
            name=file.get("name") or file.get("title") or file["id"],
            media_type=file.get("mimetype") or "application/octet-stream",
            size=int(file.get("size") or 0),
            url=file.get("url_private_download") or file.get("url_private") or "",
            seconds=_seconds(file),
        )
        for file in files
        if file.get("id") and file.get("mode") not in GONE_FILES
    )


def attached(message: Payload) -> tuple[RemoteFile, ...]:
    """The files of a message, and of what it forwards."""
    files = list(message.get("files") or ())
    for forwarded in forwarded_in(message):
        files += forwarded.get("files") or ()
    return remote_files(files)


def _heard(event: Payload, event_id: str, me: Me) -> Heard | None:
    if not _by_a_person(event, me) or event.get("hidden"):
        return None
    text = str(event.get("text") or "")  # a mention in what is forwarded isn't one
    ts, thread = event["ts"], event.get("thread_ts")
    called = event["type"] == "app_mention" or me.user in mentioned(text)
    opening = _OPENING_MENTION.match(text)
    in_thread = thread is not None and thread != ts
    to_us = opening is not None and opening[1] == me.user
    files = attached(event)
    return Heard(
        address=_address(event["channel"], thread or ts, me),
        event_id=event_id,
        message_id=ts,
        person=Person(event["user"], workspace=str(event.get("user_team") or event.get("team") or "")),
        text=words(event),
        files=files,
        direct=event.get("channel_type") == "im" or event["channel"].startswith("D"),
        called=called,
        to_others=opening is not None and not called,
        in_thread=in_thread,
        command=spoken(text[opening.end() :]) if opening and to_us and in_thread and not files else None,
    )


def _changed(event: Payload, event_id: str, me: Me) -> Edited | Deleted | None:
    message: Payload = event.get("message") or {}
    before: Payload = event.get("previous_message") or {}
    if message.get("subtype") == "tombstone":  # a deleted message whose replies stay
        return _deleted(event, before, message.get("ts"), me)
    # Slack also sends this when a link unfolds or a reply arrives: only new words count.
    if not _by_a_person(message, me) or words(message) == words(before):
        return None
    ts = message["ts"]
    address = _address(event["channel"], message.get("thread_ts") or ts, me)
    now = {"channel_type": event.get("channel_type"), **message, "type": "message", "channel": event["channel"]}
    return Edited(address, ts, words(message), message["user"], _heard(now, event_id, me))


def _deleted(event: Payload, before: Payload, ts: str | None, me: Me) -> Deleted | None:
    if not ts or not _by_a_person(before, me):
        return None
    return Deleted(_address(event["channel"], before.get("thread_ts") or ts, me), ts)


def _by_a_person(message: Payload, me: Me) -> bool:
    return bool(message.get("user")) and message["user"] not in (me.user, SLACKBOT) and not message.get("bot_id")


def _address(channel: str, thread: str, me: Me) -> Address:
    return Address("slack", me.team, channel, thread)
