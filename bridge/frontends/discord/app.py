"""Discord, served: a bot that is logged in and connected, and the surfaces that post through it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, MutableMapping, Sequence
from datetime import timedelta
from secrets import token_hex

import discord
import structlog
from cachetools import LRUCache
from discord.http import Route
from starlette.routing import BaseRoute

from bridge.frontends.common.reactions import Reactions
from bridge.frontends.discord.calls import Calls, unguarded
from bridge.frontends.discord.echoes import Echoes
from bridge.frontends.discord.files import Downloads
from bridge.frontends.discord.gateway import ShardsRequired, Starts
from bridge.frontends.discord.home import Home
from bridge.frontends.discord.listeners import Listeners
from bridge.frontends.discord.members import Members
from bridge.frontends.discord.opening import DiscordOpening, guild_of
from bridge.frontends.discord.places import Place, Places
from bridge.frontends.discord.presses import components
from bridge.frontends.discord.reactions import Spacing
from bridge.frontends.discord.rest import Json, Rest
from bridge.frontends.discord.served import Bot, Served
from bridge.frontends.discord.settings import DiscordSettings
from bridge.frontends.discord.shards import Shards
from bridge.frontends.discord.surface import MAX_DIRECT_FILE, DiscordSurface
from bridge.frontends.discord.telling import SUPPRESS_EMBEDS, never_raises, reply_to
from bridge.inbound import Address, Person
from bridge.listening import ListeningAt, as_ever
from bridge.sharding import MAX_SHARDS, ShardDesk
from bridge.turns.inbox import Inbox
from bridge.turns.surface import ASK_AGAIN, EDITED, Button, ConfigurationError, Guard, Unreachable

log = structlog.get_logger()

MAX_QUESTIONS = 1_000  # questions remembered for the names of their threads
MORE_SHARDS = (
    "Discord wants the bot's servers divided among more connections:"
    " set shards = 0 under [discord], so that there are as many as Discord recommends, or to more than {count}."
)


class _Everything:
    """Leave for a connection that hears all servers, as each replica has one."""

    def __init__(self, front: DiscordFrontEnd) -> None:
        self._front = front

    async def connect(self) -> None:
        return

    async def begin(self, starts: Starts | None) -> None:
        if starts is not None and starts.shards > 1 and self._front.may_divide:
            raise ShardsRequired(starts.shards)


class DiscordFrontEnd:
    """Serves one bot. `serve` may be called once."""

    platform = "discord"
    routes: Sequence[BaseRoute] = ()

    def __init__(
        self,
        settings: DiscordSettings,
        inbox: Inbox,
        *,
        catch_up_hours: float = 24.0,
        serves: Callable[[str], bool] = lambda _: True,
        listening_at: ListeningAt = as_ever,
        bots: Collection[str] = (),
        desk: ShardDesk | None = None,
    ) -> None:
        """`serves` says of a server's id whether its members may write directly; `bots` may ask in some channel.
        `desk` shares shards with other replicas; without it there is one connection."""
        self._settings = settings
        self._desk = desk
        self._signs: dict[Address, asyncio.Task[None]] = {}
        self.names: MutableMapping[int, str] = LRUCache(MAX_QUESTIONS)
        """What the thread of a question will be called, by the question's id."""
        self.calls = Calls(settings.requests_a_second)
        self.reactions: Reactions = settings.reactions
        self.reacting = Spacing()
        self.downloads = Downloads(settings.api_url, settings.file_origins)
        self.echoes = Echoes()
        self.notify_after = settings.notify_after
        members = Members(serves)

        def listeners(want_catch_up: Callable[[], None]) -> Listeners:
            return Listeners(
                inbox,
                want_catch_up,
                self._offer_again,
                self.calls,
                members,
                listening_at=listening_at,
                bots=bots,
                ask_emoji=settings.reactions.ask,
                names=self.names,
            )

        oldest = timedelta(hours=catch_up_hours)
        self._bot = Bot(settings, inbox, self.calls, self.echoes, self.reactions, listeners, oldest)
        self._whole: Served | None = Served(self._bot, _Everything(self))  # None while shards are served
        self._home = Home(self._bot)
        self._shards: Shards | None = None

    @property
    def message_content(self) -> bool:
        """False once Discord refused the privileged intent: mentions and direct messages are served all the same,
        and `trouble` has nothing to say about it."""
        return self._bot.message_content

    @property
    def may_divide(self) -> bool:
        """Whether there may be several shards because Discord recommends it."""
        return self._desk is not None and self._settings.shards == 0

    async def serve(self) -> None:
        Route.BASE = self._settings.api_url  # discord.py has no other way to be pointed elsewhere
        wanted = self._settings.shards
        try:
            if wanted < 2 or self._desk is None:  # else there are several from the beginning
                assert self._whole is not None  # noqa: S101
                try:
                    await self._whole.run()
                except ShardsRequired as required:
                    wanted = required.count
                    self._check(required)
            while True:
                try:
                    await self._serve_shards(wanted)
                except ShardsRequired as required:
                    wanted = required.count
                    self._check(required)
        finally:
            for task in self._signs.values():
                task.cancel()
            await self._home.close()
            await self.downloads.close()

    def surface(self, address: Address, *, person: Person, guard: Guard) -> DiscordSurface:
        """It has one turn at a time: what one that was cut short left typing ends here."""
        if (sign := self._signs.get(address)) is not None:
            sign.cancel()
        connection = At(self, address.workspace)
        guild = connection.known_guild
        limit = guild.filesize_limit if guild and not guild.unavailable else MAX_DIRECT_FILE
        return DiscordSurface(connection, address, person=person, guard=guard, max_file_bytes=limit)

    async def workspace(self, channel: str) -> str:
        return await self.know(channel=channel)

    def opening(self, channel: str, person: str, *, guard: Guard) -> DiscordOpening:
        return DiscordOpening(At(self, ""), channel, person, guard=guard)

    async def catch_up(self) -> None:
        """See `Served.catch_up`."""
        await asyncio.gather(*(one.catch_up() for one in self._all_served()))

    def trouble(self) -> str | None:
        """None from the moment the gateway is ready (or resumed) and answers heartbeats; a connection counts as
        dead after `SILENCE` seconds without a word on it. A replica that serves no shard, as there are fewer than
        replicas, is well."""
        if self._whole is not None:
            return self._whole.trouble()
        return "not sharing shards yet" if self._shards is None else self._shards.trouble()

    @property
    def client(self) -> discord.Client:
        """A client, logged in. Raises `Unreachable` while there is none."""
        return self.client_at("")

    def client_at(self, server: str) -> discord.Client:
        """The one whose gateway tells of a server, or the one that knows what it was told by `know`."""
        client = self._whole.client if self._whole is not None else None
        if self._shards is not None:
            client = self._shards.client(int(server)) if server else None
            client = client or self._home.client
        if client is None:
            raise Unreachable("not connected to Discord")
        return client

    async def know(self, *, server: str = "", channel: str = "") -> str:
        """Have `client_at` know a server, or `client` the one of a channel, that no gateway of this replica tells of;
        which it is. Raises a `SurfaceError`."""
        if self._shards is None:
            return guild_of(self.client, channel) if channel else server
        if channel:
            server = await self._home.server_of(channel)
            await self._home.know(int(server), int(channel))
        elif server and self._shards.client(int(server)) is None:
            await self._home.know(int(server))
        return server

    def keep(self, address: Address, task: asyncio.Task[None]) -> None:
        """Cancel this task of a thread when its next turn or the end of serving comes, unless it ended before."""

        def forget(ended: asyncio.Task[None]) -> None:
            if self._signs.get(address) is ended:
                del self._signs[address]

        self._signs[address] = task
        task.add_done_callback(forget)

    def _all_served(self) -> Sequence[Served]:
        if self._whole is not None:
            return [self._whole]
        return [] if self._shards is None else self._shards.served

    def _check(self, required: ShardsRequired) -> None:
        count = max(1, self._settings.shards)
        if not self.may_divide or required.count > MAX_SHARDS:
            raise ConfigurationError(MORE_SHARDS.format(count=count)) from None

    async def _serve_shards(self, count: int) -> None:
        assert self._desk is not None  # noqa: S101  # else there is one connection
        self._whole = None
        await self._home.log_in()
        exact = self._settings.shards > 1
        self._shards = Shards(self._desk, self._bot, str(self._home.client.application_id), count, exact=exact)
        await self._shards.run()

    async def _offer_again(self, address: Address, message: int, turn: str) -> None:
        """Below a question that was changed after it was asked."""
        client = self.client_at(address.workspace)
        rest = Rest(client, self.calls, unguarded)
        place = Places(client, rest, address, self.names).known() or Place(int(address.thread))
        payload: Json = {
            "content": EDITED,
            "components": components([Button("reask", ASK_AGAIN, turn)]),
            "message_reference": reply_to(message),
            "nonce": f"e{token_hex(8)}",  # by which our own messages are told from a reply's parts
            "flags": SUPPRESS_EMBEDS,
        }
        await never_raises("offer", lambda: rest.send(place.channel, payload))


class At:
    """What a surface in one server needs of the front end; see `bridge.frontends.discord.surface.Connection`."""

    def __init__(self, front: DiscordFrontEnd, server: str) -> None:
        self._front = front
        self._server = server
        self.calls = front.calls
        self.downloads = front.downloads
        self.echoes = front.echoes
        self.notify_after = front.notify_after
        self.reactions = front.reactions
        self.reacting = front.reacting
        self.names = front.names

    @property
    def client(self) -> discord.Client:
        return self._front.client_at(self._server)

    @property
    def known_guild(self) -> discord.Guild | None:
        try:
            return self.client.get_guild(int(self._server or 0))
        except Unreachable:
            return None

    async def know(self, *, channel: str = "") -> str:
        return await self._front.know(server=self._server, channel=channel)

    def keep(self, address: Address, task: asyncio.Task[None]) -> None:
        self._front.keep(address, task)
