"""What happened: the turns as an operator asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import col, select

from bridge.inbound import Address
from bridge.store.arrivals import Arrivals
from bridge.store.database import Database, undisturbed
from bridge.store.tables import Made, Part, Thread, Turn


@dataclass(frozen=True, slots=True)
class Record:
    """One turn with its thread, its parts and what the agent made."""

    turn: Turn
    thread: Thread
    parts: Sequence[Part] = ()
    made: Sequence[Made] = ()


class Ledger:
    def __init__(self, database: Database) -> None:
        self._database = database

    @undisturbed
    async def turns(self, *, state: str | None, thread: str | None, limit: int) -> list[Record]:
        """Newest first. `thread` is its id on the platform."""
        query = select(Turn, Thread).join(Thread, col(Thread.id) == col(Turn.thread_id))
        if state is not None:
            query = query.where(col(Turn.state) == state)
        if thread is not None:
            query = query.where(col(Thread.thread) == thread)
        async with self._database.transaction() as session:
            rows = await session.exec(query.order_by(col(Turn.received_at).desc()).limit(limit))
            return [Record(turn, place) for turn, place in rows]

    @undisturbed
    async def turn(self, turn: str) -> Record | None:
        async with self._database.transaction() as session:
            found = await session.get(Turn, turn)
            if found is None:
                return None
            thread = await session.get_one(Thread, found.thread_id)
            parts = await session.exec(select(Part).where(col(Part.turn_id) == turn).order_by(col(Part.posted_at)))
            made = await session.exec(select(Made).where(col(Made.turn_id) == turn).order_by(col(Made.index)))
            return Record(found, thread, parts.all(), made.all())

    async def retry(self, turn: str) -> bool:
        """Ask again what failed or waits. The running bridge finds it within seconds."""
        record = await self.turn(turn)
        if record is None:
            return False
        place = record.thread
        address = Address(place.platform, place.workspace, place.channel, place.thread)  # type: ignore[arg-type]
        return await Arrivals(self._database).ask_again(turn, send=True, thread=address)
