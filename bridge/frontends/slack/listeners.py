"""From Slack's events to the inbox. A listener returns once all is stored; only then is Slack acknowledged."""

from __future__ import annotations

import asyncio
import re
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_bolt.response import BoltResponse

from bridge.frontends.slack.blocks import fallback
from bridge.frontends.slack.errors import SDK_ERRORS, Failure
from bridge.frontends.slack.manifest import COMMAND
from bridge.frontends.slack.reading import (
    Deleted,
    Edited,
    Heard,
    Payload,
    Pressed,
    Stopped,
    mentioned,
    read_event,
    read_press,
)
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Address, Inbound
from bridge.render.incoming import from_slack
from bridge.turns.inbox import Inbox

log = structlog.get_logger()

PATIENCE = 1.0  # seconds that an answer to a click may take, so that the click is acknowledged within Slack's 3
HELP = "In the thread of my answer just go on writing. Files may come along."
ANYTHING = re.compile("")


class Listeners:
    """What bolt calls, on one workspace and for one inbox."""

    def __init__(self, inbox: Inbox, workspace: Workspace) -> None:
        self._inbox = inbox
        self._workspace = workspace
        self._threads = _OneAtATime()

    def listen(self, app: AsyncApp) -> None:
        """Register for everything: what nobody listens to would be answered 404 and delivered three times more."""
        app.event(ANYTHING)(self.on_event)
        app.action(ANYTHING)(self.on_press)
        app.command(COMMAND)(self.on_command)
        app.error(self.on_error)

    async def on_event(self, body: Payload) -> None:
        reading = read_event(body, self._workspace.me)
        if reading is None or (isinstance(reading, Heard) and not reading.may_concern_us):
            return
        # In order: a follow-up must find the thread known that the message before it has made so.
        async with self._threads.turn_of(reading.address):
            match reading:
                case Heard():
                    await self._take(reading)
                case Edited(address, message_id, text):
                    await self._inbox.edited(address, message_id, await self._markdown(text))
                case Deleted(address, message_id):
                    await self._inbox.deleted(address, message_id)
                case Stopped(address):
                    await self._inbox.stop(address)

    async def on_press(self, ack: AsyncAck, body: Payload) -> None:
        if pressed := read_press(body, self._workspace.me):
            sentence = await self._inbox.pressed(pressed.action, pressed.turn, address=pressed.address)
            if sentence:
                await self._tell(pressed, sentence)
        await ack()

    async def on_command(self, ack: AsyncAck) -> None:
        await ack(f"Write to me in a direct message, or mention <@{self._workspace.me.user}> in a channel. {HELP}")

    async def on_error(self, error: Exception, body: Payload) -> BoltResponse:
        """Not stored, so not acknowledged. The error's own text may hold what people wrote: it isn't logged."""
        log.error(
            "slack.event_not_stored",
            event_id=body.get("event_id"),
            error=type(error).__name__,
            where="".join(traceback.format_tb(error.__traceback__)[-2:]),
        )
        return BoltResponse(status=500)

    async def _take(self, heard: Heard) -> None:
        known = await self._inbox.knows(heard.address)
        if not heard.is_for_us(known=known):
            return
        author, text = await asyncio.gather(self._workspace.people.name(heard.author), self._markdown(heard.text))
        new = await self._inbox.take(
            Inbound(
                address=heard.address,
                event_id=heard.event_id,
                message_id=heard.message_id,
                position=heard.position,
                author=heard.author,
                author_name=author,
                text=text,
                files=heard.files,
                direct=heard.direct,
                mid_thread=heard.in_thread and not known,
            )
        )
        log.info(
            "slack.message",
            event_id=heard.event_id,
            channel=heard.address.channel,
            thread=heard.address.thread,
            files=len(heard.files),
            new=new,
        )

    async def _markdown(self, text: str) -> str:
        """What a person wrote, with names for ids and without our own mention."""
        me = self._workspace.me
        names = await self._workspace.people.names(user for user in mentioned(text) if user != me.user)
        return from_slack(text, (names | {me.user: ""}).get)

    async def _tell(self, pressed: Pressed, sentence: str) -> None:
        """Answer the one who pressed. What they pressed for is done, so a failure here is only logged."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._workspace.write.chat_postEphemeral(
                    channel=pressed.address.channel,
                    thread_ts=pressed.address.thread,
                    user=pressed.user,
                    text=fallback(sentence),
                )
        except SDK_ERRORS as error:
            log.info("slack.answer_lost", reason=Failure.of(error).code)


class _OneAtATime:
    """A lock per thread, there only while someone holds or awaits it."""

    def __init__(self) -> None:
        self._locks: dict[Address, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def turn_of(self, address: Address) -> AsyncIterator[None]:
        lock, users = self._locks.get(address, (asyncio.Lock(), 0))
        self._locks[address] = lock, users + 1
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks[address]
            if users == 1:
                del self._locks[address]
            else:
                self._locks[address] = lock, users - 1
