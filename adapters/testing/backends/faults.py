"""Everything that can go wrong with a backend, to be switched on: `faults.add("create", drop(), times=2)`."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

EVERY = "*"  # any operation

Chunks = AsyncIterator[bytes]


class CutOff(Exception):
    """Raised in a stream that is to break off here."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one call.

    `when`: "before" the operation took effect, "after" it did (its own answer is lost), or "through": it answers,
    only later (`delay`) or in a strange form (`mangle`).
    """

    when: Literal["before", "after", "through"] = "before"
    drop: bool = False
    stall: bool = False  # nothing is sent until the caller gives up
    delay: float = 0.0  # seconds
    status: int = 200
    body: bytes = b""
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    mangle: Callable[[Chunks], Chunks] | None = None


class Faults:
    """The faults that wait for the next calls of an operation, first added first."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._until_stall = 0
        self.stalled = asyncio.Event()

    def add(self, operation: str, fault: Fault, *, times: int = 1) -> None:
        self._waiting[operation].extend([fault] * times)

    def stall(self, nth: int) -> None:
        """The `nth` call from now on takes effect and is never answered; then `stalled` is set."""
        self._until_stall = nth
        self.stalled.clear()

    def take(self, operation: str) -> Fault | None:
        if self._until_stall:
            self._until_stall -= 1
            if not self._until_stall:
                return Fault(when="after", stall=True)
        for waiting in (self._waiting[operation], self._waiting[EVERY]):
            if waiting:
                return waiting.popleft()
        return None

    def clear(self) -> None:
        self._waiting.clear()
        self._until_stall = 0


def refuse(
    status: int, body: bytes = b'{"message": "refused on purpose"}', *, after: bool = False, **headers: str
) -> Fault:
    """Answer with a bad status. Headers are given with underscores: `refuse(429, Retry_After="3")`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(when="after" if after else "before", status=status, body=body, headers=named)


def drop(*, after: bool = False) -> Fault:
    """Cut the connection without an answer; `after` the call took effect or before."""
    return Fault(when="after" if after else "before", drop=True)


def late(seconds: float) -> Fault:
    """Answer as always, but later."""
    return Fault(when="through", delay=seconds)


def garbage(
    body: bytes = b"<html>\xff not what you asked for</html>",
    media_type: str = "text/html",
    *,
    after: bool = False,
) -> Fault:
    """Status 200 with a body that isn't what the service sends."""
    return Fault(when="after" if after else "before", body=body, media_type=media_type)


def redirect(to: str, status: int = 302) -> Fault:
    """Point to another address."""
    return Fault(status=status, headers={"Location": to})


def cut(after: int = 2) -> Fault:
    """Break a stream off in the middle of a line, after so many whole chunks."""

    async def mangle(chunks: Chunks) -> Chunks:
        sent = 0
        async for chunk in chunks:
            if sent == after:
                yield chunk[: len(chunk) // 2]
                break
            yield chunk
            sent += 1
        raise CutOff

    return Fault(when="through", mangle=mangle)


def ended(after: int = 2) -> Fault:
    """End a stream too early, but as if all were well."""

    async def mangle(chunks: Chunks) -> Chunks:
        sent = 0
        async for chunk in chunks:
            if sent == after:
                break
            yield chunk
            sent += 1

    return Fault(when="through", mangle=mangle)


def crlf() -> Fault:
    """A stream with the other line ends."""
    return _each(lambda chunk: chunk.replace(b"\n", b"\r\n"))


def commented() -> Fault:
    """A stream with comments, unknown fields and ids between and inside its events."""
    return _each(lambda chunk: b": still here\n\nid: 7\nretry: 10\nfuture: yes\n: and here\n" + chunk)


def dribbled() -> Fault:
    """A stream that arrives in pieces of three bytes, less than many a character has."""

    async def mangle(chunks: Chunks) -> Chunks:
        async for chunk in chunks:
            for at in range(0, len(chunk), 3):
                yield chunk[at : at + 3]
                await asyncio.sleep(0)

    return Fault(when="through", mangle=mangle)


def unseparated() -> Fault:
    """A stream without the blank lines between its events."""
    return _each(lambda chunk: chunk.replace(b"\n\n", b"\n"))


def huge(size: int) -> Fault:
    """A stream with one event of `size` bytes that never ends."""

    async def mangle(chunks: Chunks) -> Chunks:
        async for chunk in chunks:
            yield chunk
            break
        yield b"data: "
        for _ in range(size // 65_536 + 1):
            yield b"x" * 65_536

    return Fault(when="through", mangle=mangle)


def _each(change: Callable[[bytes], bytes]) -> Fault:
    async def mangle(chunks: Chunks) -> Chunks:
        async for chunk in chunks:
            yield change(chunk)

    return Fault(when="through", mangle=mangle)
