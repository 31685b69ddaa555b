"""Has things said, and tells what became of them. What it answers with is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import structlog

from bridge import tracing
from bridge.inbound import Address, Platform
from bridge.lifecycle import TurnState
from bridge.speaking.request import MAX_LINES, Request, Wrong, read_id, read_key
from bridge.store.engine import Fenced, StoreUnavailable
from bridge.store.speaking import (
    KnownThread,
    Line,
    Said,
    Speaking,
    Speech,
    is_opening,
    person_target,
)
from bridge.store.tables import SECOND
from bridge.store.values import Spoken
from bridge.turns.surface import Gone, Speaks, Unreachable

WAITING = 500  # messages that wait to be said; beyond, callers are told to come again
AT_ONCE = 50  # requests that are being stored
AGAIN = 5  # seconds after which a caller may try again
STORED_WITHIN = 10.0  # seconds
TRIES = 3  # to find a thread that is being opened
MAX_READ = 4_000  # characters of each text that is read back

STATES = {
    TurnState.RECEIVED: "accepted",
    TurnState.ASKING: "posting",
    TurnState.REPLYING: "posting",
    TurnState.WAITING: "posted",
    TurnState.DONE: "posted",
    TurnState.FAILED: "refused",
    TurnState.CANCELLED: "cancelled",
}

Json = dict[str, Any]
T = TypeVar("T")
log = structlog.get_logger()


class Speaker:
    """`may_speak` takes "platform:id" of a channel or person; `agent_for` an address without a thread."""

    def __init__(
        self,
        speaking: Speaking,
        platforms: Mapping[str, Speaks],
        *,
        agents: Collection[str],
        agent_for: Callable[[Address], str],
        may_speak: Callable[[str], bool],
        wake: Callable[[], None],
    ) -> None:
        self._speaking = speaking
        self._platforms = platforms
        self._agents = agents
        self._agent_for = agent_for
        self._may_speak = may_speak
        self._wake = wake
        self._under_way = 0

    async def speak(self, request: Request, key: str | None, *, traceparent: str = "") -> Json:
        """Store what is to be said, once for each key, in the caller's trace. :raises Wrong:"""
        with tracing.receiving("speak", caller=traceparent) as received:
            return await self._speak(request, key, received)

    async def _speak(self, request: Request, key: str | None, received: tracing.Received) -> Json:
        stored_key = read_key(key)
        with self._one_more():
            said = await self._stored(lambda: self._speaking.by_key(stored_key))
            if said is None:
                if await self._stored(lambda: self._speaking.waiting(WAITING)) >= WAITING:
                    raise Wrong(429, "too much waits to be said already", retry_after=AGAIN)
                received.storing()
                said = await self._put(request, stored_key)
                received.stored()
                log.info("spoken", turn=said.turn.id, platform=said.address.platform)
        if said.turn.spoken is None or said.turn.spoken.digest != request.digest:
            raise Wrong(409, "this idempotency key was used for another message")
        self._wake()
        return _state(said)

    async def state(self, message: str) -> Json:
        """:raises Wrong:"""
        with self._one_more():
            found = await self._stored(lambda: self._speaking.by_id(read_id(message)))
        if found is None:
            raise Wrong(404, "there is no such message")
        return _state(found[0])

    async def read(self, message: str, since: int, most: int) -> Json:
        """What was said in the thread of a message, after a position. :raises Wrong:"""
        if since < 0 or not 1 <= most <= MAX_LINES:
            raise Wrong(422, f"`since` must be 0 or more, `limit` 1 to {MAX_LINES}")
        with self._one_more():
            found = await self._stored(lambda: self._speaking.by_id(read_id(message)))
            if found is None:
                raise Wrong(404, "there is no such message")
            self._check_place(_place(found[0]))
            lines = await self._stored(lambda: self._speaking.read(found[1].id, since, most))
        newest = lines[-1].position if lines else since
        return {"state": STATES[found[0].turn.state], "messages": [_line(one) for one in lines], "next": newest}

    # --- where ----------------------------------------------------------------------------------------------

    async def _put(self, request: Request, key: str) -> Said:
        if request.thread is not None:
            return await self._put_into(request, key)
        assert request.platform is not None  # noqa: S101  # the request saw to it
        place = request.channel or request.person or ""
        front_end = self._front_end(request.platform)
        allowed = self._check_place(f"{request.platform}:{place}")
        workspace = ""
        if request.channel is not None:
            try:
                workspace = await front_end.workspace(request.channel)
            except Gone:
                raise Wrong(404, f"the bot can't see the channel {place}") from None
            except Unreachable:  # what becomes of it shows later
                pass
        if request.agent and request.agent not in self._agents:
            raise Wrong(422, f"there is no agent {request.agent!r}; known are {', '.join(self._agents)}")
        target = request.channel or person_target(place)
        where = request.bare_channel or target
        if not request.agent and not self._agent_for(Address(request.platform, workspace, where, "")):
            raise Wrong(403, "the settings have no agent there")
        speech = _speech(request, key, allowed)
        return await self._stored(
            lambda: self._speaking.open(
                request.platform or "slack",
                target,
                speech,
                agent=request.agent,
                conversation=request.conversation,
                direct=request.person is not None,
            )
        )

    async def _put_into(self, request: Request, key: str) -> Said:
        for _ in range(TRIES):
            thread, place = await self._thread(request)
            speech = _speech(request, key, self._check_place(place))
            if request.conversation not in (None, thread.conversation):
                raise Wrong(422, "`conversation` isn't the one of this thread")
            try:
                return await self._stored(partial(self._speaking.say, thread.id, speech))
            except Fenced:  # an opening that became a thread just now
                continue
        raise Wrong(404, "that message was refused, so there is no thread of it")

    async def _thread(self, request: Request) -> tuple[KnownThread, str]:
        """With the place that it was opened at, or that it is in."""
        if request.own_thread:
            said = await self._stored(lambda: self._speaking.by_id(request.thread or ""))
            thread, place = (None, "") if said is None else (said[1], _place(said[0]))
        else:
            thread, place = await self._named_thread(request), f"{request.platform}:{request.channel}"
        if thread is None:
            raise Wrong(404, "there is no such thread: say something in a channel to open one")
        self._front_end(thread.address.platform)
        return thread, place

    async def _named_thread(self, request: Request) -> KnownThread | None:
        assert request.platform is not None  # noqa: S101  # the request saw to it
        front_end = self._front_end(request.platform)
        try:
            workspace = await front_end.workspace(request.channel or "")
        except Gone:
            return None
        except Unreachable:
            raise Wrong(503, f"{request.platform} isn't connected", retry_after=AGAIN) from None
        address = Address(request.platform, workspace, request.bare_channel, request.thread or "")
        return await self._stored(lambda: self._speaking.thread(address))

    def _front_end(self, platform: Platform) -> Speaks:
        if platform not in self._platforms:
            raise Wrong(404, f"{platform} isn't served here")
        return self._platforms[platform]

    def _check_place(self, place: str) -> str:
        if not self._may_speak(place):
            raise Wrong(403, f'"{place}" isn\'t among the places of `http.speak` in the settings')
        return place

    # --- the store ------------------------------------------------------------------------------------------

    async def _stored(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(STORED_WITHIN):
                return await work()
        except (StoreUnavailable, TimeoutError):
            raise Wrong(503, "the database can't be reached; nobody knows whether it was stored: send it again"
                        " with the same key", retry_after=AGAIN) from None  # fmt: skip

    @contextmanager
    def _one_more(self) -> Iterator[None]:
        if self._under_way >= AT_ONCE:
            raise Wrong(429, "too many requests at once", retry_after=AGAIN)
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1


def _speech(request: Request, key: str, place: str) -> Speech:
    return Speech(
        key, request.text, Spoken(request.digest, place, request.title, request.conversation is not None)
    )


def _place(said: Said) -> str:
    return "" if said.turn.spoken is None else said.turn.spoken.place


def _state(said: Said) -> Json:
    address, turn = said.address, said.turn
    opened = not is_opening(address)
    answer: Json = {
        "id": turn.id,
        "platform": address.platform,
        "channel": address.channel if opened else None,
        "thread": address.thread if opened else None,
        "state": STATES[turn.state],
    }
    if turn.state is TurnState.FAILED:
        answer["reason"] = turn.detail or "refused"
    return answer


def _line(line: Line) -> Json:
    said: Sequence[tuple[str, str]] = (("text", line.text), ("answer", line.answer))
    texts = {name: text[:MAX_READ] for name, text in said if text and not (line.unasked and name == "text")}
    return {
        "id": line.turn,
        "by": "agent" if line.unasked else "person",
        "person": line.person or None,
        "name": line.name or None,
        **texts,
        "state": line.state,
        "at": line.received_at // SECOND,
        "position": line.position,
    }
