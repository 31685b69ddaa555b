"""The database as the queue, for one replica: claim threads, record what comes of their turns, give them back.

A replica claims threads, never turns, so one thread's turns can't run side by side. Each claim carries a fencing
token; every later write names it and raises `Fenced` once another replica has taken the thread over.

What is durable before what, and what rides along:

| step | is a commit of its own, because |
|---|---|
| a message is stored | only then may its platform be acknowledged |
| a thread is claimed | only then may this replica work on it |
| a turn is begun, with its first checkpoint and what joins it | the next thing is the question, which is asked once |
| each further checkpoint | the next thing may be a request that must not be repeated |
| asking is concluded, with all that the reply needs | the last words go out next, and the agent isn't asked again |
| the turn ends; the thread goes on with the next or rests | the next turn is asked |

The parts that were posted, and the agent's steps in them, ride along with any of these, or follow within a second: who
takes a turn up again looks for what isn't recorded before it posts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import takewhile
from typing import Any

from adapters.base import Checkpoint, Exchange
from bridge.inbound import Address, Person
from bridge.lifecycle import Event, Outcome, TurnState, Waiting, after
from bridge.store import statements as sql
from bridge.store.decisions import Decisions
from bridge.store.encrypted_engine import is_readable
from bridge.store.engine import Engine, Fenced, Op, Row, Rows, StoreUnavailable
from bridge.store.seats import NO_LIMIT, fill_seats, give_seat
from bridge.store.speaking import Speaking, said_unknown
from bridge.store.tables import EVERY_POSITION, SECOND, as_json, now
from bridge.store.values import (
    ApprovalShown,
    ArtifactRecord,
    Claim,
    Conclusion,
    Marked,
    Outlook,
    PartRecord,
    StoredTurn,
    WaitingTurn,
    checkpoint_json,
    files_json,
    request_json,
    sources_json,
    storable,
    turn_of,
)

FILLED_AT_ONCE = 500  # people of one sweep


class Changed(Exception):
    """The turn was changed or withdrawn by its author before it was begun: look again."""


class Queue:
    """The port between the runner and the database. Everything raises `StoreUnavailable`, and what names a claim
    `Fenced`."""

    def __init__(self, engine: Engine, replica: str, *, at_once: int = NO_LIMIT) -> None:
        """`at_once`: turns of one person, in all replicas together."""
        self._engine = engine
        self.replica = replica
        self._at_once = at_once
        self.on_seated: Callable[[], None] = lambda: None
        """Called when a thread that waited for its person's seat became ready."""
        self.speaking = Speaking(engine)

    # --- claim ----------------------------------------------------------------------------------------------

    async def claim(
        self,
        most: int,
        platforms: Sequence[str],
        *,
        suspects: bool = False,
        only: str = "",
        without: Sequence[str] = (),
    ) -> Sequence[Claim]:
        """Take up to `most` ready threads, longest waiting first. `suspects`: those that took this many attempts
        already that they may be what ends processes. `only` and `without` name agents."""
        values = self._served(platforms) | {"most": most, "only": only, "without": sql.listed(without)}
        [rows] = await self._engine.run(Op(sql.CLAIM_SUSPECT if suspects else sql.CLAIM, values))
        return [_claim(dict(zip(sql.CLAIM_COLUMNS, row, strict=True))) for row in rows]

    async def look(self, claim: Claim) -> Outlook:
        """What there is to do in a claimed thread."""
        return self._outlook(claim, await self._engine.run(*_look(claim)))

    async def settle(self, claim: Claim) -> bool:
        """Give a thread back that has no work, or whose next turn is of a person without a seat in it. False if there
        is work after all."""
        advance = self._fence(claim) | _NOTHING_WAITS | {"at": now()}
        _, [[state, seat]], *given = await self._engine.run(
            Op(sql.FENCE, self._fence(claim)), Op(sql.GO_ON, advance), *self._give_seat(claim)
        )
        await self._went_on(state, seat, given)
        return bool(state != "running")

    async def release(self, claims: Collection[Claim]) -> None:
        """Give threads back unfinished, for any replica to go on with. What was lost already is passed over."""
        ops = [Op(sql.RELEASE, self._fence(claim) | {"at": now()}) for claim in claims]
        if ops:
            await self._engine.run(*ops)

    async def still_ours(self, claim: Claim) -> None:
        """:raises Fenced: it no longer is."""
        await self._engine.run(Op(sql.FENCE, self._fence(claim)))

    # --- record ---------------------------------------------------------------------------------------------

    async def begin(
        self,
        claim: Claim,
        turn: StoredTurn,
        checkpoint: Checkpoint | None,
        *,
        start: str | None = None,
        settles: WaitingTurn | None = None,
        how: Event = Event.ANSWERED,
        line: str | None = None,
        joined: Sequence[StoredTurn] = (),
    ) -> None:
        """The turn's question is about to be sent, in the words of `turn`. It `settles` the turn that its thread waits
        with: answers it, or abandons it; `line` then stands in place of its buttons. The words and files of those
        `joined` are in it: they aren't asked again.

        :raises Changed: its author was quicker.
        """
        begins = Event.BEGUN if turn.answer is None else Event.DELIVERY_BEGUN
        values = {
            "turn_id": turn.id,
            "revised": turn.revision,
            "becomes": after(turn.state, begins),
            "at": now(),
            "name": storable(turn.person.name),
            "words": storable(turn.text),
            "hears": turn.heard,
            "brought": files_json(turn.files) if joined else None,
            "starts": start,
            "stands": checkpoint_json(checkpoint),
            "waiting_id": None if settles is None else settles.id,
        }
        ops = [Op(sql.BEGIN, values), *(_join(one, turn.id) for one in joined)]
        if settles is not None:
            result = Outcome.ABANDONED if how is Event.ABANDONED else settles.waiting.outcome
            settled = {
                "settles": after(TurnState.WAITING, how),
                "result": result,
                "waiting_id": settles.id,
                "line": line,
            }
            ops.append(Op(sql.SETTLE_WAITING, settled))
            ops.append(Op(sql.WAITS_NO_MORE, {"thread_id": claim.thread, "turn_id": settles.id}))
        try:
            await self._engine.run(self._advance(claim, checkpoint, progress=False), *ops)
        except Fenced:
            await self.still_ours(claim)
            raise Changed from None

    async def record_checkpoint(
        self,
        claim: Claim,
        turn: str,
        checkpoint: Checkpoint,
        parts: Sequence[PartRecord] = (),
        *,
        steps: str | None = None,
        progress: bool,
    ) -> None:
        """`progress`: it is further than the turn ever was."""
        await self._engine.run(
            self._advance(claim, checkpoint, progress=progress),
            Op(sql.CHECKPOINT, {"turn_id": turn, "stands": checkpoint_json(checkpoint)}),
            *_shown(turn, parts, steps),
        )

    async def record_parts(
        self, claim: Claim, turn: str, parts: Sequence[PartRecord], *, steps: str | None = None
    ) -> None:
        await self._engine.run(self._advance(claim, None, progress=True), *_shown(turn, parts, steps))

    async def forget_part(self, claim: Claim, turn: str, kind: str, index: int) -> None:
        key = {"turn_id": turn, "kind": kind, "index": index}
        await self._engine.run(Op(sql.FENCE, self._fence(claim)), Op(sql.FORGET_PART, key))

    async def conclude(
        self,
        claim: Claim,
        turn: str,
        conclusion: Conclusion,
        parts: Sequence[PartRecord] = (),
        *,
        steps: str | None = None,
    ) -> None:
        """The whole reply is known: from here on it can be delivered without the agent."""
        values = {
            "turn_id": turn,
            "said": storable(conclusion.answer),
            "asks_back": request_json(conclusion.request),
            "until": conclusion.request.until if isinstance(conclusion.request, ApprovalShown) else None,
            "notes": storable(conclusion.notice) or None,
            "quotes": sources_json(conclusion.sources),
            "result": conclusion.outcome,
            "details": storable(conclusion.detail) or None,
        }
        await self._engine.run(
            self._advance(claim, None, progress=True),
            Op(sql.CONCLUDE, values),
            *(Op(sql.PUT_ARTIFACT, {"turn_id": turn} | _artifact(made)) for made in conclusion.artifacts),
            *_shown(turn, parts, steps),
        )

    async def end(
        self,
        claim: Claim,
        turn: str,
        event: Event,
        outcome: Outcome,
        parts: Sequence[PartRecord] = (),
        *,
        steps: str | None = None,
        detail: str = "",
        last_part: str | None = None,
        shown_at: int | None = None,
        first_words: float | None = None,
    ) -> Outlook | None:
        """The reply is delivered or refused. With it the thread goes on with its next turn, or is given back: None.

        `shown_at` is the position of the message that shows what the turn waits for; `first_words` seconds after the
        reply's beginning.
        """
        becomes = after(TurnState.REPLYING, event, outcome)
        waits = becomes is TurnState.WAITING
        ended = {
            "turn_id": turn,
            "becomes": becomes,
            "result": outcome,
            "details": storable(detail) or None,
            "at": now(),
            "first": None if first_words is None else round(first_words * SECOND),
        }
        advance = {
            "shown_last": last_part,
            "waits_with": turn if waits else None,
            "shown_at": shown_at if waits else None,
            "holds": _holds(outcome, shown_at) if waits else None,
            "at": now(),
        }
        before = [Op(sql.FENCE, self._fence(claim)), *_shown(turn, parts, steps), Op(sql.END, ended)]
        seats = self._give_seat(claim)
        results = await self._engine.run(
            *before, Op(sql.GO_ON, self._fence(claim) | advance), *seats, *_look(claim)
        )
        [[state, seat]], *rest = results[len(before) :]
        await self._went_on(state, seat, rest[: len(seats)])
        return self._outlook(claim, rest[len(seats) :]) if state == "running" else None

    def _give_seat(self, claim: Claim) -> Sequence[Op]:
        return () if claim.seat is None else give_seat(self._engine, claim.seat, self._at_once)

    async def _went_on(self, state: str, seat: str | None, given: Sequence[Rows]) -> None:
        if state == "queued" and seat is not None:
            with suppress(StoreUnavailable):  # the sweep finds it
                await self._fill(seat)
        if given and given[-1]:
            self.on_seated()

    async def fill_seats(self) -> None:
        """Give free seats to all that wait for one: after a crash between two units of work, or with new settings."""
        [people] = await self._engine.run(Op(sql.WITHOUT_SEAT, {"most": FILLED_AT_ONCE}))
        for (person,) in people:
            await self._fill(person)

    async def _fill(self, person: str) -> None:
        if await fill_seats(self._engine, person, self._at_once):
            self.on_seated()

    # --- messages that wait ---------------------------------------------------------------------------------

    async def line(self, thread: int, most: int) -> Sequence[StoredTurn]:
        """The turns that can run in a thread, in their order, up to one that can't be read."""
        [rows] = await self._engine.run(Op(sql.LOOK_LINE, {"thread_id": thread, "most": most}))
        return list(takewhile(lambda turn: not turn.unreadable, map(turn_of, rows)))

    async def overtaken(self, turn: StoredTurn, position: int) -> bool:
        """Whether the turn's person wrote something that waits, after that position."""
        values = {"thread_id": turn.thread, "person": turn.person.id, "position": position}
        [rows] = await self._engine.run(Op(sql.OVERTAKEN, values))
        return bool(rows)

    async def mark(self, waited: float, most: int, platforms: Sequence[str]) -> Sequence[Marked]:
        """Messages that wait for so many seconds: in a thread that is worked on here, or in one that nobody has room
        for. They count as marked from now on, whatever becomes of that."""
        before = now() - round(waited * SECOND)
        [rows] = await self._engine.run(
            Op(sql.IN_LINE, self._served(platforms) | {"before": before, "most": most})
        )
        found = [_marked(row) for row in rows]
        if not found:
            return ()
        taken = await self._engine.run(*(Op(sql.MARK, {"turn_id": one.turn}) for one in found))
        return [one for one, changed in zip(found, taken, strict=True) if changed]

    async def mark_again(self, turns: Collection[str]) -> None:
        """Those of them that were asked while their marks were put on count as marked, so that these are taken off."""
        if turns:
            await self._engine.run(*(Op(sql.MARK_AGAIN, {"turn_id": turn}) for turn in turns))

    async def marked_no_more(self, most: int, platforms: Sequence[str]) -> Sequence[Marked]:
        """Messages that are marked and wait no longer."""
        [rows] = await self._engine.run(Op(sql.MARKED_NO_MORE, self._served(platforms) | {"most": most}))
        return [_marked(row) for row in rows]

    async def unmark(self, turns: Collection[str]) -> None:
        if turns:
            await self._engine.run(*(Op(sql.UNMARK, {"turn_id": turn}) for turn in turns))

    # --- read -----------------------------------------------------------------------------------------------

    async def parts(self, turn: str) -> Sequence[PartRecord]:
        [rows] = await self._engine.run(Op(sql.PARTS, {"turn_id": turn}))
        return [PartRecord(*values) for _, *values in rows]

    async def artifacts(self, turn: str) -> Sequence[ArtifactRecord]:
        [rows] = await self._engine.run(Op(sql.ARTIFACTS, {"turn_id": turn}))
        return [artifact_of(row) for row in rows if is_readable(row)]

    async def exchanges(self, thread: int, before: int, most: int) -> tuple[Exchange, ...]:
        """The last `most` questions before a position that were answered, oldest first."""
        values = {"thread_id": thread, "before": before, "most": most}
        [rows] = await self._engine.run(Op(sql.EXCHANGES, values))
        return tuple(Exchange(row[0], row[1] or "") for row in reversed(rows) if is_readable(row))

    async def said_unknown(self, thread: int, before: int, most: int) -> Sequence[str]:
        """What the agent said unasked right before a position and its backend doesn't know, oldest first."""
        [rows] = await self._engine.run(Op(sql.SAID_BEFORE, {"thread_id": thread, "before": before, "most": most}))
        return said_unknown(rows)

    async def turn(self, turn: str) -> StoredTurn | None:
        [rows] = await self._engine.run(Op(sql.TURN, {"turn_id": turn}))
        return turn_of(rows[0]) if rows else None

    async def stopped(self) -> Sequence[str]:
        """The turns of this replica that a person stopped, maybe through another one."""
        [rows] = await self._engine.run(Op(sql.STOPPED, {"replica": self.replica}))
        return [turn for (turn,) in rows]

    async def expire(self, most: int) -> int:
        """Decline the approvals whose time is over, at most `most`; how many there were."""
        return await Decisions(self._engine, at_once=self._at_once).expire(most)

    # --- what a lost claim may have done --------------------------------------------------------------------

    async def ask_recheck(self, claim: Claim, turn: str) -> None:
        """This replica lost the thread while a call to the platform was under way: what it overwrote, whoever owns the
        thread now has to write again."""
        await self._engine.run(Op(sql.RECHECK, {"thread_id": claim.thread, "turn_id": turn, "at": now()}))

    async def rechecked(self, claim: Claim, turn: str) -> None:
        await self._engine.run(Op(sql.RECHECKED, self._fence(claim) | {"turn_id": turn}))

    # --- replicas -------------------------------------------------------------------------------------------

    async def free_all(self) -> int:
        """This process serves the database alone: whoever held a thread is dead."""
        [rows] = await self._engine.run(Op(sql.FREE_ALL, {"at": now()}))
        return len(rows)

    async def reclaim(self, dead: str) -> int:
        """Make ready what a dead replica held; what somebody has locked comes next time."""
        found = 0
        while True:
            [rows] = await self._engine.run(Op(sql.RECLAIM, {"dead": dead, "at": now()}))
            found += len(rows)
            if len(rows) < sql.RECLAIMED_AT_ONCE:
                return found

    async def owners(self) -> Sequence[str]:
        """Who holds threads."""
        [rows] = await self._engine.run(Op(sql.OWNERS, {}))
        return [owner for (owner,) in rows]

    async def free_unheld(self, held: Mapping[int, int]) -> int:
        """Make ready what the database says is this replica's and nobody here works on: claims whose answer was lost.
        `held` is threads and tokens."""
        [rows] = await self._engine.run(Op(sql.HELD_BY, {"replica": self.replica}))
        lost = [(thread, token) for thread, token in rows if held.get(thread) != token]
        for thread, token in lost:
            values = {"thread_id": thread, "token": token, "replica": self.replica, "at": now()}
            await self._engine.run(Op(sql.FREE, values))
        return len(lost)

    # --- within -----------------------------------------------------------------------------------------------

    def _served(self, platforms: Sequence[str]) -> dict[str, Any]:
        first, second = (*platforms, *platforms)[:2]
        return {"replica": self.replica, "platform_1": first, "platform_2": second}

    def _fence(self, claim: Claim) -> dict[str, object]:
        return {"thread_id": claim.thread, "token": claim.token, "replica": self.replica}

    def _advance(self, claim: Claim, checkpoint: Checkpoint | None, *, progress: bool) -> Op:
        known = None if checkpoint is None else checkpoint.conversation
        return Op(sql.ADVANCE_THREAD, self._fence(claim) | {"known_as": known, "progress": int(progress)})

    def _outlook(self, claim: Claim, rows: Sequence[Rows]) -> Outlook:
        found, active, runnable, waiting = rows
        thread = dict(zip((*sql.CLAIM_COLUMNS, "owner", "state"), found[0], strict=True)) if found else {}
        if (thread.get("token"), thread.get("owner")) != (claim.token, self.replica):
            raise Fenced(f"thread {claim.thread} is no longer ours")
        turns = active or runnable
        return Outlook(
            turn=turn_of(turns[0]) if turns else None,
            waiting=_waiting(waiting[0]) if waiting else None,
            conversation=thread["conversation"],
            several=bool(thread["several"]),
            last_part=thread["last_part"],
            recheck=thread["recheck_turn"],
            spoke_at=thread["spoke_at"],
        )


def _holds(outcome: Outcome, shown_at: int | None) -> int | None:
    """Up to which position turns wait."""
    if outcome is Outcome.APPROVAL:
        return EVERY_POSITION
    return shown_at if outcome is Outcome.INPUT_REQUEST else None


_NOTHING_WAITS = {"shown_last": None, "waits_with": None, "shown_at": None, "holds": None}


def _join(turn: StoredTurn, into: str) -> Op:
    values = {
        "joined_id": turn.id,
        "turn_id": into,
        "revised": turn.revision,
        "becomes": after(turn.state, Event.JOINED),
        "result": Outcome.JOINED,
        "at": now(),
    }
    return Op(sql.JOIN, values)


def _look(claim: Claim) -> Sequence[Op]:
    thread = {"thread_id": claim.thread}
    return [
        Op(statement, thread)
        for statement in (sql.LOOK_THREAD, sql.LOOK_ACTIVE, sql.LOOK_RUNNABLE, sql.LOOK_WAITING)
    ]


def _claim(row: Mapping[str, Any]) -> Claim:
    address = Address(row["platform"], row["workspace"], row["channel"], row["thread"])
    return Claim(row["id"], row["token"], address, row["agent"], row["attempts"], row["seat"])


def _waiting(row: Row) -> WaitingTurn:
    turn, shown_at = turn_of(row), row[-1]
    outcome = turn.outcome or Outcome.UNCERTAIN
    stored = checkpoint_json(turn.checkpoint)
    waiting = Waiting(outcome, shown_at if shown_at is not None else turn.position)
    return WaitingTurn(turn.id, waiting, stored, turn.request, turn.traceparent, turn.unreadable)


def _shown(turn: str, parts: Sequence[PartRecord], steps: str | None) -> Sequence[Op]:
    """What the thread shows of a turn: parts, and the agent's steps where they changed."""
    ops = [Op(sql.PUT_PART, {"turn_id": turn} | asdict(part)) for part in parts]
    return ops if steps is None else [*ops, Op(sql.PUT_STEPS, {"turn_id": turn, "taken": steps})]


def _artifact(artifact: ArtifactRecord) -> dict[str, object]:
    values = {name: getattr(artifact, name) for name in ("index", "kind", "size")}
    texts = {name: storable(getattr(artifact, name)) for name in ("name", "media_type", "ref")}
    return values | texts | {"table": None if artifact.table is None else as_json(artifact.table)}


def artifact_of(row: Row) -> ArtifactRecord:
    _, index, kind, name, media_type, ref, size, table = row
    return ArtifactRecord(index, kind, name, media_type, ref, size, json.loads(table) if table else None)


def _marked(row: Row) -> Marked:
    turn, thread, message, person, outcome, *place = row
    return Marked(turn, thread, message, Address(*place), Person(person), outcome == Outcome.WITHDRAWN)
