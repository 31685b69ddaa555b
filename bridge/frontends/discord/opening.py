"""The agent speaks first on Discord: a message in a channel with a thread made from it, a forum's post, or a direct
message."""

from __future__ import annotations

from datetime import UTC, datetime

import discord

from bridge.frontends.discord.messages import may_be_part
from bridge.frontends.discord.places import Places
from bridge.frontends.discord.reading import thread_name
from bridge.frontends.discord.rest import Json, Rest
from bridge.frontends.discord.surface import MAX_DIRECT_FILE, NONCE_LIVES, SEARCHED, Connection, style
from bridge.frontends.discord.telling import SUPPRESS_EMBEDS, WAITING
from bridge.inbound import Address
from bridge.turns.surface import Gone, Guard, PartKey, Refused, Unreachable

POSTS = 10  # newest posts of a forum whose first message is read, to find one again


def guild_of(client: discord.Client, channel: str) -> str:
    """See `Speaks.workspace`. A channel's id that isn't a number is no channel's."""
    found = client.get_channel(int(channel)) if channel.isascii() and channel.isdecimal() else None
    if isinstance(found, discord.abc.GuildChannel | discord.Thread):
        return str(found.guild.id)
    if found is None and (not client.is_ready() or any(guild.unavailable for guild in client.guilds)):
        raise Unreachable("Discord hasn't said yet which channels there are")
    raise Gone("no such channel in any server of the bot")


class DiscordOpening:
    """Implements `bridge.turns.surface.Opening`."""

    def __init__(self, connection: Connection, channel: str, person: str, *, guard: Guard) -> None:
        self._connection = connection
        self._client = connection.client
        self._rest = Rest(self._client, connection.calls, guard)
        self._person = person
        self._place = "" if person else channel
        self._guild = ""  # once it is known
        self._channel = 0 if person else int(channel)
        self.style = style(MAX_DIRECT_FILE)

    async def locate(self) -> Address | None:
        """A person's direct messages are one thread, and a thread is one already."""
        if self._person:
            direct = str(await self._rest.direct_channel(self._person))
            return Address("discord", "", direct, direct)
        await self._know()
        match self._client.get_channel(self._channel):
            case discord.Thread() as thread:
                return Address("discord", self._guild, str(thread.parent_id), str(thread.id))
            case discord.CategoryChannel():
                raise Refused("a category holds no messages")
        return None

    def moment(self, at: float) -> str:
        return str(discord.utils.time_snowflake(datetime.fromtimestamp(at, UTC)))

    async def find(self, key: PartKey, text: str, since: float) -> str | None:
        """By the nonce where this process heard it. What is younger than `NONCE_LIVES` isn't guessed at: a repeated
        post gives it back. Later it is our first message with this text that nobody knows by a nonce."""
        if (echoed := self._connection.echoes.message(key.nonce)) is not None:
            return str(echoed)
        await self._know()
        if self._is_forum:
            return await self._find_post(text, int(self.moment(since)))
        room = self._places(0).room(self._channel)
        guessable = discord.utils.utcnow() - NONCE_LIVES
        async for message in self._rest.history(room, limit=SEARCHED, after=int(self.moment(since))):
            if self._is_it(message, text) and message.created_at <= guessable:
                return str(message.id)
        return None

    async def post(self, key: PartKey, text: str, title: str) -> str:
        payload: Json = {"content": text, "flags": SUPPRESS_EMBEDS}
        await self._know()
        async with self._connection.calls.slot(urgent=True):
            if self._is_forum:
                message = await self._rest.start_post(self._channel, _name(title, text), payload)
            else:
                payload |= {"nonce": key.nonce, "enforce_nonce": True}
                message = int((await self._rest.send(self._channel, payload)).id)
        self._connection.echoes.add(key.nonce, message)
        return str(message)

    async def open(self, message_id: str, title: str) -> Address:
        """Where no thread can be made, people reply to the message."""
        await self._know()
        address = Address("discord", self._guild, str(self._channel), message_id)
        if title:
            self._connection.names[int(message_id)] = _name(title, "")
        await self._places(int(message_id)).open(WAITING)
        return address

    async def _find_post(self, text: str, after: int) -> str | None:
        threads = await self._rest.active_threads(int(self._guild))
        ours = (one for one in threads if one.get("parent_id") == str(self._channel))
        posts = sorted((int(one["id"]) for one in ours if one.get("owner_id") == str(self._me.id)), reverse=True)
        for post in (one for one in posts[:POSTS] if one > after):
            try:
                if self._is_it(await self._rest.message(self._places(post).room(post), post), text):
                    return str(post)
            except Gone:
                continue
        return None

    def _is_it(self, message: discord.Message, text: str) -> bool:
        ours = message.author.id == self._me.id and may_be_part(message)
        return (
            ours and message.content.strip() == text.strip() and self._connection.echoes.nonce(message.id) is None
        )

    async def _know(self) -> None:
        if self._place:
            self._guild = await self._connection.know(channel=self._place)

    @property
    def _is_forum(self) -> bool:
        return isinstance(self._client.get_channel(self._channel), discord.ForumChannel)

    @property
    def _me(self) -> discord.ClientUser:
        if self._client.user is None:
            raise Unreachable("not logged in")
        return self._client.user

    def _places(self, message: int) -> Places:
        address = Address("discord", self._guild, str(self._channel), str(message))
        return Places(self._client, self._rest, address, self._connection.names)


def _name(title: str, text: str) -> str:
    return thread_name(title or text, "an agent")
