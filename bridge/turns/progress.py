"""How far a large file is on its way: written where its bytes move, read where people are shown it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

LARGE = 5 * 2**20  # bytes; a smaller file is there before anybody looks
EVERY = 2.0  # seconds between two lines that are shown
OFTEN = 30  # lines at that pace, a minute
SELDOM = 10.0  # seconds, from then on


@dataclass(slots=True)
class Progress:
    """Of one file, or of several that go together."""

    name: str = ""
    total: int | None = None  # bytes; None where nobody says
    moved: int = 0
    going_out: bool = False  # fetched already, and on its way to the platform

    @property
    def is_large(self) -> bool:
        return max(self.total or 0, self.moved) > LARGE

    def sends(self, total: int) -> None:
        """It is on this machine's disk; now it goes out."""
        self.total, self.moved, self.going_out = total, 0, True


@asynccontextmanager
async def watched(line: Callable[[], str], show: Callable[[str], Awaitable[object]]) -> AsyncIterator[None]:
    """While the block runs, `show` is given the line whenever it has changed and isn't "". `show` must bound itself
    and not raise; none is under way any more when the block has ended."""
    over = asyncio.Event()
    showing = asyncio.create_task(_show(line, show, over), name="progress")
    try:
        yield
    finally:
        over.set()
        await asyncio.wait([showing])


async def _show(line: Callable[[], str], show: Callable[[str], Awaitable[object]], over: asyncio.Event) -> None:
    last, count = "", 0
    while True:
        try:
            async with asyncio.timeout(EVERY if count < OFTEN else SELDOM):
                await over.wait()
            return
        except TimeoutError:
            pass
        text = line()
        if text and text != last:
            last, count = text, count + 1
            await show(text)


class _Counted(io.FileIO):
    """Says how far it was read."""

    def __init__(self, path: Path, progress: Progress) -> None:
        super().__init__(path)
        self._progress = progress

    def readinto(self, buffer: bytearray | memoryview, /) -> int | None:  # type: ignore[override]
        count = super().readinto(buffer)
        self._progress.moved = self.tell()
        return count


def counted(path: Path, progress: Progress | None) -> io.BufferedReader:
    """A file, opened to be sent in pieces; `progress` follows what was read of it. For the caller to close."""
    return path.open("rb") if progress is None else io.BufferedReader(_Counted(path, progress))
