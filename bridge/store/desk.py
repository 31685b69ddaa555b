"""What commands ask of the database about one thread, and the little that they change in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from adapters.base import Exchange
from bridge.inbound import Address, Person, Platform
from bridge.lifecycle import Event, Outcome, ThreadState, TurnState, after
from bridge.store import statements as sql
from bridge.store.arrivals import Arrivals
from bridge.store.audit import Deed, entry
from bridge.store.decisions import LEFT, Decisions
from bridge.store.encrypted_engine import is_readable
from bridge.store.encryption import UNREADABLE
from bridge.store.engine import Engine, Fenced, Op
from bridge.store.queue import artifact_of
from bridge.store.seats import NO_LIMIT
from bridge.store.tables import EVERY_POSITION
from bridge.store.values import ArtifactRecord, StoredTurn, turn_of

RECENT = 200  # turns of a person that are looked through for threads
QUEUED = 100  # waiting turns of a thread that are counted


@dataclass(frozen=True, slots=True)
class Overview:
    """A thread as it stands."""

    id: int
    agent: str
    conversation: str | None
    state: ThreadState
    waiting_turn: str | None
    active: StoredTurn | None  # the turn that is worked on
    waiting: StoredTurn | None  # the one that waits for a person
    queued: Sequence[str]  # who wrote what waits for its turn, in order; at most `QUEUED`
    last: StoredTurn | None  # the last of this conversation that ended


class Desk:
    """Everything raises `StoreUnavailable`, and comes to the same when it is done twice."""

    def __init__(self, engine: Engine, *, at_once: int = NO_LIMIT) -> None:
        """`at_once`: turns of one person, in all replicas together."""
        self._engine = engine
        self.arrivals = Arrivals(engine, at_once=at_once)
        self.decisions = Decisions(engine, at_once=at_once)

    async def latest(self, address: Address, person: Person) -> Address | None:
        """The thread of a channel that a person asked in last; None if that was over `RECENT` turns ago."""
        asked_in = await self._asked_in(person)
        return next((one for one, _ in asked_in if replace(one, thread="") == address), None)

    async def recent(self, platform: Platform, workspace: str, person: Person, most: int) -> Mapping[Address, str]:
        """The threads that a person asked in, each with their last question there, newest first."""
        threads: dict[Address, str] = {}
        for address, text in await self._asked_in(person):
            if (address.platform, address.workspace) == (platform, workspace) and len(threads) < most:
                threads.setdefault(address, text)
        return threads

    async def _asked_in(self, person: Person) -> Sequence[tuple[Address, str]]:
        [rows] = await self._engine.run(Op(sql.RECENT, {"person": person.id, "most": RECENT}))
        return [(Address(*place), UNREADABLE if text is None else text) for *place, text in rows]

    async def overview(self, address: Address) -> Overview | None:
        """None of a thread that the agent was never called into."""
        [found] = await self._engine.run(Op(sql.OVERVIEW, asdict(address)))
        if not found:
            return None
        known = dict(zip(sql.OVERVIEW_COLUMNS, found[0], strict=True))
        thread = {"thread_id": known["id"]}
        active, waiting, queued, *ended = await self._engine.run(
            Op(sql.LOOK_ACTIVE, thread),
            Op(sql.LOOK_WAITING, thread),
            Op(sql.QUEUED, thread | {"most": QUEUED}),
            Op(sql.LAST_ANSWERED, thread),
            Op(sql.LAST_UNANSWERED, thread),
        )
        last = [turn_of(rows[0]) for rows in ended if rows]
        return Overview(
            id=known["id"],
            agent=known["agent"],
            conversation=known["conversation"],
            state=ThreadState(known["state"]),
            waiting_turn=known["waiting_turn"],
            active=turn_of(active[0]) if active else None,
            waiting=turn_of(waiting[0]) if waiting else None,
            queued=[person for (person,) in queued],
            last=max(last, key=lambda turn: (turn.position, turn.received_at), default=None),
        )

    async def begin_anew(self, thread: Overview, agent: str, person: Person, *, who: str = "") -> bool:
        """A person wants it, by the audit log's `who`: the next message of the thread begins a conversation, with this
        agent. What the thread waits for is abandoned. False while something is worked on."""
        place = {"thread_id": thread.id}
        ops = [Op(sql.LOCK_THREAD, place), Op(sql.BEGIN_ANEW, place | {"chosen_agent": agent})]
        if thread.waiting_turn is not None:
            abandoned = {
                "turn_id": thread.waiting_turn,
                "was": TurnState.WAITING,
                "becomes": after(TurnState.WAITING, Event.ABANDONED),
                "result": Outcome.ABANDONED,
                "line": LEFT,
            }
            waited = place | {"turn_id": thread.waiting_turn}
            ops += [Op(sql.DECIDE, abandoned), Op(sql.WAITS_NO_MORE, waited)]
        if who:
            changed = agent != thread.agent
            agents = {"from": thread.agent, "to": agent} if changed else {"agent": agent}
            ops.append(entry(who, Deed.AGENT if changed else Deed.NEW, f"thread {thread.id}", agents))
        try:
            await self.decisions.make_ready(thread.id, person, ops, restates=thread.waiting_turn)
        except Fenced:  # a turn was begun, or what waited was answered, just now
            return False
        return True

    async def exchanges(self, thread: int, most: int) -> Sequence[Exchange]:
        """The last `most` questions of the thread's conversation that were answered, oldest first."""
        values = {"thread_id": thread, "before": EVERY_POSITION, "most": most}
        [rows] = await self._engine.run(Op(sql.EXCHANGES, values))
        return [Exchange(row[0], row[1] or "") for row in reversed(rows) if is_readable(row)]

    async def artifacts(self, thread: int, most: int) -> Sequence[ArtifactRecord]:
        """What the agent made in the thread's conversation: the last `most`, oldest first."""
        [rows] = await self._engine.run(Op(sql.ARTIFACTS_OF_THREAD, {"thread_id": thread, "most": most}))
        return [artifact_of(row) for row in reversed(rows) if is_readable(row)]
