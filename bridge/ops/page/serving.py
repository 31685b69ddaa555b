"""The operator's page as routes: none without a token."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from bridge.extras import require
from bridge.ops.health import DatabaseCheck
from bridge.ops.page.checks import AgentChecks
from bridge.ops.page.deeds import Deeds
from bridge.ops.page.guard import Guarded
from bridge.ops.page.looks import Looks
from bridge.ops.page.session import Sessions
from bridge.settings import Settings
from bridge.store.arrivals import Arrivals
from bridge.store.database import Database
from bridge.store.decisions import Decisions
from bridge.store.engine import Engine
from bridge.store.watching import Watching
from bridge.turns.surface import FrontEnd


def no_breaker(_agent: str) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Running:
    """What the page shows and touches of the bridge in this process. `breaker` says of an agent, by its name, why it
    isn't asked at present."""

    replica: str
    database: Database
    engine: Engine  # of the bridge's own work
    platforms: Mapping[str, FrontEnd]
    decisions: Decisions
    arrivals: Arrivals
    wake: Callable[[], None]
    stop_turn: Callable[[str], None]
    doing: Callable[[str], str]
    breaker: Callable[[str], str | None] = no_breaker


@asynccontextmanager
async def operators_page(settings: Settings, running: Running) -> AsyncIterator[Sequence[BaseRoute]]:
    """The page's routes, while they may be served.

    :raises MissingExtra: its packages aren't installed.
    """
    token = settings.http.ops_token
    if token is None:
        yield ()
        return
    require("ops", "the operator's page (http.ops_token)")
    from bridge.ops.page.views import HERE, PATH, Views  # where its templates can be drawn

    checks = AgentChecks(settings.agents)
    # An engine of its own: whoever looks through a hundred thousand turns keeps no turn waiting.
    async with running.database.prepared(running.replica) as engine:
        watching = Watching(engine)
        views = Views(
            settings.http,
            Sessions(token),
            Looks(settings, watching, DatabaseCheck(running.engine), running.platforms, checks, running.breaker),
            watching,
            checks,
            Deeds(engine, running.decisions, running.arrivals, running.wake, running.stop_turn),
            running.doing,
            running.replica,
        )
        page = Starlette(
            routes=[*views.routes(), Mount("/static", StaticFiles(directory=HERE / "static"))],
            middleware=[Middleware(Guarded)],
        )

        async def to_the_page(_request: Request) -> Response:
            return RedirectResponse(PATH.lstrip("/"))  # relative: a proxy may have taken something off

        try:
            yield [Route(PATH.rstrip("/"), to_the_page, methods=["GET"]), Mount(PATH.rstrip("/"), page)]
        finally:
            await checks.close()
