"""Discord, served: a bot that is logged in and connected, and the surfaces that post through it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Iterable, MutableMapping, Sequence
from datetime import timedelta
from secrets import token_hex

import discord
import structlog
from discord.http import Route
from starlette.routing import BaseRoute

from bridge.backoff import Backoff
from bridge.frontends.common.reactions import Reactions
from bridge.frontends.discord import about, commands
from bridge.frontends.discord.calls import Calls, hand_on_limits, unguarded
from bridge.frontends.discord.catch_up import CatchUp
from bridge.frontends.discord.echoes import Echoes
from bridge.frontends.discord.files import Downloads
from bridge.frontends.discord.gateway import FIRST_PAUSE, LONGEST_PAUSE, Gateway
from bridge.frontends.discord.invite import intents
from bridge.frontends.discord.listeners import Listeners
from bridge.frontends.discord.members import Members
from bridge.frontends.discord.opening import DiscordOpening, guild_of
from bridge.frontends.discord.places import Place, Places
from bridge.frontends.discord.presses import components
from bridge.frontends.discord.reactions import Spacing
from bridge.frontends.discord.rest import Json, Rest
from bridge.frontends.discord.settings import GATEWAY_URL, DiscordSettings
from bridge.frontends.discord.surface import MAX_DIRECT_FILE, DiscordSurface
from bridge.frontends.discord.telling import SUPPRESS_EMBEDS, never_raises, reply_to
from bridge.inbound import Address, Person
from bridge.listening import ListeningAt, as_ever
from bridge.turns.inbox import Inbox
from bridge.turns.surface import ASK_AGAIN, EDITED, Button, ConfigurationError, Guard, SurfaceError, Unreachable

log = structlog.get_logger()

SILENCE = 60.0  # seconds without a word from the gateway, heartbeats included, until the connection counts as dead

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
    ) -> None:
        """`serves` says of a server's id whether its members may write directly; `bots` may ask in some channel."""
        self._settings = settings
        self._catch_up_hours = catch_up_hours
        self._inbox = inbox
        self._client: discord.Client | None = None
        self._trouble: str | None = "not started"
        self._signs: dict[Address, asyncio.Task[None]] = {}
        self.calls = Calls(settings.requests_a_second)
        members = Members(serves)
        self.reactions: Reactions = settings.reactions
        self.reacting = Spacing()
        self._listeners = Listeners(
            inbox,
            self._want_catch_up,
            self._offer_again,
            self.calls,
            members,
            listening_at=listening_at,
            bots=bots,
            ask_emoji=settings.reactions.ask,
        )
        self._wanted = asyncio.Event()  # a look at what was missed
        self._known = asyncio.Event()  # the session's servers
        self._looking: asyncio.Task[None] | None = None
        self._registering: asyncio.Task[None] | None = None
        self._registered = False  # Discord knows our commands
        self._asked: list[asyncio.Future[None]] = []  # who waits for the next look to end
        self.downloads = Downloads(settings.api_url, settings.file_origins)
        self.echoes = Echoes()
        self.notify_after = settings.notify_after
        self.message_content = True
        """False once Discord refused the privileged intent: mentions and direct messages are served all the same,
        and `trouble` has nothing to say about it."""

    @property
    def names(self) -> MutableMapping[int, str]:
        """What the threads of the latest questions will be called."""
        return self._listeners.names

    async def serve(self) -> None:
        Route.BASE = self._settings.api_url  # discord.py has no other way to be pointed elsewhere
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
            for task in self._signs.values():
                task.cancel()
            await self.downloads.close()

    def surface(self, address: Address, *, person: Person, guard: Guard) -> DiscordSurface:
        """It has one turn at a time: what one that was cut short left typing ends here."""
        if (sign := self._signs.get(address)) is not None:
            sign.cancel()
        guild = self._client.get_guild(int(address.workspace or 0)) if self._client else None
        limit = guild.filesize_limit if guild and not guild.unavailable else MAX_DIRECT_FILE
        return DiscordSurface(self, address, person=person, guard=guard, max_file_bytes=limit)

    def workspace(self, channel: str) -> str:
        return guild_of(self.client, channel)

    def opening(self, channel: str, person: str, *, guard: Guard) -> DiscordOpening:
        return DiscordOpening(self, channel, person, guard=guard)

    async def catch_up(self) -> None:
        """While Discord isn't there this only notes that it is wanted: a new session looks by itself."""
        self._listeners.heard.clear()  # what was heard may not have been kept
        self._want_catch_up()
        if self._known.is_set() and self._trouble != "stopped":
            asked = asyncio.get_running_loop().create_future()
            self._asked.append(asked)
            await asked

    def trouble(self) -> str | None:
        """None from the moment the gateway is ready (or resumed) and answers heartbeats; a connection counts as
        dead after `SILENCE` seconds without a word on it."""
        if self._trouble is None and self._client is not None and not math.isfinite(self._client.latency):
            return "no heartbeat answered yet"
        return self._trouble

    @property
    def client(self) -> discord.Client:
        """The client, logged in. Raises `Unreachable` while there is none."""
        if self._client is None or self._client.is_closed():
            raise Unreachable("not connected to Discord")
        return self._client

    def keep(self, address: Address, task: asyncio.Task[None]) -> None:
        """Cancel this task of a thread when its next turn or the end of serving comes, unless it ended before."""

        def forget(ended: asyncio.Task[None]) -> None:
            if self._signs.get(address) is ended:
                del self._signs[address]

        self._signs[address] = task
        task.add_done_callback(forget)

    # --- what becomes of the connection -----------------------------------------------------------------------

    def begun(self) -> None:
        self._alive("discord.connected")
        self._listeners.gate.clear()
        self._known.clear()
        if self._looking is not None:
            self._looking.cancel()  # what it knew of the servers is of the session before
        self._want_catch_up()

    def complete(self) -> None:
        self._known.set()
        self._want_catch_up()
        if not self._registered and self._registering is None:
            self._registering = asyncio.create_task(self._register(), name="discord.commands")

    def resumed(self) -> None:
        self._alive("discord.resumed")

    def lost(self, reason: str) -> None:
        self._trouble = reason
        log.info("discord.disconnected", reason=reason)

    def ours(self, channel: int, message_id: int, nonce: str | None) -> None:
        self._listeners.note(channel, message_id)
        if nonce is not None:
            self.echoes.add(nonce, message_id)

    def _alive(self, event: str) -> None:
        self._trouble = None
        log.info(event, message_content=self.message_content)

    # --- serving ----------------------------------------------------------------------------------------------

    async def _serve_client(self) -> None:
        """One client's life: logged in once, connected again for as long as that is of use."""
        client = self._make_client()
        self._listeners.listen(client)
        self._trouble = "logging in"
        try:
            await client.login(self._settings.token.get_secret_value())
            self._client = client
            self._trouble = "connecting to the gateway"
            await Gateway(client, self._settings.gateway_url or GATEWAY_URL, self).run()
        except discord.LoginFailure:
            raise ConfigurationError(BAD_LOGIN) from None
        except discord.PrivilegedIntentsRequired:
            if not self.message_content:
                raise ConfigurationError(f"Discord can't be served: {HOPELESS[4013]}.") from None
            log.warning("discord.no_message_content", mend=NO_CONTENT)
            self.message_content = False
        except discord.ConnectionClosed as error:
            if error.code == WRONG_TOKEN:
                raise ConfigurationError(BAD_LOGIN) from None
            if error.code in HOPELESS:
                raise ConfigurationError(f"Discord can't be served: {HOPELESS[error.code]}.") from None
            self._trouble = "the gateway closed the connection"
            log.warning("discord.closed", code=error.code)
        except Exception as error:
            self._trouble = "Discord can't be reached"
            log.warning("discord.no_login", error=type(error).__name__)
        finally:
            self._client = None
            self._known.clear()
            await client.close()
            await self._listeners.settle()

    def _make_client(self) -> discord.Client:
        # Their warnings are about voice, which we never speak.
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
        client = discord.Client(
            intents=intents(message_content=self.message_content, reactions=bool(self.reactions.ask)),
            allowed_mentions=discord.AllowedMentions.none(),
            member_cache_flags=discord.MemberCacheFlags.none(),
            max_messages=None,
            heartbeat_timeout=SILENCE,
            http_trace=self.calls.trace,
        )
        hand_on_limits(client)
        return client

    async def _offer_again(self, address: Address, message: int, turn: str) -> None:
        """Below a question that was changed after it was asked."""
        rest = Rest(self.client, self.calls, unguarded)
        place = Places(self.client, rest, address, self.names).known() or Place(int(address.thread))
        payload: Json = {
            "content": EDITED,
            "components": components([Button("reask", ASK_AGAIN, turn)]),
            "message_reference": reply_to(message),
            "nonce": f"e{token_hex(8)}",  # by which our own messages are told from a reply's parts
            "flags": SUPPRESS_EMBEDS,
        }
        await never_raises("offer", lambda: rest.send(place.channel, payload))

    async def _register(self) -> None:
        """Once in a process; where it fails, the next session tries again. Messages are served meanwhile."""
        try:
            app = self.client.application
            for_people = app is not None and app.user_integration_config is not None
            wanted = [*commands.payloads(), *about.payloads(for_people=for_people)]
            new = await commands.register(self.client, wanted)
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
                if not self._listeners.left:
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
            self._client, self.calls, self._inbox, self._listeners, timedelta(hours=self._catch_up_hours)
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


def _tell(waiting: Iterable[asyncio.Future[None]]) -> None:
    for one in waiting:
        if not one.done():
            one.set_result(None)
