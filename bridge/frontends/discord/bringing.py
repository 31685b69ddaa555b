"""A file of a conversation, to the one person who wants it."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from functools import partial

import discord
import structlog

from bridge.frontends.common.asking import Asking
from bridge.frontends.common.progress import bar
from bridge.frontends.discord.errors import SDK_ERRORS, UNREADABLE, told_apart
from bridge.frontends.discord.rest import Json, Rest
from bridge.frontends.discord.surface import MAX_DIRECT_FILE
from bridge.frontends.discord.telling import SILENT, SUPPRESS_EMBEDS, plain
from bridge.turns.inbox import Order
from bridge.turns.progress import Progress, counted, watched

log = structlog.get_logger()

PATIENCE = 5.0  # seconds that an edit of the bar may take
NOT_DONE = "That didn't work. Please try again."


async def bring(asking: Asking, interaction: discord.Interaction, order: Order) -> None:
    """As the answer to a command, which is deferred already; or a sentence where it can't be had. Meanwhile the answer
    is a bar, if the file is large. Never raises."""
    progress = Progress()
    shows_bar = False
    sentence: str | None = None

    async def show(line: str) -> None:
        nonlocal shows_bar
        shows_bar = True
        await _edit(interaction, line)

    try:
        async with (
            watched(partial(bar, progress), show),
            asking.download(order, interaction.filesize_limit, progress) as found,
        ):
            if isinstance(found, str):
                sentence = plain(found)
            else:
                progress.sends(found.size)
                with told_apart("send file"), counted(found.path, progress) as content, ExitStack() as closing:
                    file = discord.File(content, filename=found.name)
                    closing.callback(file.close)  # it keeps others from closing its content
                    await interaction.edit_original_response(content=None, attachments=[file])
    except Exception as error:
        log.error("discord.file_not_brought", error=type(error).__name__)
        sentence = NOT_DONE
    if sentence is not None or shows_bar:  # the bar may have been shown once more while the file arrived
        await _edit(interaction, sentence)


async def bring_directly(asking: Asking, rest: Rest, order: Order, key: str) -> None:
    """Into the person's direct messages with the bot, for who can't be answered privately. `key` names the delivery,
    so that it comes once. Raises a `SurfaceError`."""
    async with asking.download(order, MAX_DIRECT_FILE, Progress()) as found:
        channel = await rest.direct_channel(order.person.id)
        payload: Json = {"flags": SUPPRESS_EMBEDS | SILENT, "nonce": key[:25], "enforce_nonce": True}
        if isinstance(found, str):
            await rest.send(channel, {**payload, "content": plain(found)})
        else:
            await rest.send(channel, payload, [found])


async def _edit(interaction: discord.Interaction, content: str | None) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            await interaction.edit_original_response(content=content)
    except (*SDK_ERRORS, *UNREADABLE, TimeoutError) as error:
        log.info("discord.bar_not_shown", error=type(error).__name__)
