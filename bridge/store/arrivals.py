"""What people send: stored once, changed or withdrawn until it is asked, sent again on their word.

Whoever changes a thread's state holds its row's lock first: reading the turns before the lock would miss one that
arrives in between, and strand it.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters.base import RateLimited, TimedOut, Unavailable
from bridge.inbound import Address, Inbound
from bridge.store.database import Database, undisturbed
from bridge.store.rows import AGAIN, at_address, execute, in_state, new_turn_id, storable, update_turn
from bridge.store.tables import ACTIVE, Thread, ThreadState, Turn, TurnState, now

# Outcomes after which the agent may still have the question, and its answer.
TAKEN_UP_AGAIN = (Unavailable.__name__, RateLimited.__name__, TimedOut.__name__)


class Arrivals:
    """The port between the platforms and the database. Needs no claim."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @undisturbed
    async def put(self, inbound: Inbound, agent: str) -> bool:
        """Store a turn, and its thread with `agent` if it is new. False if the turn is known already."""
        async with self._database.transaction() as session:
            thread = await self._lock_thread(session, inbound.address, agent)
            row = Turn(**_turn_values(inbound), thread_id=thread.id).model_dump()
            insert = self._insert(Turn).values(row).on_conflict_do_nothing().returning(col(Turn.id))
            if (await session.exec(insert)).first() is None:
                return False
            await self._ready(session, thread.id)
            return True

    @undisturbed
    async def ask_again(self, turn_id: str, *, send: bool, thread: Address) -> bool:
        """A person's word on a turn that waits or failed: `send` puts it in once more, as a turn of its own with
        a reply of its own; else it is left. False if it isn't this thread's or the word was given before.

        Where the agent has merely not been reached or not been waited for long enough, the new turn goes on from
        the old one's checkpoint and under its id, as after a crash: the question may have arrived, and isn't
        asked twice; and what was asked is never taken for the answer to what the agent asked back."""
        async with self._database.transaction() as session:
            if (row := await self._locked(session, thread)) is None:
                return False
            turn = await session.get(Turn, turn_id)
            undecided = (TurnState.WAITING, TurnState.FAILED)
            if turn is None or turn.thread_id != row.id or turn.state not in undecided or turn.outcome == "left":
                return False
            values = turn.model_dump()
            goes_on = turn.outcome in TAKEN_UP_AGAIN
            turn.state, turn.outcome = TurnState.FAILED, "left"
            await session.flush()
            if send:
                fresh = {
                    key: values[key]
                    for key in ("thread_id", "message_id", "position", "author", "author_name", "text",
                                "attachments", "direct", "mid_thread", "question")
                }  # fmt: skip
                key = f"{AGAIN}{turn.id}"
                session.add(
                    Turn(
                        id=new_turn_id(),
                        event_key=key,
                        message_key=key,
                        asked_as=(turn.asked_as or turn.id) if goes_on else None,
                        checkpoint=turn.checkpoint if goes_on else turn.question,
                        **fresh,
                    )
                )
                await self._ready(session, row.id)
            return True

    @undisturbed
    async def change_text(self, address: Address, message_id: str, text: str) -> bool:
        """New words for a turn that hasn't been asked yet."""
        return await self._change(address, message_id, text=storable(text))

    @undisturbed
    async def withdraw(self, address: Address, message_id: str) -> bool:
        """Cancel a turn that hasn't been asked yet."""
        return await self._change(
            address, message_id, state=TurnState.CANCELLED, outcome="deleted", ended_at=now()
        )

    @undisturbed
    async def knows(self, address: Address) -> bool:
        async with self._database.transaction() as session:
            found = await session.exec(select(Thread.id).where(*at_address(address)))
            return found.first() is not None

    @undisturbed
    async def active_turn(self, address: Address) -> str | None:
        """The id of the turn that runs in a thread."""
        async with self._database.transaction() as session:
            rows = await session.exec(
                select(Turn.id)
                .join(Thread, col(Thread.id) == col(Turn.thread_id))
                .where(*at_address(address), col(Turn.state).in_(ACTIVE))
            )
            return rows.first()

    @undisturbed
    async def record_stop(self, turn: str) -> None:
        """A person pressed stop. Needs no claim: it only ever turns on."""
        async with self._database.transaction() as session:
            await update_turn(session, turn, stopped=True)

    async def _change(self, address: Address, message_id: str, **values: Any) -> bool:
        this = col(Turn.message_key) == _message_key(address, message_id)
        async with self._database.transaction() as session:
            # Without the lock the runner could take the turn in between, in the old words.
            of_turn = select(Thread.id).join(Turn, col(Turn.thread_id) == col(Thread.id)).where(this)
            await session.exec(of_turn.with_for_update(of=Thread))
            change = sa.update(Turn).where(this, in_state(TurnState.RECEIVED)).values(**values)
            return bool(await execute(session, change))

    def _insert(self, table: type[Turn] | type[Thread]) -> Any:
        # Both dialects spell ON CONFLICT alike; SQLAlchemy has no common name for it.
        sqlite_here = self._database.engine.dialect.name == "sqlite"
        return (sqlite.insert if sqlite_here else postgresql.insert)(table)

    async def _lock_thread(self, session: AsyncSession, address: Address, agent: str) -> Thread:
        row = Thread(**asdict(address), agent=agent).model_dump(exclude={"id"})
        await execute(session, self._insert(Thread).values(row).on_conflict_do_nothing())
        thread = await self._locked(session, address)
        assert thread is not None  # inserted above, and threads are never deleted  # noqa: S101
        return thread

    async def _locked(self, session: AsyncSession, address: Address) -> Thread | None:
        found = await session.exec(select(Thread).where(*at_address(address)).with_for_update())
        return found.first()

    async def _ready(self, session: AsyncSession, thread: int | None) -> None:
        await execute(
            session,
            sa.update(Thread)
            .where(col(Thread.id) == thread, col(Thread.state) == ThreadState.IDLE)
            .values(state=ThreadState.READY, ready_at=now()),
        )


def _message_key(address: Address, message_id: str) -> str:
    return f"{address.platform}:{address.workspace}:{address.channel}:{message_id}"


def _turn_values(inbound: Inbound) -> dict[str, Any]:
    return {
        "id": new_turn_id(),
        "event_key": f"{inbound.address.platform}:{inbound.event_id}",
        "message_key": _message_key(inbound.address, inbound.message_id),
        "message_id": inbound.message_id,
        "position": inbound.position,
        "author": inbound.author,
        "author_name": storable(inbound.author_name[:255]),
        "text": storable(inbound.text),
        "attachments": [asdict(file) for file in inbound.files],
        "direct": inbound.direct,
        "mid_thread": inbound.mid_thread,
    }
