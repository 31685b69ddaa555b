"""The same over `/mcp`, by the official SDK's own client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from bridge.settings import Settings
from tests.e2e.people import People
from tests.e2e.running import at_rest
from tests.e2e.test_e2e_speaking_first import TOKEN, bridged, client, place, settings, settled, shown, thread_of
from tests.e2e.town import Town

__all__ = ["bridged", "client", "settings"]
pytestmark = pytest.mark.usefixtures("bridged")


@asynccontextmanager
async def talking(settings: Settings, mode: Any, token: str = TOKEN) -> AsyncIterator[Client]:
    url = f"http://127.0.0.1:{settings.http.port}/mcp"
    async with (
        httpx2.AsyncClient(headers={"authorization": f"Bearer {token}"}) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as agent,
    ):
        yield agent


async def called(agent: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await agent.call_tool(tool, arguments)
    assert not result.is_error, result.content
    content: dict[str, Any] = result.structured_content
    return content


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_an_agent_opens_a_thread_goes_on_in_it_and_reads_what_people_replied(
    mode: str,
    settings: Settings,
    people: People,
    platform: str,
    client: httpx.AsyncClient,
    town: Town,
    database: Path,
) -> None:
    async with talking(settings, mode) as agent:
        tools = {tool.name for tool in (await agent.list_tools()).tools}
        assert tools == {"open_thread", "say", "read_thread"}
        request = {
            "platform": platform, "channel": place(people, "toqan"), "text": "Shall I deploy?",
            "idempotency_key": "k1",
        }  # fmt: skip
        opened = await called(agent, "open_thread", **request)
        assert (await called(agent, "open_thread", **request))["id"] == opened["id"]
        thread = thread_of(people, await settled(client, opened))
        said = await called(agent, "say", thread=opened["id"], text="It is ready.", idempotency_key="k2")
        await settled(client, said)
        assert shown(people, thread) == ["Shall I deploy?", "It is ready."]

        await people.reply("ada", thread, "yes, go on")
        await at_rest(database, 3)
        read = await called(agent, "read_thread", thread=opened["id"])
        assert [(one["by"], one.get("text", one.get("answer"))) for one in read["messages"]] == [
            ("agent", "Shall I deploy?"),
            ("agent", "It is ready."),
            ("person", "yes, go on"),
        ]
        assert read["messages"][-1]["name"] == people.named("ada")
        assert read["messages"][-1]["answer"]
        again = await called(agent, "read_thread", thread=opened["id"], since=read["next"])
        assert again["messages"] == []


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("open_thread", {"platform": "slack", "text": "x", "idempotency_key": ""}, "channel"),
        ("open_thread", {"platform": "slack", "text": "", "channel": "C1", "idempotency_key": "k"}, "text"),
        ("say", {"thread": "0" * 16, "text": "x", "idempotency_key": "k"}, "no such thread"),
        ("say", {"thread": "nothing", "text": "x", "idempotency_key": "k"}, "platform"),
        ("say", {"thread": "0" * 16, "text": "x", "idempotency_key": "a b"}, "idempotency key"),
        ("read_thread", {"thread": "0" * 16}, "no such message"),
        ("read_thread", {"thread": "0" * 16, "limit": 1_000}, "limit"),
        ("read_thread", {"thread": "'; DROP TABLE turn"}, "no such message"),
    ],
)
async def test_a_tool_used_wrongly_says_what_to_do(
    tool: str, arguments: dict[str, Any], words: str, settings: Settings
) -> None:
    async with talking(settings, "auto") as agent:
        result = await agent.call_tool(tool, arguments)
        assert result.is_error
        assert words in str(result.content)
        assert "Traceback" not in str(result.content)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": ""}, 401),
        ({"host": "evil.example.org"}, 421),
        ({"origin": "https://evil.example.org"}, 403),
    ],
)
async def test_strangers_and_pages_of_browsers_are_refused(
    headers: dict[str, str], status: int, client: httpx.AsyncClient
) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    answer = await client.post("/mcp", json=call, headers={"accept": "application/json", **headers})
    assert answer.status_code == status
    assert TOKEN not in answer.text


async def test_there_are_no_sessions_to_hold_open(client: httpx.AsyncClient) -> None:
    for method in ("GET", "DELETE", "PUT"):
        async with asyncio.timeout(30):
            assert (await client.request(method, "/mcp")).status_code == 405


async def test_a_large_request_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/mcp", content=b"x" * 300_000, headers={"content-type": "application/json"})
    assert answer.status_code == 413
