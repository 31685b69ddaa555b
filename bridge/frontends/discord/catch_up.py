"""What people wrote while nobody listened: where to look for it, and how it is fetched.

The gateway replays to a session that is resumed, and to no other. So after a start, a session that was begun anew,
and whatever the listeners had to leave, the places where the agent talks are read from the newest message on that
is stored: threads touched lately, direct messages, the channels they are in with their other open threads, and the
new posts of forums; at last any other channel with something newer than all that was heard: perhaps a first mention.
What is found there goes the way of a live event. A place that Discord tells nothing new of costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import discord
import structlog

from bridge import metrics
from bridge.backoff import Backoff
from bridge.frontends.discord.calls import Calls, unguarded
from bridge.frontends.discord.errors import UNREADABLE, told_apart
from bridge.frontends.discord.listeners import Listeners
from bridge.frontends.discord.reading import Spot
from bridge.inbound import Address, Seen
from bridge.turns.inbox import Inbox
from bridge.turns.surface import Gone, Refused, Throttled, Unreachable

log = structlog.get_logger()

FIRST_LOOK = timedelta(minutes=6)  # back, where nothing was ever asked; as long as Slack delivers again by itself
MAX_PLACES = 500  # looked into; those touched latest come first
MAX_MESSAGES = 500  # of one place
PAGE = 100  # messages of one request: Discord's most
AT_ONCE = 4  # places that are read at the same time
TRIES = 3  # of one request; then the place waits for the next round
FIRST_PAUSE = 0.5  # seconds
LONGEST_PAUSE = 10.0


@dataclass(frozen=True, slots=True)
class Place:
    """A channel to read, from the message after `after` on."""

    channel: int
    after: int
    spot: Spot | None = None  # None where Discord has to be asked
    since: int = 0  # what nobody called the agent by begins a thread only if it is newer


class CatchUp:
    """One look at everything. `client` is ready, and the listeners' gate may be closed."""

    def __init__(
        self,
        client: discord.Client,
        calls: Calls,
        inbox: Inbox,
        listeners: Listeners,
        oldest: timedelta,
        hears: Callable[[Address], bool],
    ) -> None:
        """`hears`: whether what is written in a thread comes on this connection."""
        self._client = client
        self._calls = calls
        self._inbox = inbox
        self._listeners = listeners
        self._oldest = oldest  # age of what is fetched
        self._hears = hears
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._read = self._taken = 0

    async def run(self) -> None:
        """Returns once every place was read or is left for the next round, in `Listeners.left`."""
        listeners = self._listeners
        seen = await self._seen()
        oldest = discord.utils.time_snowflake(discord.utils.utcnow() - self._oldest)
        places = where_to_look(self._client, seen, listeners.left, oldest, listeners.heard, listeners.newest_heard)
        listeners.left.clear()
        # Each place's lock is asked for before any later event of the place can ask.
        reading = [asyncio.create_task(self._catch_up(place)) for place in places]
        await asyncio.sleep(0)
        listeners.gate.set()
        try:
            await asyncio.gather(*reading)
        finally:
            for task in reading:
                task.cancel()
        log.info("discord.caught_up", places=len(places), messages=self._read, new=self._taken)

    async def _seen(self) -> Sequence[Seen]:
        """Without it nobody knows where to look, and live events have to wait."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            try:
                return [one for one in await self._inbox.seen("discord") if self._hears(one.address)]
            except Exception as error:  # of a database that is away
                log.warning("discord.catch_up_waits", error=type(error).__name__)
                await asyncio.sleep(backoff.pause())

    async def _catch_up(self, place: Place) -> None:
        try:
            async with self._listeners.order.of(place.channel), self._slots:
                await self._take_all(place)
        except (Refused, Gone) as error:  # deleted, or hidden from the bot
            log.info("discord.nothing_to_catch_up", channel=place.channel, reason=str(error))
        except BaseException as error:
            self._listeners.leave(place.channel, place.after + 1)
            if not isinstance(error, Exception):
                raise
            log.warning("discord.catch_up_later", channel=place.channel, error=type(error).__name__)

    async def _take_all(self, place: Place) -> None:
        spot = place.spot or await self._listeners.spot(place.channel)
        if spot is None:
            return
        known = self._client.get_channel(place.channel)
        channel = (
            known
            if isinstance(known, discord.abc.Messageable)
            else self._client.get_partial_messageable(place.channel, guild_id=spot.guild)
        )
        after, count = place.after, 0
        while count < MAX_MESSAGES:
            page = await self._page(channel, after)
            for message in page:
                await self._take(message, spot, place.since)
                self._listeners.read[place.channel] = message.id
            count += len(page)
            if len(page) < PAGE:
                return
            after = page[-1].id
        log.warning("discord.catch_up_cut_off", channel=place.channel, messages=count)

    async def _take(self, message: discord.Message, spot: Spot, since: int) -> None:
        self._read += 1
        new = False
        try:
            new = await self._listeners.consider(message, spot, since=since)
        except UNREADABLE as error:  # one message that breaks us must not hide the others
            log.error("discord.message_dropped", message=message.id, error=type(error).__name__)
        self._taken += new
        metrics.caught_up("discord", 1, int(new))

    async def _page(self, channel: discord.abc.Messageable, after: int) -> Sequence[discord.Message]:
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        for tries_left in reversed(range(TRIES)):
            try:
                with self._calls.guarded(unguarded, urgent=False), told_apart("catch up"):
                    found = channel.history(limit=PAGE, after=discord.Object(after), oldest_first=True)
                    return [message async for message in found]
            except Throttled as error:
                if not tries_left or error.retry_after > LONGEST_PAUSE:
                    raise
                await asyncio.sleep(error.retry_after)
            except Unreachable:
                if not tries_left:
                    raise
                await asyncio.sleep(backoff.pause())
        raise AssertionError("the last try raises")


def where_to_look(
    client: discord.Client,
    seen: Sequence[Seen],
    left: Mapping[int, int],
    oldest: int,
    heard: Mapping[int, int],
    newest_heard: int,
) -> list[Place]:
    """The places that may hold something new, those touched latest first. `heard` is up to where all of a channel
    was heard, and `newest_heard` up to where all of all."""
    places: dict[int, Place] = {}
    known: set[int] = set()

    def look(channel: int, after: int, spot: Spot | None, since: int = 0) -> None:
        before = places.get(channel)
        after = max(after, oldest)
        if before is None or after < before.after:
            places[channel] = Place(channel, after, spot, since)

    for channel, first in left.items():
        look(channel, first - 1, None)
    for one in seen:
        thread, newest = int(one.address.thread), int(one.newest)
        known.add(thread)
        if one.direct:
            look(thread, newest, Spot("direct", None, thread))
            continue
        guild, parent = int(one.address.workspace), int(one.address.channel)
        if one.address.is_flat:
            if _has_news(client, parent, guild, max(newest, heard.get(parent, 0))):
                look(parent, newest, Spot("channel", guild, parent))
            continue
        if _has_news(client, thread, guild, max(newest, heard.get(thread, 0))):
            look(thread, newest, Spot("thread", guild, thread, parent))
    for parent, (guild, root) in _parents(seen).items():
        known.add(parent)
        here = client.get_channel(parent)
        after = max(root, heard.get(parent, 0))
        if not isinstance(here, discord.ForumChannel) and _has_news(client, parent, guild, after):
            look(parent, root, Spot("channel", guild, parent))
        for post in _threads(client, guild, parent):
            if post.id not in known and (post.last_message_id or 0) > oldest:
                look(post.id, oldest, Spot("thread", guild, post.id, parent), root)
            known.add(post.id)
    newest = max([newest_heard, *(int(one.newest) for one in seen)])
    since = newest or discord.utils.time_snowflake(discord.utils.utcnow() - FIRST_LOOK)
    for channel, spot in _others(client, known, since):
        look(channel, since, spot)
    if len(places) > MAX_PLACES:
        log.warning("discord.catch_up_cut_off", places=len(places) - MAX_PLACES)
    return list(places.values())[:MAX_PLACES]


def _parents(seen: Iterable[Seen]) -> dict[int, tuple[int, int]]:
    """The channels of threads, each with its guild and the newest message in it that began one."""
    parents: dict[int, tuple[int, int]] = {}
    for one in seen:
        if not one.direct:
            parent = int(one.address.channel)
            began = int(one.newest if one.address.is_flat else one.address.thread)
            root = max(parents.get(parent, (0, 0))[1], began)
            parents[parent] = int(one.address.workspace), root
    return parents


def _has_news(client: discord.Client, channel: int, guild: int, newest: int) -> bool:
    """Whether a channel holds a later message than this, by what Discord told of it at the start. One of ours counts
    too unless it was heard: a person may have written before it."""
    here = client.get_channel(channel)
    if here is None:  # of a guild that is there, all open threads are known: this one is archived, or never was
        there = client.get_guild(guild)
        return there is None or there.unavailable
    last = getattr(here, "last_message_id", None)
    return last is not None and last > newest


def _threads(client: discord.Client, guild: int, parent: int) -> Sequence[discord.Thread]:
    there = client.get_guild(guild)
    threads = there.threads if there else ()
    return sorted((one for one in threads if one.parent_id == parent), key=lambda one: -one.id)


def _others(client: discord.Client, known: set[int], since: int) -> Iterator[tuple[int, Spot]]:
    """Channels and threads that the agent has no conversation in, with something new that it may read, newest
    first."""
    found: list[tuple[int, int, Spot]] = []
    for guild in client.guilds:
        here: list[discord.TextChannel | discord.Thread] = [*guild.text_channels, *guild.threads]
        for channel in here:
            last = channel.last_message_id or 0
            if last > since and channel.id not in known and _may_read(channel):
                parent = channel.parent_id if isinstance(channel, discord.Thread) else None
                spot = Spot("channel" if parent is None else "thread", guild.id, channel.id, parent)
                found.append((last, channel.id, spot))
    return ((channel, spot) for _, channel, spot in sorted(found, key=lambda one: -one[0]))


def _may_read(channel: discord.TextChannel | discord.Thread) -> bool:
    me: discord.Member | None = channel.guild.me  # None as long as Discord hasn't told
    return me is None or channel.permissions_for(me).read_message_history
