"""Removes what is kept of one person, while the bridge may be running beside.

Their turns are stopped, then removed thread by thread; where somebody works on one all the same, the thread is taken
away by its token, as from a replica that is dead. May be repeated: what is gone is passed over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlmodel import col, select

from bridge.lifecycle import ACTIVE
from bridge.store import statements as sql
from bridge.store.announcing import STOP, WORK, announcement
from bridge.store.audit import FORGOTTEN, Deed, entry
from bridge.store.database import Database
from bridge.store.engine import Engine, Op
from bridge.store.persons import Belongings, Conversation, Identity, request_without, settled_without
from bridge.store.retention import remove_turn
from bridge.store.statements.removal import REMOVED_COLUMNS
from bridge.store.tables import Turn, now

BITE = 50  # turns in one unit of work
LOOK_AGAIN = 0.2  # seconds


@dataclass(slots=True)
class Forgotten:
    """How much was removed."""

    turns: int = 0
    threads: int = 0
    feedback: int = 0
    mentions: int = 0  # in turns of others


class Forgetting:
    def __init__(self, database: Database, engine: Engine, who: Identity) -> None:
        self._database = database
        self._engine = engine
        self._who = who

    async def stop(self, found: Belongings, patience: float) -> None:
        """Stop what an agent works on for them, and wait so many seconds for it to end."""
        active = {turn.id for turn, _ in found.turns if turn.state in ACTIVE}
        for turn in active:
            await self._engine.run(Op(sql.STOP, {"turn_id": turn}), *announcement(self._engine, f"{STOP}{turn}"))
        loop = asyncio.get_running_loop()
        give_up = loop.time() + patience
        while active and loop.time() < give_up:
            await asyncio.sleep(LOOK_AGAIN)
            active = await self._still_active(active)

    async def remove(self, found: Belongings, undeleted: Sequence[Conversation], operator: str) -> Forgotten:
        """`undeleted`: conversations at agents' services that are to be deleted yet; what names them stays, and
        nothing else."""
        forgotten = Forgotten()
        for thread in (*found.alone, *found.shared):
            alone = thread in found.alone
            left = [one for one in undeleted if one.thread == thread.id]
            leaves = {one.turn: one.id for one in left if one.turn is not None}
            forgotten.turns += await self._remove_turns(thread.id, found, leaves, spoken=alone)
            of_thread = {"thread_id": thread.id}
            if alone and not left:
                [gone] = await self._engine.run(Op(sql.REMOVE_THREAD, of_thread))
                forgotten.threads += len(gone)
            if not left:
                await self._engine.run(Op(sql.CLEAR_PERSON, of_thread | {"person": self._who.id}))
        await self._remove_names(found)
        forgotten.mentions = len(found.named_in)
        forgotten.feedback = len(found.feedback)
        counts = {name: getattr(forgotten, name) for name in Forgotten.__slots__} | {"left": len(undeleted)}
        await self._engine.run(
            *(Op(sql.REMOVE_RATING, {"turn_id": one.turn_id, "rater": one.person}) for one in found.feedback),
            Op(sql.FREE_BUDGET, {"scope": f"person:{self._who.key}"}),
            Op(sql.NAMED_NO_MORE, {"who": self._who.key, "instead": FORGOTTEN}),
            entry(operator, Deed.FORGOT, self._who.platform, counts),
        )
        return forgotten

    async def _still_active(self, turns: Collection[str]) -> set[str]:
        async with self._database.transaction() as session:
            query = select(Turn.id).where(col(Turn.id).in_(turns), col(Turn.state).in_(ACTIVE))
            return set((await session.exec(query)).all())

    async def _remove_turns(
        self, thread: int, found: Belongings, leaves: Mapping[str, str], *, spoken: bool
    ) -> int:
        """The person's turns in a thread; also such as came meanwhile. With `spoken` what an agent said unasked."""
        named = {turn.id for turn, place in found.turns if place.id == thread}
        emptied: set[str] = set()
        removed = 0
        while turns := await self._turns_of(thread, named, emptied, spoken=spoken):
            of_thread = {"thread_id": thread}
            ops = [Op(sql.LOCK_THREAD, of_thread)]
            for turn in turns:
                of_turn = of_thread | {"turn_id": turn[0]}
                ops += [Op(sql.TAKE_AWAY, of_turn), *remove_turn(turn, leaves=leaves.get(str(turn[0])))]
                ops += [Op(sql.WAITS_NO_MORE, of_turn), Op(sql.CHECKED_NO_MORE, of_turn)]
            ready = [Op(sql.SEAT_ANEW, of_thread), Op(sql.READY_THREAD, of_thread | {"at": now()})]
            await self._engine.run(*ops, *ready, *announcement(self._engine, WORK))
            emptied |= {str(turn[0]) for turn in turns} & leaves.keys()
            removed += len(turns)
        return removed

    async def _turns_of(
        self, thread: int, named: Collection[str], emptied: Collection[str], *, spoken: bool
    ) -> Sequence[tuple[object, ...]]:
        theirs = [self._who.id, ""] if spoken else [self._who.id]
        async with self._database.transaction() as session:
            query = select(Turn).where(col(Turn.thread_id) == thread, col(Turn.id).not_in(emptied))
            mine = await session.exec(query.where(col(Turn.person).in_(theirs)).limit(BITE))
            turns = {turn.id: turn for turn in mine.all()}
            for start in [] if turns else [*named]:  # what was said to them in a thread of others
                turn = await session.get(Turn, start)
                if turn is not None and turn.id not in emptied:
                    turns[turn.id] = turn
            return [_removed(turn) for turn in turns.values()]

    async def _remove_names(self, found: Belongings) -> None:
        """From turns of others: who had it sent again, who pressed, who may decide."""
        async with self._database.transaction() as session:
            for named in found.named_in:
                turn = await session.get(Turn, named.id)
                if turn is None:
                    continue
                if (turn.asked_by or {}).get("id") == self._who.id:
                    turn.asked_by = None
                turn.request = request_without(turn.request, self._who, found.names)
                turn.settled = settled_without(turn.settled, found.names)
                session.add(turn)


def _removed(turn: Turn) -> tuple[object, ...]:
    """As `REMOVED_COLUMNS`."""
    ended_at = None if turn.ended_at is None else round(turn.ended_at.timestamp() * 1_000_000)
    values = {"id": turn.id, "message_key": turn.message_key, "event_key": turn.event_key, "ended_at": ended_at}
    return tuple(values[name] for name in REMOVED_COLUMNS)
