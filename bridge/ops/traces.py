"""Whether the environment asks for traces, by the variables that OpenTelemetry documents, and for how long."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import httpx
import structlog

from bridge import tracing
from bridge.extras import require
from bridge.settings import SettingsError

EXPORTERS = ("otlp", "console")
PROTOCOL = "http/protobuf"

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

log = structlog.get_logger()


@asynccontextmanager
async def open_traces(replica: str) -> AsyncIterator[None]:
    """Traces are made inside, if the environment asks for them; what is left of them is exported at the end, within
    seconds. Raises `SettingsError` where it asks for something that can't be."""
    exporters = wanted(os.environ)
    if not exporters:
        yield
        return
    require("otel", "the environment's OTEL_… variables ask for traces, which")
    from bridge.ops.span_export import Exporting

    try:
        exporting = Exporting(exporters, replica)
    except (ValueError, OSError) as error:
        raise SettingsError(f"the environment's OTEL_… variables ask for what can't be: {error}") from None
    tracing.use(exporting.tracer)
    log.info("traces are exported", by=list(exporters))
    try:
        yield
    finally:
        tracing.use(None)
        await exporting.close()


def wanted(environment: Mapping[str, str]) -> Sequence[str]:
    """The exporters that the environment asks for, none of them without an address or a name. Raises
    `SettingsError`."""
    if _value(environment, "OTEL_SDK_DISABLED").lower() == "true":
        return ()
    named = _value(environment, "OTEL_TRACES_EXPORTER").lower()
    exporters = [one.strip() for one in named.split(",") if one.strip()]
    if not exporters and any(_value(environment, name) for name in _ENDPOINTS):
        exporters = ["otlp"]
    if exporters == ["none"]:
        return ()
    for one in exporters:
        if one not in EXPORTERS:
            raise SettingsError(
                f"OTEL_TRACES_EXPORTER names {one!r}; known are {', '.join(EXPORTERS)}, or none alone"
            )
    if "otlp" in exporters:
        _check_otlp(environment)
    return tuple(dict.fromkeys(exporters))


def _check_otlp(environment: Mapping[str, str]) -> None:
    for name in _PROTOCOLS:
        if _value(environment, name) not in ("", PROTOCOL):
            raise SettingsError(f"{name} is {environment[name]!r}, but only {PROTOCOL} is spoken here")
    for name in _ENDPOINTS:
        if address := _value(environment, name):
            try:
                url = httpx.URL(address)
            except httpx.InvalidURL:
                url = httpx.URL("")
            if url.scheme not in ("http", "https") or not url.host:
                raise SettingsError(f"{name} must be an address like http://collector:4318")


def _value(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name, "").strip()
