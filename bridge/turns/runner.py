"""One turn at a time per thread, oldest first; many threads at once; what a crash left is taken up.

The runner claims threads from the queue and gives each a task. It is woken by the intake, and looks by itself now
and then in case another process put something in.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError
from structlog.contextvars import bound_contextvars

from adapters.base import Agent, Checkpoint, Event, Message, NotFound
from bridge.store.queue import Claim, Fenced, Queue, Work
from bridge.turns.surface import FrontEnd
from bridge.turns.turn import TurnAtWork

LEASE = timedelta(seconds=30)  # without a heartbeat for this long, a replica's threads are taken over
HEARTBEAT = 5.0  # seconds; several fit into a lease
MISSING_SECONDS = 60.0  # for a turn whose agent isn't in the settings any more: it only has to be told
LOOK_AGAIN = 2.0  # seconds between two looks for work that nobody announced
CLAIM_AT_ONCE = 100  # threads in one transaction

log = structlog.get_logger()


class Runner:
    """Serves threads with the given agents and platforms until it is cancelled."""

    def __init__(
        self,
        queue: Queue,
        agents: Mapping[str, Agent],
        platforms: Mapping[str, FrontEnd],
        *,
        deadline: Callable[[str], float],
        max_running: int,
        max_attachment_bytes: int,
        grace: float,
    ) -> None:
        self._queue = queue
        self._agents = agents
        self._platforms = platforms
        self._deadline = deadline
        self._max_running = max_running
        self._max_attachment_bytes = max_attachment_bytes
        self._grace = grace
        self._wake = asyncio.Event()
        self._ending = False  # no turn is begun any more
        self._claiming = asyncio.Lock()  # a sweep must not see a claim that isn't held yet
        self._held: dict[int, tuple[Claim, asyncio.Task[None]]] = {}
        self._at_work: dict[str, TurnAtWork] = {}

    def wake(self) -> None:
        """Something was put in."""
        self._wake.set()

    def stop_turn(self, turn: str) -> None:
        """Stop a turn if it runs here."""
        if turn in self._at_work:
            self._at_work[turn].stop()

    async def run(self) -> None:
        """Claim and serve. Cancelled, it stops taking, gives running turns the grace period, and leaves the rest
        to the next process."""
        await self._queue.heartbeat()
        async with asyncio.TaskGroup() as group:
            alive = group.create_task(self._keep_alive(), name="heartbeat")
            try:
                await self._claim_for_ever()
            finally:
                await self._wind_down()  # with a heartbeat: the grace may be longer than the lease
                alive.cancel()

    async def _claim_for_ever(self) -> None:
        while True:
            self._wake.clear()
            try:
                claimed = await self._claim_some()
            except SQLAlchemyError as error:
                log.error("can't claim threads", error=str(error))
                claimed = 0
            if claimed < CLAIM_AT_ONCE:
                await self._woken()

    async def _claim_some(self) -> int:
        async with self._claiming:
            free = min(self._max_running - len(self._held), CLAIM_AT_ONCE)
            claims = await self._queue.claim(free, list(self._platforms)) if free else []
            for claim in claims:
                task = asyncio.create_task(self._serve(claim), name=f"thread {claim.thread}")
                self._held[claim.thread] = claim, task
            return len(claims)

    async def _woken(self) -> None:
        try:
            async with asyncio.timeout(LOOK_AGAIN):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _keep_alive(self) -> None:
        while True:
            try:
                await self._queue.heartbeat()
                async with self._claiming:
                    found = await self._queue.reclaim(list(self._held), LEASE)
                if found:
                    log.info("threads taken up again", threads=found)
                    self._wake.set()
                for turn in await self._queue.stopped():
                    self.stop_turn(turn)
            except SQLAlchemyError as error:
                log.error("heartbeat failed", error=str(error))
            await asyncio.sleep(HEARTBEAT)

    async def _serve(self, claim: Claim) -> None:
        """Work off a thread's turns. Whatever ends this early leaves the thread to the next sweep."""
        with bound_contextvars(thread=claim.thread, platform=claim.address.platform, agent=claim.agent):
            try:
                while not self._ending and (work := await self._queue.next_turn(claim)) is not None:
                    with bound_contextvars(turn=work.turn.id):
                        await self._work(claim, work)
                if self._ending:
                    await self._queue.release([claim])
            except Fenced:
                log.warning("thread was taken over by another replica")
            except SQLAlchemyError as error:  # without its traceback: an outage ends every thread at once
                log.error("thread put back", error=str(error))
            except Exception:  # one thread's trouble is not the others'; the sweep takes it up again
                log.exception("thread put back")
            finally:
                if self._held[claim.thread][0] is claim:  # else it was lost and claimed anew meanwhile
                    del self._held[claim.thread]
                self._wake.set()

    async def _work(self, claim: Claim, work: Work) -> None:
        turn = work.turn
        agent = self._agents.get(claim.agent)
        seconds = MISSING_SECONDS if agent is None else self._deadline(claim.agent)
        surface = self._platforms[claim.address.platform].surface(claim.address, author=turn.author)
        agent = agent or _Missing(claim.agent)
        at_work = TurnAtWork(self._queue, claim, work, surface, agent, seconds, self._max_attachment_bytes)
        self._at_work[turn.id] = at_work
        try:
            await at_work.work()
        finally:
            del self._at_work[turn.id]

    async def _wind_down(self) -> None:
        self._ending = True
        held = list(self._held.values())
        if held:
            log.info("waiting for running turns", threads=len(held), seconds=self._grace)
            _, late = await asyncio.wait([task for _, task in held], timeout=self._grace)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
            await self._queue.release([claim for claim, task in held if task in late])
        await self._queue.leave()


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
        raise NotFound(
            f"no [agents.{self._name}] in the settings",
            sentence="The agent of this thread isn't set up here any more. Please tell whoever runs this bot.",
        )
