"""`threadbridge run` as what is in `deploy/` starts it, beside a simulated Slack."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.e2e.people import People
from tests.e2e.running import Process

ROOT = Path(__file__).parents[2]
HEALTHY = ROOT / "deploy" / "image" / "healthy.py"


@asynccontextmanager
async def started(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, people: People
) -> AsyncIterator[Process]:
    """The command, connected; killed at the end if it still lives."""
    log = folder.with_suffix(".log")
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env=dict(environment), stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out
        )
    running = Process(process, log)
    try:
        await running.until(people.connected)
        yield running
    finally:
        if process.returncode is None:
            await running.kill()


async def healthy(port: int, *, python: str = sys.executable) -> bool:
    """What the image's health check says."""
    check = await asyncio.create_subprocess_exec(
        python, "-I", str(HEALTHY), env={"THREADBRIDGE_HTTP__PORT": str(port), "HTTP_PROXY": "http://127.0.0.1:9"}
    )
    return await check.wait() == 0
