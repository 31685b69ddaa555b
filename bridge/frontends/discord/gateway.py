"""The connection to the gateway: one session for as long as Discord lets it live, and few new ones.

`discord.Client.connect` begins a new session after whatever it doesn't expect, and Discord replays nothing to that
one. Here a lost connection is resumed, an event that discord.py can't read is dropped by its name, and a pause
grows from one connection to the next until one has lived for a minute. Discord counts new sessions: who begins a
thousand in a day loses the token.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import discord
import structlog
import yarl
from discord.gateway import DiscordWebSocket, ReconnectWebSocket
from discord.http import Route

from bridge.backoff import Backoff
from bridge.frontends.discord.errors import SDK_ERRORS, UNREADABLE
from bridge.frontends.discord.unseen import Unseen
from bridge.sharding import Session

log = structlog.get_logger()

FIRST_PAUSE = 1.0  # seconds before a new connection, doubled each time
LONGEST_PAUSE = 60.0
BEGIN_PAUSE = (1.0, 5.0)  # seconds before a new session after a lost one, by chance between these (documented)
STEADY = 60.0  # seconds that a connection lives before the pauses begin anew
HELLO_WITHIN = 60.0  # seconds for a connection to be made
RESUME_TRIES = 5  # connections in a row that end by an error before their session is given up
GUILDS_WITHIN = 5.0  # seconds from the session's beginning until its servers are known, all that will be

KEPT_STARTS = 10  # new sessions of a day that are never used
SCARCE_STARTS = 100  # from here on what is left is spread over the time until there are more
UNKNOWN_PAUSE = 90.0  # seconds between new sessions where Discord doesn't say how many are left: 960 a day
LONGEST_LOOK = 300.0  # seconds between two looks at how many are left

Payload = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Starts:
    """How many sessions may still be begun."""

    remaining: int
    reset_after: float  # seconds until there are more
    shards: int = 1  # that Discord recommends
    at_once: int = 1  # sessions that may be begun within `APART`, each in a bucket of its own

    @classmethod
    def read(cls, answer: object) -> Starts | None:
        """From the answer to `GET /gateway/bot`; None if it doesn't say."""
        if not isinstance(answer, dict):
            return None
        try:
            limit = answer["session_start_limit"]
            shards = int(answer.get("shards") or 1)
            at_once = max(1, int(limit.get("max_concurrency") or 1))
            return cls(int(limit["remaining"]), int(limit["reset_after"]) / 1000, shards, at_once)
        except UNREADABLE:
            return None

    @property
    def spent(self) -> bool:
        return self.remaining <= KEPT_STARTS

    def pause(self) -> float:
        """Seconds to let pass between two sessions."""
        return self.reset_after / self.remaining if self.remaining < SCARCE_STARTS else 0.0


class Leave(Protocol):
    """Leave to connect, where others may hear the same."""

    async def connect(self) -> None:
        """Before each connection. Raises `NotOurs`."""
        ...

    async def begin(self, starts: Starts | None) -> None:
        """Before each new session: its turn. None where Discord doesn't say how many may begin."""
        ...


class NotOurs(Exception):
    """Another replica serves this shard now."""


class ShardsRequired(Exception):
    """Discord wants more connections."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


class Hears(Protocol):
    """Who is told what becomes of the connection. None of these may wait."""

    def begun(self) -> None:
        """A session began, to which nothing is replayed; its servers are not known yet."""
        ...

    def complete(self) -> None:
        """All servers of the session are known."""
        ...

    def resumed(self) -> None: ...

    def lost(self, reason: str) -> None: ...

    def ours(self, channel: int, message_id: int, nonce: str | None) -> None:
        """A message of our own arrived, or was changed: then without its nonce."""
        ...


class Gateway:
    """Connects one client that is logged in, until it is cancelled or no new connection helps."""

    def __init__(
        self, client: discord.Client, url: str, hears: Hears, leave: Leave, session: Session | None = None
    ) -> None:
        """`session`: one that was begun elsewhere, to be resumed. Its servers are read as they are needed."""
        self._client = client
        self._url = yarl.URL(url)
        self._hears = hears
        self._leave = leave
        self._ws: DiscordWebSocket | None = None
        self._session: Payload | None = None  # what resumes it
        self._unseen: Unseen | None = None
        if session is not None:
            self._session = {"session": session.id, "sequence": session.sequence, "gateway": yarl.URL(session.url)}
            self._unseen = Unseen(client, self._give_up)
        self._errors = 0  # in a row
        self._closing: asyncio.Task[None] | None = None
        self._begun_at: float | None = None
        self._missing: set[int] = set()  # servers that are still to come
        self._patience: asyncio.TimerHandle | None = None
        self._read_with_care()

    async def run(self) -> None:
        """Raises `ConnectionClosed` with a code that no new connection mends, and `PrivilegedIntentsRequired`."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        loop = asyncio.get_running_loop()
        pause = 0.0
        try:
            while True:
                if self._session is None and self._begun_at is not None:
                    pause = max(pause, random.uniform(*BEGIN_PAUSE))  # noqa: S311
                await asyncio.sleep(pause)
                await self._leave.connect()
                connected_at = loop.time()
                reason = await self._connect()
                self._hears.lost(reason)
                self._client.dispatch("disconnect")
                if loop.time() - connected_at < STEADY:
                    pause = backoff.pause()
                else:
                    backoff.reset()
                    pause = 0.0
        finally:
            if self._patience is not None:
                self._patience.cancel()
            if self._unseen is not None:
                self._unseen.close()

    @property
    def session(self) -> Session | None:
        """What resumes the session from the last event that was heard; None while some that came aren't handed on."""
        if self._session is None or (self._unseen is not None and self._unseen.waiting):
            return None
        now = self._ws is not None and self._ws.session_id is not None
        found = _resuming(self._ws) if now and self._ws is not None else self._session
        return Session(found["session"], found["sequence"], str(found["gateway"]), self._client.intents.value)

    async def let_go(self) -> None:
        """Once `run` has ended: close the connection and leave the session alive."""
        await _close(self._ws)

    def _give_up(self) -> None:
        """The session is no use any more: begin a new one."""
        self._errors = RESUME_TRIES
        if self._ws is not None:
            self._closing = asyncio.create_task(self._ws.close(), name="discord.give_up")

    async def _connect(self) -> str:
        """One connection, from its beginning to its end, which is what this returns."""
        client = self._client
        ws: DiscordWebSocket | None = None
        resume = True
        if self._errors >= RESUME_TRIES:
            self._session = None
        try:
            if self._session is None:
                await self._may_begin()
                opening = DiscordWebSocket.from_client(
                    client, initial=True, gateway=self._url, shard_id=client.shard_id
                )
            else:
                opening = DiscordWebSocket.from_client(
                    client, initial=True, resume=True, shard_id=client.shard_id, **self._session
                )
            async with asyncio.timeout(HELLO_WITHIN):  # `wait_for` may swallow that this task is cancelled
                client.ws = self._ws = ws = await opening
            if self._session is not None and self._errors >= RESUME_TRIES:  # given up meanwhile
                await ws.close()
            while True:
                await ws.poll_event()
                if self._session is None and ws.session_id is not None:
                    self._session = _resuming(ws)
        except ReconnectWebSocket as asked:
            self._errors, resume = 0, asked.resume and self._errors < RESUME_TRIES
            return "the connection to the gateway is lost"
        except discord.ConnectionClosed as closed:
            if closed.code == 4014:
                raise discord.PrivilegedIntentsRequired(closed.shard_id) from None
            if closed.code != 1000:
                raise
            return "the gateway closed the connection"
        except (NotOurs, ShardsRequired):
            raise
        except (*SDK_ERRORS, discord.GatewayNotFound) as error:
            log.warning("discord.unreachable", error=type(error).__name__)
            await _close(ws)
            return "the gateway can't be reached"
        except Exception as error:
            self._errors += 1
            resume = self._errors < RESUME_TRIES
            log.error("discord.connection_failed", error=type(error).__name__)
            await _close(ws)
            return "the connection to the gateway broke"
        finally:
            if not resume:
                self._session = None
            elif ws is not None and ws.session_id is not None:
                self._session = _resuming(ws)

    # --- new sessions ----------------------------------------------------------------------------------------

    async def _may_begin(self) -> None:
        """Wait until a new session may be begun. Raises one of `SDK_ERRORS` where Discord can't be asked."""
        loop = asyncio.get_running_loop()
        while (starts := await self._starts()) is not None and starts.spent:
            log.error("discord.no_sessions_left", remaining=starts.remaining, more_in=round(starts.reset_after))
            self._hears.lost(f"Discord allows no new session for {starts.reset_after:.0f} s")
            await asyncio.sleep(min(starts.reset_after, LONGEST_LOOK))
        pause = UNKNOWN_PAUSE if starts is None else starts.pause()
        if self._begun_at is not None and (left := self._begun_at + pause - loop.time()) > 0:
            log.warning("discord.few_sessions_left", remaining=starts.remaining if starts else None, pause=left)
            await asyncio.sleep(left)
        await self._leave.begin(starts)
        self._begun_at = loop.time()

    async def _starts(self) -> Starts | None:
        return Starts.read(await self._client.http.request(Route("GET", "/gateway/bot")))

    # --- events ----------------------------------------------------------------------------------------------

    def _read_with_care(self) -> None:
        parsers = self._client._connection.parsers
        begin = parsers["READY"]
        for event, parse in parsers.items():
            parsers[event] = partial(self._parse, event, parse)
        parsers["READY"] = partial(self._begin, begin)
        parsers["RESUMED"] = partial(self._resume, parsers["RESUMED"])
        for event in ("GUILD_CREATE", "GUILD_DELETE"):
            parsers[event] = partial(self._arrive, parsers[event])
        for event in ("MESSAGE_CREATE", "MESSAGE_UPDATE"):
            parsers[event] = partial(self._hear, parsers[event])

    def _parse(self, event: str, parse: Callable[[Payload], None], data: Payload) -> None:
        """An event that discord.py can't read costs that event and no other."""
        if self._unseen is not None and self._unseen.keeps(event, data, partial(self._parse, event, parse)):
            return
        try:
            parse(data)
        except Exception as error:
            named = {key: data.get(key) for key in ("id", "channel_id", "guild_id")} if _is_object(data) else {}
            log.error("discord.event_dropped", event_name=event, error=type(error).__name__, **named)

    def _begin(self, parse: Callable[[Payload], None], data: Payload) -> None:
        try:
            parse(data)
            self._missing = {int(guild["id"]) for guild in data["guilds"]}
        except Exception:
            self._errors = RESUME_TRIES  # a session without its beginning is no use
            raise
        self._errors = 0
        if self._unseen is not None:  # of the session before
            self._unseen.close()
            self._unseen = None
        self._hears.begun()
        if self._patience is not None:
            self._patience.cancel()
        self._patience = asyncio.get_running_loop().call_later(GUILDS_WITHIN, self._complete)
        if not self._missing:
            self._complete()

    def _resume(self, parse: Callable[[Payload], None], data: Payload) -> None:
        parse(data)
        self._hears.resumed()

    def _arrive(self, parse: Callable[[Payload], None], data: Payload) -> None:
        parse(data)
        guild = _number(data, "id")
        expected = guild in self._missing
        self._missing.discard(guild)
        if expected and (not self._missing or self._patience is None):
            self._complete()

    def _complete(self) -> None:
        """All servers are known, or those that come in time; or one of the others after all."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        self._hears.complete()

    def _hear(self, parse: Callable[[Payload], None], data: Payload) -> None:
        """Our own messages come back with each post and edit. Their ids and nonces are all that anyone wants of them,
        so nothing is made of the rest."""
        me = self._client.user
        if me is None or _number(data.get("author") if _is_object(data) else None, "id") != me.id:
            parse(data)
        else:
            nonce = data.get("nonce")
            self._hears.ours(
                _number(data, "channel_id"), _number(data, "id"), None if nonce is None else str(nonce)
            )


def _resuming(ws: DiscordWebSocket) -> Payload:
    return {"session": ws.session_id, "sequence": ws.sequence, "gateway": ws.gateway}


async def _close(ws: DiscordWebSocket | None) -> None:
    """With a code that leaves the session alive."""
    if ws is not None:
        await ws.close()


def _is_object(data: object) -> bool:
    return isinstance(data, dict)


def _number(data: object, key: str) -> int:
    """A snowflake of a payload, 0 if it has none."""
    value = data.get(key) if isinstance(data, dict) else None
    return int(value) if isinstance(value, str | int) and str(value).isdecimal() else 0
