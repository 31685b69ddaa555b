"""One Socket Mode connection, as the SDK makes it, with bounds and a way to tell that it is really alive."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import ClientWebSocketResponse
from slack_bolt.adapter.socket_mode.async_internals import send_async_response
from slack_bolt.response import BoltResponse
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.web.async_client import AsyncWebClient

from bridge.frontends.slack.client import SDK_LOG
from bridge.frontends.slack.content import Payload
from bridge.frontends.slack.errors import NotSlacksAnswer

Dispatch = Callable[[Payload], Awaitable[BoltResponse]]

PING_INTERVAL = 5.0  # seconds; the SDK calls a socket dead that didn't answer for 4 of them
AT_ONCE = 50  # events being stored; the rest waits, and Slack delivers again what waited too long
WAITING = 500  # messages read from the socket and not begun; then reading stops
FINISHING = 2.0  # seconds that events under way get to be stored and acknowledged at the end


class Socket(SocketModeClient):
    """Adds to the SDK's client: bounds, references to its tasks (the loop keeps none), and Slack's greeting."""

    def __init__(self, dispatch: Dispatch, app_token: str, web: AsyncWebClient) -> None:
        super().__init__(app_token=app_token, web_client=web, ping_interval=PING_INTERVAL, logger=SDK_LOG)
        self.message_queue = asyncio.Queue(WAITING)
        self.message_listeners.append(self._hear)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._greeted: ClientWebSocketResponse | None = None
        self._greeting = asyncio.Event()
        self.heard_at = time.monotonic()
        self._dispatch = dispatch
        self.socket_mode_request_listeners.append(self._take)

    async def open(self) -> None:
        """Connect and wait for the greeting. Tries for ever: set a timeout. Raises what the SDK raises."""
        self.wss_uri = await self.issue_new_wss_url()
        await self.connect()  # type: ignore[no-untyped-call]
        await self._greeting.wait()

    async def renew(self) -> None:
        """Leave this connection for a new one, as the SDK does when Slack asks for it."""
        self._greeting.clear()
        await self.connect_to_new_endpoint(force=True)
        await self._greeting.wait()

    async def issue_new_wss_url(self) -> str:
        """The SDK's own sleeps through a 429 without a bound, and takes any answer for an address."""
        answer = await self.web_client.apps_connections_open(app_token=self.app_token)
        url = answer.get("url")
        if not isinstance(url, str) or not url.startswith(("ws://", "wss://")):
            raise NotSlacksAnswer(200, {})
        return url

    async def is_serving(self) -> bool:
        """Connected, answering pings, and greeted: before its greeting Slack sends no events."""
        return self._greeted is self.current_session and await self.is_connected()

    async def process_message(self) -> None:
        raw = await self.message_queue.get()
        await self._slots.acquire()
        task = asyncio.create_task(self._handle(raw))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Let events under way end, then close."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=FINISHING)
        for task in self._tasks:
            task.cancel()
        await self.close()  # type: ignore[no-untyped-call]

    async def _handle(self, raw: str) -> None:
        try:
            await self.run_message_listeners(_parsed(raw), raw)
        finally:
            self._slots.release()

    async def _take(self, _: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        answer = await self._dispatch(request.payload)
        await send_async_response(self, request, answer, 0.0)  # none, unless it was taken

    async def _hear(self, _: AsyncBaseSocketModeClient, message: dict[str, Any], __: str | None) -> None:
        self.heard_at = time.monotonic()
        if message.get("type") == "hello":
            self._greeted = self.current_session
            self._greeting.set()


def _parsed(raw: str) -> dict[str, Any]:
    return dict(json.loads(raw)) if raw.startswith("{") else {}
