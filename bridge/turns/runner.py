"""One turn at a time per thread, oldest first; many threads at once; what a crash left is taken up.

The runner claims threads from the queue and gives each a task. It is woken by the intake and by what other replicas
announce, and looks by itself now and then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from structlog.contextvars import bound_contextvars

from adapters.base import Agent, Checkpoint, Event, Message
from bridge import metrics, tracing
from bridge.inbound import Address, Person
from bridge.lifecycle import Outcome, TurnState
from bridge.listening import BusyAt, in_line
from bridge.prompts import UnderReply
from bridge.store.announcing import STOP
from bridge.store.engine import Fenced, StoreUnavailable, persist
from bridge.store.presence import Presence
from bridge.store.queue import Changed, Queue
from bridge.store.speaking import is_opening
from bridge.store.values import Claim, Marked, Outlook, StoredTurn
from bridge.turns.ask import NoAgent
from bridge.turns.folder import Folder
from bridge.turns.hold import Hold
from bridge.turns.line import ALONE, MAX_JOINED, Line, joinable, together
from bridge.turns.links import Links
from bridge.turns.marks import Marks
from bridge.turns.opening import open_thread
from bridge.turns.outages import Breaker
from bridge.turns.parts import Parts
from bridge.turns.person import Telling
from bridge.turns.restate import restate
from bridge.turns.room import Room
from bridge.turns.settle import PATIENCE as SETTLED_PATIENCE
from bridge.turns.settle import show_settled
from bridge.turns.surface import Button, FrontEnd, Guard, Surface
from bridge.turns.turn import TurnAtWork
from bridge.turns.under_reply import buttons_under
from bridge.turns.voice import Hears
from bridge.turns.work import Limits, Work

MISSING_SECONDS = 60.0  # for a turn whose agent isn't in the settings any more: it only has to be told
LOOK_AGAIN = 2.0  # seconds between two looks for work that nobody announced
SWEEP = 15.0  # seconds between two looks for claims whose answer was lost, and for stops that weren't heard
CLAIM_AT_ONCE = 100  # threads in one statement
EXPIRED_AT_ONCE = 100  # approvals in one sweep

# Awaited by the agents' client before each request: see `bridge.turns.surface.Guard`.
current_guard: ContextVar[Guard | None] = ContextVar("current_guard", default=None)
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one process. Seconds, bytes, threads."""

    deadline: Callable[[str], float]  # of a turn, by the agent's name
    quiet_after: float
    running: int
    attachment_bytes: int
    grace: float
    folder: Path  # for the files of turns at work
    telling: Callable[[str], Telling] = Telling  # what an agent is told of who asks, by its name
    agent_for: Callable[[Address], str] = lambda _: ""  # of a thread that an agent opens without a name of its own
    approval_seconds: float = 24 * 3600.0  # that an approval waits at most
    approvers: Callable[[str], Sequence[str]] = lambda _: ()  # of an agent, by its name: see `Work`
    hears: Hears | None = None  # writes voice notes down
    links: Links | None = None  # to files that are too large for a platform
    under_reply: Callable[[str], tuple[UnderReply, ...]] = lambda _: ()  # of an agent, by its name: see `Work`
    busy_at: BusyAt = in_line
    kind_of: Callable[[str], str] = lambda _: ""  # of an agent, by its name: see `Work`
    at_once: Mapping[str, int] = field(default_factory=dict)  # threads of an agent, where that is limited
    # Until an agent that fails everything is answered for at once, by its name: see `Breaker`.
    breaker_seconds: Callable[[str], float] = lambda _: 0.0


class Runner:
    """Serves threads with the given agents and platforms until it is cancelled."""

    def __init__(
        self,
        queue: Queue,
        presence: Presence,
        agents: Mapping[str, Agent],
        platforms: Mapping[str, FrontEnd],
        bounds: Bounds,
    ) -> None:
        self._queue = queue
        self._presence = presence
        self._agents = agents
        self._platforms = platforms
        self._bounds = bounds
        self._wake = asyncio.Event()
        self._ending = False  # no turn is begun any more
        self._held: dict[int, tuple[Claim, asyncio.Task[None]]] = {}
        self._room = Room(bounds.running, bounds.at_once)
        self._breakers: dict[str, Breaker] = {}
        self._claiming = asyncio.Lock()  # held until what was claimed is in `_held`
        self._suspect: int | None = None  # the one thread at work that may be what ends processes
        self._at_work: dict[str, TurnAtWork] = {}
        self._surfaces: dict[int, Surface] = {}  # of the turns at work, by their threads
        self._marks = Marks(queue, platforms, self._surfaces, self._surface_at_rest)
        queue.on_seated = self.wake

    def wake(self) -> None:
        """Something was put in."""
        self._wake.set()

    def stop_turn(self, turn: str) -> None:
        """Stop a turn if it runs here."""
        if turn in self._at_work:
            self._at_work[turn].stop()

    def doing(self, turn: str) -> str:
        """What the agent says of its work on a turn that runs here; "" otherwise."""
        return self._at_work[turn].doing if turn in self._at_work else ""

    def has_room(self, agent: str) -> bool:
        """Whether another thread of this agent could be worked on at once."""
        return not self._ending and self._room.free_for(agent) > 0

    def outage(self, agent: str) -> str | None:
        """A sentence that says so where an agent is out of reach."""
        return self.breaker(agent).told

    def breaker(self, agent: str) -> Breaker:
        """Of one of the agents."""
        if agent not in self._breakers:
            self._breakers[agent] = Breaker(self._bounds.breaker_seconds(agent))
        return self._breakers[agent]

    async def run(self) -> None:
        """Claim and serve. Cancelled, it stops taking, gives running turns the grace period, and leaves the rest
        to the next process."""
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(self._presence.keep(self._bury, self._hear), name="presence")
            sweeping = group.create_task(self._sweep_for_ever(), name="sweep")
            marking = group.create_task(self._marks.run(), name="marks")
            try:
                await self._claim_for_ever()
            finally:
                await self._wind_down()  # with a heartbeat: the grace may be longer than the lease
                keeping.cancel()
                sweeping.cancel()
                marking.cancel()

    # --- claims ---------------------------------------------------------------------------------------------

    async def _claim_for_ever(self) -> None:
        woken = False
        while True:
            await self._presence.lease.until_sure()
            self._wake.clear()
            more = False
            with suppress(StoreUnavailable):  # logged where it is waited out; here is another try soon
                if not woken:
                    await self._queue.fill_seats()  # of what was queued from outside, by `turns retry`
                async with self._claiming:
                    more = await self._claim_some(suspects=not woken)
            if not more:
                woken = await self._woken()

    async def _claim_some(self, *, suspects: bool) -> bool:
        """Whether there may be more: all that there was room for were found. A thread that ended meanwhile made more
        room, and nobody wakes for it."""
        platforms, room, found, more = list(self._platforms), self._room, 0, False
        for agent in room.limited:
            if free := min(room.free_for(agent), CLAIM_AT_ONCE):
                claims = await self._queue.claim(free, platforms, only=agent)
                found += self._take(claims)
                more |= len(claims) == free
        free = min(room.free, CLAIM_AT_ONCE)
        if not free:
            return more
        claims = await self._queue.claim(free, platforms, without=room.limited)
        found += self._take(claims)
        if suspects and not found and self._suspect is None:
            full = [agent for agent in room.limited if not room.free_for(agent)]
            alone = await self._queue.claim(1, platforms, suspects=True, without=full)
            self._take(alone)
            self._suspect = next((claim.thread for claim in alone), None)
        return more or len(claims) == free

    def _take(self, claims: Sequence[Claim]) -> int:
        for claim in claims:
            task = asyncio.create_task(self._serve(claim), name=f"thread {claim.thread}")
            self._held[claim.thread] = claim, task
            self._room.take(claim.agent)
        return len(claims)

    async def _woken(self) -> bool:
        """False if nobody announced anything in time."""
        try:
            async with asyncio.timeout(LOOK_AGAIN):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    # --- the other replicas ---------------------------------------------------------------------------------

    async def _bury(self, replicas: Sequence[str]) -> None:
        """Take over what dead replicas held."""
        for replica in replicas:
            with suppress(StoreUnavailable):
                await self._presence.end_sessions(replica)
                found = await self._queue.reclaim(replica)
                await self._presence.leave(replica)
                metrics.reclaimed.labels("dead").inc(found)
                log.warning("replica is dead", dead=replica, threads=found)
                self._wake.set()

    def _hear(self, announced: str) -> None:
        if announced.startswith(STOP):
            self.stop_turn(announced.removeprefix(STOP))
        else:
            self._wake.set()

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            try:
                await self._sweep()
            except StoreUnavailable:
                pass  # logged where it is waited out
            except Exception:  # one row's trouble must not end the process
                log.exception("sweep failed")

    async def _sweep(self) -> None:
        async with self._claiming:  # else a claim whose answer is on its way would be taken for a lost one
            held = {thread: claim.token for thread, (claim, _) in self._held.items()}
            found = await self._queue.free_unheld(held)
        metrics.reclaimed.labels("sweep").inc(found)
        owners = await self._queue.owners()
        alive = set(await self._presence.alive())  # after them: who owns a thread was alive before
        for owner in owners:
            if owner not in alive:
                dead = await self._queue.reclaim(owner)
                metrics.reclaimed.labels("dead").inc(dead)
                found += dead
        if found:
            log.warning("threads taken up again", threads=found)
            self._wake.set()
        await self._queue.fill_seats()
        for turn in await self._queue.stopped():
            self.stop_turn(turn)
        if expired := await self._queue.expire(EXPIRED_AT_ONCE):
            log.info("approvals expired", count=expired)
            self._wake.set()

    # --- a thread -------------------------------------------------------------------------------------------

    async def _serve(self, claim: Claim) -> None:
        """Work off a thread's turns. Whatever ends this early leaves the thread to the next sweep."""
        metrics.threads_held.inc()
        hold = Hold(self._queue, claim, self._presence.lease)
        current_guard.set(hold.guard)
        working_on: str | None = None
        with bound_contextvars(thread=claim.thread, platform=claim.address.platform, agent=claim.agent):
            try:
                outlook: Outlook | None = await hold.look()
                while not self._ending and outlook is not None:
                    if outlook.recheck is not None:
                        await self._restate(hold, outlook.recheck)
                    if outlook.turn is None or _has_no_seat(outlook.turn, claim):
                        outlook = None if await hold.settle() else await hold.look()
                        continue
                    turn = outlook.turn
                    working_on = turn.id
                    with bound_contextvars(turn=working_on):
                        if is_opening(claim.address):
                            with self._traced(claim, turn, queued=False):
                                outlook = await self._open(hold, turn)
                        else:
                            with self._traced(claim, turn, queued=True):
                                outlook = await self._work(hold, outlook, turn)
                    working_on = None
                if outlook is not None:
                    await persist(lambda: self._queue.release([claim]))
            except Fenced:
                metrics.lost.inc()
                log.warning("thread was taken over by another replica")
                if working_on is not None and hold.doubtful:
                    await self._ask_recheck(claim, working_on)
            except Exception:  # one thread's trouble is not the others'; the sweep takes it up again
                log.exception("thread put back")
            finally:
                hold.close()
                metrics.threads_held.dec()
                self._let_go(claim)

    def _let_go(self, claim: Claim) -> None:
        awaited = self._room.give_back(claim.agent)
        held = self._held.get(claim.thread)
        if held is not None and held[0] is claim:  # else it was lost and claimed anew meanwhile
            del self._held[claim.thread]
            if self._suspect == claim.thread:
                self._suspect = None
        if awaited:
            self._wake.set()

    def _traced(self, claim: Claim, turn: StoredTurn, *, queued: bool) -> AbstractContextManager[None]:
        about = {"messaging.system": claim.address.platform, "threadbridge.turn": turn.id}
        return tracing.at_work(
            turn.traceparent,
            about,
            waits_since=turn.received_at if queued else None,
            resumed=turn.begun_at is not None,
        )

    async def _work(self, hold: Hold, outlook: Outlook, turn: StoredTurn) -> Outlook | None:
        claim = hold.claim
        agent = self._agents.get(claim.agent)
        seconds = MISSING_SECONDS if agent is None else self._bounds.deadline(claim.agent)
        line = await self._line(claim, turn)
        turn = together(turn, line.joined)
        surface = self._surface(hold, turn.person)
        at_work = TurnAtWork(
            Work(
                hold=hold,
                turn=turn,
                outlook=outlook,
                surface=surface,
                agent=agent or _Missing(claim.agent),
                breaker=self.breaker(claim.agent),
                limits=Limits(
                    seconds, self._bounds.quiet_after, self._bounds.attachment_bytes, self._bounds.approval_seconds
                ),
                folder=Folder(self._bounds.folder / turn.id),
                telling=Telling(claim.agent, "none") if agent is None else self._bounds.telling(claim.agent),
                approvers=self._bounds.approvers(claim.agent),
                another_surface=lambda: self._surface(hold, turn.person),
                hears=self._bounds.hears,
                links=self._bounds.links,
                under_reply=self._bounds.under_reply(claim.agent),
                line=line,
                kind=self._bounds.kind_of(claim.agent),
            )
        )
        self._at_work[turn.id] = at_work
        self._surfaces[claim.thread] = surface
        try:
            with metrics.turn_running(claim.agent, claim.address.platform):
                return await at_work.run()
        except Changed:
            return await hold.look()
        finally:
            if self._at_work.get(turn.id) is at_work:  # else, as in `_let_go`
                del self._at_work[turn.id]
            if self._surfaces.get(claim.thread) is surface:
                del self._surfaces[claim.thread]

    async def _line(self, claim: Claim, turn: StoredTurn) -> Line:
        """What a turn has to do with those that wait behind it."""
        busy = self._bounds.busy_at(claim.address)
        if turn.state is not TurnState.RECEIVED or (busy == "queue" and not turn.marked):
            return ALONE
        if busy == "queue":
            return Line(on_begun=self._marks.changed)
        waiting = await persist(lambda: self._queue.line(claim.thread, MAX_JOINED))
        return Line(
            joined=joinable(turn, waiting),
            interrupted_after=max(one.position for one in (turn, *waiting)) if busy == "interrupt" else None,
            on_begun=self._marks.changed,
        )

    def _surface_at_rest(self, marked: Marked) -> Surface:
        platform = self._platforms[marked.address.platform]
        return platform.surface(marked.address, person=marked.person, guard=self._presence.lease.until_sure)

    async def _open(self, hold: Hold, turn: StoredTurn) -> Outlook | None:
        front_end = self._platforms[hold.claim.address.platform]
        outlook = await open_thread(hold, turn, front_end, self._bounds.agent_for)
        self._wake.set()  # the turn is ready in the thread that was opened
        return outlook

    def _surface(self, hold: Hold, person: Person) -> Surface:
        address = hold.claim.address
        return self._platforms[address.platform].surface(address, person=person, guard=hold.guard)

    async def _restate(self, hold: Hold, turn_id: str) -> None:
        """A replica that had lost this thread may have written over a finished reply: write it again."""
        turn = await persist(lambda: self._queue.turn(turn_id))
        if turn is not None and turn.answer is not None and not turn.unreadable:
            records = await persist(lambda: self._queue.parts(turn_id))
            surface = self._surface(hold, turn.person)
            if turn.settled is None:
                under = await self._under(turn, hold.claim.agent)
                await restate(surface, turn, Parts(turn_id, records, resumed=True), under)
            else:  # perhaps only its buttons are to go: that holds nothing up for long
                await show_settled(surface, self._queue, turn_id)
                await restate(surface, turn, Parts(turn_id, records, resumed=True), patience=SETTLED_PATIENCE)
                await surface.working(None)
        await persist(lambda: self._queue.rechecked(hold.claim, turn_id))

    async def _under(self, turn: StoredTurn, agent: str) -> Sequence[Button]:
        if turn.outcome is not Outcome.ANSWERED:
            return ()
        made = await persist(lambda: self._queue.artifacts(turn.id))
        return buttons_under(turn, self._bounds.under_reply(agent), files=bool(made))

    async def _ask_recheck(self, claim: Claim, turn: str) -> None:
        log.warning("a reply may have been written over", turn=turn)
        await persist(lambda: self._queue.ask_recheck(claim, turn))

    async def _wind_down(self) -> None:
        self._ending = True
        held = list(self._held.values())
        if not held:
            return
        log.info("waiting for running turns", threads=len(held), seconds=self._bounds.grace)
        _, late = await asyncio.wait([task for _, task in held], timeout=self._bounds.grace)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
        with suppress(StoreUnavailable):
            await self._queue.release([claim for claim, task in held if task in late])


def _has_no_seat(turn: StoredTurn, claim: Claim) -> bool:
    """Its person isn't the one for whom the thread got ready: the turn before it was withdrawn, say."""
    return turn.state is TurnState.RECEIVED and turn.person.id != claim.seat


class _Missing:
    """Stands where an agent was that isn't in the settings any more."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def ask(
        self,
        conversation: str | None,  # noqa: ARG002
        message: Message,  # noqa: ARG002
        *,
        resume: Checkpoint | None = None,  # noqa: ARG002
    ) -> AsyncIterator[Event]:
        events: tuple[Event, ...] = ()
        for event in events:
            yield event
        raise NoAgent(
            f"no [agents.{self._name}] in the settings",
            sentence="The agent of this thread isn't set up here any more. Please tell whoever runs this bot.",
        )
