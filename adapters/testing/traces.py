"""The backend hears which trace a request is part of, and nobody else does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from adapters.testing.contract import Contract
from adapters.testing.world import World

TRACE = 0x4BF92F3577B34DA6A3CE929D0E0E4736
SPAN = 0x00F067AA0BA902B7


@contextmanager
def in_trace() -> Iterator[None]:
    """A trace of somebody's, as it is current while a turn is asked. Without an SDK its span is handed on as it is."""
    context = SpanContext(TRACE, SPAN, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    with use_span(NonRecordingSpan(context)):
        yield


class TraceContract(Contract):
    """What every adapter does within a trace."""

    async def test_every_request_says_which_trace_it_is_part_of(self, world: World) -> None:
        world.fail("question", "down")  # what is sent again says it as well
        with in_trace():
            first = await self.turn(world.agent(), self.question)
            await self.turn(world.agent(), self.second_question, first)
        told = world.traced()
        assert told, "no request at all"
        assert {trace_of(one) for one in told} == {f"{TRACE:032x}"}

    async def test_without_a_trace_nothing_is_said(self, world: World) -> None:
        await self.turn(world.agent(), self.question)
        told = world.traced()
        assert told, "no request at all"
        assert set(told) == {None}

    async def test_where_the_backend_leads_nothing_is_said(self, world: World) -> None:
        world.fail("question", "redirected")
        agent = world.agent()
        with in_trace():
            await self.error_of(world, agent.ask(None, self.message(agent, self.question)))
        assert {trace_of(one) for one in world.traced()} == {f"{TRACE:032x}"}
        assert not world.traced_elsewhere(), "the other origin was told of the trace"


def trace_of(traceparent: str | None) -> str | None:
    """The trace's id, 32 digits."""
    return traceparent.split("-")[1] if traceparent else None
