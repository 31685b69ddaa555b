"""One process of the bridge, as far as turns go: its queue, its runner, its intake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa

from adapters.base import Agent
from bridge.access import Access
from bridge.inbound import Address, Person
from bridge.listening import Busy
from bridge.prompts import UnderReply
from bridge.store.arrivals import Arrivals
from bridge.store.database import Database
from bridge.store.decisions import Decisions
from bridge.store.desk import Desk
from bridge.store.engine import Engine, Op, Statement, persist
from bridge.store.feedback import FeedbackStore
from bridge.store.ledger import Ledger
from bridge.store.presence import Presence
from bridge.store.queue import Queue
from bridge.store.seats import NO_LIMIT
from bridge.turns.gate import Gate
from bridge.turns.inbox import Press
from bridge.turns.intake import Intake
from bridge.turns.links import Links
from bridge.turns.orders import Orders
from bridge.turns.person import Telling
from bridge.turns.runner import Bounds, Runner
from bridge.turns.shelf import Shelf
from bridge.turns.surface import Button
from bridge.turns.under_reply import PressedUnderReply
from bridge.turns.voice import Hears
from tests.turns.world import HERE, MemoryPlatform

ANN = Person("U1", "Ann")
STATES = Statement(sa.select(sa.column("id"), sa.column("state")).select_from(sa.table("turn")))


class Bridge:
    """A process: a queue, a runner, an intake on one platform and one agent. Use it within `running`.

    `between` stands between the runner's queue and its database; the intake's way is always clear."""

    queue: Queue
    runner: Runner
    intake: Intake
    engine: Engine
    presence: Presence
    feedback: FeedbackStore

    def __init__(
        self,
        database: Database,
        platform: MemoryPlatform,
        agent: Agent | None,
        *,
        replica: str = "r1",
        between: Callable[[Engine], Engine] = lambda engine: engine,
        presence: Presence | None = None,
        telling: Callable[[str], Telling] = Telling,
        gate: Gate | None = None,
        hears: Hears | None = None,
        links: Links | None = None,
        under_reply: tuple[UnderReply, ...] = (),
        busy: Busy = "queue",
        breaker_seconds: float = 0.0,
        **limits: float,
    ) -> None:
        self.platform = platform
        self.ledger = Ledger(database)
        self.database = database
        self.replica = replica
        self._between = between
        self._presence = presence
        self._telling = telling
        self._hears = hears
        self._links = links
        self._under_reply = under_reply
        self._busy = busy
        self._breaker_seconds = breaker_seconds
        self._agents: Mapping[str, Agent] = {} if agent is None else {"support": agent}
        self._gate = gate or Gate(Access())
        self.limits = limits
        self.approvers: tuple[str, ...] = ()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        limits = self.limits
        with TemporaryDirectory() as folder:
            async with self.database.prepared(self.replica) as engine:
                self.engine = engine
                at_once = int(limits.get("at_once", NO_LIMIT))
                self.queue = Queue(self._between(engine), self.replica, at_once=at_once)
                self.presence = self._presence or self.database.presence(self.replica)
                bounds = Bounds(
                    deadline=lambda name: {"support": limits.get("deadline", 30.0)}[name],
                    quiet_after=limits.get("quiet_after", 60.0),
                    running=int(limits.get("max_running", 100)),
                    attachment_bytes=int(limits.get("max_attachment_bytes", 1000)),
                    grace=limits.get("grace", 0.0),
                    folder=Path(folder),
                    telling=self._telling,
                    approval_seconds=limits.get("approval_seconds", 3600.0),
                    approvers=lambda _: self.approvers,
                    hears=self._hears,
                    links=self._links,
                    under_reply=lambda _: self._under_reply,
                    busy_at=lambda _: self._busy,
                    at_once={"support": int(limits.get("agent_at_once", 0))},
                    breaker_seconds=lambda _: self._breaker_seconds,
                )
                self.runner = Runner(self.queue, self.presence, self._agents, {"slack": self.platform}, bounds)
                decisions, self.feedback = Decisions(engine, at_once=at_once), FeedbackStore(engine)
                self.intake = Intake(
                    Arrivals(engine, at_once=at_once),
                    decisions,
                    Orders(
                        Desk(engine, at_once=at_once),
                        self._agents,
                        self._gate,
                        choices=lambda _: ("support", "research"),
                        doing=self.runner.doing,
                    ),
                    Shelf(
                        Desk(engine),
                        self._agents,
                        Path(folder),
                        attachment_bytes=bounds.attachment_bytes,
                        links=self._links,
                    ),
                    PressedUnderReply(decisions, self.feedback),
                    agent_for=lambda _: "support",
                    busy_at=lambda _: self._busy,
                    gate=self._gate,
                    wake=self.runner.wake,
                    stop_turn=self.runner.stop_turn,
                    has_room=self.runner.has_room,
                    catch_up_hours=24,
                )
                yield

    async def press(self, button: Button, address: Address = HERE, *, by: Person = ANN, words: str = "") -> str:
        """Press a button, as Ann if nobody else is named; what this person alone is told."""
        press = Press(button.action, button.turn, by, address, words or button.value)
        return (await self.intake.pressed(press)).sentence

    async def states(self) -> dict[str, str]:
        [rows] = await persist(lambda: self.engine.run(Op(STATES, {})))
        return dict(rows)

    async def until_state(self, *states: str) -> None:
        """Wait until every turn is in one of these states."""
        while set((await self.states()).values()) - set(states):  # noqa: ASYNC110  # a database has no event
            await asyncio.sleep(0.005)

    async def outcome(self, message_id: str = "100.0-1") -> tuple[str, str | None]:
        records = await self.ledger.turns(state=None, thread=None, limit=100)
        return next((one.turn.state, one.turn.outcome) for one in records if one.turn.message_id == message_id)


@asynccontextmanager
async def running(bridge: Bridge, *, alone: bool = True) -> AsyncIterator[Bridge]:
    """At its end the process is killed in so far as no turn gets a grace; what it holds is given back only if it says
    so."""
    async with bridge.open():
        if alone and bridge.engine.dialect == "sqlite":
            await Queue(bridge.engine, bridge.replica).free_all()
        task = asyncio.create_task(bridge.runner.run())
        try:
            yield bridge
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()
