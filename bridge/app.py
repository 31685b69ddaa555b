"""Puts the parts together: the one place that knows every concrete class."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from secrets import token_hex

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from adapters.base import Agent
from bridge.agents import open_agents
from bridge.frontends.discord.app import DiscordFrontEnd
from bridge.frontends.slack.app import SlackFrontEnd
from bridge.ops.health import health_routes
from bridge.settings import Settings, SettingsError
from bridge.store.arrivals import Arrivals
from bridge.store.database import open_database
from bridge.store.queue import Queue
from bridge.turns.intake import Intake
from bridge.turns.runner import Runner
from bridge.turns.surface import FrontEnd

log = structlog.get_logger()


async def serve(settings: Settings) -> None:
    """Serve every configured platform until SIGTERM or SIGINT, then wind down."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    async with bridge(settings) as bridging:
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([*bridging, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        for task in bridging:
            if task.done():
                task.result()


@asynccontextmanager
async def bridge(
    settings: Settings, *, opened: Callable[[Mapping[str, Agent]], None] | None = None
) -> AsyncIterator[Sequence[asyncio.Task[None]]]:
    """The running bridge as its tasks, none of which ends before it is told to unless something is wrong.
    `opened` is shown the agents before any of them is asked."""
    if settings.slack is None and settings.discord is None:
        raise SettingsError(
            "neither [slack] nor [discord] is configured; `threadbridge init` asks for what is needed"
        )
    if not settings.agents:
        raise SettingsError("no agent is configured; add an [agents.NAME] table with its kind")
    async with (
        open_database(settings.database_url.get_secret_value(), serve=True) as database,
        open_agents(settings.agents) as agents,
    ):
        if opened is not None:
            opened(agents)
        queue = Queue(database, replica=token_hex(8))
        if database.exclusive:
            await queue.take_over()
        platforms: dict[str, FrontEnd] = {}
        runner = Runner(
            queue,
            agents,
            platforms,
            deadline=lambda name: settings.agents[name].deadline,
            max_running=settings.limits.running_threads,
            max_attachment_bytes=settings.limits.attachment_bytes,
            grace=settings.limits.grace,
        )
        intake = Intake(
            Arrivals(database), agent_for=settings.agent_for, wake=runner.wake, stop_turn=runner.stop_turn
        )
        routes: list[BaseRoute] = []
        if settings.slack is not None:
            slack = SlackFrontEnd(settings.slack, intake)
            platforms["slack"] = slack
            routes += slack.routes
        if settings.discord is not None:
            platforms["discord"] = DiscordFrontEnd(settings.discord, intake)
        routes += health_routes(database, platforms)
        async with http_server(Starlette(routes=routes), settings.http.host, settings.http.port) as (http, port):
            serving = [asyncio.create_task(one.serve(), name=name) for name, one in platforms.items()]
            running = asyncio.create_task(runner.run(), name="runner")
            log.info("serving", platforms=list(platforms), agents=list(agents), port=port)
            try:
                yield [*serving, running, http]
            finally:
                await _end(running)  # first: its turns still need the platforms to finish their replies
                await _end(*serving)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # they are the bridge's


@asynccontextmanager
async def http_server(app: Starlette, host: str, port: int) -> AsyncIterator[tuple[asyncio.Task[None], int]]:
    """uvicorn in this loop, without its own signal handling; with it the port, for who asked for any (0)."""
    try:
        bound = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise SettingsError(f"http: can't listen on {host}:{port}: {error.strerror}") from None
    server = _Server(uvicorn.Config(app, log_level="warning", log_config=None, lifespan="off", ws="none"))
    task = asyncio.create_task(server.serve([bound]), name="http")
    try:
        yield task, bound.getsockname()[1]
    finally:
        server.should_exit = True
        await asyncio.wait([task])
        bound.close()


async def _end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
