"""Gateway events become turns, edits, deletions and presses in the inbox; nothing else happens here.

discord.py starts a task for each event. What concerns one channel is done in the order in which it came. What
can't be taken now, because too much waits or because Discord can't be asked where it belongs, isn't lost: its
channel is left to catch-up, with all that follows there.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import discord
import structlog
from cachetools import LRUCache

from bridge.frontends.common.asking import Asking
from bridge.frontends.common.order import KeyedLock
from bridge.frontends.common.told import Told
from bridge.frontends.discord import answering, commands, messages, reactions, reading
from bridge.frontends.discord.about import Menus
from bridge.frontends.discord.calls import Calls
from bridge.frontends.discord.commands import Commands
from bridge.frontends.discord.errors import told_apart
from bridge.frontends.discord.members import Members
from bridge.frontends.discord.presses import answer
from bridge.frontends.discord.reading import Heard, Spot
from bridge.frontends.discord.spoken import SpokenCommands
from bridge.frontends.discord.telling import Refusals
from bridge.inbound import Address, Person
from bridge.listening import Listening, ListeningAt, as_ever
from bridge.turns.inbox import Decision, Inbox, NotAllowed, Order, Press
from bridge.turns.surface import Gone, SurfaceError

log = structlog.get_logger()

MAX_WAITING = 2_000  # events that wait to be stored, of all channels
SETTLE_WITHIN = 5.0  # seconds that events under way get when serving ends
MAX_SPOTS = 5_000  # channels that had to be asked about, remembered
MAX_ROOTS = 5_000  # threads whose first message was looked at, remembered
ROOT_WITHIN = 24 * 3600.0  # seconds: the root of an older thread isn't looked at
OLD_TALK = 60.0  # seconds before a message in which one above it that mentions nobody may be on its way still
EARLIER = 50  # direct messages before the first one that came here, looked at
MAX_HEARD = 20_000  # channels whose newest message is remembered
NOT_STORED = "That didn't work. Please try again."


@dataclass(eq=False, slots=True)
class _Place:
    """In the queue of a channel."""

    message: int
    left: bool = False  # to catch-up, with one before it


class Listeners:
    """The handlers of one front end, for each of its clients in turn."""

    def __init__(
        self,
        inbox: Inbox,
        catch_up_wanted: Callable[[], None],
        offer_again: Callable[[Address, int, str], Awaitable[None]],
        calls: Calls,
        members: Members,
        *,
        listening_at: ListeningAt = as_ever,
        bots: Collection[str] = (),
        ask_emoji: str = "",
        names: MutableMapping[int, str],
    ) -> None:
        """`bots`: those that may ask in some channel. `names` is told what the thread of a question will be called, by
        the question's id."""
        self._inbox = inbox
        self._listening_at = listening_at
        self._bots = bots
        self._offer_again = offer_again
        self._members = members
        self._ask_emoji = ask_emoji
        self._asking = Asking(inbox, self._who_is)
        self._catch_up_wanted = catch_up_wanted
        self._client: discord.Client | None = None
        self._told = Told()
        self._refusals = Refusals()
        self._waiting = 0
        self._under_way: set[asyncio.Task[Any]] = set()
        self._spots: MutableMapping[int, Spot] = LRUCache(MAX_SPOTS)
        self._roots: MutableMapping[int, bool] = LRUCache(MAX_ROOTS)
        self._queues: dict[int, list[_Place]] = {}  # the messages that wait, by channel
        self.order = KeyedLock()
        self.gate = asyncio.Event()
        """Closed while catch-up finds out where it has to look first."""
        self.gate.set()
        self._names = names
        self._commands = Commands(inbox, self._asking, calls, names, listening_at)
        self._spoken = SpokenCommands(self._asking, calls)
        self._menus = Menus(self._asking, calls, self._commands)
        self.left: dict[int, int] = {}
        """Channels with messages that were left to catch-up, each with the first of them."""
        self.heard: MutableMapping[int, int] = LRUCache(MAX_HEARD)
        """The newest message of each channel up to which all were heard, whoever wrote them."""
        self.newest_heard = 0
        self.read: MutableMapping[int, int] = LRUCache(MAX_HEARD)
        """The newest message of each channel up to which all were read, and considered in their order: the event of
        one that comes later says nothing new."""

    def listen(self, client: discord.Client) -> None:
        self._client = client
        for handler in (
            self.on_message,
            self.on_raw_message_edit,
            self.on_raw_reaction_add,
            self.on_raw_message_delete,
            self.on_raw_bulk_message_delete,
            self.on_interaction,
            self.on_error,
        ):
            client.event(handler)

    @property
    def under_way(self) -> frozenset[asyncio.Task[Any]]:
        """The events that aren't stored yet."""
        return frozenset(self._under_way)

    async def settle(self) -> None:
        """Let the events under way be stored, within bounds."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=SETTLE_WITHIN)

    async def on_message(self, message: discord.Message) -> None:
        channel = message.channel.id
        self.note(channel, message.id)
        if not messages.may_ask(message, self._bots, self._connected):
            return
        if channel in self.left or self._waiting >= MAX_WAITING:
            self._leave(channel, message.id)
            return
        place = _Place(message.id)
        async with self._in_order(channel, place):
            if place.left or message.id <= self.read.get(channel, 0):
                return
            try:
                if not await self._was_command(message):
                    await self.consider(message)
            except Exception as error:  # it can't be stored, or nobody knows where it is: not lost, only late
                log.warning("discord.message_left", channel=channel, error=type(error).__name__)
                self._leave(channel, message.id)

    async def _was_command(self, message: discord.Message) -> bool:
        """Whether it was a command by mention, which is carried out. Those that nobody heard aren't made up for."""
        heard = await self._heard(message)
        given = None if heard is None else messages.command(message, heard, self._me)
        if heard is None or given is None:
            return False
        try:
            later = await self._spoken.carry_out(self._connected, message, heard.spot, given)
        except NotAllowed as refusal:
            self._refuse(message, refusal)
            return True
        if later is not None:
            self._follow(asyncio.create_task(later))
        return True

    def note(self, channel: int, message: int) -> None:
        """A message was heard, whoever wrote it."""
        if self.gate.is_set():  # else what lies before it may be missing
            self.heard[channel] = max(message, self.heard.get(channel, 0))
            self.newest_heard = max(message, self.newest_heard)

    async def consider(self, message: discord.Message, spot: Spot | None = None, *, since: int = 0) -> bool:
        """Decide whether a message is for the agent, and take it. True if it is a new turn. Whoever may not ask is told
        so. What nobody called the agent by begins nothing that is as old as the message `since`."""
        if not messages.may_ask(message, self._bots, self._connected):
            return False
        heard = await self._heard(message, spot)
        if heard is None or messages.command(message, heard, self._me) is not None:
            return False
        if not messages.may_ask(message, heard.listening.bots, self._connected):
            return False
        known = reading.follows(heard)
        if known is not None and (await self._inbox.knows(known) or await self._takes_root(heard)):
            if reading.is_aside(heard):
                return False
            turn = messages.inbound(message, self._me, known, mid_thread=False)
        elif (called := reading.begins(heard)) and (heard.mentioned or not called.workspace or heard.id > since):
            await self._take_earlier(heard)
            turn = messages.inbound(message, self._me, called, mid_thread=reading.has_context(heard))
        else:
            return False
        author = await self._members.author(self._connected, message, turn.address)
        try:
            new = await self._asking.take(replace(turn, person=author))
        except NotAllowed as refusal:
            self._refuse(message, refusal)
            return False
        if new and turn.address.thread == turn.message_id:
            self._names[message.id] = reading.thread_name(turn.text, author.name)
        log.info("discord.message", thread=turn.address.thread, message=turn.message_id, new=new)
        return new

    def _refuse(self, message: discord.Message, refusal: NotAllowed) -> None:
        """Tell who wrote, unless they know."""
        if self._told.is_due(messages.person(message.author), refusal):
            self._follow(asyncio.create_task(self._refusals.tell(message, refusal.sentence)))

    async def on_raw_reaction_add(self, event: discord.RawReactionActionEvent) -> None:
        if not reactions.asks(event, self._ask_emoji, self._me) or self._is_full("reaction"):
            return
        async with self._in_order(event.channel_id):
            direct = Spot("direct", None, event.channel_id) if event.guild_id is None else None
            spot = direct or await self.spot(event.channel_id)
            if spot is None:
                return
            room = self._connected.get_partial_messageable(event.channel_id, guild_id=event.guild_id)
            with told_apart("read message"):
                message = await room.fetch_message(event.message_id)
            if message.author.id == self._me.id:
                return
            person = reactions.reacting(event)
            known = spot.kind == "thread" and await self._inbox.knows(spot.address(spot.channel))
            turn = reactions.inbound(message, person, spot, self._me, self._listening(spot), known=known)
            try:
                new = await self._asking.take(turn)
            except NotAllowed as refusal:
                if self._told.is_due(person, refusal):
                    telling = self._refusals.tell_directly(event.member or room, event.user_id, refusal.sentence)
                    self._follow(asyncio.create_task(telling))
                return
            if new and turn.address.thread == turn.message_id:
                self._names[message.id] = reading.thread_name(messages.text(message, self._me), person.name)
            log.info("discord.asked_by_reaction", thread=turn.address.thread, message=turn.message_id, new=new)

    async def on_raw_message_edit(self, event: discord.RawMessageUpdateEvent) -> None:
        message = event.message
        # Discord also tells when it added an embed or a thread itself.
        if message.edited_at is None or self._is_full("edit"):
            return
        if not messages.may_ask(message, self._bots, self._connected):
            return
        async with self._in_order(event.channel_id):
            heard = await self._heard(message)
            if heard is None:
                return
            text = messages.text(message, self._me)
            places = reading.places(heard.spot, heard.id, heard.chain)
            if heard.spot.kind == "channel" and heard.listening.flat:
                places = (reading.begun_by(heard.spot, heard.id, heard.listening),)
            for address in places:
                edit = await self._inbox.edited(address, str(message.id), text)
                if edit.asked is not None and not heard.by_bot:
                    await self._offer_again(address, message.id, edit.asked)
                if edit.changed or edit.asked is not None:
                    return
            if heard.mentioned and _is_young(message.id):
                await self.consider(message)  # it calls the agent only now

    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        await self._deleted(event.guild_id, event.channel_id, [event.message_id])

    async def on_raw_bulk_message_delete(self, event: discord.RawBulkMessageDeleteEvent) -> None:
        await self._deleted(event.guild_id, event.channel_id, sorted(event.message_ids))

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        if task := asyncio.current_task():
            self._follow(task)
        if interaction.type is discord.InteractionType.modal_submit and self._menus.is_ours(interaction):
            taking = asyncio.create_task(self._menus.submitted(self._connected, interaction))
            self._follow(taking)
            await commands.answer(interaction, taking)
            return
        if interaction.type is discord.InteractionType.application_command:
            if self._menus.is_menu(interaction):
                await self._menus.open(self._connected, interaction)
                return
            await commands.acknowledge(interaction)
            carrying_out = asyncio.create_task(self._commands.carry_out(self._connected, interaction))
            self._follow(carrying_out)
            await commands.answer(interaction, carrying_out)
            return
        if interaction.type is discord.InteractionType.autocomplete:
            completing = asyncio.create_task(self._commands.complete(interaction))
            self._follow(completing)
            await commands.offer(interaction, completing)
            return
        submitted = interaction.type is discord.InteractionType.modal_submit
        if interaction.message is None or not (submitted or interaction.type is discord.InteractionType.component):
            return
        data: Mapping[str, Any] = interaction.data or {}
        button = reading.picked(str(data.get("custom_id") or ""), data.get("values") or ())
        spot = messages.spot(interaction.channel)
        if button is None or spot is None:
            return
        action, turn, value = button
        reference = interaction.message.reference
        root = reference.message_id if spot.kind == "channel" and reference else None
        address = spot.address(root or spot.channel)
        log.info("discord.pressed", action=action, turn=turn, thread=address.thread)
        person = messages.person(interaction.user)
        if action == "files":
            listing = asyncio.create_task(self._commands.list_files(Order("files", person, address)))
            self._follow(listing)
            await commands.answer(interaction, listing)
            return
        press = Press(action, turn, person, address, answering.written(data) if submitted else value)
        if action in answering.FORMS and not submitted:
            await answering.open_form(interaction, action, turn, self._refusal(press))
            return
        pressing = asyncio.create_task(self._pressed(press))
        self._follow(pressing)
        await answer(interaction, interaction.message, pressing)

    async def on_error(self, event: str, *args: object, **kwargs: object) -> None:  # noqa: ARG002
        """discord.py calls this for what a handler raised."""
        error = sys.exc_info()[1]
        frames = traceback.extract_tb(error.__traceback__) if error else []
        at = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else None
        log.error("discord.event_failed", event_name=event, error=type(error).__name__, at=at)

    async def _deleted(self, guild_id: int | None, channel_id: int, message_ids: Sequence[int]) -> None:
        if self._is_full("deletion"):
            return
        async with self._in_order(channel_id):
            spot = Spot("direct", None, channel_id) if guild_id is None else await self.spot(channel_id)
            if spot is None:
                return
            for message_id in message_ids:
                for address in reading.places(spot, message_id):
                    await self._inbox.deleted(address, str(message_id))

    async def _pressed(self, press: Press) -> Decision:
        try:
            return await self._asking.pressed(press)
        except Exception as error:
            log.error("discord.press_failed", action=press.action, turn=press.turn, error=type(error).__name__)
            return Decision(NOT_STORED)

    async def _refusal(self, press: Press) -> str:
        try:
            return await self._asking.refuses(press)
        except Exception as error:
            log.error("discord.press_failed", action=press.action, turn=press.turn, error=type(error).__name__)
            return NOT_STORED

    async def _heard(self, message: discord.Message, spot: Spot | None = None) -> Heard | None:
        spot = spot or messages.spot(message.channel) or await self.spot(message.channel.id)
        heard = messages.heard(message, spot, self._me, self._listening(spot)) if spot else None
        return heard if heard and reading.says_something(heard) else None

    def _listening(self, spot: Spot) -> Listening:
        return self._listening_at(spot.address(spot.channel))

    async def _takes_root(self, heard: Heard) -> bool:
        """Looks, once for each thread that nobody knows, whether it hangs on a message that calls the agent and
        never came here. That one is taken first."""
        spot = heard.spot
        if spot.kind != "thread" or spot.parent is None or heard.mentioned or spot.channel in self._roots:
            return False
        if not _is_young(spot.channel):
            return False
        self._roots[spot.channel] = True
        parent = self._connected.get_partial_messageable(spot.parent, guild_id=spot.guild)
        try:
            with told_apart("read root"):
                root = await parent.fetch_message(spot.channel)
        except SurfaceError as error:
            if not isinstance(error, Gone):
                del self._roots[spot.channel]
                raise
            return False  # it hangs on no message
        # Where every message is asked, the agent reads an older one as context.
        since = heard.id - (int(OLD_TALK * 1000) << 22)
        await self.consider(root, Spot("channel", spot.guild, spot.parent), since=since)
        return await self._inbox.knows(spot.address(spot.channel))

    async def _take_earlier(self, heard: Heard) -> None:
        """Before the first direct message that comes here: those that were written while nobody listened. Discord
        doesn't name such a channel at the start of a session."""
        channel = heard.spot.channel
        if heard.spot.kind != "direct" or channel in self._roots:
            return
        self._roots[channel] = True
        if await self._inbox.knows(heard.spot.address(channel)):
            return
        since = discord.utils.time_snowflake(discord.utils.utcnow()) - (int(ROOT_WITHIN * 1000) << 22)
        found: list[discord.Message] = []
        try:
            with told_apart("read direct messages"):
                room = self._connected.get_partial_messageable(channel)
                async for message in room.history(limit=EARLIER, before=discord.Object(heard.id)):
                    if message.author.id == self._me.id or message.id < since:
                        break
                    found.append(message)
        except SurfaceError as error:
            if not isinstance(error, Gone):
                del self._roots[channel]
                raise
        for message in reversed(found):
            await self.consider(message, heard.spot)

    async def _who_is(self, person: Person, address: Address) -> Person:
        return await self._members.identify(self._connected, person, address)

    async def spot(self, channel_id: int) -> Spot | None:
        """Where a channel is that may be known by its id only: a thread that was archived at the start. None where
        it is gone. Raises a `SurfaceError` where Discord can't be asked."""
        if (channel := self._connected.get_channel(channel_id)) and (here := messages.spot(channel)):
            return here
        if (found := self._spots.get(channel_id)) is None:
            try:
                with told_apart("read channel"):
                    found = messages.spot(await self._connected.fetch_channel(channel_id))
            except Gone:
                return None
            if found is not None:
                self._spots[channel_id] = found
        return found

    @property
    def _connected(self) -> discord.Client:
        assert self._client is not None, "no events before there is a client"  # noqa: S101
        return self._client

    @property
    def _me(self) -> discord.ClientUser:
        assert self._connected.user is not None, "no events before the login"  # noqa: S101
        return self._connected.user

    @asynccontextmanager
    async def _in_order(self, channel_id: int, place: _Place | None = None) -> AsyncIterator[None]:
        if task := asyncio.current_task():
            self._follow(task)
        self._waiting += 1
        queue = self._queues.setdefault(channel_id, [])
        place = place or _Place(0)
        queue.append(place)
        try:
            await self.gate.wait()
            async with self.order.of(channel_id):
                yield
        finally:
            self._waiting -= 1
            queue.remove(place)
            if not queue:
                del self._queues[channel_id]

    def leave(self, channel_id: int, message_id: int) -> None:
        """Leave a channel's messages from this one on to the next look of catch-up, also those that wait here."""
        self.left[channel_id] = min(message_id, self.left.get(channel_id, message_id))
        for place in self._queues.get(channel_id, ()):
            place.left = place.left or place.message >= message_id

    def _leave(self, channel_id: int, message_id: int) -> None:
        if not self.left:
            log.warning("discord.left_to_catch_up", waiting=self._waiting)
        self.leave(channel_id, message_id)
        self._catch_up_wanted()

    def _is_full(self, what: str) -> bool:
        if full := self._waiting >= MAX_WAITING:
            log.warning("discord.event_dropped", event_name=what, reason="too many wait")
        return full

    def _follow(self, task: asyncio.Task[Any]) -> None:
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)


def _is_young(snowflake: int) -> bool:
    age = discord.utils.utcnow() - discord.utils.snowflake_time(snowflake)
    return age.total_seconds() < ROOT_WITHIN
