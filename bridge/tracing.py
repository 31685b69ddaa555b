"""The trace of a turn, from the platform's event to the last part, in spans of OpenTelemetry.

Only its API is needed here: without a tracer, which `bridge.ops.traces` gives where the environment asks for one,
everything does nothing. No attribute may hold what people or agents write, nor names of files or people.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NoOpTracer,
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    get_current_span,
    use_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from adapters.base import Usage

TRACEPARENT = "traceparent"
MICROSECOND = 1_000  # in nanoseconds, the unit of a span's times

Attributes = Mapping[str, str | int | float | bool]

_OFF = NoOpTracer()
_CODE = re.compile(r"[A-Za-z0-9_.]{1,64}")
_MODEL = re.compile(r"[A-Za-z0-9_.:/@-]{1,128}")
_propagator = TraceContextTextMapPropagator()
_tracer: Tracer = _OFF


def use(tracer: Tracer | None) -> None:
    """From now on spans are made by this one; None: by none."""
    global _tracer
    _tracer = tracer or _OFF


def tracer() -> Tracer:
    """What makes this process's spans; one that makes none where nobody asked for traces."""
    return _tracer


def traceparent() -> str | None:
    """The current span as W3C Trace Context writes it, for whoever goes on from it; None where there is none."""
    carrier: dict[str, str] = {}
    if _tracer is not _OFF:
        _propagator.inject(carrier)
    return carrier.get(TRACEPARENT)


# --- what comes in ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Received:
    """Something that was read, and may become a turn. What doesn't is no trace."""

    span: Span = INVALID_SPAN
    kept: bool = False
    storing_since: int | None = None
    linked: set[str] = field(default_factory=set)

    def storing(self) -> None:
        """It is on its way to the database."""
        self.storing_since = time.time_ns()

    def stored(self) -> None:
        """It is a turn now."""
        if self.span is not INVALID_SPAN:
            self.kept = True
            _tracer.start_span("store", start_time=self.storing_since).end()

    def link(self, other: str | None) -> None:
        """It has to do with a turn of another trace."""
        if other and other not in self.linked and self.span is not INVALID_SPAN:
            self.linked.add(other)
            for link in links(other):
                self.span.add_link(link.context)


_received: ContextVar[Received | None] = ContextVar("received", default=None)


@contextmanager
def receiving(name: str, attributes: Attributes | None = None, *, caller: str = "") -> Iterator[Received]:
    """The first span of a turn's trace, or the first here in the trace of the `caller`, who said its `traceparent`.
    It ends when the turn is stored, so it is exported whatever becomes of this process."""
    if _tracer is _OFF:
        yield Received()
        return
    span = _tracer.start_span(name, _remote(caller), kind=SpanKind.CONSUMER, attributes=attributes)
    received = Received(span)
    token = _received.set(received)
    try:
        with use_span(span, record_exception=False, set_status_on_exception=False):
            yield received
    finally:
        _received.reset(token)
        if received.kept:
            span.end()


def following(other: str | None) -> str | None:
    """The `traceparent` of a turn that is about to be stored and goes on from a turn of another trace, to which it
    is linked."""
    received = _received.get()
    if received is not None:
        received.kept = True
        received.link(other)
    return traceparent()


# --- a turn at work -----------------------------------------------------------------------------------------


@contextmanager
def at_work(
    stored: str | None, attributes: Attributes, *, waits_since: int | None, resumed: bool
) -> Iterator[None]:
    """Whatever is done inside is part of the turn's trace. `stored`: its `traceparent`. `waits_since`: microseconds
    since 1970, from which on it waited in its queue; None if that isn't to be told. `resumed`: another process, or an
    earlier claim, began it."""
    if _tracer is _OFF:
        yield
        return
    context = _remote(stored)
    if resumed or not stored:
        name = "resume" if resumed else "turn"
        with (
            _tracer.start_as_current_span(
                name, context, attributes=attributes, record_exception=False, set_status_on_exception=False
            ) as span,
            _telling(span),
        ):
            yield
        return
    if waits_since is not None:
        began = waits_since * MICROSECOND
        _tracer.start_span("wait", context, attributes=attributes, start_time=began).end(
            max(began, time.time_ns())
        )
    with use_span(get_current_span(context), record_exception=False, set_status_on_exception=False):
        yield


@contextmanager
def span(
    name: str,
    attributes: Attributes | None = None,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    links: Sequence[Link] = (),
) -> Iterator[Span]:
    """A step of the current trace; nothing where there is none. What is raised inside is told by its kind alone."""
    if _tracer is _OFF or not get_current_span().get_span_context().is_valid:
        yield INVALID_SPAN
        return
    with (
        _tracer.start_as_current_span(
            name,
            kind=kind,
            attributes=attributes,
            links=links,
            record_exception=False,
            set_status_on_exception=False,
        ) as made,
        _telling(made),
    ):
        yield made


def call(name: str, attributes: Attributes | None = None) -> Span:
    """A request to a platform, begun where a context manager has no place; its end is the caller's."""
    if _tracer is _OFF or not get_current_span().get_span_context().is_valid:
        return INVALID_SPAN
    return _tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)


def failed(span: Span, code: str) -> None:
    """Mark a span as failed. `code` is a word of a protocol or a class's name; anything else isn't told."""
    span.set_attribute("error.type", code if _CODE.fullmatch(code) else "_OTHER")
    span.set_status(StatusCode.ERROR)


def first_words(seconds: float) -> None:
    """The agent's first words have come, so long after it was asked."""
    span = get_current_span()
    span.add_event("first_words")
    span.set_attribute("gen_ai.response.time_to_first_chunk", round(seconds, 3))


def usage(told: Usage | None) -> None:
    """What an answer cost, as far as the backend says."""
    span = get_current_span()
    if told is None or not span.is_recording():
        return
    for name in ("input_tokens", "output_tokens"):
        if (tokens := getattr(told, name)) is not None:
            span.set_attribute(f"gen_ai.usage.{name}", tokens)
    if told.model and _MODEL.fullmatch(told.model):
        span.set_attribute("gen_ai.response.model", told.model)


def unreached(code: str, pause: float) -> None:
    """The agent can't be reached, and is asked again after a pause in seconds."""
    get_current_span().add_event("unreached", {"error.type": code, "threadbridge.pause": round(pause, 1)})


def links(*others: str | None) -> list[Link]:
    """Links to turns of other traces, as far as they have one."""
    found = [get_current_span(_remote(other)).get_span_context() for other in others if other]
    return [Link(context) for context in found if context.is_valid] if _tracer is not _OFF else []


@contextmanager
def _telling(span: Span) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        failed(span, type(error).__name__)
        raise


def _remote(stored: str | None) -> Context:
    """A context with nothing but the span that was written so; with none for what isn't one."""
    return _propagator.extract({TRACEPARENT: stored} if stored else {}, Context())
