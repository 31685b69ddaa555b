"""Replicas of the bridge as processes: started, killed, frozen, thawed, and started again when they end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bridge.settings import Settings
from tests.e2e.running import as_toml, environment
from tests.e2e.waiting import LOOK

STARTS_WITHIN = 60.0  # seconds
SUPERVISED = 1.0  # seconds until a replica that ended by itself is started again, as a supervisor would


@dataclass(slots=True)
class Replica:
    """`ended` counts the times that it ended by itself."""

    number: int
    config: Path
    port: int
    ended: int = 0
    _process: asyncio.subprocess.Process | None = None
    _watching: asyncio.Task[None] | None = None

    @property
    def log(self) -> Path:
        return self.config.with_suffix(".log")

    async def start(self) -> None:
        with self.log.open("ab") as out:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bridge", "run", "--config", str(self.config),
                stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, env=environment(),
            )  # fmt: skip
        self._watching = asyncio.create_task(self._supervise(self._process))

    async def ready(self) -> None:
        """Return once it says that it is ready."""
        async with asyncio.timeout(STARTS_WITHIN), httpx.AsyncClient(trust_env=False) as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    answer = await client.get(f"http://127.0.0.1:{self.port}/readyz")
                    if answer.status_code == 200:
                        return
                await asyncio.sleep(LOOK)

    async def kill(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            await self._process.wait()

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def _supervise(self, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        self.ended += 1
        await asyncio.sleep(SUPERVISED)
        await self.start()


@asynccontextmanager
async def running(settings: Sequence[tuple[Settings, int]], folder: Path) -> AsyncIterator[list[Replica]]:
    """One replica for each of the settings and ports, all ready; killed at the end."""
    replicas = []
    for number, (one, port) in enumerate(settings):
        config = folder / f"replica-{number}.toml"
        config.write_text(as_toml(one), encoding="utf-8")
        replicas.append(Replica(number, config, port))
    try:
        for replica in replicas:
            await replica.start()
        for replica in replicas:
            await replica.ready()
        yield replicas
    finally:
        for replica in replicas:
            await replica.kill()


async def command(config: Path, *arguments: str) -> str:
    """What a command of the bridge prints; its exit code is not looked at."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bridge", *arguments, "--config", str(config),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env=environment(),
    )  # fmt: skip
    printed, _ = await process.communicate()
    return printed.decode("utf-8", "replace")
