"""Slack's side of a thread, for one turn."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import structlog

from bridge.frontends.common.budget import Budget
from bridge.frontends.slack import files as transfers
from bridge.frontends.slack.blocks import MAX_CHOICES, fallback, key_of, sentence_of
from bridge.frontends.slack.cards import plan_of
from bridge.frontends.slack.client import APPEND, POST, REACT, START, STOP, UNREACT, UPDATE
from bridge.frontends.slack.content import Payload, words
from bridge.frontends.slack.drawing import rows_shown
from bridge.frontends.slack.errors import SDK_ERRORS, Failure
from bridge.frontends.slack.live import FIND_PAGES, LivePart, Place
from bridge.frontends.slack.manifest import EMAIL_SCOPE
from bridge.frontends.slack.prompts import FOLLOW_UPS, suggestion_blocks
from bridge.frontends.slack.reading import attached, is_bot, mentioned
from bridge.frontends.slack.signs import STOP_AFTER, Signs
from bridge.frontends.slack.titles import title_of
from bridge.frontends.slack.workspace import Workspace, replies, thread_ts
from bridge.inbound import Address, ContextMessage, Person, RemoteFile
from bridge.render.data import Data
from bridge.render.incoming import from_slack
from bridge.render.measure import utf8
from bridge.render.slack import SLACK
from bridge.render.style import Style
from bridge.turns.surface import (
    NO_PROGRESS,
    Button,
    Fenced,
    Guard,
    Mark,
    PartKey,
    PartKind,
    Progress,
    Sending,
    Upload,
)

log = structlog.get_logger()

# A stream was seen to fill up at about 11,600 bytes; a markdown block takes 12,000 characters and a message about
# 13,000 of all blocks, so what was streamed fits when it has to be rewritten by chat.update, buttons included.
PART_BYTES = 11_000
# appendStream has 100 and more calls a minute for the whole workspace: one reply takes about half of them.
APPEND_INTERVAL = 1.0
# chat.update has 50 and more a minute.
UPDATE_INTERVAL = 1.5
MAX_FILES = 10  # in one message
MAX_FILE_BYTES = 1_000_000_000  # Slack's limit for one file is 1 GB
START_WAIT = 2.0  # seconds that first words wait for the budget of streams before they are posted
PATIENCE = 5.0  # seconds for a call that must not hold up a reply

MAX_TITLE = 100  # characters; Slack takes 200 and shows fewer
NO_PART = PartKey("", PartKind.TEXT)  # of a message that is about to go
EARLIER_MESSAGES = 50  # what a mid-thread call brings along: the last so many
EARLIER_PAGES = 5
WAITING = "hourglass_flowing_sand"  # reactions on the question
UNDELIVERABLE = "warning"
ALREADY = frozenset({"already_reacted", "no_reaction"})

STREAM_STYLE = Style(
    dialect=SLACK,
    limit=PART_BYTES,
    measure=utf8,
    interval=APPEND_INTERVAL,
    appends=True,
    max_files=MAX_FILES,
    max_file_bytes=MAX_FILE_BYTES,
    cards=True,
    max_choices=MAX_CHOICES,
)
UPDATE_STYLE = replace(STREAM_STYLE, interval=UPDATE_INTERVAL, appends=False)


class SlackSurface:
    """Implements `bridge.turns.surface.Surface`. `style` is decided anew for each part, at the latest when the
    slot of its first words is held, and stays as long as the part grows."""

    def __init__(self, workspace: Workspace, address: Address, *, person: Person, guard: Guard) -> None:
        self._workspace = workspace
        self._address = address
        self._person = person
        self._client = workspace.client.guarded(guard)
        self._place = Place(workspace, self._client, address, person)
        self._signs = Signs(self._place)
        self._uploads = transfers.Uploads(workspace, self._client, address)
        self._parts: dict[str, LivePart] = {}
        self._growing: LivePart | None = None
        self.style = STREAM_STYLE if self._may_stream() else UPDATE_STYLE

    @asynccontextmanager
    async def slot(self, sending: Sending) -> AsyncIterator[None]:
        method = self._method_of(sending)
        if method == START and not await self._enter_start():
            self.style, method = UPDATE_STYLE, POST
        budget = self._budget(method)
        if method != START:
            await budget.enter(urgent=sending is not Sending.GROWTH)
        self._client.paid = method
        try:
            yield
        finally:
            if self._client.paid == method:  # another one was called, or none
                self._client.paid = ""
                budget.unused()
            budget.leave()

    async def resolve(self, person: Person, text: str) -> tuple[str, str]:
        me = self._workspace.me.user if self._workspace.identified else ""
        bot = is_bot(person)
        asked = {*(() if bot else (person.id,)), *(user for user in mentioned(text) if user != me)}
        try:
            names = await self._workspace.people.names(self._client, asked)
        except Fenced:  # whoever owns the thread now looks them up
            names = {user: user for user in asked}
        return person.name if bot else names[person.id], from_slack(text, (names | {me: ""}).get)

    async def email(self, person: Person) -> str:
        if is_bot(person) or not self._workspace.settings.emails or self._workspace.lacks(EMAIL_SCOPE):
            return ""
        try:
            return await self._workspace.people.email(self._client, person.id)
        except Fenced:
            return ""

    async def mark_waiting(self, asked: str, waits: bool) -> bool:
        if self._workspace.lacks("reactions:write"):
            return True  # nothing shows, and nothing is to be taken away
        budget = self._workspace.budgets.of(REACT if waits else UNREACT)
        if budget is not None and budget.delay > 0:
            return False
        return await self._works(lambda: self._react(asked, WAITING, shown=waits))

    async def mark(self, asked: str, stands: Mark | None) -> None:
        names = self._workspace.settings.reactions
        if stands == "seen":
            await self._sign(asked, names.seen, shown=True)
            return
        if stands == "done":
            await self._sign(asked, names.done, shown=True)
        if stands is None or names.done != names.seen:
            await self._sign(asked, names.seen, shown=False)

    async def _sign(self, asked: str, name: str, *, shown: bool) -> None:
        if name and not self._workspace.lacks("reactions:write"):
            budget = self._budget(REACT if shown else UNREACT)
            if budget.delay > 0:
                log.info("slack.mark_left_out", channel=self._address.channel, name=name)
                return
            await self._works(lambda: self._react(asked, name, shown=shown))

    async def say_undeliverable(self, asked: str, sentence: str) -> bool:
        person, text = self._person.id, fallback(sentence)
        client, channel, thread = self._client, self._address.channel, thread_ts(self._address)
        ways: Sequence[Callable[[], Awaitable[object]]] = (
            lambda: client.chat_postMessage(
                channel=channel, thread_ts=thread, text=text, unfurl_links=False, unfurl_media=False
            ),
            lambda: client.chat_postEphemeral(channel=channel, thread_ts=thread, user=person, text=text),
            lambda: client.chat_postMessage(channel=person, text=text, unfurl_links=False, unfurl_media=False),
            lambda: self._react(asked, UNDELIVERABLE, shown=True),
        )
        for way in ways:
            if await self._works(way):
                return True
        return False

    async def working(self, label: str | None) -> None:
        await self._signs.show(label)

    def title(self, question: str) -> None:
        self._signs.title = title_of(question, MAX_TITLE)

    async def suggest(self, suggestions: Sequence[str]) -> None:
        blocks = suggestion_blocks(self._address.thread, suggestions)
        if blocks and not is_bot(self._person):
            await self._works(
                lambda: self._client.chat_postEphemeral(
                    channel=self._address.channel,
                    thread_ts=thread_ts(self._address),
                    user=self._person.id,
                    text=FOLLOW_UPS,
                    blocks=blocks,
                )
            )

    async def post(
        self,
        key: PartKey,
        text: str,
        *,
        last: bool,
        buttons: Sequence[Button] = (),
        progress: Progress = NO_PROGRESS,
    ) -> str:
        text = sentence_of(key, text)
        part = await self._begin(key, text, progress, buttons, last=last)
        if key.kind is PartKind.REQUEST and buttons:
            self._signs.waits = True
        self._parts[part.id] = part
        self._growing = None if last else part
        self._signs.words_came(posted=True)
        if not last:
            self._signs.grows(buttons, beside=part.streaming)
        return part.id

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
        text = sentence_of(key, text)
        if key.kind is PartKind.REQUEST:  # what it waited for came
            self._workspace.suspended[self._address] = True
        part = self._parts.get(message_id)
        if part is None or shown is None:
            part = self._parts[message_id] = LivePart.found_again(self._place, key, message_id)
        self._growing = part
        self._signs.words_came(posted=False)
        if last:
            await part.finish(text, progress, buttons)
            self._signs.grows_no_more()
            self._growing = None
        else:
            await part.grow(text, progress, self._while_growing(part, buttons))
            self._signs.grows(buttons, beside=part.streaming)

    async def close(self, key: PartKey, message_id: str, *, progress: Progress = NO_PROGRESS) -> None:
        part = self._parts.get(message_id) or LivePart.found_again(self._place, key, message_id)
        await part.close(progress)

    async def delete(self, message_id: str) -> None:
        part = self._parts.pop(message_id, None)
        await (part or LivePart.found_again(self._place, NO_PART, message_id)).delete()

    def drawable(self, data: Data) -> int:
        return rows_shown(data)

    async def draw(self, key: PartKey, data: Data) -> str:
        message_id = await self._place.draw(key, data)
        self._signs.words_came(posted=True)
        return message_id

    async def upload(self, key: PartKey, files: Sequence[Upload], text: str = "") -> str:
        message_id = await self._uploads.send(key, files, text)
        self._signs.words_came(posted=True)
        return message_id

    async def find(self, key: PartKey, *, after: str, known: Collection[str]) -> str | None:
        if key.kind.is_upload and (sent := await self._uploads.find(key)):
            return sent
        window = {"oldest": after} if after else {}
        unnamed = None
        found = replies(self._client, self._address, pages=FIND_PAGES, **window)
        async for message in found:
            if not self._workspace.me.wrote(message) or (after and message["ts"] <= after):
                continue
            named = key_of(message)
            if named == key:
                return str(message["ts"])
            # A stream or an upload carries no key: it is the first that nobody knows, of the right kind.
            if named is None and unnamed is None and message["ts"] not in known and _may_be(key, message):
                unnamed = str(message["ts"])
        return unnamed

    async def earlier(self, before: str) -> Sequence[ContextMessage]:
        kept: deque[Payload] = deque(maxlen=EARLIER_MESSAGES)
        thread = replies(self._client, self._address, pages=EARLIER_PAGES, latest=before)
        async for message in thread:
            if message["ts"] < before and not self._workspace.me.wrote(message):
                kept.append(message)
        texts = [words(message) for message in kept]
        authors = [str(message["user"]) for message in kept if message.get("user")]
        names = await self._workspace.people.names(
            self._client, [*authors, *(user for text in texts for user in mentioned(text))]
        )
        said = [_context(message, text, names) for message, text in zip(kept, texts, strict=True)]
        return [one for one in said if one.text or one.files]

    async def fetch(self, file: RemoteFile, to: Path, max_bytes: int) -> None:
        await transfers.fetch(self._workspace, self._client, file, to, max_bytes)

    # --- which way ------------------------------------------------------------------------------------------

    async def _begin(
        self, key: PartKey, text: str, progress: Progress, buttons: Sequence[Button], *, last: bool
    ) -> LivePart:
        if not last and self.style.appends and self._may_stream():
            plan = plan_of(progress)
            streamed = await self._place.start_stream(text, plan)
            if streamed is not None:
                self.style = STREAM_STYLE
                return LivePart.of_stream(self._place, key, streamed, text, plan)
        if not last:
            self.style = UPDATE_STYLE
        message_id = await self._place.post(key, text, buttons if last else (), progress)
        return LivePart.of_message(self._place, key, message_id, text)

    def _may_stream(self) -> bool:
        # A stream is a reply in a thread, to a person.
        if self._address.is_flat or is_bot(self._person):
            return False
        if self._workspace.refusals.has(START, self._address.channel):
            return False
        return self._budget(START).delay <= START_WAIT

    def _method_of(self, sending: Sending) -> str:
        """What the next call is going to be."""
        if sending is Sending.FIRST and self._growing is None:
            self.style = STREAM_STYLE if self._may_stream() else UPDATE_STYLE
            return START if self.style.appends else POST
        if self._growing is None:
            return POST
        if not self._growing.streaming:
            return UPDATE
        return APPEND if sending is Sending.GROWTH else STOP

    async def _enter_start(self) -> bool:
        """Hold a slot for a stream's start, if there is one soon."""
        try:
            async with asyncio.timeout(START_WAIT):
                await self._budget(START).enter(urgent=True)
        except TimeoutError:
            log.info("slack.streams_held_back", channel=self._address.channel)
            return False
        return True

    def _budget(self, method: str) -> Budget:
        budget = self._workspace.budgets.of(method, self._address.channel)
        assert budget is not None  # noqa: S101 - each method that grows a reply has one
        return budget

    def _while_growing(self, part: LivePart, buttons: Sequence[Button]) -> Sequence[Button]:
        return () if self._signs.stoppable or part.seconds < STOP_AFTER else buttons

    # --- calls that must not raise ----------------------------------------------------------------------------

    async def _react(self, message_id: str, name: str, *, shown: bool) -> None:
        change = self._client.reactions_add if shown else self._client.reactions_remove
        try:
            await change(channel=self._address.channel, timestamp=message_id, name=name)
        except SDK_ERRORS as error:
            if Failure.of(error).code not in ALREADY:
                raise

    async def _works(self, way: Callable[[], Awaitable[object]]) -> bool:
        try:
            async with asyncio.timeout(PATIENCE):
                await way()
        except SDK_ERRORS as error:
            log.info("slack.not_said", reason=Failure.of(error).reason)
            return False
        except Fenced:  # whoever owns the thread now says it
            return False
        return True


def _may_be(key: PartKey, message: Payload) -> bool:
    """Whether a message without a key can be this part: an upload, or a stream that wasn't stopped."""
    if key.kind.is_upload:
        return bool(message.get("files"))
    return key.kind is PartKind.TEXT and not message.get("files")


def _context(message: Payload, text: str, names: Mapping[str, str]) -> ContextMessage:
    bot = message.get("username") or (message.get("bot_profile") or {}).get("name") or "a bot"
    author = names[message["user"]] if message.get("user") else str(bot)
    return ContextMessage(author, from_slack(text, names.get), attached(message))
