"""All that the simulated Discord knows, and the two ways it tells of a change: the gateway and the watchers."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict, TypeVar

from bridge.playground.discord import payloads
from bridge.playground.discord.errors import missing_access, missing_permissions, unknown_channel, unknown_message
from bridge.playground.discord.faults import Faults, compile_route
from bridge.playground.discord.feed import Feed, Watch
from bridge.playground.discord.files import FileStore, make_attachment
from bridge.playground.discord.invocations import Invocations
from bridge.playground.discord.limits import Limits
from bridge.playground.discord.model import (
    Attachment,
    Call,
    Change,
    Channel,
    ChannelType,
    Guild,
    Json,
    Message,
    Permission,
    Ping,
    Unfurl,
    Upload,
    User,
)
from bridge.playground.discord.sessions import MAX_GUILDS, Gateway, Intent, Session
from bridge.playground.discord.snowflake import Clock, Snowflakes

TOKEN = "simulated-discord-token"
MAX_RECORDED = 10_000  # calls, pings and unfurls remembered, each
MAX_MESSAGES = 5_000  # messages of a channel; the oldest are forgotten first

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Times:
    """How long Discord waits for what, in seconds."""

    heartbeat: float = 41.25  # between two heartbeats of a client (seen)
    respond_within: float = 3.0  # for the first answer to an interaction (documented)
    token_lives: float = 900.0  # for everything else with its token (documented)
    between_starts: float = 5.0  # two sessions of shards of one bucket (documented)
    nonce_lives: float = 300.0  # for an enforced nonce; documented as "the past few minutes"


class Settings(TypedDict, total=False):
    """What can be set; see `State`."""

    token: str
    bot_name: str
    base_url: str
    message_content: bool
    members_intent: bool
    shards: int
    max_concurrency: int
    guilds_a_shard: int
    rate: float | None
    times: Times | None
    clock: Clock


class State:
    """The world without its people: what REST and the gateway work on."""

    def __init__(
        self,
        *,
        token: str = TOKEN,
        bot_name: str = "Threadbridge",
        base_url: str = "",
        message_content: bool = True,
        members_intent: bool = False,
        shards: int = 1,
        max_concurrency: int = 1,
        guilds_a_shard: int = MAX_GUILDS,
        rate: float | None = 1.0,
        times: Times | None = None,
        clock: Clock = time.time,
    ) -> None:
        self.clock = clock
        self.times = times or Times()
        self.token = token
        self.base_url = base_url  # the address handed out in URLs; that of the first request if it is empty
        self.message_content = message_content
        self.members_intent = members_intent
        self.bot_public = False  # whether anyone may invite the bot
        self.shards = shards  # that are recommended
        self.max_concurrency = max_concurrency  # buckets of shards; sessions of each begin one after another
        self.guilds_a_shard = guilds_a_shard  # at most
        self.user_installs = True  # people may install the app for themselves

        self._ids = Snowflakes(clock)
        self._feed = Feed()
        self.users: dict[int, User] = {}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}  # threads and direct messages too
        self.commands: dict[int, list[Json]] = {0: []}  # by guild, 0 for those that are everywhere
        self.ephemeral: dict[int, Message] = {}
        self.nonces: dict[str, tuple[float, int, int]] = {}  # when, channel and message
        self.files = FileStore(clock)
        self.limits = Limits(clock, rate)
        self.faults = Faults()
        self.gateway = Gateway(clock, self._feed.stir)
        self.invocations = Invocations()
        self.pings: deque[Ping] = deque(maxlen=MAX_RECORDED)
        self.unfurls: deque[Unfurl] = deque(maxlen=MAX_RECORDED)
        self._calls: deque[Call] = deque(maxlen=MAX_RECORDED)

        self.bot = self._make_user(bot_name, bot_name, bot=True)
        self.owner = self._make_user("owner", "Owner")

    @property
    def application_id(self) -> int:
        return self.bot.id

    def take_id(self) -> int:
        return self._ids.take()

    # what happened

    def watch(self) -> Watch:
        """An async iterator of the changes from now on."""
        return self._feed.watch()

    def notify(self, change: Change) -> None:
        self._feed.publish(change)

    async def until(self, condition: Callable[[], T | None], timeout: float = 60.0) -> T:
        """Wait until a condition on the world gives something true, and return that. It is looked at after each
        change, call and connection. Raises `TimeoutError` after so many seconds."""
        return await self._feed.until(condition, timeout)

    def record(self, call: Call) -> None:
        self._calls.append(call)

    def stir(self) -> None:
        self._feed.stir()

    def calls(self, route: str = "*") -> list[Call]:
        """The REST requests so far, oldest first, of a route such as `POST /channels/*/messages`."""
        pattern = compile_route(route)
        return [call for call in self._calls if pattern.fullmatch(f"{call.method} {call.path}")]

    def dispatch(
        self,
        event: str,
        data: Json | Callable[[Session], Json],
        *,
        intent: Intent | None = None,
        guild_id: int | None = None,
    ) -> None:
        """Send an event through the gateway to whoever asked for its kind."""
        render = data if callable(data) else lambda _: data
        self.gateway.dispatch(event, render, intent=intent, guild_id=guild_id)

    # reading

    def channel(self, channel_id: int) -> Channel:
        """Raises 10003."""
        try:
            return self.channels[channel_id]
        except KeyError:
            raise unknown_channel() from None

    def message(self, channel: Channel, message_id: int) -> Message:
        """Raises 10008."""
        try:
            return channel.messages[message_id]
        except KeyError:
            raise unknown_message() from None

    def bot_guilds(self) -> list[Guild]:
        """Those the bot is in."""
        return [guild for guild in self.guilds.values() if self.bot.id in guild.members]

    def channels_of(self, guild: Guild) -> list[Channel]:
        return [channel for channel in self.channels.values() if channel.guild_id == guild.id]

    def threads_of(self, channel: Channel) -> list[Channel]:
        return [thread for thread in self.channels.values() if thread.parent_id == channel.id and thread.thread]

    def active_threads(self, guild: Guild) -> list[Channel]:
        """Those the bot sees at once: open, and public or its own."""
        return [
            channel
            for channel in self.channels_of(guild)
            if channel.thread and not channel.thread.archived and self.bot_sees(channel)
        ]

    def permissions(self, channel: Channel) -> Permission:
        """What the bot may do there."""
        if channel.guild_id is None:
            return ~Permission(0) & ~Permission.MANAGE_MESSAGES
        root = self.channels.get(channel.parent_id or 0, channel)
        return self.guilds[channel.guild_id].bot_permissions & ~root.denied

    def bot_sees(self, channel: Channel) -> bool:
        if channel.guild_id is None:
            return True
        if self.bot.id not in self.guilds[channel.guild_id].members:
            return False
        if not self.permissions(channel) & Permission.VIEW_CHANNEL:
            return False
        hidden = channel.type is ChannelType.PRIVATE_THREAD and channel.thread is not None
        if not hidden or channel.thread is None or self.permissions(channel) & Permission.MANAGE_THREADS:
            return True
        return self.bot.id in channel.thread.members

    def require(self, channel: Channel, *needed: Permission) -> None:
        """Raises 50001 if the bot can't see the channel, and 50013 if it lacks one of these permissions."""
        if not self.bot_sees(channel):
            raise missing_access()
        allowed = self.permissions(channel)
        if any(not allowed & permission for permission in needed):
            raise missing_permissions()

    def may_always_read(self, message: Message) -> bool:
        """Whether the bot gets this message's content without the intent for it."""
        channel = self.channels.get(message.channel_id)
        return (
            message.author.id == self.bot.id
            or self.bot.id in message.mentions
            or channel is None
            or channel.guild_id is None
        )

    # making

    def store_file(self, channel_id: int, upload: Upload, *, ephemeral: bool = False) -> Attachment:
        file_id = self.take_id()
        attachment = make_attachment(upload, attachment_id=file_id, channel_id=channel_id, ephemeral=ephemeral)
        self.files.add(attachment, upload.data)
        return attachment

    def direct_channel(self, user_id: int) -> Channel:
        """The bot's direct messages with a person, made when they are first needed."""
        for channel in self.channels.values():
            if channel.type is ChannelType.DIRECT and channel.recipients == [user_id]:
                return channel
        channel = Channel(self.take_id(), ChannelType.DIRECT, recipients=[user_id])
        self.channels[channel.id] = channel
        return channel

    def announce_channel(self, event: str, channel: Channel) -> None:
        """Tell of a channel or thread that is new or has changed."""
        if self.bot_sees(channel):
            self.dispatch(
                event,
                payloads.channel_json(self, channel),
                intent=Intent.GUILDS,
                guild_id=channel.guild_id,
            )
        self.notify(Change("thread" if channel.thread is not None else "channel", channel.id))

    def _make_user(self, name: str, display_name: str, *, bot: bool = False) -> User:
        user = User(self.take_id(), name, display_name, bot)
        self.users[user.id] = user
        return user
