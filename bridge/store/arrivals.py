"""What people send: stored once, changed or withdrawn until it is asked, decided upon by a button.

The port between the platforms and the database. Needs no claim: whatever changes a thread's state locks its row first,
so that a turn which arrives while its thread is released can't be stranded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from enum import Enum, auto

from bridge.inbound import Address, Inbound, Person, Platform, Seen
from bridge.lifecycle import ENDINGS, Event, Outcome, Retry, TurnState, after
from bridge.store import statements as sql
from bridge.store.engine import Engine, Fenced, Op, Row
from bridge.store.tables import now
from bridge.store.values import (
    MAX_NAME,
    Edit,
    StoredTurn,
    checkpoint_json,
    files_json,
    new_turn_id,
    person_json,
    roles_json,
    storable,
    turn_of,
)

WORK = ""  # what is announced to other replicas: there is work
STOP = "stop:"  # and the turn's id: a person stopped it


class Decided(Enum):
    """What became of a person's decision."""

    SENT = auto()
    DELIVERING = auto()
    LEFT = auto()
    CHOSEN = auto()
    TOO_LATE = auto()  # decided before, or not this thread's


class Arrivals:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def put(self, inbound: Inbound, agent: str, *, announce: bool = False) -> bool:
        """Store a turn, and its thread with `agent` if it is new. False if the turn is known already. `announce`:
        tell other replicas, as this one has its hands full."""
        at = now()
        address = asdict(inbound.address)
        turn = new_turn_id()
        thread = address | {
            "direct": inbound.direct,
            "agent": agent,
            "ready_at": at,
            "person": inbound.person.id,
            "newest": inbound.message_id,
            "newest_position": inbound.position,
            "touched_at": at,
            "created_at": at,
        }
        _, stored, *_ = await self._engine.run(
            Op(sql.TOUCH_THREAD, thread),
            Op(sql.PUT_TURN, address | _turn(turn, inbound, at)),
            Op(sql.READY, address | {"at": at}),
            *self._announcement(WORK if announce else None),
        )
        return bool(stored)

    async def knows(self, address: Address) -> bool:
        [found] = await self._engine.run(Op(sql.KNOWS, asdict(address)))
        return bool(found)

    async def change_text(self, address: Address, message_id: str, text: str) -> Edit:
        """New words for a message. A turn that hasn't been asked yet is asked in them; of any other they are kept."""
        values = {"key": _message_key(address, message_id), "words": storable(text)}
        changed, noted = await self._engine.run(Op(sql.CHANGE_TEXT, values), Op(sql.NOTE_EDIT, values))
        return Edit(bool(changed), str(noted[0][0]) if noted else None)

    async def ask_edited(self, address: Address, turn_id: str) -> Decided:
        """A person wants a turn asked again in its author's new words."""
        found = await self._find(address, turn_id)
        words = None if found is None else found[0].edited
        if found is None or words is None:
            return Decided.TOO_LATE
        turn = found[0]
        key = hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        again = _again(turn, key=f"edited:{turn.id}:{key}") | {
            "text": words,
            "heard": None,
            "thread_id": turn.thread,
        }
        thread = {"thread_id": turn.thread}
        _, stored, *_ = await self._engine.run(
            Op(sql.LOCK_THREAD, thread),
            Op(sql.PUT_TURN_INTO, again),
            Op(sql.READY_THREAD, thread | {"at": now()}),
            *self._announcement(WORK),
        )
        return Decided.SENT if stored else Decided.TOO_LATE

    async def withdraw(self, address: Address, message_id: str) -> bool:
        """Cancel a turn that hasn't been asked yet."""
        key = {"key": _message_key(address, message_id)}
        [withdrawn] = await self._engine.run(Op(sql.WITHDRAW, key | {"at": now()}))
        return bool(withdrawn)

    async def active_turn(self, address: Address) -> str | None:
        """The id of the turn that is worked on in a thread."""
        place = asdict(address)
        active, next_turn = await self._engine.run(Op(sql.ACTIVE_TURN, place), Op(sql.NEXT_TURN, place))
        found = active or next_turn
        return str(found[0][0]) if found else None

    async def record_stop(self, turn: str) -> None:
        """A person pressed stop. Holds until the reply is delivered again."""
        await self._engine.run(Op(sql.STOP, {"turn_id": turn}), *self._announcement(f"{STOP}{turn}"))

    async def seen(self, platform: Platform, since: int, most: int) -> Sequence[Seen]:
        """Threads that people wrote in since then, most recent first."""
        values = {"platform": platform, "since": since, "most": most}
        [rows] = await self._engine.run(Op(sql.SEEN, values))
        return [Seen(Address(*place), newest, bool(direct)) for *place, newest, direct in rows]

    # --- decisions ------------------------------------------------------------------------------------------

    async def retry(self, address: Address, turn_id: str, person: Person | None = None) -> Decided:
        """A word on a turn that waits or failed: once more, as `lifecycle.Retry` says. The agent is then asked by
        `person`; None is the operator, who asks in nobody's place: it stays with whoever asked before."""
        found = await self._find(address, turn_id)
        if found is None:
            return Decided.TOO_LATE
        turn, _, _ = found
        means = Retry.NONE if turn.outcome is None else ENDINGS[turn.outcome].retry
        if turn.superseded_by is not None or turn.state not in (TurnState.WAITING, TurnState.FAILED):
            means = Retry.NONE
        match means:
            case Retry.DELIVER if turn.answer is not None:
                return await self._redeliver(turn)
            case Retry.NONE:
                return Decided.TOO_LATE
            case _:
                return await self._send_again(turn, person, resumes=means is Retry.RESUME)

    async def ask_again(self, address: Address, turn_id: str) -> Decided:
        """A person wants the question of an ended turn asked once more. Both answers are kept."""
        found = await self._find(address, turn_id)
        if found is None or found[0].state not in (TurnState.DONE, TurnState.CANCELLED):
            return Decided.TOO_LATE
        turn = found[0]
        again = _again(turn, key=f"again:{turn.id}") | {"retry_of": turn.id}
        thread = {"thread_id": turn.thread}
        _, stored, *_ = await self._engine.run(
            Op(sql.LOCK_THREAD, thread),
            Op(sql.PUT_TURN_INTO, thread | again),
            Op(sql.READY_THREAD, thread | {"at": now()}),
            *self._announcement(WORK),
        )
        return Decided.SENT if stored else Decided.TOO_LATE

    async def abandon(self, address: Address, turn_id: str) -> Decided:
        """A person goes on without what a turn waits for."""
        found = await self._find(address, turn_id)
        if found is None or found[0].state is not TurnState.WAITING:
            return Decided.TOO_LATE
        turn = found[0]
        becomes = after(turn.state, Event.ABANDONED)
        decision = {"was": turn.state, "becomes": becomes, "result": Outcome.ABANDONED}
        return await self._decide(turn, [Op(sql.DECIDE, decision | {"turn_id": turn.id})], Decided.LEFT)

    async def choose(self, address: Address, turn_id: str, index: int, person: Person) -> Decided:
        """A person answers what the agent asked back with one of its choices: a turn of its own."""
        found = await self._find(address, turn_id)
        if found is None:
            return Decided.TOO_LATE
        turn, shown_in, shown_at = found
        choices = turn.request.choices if turn.request else ()
        if turn.state is not TurnState.WAITING or not 0 <= index < len(choices) or shown_at is None:
            return Decided.TOO_LATE
        answer = (
            _again(turn, key=f"chosen:{turn.id}")
            | {
                "message_id": shown_in or turn.message_id,
                "position": shown_at + 1,  # the next after the message that shows it, whoever writes next
                "person": person.id,
                "person_name": storable(person.name[:MAX_NAME]),
                "person_workspace": person.workspace,
                "person_roles": roles_json(person.roles),
                "asked_by": None,
                "text": choices[index],
                "files": files_json(()),
                "heard": None,
                "mid_thread": False,
                "chosen": turn.id,
            }
        )
        thread = {"thread_id": turn.thread}
        try:
            _, _, stored, *_ = await self._engine.run(
                Op(sql.LOCK_THREAD, thread),
                Op(sql.STILL_WAITS, {"turn_id": turn.id}),
                Op(sql.PUT_TURN_INTO, thread | answer),
                Op(sql.READY_THREAD, thread | {"at": now()}),
                *self._announcement(WORK),
            )
        except Fenced:  # it was answered in words meanwhile
            return Decided.TOO_LATE
        return Decided.CHOSEN if stored else Decided.TOO_LATE

    async def _find(self, address: Address, turn_id: str) -> tuple[StoredTurn, str | None, int | None] | None:
        """The turn, if it is of this thread; its thread's last part, and where an open input request is shown."""
        [found] = await self._engine.run(Op(sql.TURN_OF_THREAD, asdict(address) | {"turn_id": turn_id}))
        if not found:
            return None
        row: Row = found[0]
        return turn_of(row), row[-2], row[-1]

    async def _redeliver(self, turn: StoredTurn) -> Decided:
        becomes = after(turn.state, Event.REDELIVERED)
        decision = {"was": turn.state, "becomes": becomes, "result": None, "turn_id": turn.id}
        return await self._decide(turn, [Op(sql.DECIDE, decision)], Decided.DELIVERING)

    async def _send_again(self, turn: StoredTurn, person: Person | None, *, resumes: bool) -> Decided:
        again = _again(turn, key=f"again:{turn.id}") | {
            "asked_by": person_json(person or turn.asked_by),
            "retry_of": turn.id,
            "asked_as": (turn.asked_as or turn.id) if resumes else None,
            "start": (checkpoint_json(turn.checkpoint) if resumes else None) or turn.start,
        }
        becomes = after(turn.state, Event.RETRIED)
        superseded = {"was": turn.state, "becomes": becomes, "new_id": again["id"], "turn_id": turn.id}
        ops = [
            Op(sql.SUPERSEDE, superseded),
            Op(sql.PUT_TURN_INTO, again | {"thread_id": turn.thread}),
        ]
        return await self._decide(turn, ops, Decided.SENT)

    async def _decide(self, turn: StoredTurn, ops: Sequence[Op], decided: Decided) -> Decided:
        thread = {"thread_id": turn.thread}
        try:
            await self._engine.run(
                Op(sql.LOCK_THREAD, thread),
                *ops,
                Op(sql.WAITS_NO_MORE, thread | {"turn_id": turn.id}),
                Op(sql.READY_THREAD, thread | {"at": now()}),
                *self._announcement(WORK),
            )
        except Fenced:  # somebody else was quicker
            return Decided.TOO_LATE
        return decided

    def _announcement(self, payload: str | None) -> Sequence[Op]:
        if payload is None or self._engine.dialect == "sqlite":
            return ()
        return (Op(sql.ANNOUNCE, {"payload": payload}),)


def _message_key(address: Address, message_id: str) -> str:
    return f"{address.platform}:{address.workspace}:{address.channel}:{message_id}"


def _turn(turn: str, inbound: Inbound, at: int) -> dict[str, object]:
    return {
        "id": turn,
        "event_key": f"{inbound.address.platform}:{inbound.event_id}",
        "message_key": _message_key(inbound.address, inbound.message_id),
        "message_id": inbound.message_id,
        "position": inbound.position,
        "person": inbound.person.id,
        "person_name": storable(inbound.person.name[:MAX_NAME]),
        "person_workspace": inbound.person.workspace,
        "person_roles": roles_json(inbound.person.roles),
        "asked_by": None,
        "text": storable(inbound.text),
        "files": files_json(inbound.files),
        "heard": None,
        "direct": inbound.direct,
        "mid_thread": inbound.mid_thread,
        "received_at": at,
        "retry_of": None,
        "asked_as": None,
        "chosen": None,
        "start": None,
    }


def _again(turn: StoredTurn, *, key: str) -> dict[str, object]:
    """The values of a turn that goes on from another one. A key that is taken says that this was decided before."""
    return {
        "id": new_turn_id(),
        "event_key": key,
        "message_key": key,
        "message_id": turn.message_id,
        "position": turn.position,
        "person": turn.person.id,
        "person_name": turn.person.name,
        "person_workspace": turn.person.workspace,
        "person_roles": roles_json(turn.person.roles),
        "asked_by": person_json(turn.asked_by),
        "text": turn.text,
        "files": files_json(turn.files),
        "heard": turn.heard,
        "direct": turn.direct,
        "mid_thread": turn.mid_thread,
        "received_at": now(),
        "retry_of": None,
        "asked_as": None,
        "chosen": None,
        "start": None,
    }
