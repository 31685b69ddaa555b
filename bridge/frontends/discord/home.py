"""A client without a gateway, for what has to be done in servers whose shard another replica serves."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from weakref import WeakValueDictionary

import discord
import structlog
from cachetools import LRUCache
from discord.http import Route

from bridge.backoff import Backoff
from bridge.frontends.discord import unseen
from bridge.frontends.discord.errors import told_apart
from bridge.frontends.discord.served import BAD_LOGIN, Bot
from bridge.turns.surface import ConfigurationError, Gone, Unreachable

log = structlog.get_logger()

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds between two tries to log in
KNOWN = 1_000  # servers
KNOWN_FOR = 300.0  # seconds: nobody tells this client what changes
FRESH = 10.0  # seconds, where a channel is missing: it may be new
CHANNELS = 20_000  # whose server is remembered


class Home:
    def __init__(self, bot: Bot) -> None:
        self._bot = bot
        self._client: discord.Client | None = None
        self._known: MutableMapping[int, float] = LRUCache(KNOWN)  # when it was read
        self._servers: MutableMapping[str, str] = LRUCache(CHANNELS)  # by channel
        self._reading: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    @property
    def client(self) -> discord.Client:
        """Raises `Unreachable` before `log_in`."""
        if self._client is None:
            raise Unreachable("not logged in to Discord")
        return self._client

    async def log_in(self) -> None:
        """For as long as that takes. Raises `ConfigurationError`."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while self._client is None:
            client = self._bot.client()
            try:
                await client.login(self._bot.settings.token.get_secret_value())
                self._client = client
            except discord.LoginFailure:
                raise ConfigurationError(BAD_LOGIN) from None
            except Exception as error:
                log.warning("discord.no_login", error=type(error).__name__)
            finally:
                if self._client is not client:
                    await client.close()
            if self._client is None:
                await asyncio.sleep(backoff.pause())

    async def know(self, server: int, channel: int | None = None) -> None:
        """Have the client know a server, as it was some minutes ago at most; later than a channel of it was made.
        Raises a `SurfaceError`."""
        lock = self._reading.setdefault(server, asyncio.Lock())
        async with lock:
            is_missing = channel is not None and self.client.get_channel(channel) is None
            now = asyncio.get_running_loop().time()
            if now - self._known.get(server, -KNOWN_FOR) >= (FRESH if is_missing else KNOWN_FOR):
                await unseen.tell(self.client, server)
                self._known[server] = now

    async def server_of(self, channel: str) -> str:
        """The server of a channel or thread. Raises `Gone` where it can't be seen, or is nobody's."""
        if not (channel.isascii() and channel.isdecimal()):
            raise Gone("no such channel in any server of the bot")
        if channel not in self._servers:
            with told_apart("read channel"):
                found = await self.client.http.request(Route("GET", "/channels/{channel_id}", channel_id=channel))
                server = str(found.get("guild_id") or "")
            if not server:
                raise Gone("no such channel in any server of the bot")
            self._servers[channel] = server
        return self._servers[channel]

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
