"""Servers that a client was never told of: its session was begun by another process, or it has none.

discord.py makes little of an event in a server that it doesn't know, and takes its messages for direct ones. So the
server is read by REST and told to the client as Discord would have done; its events wait for that, in order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import discord
import structlog
from discord.http import Route

from bridge.backoff import Backoff
from bridge.frontends.discord.errors import told_apart
from bridge.turns.surface import Gone, Refused, SurfaceError, Throttled

log = structlog.get_logger()

TRIES = 4  # to read a server
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0  # seconds between two
MAX_WAITING = 2_000  # events of servers that are being read; beyond, the session is given up

Json = dict[str, Any]
EMPTY = ("voice_states", "presences", "stage_instances", "guild_scheduled_events", "soundboard_sounds")


async def tell(client: discord.Client, guild: int) -> None:
    """Have the client know a server as it is now: channels, open threads, roles, and the bot itself there. Raises a
    `SurfaceError`; `Gone` where the bot isn't in it."""
    if client.user is None:
        raise Refused("not logged in")
    here: Json = {"guild_id": guild}
    request = client.http.request
    with told_apart("read server"):
        found, channels, threads, me = await asyncio.gather(
            request(Route("GET", "/guilds/{guild_id}", **here)),
            request(Route("GET", "/guilds/{guild_id}/channels", **here)),
            request(Route("GET", "/guilds/{guild_id}/threads/active", **here)),
            request(Route("GET", "/guilds/{guild_id}/members/{user_id}", user_id=client.user.id, **here)),
        )
        whole: Json = dict(found) | {name: [] for name in EMPTY}
        whole |= {"unavailable": False, "large": False, "members": [me], "joined_at": me["joined_at"]}
        whole |= {"channels": channels, "threads": threads["threads"]}
        client._connection.parsers["GUILD_CREATE"](whole)


class Unseen:
    """The servers of a session that was begun elsewhere. `give_up` is called where one can't be read: a new session
    tells of all."""

    def __init__(self, client: discord.Client, give_up: Callable[[], None]) -> None:
        self._client = client
        self._give_up = give_up
        self._waiting: dict[int, list[tuple[Callable[[Any], None], Any]]] = {}
        self._reading: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> bool:
        """Whether events wait for their server."""
        return bool(self._waiting)

    def keeps(self, event: str, data: object, parse: Callable[[Any], None]) -> bool:
        """Whether the event waits for its server to be read; then it is parsed later."""
        guild = _guild_of(event, data)
        if guild is None or event in ("GUILD_CREATE", "GUILD_DELETE"):
            return False
        if guild not in self._waiting:
            known = self._client.get_guild(guild)
            if known is not None and not known.unavailable:
                return False
            self._waiting[guild] = []
            task = asyncio.create_task(self._read(guild), name="discord.unseen")
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)
        self._waiting[guild].append((parse, data))
        if sum(map(len, self._waiting.values())) > MAX_WAITING:
            self._give_up()
        return True

    def close(self) -> None:
        """What waits is never handed on, and `waiting` goes on to say so."""
        for task in self._reading:
            task.cancel()

    async def _read(self, guild: int) -> None:
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        for tries_left in reversed(range(TRIES)):
            try:
                await tell(self._client, guild)
                break
            except Gone:
                break  # put out meanwhile: what happened there is nobody's
            except SurfaceError as error:
                if not tries_left:
                    log.warning("discord.server_not_read", server=guild, reason=str(error))
                    self._give_up()
                    return
                pause = backoff.pause()
                await asyncio.sleep(max(pause, error.retry_after) if isinstance(error, Throttled) else pause)
        there = self._client.get_guild(guild) is not None
        for parse, data in self._waiting.pop(guild, ()):
            if there:
                parse(data)


def _guild_of(event: str, data: object) -> int | None:
    if not isinstance(data, dict):
        return None
    value = data.get("id") if event == "GUILD_UPDATE" else data.get("guild_id")
    return int(value) if isinstance(value, str | int) and str(value).isdecimal() else None
