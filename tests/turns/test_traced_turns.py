"""Which spans a turn is told by, which traces it is linked to, and that one trace goes on in whatever process."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from adapters.base import Approval, Done, InputRequest, Rejected, Text, Unavailable, Usage
from bridge import tracing
from bridge.access import Access, AccessTable
from bridge.store.database import Database, database_url
from bridge.store.speaking import Speaking, Speech
from bridge.store.values import Spoken
from bridge.turns import outages
from bridge.turns.gate import Gate
from bridge.turns.inbox import NotAllowed
from tests.turns.agents import Backend, ScriptedAgent
from tests.turns.process import Bridge, running
from tests.turns.test_busy import Work, ask_behind
from tests.turns.test_every_step import Plug, PluggedEngine
from tests.turns.test_takeover import hanging
from tests.turns.world import LATER, MemoryPlatform, inbound

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
MARKER = "zebra-crossing"


class Spans:
    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    @property
    def all(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all if span.name == name]

    def only(self, name: str) -> ReadableSpan:
        [span] = self.named(name)
        return span

    def names(self) -> Counter[str]:
        return Counter(span.name for span in self.all)

    def clear(self) -> None:
        self._exporter.clear()


@pytest.fixture
def spans() -> Iterator[Spans]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(provider.get_tracer("test"))
    yield Spans(exporter)
    tracing.use(None)


def trace(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.trace_id)


def parent(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def own(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def links(span: ReadableSpan) -> list[int]:
    return [link.context.trace_id for link in span.links]


async def test_a_turn_is_one_trace_and_no_text_is_in_it(
    database: Database, platform: MemoryPlatform, spans: Spans
) -> None:
    used = Usage(12, 34, "gpt-9")
    backend = Backend([Text(f"{MARKER} answer"), Done(usage=used)])
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1, MARKER))
        await bridge.until_state("done")
    root = spans.only("receive")
    assert spans.names() == Counter(["receive", "store", "wait", "invoke_agent support", "deliver"])
    assert {trace(span) for span in spans.all} == {trace(root)}
    assert {parent(span) for span in spans.all} == {None, own(root)}
    agent = spans.only("invoke_agent support").attributes or {}
    assert (agent["gen_ai.usage.input_tokens"], agent["gen_ai.usage.output_tokens"]) == (12, 34)
    assert agent["gen_ai.response.model"] == "gpt-9"
    assert agent["threadbridge.outcome"] == "answered"
    told = json.dumps([json.loads(span.to_json()) for span in spans.all])
    assert MARKER not in told
    assert "Person 1" not in told


async def test_without_a_tracer_nothing_is_stored_of_a_trace(quick: Database, platform: MemoryPlatform) -> None:
    async with running(Bridge(quick, platform, ScriptedAgent(Backend()))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
        [record] = await bridge.ledger.turns(state=None, thread=None, limit=1)
    assert record.turn.traceparent is None


async def test_what_is_no_turn_is_no_trace(quick: Database, platform: MemoryPlatform, spans: Spans) -> None:
    """A message that is known already, as catch-up finds them by the hundred, and one that is refused."""
    gate = Gate(Access(AccessTable(people=("slack:U1",), external=True)))
    async with running(Bridge(quick, platform, ScriptedAgent(Backend()), gate=gate)) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
        assert not await bridge.intake.take(inbound(1))
        with pytest.raises(NotAllowed):
            await bridge.intake.take(inbound(2, author="U2"))
    assert spans.names()["receive"] == spans.names()["store"] == 1


@pytest.mark.parametrize("asks", [Approval("Wipe"), InputRequest("Which?", ("this", "that"))])
async def test_a_decision_is_a_trace_linked_to_that_of_its_turn(
    quick: Database, platform: MemoryPlatform, spans: Spans, asks: Approval | InputRequest
) -> None:
    backend = Backend([asks, Done()])
    async with running(Bridge(quick, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("waiting")
        first = trace(spans.only("receive"))
        backend.script = [Text("done"), Done()]
        spans.clear()
        await bridge.press(platform.messages[-1].buttons[0])
        await bridge.until_state("done")
    pressed = spans.only("press")
    assert trace(pressed) != first
    assert links(pressed) == [first]
    assert {trace(span) for span in spans.all} == {trace(pressed)}
    assert first in links(spans.only("invoke_agent support"))


async def test_an_answer_in_words_is_linked_to_what_asked_for_it(
    quick: Database, platform: MemoryPlatform, spans: Spans
) -> None:
    backend = Backend([InputRequest("Which?", ()), Done()])
    async with running(Bridge(quick, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("waiting")
        first = trace(spans.only("receive"))
        backend.script = [Text("done"), Done()]
        spans.clear()
        await bridge.intake.take(inbound(LATER))
        await bridge.until_state("done")
    assert links(spans.only("invoke_agent support")) == [first]


async def test_messages_asked_together_are_linked(quick: Database, platform: MemoryPlatform, spans: Spans) -> None:
    work = Work()
    async with running(Bridge(quick, platform, ScriptedAgent(Backend(work.script)), busy="steer")) as bridge:
        await ask_behind(bridge, work, ("U1", "second"), ("U1", "third"))
        work.go_on.set()
        await bridge.until_state("done")
    _, second, third = map(trace, spans.named("receive"))
    asked = spans.named("invoke_agent support")[-1]
    assert trace(asked) == second
    assert links(asked) == [third]


async def test_an_expired_approval_is_a_trace_linked_to_its_turn(
    quick: Database, platform: MemoryPlatform, spans: Spans, swept: None
) -> None:
    backend = Backend([Approval("Wipe"), Done()])
    agent = ScriptedAgent(backend)
    async with running(Bridge(quick, platform, agent, approval_seconds=0.0)) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
    assert links(spans.only("expire")) == [trace(spans.only("receive"))]


async def test_what_goes_wrong_is_told_by_its_kind(
    quick: Database, platform: MemoryPlatform, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(outages, "LONGEST_PAUSE", 0.0)
    backend = Backend([Unavailable(f"refused {MARKER}")])

    async def then() -> None:
        if backend.asked and len(backend.script) == 1:
            backend.script = [Rejected(f"no {MARKER}", sentence=f"No {MARKER}."), Text("")]

    backend.step = then
    async with running(Bridge(quick, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("failed")
    asked = spans.only("invoke_agent support")
    assert (asked.attributes or {})["error.type"] == "rejected"
    assert not asked.status.is_ok
    assert MARKER not in asked.to_json()


async def test_what_the_agent_says_unasked_goes_on_in_its_callers_trace(
    quick: Database, platform: MemoryPlatform, spans: Spans
) -> None:
    async with running(Bridge(quick, platform, ScriptedAgent(Backend()))) as bridge:
        with tracing.receiving("speak", caller=CALLER) as received:
            received.storing()
            speech = Speech("k1", MARKER, Spoken("digest", "slack:C1"))
            await Speaking(bridge.engine).open(
                "slack", "C1", speech, agent="support", conversation=None, direct=False
            )
            received.stored()
        bridge.runner.wake()
        await bridge.until_state("done")
    assert platform.texts() == [MARKER]
    assert {f"{trace(span):032x}" for span in spans.all} == {CALLER.split("-")[1]}
    said = spans.only("speak")
    assert f"{parent(said):016x}" == CALLER.split("-")[2]
    assert parent(spans.only("deliver")) == own(said)


@pytest.mark.parametrize("caller", ["", "00-0-0-01", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "x" * 10_000])
def test_a_caller_that_says_no_trace_begins_none(spans: Spans, caller: str) -> None:
    with tracing.receiving("speak", caller=caller) as received:
        received.stored()
    assert parent(spans.only("speak")) is None


@pytest.mark.slow
async def test_the_trace_goes_on_in_the_replica_that_takes_over(
    postgres_url: str, platform: MemoryPlatform, spans: Spans
) -> None:
    shared = Database(database_url(postgres_url))
    backend, plug = Backend(), Plug(10_000)
    reached = hanging(backend)
    agent = ScriptedAgent(backend)
    killed = Bridge(shared, platform, agent, between=lambda engine: PluggedEngine(engine, plug))
    async with running(Bridge(shared, platform, agent, replica="r2")) as survivor:
        async with survivor.runner._claiming, killed.open():
            serving = asyncio.create_task(killed.runner.run())
            await killed.intake.take(inbound(1))
            await reached.wait()
            await plug.kill(serving)
        backend.running.clear()
        spans.clear()  # what a killed process has begun is never exported
        await survivor.until_state("done")
        [record] = await survivor.ledger.turns(state=None, thread=None, limit=1)
    await shared.close()
    resumed = spans.only("resume")
    stored = str(record.turn.traceparent).split("-")
    assert {f"{trace(span):032x}" for span in spans.all} == {stored[1]}
    assert f"{parent(resumed):016x}" == stored[2]
    assert {parent(spans.only(name)) for name in ("invoke_agent support", "deliver")} == {own(resumed)}
