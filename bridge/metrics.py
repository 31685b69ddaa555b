"""What is counted, for `GET /metrics`. Whoever knows that something happened says so in one line.

A count is of this process and begins with it. Labels come from the settings and from this code alone, so that their
number is bounded: never an id of a person, channel or thread. What is read at the time of a scrape is in
`bridge.ops.metrics`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

from bridge.lifecycle import ENDINGS

OTHER = "other"  # in place of a name that isn't known
MAX_METHODS = 100  # of one platform; there are some dozens

# Agents take from a tenth of a second to a quarter of an hour, a turn's usual deadline.
AGENT_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 900)
DATABASE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

# A second series beside each, that tells no more than the process's own start.
disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry(auto_describe=True)
ProcessCollector(registry=REGISTRY)

_AGENT = ("agent", "platform")

build = Info("threadbridge_build", "What runs.", registry=REGISTRY)

received = Counter("threadbridge_turns_received_total", "Turns that were stored.", _AGENT, registry=REGISTRY)
_ended = Counter(
    "threadbridge_turns_total",
    "Turns that came to an end here, or to wait for a person. One that waits counts again if it is left,"
    " one that couldn't be delivered if it is delivered again.",
    (*_AGENT, "state", "outcome"),
    registry=REGISTRY,
)
_first_words = Histogram(
    "threadbridge_first_words_seconds",
    "From a turn's storing to its first words in the thread.",
    _AGENT,
    buckets=AGENT_SECONDS,
    registry=REGISTRY,
)
_whole = Histogram(
    "threadbridge_turn_seconds",
    "From a turn's storing to its end, whatever that is.",
    _AGENT,
    buckets=AGENT_SECONDS,
    registry=REGISTRY,
)
_waited = Histogram(
    "threadbridge_turn_waited_seconds",
    "From a turn's storing until it was worked on: behind others of its thread or its person, or for room.",
    _AGENT,
    buckets=AGENT_SECONDS,
    registry=REGISTRY,
)
running = Gauge("threadbridge_turns_running", "Turns that are worked on here.", _AGENT, registry=REGISTRY)
threads_held = Gauge("threadbridge_threads_held", "Threads that this process has claimed.", registry=REGISTRY)

_agent_retries = Counter(
    "threadbridge_agent_retries_total",
    "Repeated requests to an agent's service (request), and turns taken up again from their checkpoint after an"
    " outage of it (turn).",
    ("agent", "repeated"),
    registry=REGISTRY,
)
breaker_open = Gauge(
    "threadbridge_agent_breaker_open", "1 while an agent isn't asked because it failed too often.", ("agent",),
    registry=REGISTRY,
)  # fmt: skip
_platform_retries = Counter(
    "threadbridge_platform_retries_total",
    "Calls that a reply makes again: over the limit (throttled), or nobody knows what became of them (unreachable).",
    ("platform", "reason"),
    registry=REGISTRY,
)
_throttled = Counter(
    "threadbridge_platform_throttled_total",
    "Answers 429 of a platform.",
    ("platform", "method"),
    registry=REGISTRY,
)
_file_bytes = Counter(
    "threadbridge_file_bytes_total",
    "Bytes of files: of people on their way to agents (in), of agents on their way to people (out).",
    ("platform", "direction"),
    registry=REGISTRY,
)
_caught_up = Counter(
    "threadbridge_catch_up_messages_total", "Messages that a catch-up read.", ("platform",), registry=REGISTRY
)
_caught_up_turns = Counter(
    "threadbridge_catch_up_turns_total", "Turns made of them.", ("platform",), registry=REGISTRY
)
_over_budget = Counter(
    "threadbridge_budget_refusals_total",
    "Questions and presses that a budget of questions an hour refused.",
    ("platform", "budget"),
    registry=REGISTRY,
)

reclaimed = Counter(
    "threadbridge_threads_taken_over_total",
    "Threads that were taken over: of a process that died (dead), of one before this (restart), or of a claim whose"
    " answer was lost (sweep).",
    ("found",),
    registry=REGISTRY,
)
lost = Counter(
    "threadbridge_threads_lost_total",
    "Threads that another process took over while they were worked on here.",
    registry=REGISTRY,
)
_database = Histogram(
    "threadbridge_database_seconds",
    "One unit of work, from asking for it to its answer.",
    buckets=DATABASE_SECONDS,
    registry=REGISTRY,
)
database_failures = Counter(
    "threadbridge_database_failures_total",
    "Times that the database couldn't be reached, was locked or full. What it was to do is repeated.",
    registry=REGISTRY,
)

_agents: frozenset[str] = frozenset()
_methods: dict[str, set[str]] = {}


def begin(version: str, agents: Iterable[str], platforms: Iterable[str]) -> None:
    """What is to be counted, by the settings. A series begins with 0, so that the first time shows as an increase."""
    global _agents  # the registry is the process's, and so is what is known of it
    _agents = frozenset(agents)
    build.info({"version": version})
    for platform in platforms:
        for agent in _agents:
            received.labels(agent, platform)
            running.labels(agent, platform)
            for one in (_first_words, _whole, _waited):
                one.labels(agent, platform)
            for outcome, ending in ENDINGS.items():
                _ended.labels(agent, platform, ending.state, outcome)
        for direction in ("in", "out"):
            _file_bytes.labels(platform, direction)
        for reason in ("throttled", "unreachable"):
            _platform_retries.labels(platform, reason)
        _caught_up.labels(platform)
        _caught_up_turns.labels(platform)
    for agent in _agents:
        for repeated in ("request", "turn"):
            _agent_retries.labels(agent, repeated)
    for found in ("dead", "restart", "sweep"):
        reclaimed.labels(found)


def known(agent: str) -> str:
    """An agent's name as a label: threads may name one that was in the settings once."""
    return agent if agent in _agents else OTHER


def turn_received(agent: str, platform: str) -> None:
    received.labels(known(agent), platform).inc()


def turn_waited(agent: str, platform: str, seconds: float) -> None:
    _waited.labels(known(agent), platform).observe(max(0.0, seconds))


def turn_ended(agent: str, platform: str, state: str, outcome: str) -> None:
    """Once its end is stored, by whoever stored it."""
    _ended.labels(known(agent), platform, state, outcome).inc()


def turn_lasted(agent: str, platform: str, seconds: float, first_words: float | None) -> None:
    """Both from when it was stored; None where no words came."""
    agent = known(agent)
    _whole.labels(agent, platform).observe(max(0.0, seconds))
    if first_words is not None:
        _first_words.labels(agent, platform).observe(max(0.0, first_words))


@contextmanager
def turn_running(agent: str, platform: str) -> Iterator[None]:
    with running.labels(known(agent), platform).track_inprogress():
        yield


def agent_retried(repeated: str, agent: str | None = None) -> None:
    """Without a name, of the turn at work."""
    _agent_retries.labels(known(agent or _at_work("agent")), repeated).inc()


def platform_retried(reason: str) -> None:
    _platform_retries.labels(_at_work("platform") or OTHER, reason).inc()


def throttled(platform: str, method: str) -> None:
    methods = _methods.setdefault(platform, set())
    if len(methods) < MAX_METHODS:
        methods.add(method)
    _throttled.labels(platform, method if method in methods else OTHER).inc()


def file_moved(platform: str, direction: str, size: int) -> None:
    _file_bytes.labels(platform, direction).inc(size)


def caught_up(platform: str, messages: int, turns: int) -> None:
    _caught_up.labels(platform).inc(messages)
    _caught_up_turns.labels(platform).inc(turns)


def over_budget(platform: str, budget: str) -> None:
    _over_budget.labels(platform, budget).inc()


def unit_of_work_took(began: float) -> None:
    """`began` is of `time.perf_counter`."""
    _database.observe(time.perf_counter() - began)


def _at_work(name: str) -> str:
    """Of the turn at work, which its log lines carry as well; "" outside of one."""
    return str(structlog.contextvars.get_contextvars().get(name, ""))
