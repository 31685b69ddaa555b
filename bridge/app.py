"""Puts the parts together: the one place that knows every concrete class."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.metadata import version
from secrets import token_hex

import structlog
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from adapters.base import Agent
from bridge import metrics
from bridge.agents import open_agents
from bridge.frontends.discord.app import DiscordFrontEnd
from bridge.frontends.slack.app import SlackFrontEnd
from bridge.frontends.slack.many import ManyWorkspaces
from bridge.frontends.slack.settings import SlackSettings
from bridge.ops.file_links import link_routes
from bridge.ops.health import health_routes
from bridge.ops.metrics import metrics_routes
from bridge.ops.page.serving import Running, operators_page
from bridge.ops.retention import keep_of, sweep_for_ever
from bridge.ops.retries import count_retries
from bridge.ops.traces import open_traces
from bridge.settings import Settings, SettingsError
from bridge.speaking.serving import speaking_first
from bridge.store.arrivals import Arrivals
from bridge.store.backup import restored_at
from bridge.store.database import open_database
from bridge.store.decisions import Decisions
from bridge.store.desk import Desk
from bridge.store.engine import Engine, StoreUnavailable
from bridge.store.feedback import FeedbackStore
from bridge.store.installations import InstallationStore
from bridge.store.queue import Queue
from bridge.store.retention import Retention
from bridge.store.shards import Shards
from bridge.transcription import open_transcription
from bridge.turns.folder import work_folder
from bridge.turns.gate import Gate
from bridge.turns.intake import Intake
from bridge.turns.orders import Orders
from bridge.turns.ratings import Ratings
from bridge.turns.runner import Bounds, Runner, current_guard
from bridge.turns.shelf import Shelf
from bridge.turns.surface import FrontEnd
from bridge.turns.under_reply import PressedUnderReply
from bridge.web import http_server

CATCH_UP_AFTER = 2.0  # seconds of an outage of the database; a shorter one is waited out where it was met

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
    replica = token_hex(8)
    platforms_served = [
        name for name, table in (("slack", settings.slack), ("discord", settings.discord)) if table
    ]
    metrics.begin(version("threadbridge"), settings.agents, platforms_served)
    count_retries()
    async with (
        open_traces(replica),  # first, as all that follows may be part of them
        open_database(
            settings.database_url.get_secret_value(), serve=True, encryption=settings.data.encryption
        ) as database,
        database.prepared(replica) as engine,
        open_agents(settings.agents, guard=look_before_request) as agents,
        open_transcription(settings.transcription, guard=look_before_request) as transcription,
    ):
        if opened is not None:
            opened(agents)
        at_once = settings.limits.turns_at_once
        queue = Queue(engine, replica, at_once=at_once)
        if database.exclusive:
            metrics.reclaimed.labels("restart").inc(await queue.free_all())
        presence = database.presence(replica)
        platforms: dict[str, FrontEnd] = {}
        with work_folder() as folder:
            links = settings.http.links
            bounds = Bounds(
                deadline=lambda name: settings.agents[name].deadline,
                quiet_after=settings.limits.quiet_after,
                running=settings.limits.running_threads,
                attachment_bytes=settings.limits.attachment_bytes,
                grace=settings.limits.grace,
                folder=folder,
                telling=lambda name: settings.agents[name].telling(name),
                agent_for=settings.agent_for,
                approval_seconds=settings.limits.approval_hours * 3600,
                approvers=lambda name: settings.agents[name].approvers,
                hears=transcription,
                links=links,
                under_reply=lambda name: settings.agents[name].under_reply if name in settings.agents else (),
                busy_at=settings.busy_at,
                kind_of=lambda name: settings.agents[name].kind if name in settings.agents else "",
                at_once={name: table.turns_at_once for name, table in settings.agents.items()},
                breaker_seconds=lambda name: (
                    settings.agents[name].breaker_seconds if name in settings.agents else 0.0
                ),
            )
            runner = Runner(queue, presence, agents, platforms, bounds)
            for name in agents:
                metrics.breaker_open.labels(name).set_function(partial(_is_open, runner, name))
            desk = Desk(engine, at_once=at_once)
            gate = Gate(settings.rules, settings.turns_per_hour)
            decisions, feedback = Decisions(engine, at_once=at_once), FeedbackStore(engine)
            intake = Intake(
                Arrivals(engine, at_once=at_once, restored_at=await restored_at(engine)),
                decisions,
                Orders(desk, agents, gate, choices=settings.choices_at, doing=runner.doing, outage=runner.outage),
                Shelf(desk, agents, folder, attachment_bytes=settings.limits.attachment_bytes, links=links),
                PressedUnderReply(decisions, feedback),
                agent_for=settings.agent_for,
                listening_at=settings.listening_at,
                busy_at=settings.busy_at,
                gate=gate,
                wake=runner.wake,
                stop_turn=runner.stop_turn,
                has_room=runner.has_room,
                catch_up_hours=settings.limits.catch_up_hours,
            )
            routes: list[BaseRoute] = []
            if settings.slack is not None:
                slack = slack_front_end(settings, settings.slack, intake, engine)
                platforms["slack"] = slack
                routes += slack.routes
            if settings.discord is not None:
                platforms["discord"] = DiscordFrontEnd(
                    settings.discord,
                    intake,
                    catch_up_hours=settings.limits.catch_up_hours,
                    serves=settings.rules.serves,
                    listening_at=settings.listening_at,
                    bots=settings.trusted_bots("discord"),
                    desk=Shards(engine, replica),
                )
            routes += health_routes(engine, platforms)
            routes += metrics_routes(engine, platforms, settings.http.metrics_token)
            speaking = speaking_first(settings, engine, platforms, runner.wake)
            routes += speaking.routes
            routes += link_routes(links, agents)
            catching_up = CatchingUp(platforms.values())
            engine.health.on_recovery(catching_up.after)
            seen = Running(
                replica=replica,
                database=database,
                engine=engine,
                platforms=platforms,
                decisions=decisions,
                arrivals=desk.arrivals,
                wake=runner.wake,
                stop_turn=runner.stop_turn,
                doing=runner.doing,
                breaker=runner.outage,
            )
            async with (
                speaking.run(),
                operators_page(settings, seen) as page,
                http_server(Starlette(routes=[*routes, *page]), settings.http.host, settings.http.port) as (
                    http,
                    port,
                ),
            ):
                serving = [asyncio.create_task(one.serve(), name=name) for name, one in platforms.items()]
                running = asyncio.create_task(runner.run(), name="runner")
                rating = asyncio.create_task(Ratings(feedback, agents).run(), name="ratings")
                retention = Retention(engine, keep_of(settings.data))
                sweeping = asyncio.create_task(sweep_for_ever(retention), name="retention")
                log.info("serving", platforms=list(platforms), agents=list(agents), port=port, replica=replica)
                try:
                    yield [*serving, running, rating, sweeping, http]
                finally:
                    await _end(running)  # first: its turns still need the platforms to finish their replies
                    await _end(rating, sweeping, *serving)
                    await catching_up.close()
                    with suppress(StoreUnavailable):
                        await presence.leave(replica)


def slack_front_end(settings: Settings, slack: SlackSettings, intake: Intake, engine: Engine) -> SlackFrontEnd:
    """For the one workspace of a bot token, or for all that install the app."""
    cipher = settings.data.cipher
    if not slack.serves_many or cipher is None:  # the settings saw to the key
        return SlackFrontEnd(
            slack,
            intake,
            catch_up_hours=settings.limits.catch_up_hours,
            prompts_at=settings.prompts_at,
            listening_at=settings.listening_at,
        )
    return ManyWorkspaces(
        slack,
        intake,
        InstallationStore(engine, cipher),
        settings.http.public_url,
        may_install=settings.rules.may_install,
        catch_up_hours=settings.limits.catch_up_hours,
        prompts_at=settings.prompts_at,
        listening_at=settings.listening_at,
    )


class CatchingUp:
    """After an outage of the database, what people wrote meanwhile and nobody could keep is fetched."""

    def __init__(self, platforms: Collection[FrontEnd]) -> None:
        self._platforms = platforms
        self._wanted: set[str] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def after(self, seconds: float) -> None:
        if seconds < CATCH_UP_AFTER:
            return
        for platform in self._platforms:
            name = platform.platform
            self._wanted.add(name)  # while one is under way, what it has read already may have changed
            if name not in self._tasks:
                self._tasks[name] = asyncio.create_task(self._catch_up(platform), name=f"{name} catch-up")

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _catch_up(self, platform: FrontEnd) -> None:
        try:
            while platform.platform in self._wanted:
                self._wanted.discard(platform.platform)
                await platform.catch_up()
        finally:
            del self._tasks[platform.platform]


def _is_open(runner: Runner, agent: str) -> float:
    return float(runner.breaker(agent).is_open)


async def look_before_request() -> None:
    """Before each request to an agent: a process that isn't sure of its claim makes none."""
    guard = current_guard.get()
    if guard is not None:
        await guard()


async def _end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
