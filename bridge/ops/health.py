"""`/healthz`: the process answers. `/readyz`: the database and every platform's connection work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bridge.store.engine import Engine, Op, StoreUnavailable
from bridge.store.statements import PING
from bridge.turns.surface import FrontEnd

FRESH = 1.0  # seconds that an answer of the database is good for, however often it is asked
ANSWERS_WITHIN = 2.0  # seconds


class DatabaseCheck:
    """Reads; never writes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._checked_at: float | None = None
        self._trouble: str | None = None
        self._checking = asyncio.Lock()

    async def trouble(self) -> str | None:
        async with self._checking:
            if self._checked_at is None or time.monotonic() - self._checked_at > FRESH:
                self._trouble = await self._check()
                self._checked_at = time.monotonic()
        return self._trouble

    async def _check(self) -> str | None:
        if self._engine.health.lost_at is not None:
            return f"not reached for {time.monotonic() - self._engine.health.lost_at:.0f} s"
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                await self._engine.run(Op(PING, {}))
        except (StoreUnavailable, TimeoutError) as error:
            return str(error) or f"no answer within {ANSWERS_WITHIN:g} s"
        return None


def health_routes(engine: Engine, platforms: Mapping[str, FrontEnd]) -> list[Route]:
    database = DatabaseCheck(engine)

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        troubles = {name: trouble for name, one in platforms.items() if (trouble := one.trouble())}
        if (trouble := await database.trouble()) is not None:
            troubles["database"] = trouble
        if troubles:
            return JSONResponse({"status": "not ready", "reasons": troubles}, status_code=503)
        return JSONResponse({"status": "ready"})

    return [Route("/healthz", healthz), Route("/readyz", readyz)]
