"""The operator's page served over real HTTP, on a database and a platform in memory."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic import SecretStr
from starlette.applications import Starlette

from bridge import web
from bridge.lifecycle import Event, Outcome
from bridge.ops.health import health_routes
from bridge.ops.page.serving import Running, operators_page
from bridge.settings import AgentTable, HttpSettings, Settings
from bridge.store.arrivals import Arrivals
from bridge.store.database import Database
from bridge.store.decisions import Decisions
from bridge.store.engine import Engine
from bridge.store.queue import Queue
from bridge.store.values import Conclusion
from tests.store.steps import ALL, inbound, next_turn
from tests.turns.world import MemoryPlatform

TOKEN = "the-operators-own-token"
AGENTS = {"support": AgentTable(kind="echo")}


@dataclass
class Visit:
    """A browser without JavaScript: it keeps cookies, sends its origin with forms, and follows nothing by itself."""

    url: str
    client: httpx.AsyncClient
    queue: Queue
    arrivals: Arrivals
    stopped: list[str] = field(default_factory=list)
    woken: list[bool] = field(default_factory=list)

    async def get(self, path: str = "", **options: Any) -> httpx.Response:
        return await self.client.get(f"{self.url}/ops/{path}", **options)

    async def post(self, path: str, data: dict[str, str], origin: str | None = "own") -> httpx.Response:
        headers = {} if origin is None else {"Origin": self.url if origin == "own" else origin}
        return await self.client.post(f"{self.url}/ops/{path}", data=data, headers=headers)

    async def sign_in(self, token: str = TOKEN, to: str = "") -> httpx.Response:
        return await self.post("sign-in", {"token": token, "to": to})

    async def proof(self, path: str = "system") -> str:
        found = re.search(r'name="proof" value="([0-9a-f]+)"', (await self.get(path)).text)
        assert found is not None
        return found[1]

    async def asked(self, number: int = 1, outcome: Outcome | None = None, **more: Any) -> str:
        """A turn in the thread of `steps.HERE`, begun; and ended, if there is an outcome. Its id."""
        message = {name: more.pop(name) for name in ("text", "person", "address") if name in more}
        await self.arrivals.put(inbound(number, **message), "support")
        [claim] = await self.queue.claim(10, ALL)
        turn = await next_turn(self.queue, claim)
        await self.queue.begin(claim, turn, None)
        if outcome is not None:
            await self.queue.conclude(claim, turn.id, Conclusion(outcome, **more))
            await self.queue.end(claim, turn.id, Event.DELIVERED, outcome, detail=more.get("detail", ""))
        return turn.id


@asynccontextmanager
async def served(
    database: Database, engine: Engine, platform: MemoryPlatform | None = None, **http: Any
) -> AsyncIterator[Visit]:
    table = HttpSettings(**{"ops_token": SecretStr(TOKEN)} | http)
    settings = Settings(agents=AGENTS, http=table)
    platforms = {"slack": platform or MemoryPlatform()}
    arrivals = Arrivals(engine)
    stopped: list[str] = []
    woken: list[bool] = []
    running = Running(
        replica="replica-1",
        database=database,
        engine=engine,
        platforms=platforms,
        decisions=Decisions(engine),
        arrivals=arrivals,
        wake=lambda: woken.append(True),
        stop_turn=stopped.append,
        doing=lambda _: "looks into <b>drawers</b>",
    )
    async with (
        operators_page(settings, running) as page,
        web.http_server(Starlette(routes=[*health_routes(engine, platforms), *page]), "127.0.0.1", 0) as (_, port),
        httpx.AsyncClient(timeout=30) as client,
    ):
        yield Visit(f"http://127.0.0.1:{port}", client, Queue(engine, "replica-1"), arrivals, stopped, woken)
