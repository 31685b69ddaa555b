"""What a person is to the servers that are served, where the event doesn't say: asked once, remembered for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import replace

import discord
import structlog
from cachetools import LRUCache

from bridge.frontends.discord.errors import told_apart
from bridge.inbound import Address, Person, Standing
from bridge.turns.surface import Gone

log = structlog.get_logger()

REMEMBERED = 5_000  # people
REMEMBERED_FOR = 600.0  # seconds until a role that was given or taken is known
MAX_SERVERS = 10  # asked about one person


class Members:
    """`serves` says of a server's id whether it is served, so that its members may write directly."""

    def __init__(self, serves: Callable[[str], bool], clock: Callable[[], float] = time.monotonic) -> None:
        self._serves = serves
        self._clock = clock
        self._known: MutableMapping[tuple[str, str], tuple[Person, float]] = LRUCache(REMEMBERED)

    async def identify(self, client: discord.Client, person: Person, address: Address) -> Person:
        """The person with a standing, and with the roles in the server; in a direct message with those in all servers
        that are served. Raises a `SurfaceError` where Discord can't be asked."""
        key = person.id, address.workspace
        known = self._known.get(key)
        if known is None or self._clock() >= known[1]:
            roles, standing = await self._ask(int(person.id), self._guilds(client, address))
            found = replace(person, roles=roles, standing=standing)
            known = self._known[key] = found, self._clock() + REMEMBERED_FOR
        return replace(person, roles=known[0].roles, standing=known[0].standing)

    def _guilds(self, client: discord.Client, address: Address) -> Sequence[discord.Guild]:
        if address.workspace:
            guild = client.get_guild(int(address.workspace))
            return [] if guild is None else [guild]
        guilds = [one for one in client.guilds if self._serves(str(one.id))]
        if len(guilds) > MAX_SERVERS:
            log.info("discord.servers_not_asked", count=len(guilds) - MAX_SERVERS)
        return guilds[:MAX_SERVERS]

    async def _ask(self, user: int, guilds: Sequence[discord.Guild]) -> tuple[tuple[str, ...], Standing]:
        roles: list[str] = []
        standing = Standing.STRANGER
        for guild in guilds:
            try:
                with told_apart("read member"):
                    member = await guild.fetch_member(user)
            except Gone:
                continue
            roles += role_ids(member)
            standing = Standing.MEMBER
        return tuple(roles), standing


def identified(author: discord.User | discord.Member) -> Person:
    """Who wrote or pressed, as far as the event says."""
    if not isinstance(author, discord.Member):
        return Person(str(author.id), author.display_name)
    return Person(str(author.id), author.display_name, roles=role_ids(author), standing=Standing.MEMBER)


def role_ids(member: discord.Member) -> tuple[str, ...]:
    return tuple(str(role.id) for role in member.roles if not role.is_default())
