"""Troubles that can be switched on for the next calls of a route."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Trouble = Literal["refuse", "throttle", "hang_up", "delay"]


@dataclass(slots=True)
class Fault:
    """One trouble. `after` lets the call take effect first, so that only its answer is lost."""

    route: re.Pattern[str]
    trouble: Trouble
    times: int
    after: bool = False
    status: int = 500
    code: int = 0
    message: str = ""
    seconds: float = 0.0
    everywhere: bool = False


class Faults:
    """A route is a method and a path below the API's prefix, `*` for any one part of it:
    `POST /channels/*/messages`; a lone `*` is every route. Faults are used up in the order of arming: a call meets
    the first that fits, and any delays besides."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def refuse(self, route: str, status: int, code: int, message: str = "Refused", *, times: int = 1) -> None:
        """Answer with one of Discord's own errors; the call has no effect."""
        self._add(Fault(compile_route(route), "refuse", times, status=status, code=code, message=message))

    def break_down(self, route: str, status: int = 500, *, after: bool = False, times: int = 1) -> None:
        """Answer with an HTTP error, before or after the call took effect."""
        self._add(Fault(compile_route(route), "refuse", times, after=after, status=status, message="Server Error"))

    def throttle(self, route: str, retry_after: float = 0.1, *, everywhere: bool = False, times: int = 1) -> None:
        """Answer 429 for this route, or for the whole bot; `retry_after` in seconds."""
        self._add(Fault(compile_route(route), "throttle", times, seconds=retry_after, everywhere=everywhere))

    def hang_up(self, route: str, *, after: bool = False, times: int = 1) -> None:
        """Cut the connection without an answer, before or after the call took effect."""
        self._add(Fault(compile_route(route), "hang_up", times, after=after))

    def delay(self, route: str, seconds: float, *, after: bool = False, times: int = 1) -> None:
        """Let the call wait, before or after it takes effect."""
        self._add(Fault(compile_route(route), "delay", times, after=after, seconds=seconds))

    def clear(self) -> None:
        self._faults.clear()

    def take(self, call: str) -> list[Fault]:
        """The troubles of this call: every delay, and at most one of the others."""
        taken: list[Fault] = []
        for fault in list(self._faults):
            only_one = fault.trouble != "delay" and any(other.trouble != "delay" for other in taken)
            if only_one or not fault.route.fullmatch(call):
                continue
            taken.append(fault)
            fault.times -= 1
            if fault.times <= 0:
                self._faults.remove(fault)
        return taken

    def _add(self, fault: Fault) -> None:
        self._faults.append(fault)


def compile_route(route: str) -> re.Pattern[str]:
    """A route with stars as a pattern for `METHOD /path`."""
    if route == "*":
        return re.compile(".*")
    return re.compile("[^/]+".join(re.escape(piece) for piece in route.split("*")))
