"""A part while it grows: a native stream as long as that lasts, then edits, then posts of what is missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import structlog

from bridge.frontends.slack.blocks import all_buttons, fallback, key_of, metadata, outgoing, part_blocks
from bridge.frontends.slack.cards import NO_PLAN, Plan, plan_of, states
from bridge.frontends.slack.client import APPEND, POST, START, STOP, UPDATE, Client, required
from bridge.frontends.slack.drawing import drawn
from bridge.frontends.slack.errors import BAD_CONTENT, REFUSED, SDK_ERRORS, Failure
from bridge.frontends.slack.workspace import Workspace, replies, thread_ts
from bridge.inbound import Address, Person
from bridge.render.data import Data
from bridge.render.slack import SLACK, slack_mrkdwn
from bridge.turns.surface import (
    NO_PROGRESS,
    Button,
    Gone,
    PartFull,
    PartKey,
    PartKind,
    Progress,
    Refused,
    StoppedByPerson,
    Throttled,
    Unreachable,
)

log = structlog.get_logger()

# Streams were seen to die 5 minutes after their start, whether or not anything was appended.
STREAM_SECONDS = 270.0
FIND_PAGES = 5

# The stream is over or full; what it shows stands.
STREAM_OVER = frozenset({"message_not_in_streaming_state", "msg_too_long", "msg_blocks_too_long"})
STOPPED_BY_USER = "stopped_by_user"
# The stream couldn't be stopped, but is alive. It ends by itself, 5 minutes after its start at the latest.
STILL_STREAMING = "streaming_state_conflict"
LOOK_AGAIN_AFTER = 5.0  # seconds


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reply goes, whom it answers, and by which client."""

    workspace: Workspace
    client: Client
    address: Address
    person: Person

    async def start_stream(self, text: str, plan: Plan = NO_PLAN) -> str | None:
        """Start a stream with the first words or cards; its message's id, None where there are no streams."""
        try:
            answer = await self.client.chat_startStream(
                channel=self.address.channel,
                thread_ts=self.address.thread,
                # A stream takes chunks or plain text, as it began, and shows its cards in the way that it began with.
                chunks=_chunks(outgoing(text), plan, NO_PLAN),
                task_display_mode="plan",
                recipient_team_id=self.person.workspace or self.address.workspace,
                recipient_user_id=self.person.id,
            )
            return str(required(answer, "ts"))
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            if not failure.refused:
                raise failure.surface_error(START) from error
            # Of another organisation's person it says that the team is gone: whether all is, a post tells.
            self.workspace.refusals.learn(failure, START, self.address.channel)
            log.info("slack.no_stream", channel=self.address.channel, reason=failure.code)
            return None

    async def post(
        self, key: PartKey, text: str, buttons: Sequence[Button], progress: Progress = NO_PROGRESS
    ) -> str:
        try:
            return await self._post(key, text, buttons, progress, plain=False)
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            about_blocks = failure.refused and (failure.code in BAD_CONTENT or failure.code not in REFUSED)
            if not about_blocks or failure.kind is Gone:
                raise failure.surface_error(POST) from error
        try:
            return await self._post(key, text, buttons, progress, plain=True)
        except SDK_ERRORS as error:
            raise Failure.of(error).surface_error(POST) from error

    async def _post(
        self, key: PartKey, text: str, buttons: Sequence[Button], progress: Progress, *, plain: bool
    ) -> str:
        said = text or progress.phase
        answer = await self.client.chat_postMessage(
            channel=self.address.channel,
            thread_ts=thread_ts(self.address),
            text=(slack_mrkdwn(text) or fallback(said)) if plain else fallback(said),
            blocks=None if plain else [*plan_of(progress).blocks(), *part_blocks(text, buttons)],
            metadata=metadata(key),
            unfurl_links=False,  # an unfolded link can carry what was said to whoever wrote the address
            unfurl_media=False,
            link_names=False,
            parse="none",
        )
        return str(required(answer, "ts"))

    async def draw(self, key: PartKey, data: Data) -> str:
        """Post a table or a chart of Slack's own. Raises `Refused` for whatever Slack has against it."""
        try:
            answer = await self.client.chat_postMessage(
                channel=self.address.channel,
                thread_ts=self.address.thread,
                text=fallback(SLACK.literal(data.title)),
                blocks=[drawn(data)],
                metadata=metadata(key),
                unfurl_links=False,
                unfurl_media=False,
                link_names=False,
                parse="none",
            )
            return str(required(answer, "ts"))
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            if failure.refused and not failure.place_is_gone:
                raise Refused(f"{POST}: {failure.code} for a block") from error
            raise failure.surface_error(POST) from error

    async def find_by_key(self, key: PartKey, after: str) -> str | None:
        found = replies(self.client, self.address, pages=FIND_PAGES, oldest=after)
        async for message in found:
            if self.workspace.me.wrote(message) and key_of(message) == key:
                return str(message["ts"])
        return None


class _State(Enum):
    STREAMING = auto()
    BROKEN = auto()  # perhaps still a stream, nobody knows what it shows: to be stopped and rewritten
    EDITABLE = auto()
    FROZEN = auto()  # refuses to be changed
    STOPPED = auto()  # by a person: nothing is written any more


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
        plan: Plan = NO_PLAN,
    ) -> None:
        self._place = place
        self._key = key
        self.id = message_id
        self._state = state
        self._visible = visible  # what the message shows for certain
        self._plan = plan  # and of the steps
        self._clock = clock
        self._started = clock()
        self._may_have_posted_rest = False

    @classmethod
    def of_stream(
        cls,
        place: Place,
        key: PartKey,
        message_id: str,
        text: str,
        plan: Plan = NO_PLAN,
        clock: Callable[[], float] = time.monotonic,
    ) -> LivePart:
        return cls(place, key, message_id, _State.STREAMING, text, clock, plan)

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

    @property
    def seconds(self) -> float:
        """Since it was posted."""
        return self._clock() - self._started

    async def grow(self, text: str, progress: Progress, buttons: Sequence[Button]) -> None:
        """Show more of the text and of the steps. Raises `PartFull` when the stream won't take more."""
        if self._state is _State.STOPPED:
            raise StoppedByPerson("a person stopped this stream")
        if self.streaming and text.startswith(self._visible):
            await self._append(text, progress, buttons)
        elif self._state is not _State.FROZEN:
            await self._rewrite(text, progress, buttons)

    async def finish(self, text: str, progress: Progress, buttons: Sequence[Button]) -> None:
        """Show all of the text and the steps, and the buttons. Of a stream that a person stopped nothing is changed."""
        if self._state is _State.STOPPED:
            return
        if self.streaming and text.startswith(self._visible) and await self._stop(text, progress, buttons):
            return
        if self._state is not _State.FROZEN and await self._rewrite(text, progress, buttons):
            return
        await self._post_rest(text, buttons)

    async def close(self, progress: Progress) -> None:
        """End the stream, if it still is one, and the steps in it."""
        chunks = self._plan.then(progress).chunks(self._plan) if self.streaming else states(progress)
        with suppress(StoppedByPerson):
            await self._end_stream(chunks)

    async def delete(self) -> None:
        """Take the message away; where Slack keeps it, nothing that was said stays in it."""
        if self._state in (_State.STREAMING, _State.BROKEN):
            await self._end_stream()
        try:
            await self._place.client.chat_delete(channel=self._place.address.channel, ts=self.id)
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            if not failure.refused:
                raise failure.surface_error("chat.delete") from error
            if failure.kind is not Gone:
                log.info("slack.cant_delete", reason=failure.code)
                await self._rewrite("…", NO_PROGRESS, ())

    async def _append(self, text: str, progress: Progress, buttons: Sequence[Button]) -> None:
        if self.seconds > STREAM_SECONDS:
            if not text:  # nothing to go on from: the cards do in an ordinary message
                await self._rewrite(text, progress, buttons)
                return
            raise PartFull("the stream is about to expire")
        plan = self._plan.then(progress)
        chunks = _chunks(self._delta(text), plan, self._plan)
        if not chunks:
            return
        try:
            await self._place.client.chat_appendStream(
                channel=self._place.address.channel, ts=self.id, chunks=chunks
            )
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            self._broke(APPEND, failure, error)
            if failure.code in STREAM_OVER and text:
                raise PartFull(f"{APPEND}: {failure.code}") from error
            await self._rewrite(text, progress, buttons)
        else:
            self._visible, self._plan = text, plan

    async def _stop(self, text: str, progress: Progress, buttons: Sequence[Button]) -> bool:
        """Finish the stream natively; False if it has to be done by an edit."""
        plan = self._plan.then(progress)
        try:
            await self._place.client.chat_stopStream(
                channel=self._place.address.channel,
                ts=self.id,
                chunks=_chunks(self._delta(text), plan, self._plan) or None,
                blocks=all_buttons(buttons) or None,
                metadata=metadata(self._key),
            )
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            if failure.kind is Unreachable and not failure.refused:
                # A repeat is safe: a stream that was stopped refuses to be again.
                raise failure.surface_error(STOP) from error
            if failure.code == STOPPED_BY_USER and text == self._visible:  # nothing is missing
                self._state = _State.STOPPED
                return True
            self._broke(STOP, failure, error)
            return False
        self._state, self._visible, self._plan = _State.EDITABLE, text, plan
        return True

    def _delta(self, text: str) -> str:
        return outgoing(text)[len(outgoing(self._visible)) :]

    def _broke(self, method: str, failure: Failure, error: Exception) -> None:
        """The stream refused. Raises what can't be helped by an edit."""
        log.info("slack.stream_broke", method=method, reason=failure.reason)
        if failure.code == STOPPED_BY_USER:
            self._state = _State.STOPPED
            raise StoppedByPerson(f"{method}: {failure.code}") from error
        if failure.kind is Throttled:
            raise failure.surface_error(method) from error
        self._state = _State.BROKEN  # also where nobody knows whether the text was appended
        if not failure.refused or failure.place_is_gone:
            raise failure.surface_error(method) from error

    async def _rewrite(self, text: str, progress: Progress, buttons: Sequence[Button]) -> bool:
        """Replace what the message shows; False if Slack won't have it changed."""
        if self._state in (_State.STREAMING, _State.BROKEN):
            await self._end_stream()
        plan = plan_of(progress)
        try:
            await self._place.client.chat_update(
                channel=self._place.address.channel,
                ts=self.id,
                text=fallback(text or progress.phase),
                blocks=[*plan.blocks(), *part_blocks(text, buttons)],
                metadata=metadata(self._key),
            )
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            if plan.cards and text and failure.refused and failure.code in BAD_CONTENT:
                log.info("slack.cards_refused", reason=failure.code)  # the words matter more
                return await self._rewrite(text, NO_PROGRESS, buttons)
            if buttons and text and failure.refused and failure.code in BAD_CONTENT:
                log.info("slack.buttons_refused", reason=failure.code)
                return await self._rewrite(text, progress, ())
            if failure.code == STILL_STREAMING:
                self._state = _State.BROKEN
                raise Throttled(f"{UPDATE}: {failure.code}", LOOK_AGAIN_AFTER) from error
            if not failure.refused or failure.kind is Gone:
                raise failure.surface_error(UPDATE) from error
            log.info("slack.cant_update", reason=failure.code)
            self._state = _State.FROZEN
            return False
        self._visible, self._plan = text, plan
        return True

    async def _end_stream(self, chunks: Sequence[dict[str, Any]] = ()) -> None:
        """Stop the stream, if the message still is one."""
        try:
            await self._place.client.chat_stopStream(
                channel=self._place.address.channel,
                ts=self.id,
                chunks=list(chunks) or None,
                metadata=metadata(self._key),
            )
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            if failure.code == STOPPED_BY_USER:
                self._state = _State.STOPPED
                raise StoppedByPerson(f"{STOP}: {failure.code}") from error
            if not failure.refused:
                raise failure.surface_error(STOP) from error
            if chunks and failure.code not in STREAM_OVER:
                await self._end_stream()
        self._state = _State.EDITABLE

    async def _post_rest(self, text: str, buttons: Sequence[Button]) -> None:
        rest = text[len(self._visible) :] if text.startswith(self._visible) else text
        key = PartKey(self._key.turn, PartKind.REST, self._key.index)
        found = self._may_have_posted_rest and await self._place.find_by_key(key, after=self.id)
        if rest and not found:
            self._may_have_posted_rest = True
            await self._place.post(key, rest, buttons)
        self._visible = text


def _chunks(delta: str, plan: Plan, before: Plan) -> list[dict[str, Any]]:
    """What brings a stream from the plan before to this one, and more of its text."""
    chunks = plan.chunks(before)
    if delta:
        chunks.append({"type": "markdown_text", "text": delta})
    return chunks
