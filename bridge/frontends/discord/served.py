"""One connection of the bot, served: all servers of a small bot, or those of one shard.

Its client, what becomes of the connection, and what was missed on it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import discord
import structlog

from bridge.backoff import Backoff
from bridge.frontends.common.reactions import Reactions
from bridge.frontends.discord import about, commands
from bridge.frontends.discord.calls import Calls, hand_on_limits
from bridge.frontends.discord.catch_up import CatchUp
from bridge.frontends.discord.echoes import Echoes
from bridge.frontends.discord.gateway import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    Gateway,
    Leave,
    NotOurs,
    ShardsRequired,
)
from bridge.frontends.discord.invite import intents
from bridge.frontends.discord.listeners import Listeners
from bridge.frontends.discord.settings import GATEWAY_URL, DiscordSettings
from bridge.inbound import Address
from bridge.sharding import DIRECT, Session, shard_of
from bridge.turns.inbox import Inbox
from bridge.turns.surface import ConfigurationError, SurfaceError

log = structlog.get_logger()

SILENCE = 60.0  # seconds without a word from the gateway, heartbeats included, until the connection counts as dead

# Close codes of the gateway that no new connection mends.
WRONG_TOKEN = 4004
SHARDS_REQUIRED = 4011
HOPELESS = {
    4010: "the gateway refused the shard",
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


@dataclass(slots=True)
class Bot:
    """What all connections of the bot have in common."""

    settings: DiscordSettings
    inbox: Inbox
    calls: Calls
    echoes: Echoes
    reactions: Reactions
    listeners: Callable[
        [Callable[[], None]], Listeners
    ]  # for a connection, by what wants a look at what was missed
    oldest: timedelta  # age of what is caught up
    message_content: bool = field(default=True)

    @property
    def intents(self) -> discord.Intents:
        return intents(message_content=self.message_content, reactions=bool(self.reactions.ask))

    def client(self, shard: tuple[int, int] | None = None) -> discord.Client:
        """Not logged in yet."""
        # Their warnings are about voice, which we never speak.
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
        number, count = shard or (None, None)
        client = discord.Client(
            intents=self.intents,
            allowed_mentions=discord.AllowedMentions.none(),
            member_cache_flags=discord.MemberCacheFlags.none(),
            max_messages=None,
            heartbeat_timeout=SILENCE,
            http_trace=self.calls.trace,
            shard_id=number,
            shard_count=count,
        )
        hand_on_limits(client)
        return client


class Served:
    """`run` may be called once."""

    def __init__(
        self, bot: Bot, leave: Leave, shard: tuple[int, int] | None = None, session: Session | None = None
    ) -> None:
        """`session`: one of the shard that another process has begun. One for other events, by other settings, is left
        alone."""
        if session is not None and session.intents != bot.intents.value:
            session = None
        self._bot = bot
        self._leave = leave
        self._shard = shard
        self._left_session = session
        self._begun_elsewhere = session is not None
        self._client: discord.Client | None = None
        self._gateway: Gateway | None = None
        self._trouble: str | None = "not started"
        self.listeners = bot.listeners(self._want_catch_up)
        self._wanted = asyncio.Event()  # a look at what was missed
        self._known = asyncio.Event()  # the session's servers
        self._looking: asyncio.Task[None] | None = None
        self._registering: asyncio.Task[None] | None = None
        self._registered = False  # Discord knows our commands
        self._asked: list[asyncio.Future[None]] = []  # who waits for the next look to end
        self._stored: Session | None = session  # all before it is stored
        self._storing: tuple[Session, Collection[asyncio.Task[Any]]] | None = None  # after it, once these end
        self.final: Session | None = None
        """After `run` of a shard: what resumes it, with nothing lost."""

    async def run(self) -> None:
        """Raises `ConfigurationError`, `NotOurs` and `ShardsRequired`."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        catching_up = asyncio.create_task(self._catch_up_for_ever(), name="discord.catch_up")
        try:
            while True:
                await self._serve_client()
                await asyncio.sleep(backoff.pause())
        finally:
            self._trouble = "stopped"
            catching_up.cancel()
            if self._registering is not None:
                self._registering.cancel()

    @property
    def client(self) -> discord.Client | None:
        """The client, while it is logged in."""
        return None if self._client is None or self._client.is_closed() else self._client

    async def catch_up(self) -> None:
        """While Discord isn't there this only notes that it is wanted: a new session looks by itself."""
        self.listeners.heard.clear()  # what was heard may not have been kept
        self._want_catch_up()
        if self._known.is_set() and self._trouble != "stopped":
            asked = asyncio.get_running_loop().create_future()
            self._asked.append(asked)
            await asked

    def trouble(self) -> str | None:
        """See `DiscordFrontEnd.trouble`."""
        if self._trouble is None and self._client is not None and not math.isfinite(self._client.latency):
            return "no heartbeat answered yet"
        return self._trouble

    async def stored(self) -> Session | None:
        """What resumes the session with nothing lost. Asked now and then, it gets on: an event counts from the moment
        when all that came up to it is stored."""
        if self._storing is not None:
            session, tasks = self._storing
            if any(not task.done() for task in tasks):
                return self._stored
            if not self._is_behind:
                self._stored = session
            self._storing = None
        if self._gateway is None or (now := self._gateway.session) is None:
            return self._stored
        await asyncio.sleep(0)  # the handlers of what came up to now have begun
        self._storing = now, self.listeners.under_way
        return self._stored

    @property
    def _is_behind(self) -> bool:
        return bool(self.listeners.left) or self._looking is not None or not self.listeners.gate.is_set()

    # --- what becomes of the connection -----------------------------------------------------------------------

    def begun(self) -> None:
        self._alive("discord.connected")
        self.listeners.gate.clear()
        self._known.clear()
        self._begun_elsewhere = False
        self._stored = self._storing = None  # of the session before, if any
        if self._looking is not None:
            self._looking.cancel()  # what it knew of the servers is of the session before
        self._want_catch_up()

    def complete(self) -> None:
        self._known.set()
        self._want_catch_up()
        self._see_to_commands()

    def resumed(self) -> None:
        self._alive("discord.resumed")
        if self._begun_elsewhere:  # nothing was missed
            self._known.set()
            self._see_to_commands()

    def lost(self, reason: str) -> None:
        self._trouble = reason
        log.info("discord.disconnected", reason=reason, **self._named)

    def ours(self, channel: int, message_id: int, nonce: str | None) -> None:
        self.listeners.note(channel, message_id)
        if nonce is not None:
            self._bot.echoes.add(nonce, message_id)

    def _alive(self, event: str) -> None:
        self._trouble = None
        log.info(event, message_content=self._bot.message_content, **self._named)

    @property
    def _named(self) -> dict[str, object]:
        return {} if self._shard is None else {"shard": self._shard[0], "shards": self._shard[1]}

    # --- serving ----------------------------------------------------------------------------------------------

    async def _serve_client(self) -> None:
        """One client's life: logged in once, connected again for as long as that is of use."""
        bot = self._bot
        client, asks_for_content = bot.client(self._shard), bot.message_content
        self.listeners.listen(client)
        self._trouble = "logging in"
        try:
            await client.login(bot.settings.token.get_secret_value())
            self._client = client
            self._trouble = "connecting to the gateway"
            session, self._left_session = self._left_session, None
            url = bot.settings.gateway_url or GATEWAY_URL
            self._gateway = Gateway(client, url, self, self._leave, session)
            await self._gateway.run()
        except discord.LoginFailure:
            raise ConfigurationError(BAD_LOGIN) from None
        except discord.PrivilegedIntentsRequired:
            if not asks_for_content:
                raise ConfigurationError(f"Discord can't be served: {HOPELESS[4013]}.") from None
            if bot.message_content:  # else another shard was told already
                log.warning("discord.no_message_content", mend=NO_CONTENT)
            bot.message_content = False
        except discord.ConnectionClosed as error:
            if error.code == WRONG_TOKEN:
                raise ConfigurationError(BAD_LOGIN) from None
            if error.code == SHARDS_REQUIRED:
                raise ShardsRequired(1 + (self._shard[1] if self._shard else 1)) from None
            if error.code in HOPELESS:
                raise ConfigurationError(f"Discord can't be served: {HOPELESS[error.code]}.") from None
            self._trouble = "the gateway closed the connection"
            log.warning("discord.closed", code=error.code)
        except (NotOurs, ShardsRequired):
            raise
        except Exception as error:
            self._trouble = "Discord can't be reached"
            log.warning("discord.no_login", error=type(error).__name__)
        finally:
            ending = asyncio.create_task(self._end(client), name="discord.ending")
            try:
                await asyncio.shield(ending)
            except asyncio.CancelledError:  # it ended by itself and is told to: no connection may be left open
                await asyncio.wait([ending])
                raise

    async def _end(self, client: discord.Client) -> None:
        try:
            if self._shard is not None:
                await self._let_go()
        finally:
            self._client = self._gateway = None
            self._known.clear()
            await client.close()
            await self.listeners.settle()

    async def _let_go(self) -> None:
        """Leave the session to whoever goes on with it, and store what was heard."""
        if self._gateway is not None:
            await self._gateway.let_go()
        await self.listeners.settle()
        await self.stored()
        self.final = await self.stored()

    def _see_to_commands(self) -> None:
        first = self._shard is None or self._shard[0] == DIRECT
        if first and not self._registered and self._registering is None:
            self._registering = asyncio.create_task(self._register(), name="discord.commands")

    async def _register(self) -> None:
        """Once in a process; where it fails, the next session tries again. Messages are served meanwhile."""
        try:
            if (client := self.client) is None:
                return
            app = client.application
            for_people = app is not None and app.user_integration_config is not None
            wanted = [*commands.payloads(), *about.payloads(for_people=for_people)]
            new = await commands.register(client, wanted)
            self._registered = True
            log.info("discord.commands_registered" if new else "discord.commands_known")
        except SurfaceError as error:
            log.warning("discord.commands_not_registered", reason=str(error))
        finally:
            self._registering = None

    # --- what was missed --------------------------------------------------------------------------------------

    def _want_catch_up(self) -> None:
        self._wanted.set()

    async def _catch_up_for_ever(self) -> None:
        """Looks whenever that is wanted, one look at a time; again, after a pause, while something is left."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        asked: list[asyncio.Future[None]] = []
        try:
            while True:
                await self._wanted.wait()
                await self._known.wait()
                self._wanted.clear()
                asked, self._asked = self._asked, []
                await self._look()
                _tell(asked)
                if not self.listeners.left:
                    backoff.reset()
                elif not self._wanted.is_set():  # else a new session waits for its look
                    await asyncio.sleep(backoff.pause())
                    self._want_catch_up()
        finally:
            _tell([*asked, *self._asked])

    async def _look(self) -> None:
        if self._client is None:
            return
        look = CatchUp(
            self._client, self._bot.calls, self._bot.inbox, self.listeners, self._bot.oldest, self._hears
        )
        self._looking = asyncio.create_task(look.run())
        try:
            await asyncio.wait([self._looking])
            if not self._looking.cancelled() and (error := self._looking.exception()):
                log.error("discord.catch_up_failed", error=type(error).__name__)
                self._want_catch_up()
        finally:
            self._looking.cancel()
            self._looking = None

    def _hears(self, address: Address) -> bool:
        """Whether what is written there comes on this connection."""
        if self._shard is None:
            return True
        number, count = self._shard
        return shard_of(int(address.workspace) if address.workspace else None, count) == number


def _tell(waiting: Iterable[asyncio.Future[None]]) -> None:
    for one in waiting:
        if not one.done():
            one.set_result(None)
