"""What people send: stored once, changed or withdrawn until it is asked, decided upon by a button.

The port between the platforms and the database. Needs no claim: whatever changes a thread's state locks its row first,
so that a turn which arrives while its thread is released can't be stranded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum, auto

from bridge.inbound import Address, Inbound, Person, Platform, Seen
from bridge.lifecycle import ENDINGS, Event, Outcome, Retry, TurnState, after
from bridge.store import statements as sql
from bridge.store.engine import Engine, Fenced, Op, Row
from bridge.store.tables import now
from bridge.store.values import (
    MAX_NAME,
    ApprovalShown,
    DecisionMade,
    Edit,
    InputRequestShown,
    StoredTurn,
    checkpoint_json,
    decision_json,
    files_json,
    new_turn_id,
    person_json,
    roles_json,
    storable,
    turn_of,
)

WORK = ""  # what is announced to other replicas: there is work
LEFT = "Left"  # stands in place of the buttons of what was abandoned
NOBODY = "nobody decided in time"
NOT_SHOWN = "it couldn't be shown to anybody"
STOP = "stop:"  # and the turn's id: a person stopped it


class Decided(Enum):
    """What became of a person's decision."""

    SENT = auto()
    DELIVERING = auto()
    LEFT = auto()
    CHOSEN = auto()
    TOO_EARLY = auto()  # it is shown, and not yet stored that it waits
    TOO_LATE = auto()  # decided before, or not this thread's


@dataclass(frozen=True, slots=True)
class _Found:
    """A turn of a thread."""

    turn: StoredTurn
    shown_in: str | None  # the thread's last part
    shown_at: int | None  # where what the thread waits for is shown

    @property
    def refusal(self) -> Decided:
        """Of one that doesn't wait."""
        return Decided.TOO_EARLY if self.turn.state is TurnState.REPLYING else Decided.TOO_LATE


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
        words = None if found is None else found.turn.edited
        if found is None or words is None:
            return Decided.TOO_LATE
        turn = found.turn
        key = hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        again = _again(turn, key=f"edited:{turn.id}:{key}") | {"text": words, "thread_id": turn.thread}
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
        turn = found.turn
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
        """A person wants the question of an ended turn asked once more. Both answers are kept. A decision isn't one."""
        found = await self._find(address, turn_id)
        if found is None or found.turn.state not in (TurnState.DONE, TurnState.CANCELLED) or found.turn.decision:
            return Decided.TOO_LATE
        turn = found.turn
        again = _again(turn, key=f"again:{turn.id}") | {"retry_of": turn.id}
        thread = {"thread_id": turn.thread}
        _, stored, *_ = await self._engine.run(
            Op(sql.LOCK_THREAD, thread),
            Op(sql.PUT_TURN_INTO, thread | again),
            Op(sql.READY_THREAD, thread | {"at": now()}),
            *self._announcement(WORK),
        )
        return Decided.SENT if stored else Decided.TOO_LATE

    async def abandon(self, address: Address, turn_id: str, line: str = LEFT) -> Decided:
        """A person goes on without what a turn waits for. An approval can't be left: it is declined."""
        found = await self._find(address, turn_id)
        if found is None or found.turn.outcome is Outcome.APPROVAL:
            return Decided.TOO_LATE
        if found.turn.state is not TurnState.WAITING:
            return found.refusal
        turn = found.turn
        decision = {
            "was": turn.state,
            "becomes": after(turn.state, Event.ABANDONED),
            "result": Outcome.ABANDONED,
            "turn_id": turn.id,
            "line": None,
        }
        settled = {"turn_id": turn.id, "was": turn.state, "line": storable(line)}
        recheck = {"thread_id": turn.thread, "turn_id": turn.id, "at": now()}  # its buttons go
        ops = [Op(sql.SETTLE, settled), Op(sql.DECIDE, decision), Op(sql.RECHECK, recheck)]
        return await self._decide(turn, ops, Decided.LEFT)

    async def choose(self, address: Address, turn_id: str, index: int, person: Person, line: str = "") -> Decided:
        """A person answers what the agent asked back with one of its choices: a turn of its own. `line` stands in place
        of the buttons then; so with all that follow."""
        found = await self._find(address, turn_id)
        request = None if found is None else found.turn.request
        if found is None or not isinstance(request, InputRequestShown) or not 0 <= index < len(request.choices):
            return Decided.TOO_LATE
        return await self._answer(found, request.choices[index], person, line)

    async def answer(self, address: Address, turn_id: str, text: str, person: Person, line: str = "") -> Decided:
        """The same in words of the person's own, that weren't written in the thread."""
        found = await self._find(address, turn_id)
        if found is None or not isinstance(found.turn.request, InputRequestShown):
            return Decided.TOO_LATE
        return await self._answer(found, text, person, line)

    async def waiting(self, address: Address, turn_id: str) -> StoredTurn | None:
        """The turn, if it is of this thread and waits for a person, or is about to."""
        found = await self._find(address, turn_id)
        states = (TurnState.REPLYING, TurnState.WAITING)
        return found.turn if found is not None and found.turn.state in states else None

    async def decide(
        self, address: Address, turn_id: str, decision: DecisionMade, text: str, person: Person, line: str = ""
    ) -> Decided:
        """Somebody who may says what becomes of an approval: a turn of its own. `text` is the decision in words."""
        found = await self._find(address, turn_id)
        if found is None or not isinstance(found.turn.request, ApprovalShown):
            return Decided.TOO_LATE
        return await self._answer(found, text, person, line, decision)

    async def expire(self, most: int) -> int:
        """Decline the approvals whose time is over, at most `most`. How many there were; of several replicas exactly
        one declines each."""
        [rows] = await self._engine.run(Op(sql.EXPIRED, {"at": now(), "most": most}))
        for row in rows:
            found = _Found(turn_of(row), row[-2], row[-1])
            turn = found.turn
            reason = NOBODY if turn.state is TurnState.WAITING else NOT_SHOWN
            decision = DecisionMade(approved=False, reason=reason, by_nobody=True)
            text, line = f"Declined: {reason}", f"Declined · {reason}"
            await self._answer(found, text, turn.asked_by or turn.person, line, decision)
        return len(rows)

    async def _answer(
        self, found: _Found, text: str, person: Person, line: str, decision: DecisionMade | None = None
    ) -> Decided:
        """The next turn of the thread, whoever writes next."""
        turn = found.turn
        shown_at = turn.position if found.shown_at is None else found.shown_at
        waits = turn.state is TurnState.WAITING
        told = decision is not None and decision.by_nobody and turn.state is TurnState.FAILED
        if not waits and not told:
            return found.refusal
        position = shown_at if decision is not None else shown_at + 1
        answer = _again(turn, key=f"chosen:{turn.id}") | {
            "message_id": found.shown_in or turn.message_id,
            "position": position,
            "person": person.id,
            "person_name": storable(person.name[:MAX_NAME]),
            "person_workspace": person.workspace,
            "person_roles": roles_json(person.roles),
            "asked_by": None,
            "text": storable(text),
            "files": files_json(()),
            "mid_thread": False,
            "chosen": turn.id,
            "decision": decision_json(decision),
            "start": checkpoint_json(turn.checkpoint),
        }
        thread, of_turn = {"thread_id": turn.thread}, {"turn_id": turn.id}
        holds = [Op(sql.HOLD_BEFORE, thread | of_turn | {"position": position})] if decision is not None else []
        superseded = {"was": turn.state, "becomes": turn.state, "new_id": answer["id"]}
        try:
            await self._engine.run(
                Op(sql.LOCK_THREAD, thread),
                Op(sql.SETTLE, of_turn | {"was": turn.state, "line": storable(line)}),
                Op(sql.PUT_TURN_INTO, thread | answer),
                *([] if waits else [Op(sql.SUPERSEDE, of_turn | superseded)]),
                *holds,
                Op(sql.READY_THREAD, thread | {"at": now()}),
                *self._announcement(WORK),
            )
        except Fenced:  # it was decided, or answered in words, meanwhile
            return Decided.TOO_LATE
        return Decided.CHOSEN

    async def _find(self, address: Address, turn_id: str) -> _Found | None:
        """The turn, if it is of this thread."""
        [found] = await self._engine.run(Op(sql.TURN_OF_THREAD, asdict(address) | {"turn_id": turn_id}))
        if not found:
            return None
        row: Row = found[0]
        return _Found(turn_of(row), row[-2], row[-1])

    async def _redeliver(self, turn: StoredTurn) -> Decided:
        becomes = after(turn.state, Event.REDELIVERED)
        decision = {"was": turn.state, "becomes": becomes, "result": None, "turn_id": turn.id, "line": None}
        return await self._decide(turn, [Op(sql.DECIDE, decision)], Decided.DELIVERING)

    async def _send_again(self, turn: StoredTurn, person: Person | None, *, resumes: bool) -> Decided:
        again = _again(turn, key=f"again:{turn.id}") | {
            "asked_by": person_json(person or turn.asked_by),
            "retry_of": turn.id,
            "asked_as": (turn.asked_as or turn.id) if resumes else None,
            "start": (checkpoint_json(turn.checkpoint) if resumes else None) or turn.start,
            "decision": decision_json(turn.decision),
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
        "direct": inbound.direct,
        "mid_thread": inbound.mid_thread,
        "received_at": at,
        "retry_of": None,
        "asked_as": None,
        "chosen": None,
        "start": None,
        "decision": None,
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
        "direct": turn.direct,
        "mid_thread": turn.mid_thread,
        "received_at": now(),
        "retry_of": None,
        "asked_as": None,
        "chosen": None,
        "start": None,
        "decision": None,
    }
