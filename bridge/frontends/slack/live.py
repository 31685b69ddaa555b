"""A part while it grows: a native stream as long as that lasts, then edits, then posts of what is missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

import structlog

from bridge.frontends.slack.blocks import button_blocks, fallback, key_of, metadata, part_blocks
from bridge.frontends.slack.errors import SDK_ERRORS, Failure
from bridge.frontends.slack.workspace import Workspace, replies
from bridge.inbound import Address
from bridge.render.slack import slack_mrkdwn
from bridge.turns.surface import Button, PartFull, PartKey, Refused, Throttled, Unreachable

log = structlog.get_logger()

# Streams were seen to die 5 minutes after their start, whether or not anything was appended.
STREAM_SECONDS = 270.0
FIND_PAGES = 5

START = "chat.startStream"
# The stream is over or full; what it shows stands.
STREAM_OVER = frozenset({"message_not_in_streaming_state", "msg_too_long", "msg_blocks_too_long"})
# The stream couldn't be stopped, but is alive. It ends by itself, 5 minutes after its start at the latest.
STILL_STREAMING = "streaming_state_conflict"
LOOK_AGAIN_AFTER = 5.0  # seconds
NO_SUCH_BLOCKS = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long"})
# The message stays as it is, for good.
CANT_UPDATE = NO_SUCH_BLOCKS | {
    "block_mismatch",
    "cant_update_message",
    "edit_window_closed",
    "is_inactive",
    "msg_too_long",
    "update_not_allowed",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reply goes, and whom it answers."""

    workspace: Workspace
    address: Address
    author: str

    async def start_stream(self, text: str) -> str | None:
        """Start a stream with the first words; its message's id, None where there are no streams."""
        refusals = self.workspace.refusals
        if refusals.has(START, self.address.channel):
            return None
        try:
            answer = await self.workspace.write.chat_startStream(
                channel=self.address.channel,
                thread_ts=self.address.thread,
                markdown_text=text,
                recipient_team_id=self.address.workspace,
                recipient_user_id=self.author,
            )
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            if not failure.refused:
                raise failure.surface_error(START) from error
            # Of another organisation's person it says that the team is gone: whether all is, a post tells.
            refusals.learn(failure, START, self.address.channel)
            log.info("slack.no_stream", channel=self.address.channel, reason=failure.code)
            return None
        return str(answer["ts"])

    async def post(self, key: PartKey, text: str, buttons: Sequence[Button]) -> str:
        try:
            return await self._post(key, text, buttons, plain=False)
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            if failure.code not in NO_SUCH_BLOCKS:
                raise failure.surface_error("chat.postMessage") from error
        try:
            return await self._post(key, text, buttons, plain=True)
        except SDK_ERRORS as error:
            raise Failure.of(error).surface_error("chat.postMessage") from error

    async def _post(self, key: PartKey, text: str, buttons: Sequence[Button], *, plain: bool) -> str:
        answer = await self.workspace.write.chat_postMessage(
            channel=self.address.channel,
            thread_ts=self.address.thread,
            text=slack_mrkdwn(text) if plain else fallback(text),
            blocks=None if plain else part_blocks(text, buttons),
            metadata=metadata(key),
            unfurl_links=False,  # an unfolded link can carry what was said to whoever wrote the address
            unfurl_media=False,
            link_names=False,
            parse="none",
        )
        return str(answer["ts"])

    async def find_by_key(self, key: PartKey, after: str) -> str | None:
        found = replies(self.workspace, self.address.channel, self.address.thread, pages=FIND_PAGES, oldest=after)
        async for message in found:
            if self.workspace.me.wrote(message) and key_of(message) == key:
                return str(message["ts"])
        return None


class _State(Enum):
    STREAMING = auto()
    BROKEN = auto()  # perhaps still a stream, nobody knows what it shows: to be stopped and rewritten
    EDITABLE = auto()
    FROZEN = auto()  # refuses to be changed


class LivePart:
    """One part that this turn posted, or found again."""

    def __init__(
        self,
        place: Place,
        key: PartKey,
        message_id: str,
        state: _State,
        visible: str,
        clock: Callable[[], float],
    ) -> None:
        self._place = place
        self._key = key
        self._id = message_id
        self._state = state
        self._visible = visible  # what the message shows for certain
        self._clock = clock
        self._started = clock()
        self._may_have_posted_rest = False

    @classmethod
    def of_stream(
        cls, place: Place, key: PartKey, message_id: str, text: str, clock: Callable[[], float] = time.monotonic
    ) -> LivePart:
        return cls(place, key, message_id, _State.STREAMING, text, clock)

    @classmethod
    def of_message(cls, place: Place, key: PartKey, message_id: str, text: str) -> LivePart:
        return cls(place, key, message_id, _State.EDITABLE, text, time.monotonic)

    @classmethod
    def found_again(cls, place: Place, key: PartKey, message_id: str) -> LivePart:
        part = cls(place, key, message_id, _State.BROKEN, "", time.monotonic)
        part._may_have_posted_rest = True
        return part

    @property
    def streaming(self) -> bool:
        return self._state is _State.STREAMING

    async def grow(self, text: str, buttons: Sequence[Button]) -> None:
        """Show more of the text. Raises `PartFull` when the stream won't take more."""
        if self.streaming and text.startswith(self._visible):
            await self._append(text, buttons)
        elif self._state is not _State.FROZEN:
            await self._rewrite(text, buttons)

    async def finish(self, text: str, buttons: Sequence[Button]) -> None:
        """Show all of the text, and the buttons."""
        if self.streaming and text.startswith(self._visible) and await self._stop(text, buttons):
            return
        if self._state is not _State.FROZEN and await self._rewrite(text, buttons):
            return
        await self._post_rest(text, buttons)

    async def delete(self) -> None:
        """Take the message away; where Slack keeps it, nothing that was said stays in it."""
        if self._state in (_State.STREAMING, _State.BROKEN):
            await self._end_stream()
        try:
            await self._place.workspace.write.chat_delete(channel=self._place.address.channel, ts=self._id)
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            if not failure.refused:
                raise failure.surface_error("chat.delete") from error
            if failure.kind is Refused:
                log.info("slack.cant_delete", reason=failure.code)
                await self._rewrite("…", ())

    async def _append(self, text: str, buttons: Sequence[Button]) -> None:
        if self._clock() - self._started > STREAM_SECONDS:
            raise PartFull("the stream is about to expire")
        delta = text[len(self._visible) :]
        if not delta:
            return
        try:
            await self._place.workspace.write.chat_appendStream(
                channel=self._place.address.channel, ts=self._id, markdown_text=delta
            )
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            log.info("slack.stream_broke", method="chat.appendStream", reason=failure.code or failure.detail)
            if failure.code in STREAM_OVER:
                self._state = _State.BROKEN
                raise PartFull(f"chat.appendStream: {failure.code}") from error
            if failure.kind is Unreachable:  # appended or not: what it shows isn't certain any more
                self._state = _State.BROKEN
            if failure.kind is not Refused:
                raise failure.surface_error("chat.appendStream") from error
            self._state = _State.BROKEN
            await self._rewrite(text, buttons)
        else:
            self._visible = text

    async def _stop(self, text: str, buttons: Sequence[Button]) -> bool:
        """Finish the stream natively; False if it has to be done by an edit."""
        try:
            await self._place.workspace.write.chat_stopStream(
                channel=self._place.address.channel,
                ts=self._id,
                markdown_text=text[len(self._visible) :] or None,
                blocks=button_blocks(buttons) or None,
                metadata=metadata(self._key),
            )
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            log.info("slack.stream_broke", method="chat.stopStream", reason=failure.code or failure.detail)
            if failure.kind is not Refused:  # a repeat is safe: a stream that was stopped refuses to be again
                raise failure.surface_error("chat.stopStream") from error
            self._state = _State.BROKEN
            return False
        self._state, self._visible = _State.EDITABLE, text
        return True

    async def _rewrite(self, text: str, buttons: Sequence[Button]) -> bool:
        """Replace the message's text; False if Slack won't have it changed."""
        if self._state in (_State.STREAMING, _State.BROKEN):
            await self._end_stream()
        try:
            await self._place.workspace.write.chat_update(
                channel=self._place.address.channel,
                ts=self._id,
                text=fallback(text),
                blocks=part_blocks(text, buttons),
                metadata=metadata(self._key),
            )
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            if failure.code == STILL_STREAMING:
                self._state = _State.BROKEN
                raise Throttled(f"chat.update: {failure.code}", LOOK_AGAIN_AFTER) from error
            if failure.code not in CANT_UPDATE:
                raise failure.surface_error("chat.update") from error
            log.info("slack.cant_update", reason=failure.code)
            self._state = _State.FROZEN
            return False
        self._visible = text
        return True

    async def _end_stream(self) -> None:
        """Stop the stream, if the message still is one."""
        try:
            await self._place.workspace.write.chat_stopStream(
                channel=self._place.address.channel, ts=self._id, metadata=metadata(self._key)
            )
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            if not failure.refused:
                raise failure.surface_error("chat.stopStream") from error
        self._state = _State.EDITABLE

    async def _post_rest(self, text: str, buttons: Sequence[Button]) -> None:
        rest = text[len(self._visible) :] if text.startswith(self._visible) else text
        key = PartKey(self._key.turn, f"{self._key.name}+")
        found = self._may_have_posted_rest and await self._place.find_by_key(key, after=self._id)
        if rest and not found:
            self._may_have_posted_rest = True
            await self._place.post(key, rest, buttons)
        self._visible = text
