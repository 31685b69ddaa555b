"""Slack's side of a thread, for one turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from bridge.frontends.slack import files as transfers
from bridge.frontends.slack.blocks import button_blocks, fallback, key_of
from bridge.frontends.slack.errors import SDK_ERRORS, Failure
from bridge.frontends.slack.live import FIND_PAGES, START, LivePart, Place
from bridge.frontends.slack.reading import Payload, attached, mentioned, words
from bridge.frontends.slack.signs import Signs
from bridge.frontends.slack.workspace import Workspace, replies
from bridge.inbound import Address, ContextMessage, RemoteFile
from bridge.render.incoming import from_slack
from bridge.render.measure import utf8
from bridge.render.slack import SLACK
from bridge.render.style import Style
from bridge.turns.surface import Button, PartKey, Upload

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

NO_PART = PartKey("", "")  # of a message that is about to go
EARLIER_MESSAGES = 50  # what a mid-thread call brings along: the last so many
EARLIER_PAGES = 5

STREAM_STYLE = Style(
    dialect=SLACK,
    limit=PART_BYTES,
    measure=utf8,
    interval=APPEND_INTERVAL,
    appends=True,
    max_files=MAX_FILES,
    max_file_bytes=MAX_FILE_BYTES,
)
UPDATE_STYLE = replace(STREAM_STYLE, interval=UPDATE_INTERVAL, appends=False)


class SlackSurface:
    """Implements `bridge.turns.surface.Surface`. `style` is that of edits where streams are known refused."""

    def __init__(self, workspace: Workspace, address: Address, *, author: str) -> None:
        self.style = UPDATE_STYLE if workspace.refusals.has(START, address.channel) else STREAM_STYLE
        self._workspace = workspace
        self._address = address
        self._author = author
        self._place = Place(workspace, address, author)
        self._signs = Signs(workspace, address)
        self._parts: dict[str, LivePart] = {}
        self._offered_stop = False

    async def working(self, label: str | None) -> None:
        await self._signs.show(label)

    async def post(self, key: PartKey, text: str, *, last: bool, buttons: Sequence[Button] = ()) -> str:
        if last:
            message_id = await self._place.post(key, text, buttons)
            self._parts[message_id] = LivePart.of_message(self._place, key, message_id, text)
            return message_id
        streamed = await self._place.start_stream(text)
        if streamed is not None:
            self._parts[streamed] = LivePart.of_stream(self._place, key, streamed, text)
            await self._offer_stop(buttons)
            return streamed
        message_id = await self._place.post(key, text, self._while_running(buttons))
        self._parts[message_id] = LivePart.of_message(self._place, key, message_id, text)
        return message_id

    async def edit(
        self,
        key: PartKey,
        message_id: str,
        text: str,
        *,
        shown: str | None,
        last: bool,
        buttons: Sequence[Button] = (),
    ) -> None:
        part = self._parts.get(message_id)
        if part is None or shown is None:
            part = self._parts[message_id] = LivePart.found_again(self._place, key, message_id)
        if last:
            await part.finish(text, buttons)
        else:
            await part.grow(text, self._while_running(buttons))

    async def delete(self, message_id: str) -> None:
        part = self._parts.pop(message_id, None)
        await (part or LivePart.found_again(self._place, NO_PART, message_id)).delete()

    async def upload(
        self,
        key: PartKey,  # noqa: ARG002 - Slack keeps no metadata with an upload: see `find`
        files: Sequence[Upload],
        text: str = "",
    ) -> str:
        return await transfers.upload(self._workspace, self._address, files, text)

    async def find(self, key: PartKey, *, after: str, known: Collection[str]) -> str | None:
        window = {"oldest": after} if after else {}
        with_files = key.name[:1] in ("f", "t")
        unnamed = None
        found = replies(self._workspace, self._address.channel, self._address.thread, pages=FIND_PAGES, **window)
        async for message in found:
            if not self._workspace.me.wrote(message) or (after and message["ts"] <= after):
                continue
            named = key_of(message)
            if named == key:
                return str(message["ts"])
            # A stream or an upload carries no key: it is the first that nobody knows, of the right kind.
            if named is None and unnamed is None and message["ts"] not in known:
                unnamed = str(message["ts"]) if bool(message.get("files")) == with_files else None
        return unnamed

    async def earlier(self, before: str) -> Sequence[ContextMessage]:
        kept: deque[Payload] = deque(maxlen=EARLIER_MESSAGES)
        thread = replies(
            self._workspace, self._address.channel, self._address.thread, pages=EARLIER_PAGES, latest=before
        )
        async for message in thread:
            if message["ts"] < before and not self._workspace.me.wrote(message):
                kept.append(message)
        texts = [words(message) for message in kept]
        authors = [str(message["user"]) for message in kept if message.get("user")]
        names = await self._workspace.people.names(
            [*authors, *(user for text in texts for user in mentioned(text))]
        )
        said = [self._said(message, text, names) for message, text in zip(kept, texts, strict=True)]
        return [one for one in said if one.text or one.files]

    async def fetch(self, file: RemoteFile, to: Path, max_bytes: int) -> None:
        await transfers.fetch(self._workspace, file, to, max_bytes)

    def _said(self, message: Payload, text: str, names: Mapping[str, str]) -> ContextMessage:
        bot = message.get("username") or (message.get("bot_profile") or {}).get("name") or "a bot"
        author = names[message["user"]] if message.get("user") else str(bot)
        return ContextMessage(author, from_slack(text, names.get), attached(message))

    def _while_running(self, buttons: Sequence[Button]) -> Sequence[Button]:
        return () if self._signs.stoppable else buttons

    async def _offer_stop(self, buttons: Sequence[Button]) -> None:
        """A stream shows buttons only once it has ended: the person gets theirs beside it."""
        if self._offered_stop or not (shown := self._while_running(buttons)):
            return
        self._offered_stop = True
        try:
            await self._workspace.write.chat_postEphemeral(
                channel=self._address.channel,
                thread_ts=self._address.thread,
                user=self._author,
                text=fallback(shown[0].label),
                blocks=button_blocks(shown),
            )
        except SDK_ERRORS as error:
            log.info("slack.no_stop_button", reason=Failure.of(error).code)
