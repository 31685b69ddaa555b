"""The server's bounds: nobody holds a connection with half a request, or sends headers without end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from bridge import web
from bridge.settings import SettingsError


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse((await request.body()).decode())


@pytest.fixture
async def port() -> AsyncIterator[int]:
    app = Starlette(routes=[Route("/", echo, methods=["POST"])])
    async with web.http_server(app, "127.0.0.1", 0) as (_, port):
        yield port


async def sent(port: int, content: bytes) -> bytes:
    """What comes back until the server hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(content)
    answer = await reader.read()
    writer.close()
    return answer


async def test_requests_are_served_one_after_another_on_one_connection(port: int) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        for number in range(3):
            assert (await client.post("/", content=f"{number}" * 100_000)).text == f"{number}" * 100_000


@pytest.mark.parametrize(
    "half",
    [b"", b"POST / HT", b"POST / HTTP/1.1\r\nHost: x\r\n", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"],
)
async def test_half_a_request_is_waited_for_within_bounds(
    port: int, half: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "REQUEST_WITHIN", 0.05)
    assert await sent(port, half) == b""


async def test_headers_have_an_end(port: int) -> None:
    headers = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 100) for number in range(1_000))
    answer = await sent(port, b"POST / HTTP/1.1\r\n" + headers)
    assert answer.startswith(b"HTTP/1.1 400")


async def test_a_large_body_is_no_large_head(port: int) -> None:
    body = b"x" * (4 * web.MAX_HEAD)
    request = b"POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert (await sent(port, request + body)).endswith(body)


async def test_nonsense_is_no_traceback(port: int) -> None:
    assert (await sent(port, b"\x16\x03\x01 hello\r\n\r\n")).startswith(b"HTTP/1.1 400")


async def test_a_port_that_is_taken_is_one_sentence(port: int) -> None:
    with pytest.raises(SettingsError, match=f"http: can't listen on 127.0.0.1:{port}"):
        async with web.http_server(Starlette(), "127.0.0.1", port):
            pass
