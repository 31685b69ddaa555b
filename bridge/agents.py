"""The configured agents: each `[agents.NAME]` table becomes an adapter's agent, found by entry point."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import entry_points

import httpx
from pydantic import ValidationError

from adapters.base import Adapter, Agent, Closes
from adapters.http.service import create_client
from bridge.settings import AgentTable, SettingsError

GROUP = "threadbridge.adapters"


def kinds() -> list[str]:
    """Every kind of backend that is installed, third parties' too."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def load_adapter(kind: str, place: str) -> Adapter:
    points = {point.name: point for point in entry_points(group=GROUP)}
    if kind not in points:
        raise SettingsError(f"{place}.kind is {kind!r}; known are {', '.join(sorted(points))}")
    adapter: Adapter = points[kind].load()
    return adapter


def make_agent(name: str, table: AgentTable, client: httpx.AsyncClient) -> Agent:
    """Raises `SettingsError` with the place of a wrong key."""
    place = f"agents.{name}"
    adapter = load_adapter(table.kind, place)
    try:
        settings = adapter.Settings(**table.rest)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(step) for step in problem["loc"])
        said = {"missing": "is missing", "extra_forbidden": "is unknown"}.get(problem["type"], problem["msg"])
        known = ", ".join(["deadline", "kind", *sorted(adapter.Settings.model_fields)])
        raise SettingsError(f"{place}.{key} {said}; a {table.kind} agent takes {known}") from None
    return adapter(settings, client)


@asynccontextmanager
async def open_agents(tables: Mapping[str, AgentTable]) -> AsyncIterator[dict[str, Agent]]:
    """All agents on one shared client, closed together."""
    async with create_client() as client:
        agents = {name: make_agent(name, table, client) for name, table in tables.items()}
        try:
            yield agents
        finally:
            for agent in agents.values():
                if isinstance(agent, Closes):
                    await agent.aclose()
