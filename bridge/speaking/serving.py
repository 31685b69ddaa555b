"""What is served to those who speak first: nothing without a token, `/mcp` where its SDK is installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field

import structlog
from starlette.routing import BaseRoute, Route

from bridge.extras import how_to_install, installed
from bridge.settings import Settings
from bridge.speaking.http import speaking_routes
from bridge.speaking.speaker import Speaker
from bridge.store.engine import Engine
from bridge.store.speaking import Speaking
from bridge.turns.surface import Speaks

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Served:
    """`run` is held while the routes are served."""

    routes: Sequence[BaseRoute] = ()
    run: Callable[[], AbstractAsyncContextManager[None]] = field(default=nullcontext)


def speaking_first(
    settings: Settings, engine: Engine, platforms: Mapping[str, Speaks], wake: Callable[[], None]
) -> Served:
    token = settings.http.token
    if token is None:
        return Served()
    places = frozenset(settings.http.speak)
    speaker = Speaker(
        Speaking(engine),
        platforms,
        agents=settings.agents,
        agent_for=settings.agent_for,
        may_speak=places.__contains__,
        wake=wake,
    )
    routes: list[BaseRoute] = [*speaking_routes(speaker, token)]
    if not installed("mcp"):
        log.info("speaking.no_mcp", mend=how_to_install("mcp"))
        return Served(routes)
    from bridge.speaking.mcp import PATH, Endpoint  # where its package is there

    endpoint = Endpoint(speaker, token, settings.http)
    routes.append(Route(PATH, endpoint))
    return Served(routes, endpoint.run)
