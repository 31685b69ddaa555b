"""The HTTP server: uvicorn in this loop, with bounds that it has no settings for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bridge.settings import SettingsError

CONNECTIONS = 600  # at once, and requests; Slack's events come over a few
REQUEST_WITHIN = 15.0  # seconds from the first byte of a request, or the connection, to its last
MAX_HEAD = 16 * 1024  # bytes of a request's line and headers
KEEP_ALIVE = 5  # seconds between two requests of a connection
ENDS_WITHIN = 5  # seconds that answers under way get at shutdown: a file may take minutes


class BoundedConnection(HttpToolsProtocol):
    """A connection that neither sends its request for ever nor headers without end."""

    _timer: asyncio.TimerHandle | None = None
    _in_head = True
    _head = 0  # bytes

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        answered = self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]  # None at first
        if self._timer is None and answered:
            self._expect()
        super().data_received(data)
        self._head = self._head + len(data) if self._in_head else 0
        if self._head > MAX_HEAD and not self.transport.is_closing():
            self.send_400_response("Too many headers.")

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._expect_no_more()
        super().on_message_complete()

    def _expect(self) -> None:
        self._expect_no_more()
        self._timer = self.loop.call_later(REQUEST_WITHIN, self.transport.close)

    def _expect_no_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # they are the bridge's


@asynccontextmanager
async def http_server(app: Starlette, host: str, port: int) -> AsyncIterator[tuple[asyncio.Task[None], int]]:
    """The server's task, and its port, for who asked for any (0)."""
    try:
        bound = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise SettingsError(f"http: can't listen on {host}:{port}: {error.strerror}") from None
    config = uvicorn.Config(
        app,
        http=BoundedConnection,
        ws="none",
        lifespan="off",
        log_level="warning",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=ENDS_WITHIN,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve([bound]), name="http")
    try:
        yield task, bound.getsockname()[1]
    finally:
        server.should_exit = True
        await asyncio.wait([task])
        bound.close()
