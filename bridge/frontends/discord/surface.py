"""A thread of Discord as the reply sees it: whole-text edits, sends made harmless to repeat by their nonce."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, MutableMapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

import discord
import structlog

from bridge.frontends.common.reactions import Reactions
from bridge.frontends.discord import context, messages
from bridge.frontends.discord.calls import Calls
from bridge.frontends.discord.echoes import Echoes
from bridge.frontends.discord.errors import (
    ARCHIVED,
    THREAD_LOCKED,
    UNKNOWN_CHANNEL,
    UNKNOWN_MESSAGE,
    code_of,
    told_apart,
)
from bridge.frontends.discord.files import Downloads
from bridge.frontends.discord.places import Place, Places
from bridge.frontends.discord.presses import MAX_TEXT, components
from bridge.frontends.discord.reactions import Spacing
from bridge.frontends.discord.rest import Json, Rest, Sent
from bridge.frontends.discord.telling import SUPPRESS_EMBEDS, WAITING, Telling, never_raises, plain, reply_to
from bridge.frontends.discord.typing_sign import TypingSign
from bridge.inbound import Address, ContextMessage, Person, RemoteFile
from bridge.render.discord import DISCORD
from bridge.render.measure import fitting, utf16
from bridge.render.style import Style
from bridge.turns.surface import (
    EDITED,
    NO_PROGRESS,
    Button,
    Fenced,
    Gone,
    Guard,
    Mark,
    PartFull,
    PartKey,
    PartKind,
    Progress,
    Sending,
    SurfaceError,
    Throttled,
    Unreachable,
    Upload,
)

log = structlog.get_logger()

MAX_FILES = 10  # attachments of one message
MAX_DIRECT_FILE = 10 * 1024 * 1024  # bytes of one file in a direct message; servers have a limit by their boosts
INTERVAL = 1.1  # seconds: about 5 sends and edits in 5 s and channel
OLD = timedelta(hours=1)  # of a message: from then on Discord takes few edits of it (30046)
OLD_EDIT_PAUSE = 60.0  # seconds: it doesn't say how many in what time
NONCE_LIVES = timedelta(minutes=1)  # at least: documented are "the past few minutes"
SEARCHED = 100  # messages looked through for a lost part: one request
LEAST_LINE = 30  # units; with less room a message shows no line of what the agent does
RENDERED = (PartKind.TEXT, PartKind.REST, PartKind.TABLE, PartKind.REQUEST)
NAMED_WITHIN = 2.0  # seconds
HELD_BACK = 5.0  # seconds that a reply may wait for its thread without a sign


def style(max_file_bytes: int) -> Style:
    """What replies are made of."""
    return Style(
        dialect=DISCORD,
        limit=MAX_TEXT,
        measure=utf16,
        interval=INTERVAL,
        appends=False,
        max_files=MAX_FILES,
        max_file_bytes=max_file_bytes,
        working_part=True,
    )


class Connection(Protocol):
    """What a surface needs of the front end that made it."""

    calls: Calls
    downloads: Downloads
    echoes: Echoes
    notify_after: float
    reactions: Reactions
    reacting: Spacing

    @property
    def names(self) -> MutableMapping[int, str]:
        """What the threads of the latest questions will be called."""
        ...

    @property
    def client(self) -> discord.Client:
        """The client, logged in. Raises `Unreachable` while there is none."""
        ...

    async def know(self, *, channel: str = "") -> str:
        """Have the client know a server that its gateway doesn't tell of: that of the surface, or of the channel. Which
        it is. Costs nothing where it is known. Raises a `SurfaceError`."""
        ...

    def keep(self, address: Address, task: asyncio.Task[None]) -> None:
        """Cancel this task of a thread when its next turn or the end of serving comes, unless it ended before."""
        ...


@dataclass(frozen=True, slots=True)
class _Connected:
    """What works through one client."""

    client: discord.Client
    rest: Rest
    places: Places
    telling: Telling


class DiscordSurface:
    """One turn's view of its thread. The thread itself is made when it is first used."""

    def __init__(
        self, connection: Connection, address: Address, *, person: Person, guard: Guard, max_file_bytes: int
    ) -> None:
        self._connection = connection
        self._guard = guard
        self._address = address
        self._person = person
        self._began = time.monotonic()
        self._now: _Connected | None = None
        self._place: Place | None = None
        self._opening = asyncio.Lock()
        self._joining: asyncio.Task[None] | None = None
        self._held_back: asyncio.Task[bool] | None = None  # the mark on a question whose thread has to wait
        self._typing = TypingSign(self._open, self._type, partial(connection.keep, address))
        self._buttons: dict[str, Sequence[Button]] = {}  # that a message of this turn shows
        self._lines: dict[str, str] = {}  # below the words that a message of this turn shows
        self._answered: str | None = None  # the turn, once a part of its answer is finished
        self.style = style(max_file_bytes)

    @asynccontextmanager
    async def slot(self, sending: Sending) -> AsyncIterator[None]:
        """Growth waits until the channel's window of edits holds more than the last words need."""
        growth = sending is Sending.GROWTH
        if growth and self._now is not None and (edits := self._now.rest.edits) is not None:
            await asyncio.sleep(edits.wait)
        async with self._connection.calls.slot(urgent=not growth):
            yield

    async def resolve(self, person: Person, text: str) -> tuple[str, str]:
        """The gateway gave both with the message; somebody who wrote none is asked for."""
        return person.name or await self._name_of(person.id), text

    async def mark_waiting(self, asked: str, waits: bool) -> bool:
        return await self._telling.mark(asked, WAITING, self._place, there=waits)

    async def mark(self, asked: str, stands: Mark | None) -> None:
        emoji = self._connection.reactions
        if stands == "seen":
            await self._sign(asked, emoji.seen, there=True)
            return
        if stands == "done":
            await self._sign(asked, emoji.done, there=True)
        if stands is None or emoji.done != emoji.seen:
            await self._sign(asked, emoji.seen, there=False)

    async def _sign(self, asked: str, emoji: str, *, there: bool) -> None:
        if emoji:
            async with self._connection.reacting.turn():
                await self._telling.mark(asked, emoji, self._place, there=there)

    async def say_undeliverable(self, asked: str, sentence: str) -> bool:
        return await self._telling.undeliverable(asked, sentence, self._place)

    async def working(self, label: str | None) -> None:
        """Discord shows that someone types, and no words with it."""
        if label is not None:
            self._typing.start()
            return
        self._typing.stop()
        turn, self._answered = self._answered, None
        after = self._connection.notify_after
        if turn is not None and self._person.id and after and time.monotonic() - self._began >= after:
            await never_raises("notify", lambda: self._notify(turn))

    async def post(
        self,
        key: PartKey,
        text: str,
        *,
        last: bool,
        buttons: Sequence[Button] = (),
        progress: Progress = NO_PROGRESS,
    ) -> str:
        line = _line(progress)
        text = _with_line(_harmless(key, text), line)
        rows = components(buttons)
        sent = await self._send(key, {"content": text, **({"components": rows} if rows else {})})
        wanted = sum(len(row["components"]) for row in rows)
        self._buttons[sent.id] = buttons if sent.buttons else ()
        self._lines[sent.id] = line
        if sent.content.strip() != text.strip() or sent.buttons > wanted:
            # The nonce gave back what an earlier try posted, when less of the text was known. A message that is
            # whole gets no Stop button again.
            await self._change(sent.id, {"content": text, "components": rows}, last=last)
            self._buttons[sent.id] = buttons
        self._shown(key, last=last)
        return sent.id

    async def edit(
        self,
        key: PartKey,
        message_id: str,
        text: str,
        *,
        shown: str | None,
        last: bool,
        buttons: Sequence[Button] = (),
        progress: Progress = NO_PROGRESS,
    ) -> None:
        """Sends what is different only. Discord takes few edits of a message that is over an hour old. Such a part
        takes no more live text: `PartFull`; its last edit waits until there is room again: `Throttled`."""
        payload: Json = {}
        line = _line(progress)
        if text != shown or line != self._lines.get(message_id, ""):
            payload["content"] = _with_line(_harmless(key, text), line)
        if message_id not in self._buttons or tuple(buttons) != tuple(self._buttons[message_id]):
            payload["components"] = components(buttons)
        if payload:
            self._buttons.pop(message_id, None)  # nobody knows, until there is an answer
            await self._change(message_id, payload, last=last)
            self._buttons[message_id], self._lines[message_id] = buttons, line
        self._shown(key, last=last)

    async def close(
        self,
        key: PartKey,
        message_id: str,
        *,
        progress: Progress = NO_PROGRESS,  # noqa: ARG002
    ) -> None:
        await self._change(message_id, {"components": components(())}, last=True)
        self._shown(key, last=True)

    async def delete(self, message_id: str) -> None:
        try:
            await self._reopened(self._rest.delete, int(message_id))
        except Gone as error:
            if code_of(error) not in (UNKNOWN_MESSAGE, UNKNOWN_CHANNEL):
                raise

    async def upload(self, key: PartKey, files: Sequence[Upload], text: str = "") -> str:
        sent = await self._send(key, {"content": _harmless(key, text)} if text else {}, files)
        self._shown(key, last=True)
        return sent.id

    async def find(self, key: PartKey, *, after: str, known: Collection[str]) -> str | None:
        """By the nonce where this process heard it; else the first message of ours that can't be another part.
        What is younger than `NONCE_LIVES` isn't guessed at, unless its button names the turn: a repeated post gives
        it back for certain."""
        echoes = self._connection.echoes
        if (echoed := echoes.message(key.nonce)) is not None:
            return str(echoed)
        me = self._me()
        place = await self._open()
        guessable = discord.utils.utcnow() - NONCE_LIVES
        channel = self._places.room(place.channel)
        async for message in self._rest.history(channel, limit=SEARCHED, after=int(after)):
            ours = message.author.id == me.id and messages.may_be_part(message) and _belongs(message, place)
            ours = ours and not message.content.startswith(EDITED)
            another = str(message.id) in known or echoes.nonce(message.id) is not None
            if ours and not another:
                certain = message.created_at <= guessable or messages.stops(message, key.turn)
                return str(message.id) if certain else None
        return None

    async def earlier(self, before: str) -> Sequence[ContextMessage]:
        in_channel = self._telling.asks_in_channel(before)
        place = Place(int(self._address.channel)) if in_channel else await self._open()
        return await context.earlier(self._rest, self._places, place, self._address, self._me(), int(before))

    async def fetch(self, file: RemoteFile, to: Path, max_bytes: int) -> None:
        downloads = self._connection.downloads
        await context.fetch(self._rest, self._places, downloads, file, to, max_bytes, self._guard)

    # --- messages ---------------------------------------------------------------------------------------------

    async def _send(self, key: PartKey, payload: Json, files: Sequence[Upload] = ()) -> Sent:
        """With its nonce enforced: repeated, it gives back the message that is there."""
        place = await self._open()
        payload |= {"nonce": key.nonce, "enforce_nonce": True, "flags": SUPPRESS_EMBEDS}
        if place.root is not None:
            payload["message_reference"] = reply_to(place.root)
        self._typing.words()
        try:
            sent = await self._rest.send(place.channel, payload, files)
        except Gone as error:
            if code_of(error) in (THREAD_LOCKED, ARCHIVED):
                log.warning("discord.thread_locked", thread=place.channel)
            raise
        self._connection.echoes.add(key.nonce, int(sent.id))
        return sent

    async def _change(self, message_id: str, payload: Json, *, last: bool) -> None:
        self._typing.words()
        try:
            await self._reopened(self._rest.edit, int(message_id), payload)
        except PartFull as error:
            if last:
                raise Throttled(str(error), OLD_EDIT_PAUSE) from error
            raise
        except Throttled as error:
            # By a 429 as well, of which discord.py leaves no more than the delay.
            created = discord.utils.snowflake_time(int(message_id))
            if last or discord.utils.utcnow() - created < OLD:
                raise
            raise PartFull(f"{error}, for an old message") from error

    async def _reopened(self, call: Callable[..., Awaitable[None]], *arguments: object) -> None:
        """A send opens an archived thread by itself; a change of a message does not."""
        begins = self._telling.asks_in_channel(str(arguments[0]))  # ours, where the agent spoke first
        channel = int(self._address.channel) if begins else (await self._open()).channel
        try:
            await call(channel, *arguments)
        except Gone as error:
            if code_of(error) != ARCHIVED:
                raise
        else:
            return
        if await self._rest.is_locked(channel):
            log.warning("discord.thread_locked", thread=channel)
            raise Gone("the thread is archived and locked")
        await self._rest.open_thread(channel)
        await call(channel, *arguments)

    def _shown(self, key: PartKey, *, last: bool) -> None:
        if last and key.kind is not PartKind.NOTICE:
            self._answered = key.turn

    async def _name_of(self, person: str) -> str:
        server = self._address.workspace
        with suppress(SurfaceError):
            await self._connection.know()
        guild = self._connection.client.get_guild(int(server)) if server else None
        if guild is None or not person.isdecimal():
            return person
        if (known := guild.get_member(int(person))) is not None:
            return known.display_name
        try:
            await self._guard()
            async with asyncio.timeout(NAMED_WITHIN):
                with told_apart("read member"):
                    return (await guild.fetch_member(int(person))).display_name
        except (SurfaceError, Fenced, TimeoutError) as error:
            log.info("discord.nameless", person=person, reason=str(error) or type(error).__name__)
            return person

    # --- what else is shown -----------------------------------------------------------------------------------

    async def _type(self) -> None:
        await self._rest.type((await self._open()).channel)

    async def _notify(self, turn: str) -> None:
        await self._telling.complete(turn, await self._open())

    # --- the thread -------------------------------------------------------------------------------------------

    async def _open(self) -> Place:
        async with self._opening:
            if self._place is None:
                await self._know()
                self._place = self._places.known() or await self._make()
            return self._place

    async def _know(self) -> None:
        try:
            await self._connection.know()
        except Gone as error:  # what can't be done there shows when it is tried
            log.info("discord.server_unknown", reason=str(error))

    async def _make(self) -> Place:
        """The thread of a question that just came. While it can't be made, because too many were, whoever asked
        sees that it waits."""
        question = self._address.thread
        timer = asyncio.get_running_loop().call_later(HELD_BACK, self._mark_held_back)
        try:
            place = await self._places.open(WAITING)
        except Throttled as error:
            if error.retry_after > HELD_BACK:
                self._mark_held_back()
            raise
        finally:
            timer.cancel()
        if self._places.marked or self._held_back is not None:
            if self._held_back is not None:
                await self._held_back
            await self.mark_waiting(question, waits=False)
        if place.new and self._person.id:
            self._joining = asyncio.create_task(self._join(place.channel), name="discord.join")
        return place

    def _mark_held_back(self) -> None:
        if self._held_back is None:
            self._held_back = asyncio.create_task(self.mark_waiting(self._address.thread, waits=True))

    async def _join(self, thread: int) -> None:
        """Whoever asked becomes a member of the thread, so that it stands in their list."""
        await never_raises("join", lambda: self._rest.add_member(thread, self._person.id))

    @property
    def _rest(self) -> Rest:
        return self._connected().rest

    @property
    def _places(self) -> Places:
        return self._connected().places

    @property
    def _telling(self) -> Telling:
        return self._connected().telling

    def _connected(self) -> _Connected:
        client = self._connection.client
        if self._now is None or self._now.client is not client:
            rest = Rest(client, self._connection.calls, self._guard)
            places = Places(client, rest, self._address, self._connection.names)
            self._now = _Connected(client, rest, places, Telling(rest, places, self._address, self._person))
        return self._now

    def _me(self) -> discord.ClientUser:
        me = self._connection.client.user
        if me is None:
            raise Unreachable("not logged in")
        return me


def _harmless(key: PartKey, text: str) -> str:
    """What an agent says was rendered, as was a table's preview, and is harmless; the bridge's own words may hold a
    person's, as the name of a file."""
    return text if key.kind in RENDERED else plain(text)


def _line(progress: Progress) -> str:
    """What the agent does at the moment, in small letters."""
    return f"-# ⏳ {DISCORD.literal(progress.phase)}" if progress.phase else ""


def _with_line(text: str, line: str) -> str:
    """The line below the words, as far as a message has room for it."""
    if not line or not text:
        return text or line
    room = MAX_TEXT - utf16(text) - 1
    if room < LEAST_LINE:
        return text
    return f"{text}\n{line if utf16(line) <= room else line[: fitting(line, room - 1, utf16)] + '…'}"


def _belongs(message: discord.Message, place: Place) -> bool:
    """Where the thread is a chain of replies, only these are of it."""
    return place.root is None or (message.reference is not None and message.reference.message_id == place.root)
