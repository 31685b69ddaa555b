"""The configured agents: each `[agents.NAME]` table becomes an adapter's agent, found by entry point."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points

import httpx
import structlog
from pydantic import ValidationError

from adapters.base import Adapter, Agent, AgentSettings, Closes
from adapters.http.service import create_client
from bridge import tracing
from bridge.extras import MissingExtra, extra_of
from bridge.settings import AgentTable, SettingsError, sentences

log = structlog.get_logger()

GROUP = "threadbridge.adapters"
OURS = "threadbridge"  # the distribution with the built-in kinds


@dataclass(frozen=True, slots=True)
class Clash:
    """Two packages bring a kind of one name: who serves it, and who is left out."""

    kind: str
    serves: str
    left_out: str

    def __str__(self) -> str:
        return (
            f"the package {self.left_out} brings the kind {self.kind!r}, which is {self.serves}'s; it isn't used"
        )


def kinds() -> list[str]:
    """Every kind of backend that is installed, third parties' too."""
    return sorted(_adapters())


def clashes() -> list[Clash]:
    """The kinds that more than one package brings."""
    used = _adapters()
    return [
        Clash(one.point.name, used[one.point.name].package, one.package)
        for one in _installed()
        if one != used[one.point.name]
    ]


def load_adapter(kind: str, place: str) -> Adapter:
    """Raises `SettingsError` for a kind that nobody brings or that can't be loaded."""
    used = _adapters()
    if kind not in used:
        raise SettingsError(f"{place}.kind is {kind!r}; known are {', '.join(sorted(used))}")
    for clash in clashes():
        if clash.kind == kind:
            log.warning("adapter.name_taken", kind=kind, package=clash.left_out, serves=clash.serves)
    try:
        adapter: Adapter = used[kind].point.load()
    except ImportError as error:
        if extra := extra_of(error):
            raise MissingExtra(extra, f"{place}: the kind {kind!r}") from None
        raise SettingsError(
            f"{place}: the kind {kind!r} of {used[kind].package} can't be loaded: {error}"
        ) from None
    return adapter


def adapter_settings(place: str, table: AgentTable) -> AgentSettings:
    """The adapter's own settings. Raises `SettingsError` with the place of each wrong key."""
    adapter = load_adapter(table.kind, place)
    try:
        return adapter.Settings(**table.rest)
    except ValidationError as error:
        known = [*AgentTable.model_fields, *adapter.Settings.model_fields]
        wrong = "; ".join(sentences(error, place, known))
        raise SettingsError(f"{wrong} (a {table.kind} agent takes {', '.join(sorted(known))})") from None


def make_agent(name: str, table: AgentTable, client: httpx.AsyncClient) -> Agent:
    """Raises `SettingsError` with the place of a wrong key."""
    place = f"agents.{name}"
    return load_adapter(table.kind, place)(adapter_settings(place, table), client)


@asynccontextmanager
async def open_agents(
    tables: Mapping[str, AgentTable], *, guard: Callable[[], Awaitable[None]] | None = None
) -> AsyncIterator[dict[str, Agent]]:
    """All agents on one shared client, closed together. `guard` is awaited before each of their requests."""

    async def look(_: httpx.Request) -> None:
        if guard is not None:
            await guard()

    async with create_client(tracer=tracing.tracer()) as client:
        client.event_hooks = {"request": [look], "response": []}
        agents = {name: make_agent(name, table, client) for name, table in tables.items()}
        try:
            yield agents
        finally:
            for agent in agents.values():
                if isinstance(agent, Closes):
                    await agent.aclose()


@dataclass(frozen=True, slots=True)
class _Brought:
    point: EntryPoint
    package: str


def _adapters() -> dict[str, _Brought]:
    used: dict[str, _Brought] = {}
    for one in _installed():
        used.setdefault(one.point.name, one)
    return used


def _installed() -> Sequence[_Brought]:
    """Ours first, so that no package takes a built-in kind's name; the others by name, so that it is always the
    same one of two."""
    return _found_on(tuple(sys.path))


# The metadata of each package on the path is read for it: a tenth of a second, for every look at every agent.
@lru_cache(maxsize=1)
def _found_on(_path: tuple[str, ...]) -> Sequence[_Brought]:
    brought = [
        _Brought(point, point.dist.name.lower() if point.dist else "an unknown package")
        for point in entry_points(group=GROUP)
    ]
    return sorted(brought, key=lambda one: (one.package != OURS, one.package))
