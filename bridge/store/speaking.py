"""What an agent says unasked: stored once for each key, before anybody is told that it was taken.

A message that opens a thread waits in an *opening*, a thread that isn't on its platform yet and stands under its own
first turn's id. Once its first message is posted, its turns move to the thread that the platform has then.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bridge import tracing
from bridge.inbound import Address, Platform, position
from bridge.lifecycle import TurnState
from bridge.store import statements as sql
from bridge.store.announcing import WORK, announcement
from bridge.store.engine import Engine, Op, Row
from bridge.store.seats import NO_LIMIT, NOBODY, give_seat
from bridge.store.tables import as_json, now
from bridge.store.values import Claim, PartRecord, Spoken, StoredTurn, files_json, new_turn_id, storable, turn_of

OPENING = "~"  # begins the thread's id of an opening; no platform's does
UNASKED = "(Nobody asked: you wrote this by yourself.)"  # stands where a question would
_TURN = len(sql.TURN_COLUMNS)


def is_opening(address: Address) -> bool:
    return address.thread.startswith(OPENING)


@dataclass(frozen=True, slots=True)
class Speech:
    """Something to be said. `key` is the caller's, hashed; `spoken.digest` tells its content."""

    key: str
    text: str
    spoken: Spoken


@dataclass(frozen=True, slots=True)
class Said:
    """A spoken turn as it stands, and its thread."""

    turn: StoredTurn
    address: Address
    agent: str


@dataclass(frozen=True, slots=True)
class KnownThread:
    id: int
    address: Address
    agent: str
    conversation: str | None


@dataclass(frozen=True, slots=True)
class Opened:
    """The thread that an opening has become."""

    address: Address
    agent: str
    conversation: str | None
    direct: bool
    newest: str  # id of its first message, or of none that is later than what comes next
    part: PartRecord | None  # that message, as a part of the turn


@dataclass(frozen=True, slots=True)
class Line:
    """A turn as it is read back: what was asked, and what was answered."""

    turn: str
    position: int
    state: TurnState
    person: str
    name: str
    text: str
    answer: str
    unasked: bool
    received_at: int  # microseconds since 1970


class Speaking:
    """Everything raises `StoreUnavailable`, and comes to the same when it is done twice."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def open(
        self,
        platform: Platform,
        target: str,
        speech: Speech,
        *,
        agent: str,
        conversation: str | None,
        direct: bool,
    ) -> Said:
        """Store what opens a thread; what was stored under its key before, if anything was. `target` is a channel, or
        a person by `person_target`; without an `agent` the routes have it."""
        turn, at = new_turn_id(), now()
        address = asdict(Address(platform, "", target, f"{OPENING}{turn}"))
        thread = address | {"direct": direct, "agent": agent, "conversation": conversation, "created_at": at}
        values = _turn(turn, speech, at)
        results = await self._engine.run(
            Op(sql.PUT_OPENING, thread | {"event_key": values["event_key"]}),
            Op(sql.TAKE_FIRST, address | {"at": at}),
            Op(sql.PUT_SPOKEN, address | values),
            Op(sql.DROP_OPENING, address | {"id": turn}),
            Op(sql.READY, address | {"at": at}),
            *give_seat(self._engine, NOBODY, NO_LIMIT),
            *announcement(self._engine, WORK),
            Op(sql.SPOKEN_BY_KEY, {"event_key": values["event_key"]}),
        )
        return _said(results[-1][0])

    async def say(self, thread: int, speech: Speech) -> Said:
        """Store what is said in a thread, behind all that it has; as `open`.

        :raises Fenced: the thread was an opening, and is opened now: look again.
        """
        turn, at = new_turn_id(), now()
        values = _turn(turn, speech, at)
        place = {"thread_id": thread}
        results = await self._engine.run(
            Op(sql.TAKE_POSITION, place | {"at": at}),
            Op(sql.PUT_SPOKEN_INTO, place | values),
            Op(sql.READY_THREAD, place | {"at": at}),
            *give_seat(self._engine, NOBODY, NO_LIMIT),
            *announcement(self._engine, WORK),
            Op(sql.SPOKEN_BY_KEY, {"event_key": values["event_key"]}),
        )
        return _said(results[-1][0])

    async def by_key(self, key: str) -> Said | None:
        [rows] = await self._engine.run(Op(sql.SPOKEN_BY_KEY, {"event_key": _event_key(key)}))
        return _said(rows[0]) if rows else None

    async def by_id(self, turn: str) -> tuple[Said, KnownThread] | None:
        [rows] = await self._engine.run(Op(sql.SPOKEN_BY_ID, {"turn_id": turn}))
        if not rows:
            return None
        said = _said(rows[0])
        return said, _thread((said.turn.thread, *rows[0][_TURN:]))

    async def thread(self, address: Address) -> KnownThread | None:
        [rows] = await self._engine.run(Op(sql.SPOKEN_THREAD, asdict(address)))
        return _thread(rows[0]) if rows else None

    async def waiting(self, most: int) -> int:
        """How many wait to be said, counted up to `most`."""
        [[[count]]] = await self._engine.run(Op(sql.SPOKEN_WAITING, {"most": most}))
        return int(count)

    async def read(self, thread: int, since: int, most: int) -> Sequence[Line]:
        """The turns of a thread after a position, oldest first."""
        values = {"thread_id": thread, "since": since, "most": most}
        *found, waiting = await self._engine.run(
            *(Op(statement, values) for statement in sql.SAID_SINCE), Op(sql.LOOK_WAITING, {"thread_id": thread})
        )
        lines = [_line(row) for rows in found for row in rows]
        lines += [_line_of(turn_of(row)) for row in waiting if turn_of(row).position > since]
        return sorted(lines, key=lambda line: line.position)[:most]

    # --- by the runner --------------------------------------------------------------------------------------

    async def begin_opening(self, claim: Claim, replica: str, turn: str) -> None:
        """The first message of the thread goes out next.

        :raises Fenced: the claim is lost.
        """
        await self._engine.run(
            Op(sql.FENCE, _fence(claim, replica)), Op(sql.BEGIN_OPENING, {"turn_id": turn, "at": now()})
        )

    async def opened(
        self,
        claim: Claim,
        replica: str,
        turn: str,
        opened: Opened,
    ) -> None:
        """The opening's turns are those of a thread now, behind all that it has already.

        :raises Fenced: the claim is lost, or it was done already.
        """
        at = now()
        there = asdict(opened.address)
        thread = there | {
            "direct": opened.direct,
            "agent": opened.agent,
            "conversation": opened.conversation,
            "ready_at": at,
            "newest": opened.newest,
            "newest_position": position(opened.newest),
            "touched_at": at,
            "created_at": at,
        }
        opening = {"opening": claim.thread}
        parts = [] if opened.part is None else [Op(sql.PUT_PART, {"turn_id": turn} | asdict(opened.part))]
        await self._engine.run(
            Op(sql.FENCE, _fence(claim, replica)),
            Op(sql.PUT_OPENED, thread),
            Op(sql.MOVE_SPOKEN, there | opening | {"root": opened.newest}),
            Op(sql.MOVED_SPOKEN, there | opening),
            *parts,
            Op(sql.LEAVE_OPENING, opening),
            Op(sql.READY, there | {"at": at}),
            *give_seat(self._engine, NOBODY, NO_LIMIT),
            *announcement(self._engine, WORK),
        )


def person_target(person: str) -> str:
    """The channel of an opening that goes to a person."""
    return f"@{person}"


def _event_key(key: str) -> str:
    return f"spoken:{key}"


def _turn(turn: str, speech: Speech, at: int) -> dict[str, object]:
    key = _event_key(speech.key)
    return {
        "id": turn,
        "event_key": key,
        "message_key": key,
        "person_name": "",
        "person_workspace": "",
        "text": UNASKED,
        "files": files_json(()),
        "spoken": as_json(asdict(speech.spoken)),
        "answer": storable(speech.text),
        "received_at": at,
        "traceparent": tracing.traceparent(),
    }


def _fence(claim: Claim, replica: str) -> dict[str, object]:
    return {"thread_id": claim.thread, "token": claim.token, "replica": replica}


def _said(row: Row) -> Said:
    platform, workspace, channel, thread, agent, *_ = row[_TURN:]
    return Said(turn_of(row), Address(platform, workspace, channel, thread), agent)


def _thread(row: Row) -> KnownThread:
    thread_id, platform, workspace, channel, thread, agent, conversation = row
    address = Address(platform, workspace, channel, thread)
    return KnownThread(thread_id, address, agent, conversation)


def _line(row: Row) -> Line:
    turn, position, state, person, name, text, answer, spoken, received_at = row
    return Line(
        turn,
        position,
        TurnState(state),
        person,
        name or "",
        text or "",
        answer or "",
        spoken is not None,
        received_at,
    )


def _line_of(turn: StoredTurn) -> Line:
    return Line(
        turn.id, turn.position, turn.state, turn.person.id, turn.person.name, turn.text, turn.answer or "",
        turn.spoken is not None, turn.received_at,
    )  # fmt: skip


def said_unknown(rows: Sequence[Row]) -> list[str]:
    """Of turns, newest first: what the agent said last of itself, and its backend doesn't know; oldest first."""
    found: list[str] = []
    for row in rows:
        spoken, answer = row
        if spoken is None:  # or it can't be read
            break
        if not json.loads(spoken)["known"]:
            found.append(answer or "")
    return found[::-1]
