"""A thread of Discord as the reply sees it: whole-text edits, sends made harmless to repeat by their nonce."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Protocol, TypedDict

import discord
import structlog

from bridge.frontends.discord import messages
from bridge.frontends.discord.echoes import Echoes
from bridge.frontends.discord.errors import ARCHIVED, THREAD_LOCKED, told_apart
from bridge.frontends.discord.files import Downloads, as_sdk_files
from bridge.frontends.discord.places import Place, open_place
from bridge.frontends.discord.reading import custom_id
from bridge.frontends.discord.typing_sign import TypingSign
from bridge.inbound import Address, ContextMessage, RemoteFile
from bridge.render.discord import DISCORD
from bridge.render.measure import utf16
from bridge.render.style import Style
from bridge.turns.surface import Button, Gone, PartFull, PartKey, Throttled, Unreachable, Upload

log = structlog.get_logger()

MAX_TEXT = 2000  # UTF-16 units of one message
MAX_FILES = 10  # attachments of one message
MAX_DIRECT_FILE = 10 * 1024 * 1024  # bytes of one file in a direct message; servers have a limit by their boosts
INTERVAL = 1.1  # seconds: about 5 sends and edits in 5 s and channel
EARLIER = 50  # messages of context, of the 100 that one request can give
OLD = timedelta(hours=1)  # of a message: from then on Discord takes few edits of it (30046)
OLD_EDIT_PAUSE = 60.0  # seconds: it doesn't say how many in what time
NONCE_LIVES = timedelta(minutes=1)  # at least: documented are "the past few minutes"
SEARCHED = 100  # messages looked through for a lost part: one request

BUTTON_STYLES = {
    "stop": discord.ButtonStyle.danger,
    "again": discord.ButtonStyle.primary,
    "leave": discord.ButtonStyle.secondary,
}


class Connection(Protocol):
    """What a surface needs of the front end that made it."""

    downloads: Downloads
    echoes: Echoes

    @property
    def client(self) -> discord.Client:
        """The client, logged in. Raises `Unreachable` while there is none."""
        ...

    def keep(self, address: Address, task: asyncio.Task[None]) -> None:
        """Cancel this task of a thread when its next turn or the end of serving comes, unless it ended before."""
        ...


class DiscordSurface:
    """One turn's view of its thread. The thread itself is made when it is first used."""

    def __init__(self, connection: Connection, address: Address, *, max_file_bytes: int) -> None:
        self._connection = connection
        self._address = address
        self._place: Place | None = None
        self._opening = asyncio.Lock()
        self._typing = TypingSign(self._type, partial(connection.keep, address))
        self.style = Style(
            dialect=DISCORD,
            limit=MAX_TEXT,
            measure=utf16,
            interval=INTERVAL,
            appends=False,
            max_files=MAX_FILES,
            max_file_bytes=max_file_bytes,
        )

    async def working(self, label: str | None) -> None:
        """Discord shows that someone types, and no words with it."""
        if label is None:
            self._typing.stop()
        else:
            self._typing.start()

    async def post(
        self,
        key: PartKey,
        text: str,
        *,
        last: bool,
        buttons: Sequence[Button] = (),
    ) -> str:
        message = await self._send(key, text, (), buttons)
        if message.content.strip() != text.strip() or len(message.components) != (1 if buttons else 0):
            # The nonce gave back what an earlier try posted, when less of the text was known.
            await self.edit(key, str(message.id), text, shown=None, last=last, buttons=buttons)
        return str(message.id)

    async def edit(
        self,
        key: PartKey,  # noqa: ARG002
        message_id: str,
        text: str,
        *,
        shown: str | None,
        last: bool,
        buttons: Sequence[Button] = (),
    ) -> None:
        """Discord takes few edits of a message that is over an hour old. Such a part takes no more live text:
        `PartFull`; its last edit waits until there is room again: `Throttled`."""
        if text == shown and not last:
            return
        message = (await self._channel_of_thread()).get_partial_message(int(message_id))
        try:
            with told_apart("edit"):
                await self._reopened(lambda: message.edit(content=text, view=_view(buttons)))
        except PartFull as error:
            if last:
                raise Throttled(str(error), OLD_EDIT_PAUSE) from error
            raise
        except Throttled as error:
            # By a 429 as well, of which discord.py leaves no more than the delay.
            if last or discord.utils.utcnow() - message.created_at < OLD:
                raise
            raise PartFull(f"{error}, for an old message") from error

    async def delete(self, message_id: str) -> None:
        message = (await self._channel_of_thread()).get_partial_message(int(message_id))
        with told_apart("delete"):
            try:
                await self._reopened(message.delete)
            except discord.NotFound:
                return

    async def upload(self, key: PartKey, files: Sequence[Upload], text: str = "") -> str:
        return str((await self._send(key, text, files, ())).id)

    async def find(self, key: PartKey, *, after: str, known: Collection[str]) -> str | None:
        """By the nonce where this process heard it; else the first message of ours that can't be another part.
        What is younger than `NONCE_LIVES` isn't guessed at: a repeated post gives it back for certain."""
        echoes = self._connection.echoes
        if (echoed := echoes.message(key.nonce)) is not None:
            return str(echoed)
        me = self._me()
        place = await self._open()
        guessable = discord.utils.utcnow() - NONCE_LIVES
        with told_apart("find"):
            async for message in self._channel(place.channel).history(
                after=discord.Object(int(after)), limit=SEARCHED, oldest_first=True
            ):
                ours = (
                    message.author.id == me.id and message.type in messages.ORDINARY and _belongs(message, place)
                )
                another = str(message.id) in known or echoes.nonce(message.id) is not None
                if ours and not another and message.created_at <= guessable:
                    return str(message.id)
        return None

    async def earlier(self, before: str) -> Sequence[ContextMessage]:
        """At most `EARLIER` messages, with the one that the thread was made from and the one replied to."""
        me = self._me()
        at = int(before)
        found: dict[int, discord.Message] = {}
        with told_apart("earlier"):
            channel, has_history = await self._around(at)
            if has_history:
                async for message in channel.history(before=discord.Object(at), limit=EARLIER):
                    found[message.id] = message
                found |= await self._root(at)
            found |= await _replied_to(channel, at)
        context = (messages.said(found[number], me) for number in sorted(found))
        return [one for one in context if one is not None]

    async def fetch(self, file: RemoteFile, to: Path, max_bytes: int) -> None:
        await self._connection.downloads.fetch(file, to, max_bytes)

    async def _send(
        self, key: PartKey, text: str, files: Sequence[Upload], buttons: Sequence[Button]
    ) -> discord.Message:
        """discord.py sends a nonce with `enforce_nonce`: repeated, it gives back the message that is there."""
        place = await self._open()
        with told_apart("send"), ExitStack() as closing:
            extras = _Extras()
            if files:
                extras["files"] = as_sdk_files(files, closing)
            if view := _view(buttons):
                extras["view"] = view
            if place.root is not None:
                extras["reference"] = discord.MessageReference(
                    message_id=place.root, channel_id=place.channel, fail_if_not_exists=False
                )
            try:
                message = await self._channel(place.channel).send(
                    text, nonce=key.nonce, suppress_embeds=True, **extras
                )
            except discord.HTTPException as error:
                if error.code in (THREAD_LOCKED, ARCHIVED):
                    log.warning("discord.thread_locked", thread=place.channel)
                raise
        self._connection.echoes.add(key.nonce, message.id)
        return message

    async def _type(self) -> None:
        channel = await self._channel_of_thread()
        with told_apart("typing"):
            await channel.typing()

    async def _open(self) -> Place:
        async with self._opening:
            if self._place is None:
                self._place = await open_place(self._connection.client, self._address)
            return self._place

    async def _channel_of_thread(self) -> discord.PartialMessageable:
        return self._channel((await self._open()).channel)

    async def _reopened(self, call: Callable[[], Awaitable[object]]) -> None:
        """A send opens an archived thread by itself; a change of a message does not."""
        try:
            await call()
        except discord.HTTPException as error:
            if error.code != ARCHIVED:
                raise
        else:
            return
        thread = await self._connection.client.fetch_channel((await self._open()).channel)
        if not isinstance(thread, discord.Thread) or thread.locked:
            log.warning("discord.thread_locked", thread=thread.id)
            raise Gone("the thread is archived and locked")
        await thread.edit(archived=False)
        await call()

    async def _around(self, message_id: int) -> tuple[discord.PartialMessageable, bool]:
        """The channel that a message of the thread is in, and whether what stands before it is the thread's."""
        thread, channel = int(self._address.thread), int(self._address.channel)
        if message_id == thread and not self._in_forum():
            return self._channel(channel), False
        place = await self._open()
        return self._channel(place.channel), place.root is None

    async def _root(self, before: int) -> dict[int, discord.Message]:
        """The message that the thread was made from: in the parent channel, or the first one of a forum post."""
        thread, channel = int(self._address.thread), int(self._address.channel)
        if thread in (channel, before):
            return {}
        return await _message(self._channel(thread if self._in_forum() else channel), thread)

    def _in_forum(self) -> bool:
        return isinstance(self._connection.client.get_channel(int(self._address.channel)), discord.ForumChannel)

    def _channel(self, channel: int) -> discord.PartialMessageable:
        guild = int(self._address.workspace) if self._address.workspace else None
        return self._connection.client.get_partial_messageable(channel, guild_id=guild)

    def _me(self) -> discord.ClientUser:
        me = self._connection.client.user
        if me is None:
            raise Unreachable("not logged in")
        return me


class _Extras(TypedDict, total=False):
    files: Sequence[discord.File]
    view: discord.ui.View
    reference: discord.MessageReference


def _view(buttons: Sequence[Button]) -> discord.ui.View | None:
    if not buttons:
        return None
    view = discord.ui.View(timeout=None)
    for button in buttons:
        view.add_item(
            discord.ui.Button(style=BUTTON_STYLES[button.action], label=button.label, custom_id=custom_id(button))
        )
    # Clicks are read from the custom id, in whichever process they arrive: discord.py needn't remember the view.
    view.stop()
    return view


def _belongs(message: discord.Message, place: Place) -> bool:
    """Where the thread is a chain of replies, only these are of it."""
    return place.root is None or (message.reference is not None and message.reference.message_id == place.root)


async def _message(channel: discord.PartialMessageable, message_id: int) -> dict[int, discord.Message]:
    try:
        message = await channel.fetch_message(message_id)
    except (discord.NotFound, discord.Forbidden):
        return {}
    return {message.id: message}


async def _replied_to(channel: discord.PartialMessageable, message_id: int) -> dict[int, discord.Message]:
    for message in (await _message(channel, message_id)).values():
        replied = message.reference.resolved if message.reference else None
        if isinstance(replied, discord.Message):
            return {replied.id: replied}
    return {}
