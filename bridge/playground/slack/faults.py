"""Faults to switch on: what the next calls of a method meet instead of a healthy Slack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

ANY = "*"  # as a method's name: whichever is called next
DOWNLOAD = "files.download"  # the two transfers that aren't methods, by the names that faults and calls use
UPLOAD = "files.upload"


@dataclass(slots=True)
class Fault:
    """What happens to the next `times` calls of `method`. With `after` the call takes effect first."""

    method: str
    times: int = 1
    error: str | None = None
    status: int | None = None
    retry_after: int | None = None
    hang_up: bool = False
    delay: float = 0.0
    after: bool = False


class Faults:
    """The faults that are armed. Each is used up in the order of arming; a call meets the first that fits,
    and any delays before it."""

    def __init__(self) -> None:
        self._armed: list[Fault] = []

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._armed)

    def refuse(self, method: str, error: str, *, times: int = 1) -> None:
        """Answer `{"ok": false, "error": error}`; the call has no effect."""
        self._armed.append(Fault(method, times, error=error))

    def break_down(self, method: str, status: int = 500, *, after: bool = False, times: int = 1) -> None:
        """Answer with an HTTP error, before or after the call took effect."""
        self._armed.append(Fault(method, times, status=status, after=after))

    def throttle(self, method: str, retry_after: int = 1, *, times: int = 1) -> None:
        """Answer 429 with this `Retry-After` in seconds."""
        self._armed.append(Fault(method, times, retry_after=retry_after))

    def hang_up(self, method: str, *, after: bool = False, times: int = 1) -> None:
        """Cut the connection without an answer, before or after the call took effect."""
        self._armed.append(Fault(method, times, hang_up=True, after=after))

    def delay(self, method: str, seconds: float, *, times: int = 1) -> None:
        """Begin to work on the call only after so many seconds."""
        self._armed.append(Fault(method, times, delay=seconds))

    def clear(self) -> None:
        self._armed.clear()

    def take(self, method: str) -> list[Fault]:
        """The faults that this call meets, one use of each taken off."""
        met: list[Fault] = []
        for fault in list(self._armed):
            if fault.method not in (method, ANY):
                continue
            fault.times -= 1
            if fault.times <= 0:
                self._armed.remove(fault)
            met.append(fault)
            if not fault.delay:
                break
        return met
