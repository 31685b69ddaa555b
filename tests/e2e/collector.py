"""A collector of traces, by OTLP over HTTP: strict about what it takes, as OpenTelemetry's own is."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]
from google.protobuf.unknown_fields import UnknownFieldSet  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.testing.serving import serve

PROTOBUF = "application/x-protobuf"
KEY = "collector-key"
_ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")


@dataclass(frozen=True, slots=True)
class Seen:
    """A span as it was exported."""

    trace: str
    id: str
    parent: str  # "" for the first of a trace
    name: str
    attributes: Mapping[str, Any]
    events: Sequence[str]
    links: Sequence[str]  # traces
    began: int
    ended: int
    service: str
    instance: str


@dataclass
class Collector:
    url: str = ""
    spans: list[Seen] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # what OTLP doesn't allow

    def environment(self) -> dict[str, str]:
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.url,
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-key={KEY}",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
            "OTEL_BSP_SCHEDULE_DELAY": "20",  # milliseconds
        }

    def named(self, name: str) -> list[Seen]:
        return [span for span in self.spans if span.name == name]

    def holds(self, words: str) -> bool:
        """Whether anything that was exported holds them."""
        return any(words.encode() in raw for raw in self.raw)

    async def take(self, request: Request) -> Response:
        if request.headers.get("x-key") != KEY:
            return Response(status_code=401)
        if request.headers.get("content-type") != PROTOBUF:
            self.wrong.append(f"content type {request.headers.get('content-type')}")
            return Response(status_code=415)
        body = await request.body()
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        try:
            taken = ExportTraceServiceRequest.FromString(body)
        except DecodeError:
            self.wrong.append("no ExportTraceServiceRequest")
            return Response(status_code=400)
        self.raw.append(body)
        self._check_known(taken)
        for resource in taken.resource_spans:
            about = _values(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans += [self._seen(span, about) for span in scope.spans]
        return Response(ExportTraceServiceResponse().SerializeToString(), media_type=PROTOBUF)

    def _seen(self, span: Any, about: Mapping[str, Any]) -> Seen:
        if len(span.trace_id) != 16 or not any(span.trace_id) or len(span.span_id) != 8 or not any(span.span_id):
            self.wrong.append(f"{span.name}: no ids")
        if len(span.parent_span_id) not in (0, 8):
            self.wrong.append(f"{span.name}: a parent's id of {len(span.parent_span_id)} bytes")
        if not span.name or not 0 < span.start_time_unix_nano <= span.end_time_unix_nano:
            self.wrong.append(f"{span.name!r} from {span.start_time_unix_nano} to {span.end_time_unix_nano}")
        if span.status.message:
            self.wrong.append(f"{span.name}: words in its status")
        attributes = _values(span.attributes)
        self.wrong += [f"{span.name}: {name}" for name in attributes if not _ATTRIBUTE.fullmatch(name)]
        return Seen(
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex(),
            span.name,
            attributes,
            [event.name for event in span.events],
            [link.trace_id.hex() for link in span.links],
            span.start_time_unix_nano,
            span.end_time_unix_nano,
            about.get("service.name", ""),
            about.get("service.instance.id", ""),
        )

    def _check_known(self, message: Message) -> None:
        if len(UnknownFieldSet(message)):
            self.wrong.append(f"unknown fields in {message.DESCRIPTOR.name}")
        for descriptor, value in message.ListFields():
            if descriptor.message_type is not None:
                for one in value if isinstance(value, Sequence) or not isinstance(value, Message) else [value]:
                    self._check_known(one)


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """At its end nothing came that OTLP doesn't allow."""
    collector = Collector()
    app = Starlette(routes=[Route("/v1/traces", collector.take, methods=["POST"])])
    async with serve(app) as url:
        collector.url = url
        yield collector
    assert collector.wrong == []


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
