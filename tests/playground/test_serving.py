from __future__ import annotations

import asyncio
import socket

import aiohttp
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from adapters.testing.serving import hang_up, serve
from tests.e2e.waiting import PATIENCE


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def gone(request: Request) -> PlainTextResponse:
    hang_up(request.scope)
    return PlainTextResponse("never seen")


begun = asyncio.Event()


async def forever(request: Request) -> PlainTextResponse:
    begun.set()
    await asyncio.Event().wait()
    return PlainTextResponse("never sent")


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        if text == "cut":
            hang_up(websocket.scope)
        await websocket.send_text(text)


app = Starlette(
    routes=[
        Route("/hello", hello),
        Route("/gone", gone, methods=["POST"]),
        Route("/forever", forever),
        WebSocketRoute("/echo", echo),
    ]
)


async def test_serves_until_the_block_ends() -> None:
    async with serve(app) as url, aiohttp.ClientSession() as client, client.get(f"{url}/hello") as answer:
        assert await answer.text() == "hello"
    async with aiohttp.ClientSession() as client:
        with pytest.raises(aiohttp.ClientConnectorError):
            await client.get(f"{url}/hello")


async def test_a_hung_up_request_has_no_answer() -> None:
    async with serve(app) as url, aiohttp.ClientSession() as client:
        with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
            await client.post(f"{url}/gone")
        async with client.get(f"{url}/hello") as answer:
            assert answer.status == 200


async def test_websockets_are_echoed_cut_and_closed_at_the_end() -> None:
    async with aiohttp.ClientSession() as client:
        async with serve(app) as url:
            cut = await client.ws_connect(f"{url}/echo")
            kept = await client.ws_connect(f"{url}/echo")
            await kept.send_str("hi")
            assert await kept.receive_str(timeout=PATIENCE) == "hi"
            await cut.send_str("cut")
            assert (await cut.receive(timeout=PATIENCE)).type in (
                aiohttp.WSMsgType.CLOSED,
                aiohttp.WSMsgType.ERROR,
            )
        closing = await kept.receive(timeout=PATIENCE)
        assert closing.type is aiohttp.WSMsgType.CLOSE
        assert closing.data == 1012


async def test_ends_under_a_request_that_never_ends() -> None:
    async with aiohttp.ClientSession() as client:
        async with serve(app) as url:
            request = asyncio.ensure_future(client.get(f"{url}/forever"))
            await begun.wait()
        with pytest.raises((aiohttp.ClientError, aiohttp.ClientResponseError)):
            (await request).raise_for_status()


async def test_a_taken_port_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        async with serve(app, port=taken.getsockname()[1]):
            pass
