"""What happened: the turns as an operator asks for them. Reads at leisure, by SQLModel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, select

from bridge.inbound import Address
from bridge.store.audit import operator
from bridge.store.database import Database
from bridge.store.decisions import Decided, Decisions
from bridge.store.tables import Artifact, Audit, Feedback, Installation, Part, Thread, Turn


@dataclass(frozen=True, slots=True)
class Record:
    """One turn with its thread, its parts and what the agent made."""

    turn: Turn
    thread: Thread
    parts: Sequence[Part] = ()
    artifacts: Sequence[Artifact] = ()


@dataclass(frozen=True, slots=True)
class Rated:
    """A word on an answer, and the turn that led to it."""

    feedback: Feedback
    turn: Turn
    thread: Thread


class Ledger:
    def __init__(self, database: Database) -> None:
        self._database = database

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

    async def turn(self, turn: str) -> Record | None:
        async with self._database.transaction() as session:
            found = await session.get(Turn, turn)
            if found is None:
                return None
            thread = await session.get_one(Thread, found.thread_id)
            parts = await session.exec(
                select(Part).where(col(Part.turn_id) == turn).order_by(col(Part.kind), col(Part.index))
            )
            artifacts = await session.exec(
                select(Artifact).where(col(Artifact.turn_id) == turn).order_by(col(Artifact.index))
            )
            return Record(found, thread, parts.all(), artifacts.all())

    async def feedback(self, *, agent: str | None, since: datetime | None, limit: int = 1_000) -> list[Rated]:
        """What people think of answers, the newest word first."""
        query = select(Feedback, Turn, Thread).join(Turn, col(Turn.id) == col(Feedback.turn_id))
        query = query.join(Thread, col(Thread.id) == col(Turn.thread_id))
        if agent is not None:
            query = query.where(col(Feedback.agent) == agent)
        if since is not None:
            query = query.where(col(Feedback.at) >= since)
        async with self._database.transaction() as session:
            rows = await session.exec(query.order_by(col(Feedback.at).desc()).limit(limit))
            return [Rated(feedback, turn, place) for feedback, turn, place in rows]

    async def audit(self, *, since: datetime | None, limit: int) -> Sequence[Audit]:
        """Who did what, the newest first."""
        query = select(Audit)
        if since is not None:
            query = query.where(col(Audit.at) >= since)
        async with self._database.transaction() as session:
            rows = await session.exec(query.order_by(col(Audit.at).desc(), col(Audit.id).desc()).limit(limit))
            return rows.all()

    async def installations(self) -> Sequence[Installation]:
        """Where the app was installed, by name; those that were uninstalled too."""
        async with self._database.transaction() as session:
            found = await session.exec(select(Installation).order_by(col(Installation.name), col(Installation.id)))
            return found.all()

    async def retry(self, turn: str) -> bool:
        """Send again, or deliver again, what failed or waits. A running bridge takes it up within seconds."""
        record = await self.turn(turn)
        if record is None:
            return False
        place = record.thread
        address = Address(place.platform, place.workspace, place.channel, place.thread)  # type: ignore[arg-type]
        async with self._database.prepared("retry") as engine:
            # Without a seat: the running bridge knows how many the person may have.
            decided = await Decisions(engine, at_once=0).retry(address, turn, who=operator())
            return decided is not Decided.TOO_LATE
