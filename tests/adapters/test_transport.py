"""The transport on real sockets: what it raises decides whether a question is sent twice."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import httpx
import pytest

from adapters.http.service import Service, create_client, segment
from adapters.http.transport import Transport
from tests.e2e.waiting import PATIENCE

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LIMITS = httpx.Timeout(PATIENCE)


@pytest.fixture(autouse=True)
def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@asynccontextmanager
async def served(answer: Answer) -> AsyncIterator[str]:
    """`answer` gets each connection."""
    writers: list[asyncio.StreamWriter] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await answer(reader, writer)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()


def client(**options: object) -> httpx.AsyncClient:
    return create_client(transport=Transport(verify=False, **options))  # type: ignore[arg-type]


async def head(reader: asyncio.StreamReader) -> str:
    return (await reader.readuntil(b"\r\n\r\n")).decode()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await head(reader)
    writer.close()


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await head(reader)
    writer.transport.abort()


async def be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await head(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()
    writer.close()


async def talk_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await head(reader)
    writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
    await writer.drain()


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        (hang_up, httpx.RemoteProtocolError),
        (reset, (httpx.ReadError, httpx.RemoteProtocolError)),
        (be_silent, httpx.ReadTimeout),
        (break_off, httpx.RemoteProtocolError),
        (talk_nonsense, httpx.RemoteProtocolError),
    ],
)
async def test_what_was_sent_is_never_taken_for_not_sent(
    answer: Answer, raised: type[Exception] | tuple[type[Exception], ...]
) -> None:
    patience = httpx.Timeout(PATIENCE, read=0.1 if answer is be_silent else PATIENCE)
    async with served(answer) as url, client() as http:
        with pytest.raises(raised):
            await http.post(url, content=b"{}", timeout=patience)


async def test_what_cannot_have_been_sent_is_said_so() -> None:
    async with served(be_silent) as url:
        pass
    async with client() as http:
        with pytest.raises(httpx.ConnectError):
            await http.post(url, content=b"{}")


async def test_a_wait_for_a_free_connection_ends() -> None:
    async with served(be_silent) as url, client(limits=httpx.Limits(max_connections=1)) as http:
        first = asyncio.ensure_future(http.post(url, content=b"{}", timeout=LIMITS))
        await asyncio.sleep(0)
        with pytest.raises((httpx.ConnectTimeout, httpx.PoolTimeout)):
            await http.post(url, content=b"{}", timeout=httpx.Timeout(PATIENCE, pool=0.1))
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def test_a_body_that_nobody_takes_times_out() -> None:
    async def take_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    async with served(take_nothing) as url, client() as http:
        with pytest.raises(httpx.WriteTimeout):
            await http.post(url, content=b"x" * 50_000_000, timeout=httpx.Timeout(PATIENCE, write=0.2))


async def test_a_slow_upload_is_not_silence() -> None:
    """The time of a body on its way doesn't count for the answer."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        await reader.readexactly(6)
        writer.write(OK)

    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(6):
            await asyncio.sleep(0.1)
            yield b"x"

    async with served(take) as url, client() as http:
        limits = httpx.Timeout(PATIENCE, read=0.5)
        sent = await http.post(url, content=slowly(), headers={"Content-Length": "6"}, timeout=limits)
        assert sent.text == "ok"


async def test_an_answer_that_comes_before_the_body_is_taken() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await reader.read()

    async with served(refuse) as url, client() as http:
        assert (await http.post(url, content=b"x" * 50_000_000, timeout=LIMITS)).status_code == 413


async def test_a_post_avoids_a_connection_that_was_closed_behind_its_back() -> None:
    """The server closes while this process is busy, so that the loop doesn't know it yet."""
    asked = 0
    closed = threading.Event()

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await head(reader)
        await reader.readexactly(2)
        asked += 1
        writer.write(OK)
        await writer.drain()
        if asked == 1:
            loop = asyncio.get_running_loop()
            writer.close()
            loop.call_soon(lambda: loop.call_soon(closed.set))
        else:
            await reader.read()

    address: list[str] = []
    ready, over = threading.Event(), threading.Event()

    async def elsewhere() -> None:
        async with served(answer_once) as url:
            address.append(url)
            ready.set()
            await asyncio.to_thread(over.wait)

    server = threading.Thread(target=lambda: asyncio.run(elsewhere()))
    server.start()
    try:
        assert ready.wait(5)
        async with client() as http:
            assert (await http.post(address[0], content=b"{}")).text == "ok"
            assert closed.wait(5), "blocks the loop on purpose"
            assert (await http.post(address[0], content=b"{}")).text == "ok"
        assert asked == 2
    finally:
        over.set()
        server.join()


async def test_an_answer_that_nobody_reads_on_gives_its_connection_up() -> None:
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await head(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")

    async with served(talk) as url, client() as http:
        for _ in range(2):
            async with http.stream("GET", url) as response:
                assert await anext(response.aiter_bytes()) == b"hello"
        assert connections == 2


async def test_cookies_and_addresses_with_passwords_stay_apart() -> None:
    heads: list[str] = []

    async def give_a_cookie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append(await head(reader))
            writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: who=me\r\nContent-Length: 0\r\n\r\n")

    async with served(give_a_cookie) as url, client() as http:
        await http.get(url)
        await http.get(url.replace("//", "//user:word@"), headers={"X-Key": "k"})
    assert "cookie" not in heads[1].lower()
    assert "authorization: basic" in heads[1].lower()


async def test_an_address_arrives_as_it_was_made() -> None:
    lines: list[str] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append((await head(reader)).partition("\r\n")[0])
        writer.write(OK)

    async with served(listen) as url, client() as http:
        await http.get(f"{url}/{segment('a/../b?c#d é%2F')}/x", params={"file": "a%20b+c&d"})
    assert lines == ["GET /a%2F..%2Fb%3Fc%23d%20%C3%A9%252F/x?file=a%2520b%2Bc%26d HTTP/1.1"]


async def test_the_environments_proxies_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append((await head(reader)).partition("\r\n")[0])
        writer.write(OK)

    async with served(pass_on) as proxy, served(break_off) as direct:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        async with create_client() as http:
            assert (await http.get("http://agents.example/x")).text == "ok"
            with pytest.raises(httpx.RemoteProtocolError):
                await http.get(direct)
    assert lines == ["GET http://agents.example/x HTTP/1.1"]


@pytest.mark.parametrize("ends", [True, False])
async def test_a_stream_whose_last_event_came_gives_its_connection_back_if_it_ends(ends: bool) -> None:
    connections = 0
    events = b"data: a\n\ndata: [DONE]\n\n"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await head(reader)
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            writer.write(f"{len(events):x}\r\n".encode() + events + b"\r\n")
            await writer.drain()
            if ends:
                await asyncio.sleep(0)
                writer.write(b"0\r\n\r\n")

    async with served(talk) as url, client() as http:
        service = Service(http, url, name="test", headers={})
        for _ in range(3):
            async with service.stream("/s", method="GET") as stream:
                assert (await anext(stream)).data == "a"
                assert (await anext(stream)).data == "[DONE]"
    assert connections == (1 if ends else 3)
