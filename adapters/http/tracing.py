"""Requests as spans of whatever trace is current, and the backend is told of it by `traceparent`.

Where no trace is current nothing is done. Only the agent's own address is told: what a backend leads to is somebody
else's. No span holds an address's path, as there are ids and names in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import httpx
from opentelemetry.trace import SpanKind, StatusCode, Tracer, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from adapters.http.addresses import origin

TOLD = ("traceparent", "tracestate")  # headers of W3C Trace Context

_propagator = TraceContextTextMapPropagator()
_homes: ContextVar[tuple[str, ...]] = ContextVar("homes", default=())


@contextmanager
def at_home(*addresses: str) -> Iterator[None]:
    """The agent's own addresses, for the requests that are sent inside."""
    token = _homes.set(addresses)
    try:
        yield
    finally:
        _homes.reset(token)


class Traced(httpx.AsyncBaseTransport):
    """Another transport, whose requests are spans up to the head of their answer."""

    def __init__(self, inner: httpx.AsyncBaseTransport, tracer: Tracer) -> None:
        self._inner = inner
        self._tracer = tracer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not get_current_span().get_span_context().is_valid:
            return await self._inner.handle_async_request(request)
        method, url = request.method, request.url
        about: dict[str, str | int] = {"http.request.method": method, "server.address": url.host}
        if url.port is not None:
            about["server.port"] = url.port
        with self._tracer.start_as_current_span(
            method,
            kind=SpanKind.CLIENT,
            attributes=about,
            record_exception=False,  # its text quotes addresses
            set_status_on_exception=False,
        ) as span:
            for name in TOLD:
                request.headers.pop(name, None)
            if origin(url) in map(origin, _homes.get()):
                _propagator.inject(request.headers)
            try:
                response = await self._inner.handle_async_request(request)
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise
            span.set_attribute("http.response.status_code", response.status_code)
            if response.status_code >= 400:
                span.set_attribute("error.type", str(response.status_code))
                span.set_status(StatusCode.ERROR)
            return response

    async def aclose(self) -> None:
        await self._inner.aclose()
