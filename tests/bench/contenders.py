"""Contenders as processes of their own, and what they spend: CPU time with that of their children."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil  # type: ignore[import-untyped]

from tests.e2e.running import environment

T = TypeVar("T")

STARTS_WITHIN = 60.0  # seconds
ENDS_WITHIN = 30.0
LOOK = 0.05
IDLE = 0.02  # of a core: below it a contender has nothing left to do
IDLE_FOR = 0.5  # seconds
SETTLES_WITHIN = 30.0
LOG_SHOWN = 4_000  # characters


@dataclass(frozen=True, slots=True)
class Command:
    """How to start a contender; `ready` is the address that answers 200 once it serves."""

    name: str
    arguments: Sequence[str]
    ready: str


def bridge_command(config: Path, port: int, profile: Path | None = None) -> Command:
    program = ["tests.bench.sampled", str(profile)] if profile else ["bridge"]
    arguments = ["-m", *program, "run", "--config", str(config)]
    return Command("bridge", arguments, f"http://127.0.0.1:{port}/readyz")


def floor_command(module: str, given: object, port: int) -> Command:
    return Command("floor", ["-m", module, json.dumps(given)], f"http://127.0.0.1:{port}/readyz")


class Contender:
    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._seen = psutil.Process(process.pid)
        self._log = log

    def cpu(self) -> float:
        """Seconds of CPU so far, children included."""
        spent = self._seen.cpu_times()
        total: float = spent.user + spent.system + spent.children_user + spent.children_system
        for child in self._seen.children(recursive=True):
            times = child.cpu_times()
            total += times.user + times.system
        return total

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")[-LOG_SHOWN:]

    def check(self) -> None:
        if self._process.poll() is not None:
            raise RuntimeError(f"a contender ended with {self._process.returncode}:\n{self.log()}")

    def begin_profile(self) -> None:
        """Of a bridge that was started with one."""
        self._process.send_signal(signal.SIGUSR1)

    async def settle(self) -> None:
        """Return once it has nothing left to do."""
        deadline = time.monotonic() + SETTLES_WITHIN
        while time.monotonic() < deadline:
            before = self.cpu()
            await asyncio.sleep(IDLE_FOR)
            self.check()
            if self.cpu() - before < IDLE * IDLE_FOR:
                return


@asynccontextmanager
async def contending(command: Command, folder: Path) -> AsyncIterator[Contender]:
    """The command, started and ready; ended gently, so that a profile is written."""
    log = folder / f"{command.name}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(  # noqa: ASYNC220 - as `contending` ends it
            [sys.executable, *command.arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=environment() | {"PYTHONWARNINGS": "ignore"},
            cwd=folder,
        )
    contender = Contender(process, log)
    try:
        await _until_ready(contender, command.ready)
        yield contender
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _until_ready(contender: Contender, url: str) -> None:
    async with asyncio.timeout(STARTS_WITHIN), httpx.AsyncClient(trust_env=False) as client:
        while True:
            contender.check()
            try:
                if (await client.get(url)).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(LOOK)


async def ended_gently(run: Coroutine[Any, Any, T]) -> T:
    """Run it; on SIGTERM it is cancelled, so that the processes that it started are ended too."""
    task = asyncio.ensure_future(run)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def own_cpu() -> float:
    """Seconds of CPU of this process: the simulators and the load."""
    spent = os.times()
    return spent.user + spent.system
