"""Who is told of the current trace: the agent's own addresses, and nobody that a request is led to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import httpx
import openai
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from adapters.a2a.agent import A2A, A2ASettings
from adapters.base import AgentError, Message
from adapters.http.service import Service, create_client
from adapters.openai.client import OpenAISettings, create
from adapters.testing.traces import SPAN, TRACE, in_trace
from adapters.testing.turns import hear

HOME, ELSEWHERE = "https://agent.example", "https://files.example"
MARKER = "zebra-crossing"
Answer = Callable[[httpx.Request], httpx.Response]


class Wire:
    """What was sent where, with which trace."""

    def __init__(self, answer: Answer) -> None:
        self.told: list[tuple[str, bool]] = []
        self.exporter = InMemorySpanExporter()
        self._answer = answer

    def __call__(self, request: httpx.Request) -> httpx.Response:
        traceparent = request.headers.get("traceparent", "")
        assert not traceparent or traceparent.split("-")[1] == f"{TRACE:032x}"
        self.told.append((request.url.host, bool(traceparent)))
        return self._answer(request)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        transport = httpx.MockTransport(self)
        async with create_client(transport=transport, tracer=provider.get_tracer("test")) as client:
            yield client


def redirecting(request: httpx.Request) -> httpx.Response:
    if request.url.host == "agent.example" and request.url.path == f"/{MARKER}":
        return httpx.Response(302, headers={"Location": f"{ELSEWHERE}/{MARKER}?token={MARKER}"})
    return httpx.Response(200, text="content")


async def test_where_a_file_lies_nobody_is_told_and_no_address_is_in_a_span() -> None:
    wire = Wire(redirecting)
    async with wire.client() as client:
        service = Service(client, HOME, name="test", headers={}, file_origins=[ELSEWHERE])
        with in_trace():
            assert b"".join([chunk async for chunk in service.download(f"/{MARKER}")]) == b"content"
    assert wire.told == [("agent.example", True), ("files.example", False)]
    spans = wire.exporter.get_finished_spans()
    assert [span.name for span in spans] == ["GET", "GET"]
    assert {span.parent.span_id for span in spans if span.parent} == {SPAN}
    assert MARKER not in "".join(span.to_json() for span in spans)


async def test_each_request_is_a_span_and_what_went_wrong_a_code() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/down":
            return httpx.Response(503)
        raise httpx.ConnectError(MARKER)

    wire = Wire(answer)
    async with wire.client() as client:
        with in_trace():
            for path in ("/down", "/gone"):
                with suppress(httpx.ConnectError):
                    await client.get(f"{HOME}{path}")
    down, gone = wire.exporter.get_finished_spans()
    assert (down.attributes or {})["http.response.status_code"] == 503
    assert (down.attributes or {})["error.type"] == "503"
    assert (gone.attributes or {})["error.type"] == "ConnectError"
    assert MARKER not in gone.to_json()
    assert wire.told == [("agent.example", False)] * 2, "a request of nobody's home"


async def test_without_a_trace_there_is_no_span() -> None:
    wire = Wire(redirecting)
    async with wire.client() as client:
        await Service(client, HOME, name="test", headers={}).request("GET", "/x")
    assert wire.told == [("agent.example", False)]
    assert wire.exporter.get_finished_spans() == ()


async def test_a_card_that_leads_elsewhere_is_told_of_nothing_there() -> None:
    interface = {"url": f"{ELSEWHERE}/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    card = {"name": "a", "supportedInterfaces": [interface], "capabilities": {"streaming": False}}
    for endpoint in (None, f"{ELSEWHERE}/rpc"):
        wire = Wire(lambda request: httpx.Response(200 if "card" in request.url.path else 400, json=card))
        async with wire.client() as client:
            agent = A2A(A2ASettings(base_url=HOME, endpoint=endpoint), client)
            with in_trace(), pytest.raises(AgentError):
                await hear(agent.ask(None, Message("1", MARKER)))
        assert wire.told[0] == ("agent.example", True)
        assert wire.told[1] == ("files.example", endpoint is not None), "told only where the settings say so"


async def test_the_official_openai_client_follows_no_redirect_with_it() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "agent.example":
            return httpx.Response(307, headers={"Location": f"{ELSEWHERE}/v1/models"})
        return httpx.Response(200, json={"object": "list", "data": []})

    wire = Wire(answer)
    async with wire.client() as client:
        settings = OpenAISettings.model_validate({"base_url": f"{HOME}/v1", "api_key": "k", "model": "m"})
        api, library = create(settings, client)
        with in_trace(), suppress(AgentError, openai.OpenAIError):
            await library.call("GET /models", api.models.list)
    assert wire.told[0] == ("agent.example", True)
    assert ("files.example", True) not in wire.told
