"""Discord, served: one supervised connection to the gateway, and the surfaces that post through it.

discord.py resumes by itself after a lost socket, an invalid session or silence. What ends `Client.connect()`, such
as an event that its parser can't read, is met here with a new connection after a growing, bounded pause.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Sequence
from typing import Literal

import discord
import structlog
import yarl
from discord.backoff import ExponentialBackoff
from discord.gateway import DiscordWebSocket
from discord.http import Route
from starlette.routing import BaseRoute

from bridge.frontends.discord.echoes import Echoes
from bridge.frontends.discord.files import Downloads
from bridge.frontends.discord.invite import intents
from bridge.frontends.discord.listeners import Listeners
from bridge.frontends.discord.settings import GATEWAY_URL, DiscordSettings
from bridge.frontends.discord.surface import MAX_DIRECT_FILE, DiscordSurface
from bridge.inbound import Address
from bridge.turns.inbox import Inbox
from bridge.turns.surface import ConfigurationError, Unreachable

log = structlog.get_logger()

# discord.py waits out a 429 of up to this many seconds and raises `RateLimited` for a longer one, which becomes
# `Throttled`. It takes nothing below 30.
LONGEST_WAIT = 30.0
SILENCE = 60.0  # seconds without a word from the gateway, heartbeats included, until discord.py reconnects
FIRST_PAUSE = 1.0  # seconds before a new connection, doubled each time
LONGEST_PAUSE = 60.0  # discord.py's own would grow to 17 minutes

# Close codes of the gateway that no new connection mends.
WRONG_TOKEN = 4004
HOPELESS = {
    4010: "the gateway refused the shard",
    4011: "the bot is in more servers than one connection may serve (2,500)",
    4012: "the gateway no longer speaks this version of its protocol: update discord.py",
    4013: "the gateway refused the intents: update discord.py",
}

BAD_LOGIN = (
    "Discord refused the token: make a new one at Bot > Reset Token in the Discord Developer Portal"
    " and set it as token under [discord], or as DISCORD_TOKEN."
)
NO_CONTENT = (
    "The Message Content intent is off, so follow-ups in threads need a mention:"
    " switch it on at Bot > Privileged Gateway Intents in the Discord Developer Portal and start again."
)


class _Backoff(ExponentialBackoff[Literal[False]]):
    """The pauses between discord.py's own tries to connect."""

    def delay(self) -> float:
        return min(super().delay(), LONGEST_PAUSE)


class DiscordFrontEnd:
    """Serves one bot. `serve` may be called once."""

    platform = "discord"
    routes: Sequence[BaseRoute] = ()

    def __init__(self, settings: DiscordSettings, inbox: Inbox) -> None:
        self._settings = settings
        self._inbox = inbox
        self._client: discord.Client | None = None
        self._trouble: str | None = "not started"
        self._pause = FIRST_PAUSE
        self._typing: dict[Address, asyncio.Task[None]] = {}
        self.downloads = Downloads(settings.api_url)
        self.echoes = Echoes()
        self.message_content = True
        """False once Discord refused the privileged intent: mentions and direct messages are served all the same,
        and `trouble` has nothing to say about it."""

    async def serve(self) -> None:
        # discord.py has no other way to be pointed elsewhere, and reads both when a client is made.
        Route.BASE = self._settings.api_url
        DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(self._settings.gateway_url or GATEWAY_URL)
        try:
            while True:
                await self._serve_client()
                await self._rest()
        finally:
            self._trouble = "stopped"
            for task in self._typing.values():
                task.cancel()
            await self.downloads.close()

    def surface(self, address: Address, *, author: str) -> DiscordSurface:  # noqa: ARG002
        """A thread of Discord has room for all: who asked is not needed to answer in it. It has one turn at a
        time: what one that was cut short left typing ends here."""
        if (typing := self._typing.get(address)) is not None:
            typing.cancel()
        guild = self._client.get_guild(int(address.workspace or 0)) if self._client else None
        limit = guild.filesize_limit if guild else MAX_DIRECT_FILE
        return DiscordSurface(self, address, max_file_bytes=limit)

    def trouble(self) -> str | None:
        """None from the moment the gateway is ready (or resumed) and answers heartbeats; discord.py declares a
        connection dead after `SILENCE` seconds without a word on it."""
        if self._trouble is None and self._client is not None and not math.isfinite(self._client.latency):
            return "no heartbeat answered yet"
        return self._trouble

    @property
    def client(self) -> discord.Client:
        if self._client is None or self._client.is_closed():
            raise Unreachable("not connected to Discord")
        return self._client

    def keep(self, address: Address, task: asyncio.Task[None]) -> None:
        def forget(ended: asyncio.Task[None]) -> None:
            if self._typing.get(address) is ended:
                del self._typing[address]

        self._typing[address] = task
        task.add_done_callback(forget)

    async def on_connect(self) -> None:
        self._alive("discord.connected")

    async def on_resumed(self) -> None:
        self._alive("discord.resumed")

    async def on_disconnect(self) -> None:
        self._trouble = "the connection to the gateway is lost"
        log.info("discord.disconnected")

    async def _serve_client(self) -> None:
        """One client's life: logged in once, connected again after each failure that leaves it usable."""
        client = self._make_client()
        listeners = Listeners(client, self._inbox, self.echoes)
        try:
            await self._log_in(client)
            self._client = client
            await self._connect(client)
            while not client.is_closed():
                await self._rest()
                await self._connect(client)
        except discord.PrivilegedIntentsRequired:
            log.warning("discord.no_message_content", mend=NO_CONTENT)
            self.message_content = False
        except ConfigurationError:
            raise
        except Exception as error:
            self._trouble = "Discord can't be reached"
            log.warning("discord.no_login", error=type(error).__name__)
        finally:
            self._client = None
            await client.close()
            await listeners.settle()

    def _make_client(self) -> discord.Client:
        # Their warnings are about voice, which we never speak.
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
        discord.client.ExponentialBackoff = _Backoff  # type: ignore[attr-defined, assignment]  # no other way
        client = discord.Client(
            intents=intents(message_content=self.message_content),
            allowed_mentions=discord.AllowedMentions.none(),
            member_cache_flags=discord.MemberCacheFlags.none(),
            max_messages=None,
            max_ratelimit_timeout=LONGEST_WAIT,
            heartbeat_timeout=SILENCE,
        )
        for handler in (self.on_connect, self.on_resumed, self.on_disconnect):
            client.event(handler)
        return client

    async def _log_in(self, client: discord.Client) -> None:
        self._trouble = "logging in"
        try:
            await client.login(self._settings.token.get_secret_value())
        except discord.LoginFailure:
            raise ConfigurationError(BAD_LOGIN) from None
        self._trouble = "connecting to the gateway"

    async def _connect(self, client: discord.Client) -> None:
        try:
            await client.connect()
        except discord.ConnectionClosed as error:
            if error.code == WRONG_TOKEN:
                raise ConfigurationError(BAD_LOGIN) from None
            if error.code in HOPELESS:
                raise ConfigurationError(f"Discord can't be served: {HOPELESS[error.code]}.") from None
            log.warning("discord.closed", code=error.code)
        except discord.PrivilegedIntentsRequired:
            if not self.message_content:
                raise ConfigurationError(f"Discord can't be served: {HOPELESS[4013]}.") from None
            raise
        except Exception as error:  # anything: a parser's mistake must not silence the bot
            log.error("discord.connection_failed", error=type(error).__name__)
            if client.ws is not None:
                await client.ws.close()
        self._trouble = "the connection to the gateway is lost"

    async def _rest(self) -> None:
        await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))  # noqa: S311
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def _alive(self, event: str) -> None:
        self._trouble = None
        self._pause = FIRST_PAUSE
        log.info(event, message_content=self.message_content)
