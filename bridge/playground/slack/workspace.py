"""The state of one workspace, who watches it, and the events that its changes cause."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from bridge.playground.slack import shapes
from bridge.playground.slack.checks import links, notifying, pings
from bridge.playground.slack.delivery import ACK_SECONDS, RETRY_DELAYS, Deliveries
from bridge.playground.slack.errors import SlackError
from bridge.playground.slack.faults import Faults
from bridge.playground.slack.grants import Grants
from bridge.playground.slack.limits import Limiter
from bridge.playground.slack.permissions import EVENT_SCOPES, EVENTS, LEAVING, SCOPES
from bridge.playground.slack.values import (
    Call,
    Change,
    Channel,
    ChannelKind,
    Json,
    Message,
    Person,
    Ping,
    Prompts,
    Session,
    StoredFile,
    Unfurl,
    View,
)
from bridge.playground.slack.watching import Watch

STREAM_SECONDS = 300.0  # a stream's life, appends or not; reported by other projects
STREAM_BYTES = 11_600  # UTF-8 bytes a stream takes in all; reported by other projects
KEPT_CALLS = 10_000
KEPT_MESSAGES = 10_000  # a channel, the oldest go first
KEPT_FILES = 1_000
KEPT_NOTES = 1_000  # pings and unfurls

T = TypeVar("T")


def _note(noted: list[T], one: T) -> None:
    if one not in noted[-KEPT_NOTES:]:
        noted.append(one)
        del noted[:-KEPT_NOTES]


class Workspace:
    """One workspace with one app in it.

    `rate` scales the rate limits, None turns them off. `retry_delays` are the seconds before each further
    delivery of an event that wasn't acknowledged within `ack_seconds`. `clock` gives seconds since 1970.
    A `commercial` app is distributed outside Slack's Marketplace: it reads 15 messages a minute of history.
    """

    def __init__(
        self,
        *,
        name: str = "Playground",
        people: Iterable[str] = ("Ada Lovelace", "Grace Hopper"),
        channels: Iterable[str] = ("general", "random"),
        app_name: str = "Threadbridge",
        base_url: str = "",
        clock: Callable[[], float] = time.time,
        rate: float | None = 1.0,
        ack_seconds: float = ACK_SECONDS,
        retry_delays: Sequence[float] = RETRY_DELAYS,
        stream_seconds: float = STREAM_SECONDS,
        stream_bytes: int = STREAM_BYTES,
        commercial: bool = False,
        ids_from: int = 0,
    ) -> None:
        self.name = name
        self.domain = name.lower().replace(" ", "-")
        self.base_url = base_url  # of the URLs handed out; learned from the app's calls unless given
        self.base_url_is_given = bool(base_url)
        self.clock = clock
        self.stream_seconds = stream_seconds
        self.stream_bytes = stream_bytes
        self.commercial = commercial
        self._last_id = ids_from
        self._last_ts = 0

        self.team_id = self.new_id("T")
        self.app_id = self.new_id("A")
        self.bot_token = "xoxb-simulated-bot"
        self.app_token = "xapp-simulated-app"
        self.signing_secret = "simulated-signing-secret"
        self.verification_token = "simulated-verification"
        self.client_id = "1.1"
        self.client_secret = "simulated-client-secret"
        self.scopes: set[str] = set(SCOPES)
        self.subscriptions: set[str] = set(EVENTS)
        self.grants: Grants | None = None  # of an app that is installed by OAuth, instead of `bot_token`
        self.organisation = ""  # that the workspace belongs to, and that installed the app as a whole
        self._events_of = ""
        self.oauth_codes: dict[str, str] = {}  # redirect_uri by code

        self.people: dict[str, Person] = {}
        self.channels: dict[str, Channel] = {}
        self.files: dict[str, StoredFile] = {}
        self.home_tab_enabled = True
        self.agent_view = True  # else the older assistant, whose prompts belong to a thread
        self.prompts: dict[str, Prompts] = {}  # by direct message, until somebody writes there
        self.views: dict[str, View] = {}
        self.sessions: dict[tuple[str, str], Session] = {}
        self.ephemerals: dict[str, Message] = {}
        self.streams_until: dict[tuple[str, str], float] = {}
        self.stopped_streams: set[tuple[str, str]] = set()
        self.triggers: dict[str, tuple[str, float]] = {}  # person and end of life by trigger_id
        self.responses: dict[str, tuple[str, str | None, str]] = {}  # channel, thread, person by response_url
        self.response_uses: dict[str, tuple[float, int]] = {}  # until when, and how often it may still be used
        self.upload_lengths: dict[str, int] = {}  # of uploads whose bytes haven't come yet
        self.share_after = 0  # calls of files.info that a completed upload takes to show in its channel
        self.shares_due: dict[str, tuple[int, Message]] = {}  # what is left of them, by file
        self.pings: list[Ping] = []
        self.unfurls: list[Unfurl] = []
        self.made_calls: deque[Call] = deque(maxlen=KEPT_CALLS)
        self._changed = asyncio.Event()
        self.faults = Faults()
        self.limiter = Limiter(clock, rate)
        self.deliveries = Deliveries(
            signing_secret=self.signing_secret,
            app_id=self.app_id,
            clock=clock,
            ack_seconds=ack_seconds,
            retry_delays=retry_delays,
            changed=self._changed.set,
        )
        self._watchers: set[Watch] = set()

        self.bot = Person(
            id=self.new_id("U"),
            name=app_name.lower(),
            real_name=app_name,
            is_bot=True,
            bot_id=self.new_id("B"),
            app_id=self.app_id,
        )
        self.people[self.bot.id] = self.bot
        for real_name in people:
            self.add_person(real_name)
        for channel_name in channels:
            self.add_channel(channel_name)

    def join(self, team_id: str, first: Workspace, organisation: str) -> None:
        """Be one of several workspaces with the same app, which hears of all of them in one place."""
        self.team_id, self.organisation, self._events_of = team_id, organisation, team_id
        self.app_id, self.deliveries = first.app_id, first.deliveries
        self.bot = self.people[self.bot.id] = replace(self.bot, app_id=first.app_id)

    def token_trouble(self, token: str, kind: str) -> str | None:
        """What Slack says of a token where one of a kind is needed; None where it is good."""
        if token == self.app_token:
            return None if kind == "app" else "not_allowed_token_type"
        if kind == "app":
            return "not_allowed_token_type" if token == self.bot_token else "invalid_auth"
        if self.grants is not None:
            return self.grants.trouble(token)
        return None if token == self.bot_token else "invalid_auth"

    # --- making ----------------------------------------------------------------------------------------------

    def add_person(
        self, real_name: str, *, is_bot: bool = False, team: str = "", is_guest: bool = False
    ) -> Person:
        """A new account, of another organisation if `team` names one. Its `name` is the first word of the real
        name, in small letters."""
        person = Person(
            id=self.new_id("U"),
            name=real_name.split()[0].lower(),
            real_name=real_name,
            is_bot=is_bot,
            bot_id=self.new_id("B") if is_bot else None,
            app_id=self.new_id("A") if is_bot else None,
            team=team,
            email="" if is_bot or team else f"{real_name.split()[0].lower()}@example.com",
            is_guest=is_guest,
        )
        self.people[person.id] = person
        return person

    def add_channel(self, name: str, *, kind: ChannelKind = "channel", with_bot: bool = True) -> Channel:
        """A new channel with everybody in it."""
        members = set(self.people) - (set() if with_bot else {self.bot.id})
        channel = Channel(self.new_id("C"), name, kind, members, self.seconds())
        self.channels[channel.id] = channel
        return channel

    def direct(self, user: str) -> Channel:
        """The direct message between a person and the app."""
        person = self.person(user)
        for channel in self.channels.values():
            if channel.is_direct and person.id in channel.members:
                return channel
        channel = Channel(self.new_id("D"), "", "im", {person.id, self.bot.id}, self.seconds())
        self.channels[channel.id] = channel
        return channel

    # --- finding ---------------------------------------------------------------------------------------------

    def person(self, user: str) -> Person:
        """By id or name. Raises `KeyError`."""
        if user in self.people:
            return self.people[user]
        for person in self.people.values():
            if person.name == user:
                return person
        raise KeyError(user)

    def channel(self, channel: str) -> Channel:
        """By id or name. Raises `KeyError`."""
        if channel in self.channels:
            return self.channels[channel]
        for known in self.channels.values():
            if known.name and known.name == channel.removeprefix("#"):
                return known
        raise KeyError(channel)

    def messages(self, channel: str) -> list[Message]:
        """All messages of a channel, oldest first, replies too."""
        return list(self.channel(channel).messages.values())

    def thread(self, channel: str, ts: str) -> list[Message]:
        """A thread's root and its replies, oldest first; [] if there is no such message."""
        place = self.channel(channel)
        if ts not in place.messages:
            return []
        return [place.messages[ts], *(place.messages[reply] for reply in place.threads.get(ts, ()))]

    def message(self, channel: str, ts: str) -> Message:
        """Raises `KeyError`."""
        return self.channel(channel).messages[ts]

    def calls(self, method: str) -> list[Call]:
        """The app's calls of a method, oldest first, refused ones too."""
        return [call for call in self.made_calls if call.method == method]

    def session(self, channel: str, thread_ts: str) -> Session:
        """What Slack shows of the agent in a thread now."""
        place = self.channel(channel)
        session = self.sessions.get((place.id, thread_ts), Session(place.id, thread_ts))
        if session.label and session.label_until <= self.clock():
            session = replace(session, label="", loading_messages=())
        return session

    # --- watching --------------------------------------------------------------------------------------------

    def watch(self) -> Watch:
        """The changes from now on: `async for change in world.watch()`. Close it when done."""
        return Watch(self._watchers)

    async def until(self, seen: Callable[[], T], timeout: float = 60.0) -> T:
        """Wait until `seen()` gives something true, looking again at each change and call; return that.

        Raises `TimeoutError`.
        """
        async with asyncio.timeout(timeout):
            while not (found := seen()):
                self._changed.clear()
                await self._changed.wait()
            return found

    def announce(self, change: Change) -> None:
        for watcher in self._watchers:
            watcher.put(change)
        self._changed.set()

    def record(self, call: Call) -> None:
        self.made_calls.append(call)
        self._changed.set()

    # --- ids and time ----------------------------------------------------------------------------------------

    def new_id(self, prefix: str) -> str:
        self._last_id += 1
        return f"{prefix}0SIM{self._last_id:06d}"

    def new_ts(self) -> str:
        """A message id: the time in microseconds, never twice the same and always growing."""
        self._last_ts = max(self._last_ts + 1, int(self.clock() * 1_000_000))
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def seconds(self) -> int:
        return int(self.clock())

    # --- changing --------------------------------------------------------------------------------------------

    def keep_file(self, file: StoredFile) -> StoredFile:
        while len(self.files) >= KEPT_FILES:
            self.upload_lengths.pop(next(iter(self.files)), None)
            self.files.pop(next(iter(self.files)))
        self.files[file.id] = file
        return file

    def put(self, message: Message) -> Message:
        """Add a message, and tell the watchers and the app."""
        channel = self.channels[message.channel]
        if len(channel.messages) >= KEPT_MESSAGES:
            self._forget(channel, next(iter(channel.messages)))
        channel.messages[message.ts] = message
        if message.thread_ts:
            channel.threads.setdefault(message.thread_ts, []).append(message.ts)
        self.announce(Change("posted", channel.id, message))
        if self.prompts.pop(channel.id, None):
            self.announce(Change("prompts", channel.id))
        self._clear_label(message)
        event = self._in_channel(channel, shapes.message_json(self, message)) | {"event_ts": message.ts}
        self.emit(self._message_event(channel), channel, event)
        mentioned = f"<@{self.bot.id}" in message.text
        if mentioned and not channel.is_direct and message.user != self.bot.id:
            hidden = ("subtype", "channel_type")
            mention = {name: value for name, value in event.items() if name not in hidden}
            self.emit("app_mention", channel, mention | {"type": "app_mention"})
        return message

    def change(self, message: Message, *, quietly: bool = False) -> Message:
        """Put a new value in a message's place. `quietly` tells the watchers only (text that is streamed)."""
        channel = self.channels[message.channel]
        previous = channel.messages[message.ts]
        channel.messages[message.ts] = message
        self.announce(Change("streamed" if quietly else "changed", channel.id, message))
        if not quietly:
            ts = self.new_ts()
            event = {
                "type": "message",
                "subtype": "message_changed",
                "message": shapes.message_json(self, message),
                "previous_message": shapes.message_json(self, previous),
                "hidden": True,
                "ts": ts,
                "event_ts": ts,
            }
            self.emit(self._message_event(channel), channel, self._in_channel(channel, event))
        return message

    def remove(self, message: Message) -> None:
        """Delete a message. A root that has replies leaves a tombstone, as in Slack."""
        channel = self.channels[message.channel]
        if channel.threads.get(message.ts):
            tombstone = Message(
                channel.id, message.ts, "USLACKBOT", "This message was deleted.", subtype="tombstone"
            )
            self.change(tombstone)
            return
        shape = shapes.message_json(self, message)
        self._forget(channel, message.ts)
        self.announce(Change("deleted", channel.id, message))
        ts = self.new_ts()
        event = {
            "type": "message",
            "subtype": "message_deleted",
            "previous_message": shape,
            "hidden": True,
            "deleted_ts": message.ts,
            "ts": ts,
            "event_ts": ts,
        }
        self.emit(self._message_event(channel), channel, self._in_channel(channel, event))

    def stream_alive(self, message: Message) -> bool:
        """Whether a stream that was started still takes text."""
        return self.streams_until.get((message.channel, message.ts), 0.0) > self.clock()

    def expire_streams(self) -> None:
        """End the life of every stream now, as Slack does some minutes after its start."""
        self.streams_until.clear()

    def react(self, message: Message, user: str, name: str) -> None:
        users = message.reactions.get(name, ())
        if user in users:
            raise SlackError("already_reacted")
        changed = replace(message, reactions={**message.reactions, name: (*users, user)})
        channel = self.channels[message.channel]
        channel.messages[message.ts] = changed
        self.announce(Change("reaction", channel.id, changed, user=user))
        event = {
            "type": "reaction_added",
            "user": user,
            "reaction": name,
            "item": {"type": "message", "channel": channel.id, "ts": message.ts},
            "item_user": message.user,
            "event_ts": self.new_ts(),
        }
        self.emit("reaction_added", channel, event)

    def unreact(self, message: Message, user: str, name: str) -> None:
        users = message.reactions.get(name, ())
        if user not in users:
            raise SlackError("no_reaction")
        left = {**message.reactions, name: tuple(one for one in users if one != user)}
        changed = replace(message, reactions={key: value for key, value in left.items() if value})
        self.channels[message.channel].messages[message.ts] = changed
        self.announce(Change("reaction", message.channel, changed, user=user))

    def _clear_label(self, message: Message) -> None:
        """A message of the app ends the status that `assistant.threads.setStatus` shows in its thread."""
        session = self.sessions.get((message.channel, message.root))
        if session is not None and session.label and message.user == self.bot.id:
            self.set_session(replace(session, label="", loading_messages=()))

    def set_prompts(self, prompts: Prompts) -> None:
        self.prompts[prompts.channel] = prompts
        self.announce(Change("prompts", prompts.channel, prompts=prompts.prompts))

    def home_of(self, user: str) -> View | None:
        """The Home tab as it was published to a person, by id."""
        return next((view for view in self.views.values() if view.user == user and view.type == "home"), None)

    def set_session(self, session: Session) -> None:
        while len(self.sessions) >= KEPT_MESSAGES:
            self.sessions.pop(next(iter(self.sessions)))
        self.sessions[session.channel, session.thread_ts] = session
        self.announce(Change("status", session.channel, session=session))

    def note_effects(self, message: Message, *, unfurls: bool = False, link_names: bool = False) -> None:
        """Record whom a message of the app would have notified and which links Slack would have fetched.

        Edits and streams count like posts, each token once a message: none of them may hold a mention.
        """
        marked_up = [message.markdown, *notifying(message.blocks)]
        said = [part for part in marked_up if part]
        if message.text and (not said or not message.blocks):
            said.append(message.text)
        for one in said:
            for token in pings(one, link_names=link_names):
                _note(self.pings, Ping(message.channel, message.ts, token))
            for url in links(one) if unfurls else ():
                _note(self.unfurls, Unfurl(message.channel, message.ts, url))

    def _forget(self, channel: Channel, ts: str) -> None:
        gone = channel.messages.pop(ts)
        if gone.thread_ts and gone.thread_ts in channel.threads:
            channel.threads[gone.thread_ts].remove(ts)
            if not channel.threads[gone.thread_ts]:
                del channel.threads[gone.thread_ts]
        for reply in channel.threads.pop(ts, ()):
            channel.messages.pop(reply, None)
        self.streams_until.pop((channel.id, ts), None)
        self.stopped_streams.discard((channel.id, ts))

    # --- telling the app -------------------------------------------------------------------------------------

    def emit(self, name: str, channel: Channel | None, event: Json) -> None:
        """Send an event if the app is subscribed, has its scope and is in the channel."""
        if name not in self.subscriptions or EVENT_SCOPES.get(name, "") not in self.scopes | {""}:
            return
        if channel is not None and self.bot.id not in channel.members:
            return
        if self.grants is not None and not self.grants.active and name not in LEAVING:
            return
        org = self.organisation or None
        self.deliveries.post(
            {
                "token": self.verification_token,
                "team_id": self.team_id,
                "context_team_id": self.team_id,
                "context_enterprise_id": org,
                **({"enterprise_id": org} if org else {}),
                "api_app_id": self.app_id,
                "event": event,
                "type": "event_callback",
                "event_id": self.new_id(f"Ev{self._events_of}"),
                "event_time": self.seconds(),
                "authorizations": [
                    {
                        "enterprise_id": org,
                        "team_id": self.team_id,
                        "user_id": self.bot.id,
                        "is_bot": True,
                        "is_enterprise_install": bool(org),
                    }
                ],
                "is_ext_shared_channel": False,
                "event_context": f"4-{self.team_id}-{self.app_id}",
            }
        )

    def _message_event(self, channel: Channel) -> str:
        return {"channel": "message.channels", "group": "message.groups", "im": "message.im"}[channel.kind]

    def _in_channel(self, channel: Channel, event: Json) -> Json:
        return event | {"channel": channel.id, "channel_type": channel.kind}

    async def connect_http(self, url: str) -> None:
        """Deliver by HTTP to this request URL from now on. Raises `ValueError` if it fails the challenge."""
        await self.deliveries.verify(url, self.verification_token)
        self.deliveries.request_url = url

    async def aclose(self) -> None:
        """Give up what is on its way to the app, and end the watchers."""
        for watcher in list(self._watchers):
            watcher.close()
        await self.deliveries.aclose()
