"""aiohttp below httpx's API: many small chunks cost it half the CPU that they cost httpx's own transport.

httpx-aiohttp is the bridge between the two. Mended here is what it leaves open: it calls a connection that broke
after the request was sent a `ConnectTimeout`, which would have the question sent twice; it keeps cookies, lets
aiohttp's own errors through, and knows no timeout for a write.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, cast

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from opentelemetry.trace import Tracer

from adapters.http.bounds import Bounded
from adapters.http.tracing import Traced

MAX_HEADER = 64 * 2**10  # bytes of a header; signed addresses are long
PIECE = 64 * 2**10  # bytes of a body that are written at once

_NOTICED = 3  # rounds of the loop after which a connection that the server closed is known to be closed
_MEANING: dict[type[Exception], type[httpx.RequestError]] = {  # the first that fits
    aiohttp.ClientProxyConnectionError: httpx.ProxyError,
    aiohttp.ClientHttpProxyError: httpx.ProxyError,
    aiohttp.ClientConnectorError: httpx.ConnectError,
    aiohttp.ConnectionTimeoutError: httpx.ConnectTimeout,
    TimeoutError: httpx.ReadTimeout,
    aiohttp.ServerDisconnectedError: httpx.RemoteProtocolError,
    aiohttp.ClientPayloadError: httpx.RemoteProtocolError,
    aiohttp.ClientResponseError: httpx.RemoteProtocolError,
    aiohttp.NonHttpUrlClientError: httpx.UnsupportedProtocol,
    aiohttp.InvalidURL: httpx.UnsupportedProtocol,
    aiohttp.ClientError: httpx.ReadError,
    OSError: httpx.ReadError,
    ValueError: httpx.LocalProtocolError,
}
_CAUGHT: tuple[type[Exception], ...] = (httpx.RequestError, *_MEANING)


class Transport(AiohttpTransport):
    """As `httpx.AsyncHTTPTransport`, HTTP/1.1 alone."""

    def get_client(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=self.limits.max_connections or 0,
            keepalive_timeout=self.limits.keepalive_expiry,
            ssl=self.ssl_context,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=MAX_HEADER,
            max_field_size=MAX_HEADER,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":  # it may not be sent twice, so not on a connection that is closed already
            for _ in range(_NOTICED):
                await asyncio.sleep(0)
        stuck = asyncio.timeout(None)
        try:
            async with stuck:
                response = await super().handle_async_request(_watched(request, stuck))
        except _CAUGHT as error:
            if stuck.expired():
                raise httpx.WriteTimeout("the body isn't taken", request=request) from error
            raise _meant(error) from error
        response.stream = _Body(cast("httpx.AsyncByteStream", response.stream))
        return response


class Client(httpx.AsyncClient):
    """An `httpx.AsyncClient` that speaks by `Transport`, through the environment's proxies too, with `Bounded`
    answers. What it sends within a trace is told by `tracer`."""

    def __init__(self, *, tracer: Tracer, **options: Any) -> None:
        self._tracer = tracer
        super().__init__(**options)

    def _init_transport(  # type: ignore[override]  # whatever httpx passes goes on to the transport
        self, transport: httpx.AsyncBaseTransport | None = None, **options: Any
    ) -> httpx.AsyncBaseTransport:
        return self._watched(transport or Transport(**options))

    def _init_proxy_transport(  # type: ignore[override]
        self, proxy: httpx.Proxy, **options: Any
    ) -> httpx.AsyncBaseTransport:
        if proxy.url.scheme not in {"http", "https"}:  # aiohttp knows no others
            return self._watched(super()._init_proxy_transport(proxy, **options))
        return self._watched(Transport(proxy=proxy, **options))

    def _watched(self, transport: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        return Traced(Bounded(transport), self._tracer)


def _watched(request: httpx.Request, stuck: asyncio.Timeout) -> httpx.Request:
    """The same request, its body in pieces: `stuck` is set to the moment by which each must be written."""
    seconds = request.extensions.get("timeout", {}).get("write")
    stream = cast("httpx.AsyncByteStream", request.stream)
    loop = asyncio.get_running_loop()

    def until(moment: float | None) -> None:
        with suppress(RuntimeError):  # the answer came before the body was whole
            stuck.reschedule(moment)

    async def pieces() -> AsyncIterator[bytes]:
        async for chunk in stream:
            for at in range(0, len(chunk), PIECE):
                until(None if seconds is None else loop.time() + seconds)
                yield chunk[at : at + PIECE]
        until(None)

    empty = request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers
    return httpx.Request(
        request.method,
        request.url.copy_with(username=None, password=None),  # httpx made a header of them
        headers=request.headers,
        content=None if empty else pieces(),
        extensions=request.extensions,
    )


class _Body(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._stream:
                yield chunk
        except _CAUGHT as error:
            raise _meant(error) from error

    async def aclose(self) -> None:
        await self._stream.aclose()


def _meant(error: Exception) -> httpx.RequestError:
    """What went wrong, whatever httpx-aiohttp made of it."""
    cause = error.__cause__ if isinstance(error, httpx.RequestError) else error
    for kind, meaning in _MEANING.items():
        if isinstance(cause, kind):
            return meaning(f"{type(cause).__name__} {cause}")
    return httpx.ReadError(f"{type(error).__name__} {error}")
