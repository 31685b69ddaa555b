"""`/mcp`: speaking first as tools of the Model Context Protocol, by its official SDK.

Stateless, as any of several replicas may get any request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import Field, SecretStr
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from bridge.settings import HttpSettings
from bridge.speaking.http import MAX_BODY, check_token, refusal
from bridge.speaking.request import MAX_LINES, Wrong, read_request
from bridge.speaking.speaker import Json, Speaker

PATH = "/mcp"
LOCAL = ("127.0.0.1", "localhost", "[::1]")

INSTRUCTIONS = (
    "Speaks first to people on Slack and Discord. What they reply in the thread goes to the agent of that thread by"
    " itself; read_thread shows it. Give each new message an idempotency_key of its own, and the same one when you"
    " repeat a call."
)
Key = Annotated[str, Field(description="Yours, another for each message: repeated with it, nothing is said twice")]
Text = Annotated[str, Field(description="Markdown")]


class Endpoint:
    """The ASGI application. Serves within `run`."""

    def __init__(self, speaker: Speaker, token: SecretStr, http: HttpSettings) -> None:
        self._token = token
        server = _server(speaker)
        hosts = [*LOCAL, http.host, *http.hosts]
        self._app = server.streamable_http_app(
            streamable_http_path=PATH,
            json_response=True,
            stateless_http=True,
            max_request_body_size=MAX_BODY,
            transport_security=TransportSecuritySettings(
                allowed_hosts=[one for host in hosts for one in (host, f"{host}:*")],
                allowed_origins=[],  # no page of a browser has business here
            ),
        )
        self._manager = server.session_manager

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """In a task of its own: whoever enters may leave in another one."""
        ready, over = asyncio.Event(), asyncio.Event()

        async def serve() -> None:
            async with self._manager.run():
                ready.set()
                await over.wait()

        serving = asyncio.create_task(serve(), name="mcp")
        try:
            await ready.wait()
            yield
        finally:
            over.set()
            await asyncio.wait([serving])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            check_token(request, self._token)
            if request.method != "POST":
                raise Wrong(405, "this endpoint keeps no sessions: POST only")
        except Wrong as wrong:
            await refusal(wrong)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _server(speaker: Speaker) -> MCPServer[Any]:
    logging.getLogger("mcp").setLevel(logging.WARNING)  # below that it writes down what callers say
    server: MCPServer[Any] = MCPServer(
        "threadbridge", instructions=INSTRUCTIONS, log_level="WARNING", subscriptions=False
    )

    @server.tool()
    async def open_thread(
        platform: Literal["slack", "discord"],
        text: Text,
        idempotency_key: Key,
        channel: Annotated[str, Field(description="The channel's id; or give a person")] = "",
        person: Annotated[str, Field(description="A person's id, for a direct message")] = "",
        title: Annotated[str, Field(description="Of the thread, on Discord")] = "",
        agent: Annotated[str, Field(description="Who answers there; without it the settings decide")] = "",
        conversation: Annotated[str, Field(description="The agent's conversation that goes on there")] = "",
    ) -> Json:
        """Open a thread in a channel, or write to a person. The id that it returns stands for the thread."""
        given = {
            "platform": platform, "text": text, "channel": channel, "person": person, "title": title, "agent": agent,
            "conversation": conversation,
        }  # fmt: skip
        return await _told(lambda: speaker.speak(read_request(_given(given)), idempotency_key))

    @server.tool()
    async def say(
        thread: Annotated[str, Field(description="The id that open_thread or say returned")],
        text: Text,
        idempotency_key: Key,
    ) -> Json:
        """Go on in a thread."""
        return await _told(lambda: speaker.speak(read_request({"thread": thread, "text": text}), idempotency_key))

    @server.tool()
    async def read_thread(
        thread: Annotated[str, Field(description="The id that open_thread or say returned")],
        since: Annotated[int, Field(description="`next` of the last call; 0 from the beginning")] = 0,
        limit: Annotated[int, Field(description=f"Messages, at most {MAX_LINES}")] = 20,
    ) -> Json:
        """What people wrote in a thread, and what was answered, oldest first."""
        return await _told(lambda: speaker.read(thread, since, limit))

    return server


async def _told(call: Callable[[], Awaitable[Json]]) -> Json:
    try:
        return await call()
    except Wrong as wrong:
        raise ToolError(str(wrong)) from None


def _given(values: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}
