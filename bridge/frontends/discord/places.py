"""Where the messages of a thread go, and the thread made if it doesn't exist yet."""

from __future__ import annotations

from dataclasses import dataclass

import discord
import structlog

from bridge.frontends.discord.errors import THREAD_EXISTS, told_apart
from bridge.frontends.discord.messages import text
from bridge.frontends.discord.reading import thread_name
from bridge.inbound import Address
from bridge.turns.surface import Gone, Unreachable

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Place:
    """A channel to post in. Where no thread could be made, every message of ours replies to `root`."""

    channel: int
    root: int | None = None


async def open_place(client: discord.Client, address: Address) -> Place:
    """The place of a thread. Makes the thread from the question that it is named after, if need be; may be
    repeated. Raises a `SurfaceError` for what a repeat can mend, and `Gone` where the bot is no longer in the
    server; what is deleted shows when it is used."""
    thread, channel = int(address.thread), int(address.channel)
    if thread == channel or client.get_channel(thread) is not None:
        return Place(thread)
    parent = client.get_channel(channel)
    if isinstance(parent, discord.ForumChannel):
        return Place(thread)  # posts are never made from messages
    if isinstance(parent, discord.VoiceChannel | discord.StageChannel):
        return Place(channel, root=thread)
    return await _make_thread(client, address)


async def _make_thread(client: discord.Client, address: Address) -> Place:
    thread, channel = int(address.thread), int(address.channel)
    guild = client.get_guild(int(address.workspace))
    me = client.user
    if guild is None or me is None:
        if client.is_ready():  # all servers are known by then: this one has put the bot out
            raise Gone("open thread: not in this server")
        raise Unreachable("open thread: the server is not known yet")
    with told_apart("open thread"):
        try:
            question = await client.get_partial_messageable(channel, guild_id=guild.id).fetch_message(thread)
        except discord.NotFound:
            return Place(thread)  # a thread that wasn't made from a message, or whose message is gone
        if question.flags.has_thread:
            return Place(thread)
        try:
            await question.create_thread(name=thread_name(text(question, me), question.author.display_name))
        except discord.HTTPException as error:
            if error.code == THREAD_EXISTS:
                return Place(thread)
            if error.status >= 500 or error.status in (401, 429):
                raise
            log.info("discord.no_thread", channel=channel, status=error.status, code=error.code)
            return Place(channel, root=thread)
    return Place(thread)
