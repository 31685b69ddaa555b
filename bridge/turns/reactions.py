"""What a question shows by reactions of ours, where the settings want it: seen, then done. It never costs a reply."""

from __future__ import annotations

import asyncio

from bridge.lifecycle import Outcome
from bridge.store.values import StoredTurn
from bridge.turns.surface import Mark, Marks, Surface

MARK_WITHIN = 3.0  # seconds that the end of a turn waits for its mark


class Marking:
    """Of one turn. What nobody wrote has no question to mark."""

    def __init__(self, surface: Surface, turn: StoredTurn) -> None:
        written = turn.spoken is None and turn.chosen is None
        self._surface = surface if written and isinstance(surface, Marks) else None
        self._asked = turn.message_id
        self._seeing: asyncio.Task[None] | None = None

    def seen(self) -> None:
        """Beside all else."""
        if self._surface is not None:
            self._seeing = asyncio.create_task(self._mark("seen"), name="mark")

    async def ended(self, outcome: Outcome) -> None:
        if self._seeing is not None:
            await asyncio.wait([self._seeing])
        await self._mark("done" if outcome is Outcome.ANSWERED else None)

    def close(self) -> None:
        if self._seeing is not None:
            self._seeing.cancel()

    async def _mark(self, stands: Mark | None) -> None:
        if self._surface is None:
            return
        try:
            async with asyncio.timeout(MARK_WITHIN):
                await self._surface.mark(self._asked, stands)
        except TimeoutError:
            return
