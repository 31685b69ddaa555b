"""Shards of Discord's gateway, shared out among replicas: the values, what is asked of the database, and the one
decision. Knows neither of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

GUILD_SHIFT = 22  # bits of an id that say nothing of when it was made
DIRECT = 0  # the shard that hears direct messages
MAX_SHARDS = 1_024


@dataclass(frozen=True, slots=True)
class Session:
    """What resumes a session of the gateway, from any process."""

    id: str
    sequence: int
    url: str
    intents: int  # which events it was begun for: resumed, it gets no others


@dataclass(frozen=True, slots=True)
class Held:
    """A shard, and who serves it."""

    number: int
    owner: str | None
    token: int  # grows with every claim


@dataclass(frozen=True, slots=True)
class Claimed:
    """A shard that is ours, with the session that its last owner left."""

    number: int
    token: int
    session: Session | None


@dataclass(frozen=True, slots=True)
class Sharing:
    """How things stand."""

    count: int  # shards that all replicas serve together
    servers: Sequence[str]  # live replicas that serve shards, this one too
    shards: Sequence[Held]


class ShardDesk(Protocol):
    """The shards of one application in the database, for one replica. Every method raises the store's error while the
    database is away, and may be repeated."""

    replica: str

    async def agree(self, application: str, count: int, *, exact: bool) -> int:
        """Have all replicas serve so many shards, or more if more were agreed on; `exact`: so many. What they serve
        now, of another count, is lost to them."""
        ...

    async def look(self, application: str) -> Sharing:
        """Counts this replica among those that serve."""
        ...

    async def claim(self, application: str, count: int, shard: Held) -> Claimed | None:
        """None where it isn't as it was seen any more."""
        ...

    async def keep(self, application: str, shard: Claimed, session: Session | None) -> bool:
        """Store how far the session was heard. Whether the shard is ours; if not, nothing is stored."""
        ...

    async def give_back(self, application: str, shard: Claimed, session: Session | None) -> None:
        """Let another replica have it. None leaves the session as it was stored last."""
        ...

    async def leave(self, application: str) -> None:
        """This replica serves no more."""
        ...

    async def start_in(self, application: str, bucket: int, apart: float) -> float:
        """Take the next slot to begin a session in: the seconds until it. Slots lie `apart` seconds apart."""
        ...


def shard_of(guild: int | None, count: int) -> int:
    """The shard that hears a server; None for direct messages."""
    return DIRECT if guild is None else (guild >> GUILD_SHIFT) % count


def share_out(owners: Mapping[int, str | None], servers: Collection[str]) -> dict[int, str]:
    """Who should serve which shard: as many for each as for any other, or one more, with the fewest moves. The same for
    whoever computes it."""
    if not servers:
        return {}
    kept: dict[str, list[int]] = {server: [] for server in sorted(servers)}
    free: list[int] = []
    for number in sorted(owners):
        kept.get(owners[number] or "", free).append(number)
    least, more = divmod(len(owners), len(kept))
    by_most = sorted(kept, key=lambda server: (-len(kept[server]), server))
    quotas = {server: least + (place < more) for place, server in enumerate(by_most)}
    for server in by_most:
        free += kept[server][quotas[server] :]
        del kept[server][quotas[server] :]
    free.sort(reverse=True)
    for server in by_most:
        while len(kept[server]) < quotas[server]:
            kept[server].append(free.pop())
    return {number: server for server, numbers in kept.items() for number in numbers}
