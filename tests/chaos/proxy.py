"""A TCP proxy between one replica and the database, that can cut its connections or swallow all that passes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

CHUNK = 65_536  # bytes
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: no goodbye

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Proxy:
    """`connect` reaches the other side. While `black_hole` holds, connections stay open and nothing passes; what
    was sent meanwhile arrives afterwards, as TCP would repeat it."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._passing = asyncio.Event()
        self._passing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self.port = 0

    def black_hole(self) -> None:
        self._passing.clear()

    def heal(self) -> None:
        self._passing.set()

    def cut(self) -> None:
        """Reset every connection."""
        for writer in list(self._writers):
            sock = writer.get_extra_info("socket")
            if sock.family == socket.AF_INET and not writer.is_closing():
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def ended(self) -> None:
        """Wait until no connection is left."""
        while self._serving:
            await asyncio.wait(self._serving)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._passing.wait()
            try:
                there_reader, there_writer = await self._connect()
            except OSError:
                return
            self._writers.add(there_writer)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pass_on(reader, there_writer))
                    group.create_task(self._pass_on(there_reader, writer))
            finally:
                self._writers.discard(there_writer)
                there_writer.transport.abort()
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK):
                await self._passing.wait()
                writer.write(chunk)
                await writer.drain()
            await self._passing.wait()  # a goodbye is swallowed too
        writer.transport.abort()


@asynccontextmanager
async def proxying(connect: Connect) -> AsyncIterator[Proxy]:
    """A proxy at a port of its own."""
    proxy = Proxy(connect)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.heal()
        proxy.cut()
        await proxy.ended()
