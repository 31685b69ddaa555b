"""Gateway events become turns, edits, deletions and clicks in the inbox; nothing else happens here.

discord.py starts a task for each event. What concerns one channel is done in the order in which it came.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import discord
import stamina
import structlog

from bridge.frontends.discord import messages, reading
from bridge.frontends.discord.echoes import Echoes
from bridge.frontends.discord.errors import SDK_ERRORS
from bridge.frontends.discord.reading import Heard, Spot
from bridge.inbound import Address
from bridge.turns.inbox import Inbox
from bridge.turns.surface import Action

log = structlog.get_logger()

T = TypeVar("T")

# The gateway doesn't deliver twice, so a database that is away for a moment is waited for.
STORE_TRIES = 6
STORE_SECONDS = 30.0
ANSWER_WITHIN = 2.0  # seconds: Discord gives up on an interaction after 3
SETTLE_WITHIN = 5.0  # seconds that events under way get when serving ends
NOT_STORED = "That didn't work. Please try again."


class Listeners:
    """The handlers of one client."""

    def __init__(self, client: discord.Client, inbox: Inbox, echoes: Echoes) -> None:
        self._client = client
        self._inbox = inbox
        self._echoes = echoes
        self._orders: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._under_way: set[asyncio.Task[Any]] = set()
        for handler in (
            self.on_message,
            self.on_raw_message_edit,
            self.on_raw_message_delete,
            self.on_raw_bulk_message_delete,
            self.on_interaction,
            self.on_error,
        ):
            client.event(handler)

    async def settle(self) -> None:
        """Let the events under way be stored, within bounds."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=SETTLE_WITHIN)

    async def on_message(self, message: discord.Message) -> None:
        if message.author.id == self._me.id and message.nonce is not None:
            self._echoes.add(str(message.nonce), message.id)
        if not messages.is_from_person(message):
            return
        async with self._in_order(message.channel.id):
            heard = await self._heard(message)
            if heard is None:
                return
            known = reading.follows(heard)
            if known is not None and await _stored(lambda: self._inbox.knows(known)):
                if reading.is_aside(heard):
                    return
                turn = messages.inbound(message, self._me, known, mid_thread=False)
            elif called := reading.begins(heard):
                turn = messages.inbound(message, self._me, called, mid_thread=reading.has_context(heard))
            else:
                return
            new = await _stored(lambda: self._inbox.take(turn))
            log.info("discord.message", thread=turn.address.thread, message=turn.message_id, new=new)

    async def on_raw_message_edit(self, event: discord.RawMessageUpdateEvent) -> None:
        message = event.message
        # Discord also tells when it added an embed or a thread itself.
        if message.edited_at is None or not messages.is_from_person(message):
            return
        async with self._in_order(event.channel_id):
            heard = await self._heard(message)
            if heard is None:
                return
            text = messages.text(message, self._me)
            for address in reading.places(heard.spot, heard.id, heard.chain):
                await _stored(partial(self._inbox.edited, address, str(message.id), text))

    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        await self._deleted(event.guild_id, event.channel_id, [event.message_id])

    async def on_raw_bulk_message_delete(self, event: discord.RawBulkMessageDeleteEvent) -> None:
        await self._deleted(event.guild_id, event.channel_id, sorted(event.message_ids))

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        if interaction.type is not discord.InteractionType.component or interaction.message is None:
            return
        button = reading.pressed(interaction.custom_id or "")
        spot = messages.spot(interaction.channel)
        if button is None or spot is None:
            return
        action, turn = button
        reference = interaction.message.reference
        root = reference.message_id if spot.kind == "channel" and reference else None
        address = spot.address(root or spot.channel)
        log.info("discord.pressed", action=action, turn=turn, thread=address.thread)
        pressing = asyncio.create_task(self._pressed(action, turn, address))
        self._follow(pressing)
        await _answer(interaction, pressing)

    async def on_error(self, event: str, *args: object, **kwargs: object) -> None:  # noqa: ARG002
        """discord.py calls this for what a handler raised."""
        error = sys.exc_info()[1]
        frames = traceback.extract_tb(error.__traceback__) if error else []
        at = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else None
        log.error("discord.event_failed", event_name=event, error=type(error).__name__, at=at)

    async def _deleted(self, guild_id: int | None, channel_id: int, message_ids: Sequence[int]) -> None:
        async with self._in_order(channel_id):
            spot = Spot("direct", None, channel_id) if guild_id is None else await self._spot(channel_id)
            if spot is None:
                return
            for message_id in message_ids:
                for address in reading.places(spot, message_id):
                    await _stored(partial(self._inbox.deleted, address, str(message_id)))

    async def _pressed(self, action: Action, turn: str, address: Address) -> str:
        try:
            return await self._inbox.pressed(action, turn, address=address)
        except Exception as error:
            log.error("discord.press_failed", action=action, turn=turn, error=type(error).__name__)
            return NOT_STORED

    async def _heard(self, message: discord.Message) -> Heard | None:
        spot = messages.spot(message.channel) or await self._spot(message.channel.id)
        heard = messages.heard(message, spot, self._me) if spot else None
        return heard if heard and reading.says_something(heard) else None

    async def _spot(self, channel_id: int) -> Spot | None:
        """Where a channel is that may be known by its id only: a thread that was archived at the start."""
        if channel := self._client.get_channel(channel_id):
            return messages.spot(channel)
        try:
            return messages.spot(await self._client.fetch_channel(channel_id))
        except (*SDK_ERRORS, discord.InvalidData) as error:
            log.warning("discord.unknown_channel", channel=channel_id, error=type(error).__name__)
            return None

    @property
    def _me(self) -> discord.ClientUser:
        assert self._client.user is not None, "no events before the login"  # noqa: S101
        return self._client.user

    @asynccontextmanager
    async def _in_order(self, channel_id: int) -> AsyncIterator[None]:
        if task := asyncio.current_task():
            self._follow(task)
        order = self._orders.get(channel_id)
        if order is None:
            order = self._orders[channel_id] = asyncio.Lock()
        async with order:
            yield

    def _follow(self, task: asyncio.Task[Any]) -> None:
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)


async def _stored(call: Callable[[], Awaitable[T]]) -> T:
    async for attempt in stamina.retry_context(on=Exception, attempts=STORE_TRIES, timeout=STORE_SECONDS):
        with attempt:
            return await call()
    raise AssertionError("stamina raises after its last attempt")


async def _answer(interaction: discord.Interaction, pressing: asyncio.Task[str]) -> None:
    """Acknowledge once the press is stored, or just before Discord gives up; the sentence is for one person."""
    try:
        await asyncio.wait([pressing], timeout=ANSWER_WITHIN)
        if not pressing.done():
            await interaction.response.defer()
        sentence = await pressing
        if interaction.response.is_done():
            if sentence:
                await interaction.followup.send(sentence, ephemeral=True)
        elif sentence:
            await interaction.response.send_message(sentence, ephemeral=True)
        else:
            await interaction.response.defer()
    except SDK_ERRORS as error:
        # Unknown or already answered (another process was quicker): the press itself is stored.
        log.info("discord.interaction_unanswered", error=type(error).__name__)
