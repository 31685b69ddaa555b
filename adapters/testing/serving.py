"""Serves an ASGI app in the running loop, for the simulators and the playground's page.

`serve(app)` is up when the block begins and gone when it ends. Meant for loopback and for tests: no signal
handlers, no lifespan, no log lines, and no waiting for a client that keeps its connection open.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

GRACE = 0.2  # seconds that requests under way get when serving ends
CANCELLING = 2.0  # seconds that a cancelled request gets to end
CLOSING_ROUNDS = 100  # rounds of the loop that aborted connections get to be gone; they need two
HANG_UP = "threadbridge.hang_up"  # the ASGI extension that `hang_up` uses


@asynccontextmanager
async def serve(app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve `app` and yield its address (`http://127.0.0.1:54321`, no slash at the end).

    Port 0 lets the operating system pick one. Raises `OSError` if the port is taken. On leaving the block
    requests under way get `GRACE` seconds, then they are cancelled and their connections closed.
    """
    listener = socket.create_server((host, port))
    # Accepted connections inherit it. asyncio doesn't set it for them, and answers would wait some 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = _make_server(app)
    await server.startup(sockets=[listener])
    bound_host, bound_port = listener.getsockname()[:2]
    try:
        yield f"http://{bound_host}:{bound_port}"
    finally:
        await _stop(server)


def hang_up(scope: Scope) -> None:
    """Cut the connection of this request or websocket at once, without an answer, as a broken network would.

    Works under `serve` only.
    """
    scope["extensions"][HANG_UP]()


def _make_server(app: ASGIApp) -> uvicorn.Server:
    async def with_hang_up(scope: Scope, receive: Receive, send: Send) -> None:
        def cut() -> None:
            for connection in list(server.server_state.connections):
                if getattr(connection, "client", None) == scope["client"]:
                    connection.transport.abort()

        scope.setdefault("extensions", {})[HANG_UP] = cut
        await app(scope, receive, send)

    config = uvicorn.Config(
        with_hang_up,
        http="h11",
        ws="websockets-sansio",
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    return server


async def _stop(server: uvicorn.Server) -> None:
    state = server.server_state
    for listening in server.servers:
        listening.close()
    for connection in list(state.connections):
        connection.shutdown()
    if state.tasks:
        await asyncio.wait(list(state.tasks), timeout=GRACE)
    if state.tasks:
        for task in state.tasks:
            task.cancel()
        await asyncio.wait(list(state.tasks), timeout=CANCELLING)
    for connection in list(state.connections):
        connection.transport.abort()
    for _ in range(CLOSING_ROUNDS):
        if not state.connections:
            break
        await asyncio.sleep(0)
    for listening in server.servers:
        await listening.wait_closed()
