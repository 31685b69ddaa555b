"""The proxy of the chaos runs swallows and cuts what it is told to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.chaos.proxy import Proxy, proxying

QUIET = 0.05  # seconds in which nothing may arrive


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """In front of a server that says everything back."""

    ended: list[asyncio.Event] = []

    async def say_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.append(asyncio.Event())
        over = ended[-1]
        with contextlib.suppress(OSError):
            while chunk := await reader.read(100):
                writer.write(chunk)
        writer.transport.abort()
        over.set()

    server = await asyncio.start_server(say_back, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with proxying(lambda: asyncio.open_connection("127.0.0.1", port)) as made:
        yield made
    server.close()
    for over in ended:
        await over.wait()


async def test_what_passes_while_all_is_well(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    writer.close()
    assert await reader.read() == b""


async def test_a_black_hole_holds_everything_back_until_it_is_healed(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"one")
    await reader.readexactly(3)
    proxy.black_hole()
    writer.write(b"two")
    late, late_writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    late_writer.write(b"three")
    for waiting in (reader, late):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waiting.read(1), QUIET)
    proxy.heal()
    assert await reader.readexactly(3) == b"two"
    assert await late.readexactly(5) == b"three"
    for closing in (writer, late_writer):
        closing.close()
        await closing.wait_closed()


async def test_a_cut_ends_every_connection_and_new_ones_work(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"one")
    await reader.readexactly(3)
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"two")
    assert await reader.readexactly(3) == b"two"
    writer.close()
    await writer.wait_closed()
