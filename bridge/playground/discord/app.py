"""The world as an ASGI app."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from bridge.playground.discord.cdn import Cdn
from bridge.playground.discord.gateway import Connection
from bridge.playground.discord.rest import Rest
from bridge.playground.discord.routes import ALL
from bridge.playground.discord.state import State

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def create_app(world: State) -> Starlette:
    """REST at `/api/v10`, the gateway at `/gateway` and files below `/attachments`; mount it where you like."""

    async def gateway(websocket: WebSocket) -> None:
        await Connection(world, websocket).serve()

    return Starlette(
        routes=[
            Route("/api/v10/{path:path}", Rest(world, ALL).answer, methods=METHODS),
            WebSocketRoute("/gateway", gateway),
            WebSocketRoute("/gateway/", gateway),
            Route("/{kind}/{channel:int}/{attachment:int}/{name}", Cdn(world).serve),
        ]
    )
