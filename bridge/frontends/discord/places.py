"""Where the messages of a thread go, and the thread made if it doesn't exist yet."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass

import discord
import structlog

from bridge.frontends.discord.errors import (
    MISSING_ACCESS,
    THREAD_EXISTS,
    TITLE_BLOCKED,
    UNKNOWN_MESSAGE,
    code_of,
)
from bridge.frontends.discord.messages import text
from bridge.frontends.discord.reading import NAMELESS, thread_name
from bridge.frontends.discord.rest import Rest, Room
from bridge.inbound import Address
from bridge.turns.surface import Gone, Refused, Unreachable

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Place:
    """A channel to post in. Where no thread could be made, every message of ours replies to `root`. `new`: the
    thread was perhaps made just now."""

    channel: int
    root: int | None = None
    new: bool = False


class Places:
    """Finds or makes the place of one thread. `names` knows what the latest questions' threads are called."""

    def __init__(
        self, client: discord.Client, rest: Rest, address: Address, names: MutableMapping[int, str]
    ) -> None:
        self._client = client
        self._rest = rest
        self._thread, self._channel = int(address.thread), int(address.channel)
        self._guild = int(address.workspace) if address.workspace else None
        self._names = names
        self.marked = False  # whether a question that was read again carries our mark of waiting

    def known(self) -> Place | None:
        """The place, where nothing has to be made."""
        thread, channel = self._thread, self._channel
        if thread == channel or self._client.get_channel(thread) is not None or self.in_forum:
            return Place(thread)
        if isinstance(self._client.get_channel(channel), discord.VoiceChannel | discord.StageChannel):
            return Place(channel, root=thread)
        return None

    async def open(self, waiting_mark: str) -> Place:
        """Makes the thread from the question that it is named after, if need be; may be repeated. Raises a
        `SurfaceError` for what a repeat can mend, and `Gone` where the bot can't see the channel; what is deleted
        shows when it is used."""
        if (place := self.known()) is not None:
            return place
        if self._guild is not None and self._client.is_ready() and self._client.get_guild(self._guild) is None:
            raise Gone("open thread: not in this server")  # all servers are known: this one has put the bot out
        name = self._names.get(self._thread)
        if name is None:
            try:
                question = await self._rest.message(self.room(self._channel), self._thread)
            except Gone as error:
                if code_of(error) != UNKNOWN_MESSAGE:
                    raise
                return Place(self._thread)  # a thread that wasn't made from a message, or whose message is gone
            if self._client.user is None:
                raise Unreachable("not logged in")
            self.marked = any(one.me and str(one.emoji) == waiting_mark for one in question.reactions)
            if question.flags.has_thread:
                return Place(self._thread, new=True)
            name = thread_name(text(question, self._client.user), question.author.display_name)
        return await self._make(name)

    async def _make(self, name: str) -> Place:
        try:
            try:
                await self._rest.start_thread(self._channel, self._thread, name)
            except Refused as error:
                if code_of(error) != TITLE_BLOCKED:
                    raise
                await self._rest.start_thread(self._channel, self._thread, NAMELESS)
        except (Gone, Refused) as error:
            code = code_of(error)
            if code in (THREAD_EXISTS, UNKNOWN_MESSAGE):
                return Place(self._thread, new=True)
            if code == MISSING_ACCESS:
                raise
            log.info("discord.no_thread", channel=self._channel, code=code)
            return Place(self._channel, root=self._thread)
        return Place(self._thread, new=True)

    @property
    def in_forum(self) -> bool:
        """Its posts are never made from messages."""
        return isinstance(self._client.get_channel(self._channel), discord.ForumChannel)

    def room(self, channel: int) -> Room:
        """A channel to read in."""
        known = self._client.get_channel(channel)
        if isinstance(known, discord.TextChannel | discord.Thread):
            return known
        return self._client.get_partial_messageable(channel, guild_id=self._guild)
