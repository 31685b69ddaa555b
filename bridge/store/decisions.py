"""What people decide by a button or a command: a turn that waits, failed or ended goes on from there, or is left.

Needs no claim, like `bridge.store.arrivals`: the thread's row is locked first.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import Enum, auto

import structlog

from bridge import tracing
from bridge.inbound import Address, Person
from bridge.lifecycle import ENDINGS, Event, Outcome, Retry, TurnState, after
from bridge.store import audit
from bridge.store import statements as sql
from bridge.store.announcing import WORK, announcement
from bridge.store.audit import BRIDGE, Deed
from bridge.store.budgets import Quota, spend, used_up
from bridge.store.engine import Engine, Fenced, Op, Row, Rows, StoreUnavailable
from bridge.store.seats import NO_LIMIT, fill_seats, give_seat
from bridge.store.tables import now
from bridge.store.values import (
    MAX_NAME,
    ApprovalShown,
    DecisionMade,
    InputRequestShown,
    StoredTurn,
    can_be_regenerated,
    checkpoint_json,
    decision_json,
    files_json,
    new_turn_id,
    person_json,
    roles_json,
    storable,
    turn_of,
)

LEFT = "Left"  # stands in place of the buttons of what was abandoned
NOBODY = "nobody decided in time"
NOT_SHOWN = "it couldn't be shown to anybody"

log = structlog.get_logger()


class Decided(Enum):
    """What became of a person's decision."""

    SENT = auto()
    DELIVERING = auto()
    LEFT = auto()
    CHOSEN = auto()
    TOO_EARLY = auto()  # it is shown, and not yet stored that it waits
    TOO_LATE = auto()  # decided before, or not this thread's
    OUTDATED = auto()  # something was asked since


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


class Decisions:
    def __init__(self, engine: Engine, *, at_once: int = NO_LIMIT) -> None:
        """`at_once`: turns of one person, in all replicas together."""
        self._engine = engine
        self._at_once = at_once

    async def retry(
        self,
        address: Address,
        turn_id: str,
        person: Person | None = None,
        *,
        quotas: Sequence[Quota] = (),
        who: str = "",
    ) -> Decided:
        """A word on a turn that waits or failed: once more, as `lifecycle.Retry` says. The agent is then asked by
        `person`; None is the operator, `who` in the audit log, who asks in nobody's place: it stays with whoever
        asked before.

        :raises OverBudget: it would be sent again, and a quota is used up.
        """
        found = await self._find(address, turn_id)
        if found is None:
            return Decided.TOO_LATE
        turn = found.turn
        means = Retry.NONE if turn.outcome is None else ENDINGS[turn.outcome].retry
        if turn.superseded_by is not None or turn.state not in (TurnState.WAITING, TurnState.FAILED):
            means = Retry.NONE
        by = who if person is None else audit.person(address.platform, person.id)
        audited = [audit.entry(by, Deed.RETRIED, turn.id)] if by else []
        match means:
            case Retry.DELIVER if turn.answer is not None:
                return await self._redeliver(turn, audited)
            case Retry.NONE:
                return Decided.TOO_LATE
            case _:
                return await self._send_again(turn, person, quotas, audited, resumes=means is not Retry.ANEW)

    async def ask_again(
        self, address: Address, turn_id: str, person: Person | None = None, *, quotas: Sequence[Quota] = ()
    ) -> Decided:
        """A person wants the question of an ended turn asked once more. Both answers are kept. A decision isn't one.

        :raises OverBudget: a quota is used up.
        """
        found = await self._find(address, turn_id)
        if found is None or found.turn.state not in (TurnState.DONE, TurnState.CANCELLED) or found.turn.decision:
            return Decided.TOO_LATE
        turn = found.turn
        again = _again(turn, key=f"again:{turn.id}")
        return await self._put_again(
            turn, again | {"retry_of": turn.id, "asked_by": person_json(person or turn.asked_by)}, quotas
        )

    async def ask_edited(self, address: Address, turn_id: str, *, quotas: Sequence[Quota] = ()) -> Decided:
        """A person wants a turn asked again in its author's new words.

        :raises OverBudget: a quota is used up.
        """
        found = await self._find(address, turn_id)
        words = None if found is None else found.turn.edited
        if found is None or words is None:
            return Decided.TOO_LATE
        turn = found.turn
        again = _again(turn, key=f"edited:{turn.id}:{turn.revision}") | {"text": words, "heard": None}
        return await self._put_again(turn, again, quotas)

    async def regenerate(
        self, address: Address, turn_id: str, person: Person, *, quotas: Sequence[Quota] = ()
    ) -> Decided:
        """A person wants another answer to the newest question of a thread. Both are kept, and each is followed by one
        other at most.

        :raises OverBudget: a quota is used up.
        """
        found = await self._find(address, turn_id)
        if found is None or not can_be_regenerated(found.turn):
            return Decided.TOO_LATE
        turn = found.turn
        again = _again(turn, key=f"again:{turn.id}")
        asked_by = turn.asked_by if person.id == turn.person.id else person
        thread = {"thread_id": turn.thread}
        ops = [
            Op(sql.LOCK_THREAD, thread),
            Op(sql.STILL_NEWEST, thread | {"position": turn.position}),
            Op(sql.PUT_TURN_INTO, thread | again | {"retry_of": turn.id, "asked_by": person_json(asked_by)}),
            *spend(quotas, str(again["id"])),
        ]
        try:
            results = await self.make_ready(turn.thread, turn.person, ops)
        except Fenced:
            keys = {"event_key": again["event_key"], "message_key": again["message_key"]}
            [known] = await self._engine.run(Op(sql.KNOWN_TURN, keys))
            if known:
                return Decided.TOO_LATE
            await self._check_budget(quotas)
            return Decided.OUTDATED
        return Decided.SENT if results[2] else Decided.TOO_LATE

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
        ops = [Op(sql.SETTLE, settled), Op(sql.DECIDE, decision)]
        return await self._decide(turn, ops, Decided.LEFT, restates=turn.id)

    async def choose(
        self,
        address: Address,
        turn_id: str,
        index: int,
        person: Person,
        line: str = "",
        *,
        quotas: Sequence[Quota] = (),
    ) -> Decided:
        """A person answers what the agent asked back with one of its choices: a turn of its own. `line` stands in place
        of the buttons then; so with all that follow.

        :raises OverBudget: a quota is used up.
        """
        found = await self._find(address, turn_id)
        request = None if found is None else found.turn.request
        if found is None or not isinstance(request, InputRequestShown) or not 0 <= index < len(request.choices):
            return Decided.TOO_LATE
        return await self._answer(found, request.choices[index], person, line, quotas=quotas)

    async def answer(
        self,
        address: Address,
        turn_id: str,
        text: str,
        person: Person,
        line: str = "",
        *,
        quotas: Sequence[Quota] = (),
    ) -> Decided:
        """The same in words of the person's own, that weren't written in the thread.

        :raises OverBudget: a quota is used up.
        """
        found = await self._find(address, turn_id)
        if found is None or not isinstance(found.turn.request, InputRequestShown):
            return Decided.TOO_LATE
        return await self._answer(found, text, person, line, quotas=quotas)

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
        by = audit.person(address.platform, person.id)
        return await self._answer(found, text, person, line, decision, by=by)

    async def expire(self, most: int) -> int:
        """Decline the approvals whose time is over, at most `most`. How many there were; of several replicas exactly
        one declines each."""
        [rows] = await self._engine.run(Op(sql.EXPIRED, {"at": now(), "most": most}))
        for row in rows:
            found = _Found(turn_of(row), row[-2], row[-1])
            turn = found.turn
            if turn.unreadable:
                await self._leave_unreadable(turn)
                continue
            reason = NOBODY if turn.state is TurnState.WAITING else NOT_SHOWN
            decision = DecisionMade(approved=False, reason=reason, by_nobody=True)
            text, line = f"Declined: {reason}", f"Declined · {reason}"
            with tracing.receiving("expire"):
                await self._answer(found, text, turn.asked_by or turn.person, line, decision)
        return len(rows)

    async def _leave_unreadable(self, turn: StoredTurn) -> None:
        """Its agent can't be told that nobody decided: what it waits with can't be read."""
        log.error("approval can't be declined", turn=turn.id, reason=turn.unreadable)
        ops = [Op(sql.SETTLE, {"turn_id": turn.id, "was": turn.state, "line": LEFT})]
        if turn.state is TurnState.WAITING:
            becomes = after(turn.state, Event.ABANDONED)
            values = {
                "turn_id": turn.id,
                "was": turn.state,
                "becomes": becomes,
                "result": Outcome.ABANDONED,
                "line": None,
            }
            ops.append(Op(sql.DECIDE, values))
        await self._decide(turn, ops, Decided.LEFT)

    async def _answer(
        self,
        found: _Found,
        text: str,
        person: Person,
        line: str,
        decision: DecisionMade | None = None,
        *,
        quotas: Sequence[Quota] = (),
        by: str = BRIDGE,
    ) -> Decided:
        """The next turn of the thread, whoever writes next. A decision is made by the audit log's `by`."""
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
            "heard": None,
            "mid_thread": False,
            "chosen": turn.id,
            "decision": decision_json(decision),
            "start": checkpoint_json(turn.checkpoint),
        }
        thread, of_turn = {"thread_id": turn.thread}, {"turn_id": turn.id}
        holds = [Op(sql.HOLD_BEFORE, thread | of_turn | {"position": position})] if decision is not None else []
        superseded = {"was": turn.state, "becomes": turn.state, "new_id": answer["id"]}
        ops = [
            Op(sql.LOCK_THREAD, thread),
            Op(sql.SETTLE, of_turn | {"was": turn.state, "line": storable(line)}),
            Op(sql.PUT_TURN_INTO, thread | answer),
            *([] if waits else [Op(sql.SUPERSEDE, of_turn | superseded)]),
            *spend(quotas, str(answer["id"])),
            *holds,
            *([] if decision is None else [audit.entry(by, _deed(decision), turn.id)]),
        ]
        try:
            await self.make_ready(turn.thread, person, ops)
        except Fenced:  # it was decided, or answered in words, meanwhile
            await self._check_budget(quotas)
            return Decided.TOO_LATE
        return Decided.CHOSEN

    async def _find(self, address: Address, turn_id: str) -> _Found | None:
        """The turn, if it is of this thread and can be read."""
        [found] = await self._engine.run(Op(sql.TURN_OF_THREAD, asdict(address) | {"turn_id": turn_id}))
        if not found:
            return None
        row: Row = found[0]
        turn = turn_of(row)
        return None if turn.unreadable else _Found(turn, row[-2], row[-1])

    async def _redeliver(self, turn: StoredTurn, audited: Sequence[Op]) -> Decided:
        becomes = after(turn.state, Event.REDELIVERED)
        tracing.following(turn.traceparent)
        decision = {"was": turn.state, "becomes": becomes, "result": None, "turn_id": turn.id, "line": None}
        return await self._decide(turn, [Op(sql.DECIDE, decision), *audited], Decided.DELIVERING)

    async def _put_again(self, turn: StoredTurn, again: dict[str, object], quotas: Sequence[Quota]) -> Decided:
        thread = {"thread_id": turn.thread}
        ops = [
            Op(sql.LOCK_THREAD, thread),
            Op(sql.PUT_TURN_INTO, thread | again),
            *spend(quotas, str(again["id"])),
        ]
        try:
            results = await self.make_ready(turn.thread, turn.person, ops)
        except Fenced:  # or put in before
            await self._check_budget(quotas)
            return Decided.TOO_LATE
        return Decided.SENT if results[1] else Decided.TOO_LATE

    async def _send_again(
        self,
        turn: StoredTurn,
        person: Person | None,
        quotas: Sequence[Quota],
        audited: Sequence[Op],
        *,
        resumes: bool,
    ) -> Decided:
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
            *spend(quotas, str(again["id"])),
            *audited,
        ]
        return await self._decide(turn, ops, Decided.SENT, quotas)

    async def _decide(
        self,
        turn: StoredTurn,
        ops: Sequence[Op],
        decided: Decided,
        quotas: Sequence[Quota] = (),
        *,
        restates: str | None = None,
    ) -> Decided:
        thread = {"thread_id": turn.thread}
        no_more = Op(sql.WAITS_NO_MORE, thread | {"turn_id": turn.id})
        try:
            all_ops = [Op(sql.LOCK_THREAD, thread), *ops, no_more]
            await self.make_ready(turn.thread, turn.person, all_ops, restates=restates)
        except Fenced:  # somebody else was quicker
            await self._check_budget(quotas)
            return Decided.TOO_LATE
        return decided

    async def make_ready(
        self, thread: int, person: Person, ops: Sequence[Op], *, restates: str | None = None
    ) -> Sequence[Rows]:
        """A unit of work after which a thread may have work: most likely of this person, but whose it is, only the
        database knows. `restates`: a turn whose messages are to be written again, as its buttons go."""
        ready = [Op(sql.READY_THREAD, {"thread_id": thread, "at": now()})]
        if restates is not None:  # last: it needs no seat, and must not take the place of a turn that does
            ready.append(Op(sql.RECHECK, {"thread_id": thread, "turn_id": restates, "at": now()}))
        results = await self._engine.run(*ops, *ready, *give_seat(self._engine, person.id, self._at_once))
        with suppress(StoreUnavailable):  # it is decided; the sweep finds what is left to do
            for (person_id,) in results[len(ops)]:
                await fill_seats(self._engine, person_id, self._at_once)
            if told := announcement(self._engine, WORK):
                await self._engine.run(*told)
        return results

    async def _check_budget(self, quotas: Sequence[Quota]) -> None:
        if (over := await used_up(self._engine, quotas)) is not None:
            raise over


def _deed(decision: DecisionMade) -> Deed:
    return Deed.APPROVED if decision.approved else Deed.DECLINED


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
        "decision": None,
        "traceparent": tracing.following(turn.traceparent),
    }
