"""How much an answer may hold: counted while it comes, and where it is compressed after each piece of unpacking.

httpx unpacks whatever a chunk holds at once, a thousandfold of what was sent, and a body is read whole by whoever
doesn't stream it. So this stands below httpx, where no reader can forget it, a vendor's own library neither.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator
from typing import cast

import httpx

MAX_ANSWER = 128 * 2**20  # bytes of an answer whose reader names no bound of its own
PIECE = 64 * 2**10  # bytes that are unpacked at once
BOUND = "threadbridge.bound"  # the extension of a request that names another bound
CODINGS = "gzip, deflate"  # what is asked for, and unpacked here

_ZLIB_OR_GZIP, _RAW = zlib.MAX_WBITS | 32, -zlib.MAX_WBITS


class Bounded(httpx.AsyncBaseTransport):
    """Another transport, with bounds. Who reads past one gets an `httpx.DecodingError`."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        coding = response.headers.pop("content-encoding", "identity").strip().lower()
        unpacker = None if coding in {"", "identity"} else Unpacker(coding)
        if unpacker:
            response.headers.pop("content-length", None)
        bound = request.extensions.get(BOUND, MAX_ANSWER)
        response.stream = _Counted(cast("httpx.AsyncByteStream", response.stream), bound, unpacker)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class Unpacker:
    """Packed bytes in, pieces of at most `PIECE` bytes out. No I/O."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._head: bytes | None = b""  # until it is long enough to tell the two forms of "deflate" apart
        self._inflate = zlib.decompressobj(_ZLIB_OR_GZIP)

    def feed(self, packed: bytes) -> Iterator[bytes]:
        """Raises `httpx.DecodingError`."""
        if self._coding not in {"gzip", "x-gzip", "deflate"}:
            raise httpx.DecodingError(f"an answer packed as {self._coding[:20]!r}")
        if self._head is not None:
            packed = self._head + packed
            if len(packed) < 2:
                self._head = packed
                return
        while not self._inflate.eof:
            try:
                piece = self._inflate.decompress(packed, PIECE)
            except zlib.error as error:
                if self._head is None or self._coding != "deflate":
                    raise httpx.DecodingError(str(error)) from error
                self._inflate = zlib.decompressobj(_RAW)  # what many take "deflate" for
                self._head = None
                continue
            self._head = None
            packed = self._inflate.unconsumed_tail
            if piece:
                yield piece
            if not packed and len(piece) < PIECE:
                return


class _Counted(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, bound: int | None, unpacker: Unpacker | None) -> None:
        self._stream = stream
        self._bound = bound
        self._unpacker = unpacker

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read, bound = 0, self._bound
        async for chunk in self._stream:
            for piece in self._unpacker.feed(chunk) if self._unpacker else (chunk,):
                read += len(piece)
                if bound is not None and read > bound:
                    raise httpx.DecodingError(f"an answer of more than {bound} bytes")
                yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()
