"""This replica's share of the shards: taken, served, handed over, given up.

Each replica looks at all shards twice a second and comes to the same even share. It takes what is its own and free,
and gives back what is another's; whoever is dead has left its shards free. Nothing here is told between replicas.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import discord
import structlog

from bridge.backoff import Backoff
from bridge.frontends.discord.gateway import NotOurs, Starts
from bridge.frontends.discord.served import Bot, Served
from bridge.sharding import Claimed, Held, Session, ShardDesk, shard_of, share_out

log = structlog.get_logger()

LOOK = 0.5  # seconds between two looks at who serves what
KEEP = 4  # looks between two times that the place in the sessions is stored
APART = 5.0  # seconds between two sessions of a bucket (documented)
END_WITHIN = 5.0  # seconds for the database to hear at the end that all shards are given back
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0  # seconds between two tries while the database is away


@dataclass(slots=True)
class _Share:
    """A shard that is served here."""

    claimed: Claimed
    served: Served
    task: asyncio.Task[None]
    kept: Session | None = None  # as it stands in the database


class _Leave:
    """Leave for one shard's connections: only while it is ours, and in its turn."""

    def __init__(self, desk: ShardDesk, application: str, claimed: Claimed) -> None:
        self._desk = desk
        self._application = application
        self._claimed = claimed

    async def connect(self) -> None:
        """A process that was frozen, or cut off, would take the session from whoever serves the shard now."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            try:
                if not await self._desk.keep(self._application, self._claimed, None):
                    raise NotOurs
                return
            except NotOurs:
                raise
            except Exception as error:  # of a database that is away
                log.warning("discord.shard_waits", shard=self._claimed.number, error=type(error).__name__)
                await asyncio.sleep(backoff.pause())

    async def begin(self, starts: Starts | None) -> None:
        at_once = 1 if starts is None else starts.at_once
        bucket = self._claimed.number % at_once
        if (pause := await self._desk.start_in(self._application, bucket, APART)) > 0:
            log.info("discord.shard_waits_its_turn", shard=self._claimed.number, pause=round(pause, 1))
            await asyncio.sleep(pause)
        await self.connect()


class Shards:
    """`run` may be called once."""

    def __init__(self, desk: ShardDesk, bot: Bot, application: str, count: int, *, exact: bool) -> None:
        """`count`: of all replicas together, or more if they agreed on more; `exact`: so many, and all follow."""
        self._desk = desk
        self._bot = bot
        self._application = application
        self._count = count
        self._exact = exact
        self._shares: dict[int, _Share] = {}
        self._leaving: dict[
            int, tuple[Claimed, Session | None]
        ] = {}  # not given back yet, as the database was away
        self._looked = False

    async def run(self) -> None:
        """Raises `ConfigurationError`, and `ShardsRequired` where Discord wants more."""
        looks = 0
        try:
            while True:
                try:
                    if not looks:
                        self._count = await self._desk.agree(self._application, self._count, exact=self._exact)
                    await self._keep(all_of_them=looks % KEEP == 0)
                    await self._look()
                    looks += 1
                except Exception as error:  # of a database that is away
                    log.warning("discord.shards_wait", error=type(error).__name__)
                await self._until_next()
        finally:
            await asyncio.shield(asyncio.ensure_future(self._end()))

    @property
    def served(self) -> Sequence[Served]:
        return [share.served for share in self._shares.values()]

    def client(self, guild: int) -> discord.Client | None:
        """The client whose gateway tells of a server, once it knows that one."""
        share = self._shares.get(shard_of(guild, self._count))
        client = share.served.client if share is not None else None
        known = client.get_guild(guild) if client is not None else None
        return client if known is not None and not known.unavailable else None

    def trouble(self) -> str | None:
        if not self._looked:
            return "not sharing shards yet"
        for number, share in sorted(self._shares.items()):
            if (trouble := share.served.trouble()) is not None:
                return f"shard {number} of {self._count}: {trouble}"
        return None

    async def _until_next(self) -> None:
        """Ends early, with its error, when a shard can't be served any more."""
        tasks = [share.task for share in self._shares.values()]
        if not tasks:
            await asyncio.sleep(LOOK)
            return
        ended, _ = await asyncio.wait(tasks, timeout=LOOK, return_when=asyncio.FIRST_EXCEPTION)
        for number, share in list(self._shares.items()):
            if share.task in ended:
                del self._shares[number]
                with suppress(NotOurs):
                    share.task.result()
                log.warning("discord.shard_lost", shard=number)

    async def _look(self) -> None:
        await self._give_back(())
        sharing = await self._desk.look(self._application)
        if sharing.count != self._count:
            log.warning("discord.shards_recounted", before=self._count, now=sharing.count)
            await self._drop(list(self._shares))
            self._count = sharing.count
        seen = {one.number: one for one in sharing.shards}
        lost = [number for number, share in self._shares.items() if not self._is_ours(seen.get(number), share)]
        await self._drop(lost)
        shares = share_out({one.number: one.owner for one in sharing.shards}, sharing.servers)
        await self._give_back([number for number in self._shares if shares.get(number) != self._desk.replica])
        for number, server in sorted(shares.items()):
            owner = seen[number].owner
            is_free = owner is None or owner not in sharing.servers or owner == self._desk.replica
            if server == self._desk.replica and number not in self._shares and is_free:
                await self._take(seen[number])
            elif (
                owner == self._desk.replica != server and number not in self._shares
            ):  # claimed without hearing of it
                await self._desk.give_back(self._application, Claimed(number, seen[number].token, None), None)
        self._looked = True

    def _is_ours(self, held: Held | None, share: _Share) -> bool:
        return held is not None and held.owner == self._desk.replica and held.token == share.claimed.token

    async def _take(self, held: Held) -> None:
        claimed = await self._desk.claim(self._application, self._count, held)
        if claimed is None:
            return
        log.info("discord.shard_taken", shard=held.number, shards=self._count, resumes=claimed.session is not None)
        leave = _Leave(self._desk, self._application, claimed)
        served = Served(self._bot, leave, (held.number, self._count), claimed.session)
        task = asyncio.create_task(served.run(), name=f"discord.shard {held.number}")
        self._shares[held.number] = _Share(claimed, served, task)

    async def _keep(self, *, all_of_them: bool) -> None:
        """Store how far each session was heard; else a new session only."""
        for number, share in list(self._shares.items()):
            session = await share.served.stored()
            is_new = session is not None and (share.kept is None or share.kept.id != session.id)
            if session is None or session == share.kept or not (is_new or all_of_them):
                continue
            if await self._desk.keep(self._application, share.claimed, session):
                share.kept = session
            else:
                await self._drop([number])

    async def _drop(self, numbers: Sequence[int]) -> None:
        """They are another replica's: close, and store nothing."""
        for number in numbers:
            log.warning("discord.shard_lost", shard=number)
        await self._stop(numbers)

    async def _give_back(self, numbers: Sequence[int]) -> None:
        await self._stop(numbers, leaves=True)
        for number, (claimed, session) in list(self._leaving.items()):
            await self._desk.give_back(self._application, claimed, session)
            del self._leaving[number]
            log.info("discord.shard_given_back", shard=number, resumable=session is not None)

    async def _stop(self, numbers: Sequence[int], *, leaves: bool = False) -> None:
        tasks = [self._shares[number].task for number in numbers]
        for task in tasks:
            if not task.cancelling():  # a second time would cut its end short
                task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for number in numbers:
            share = self._shares.pop(number)
            if not share.task.cancelled():
                share.task.exception()  # seen: it ended as it was told to
            if leaves:
                self._leaving[number] = share.claimed, share.served.final

    async def _end(self) -> None:
        await self._stop(list(self._shares), leaves=True)
        try:
            async with asyncio.timeout(END_WITHIN):
                await self._give_back(())
                await self._desk.leave(self._application)
        except Exception as error:  # the others find out by themselves
            log.warning("discord.shards_not_given_back", error=type(error).__name__)
