"""The SDK of OpenTelemetry, which the extra `otel` brings: spans leave this process in batches, from a thread of the
SDK's. What can't be exported is dropped: no turn waits for it, and the log tells of it once.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.trace import Tracer

NAME = "threadbridge"
FLUSH_SECONDS = 5.0  # in which what is left is exported at the end
# What the SDK would say of each batch that failed; `Told` says it once.
SDK_LOGS = ("opentelemetry.exporter", "opentelemetry.sdk._shared_internal", "urllib3")

log = structlog.get_logger()


class Told(SpanExporter):
    """Another exporter, whose failures are told once, and so is their end."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self._fails = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._inner.export(spans)
        except Exception:  # whatever it is, no trace is worth more than the log's line
            result = SpanExportResult.FAILURE
        fails = result is not SpanExportResult.SUCCESS
        if fails and not self._fails:
            log.warning("traces can't be exported and are dropped until they can")
        elif self._fails and not fails:
            log.info("traces are exported again")
        self._fails = fails
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


class Exporting:
    """A provider of this process's own. It isn't made the global one, by which other libraries would add spans of
    theirs, with texts in them. Raises `ValueError` and `OSError` for an environment that can't be used."""

    def __init__(self, exporters: Sequence[str], replica: str) -> None:
        for name in SDK_LOGS:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        provider = TracerProvider(resource=_resource(replica), shutdown_on_exit=False)
        for name in exporters:
            provider.add_span_processor(BatchSpanProcessor(Told(MAKE[name]())))
        self._provider = provider
        self.tracer: Tracer = provider.get_tracer(NAME)

    async def close(self) -> None:
        """Export what is left, as far as that goes within `FLUSH_SECONDS`."""
        done = threading.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            done.set()

        # A thread that nobody waits for at the process's end, unlike those of the loop.
        threading.Thread(target=shut_down, name="last spans", daemon=True).start()
        loop = asyncio.get_running_loop()
        until = loop.time() + FLUSH_SECONDS
        while not done.is_set() and loop.time() < until:  # noqa: ASYNC110  # a thread's event
            await asyncio.sleep(0.01)
        if not done.is_set():
            log.warning("the last traces weren't exported in time", seconds=FLUSH_SECONDS)


def _console() -> SpanExporter:
    return ConsoleSpanExporter(formatter=lambda span: span.to_json(indent=None) + "\n")


MAKE: Mapping[str, Callable[[], SpanExporter]] = {"otlp": OTLPSpanExporter, "console": _console}


def _resource(replica: str) -> Resource:
    """What this process is; the environment has the last word."""
    ours = {"service.name": NAME, "service.instance.id": replica}
    with suppress(PackageNotFoundError):  # run from a copy of the sources
        ours["service.version"] = version(NAME)
    return Resource.create(ours).merge(OTELResourceDetector().detect())
