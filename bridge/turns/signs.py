"""Signs of life beside a reply's text. None of them may cost a reply, or hold one up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bridge.turns.surface import Surface


class Signs:
    """Only the newest label counts; a call under way is let through before the next."""

    def __init__(self, surface: Surface, stand_in: Callable[[str], None]) -> None:
        self._surface = surface
        self._stand_in = stand_in
        self._label: str | None = None
        self._changed = asyncio.Event()
        self._showing: asyncio.Task[None] | None = None

    def working(self, label: str | None) -> None:
        """Show that the agent works, with a few words or none; or that it no longer does. Returns at once."""
        self._label = label
        self._changed.set()
        if label:
            self._stand_in(label)
        if self._showing is None:
            self._showing = asyncio.create_task(self._show(), name="signs")

    def note(self, label: str) -> None:
        """What the agent does now, where the thread shows that already."""
        self._label = label

    @property
    def label(self) -> str:
        """What the agent does, as far as it said."""
        return self._label or ""

    async def close(self) -> None:
        if self._showing is not None:
            self._showing.cancel()
            await asyncio.wait([self._showing])

    async def _show(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._surface.working(self._label)
