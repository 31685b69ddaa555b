"""`GET /metrics`: what was counted, and what is read at the time of the scrape. In Prometheus's text format, or as
OpenMetrics where it is asked for."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bridge.metrics import REGISTRY
from bridge.store import statements as sql
from bridge.store.engine import Engine, Op, StoreUnavailable
from bridge.store.tables import SECOND, now
from bridge.turns.surface import FrontEnd

FRESH = 1.0  # seconds that what was read is good for, however often it is asked
READ_WITHIN = 2.0  # seconds; a scrape usually waits for 10
MOST = 10_000  # turns that are counted; more is as bad

NO_TOKEN = "a bearer token is needed: `http.metrics_token` of the settings\n"  # noqa: S105  # a sentence


@dataclass(frozen=True, slots=True)
class Waiting:
    """Turns, and seconds; 0 where nothing waits."""

    turns: int
    oldest_turn: float
    oldest_thread: float


class Depth:
    """What waits in the database; read at most once a second, whoever asks."""

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._read_at: float | None = None
        self._waiting: Waiting | None = None
        self._reading = asyncio.Lock()

    async def waiting(self) -> Waiting | None:
        """None while the database is away."""
        async with self._reading:
            if self._read_at is None or self._clock() - self._read_at > FRESH:
                self._waiting = await self._read()
                self._read_at = self._clock()
        return self._waiting

    async def _read(self) -> Waiting | None:
        if self._engine.health.lost_at is not None:
            return None  # whoever works finds out that it is back
        try:
            async with asyncio.timeout(READ_WITHIN):
                [[(turns, oldest_turn, oldest_thread)]] = await self._engine.run(Op(sql.WAITING, {"most": MOST}))
        except (StoreUnavailable, TimeoutError):
            return None
        return Waiting(turns, _age(oldest_turn), _age(oldest_thread))


def _age(since: int | None) -> float:
    return 0.0 if since is None else max(0.0, (now() - since) / SECOND)


class Scrape(Collector):
    """One answer: all that is counted, and the state of things now."""

    def __init__(self, troubles: Mapping[str, str | None], database_up: bool, waiting: Waiting | None) -> None:
        self._troubles = troubles
        self._database_up = database_up
        self._waiting = waiting

    def collect(self) -> Iterator[Metric]:
        yield from REGISTRY.collect()
        up = GaugeMetricFamily(
            "threadbridge_platform_up", "1 while events of the platform really flow.", labels=["platform"]
        )
        for platform, trouble in self._troubles.items():
            up.add_metric([platform], float(trouble is None))
        yield up
        yield GaugeMetricFamily(
            "threadbridge_database_up", "1 while the database answers.", value=float(self._database_up)
        )
        turns = GaugeMetricFamily(
            "threadbridge_turns_waiting",
            f"Turns in the database that nobody works on yet, {MOST} at most; the same in every process.",
        )
        oldest_turn = GaugeMetricFamily(
            "threadbridge_oldest_waiting_turn_age_seconds",
            "How long the oldest of them has waited: for its thread, its person's share, or room.",
        )
        oldest_thread = GaugeMetricFamily(
            "threadbridge_oldest_ready_thread_age_seconds",
            "How long the oldest thread has waited that any process could take.",
        )
        if (waiting := self._waiting) is not None:
            turns.add_metric([], waiting.turns)
            oldest_turn.add_metric([], waiting.oldest_turn)
            oldest_thread.add_metric([], waiting.oldest_thread)
        yield from (turns, oldest_turn, oldest_thread)


def metrics_routes(engine: Engine, platforms: Mapping[str, FrontEnd], token: SecretStr | None) -> list[Route]:
    depth = Depth(engine)

    async def metrics(request: Request) -> Response:
        waiting = await depth.waiting()
        troubles = {name: one.trouble() for name, one in platforms.items()}
        database_up = waiting is not None and engine.health.lost_at is None
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        # With fifty agents it takes a tenth of a second, for which no reply is to stand still.
        text = await asyncio.to_thread(encode, Scrape(troubles, database_up, waiting))
        return Response(text, headers={"Content-Type": media_type})

    return [Route("/metrics", _behind(token, metrics), methods=["GET"])]


def _behind(
    token: SecretStr | None, answer: Callable[[Request], Awaitable[Response]]
) -> Callable[[Request], Awaitable[Response]]:
    async def checked(request: Request) -> Response:
        if token is not None:
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            wanted = token.get_secret_value().encode()
            if scheme.lower() != "bearer" or not hmac.compare_digest(
                given.strip().encode("utf-8", "replace"), wanted
            ):
                return PlainTextResponse(NO_TOKEN, 401, headers={"WWW-Authenticate": "Bearer"})
        return await answer(request)

    return checked
