"""What the environment asks for, and that an exporter's trouble is nobody else's."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import TraceFlags, get_tracer_provider
from structlog.testing import capture_logs

from bridge import tracing
from bridge.ops import span_export
from bridge.ops.span_export import Exporting
from bridge.ops.traces import open_traces, wanted
from bridge.settings import SettingsError
from tests.e2e.collector import collecting
from tests.e2e.waiting import eventually

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the environment that the tests run in."""
    for name in (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_TRACES_EXPORTER",
        "OTEL_SDK_DISABLED",
        "OTEL_TRACES_SAMPLER",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("environment", "exporters"),
    [
        ({}, ()),
        ({"OTEL_SERVICE_NAME": "bot", "OTEL_RESOURCE_ATTRIBUTES": "a=b", "OTEL_TRACES_SAMPLER": "always_on"}, ()),
        (ENDPOINT, ("otlp",)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://c.example/v1/traces"}, ("otlp",)),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, ("otlp",)),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "True"}, ()),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "false"}, ("otlp",)),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, ()),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "console"}, ("console",)),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, ("otlp",)),
        ({"OTEL_TRACES_EXPORTER": " Console, otlp ,console"}, ("console", "otlp")),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": ""}, ("otlp",)),
    ],
)
def test_what_is_asked_for(environment: Mapping[str, str], exporters: Sequence[str]) -> None:
    assert tuple(wanted(environment)) == exporters


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        (
            {"OTEL_TRACES_EXPORTER": "jaeger"},
            "OTEL_TRACES_EXPORTER names 'jaeger'; known are otlp, console, or none",
        ),
        ({"OTEL_TRACES_EXPORTER": "none,otlp"}, "names 'none'"),
        (
            ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc', but only http/",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT must be an address like"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://[::1"}, "must be an address like"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(environment: Mapping[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=r"^OTEL_") as wrong:
        wanted(environment)
    assert sentence in str(wrong.value)


async def test_a_wrong_limit_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many")
    with pytest.raises(SettingsError, match="OTEL_… variables ask for what can't be"):
        async with open_traces("r1"):
            pass


async def test_nothing_is_set_up_unasked() -> None:
    before = tracing.tracer()
    async with open_traces("r1"):
        assert tracing.tracer() is before
        assert tracing.traceparent() is None


async def test_what_is_left_is_exported_at_the_end_and_other_libraries_get_no_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with collecting() as collector:
        for name, value in collector.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "bot")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
        async with open_traces("r1"):
            with tracing.receiving("receive") as received:
                received.stored()
            get_tracer_provider().get_tracer("some library").start_span("theirs").end()
            assert collector.spans == []
    assert {span.name for span in collector.spans} == {"receive", "store"}
    assert {(span.service, span.instance) for span in collector.spans} == {("bot", "r1")}
    assert tracing.traceparent() is None


async def test_what_the_sampler_leaves_out_is_not_exported_and_the_backend_is_told_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with collecting() as collector:
        for name, value in collector.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
        monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
        async with open_traces("r1"):
            with tracing.receiving("receive") as received:
                received.stored()
                kept = tracing.traceparent()
            assert not sampled(kept)
            with tracing.at_work(kept, {}, waits_since=None, resumed=True), tracing.span("deliver"):
                assert not sampled(tracing.traceparent())
    assert collector.raw == []


def sampled(traceparent: str | None) -> bool:
    assert traceparent is not None
    return bool(int(traceparent.rsplit("-", 1)[1], 16) & TraceFlags.SAMPLED)


class Broken(SpanExporter):
    def __init__(self) -> None:
        self.taken = 0
        self.works = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.taken += len(spans)
        if not self.works:
            raise OSError("no route to host")
        return SpanExportResult.SUCCESS


async def test_an_exporters_trouble_is_told_once_and_so_is_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Broken()
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
    monkeypatch.setattr(span_export, "MAKE", {"otlp": lambda: broken})
    with capture_logs() as lines:
        exporting = Exporting(["otlp"], "r1")
        for count in range(1, 6):
            broken.works = count == 5
            exporting.tracer.start_span("one").end()
            await eventually(lambda count=count: broken.taken >= count)  # type: ignore[misc]
        await exporting.close()
    assert [line["event"] for line in lines] == [
        "traces can't be exported and are dropped until they can",
        "traces are exported again",
    ]


async def test_the_queue_is_bounded_and_the_end_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(Broken):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            self.taken += len(spans)
            hung.wait()
            return SpanExportResult.SUCCESS

    hung = threading.Event()
    hanging = Hanging()
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
    monkeypatch.setattr(span_export, "MAKE", {"otlp": lambda: hanging})
    monkeypatch.setattr(span_export, "FLUSH_SECONDS", 0.05)
    exporting = Exporting(["otlp"], "r1")
    for _ in range(5_000):
        exporting.tracer.start_span("one").end()
    with capture_logs() as lines:
        await exporting.close()
    assert [line["event"] for line in lines] == ["the last traces weren't exported in time"]
    hung.set()
    assert hanging.taken < 5_000
