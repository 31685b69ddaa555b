"""Who a person is to the servers that are served, where the event doesn't say: a channel's history and direct messages
tell of the account alone. Asked once, remembered for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import replace

import discord
import structlog
from cachetools import TTLCache

from bridge.frontends.discord.errors import told_apart
from bridge.frontends.discord.messages import person
from bridge.inbound import Address, Person, Standing
from bridge.turns.surface import Gone, SurfaceError

log = structlog.get_logger()

REMEMBERED = 5_000  # people
REMEMBERED_FOR = 60.0  # seconds: roles that were given or taken count soon
PATIENCE = 2.0  # seconds that a message waits for roles that only the agent is told
MAX_SERVERS = 10  # asked about one person
EVERYWHERE = "everywhere"


class Members:
    """`serves` says of a server's id whether it is served, so that its members may write directly."""

    def __init__(self, serves: Callable[[str], bool]) -> None:
        self._serves = serves
        self._known: MutableMapping[tuple[str, str], Person] = TTLCache(REMEMBERED, REMEMBERED_FOR)
        self._servers: MutableMapping[str, Sequence[int]] = TTLCache(1, REMEMBERED_FOR)

    async def author(self, client: discord.Client, message: discord.Message, address: Address) -> Person:
        """Who wrote, with roles; without where Discord doesn't tell them in time. Raises nothing of Discord's."""
        wrote = person(message.author)
        if wrote.standing is not None or wrote.bot or not address.workspace:
            return wrote
        try:
            async with asyncio.timeout(PATIENCE):
                found = await self.identify(client, wrote, address)
        except (SurfaceError, TimeoutError) as error:
            log.info("discord.roles_unknown", person=wrote.id, reason=str(error))
            return wrote
        return found if found.standing is Standing.MEMBER else wrote

    async def identify(self, client: discord.Client, person: Person, address: Address) -> Person:
        """The person with a standing, and with the roles in the server; in a direct message with those in all servers
        that are served. Raises a `SurfaceError` where Discord can't be asked."""
        key = person.id, address.workspace
        if (known := self._known.get(key)) is None:
            known = self._known[key] = await _member_of(client, await self._guilds(client, address), person)
        return replace(person, name=known.name, roles=known.roles, standing=known.standing)

    async def _guilds(self, client: discord.Client, address: Address) -> Sequence[int]:
        if address.workspace:
            guild = client.get_guild(int(address.workspace))
            return [] if guild is None else [guild.id]
        guilds = [one for one in await self._all_guilds(client) if self._serves(str(one))]
        if len(guilds) > MAX_SERVERS:
            log.info("discord.servers_not_asked", count=len(guilds) - MAX_SERVERS)
        return guilds[:MAX_SERVERS]

    async def _all_guilds(self, client: discord.Client) -> Sequence[int]:
        """Of one shard a client knows its own only."""
        if client.shard_count is None:
            return [one.id for one in client.guilds]
        if EVERYWHERE not in self._servers:
            with told_apart("read servers"):
                self._servers[EVERYWHERE] = [
                    one.id async for one in client.fetch_guilds(limit=None, with_counts=False)
                ]
        return self._servers[EVERYWHERE]


async def _member_of(client: discord.Client, guilds: Sequence[int], person: Person) -> Person:
    """With the name that a single server knows the person by."""
    roles: list[str] = []
    name, standing = person.name, Standing.STRANGER
    for guild in guilds:
        try:
            with told_apart("read member"):
                member = await client.http.get_member(guild, int(person.id))
                user = member["user"]
                here = member.get("nick") or user.get("global_name") or user["username"]
                found = [str(role) for role in member["roles"]]
        except Gone:
            continue
        roles += found
        name = here if len(guilds) == 1 else name
        standing = Standing.MEMBER
    return replace(person, name=name, roles=tuple(roles), standing=standing)
