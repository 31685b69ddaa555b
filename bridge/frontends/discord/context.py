"""What was written in a thread before the agent was called, and the attachments of messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import discord

from bridge.frontends.discord import messages
from bridge.frontends.discord.files import Downloads, FileId, has_expired
from bridge.frontends.discord.places import Place, Places
from bridge.frontends.discord.rest import Rest, Room
from bridge.inbound import Address, ContextMessage, RemoteFile
from bridge.turns.surface import Gone, Guard

EARLIER = 50  # messages of context, of the 100 that one request can give


async def earlier(
    rest: Rest, places: Places, place: Place, address: Address, me: discord.ClientUser, before: int
) -> Sequence[ContextMessage]:
    """At most `EARLIER` messages, with the one that the thread was made from and the one replied to."""
    thread, parent = int(address.thread), int(address.channel)
    found: dict[int, discord.Message] = {}
    # Where the channel itself is the conversation, only what is replied to: the rest of its talk is the others'.
    begins_thread = (before == thread and not places.in_forum) or (address.is_flat and bool(address.workspace))
    here = places.room(parent if begins_thread else place.channel)
    if not begins_thread and place.root is None:
        async for message in rest.history(here, limit=EARLIER, before=before):
            found[message.id] = message
        if thread not in (parent, before):
            found |= await _message(rest, places.room(thread if places.in_forum else parent), thread)
    for message in (await _message(rest, here, before)).values():
        replied = message.reference.resolved if message.reference else None
        if isinstance(replied, discord.Message):
            found[replied.id] = replied
    context = (messages.said(found[number], me) for number in sorted(found))
    return [one for one in context if one is not None]


async def fetch(
    rest: Rest, places: Places, downloads: Downloads, file: RemoteFile, to: Path, max_bytes: int, guard: Guard
) -> None:
    """An attachment, by a new address if the one we have has expired."""
    name = FileId.read(file.id)
    renewed = name is not None and has_expired(file.url)
    if name is not None and renewed:
        file = await _renewed(rest, places, name, file)
    try:
        await downloads.fetch(file, to, max_bytes, guard)
    except Gone:
        if name is None or renewed:
            raise
        await downloads.fetch(await _renewed(rest, places, name, file), to, max_bytes, guard)


async def _renewed(rest: Rest, places: Places, name: FileId, file: RemoteFile) -> RemoteFile:
    """Discord signs the addresses of a message's attachments anew for each reading of it."""
    message = await rest.message(places.room(name.channel), name.message)
    for attachment in messages.attachments(message):
        if attachment.id == name.attachment:
            return replace(file, url=attachment.url)
    raise Gone("fetch: the message has lost its file")


async def _message(rest: Rest, channel: Room, message_id: int) -> dict[int, discord.Message]:
    try:
        message = await rest.message(channel, message_id)
    except Gone:
        return {}
    return {message.id: message}
