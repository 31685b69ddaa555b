"""From Slack's events to the inbox. A listener returns once all is stored; only then is Slack acknowledged."""

from __future__ import annotations

import asyncio
import re
import time
import traceback
from collections.abc import Callable, MutableMapping

import structlog
from cachetools import LRUCache
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_bolt.response import BoltResponse

from bridge.frontends.common.asking import Asking
from bridge.frontends.common.order import KeyedLock
from bridge.frontends.common.told import Told
from bridge.frontends.slack.about import ABOUT, NAMES
from bridge.frontends.slack.answering import WORDS
from bridge.frontends.slack.client import REPLIES
from bridge.frontends.slack.commands import Commands
from bridge.frontends.slack.content import Payload
from bridge.frontends.slack.history import History, timestamp
from bridge.frontends.slack.home import Home, Opened
from bridge.frontends.slack.presses import Presses
from bridge.frontends.slack.prompts import Prompts, PromptsAt, Suggestions
from bridge.frontends.slack.reactions import AskedByReaction, Reacted
from bridge.frontends.slack.reading import Deleted, Edited, Heard, Stopped, read_event, read_press
from bridge.frontends.slack.shortcuts import Shortcuts
from bridge.frontends.slack.telling import tell
from bridge.frontends.slack.uploading import UPLOAD
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Address, Inbound
from bridge.turns.inbox import Inbox, NotAllowed, Overloaded
from bridge.turns.surface import SurfaceError

log = structlog.get_logger()

LOOK_WITHIN = 1.5  # seconds that reading a thread may take: Slack wants events acknowledged within 3
LATE = 2.0  # seconds after which a mention may have been overtaken by what was written below it
REMEMBERED = 10_000  # threads
ROOT_WITHIN = 24 * 3600.0  # seconds: what is older in an unknown thread isn't asked any more
# Seconds: in a channel where every message is asked, what is older above one was said before that was so, and the agent
# reads it as context.
OLD_TALK = 60.0
ANYTHING = re.compile("")


class Listeners:
    """What bolt calls, on one workspace and for one inbox. `missed` is told the ts of what couldn't be stored."""

    def __init__(
        self,
        inbox: Inbox,
        workspace: Workspace,
        missed: Callable[[str], None],
        clock: Callable[[], float] = time.time,
        *,
        prompts_at: PromptsAt = lambda _: (),
    ) -> None:
        self._inbox = inbox
        self._asking = Asking(inbox, workspace.who_is)
        self._workspace = workspace
        self._missed = missed
        self._clock = clock
        self._history = History(workspace)
        self._presses = Presses(inbox, workspace)
        self._commands = Commands(inbox, workspace)
        self._told = Told()
        self._by_reaction = AskedByReaction(inbox, self._asking, workspace, self._told)
        self._prompts = Prompts(workspace, prompts_at)
        self._suggestions = Suggestions(workspace, self._commands.ask_in)
        self._home = Home(self._asking, workspace, prompts_at, self._commands.bring)
        self._showing: set[asyncio.Task[None]] = set()
        self._shortcuts = Shortcuts(self._asking, workspace, self._commands.take)
        self._threads = KeyedLock()
        self._looked_at: MutableMapping[Address, bool] = LRUCache(REMEMBERED)  # threads of others
        self._overtaking: MutableMapping[Address, bool] = LRUCache(
            REMEMBERED
        )  # threads of which a reply was dropped without a look at their root
        self._warned = False

    def listen(self, app: AsyncApp) -> None:
        """Register for all that people press and type."""
        app.action(ANYTHING)(self.on_press)
        app.command(self._workspace.settings.command)(self.on_command)
        app.view(UPLOAD)(self.on_upload)
        for shortcut in NAMES:
            app.shortcut(shortcut)(self.on_shortcut)
        app.view(ABOUT)(self.on_about)
        app.view(WORDS)(self.on_words)
        app.error(self.on_error)

    async def on_event(self, body: Payload) -> None:
        if not self._is_for_this_app(body):
            return
        if opened := Opened.of(body):
            self._show(opened)
            return
        emoji = self._workspace.settings.reactions.ask
        if emoji and (reacted := Reacted.of(body, emoji, self._workspace.me)):
            await self._by_reaction.take(reacted)
            return
        reading = read_event(body, self._workspace.me, self._workspace.listening_at)
        if reading is None or (isinstance(reading, Heard) and not reading.may_concern_us):
            return
        # In order: a follow-up must find the thread known that the message before it has made so.
        async with self._threads.of(reading.address):
            match reading:
                case Heard():
                    await self._hear(reading)
                case Edited():
                    await self._edited(reading)
                case Deleted(address, message_id):
                    await self._inbox.deleted(address, message_id)
                case Stopped(address):
                    await self._inbox.stop(address)

    def _show(self, opened: Opened) -> None:
        """Nothing of it is stored, so Slack needn't wait for it."""
        match opened.tab:
            case "home":
                showing = self._home.show(opened)
            case "messages":
                showing = self._offer(opened)
            case _:
                return
        task = asyncio.create_task(showing, name=f"slack.{opened.tab}")
        self._showing.add(task)
        task.add_done_callback(self._showing.discard)

    async def _offer(self, opened: Opened) -> None:
        """Who may not ask is offered nothing."""
        direct = Address("slack", self._workspace.me.team, opened.channel, "")
        try:
            refused = await self._asking.not_allowed(direct, opened.person)
        except (SurfaceError, Overloaded) as error:  # who it is can't be found out now
            log.info("slack.prompts_not_offered", reason=str(error))
            return
        if not refused:
            await self._prompts.show(opened.channel)

    async def hear(self, heard: Heard) -> bool:
        """Take a message that was read and not heard, as if it had been heard now. Whether it is a new turn."""
        async with self._threads.of(heard.address):
            known = await self._inbox.knows(heard.address)
            return heard.is_for_us(known=known) and await self._store(heard, known=known)

    async def on_press(self, ack: AsyncAck, body: Payload) -> None:
        ours = self._is_for_this_app(body)
        by_command = ours and (
            self._commands.pressed(body)
            or self._suggestions.pressed(body)
            or await self._home.pressed(body)
            or await self._commands.open_pressed(body)
        )
        if (
            ours
            and not by_command
            and (pressed := read_press(body, self._workspace.me, self._workspace.listening_at))
        ):
            if pressed.action == "files":
                self._commands.list_files(pressed.address, pressed.person)
            else:
                await self._presses.decide(pressed)
        await ack()

    async def on_command(self, ack: AsyncAck, body: Payload) -> None:
        if self._is_for_this_app(body):
            await self._commands.typed(ack, body)
        else:
            await ack()

    async def on_upload(self, ack: AsyncAck, body: Payload) -> None:
        await ack(**(await self._commands.submitted(body) if self._is_for_this_app(body) else {}))

    async def on_shortcut(self, ack: AsyncAck, body: Payload) -> None:
        if self._is_for_this_app(body):
            await self._shortcuts.open(body)
        await ack()

    async def on_about(self, ack: AsyncAck, body: Payload) -> None:
        await ack(**(await self._shortcuts.submitted(body) if self._is_for_this_app(body) else {}))

    async def on_words(self, ack: AsyncAck, body: Payload) -> None:
        await ack(**(await self._presses.submitted(body) if self._is_for_this_app(body) else {}))

    async def on_error(self, error: Exception, body: Payload) -> BoltResponse:
        """Not stored, so not acknowledged. The error's own text may hold what people wrote: it isn't logged."""
        if ts := str((body.get("event") or {}).get("event_ts") or ""):
            self._missed(ts)
        where = "" if isinstance(error, Overloaded) else "".join(traceback.format_tb(error.__traceback__)[-2:])
        log.error("slack.event_not_stored", event_id=body.get("event_id"), error=type(error).__name__, where=where)
        return BoltResponse(status=500)

    def _is_for_this_app(self, body: Payload) -> bool:
        if self._workspace.me.is_addressed(body):
            return True
        if not self._warned:
            self._warned = True
            log.warning(
                "slack.not_for_this_app",
                team=body.get("team_id"),
                app=body.get("api_app_id"),
                mend="the app's Request URL, or this token, belongs to another workspace or app",
            )
        return False

    async def _hear(self, heard: Heard) -> None:
        if heard.command is not None:
            await self._commands.spoken(heard, heard.command)
            return
        known = await self._inbox.knows(heard.address)
        if not known and heard.in_thread:
            await self._look_at_root(heard)
            return
        if not heard.is_for_us(known=known):
            return
        new = await self._store(heard, known=known)
        begins_thread = new and not known and heard.called and not heard.address.is_flat
        if begins_thread and self._may_be_overtaken(heard):
            await self._read_on(heard)

    async def _edited(self, edited: Edited) -> None:
        edit = await self._inbox.edited(edited.address, edited.message_id, edited.text)
        if edit.asked is not None:
            if not edited.person.bot:
                await self._presses.offer_again(edited.address, edited.person.id, edit.asked)
        elif (
            not edit.changed and edited.heard is not None and edited.heard.called and self._is_young(edited.heard)
        ):
            await self._hear(edited.heard)  # it calls the agent only now

    def _is_young(self, heard: Heard) -> bool:
        return self._clock() - heard.position / 1_000_000 < ROOT_WITHIN

    async def _store(self, heard: Heard, *, known: bool) -> bool:
        """Whether it is a new turn. Whoever may not ask is told so."""
        inbound = Inbound(
            address=heard.address,
            event_id=heard.event_id,
            message_id=heard.message_id,
            position=heard.position,
            person=heard.person,
            text=heard.text,
            files=heard.files,
            direct=heard.direct,
            mid_thread=heard.in_thread and not known and not heard.direct,
        )
        try:
            return await self._asking.take(inbound)
        except NotAllowed as refusal:
            if self._told.is_due(heard.person, refusal):
                place = heard.address, heard.person
                await tell(self._workspace, *place, refusal.sentence, in_thread=heard.in_thread)
            return False

    # --- events come in any order, and some never -------------------------------------------------------------

    async def _look_at_root(self, heard: Heard) -> None:
        """A reply in a thread that isn't known: perhaps what was written above it is still on the way, or was lost.
        That is taken first."""
        if heard.address in self._looked_at and not heard.is_for_us(known=False):
            return
        since = heard.position - int(ROOT_WITHIN * 1_000_000)
        messages = await self._read(heard.address, after=timestamp(since))
        if messages is None:
            self._overtaking[heard.address] = True
        known = False
        above = [one for one in messages or () if since <= one.position < heard.position]
        for one in [*(one for one in above if one.called or not _is_old_talk(one, heard)), heard]:
            if one.is_for_us(known=known):
                # What isn't new was taken before, or refused.
                known = await self._store(one, known=known) or await self._inbox.knows(one.address)
        if not known and messages is not None:
            self._looked_at[heard.address] = True

    def _may_be_overtaken(self, heard: Heard) -> bool:
        return heard.address in self._overtaking or self._clock() - heard.position / 1_000_000 > LATE

    async def _read_on(self, heard: Heard) -> None:
        """Take what was written below a mention that came late."""
        for one in await self._read(heard.address, after=heard.message_id) or ():
            if one.position > heard.position and one.is_for_us(known=True):
                await self._store(one, known=True)

    async def _read(self, address: Address, *, after: str) -> list[Heard] | None:
        """A page of a thread; None if it can't be had now. What is missed so, a catch-up finds."""
        budget = self._workspace.budgets.of(REPLIES)
        if budget is not None and budget.delay > 0:
            return None
        try:
            async with asyncio.timeout(LOOK_WITHIN):
                return await self._history.thread(address, after=after)
        except (SurfaceError, TimeoutError) as error:
            log.info("slack.thread_not_read", channel=address.channel, reason=str(error))
            return None


def _is_old_talk(one: Heard, heard: Heard) -> bool:
    return one.listening.hears_all and heard.position - one.position > OLD_TALK * 1_000_000
