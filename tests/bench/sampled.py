"""`threadbridge run`, sampled: where its CPU time goes from SIGUSR1 on, written when it ends.

    python -m tests.bench.sampled FILE run --config …

A profiler that traces calls doubles the cost of what it measures, and most that of small functions. Here each
`EVERY` of CPU time each thread's stack is charged with the CPU that the thread used since the last look.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import TypeVar

EVERY = 0.002  # seconds of CPU
TOP = 120  # functions listed
LINES = 40

K = TypeVar("K")
Function = tuple[str, str]  # file and name


class Sampler:
    def __init__(self) -> None:
        self._own: defaultdict[Function, float] = defaultdict(float)
        self._below: defaultdict[Function, float] = defaultdict(float)
        self._lines: defaultdict[str, float] = defaultdict(float)
        self._used: dict[int, float] = {}

    def begin(self, _signum: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGPROF, self._look)
        signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)

    def _look(self, _signum: int, own: FrameType | None) -> None:
        frames = sys._current_frames()
        for thread in threading.enumerate():
            if thread.ident is None or thread.ident not in frames:
                continue
            used = time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
            spent = used - self._used.get(thread.ident, used)
            self._used[thread.ident] = used
            at = own if thread is threading.current_thread() else frames[thread.ident]
            if spent and at is not None:
                self._charge(at, spent)

    def _charge(self, at: FrameType, spent: float) -> None:
        self._lines[f"{_short(at.f_code.co_filename)}:{at.f_lineno} {at.f_code.co_qualname}"] += spent
        self._own[_function(at)] += spent
        stack: set[Function] = set()
        frame: FrameType | None = at
        while frame is not None:
            stack.add(_function(frame))
            frame = frame.f_back
        for function in stack:
            self._below[function] += spent

    def written(self) -> str:
        total = sum(self._own.values()) or 1.0
        parts = [f"{total:.2f} s of CPU\n"]
        for title, counted in (("by itself", self._own), ("with all that it calls", self._below)):
            parts.append(f"\n{title}\n")
            parts += [f"{spent / total:6.1%}  {name}  {file}\n" for (file, name), spent in _most(counted, TOP)]
        parts.append("\nlines\n")
        parts += [f"{spent / total:6.1%}  {line}\n" for line, spent in _most(self._lines, LINES)]
        return "".join(parts)


def _most(counted: Mapping[K, float], top: int) -> list[tuple[K, float]]:
    return sorted(counted.items(), key=lambda one: -one[1])[:top]


def _function(frame: FrameType) -> Function:
    return _short(frame.f_code.co_filename), frame.f_code.co_qualname


def _short(file: str) -> str:
    """A path from the package on."""
    for folder in ("site-packages/", f"lib/python3.{sys.version_info.minor}/"):
        file = file.rpartition(folder)[2]
    return file.removeprefix(f"{Path(__file__).parents[2]}/")


def main() -> None:
    file, *arguments = sys.argv[1:]
    sampler = Sampler()
    signal.signal(signal.SIGUSR1, sampler.begin)
    from bridge.cli import main as command

    sys.argv = ["threadbridge", *arguments]
    try:
        command()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        Path(file).write_text(sampler.written(), encoding="utf-8")


if __name__ == "__main__":
    main()
