"""`/healthz`: the process answers. `/readyz`: the database and every platform's connection work."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bridge.store.database import Database
from bridge.turns.surface import FrontEnd


def health_routes(database: Database, platforms: Mapping[str, FrontEnd]) -> list[Route]:
    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        troubles = {name: trouble for name, one in platforms.items() if (trouble := one.trouble())}
        try:
            async with database.engine.connect() as connection:
                await connection.execute(sa.text("SELECT 1"))
        except SQLAlchemyError as error:
            troubles["database"] = type(error).__name__
        if troubles:
            return JSONResponse({"status": "not ready", "reasons": troubles}, status_code=503)
        return JSONResponse({"status": "ready"})

    return [Route("/healthz", healthz), Route("/readyz", readyz)]
