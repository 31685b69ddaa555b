"""A claimed thread while this process works on it: what is written, and who looks before a call.

Every write is repeated until the database has taken it, as long as the claim holds. Parts ride along with the next one,
or follow by themselves within `RIDE_SECONDS`; the agent's steps ride along with either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from adapters.base import Checkpoint
from bridge import metrics
from bridge.lifecycle import Event, Outcome, TurnState, after
from bridge.store.engine import Fenced, persist
from bridge.store.lease import Lease
from bridge.store.queue import Queue
from bridge.store.speaking import Opened
from bridge.store.values import Claim, Conclusion, Outlook, PartRecord, StoredTurn, WaitingTurn

RIDE_SECONDS = 1.0  # that a part may stand in the thread and not in the database

T = TypeVar("T")
log = structlog.get_logger()


class Hold:
    """One claim, used by one task."""

    def __init__(self, queue: Queue, claim: Claim, lease: Lease) -> None:
        self.queue = queue
        self.claim = claim
        self._lease = lease
        self._gaps = lease.gaps
        self._turn = ""
        self._parts: dict[tuple[str, int], PartRecord] = {}
        self._steps: Callable[[], str] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._riding: asyncio.Task[None] | None = None

    async def guard(self) -> None:
        """See `bridge.turns.surface.Guard`."""
        lease = self._lease
        if lease.sure and lease.gaps == self._gaps:
            return
        await lease.until_sure()
        gaps = lease.gaps
        await persist(lambda: self.queue.still_ours(self.claim))
        self._gaps = gaps

    @property
    def doubtful(self) -> bool:
        """Once the claim is lost: whether a call to the platform may have been under way when it was."""
        return not self._lease.alone

    async def look(self) -> Outlook:
        return await persist(lambda: self.queue.look(self.claim))

    async def settle(self) -> bool:
        return await persist(lambda: self.queue.settle(self.claim))

    async def begin(
        self,
        turn: StoredTurn,
        checkpoint: Checkpoint | None,
        *,
        start: str | None,
        settles: WaitingTurn | None,
        how: Event,
        line: str | None,
        joined: Sequence[StoredTurn] = (),
    ) -> None:
        await persist(
            lambda: self.queue.begin(
                self.claim, turn, checkpoint, start=start, settles=settles, how=how, line=line, joined=joined
            )
        )
        for one in joined:
            self._count(after(one.state, Event.JOINED), Outcome.JOINED)
        if settles is not None and how is Event.ABANDONED:
            self._count(after(TurnState.WAITING, how), Outcome.ABANDONED)

    async def begin_opening(self, turn: str) -> None:
        await persist(lambda: self.queue.speaking.begin_opening(self.claim, self.queue.replica, turn))

    async def opened(self, turn: str, opened: Opened) -> None:
        await persist(lambda: self.queue.speaking.opened(self.claim, self.queue.replica, turn, opened))

    async def checkpoint(self, turn: str, checkpoint: Checkpoint, *, progress: bool) -> None:
        await self._with_parts(
            turn,
            lambda parts, steps: self.queue.record_checkpoint(
                self.claim, turn, checkpoint, parts, steps=steps, progress=progress
            ),
        )

    async def conclude(self, turn: str, conclusion: Conclusion) -> None:
        await self._with_parts(
            turn, lambda parts, steps: self.queue.conclude(self.claim, turn, conclusion, parts, steps=steps)
        )

    async def end(
        self,
        turn: str,
        event: Event,
        outcome: Outcome,
        *,
        detail: str,
        last_part: str | None,
        shown_at: int | None,
        first_words: float | None = None,
    ) -> Outlook | None:
        outlook = await self._with_parts(
            turn,
            lambda parts, steps: self.queue.end(
                self.claim,
                turn,
                event,
                outcome,
                parts,
                steps=steps,
                detail=detail,
                last_part=last_part,
                shown_at=shown_at,
                first_words=first_words,
            ),
        )
        self._count(after(TurnState.REPLYING, event, outcome), outcome)
        return outlook

    def note(self, turn: str, part: PartRecord) -> None:
        """A part as it stands now; it rides along."""
        self._turn = turn
        self._parts[part.kind, part.index] = part
        self._ride_soon()

    async def record(self, turn: str, part: PartRecord) -> None:
        """A part as it will be before long, stored when this returns."""
        while self._riding is not None:  # what rides is older, and may be repeated
            await asyncio.wait([self._riding])
        self._turn = turn
        self._parts[part.kind, part.index] = part
        await self._with_parts(
            turn, lambda parts, steps: self.queue.record_parts(self.claim, turn, parts, steps=steps)
        )

    def note_steps(self, turn: str, steps: Callable[[], str]) -> None:
        """The turn's steps changed, as `steps` will give them. They ride along, and alone they don't follow."""
        self._turn = turn
        self._steps = steps

    async def forget(self, turn: str, kind: str, index: int) -> None:
        self._parts.pop((kind, index), None)
        await persist(lambda: self.queue.forget_part(self.claim, turn, kind, index))

    def close(self) -> None:
        """Nothing rides any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._parts.clear()
        self._steps = None

    def _count(self, state: TurnState, outcome: Outcome) -> None:
        metrics.turn_ended(self.claim.agent, self.claim.address.platform, state, outcome)

    async def _with_parts(self, turn: str, write: Callable[[Sequence[PartRecord], str | None], Awaitable[T]]) -> T:
        parts = list(self._parts.values()) if self._turn == turn else []
        steps = None
        if self._steps is not None and self._turn == turn:
            steps, self._steps = self._steps(), None
        result = await persist(lambda: write(parts, steps))
        for part in parts:
            if self._parts.get((part.kind, part.index)) == part:
                del self._parts[part.kind, part.index]
        return result

    def _ride_soon(self) -> None:
        if self._parts and self._timer is None and self._riding is None:
            self._timer = asyncio.get_running_loop().call_later(RIDE_SECONDS, self._ride)

    def _ride(self) -> None:
        self._timer = None
        if self._parts:
            self._riding = asyncio.create_task(self._ride_alone(), name=f"parts {self._turn}")
            self._riding.add_done_callback(self._ridden)

    def _ridden(self, _: asyncio.Task[None]) -> None:
        self._riding = None
        self._ride_soon()

    async def _ride_alone(self) -> None:
        turn = self._turn
        try:
            await self._with_parts(
                turn, lambda parts, steps: self.queue.record_parts(self.claim, turn, parts, steps=steps)
            )
        except Fenced:  # the task that works on the turn meets it as well
            log.info("parts not recorded: the thread is no longer ours")
            self._parts.clear()
