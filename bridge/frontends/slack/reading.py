"""What an event of Slack's means for the turns: payload in, value out. No I/O and no state."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast, get_args

from bridge.commands import Given, spoken
from bridge.frontends.slack.content import Payload, forwarded_in, words
from bridge.inbound import Address, Person, RemoteFile, position
from bridge.listening import USUAL, Listening, ListeningAt, as_ever
from bridge.turns.surface import Action

ACTION_PREFIX = "threadbridge:"  # of our buttons' action ids; the button's value is the turn
# Messages of people. Every other subtype is a notice (someone joined, a topic changed) or not a person's.
PEOPLES_SUBTYPES = frozenset({None, "file_share", "me_message", "thread_broadcast"})
BOTS_SUBTYPE = "bot_message"  # of integrations and workflows that have no user
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
        teams.add((body.get("view") or {}).get("app_installed_team_id"))
        for one in body.get("authorizations") or ():
            teams |= {one.get("team_id"), one.get("enterprise_id") if one.get("is_enterprise_install") else None}
        if body.get("is_enterprise_install") in (True, "true"):
            teams |= {body.get("enterprise_id"), (body.get("enterprise") or {}).get("id")}
        return self.team in teams or not any(teams)

    def wrote(self, message: Payload) -> bool:
        return message.get("user") == self.user or (bool(self.bot) and message.get("bot_id") == self.bot)

    def hears(self, message: Payload, listening: Listening) -> bool:
        """Whether a person wrote a message, or a bot that may ask; never what is ours."""
        profile: Payload = message.get("bot_profile") or {}
        app = message.get("app_id") or profile.get("app_id")
        if self.wrote(message) or (self.app and app == self.app):
            return False
        if message.get("bot_id"):
            return not listening.bots.isdisjoint(filter(None, (message["bot_id"], app, message.get("user"))))
        return bool(message.get("user")) and message["user"] != SLACKBOT


@dataclass(frozen=True, slots=True)
class Heard:
    """A message of a person, or of a bot that may ask. `text` is as Slack sends it."""

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
    listening: Listening = USUAL  # of its channel

    @property
    def position(self) -> int:
        return position(self.message_id)

    @property
    def may_concern_us(self) -> bool:
        """False for the talk of a channel, which is most of what arrives: not worth a look at the store."""
        return self.is_for_us(known=self.in_thread) or self.command is not None

    def is_for_us(self, *, known: bool) -> bool:
        """`known`: this app was called into the thread before. A channel that is one conversation has no thread to
        follow."""
        if self.command is not None:
            return False
        if self.direct or self.called or self.listening.hears_all:
            return True
        if self.listening.listen == "mention":
            return False
        if self.person.bot and not self.in_thread:  # an alert mentions nobody
            return True
        return known and not self.to_others and not self.address.is_flat


@dataclass(frozen=True, slots=True)
class Edited:
    address: Address
    message_id: str
    text: str
    person: Person
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


def read_event(body: Payload, me: Me, listening_at: ListeningAt = as_ever) -> Reading | None:
    """Read an `event_callback`; None for what doesn't concern the turns."""
    event: Payload = body.get("event") or {}
    listening = listening_in(str(event.get("channel") or ""), me, listening_at)
    match event.get("type"), event.get("subtype"):
        case "message", "message_changed":
            return _changed(event, str(body.get("event_id", "")), me, listening)
        case "message", "message_deleted":
            return _deleted(event, event.get("previous_message") or {}, event.get("deleted_ts"), me, listening)
        case "message" | "app_mention", subtype if subtype in PEOPLES_SUBTYPES or subtype == BOTS_SUBTYPE:
            return _heard(event, str(body.get("event_id", "")), me, listening)
        case "agent_session_stopped", _ if event.get("thread_ts"):
            return Stopped(Address("slack", me.team, event["channel"], event["thread_ts"]))
        case _:
            return None


def read_press(body: Payload, me: Me, listening_at: ListeningAt = as_ever) -> Pressed | None:
    """Read a `block_actions` payload; None if the button isn't ours."""
    action = (body.get("actions") or [{}])[0]
    prefix, _, rest = str(action.get("action_id", "")).partition(ACTION_PREFIX)
    name = "" if prefix else rest.partition(":")[0]
    place: Payload = {**(body.get("container") or {}), **(body.get("message") or {})}
    channel = (body.get("channel") or {}).get("id") or place.get("channel_id")
    ts = place.get("ts") or place.get("message_ts")
    if name not in get_args(Action) or not channel or not (ts or place.get("thread_ts")):
        return None
    chosen: Payload = action.get("selected_option") or action  # of a select
    turn, _, value = str(chosen.get("value", "")).partition(":")
    user: Payload = body["user"]
    return Pressed(
        action=cast(Action, name),
        turn=turn,
        value=value,
        address=address_of(channel, ts, place.get("thread_ts"), me, listening_in(channel, me, listening_at)),
        person=Person(user["id"], str(user.get("name") or ""), str(user.get("team_id") or "")),
        message=body.get("message"),
        response_url=str(body.get("response_url") or ""),
        trigger=str(body.get("trigger_id") or ""),
    )


def is_bot(person: Person) -> bool:
    """Whether it is a bot's id, which Slack tells nothing of as of a user, and which sees nothing alone."""
    return person.id.startswith("B")


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


def listening_in(channel: str, me: Me, listening_at: ListeningAt) -> Listening:
    """What a route says of a channel; a direct message is one whatever it says."""
    return USUAL if channel.startswith("D") else listening_at(Address("slack", me.team, channel, ""))


def address_of(channel: str, ts: str | None, thread: str | None, me: Me, listening: Listening) -> Address:
    """The thread that a message is in; where it is in none, the one that it begins, or the channel itself."""
    root = thread or ts or ""
    return Address("slack", me.team, channel, channel if listening.flat and thread in (None, ts) else root)


def _person(message: Payload) -> Person:
    if not message.get("bot_id"):
        return Person(message["user"], workspace=str(message.get("user_team") or message.get("team") or ""))
    name = message.get("username") or (message.get("bot_profile") or {}).get("name")
    return Person(str(message["bot_id"]), str(name or "a bot"), bot=True)


def _heard(event: Payload, event_id: str, me: Me, listening: Listening) -> Heard | None:
    if not me.hears(event, listening) or event.get("hidden"):
        return None
    person = _person(event)
    # A mention in what is forwarded isn't one; a bot's words may all be in blocks.
    text = words(event) if person.bot else str(event.get("text") or "")
    ts, thread = event["ts"], event.get("thread_ts")
    called = event["type"] == "app_mention" or me.user in mentioned(text)
    opening = _OPENING_MENTION.match(text)
    in_thread = thread is not None and thread != ts
    to_us = opening is not None and opening[1] == me.user
    may_order = (in_thread or listening.flat) and not person.bot
    files = attached(event)
    return Heard(
        address=address_of(event["channel"], ts, thread, me, listening),
        event_id=event_id,
        message_id=ts,
        person=person,
        text=words(event),
        files=files,
        direct=event.get("channel_type") == "im" or event["channel"].startswith("D"),
        called=called,
        to_others=opening is not None and not called,
        in_thread=in_thread,
        command=spoken(text[opening.end() :]) if opening and to_us and may_order and not files else None,
        listening=listening,
    )


def _changed(event: Payload, event_id: str, me: Me, listening: Listening) -> Edited | Deleted | None:
    message: Payload = event.get("message") or {}
    before: Payload = event.get("previous_message") or {}
    if message.get("subtype") == "tombstone":  # a deleted message whose replies stay
        return _deleted(event, before, message.get("ts"), me, listening)
    # Slack also sends this when a link unfolds or a reply arrives: only new words count.
    if not me.hears(message, listening) or words(message) == words(before):
        return None
    ts = message["ts"]
    address = address_of(event["channel"], ts, message.get("thread_ts"), me, listening)
    now = {"channel_type": event.get("channel_type"), **message, "type": "message", "channel": event["channel"]}
    return Edited(address, ts, words(message), _person(message), _heard(now, event_id, me, listening))


def _deleted(event: Payload, before: Payload, ts: str | None, me: Me, listening: Listening) -> Deleted | None:
    if not ts or not me.hears(before, listening):
        return None
    return Deleted(address_of(event["channel"], ts, before.get("thread_ts"), me, listening), ts)
