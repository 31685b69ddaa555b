"""Who wrote a message, with their roles: events tell of the member, a channel's history of the account alone."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping

import discord
import structlog
from cachetools import TTLCache

from bridge.frontends.discord.errors import told_apart
from bridge.frontends.discord.messages import person
from bridge.inbound import Person
from bridge.turns.surface import SurfaceError

log = structlog.get_logger()

REMEMBERED = 5_000  # people
REMEMBERED_FOR = 60.0  # seconds: roles that were given or taken count soon
PATIENCE = 2.0  # seconds that a message waits for it


class Members:
    def __init__(self) -> None:
        self._known: MutableMapping[tuple[int, int], Person] = TTLCache(REMEMBERED, REMEMBERED_FOR)

    async def author(self, client: discord.Client, message: discord.Message, guild_id: int | None) -> Person:
        """Without roles where Discord doesn't tell them in time. Raises nothing of Discord's."""
        wrote = person(message.author)
        guild = client.get_guild(guild_id) if guild_id is not None else None
        if guild is None or isinstance(message.author, discord.Member):
            return wrote
        key = guild.id, message.author.id
        if (known := self._known.get(key)) is not None:
            return known
        try:
            async with asyncio.timeout(PATIENCE):
                with told_apart("read member"):
                    found = person(await guild.fetch_member(message.author.id))
        except (SurfaceError, TimeoutError) as error:  # left the server, or Discord is slow
            log.info("discord.roles_unknown", person=wrote.id, reason=str(error))
            return wrote
        self._known[key] = found
        return found
