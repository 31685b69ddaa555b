"""`GET /files/TOKEN` over real HTTP: the file in pieces, or a sentence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

from adapters.base import File, NotFound, Unavailable
from bridge import web
from bridge.ops import file_links
from bridge.ops.file_links import link_routes
from bridge.turns.links import Linked, Links
from tests.e2e.waiting import eventually
from tests.turns.agents import Backend, ScriptedAgent

PIECE = b"p" * 65_536


class Archive(ScriptedAgent):
    """Gives `pieces` of a file; "missing", "away" and "breaks" go wrong."""

    pieces = 3
    taken = 0
    asked = 0
    closed = 0
    gate: asyncio.Event | None = None

    async def files(self, conversation: str) -> Sequence[File]:
        return ()

    async def download(self, conversation: str, ref: str) -> AsyncIterator[bytes]:
        assert conversation == "conv"
        self.asked += 1
        if ref == "missing":
            raise NotFound("gone")
        if ref == "away":
            raise Unavailable("away")
        try:
            for _ in range(self.pieces):
                await asyncio.sleep(0)
                self.taken += 1
                yield PIECE
                if ref == "breaks":
                    raise Unavailable("in mid-file")
                if self.gate is not None:
                    await self.gate.wait()
        finally:
            self.closed += 1


class Town:
    def __init__(self, base: str, agent: Archive) -> None:
        self.agent = agent
        self.links = Links(base, SecretStr("k" * 32), 24)
        self.client = httpx.AsyncClient()

    def url(self, ref: str = "given", name: str = "a.txt", agent: str = "support") -> str:
        url = self.links.url(Linked(agent, "conv", ref, name, "slack:U1"))
        assert url is not None
        return url


@asynccontextmanager
async def served(agent: Archive) -> AsyncIterator[Town]:
    known = Links("http://127.0.0.1", SecretStr("k" * 32), 24)
    routes = link_routes(known, {"support": agent, "mute": ScriptedAgent(Backend())})
    async with web.http_server(Starlette(routes=routes), "127.0.0.1", 0) as (_, port):
        town = Town(f"http://127.0.0.1:{port}", agent)
        async with town.client:
            yield town


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    async with served(Archive(Backend())) as town:
        yield town


def test_without_a_key_there_is_no_such_address() -> None:
    assert link_routes(None, {}) == []


async def test_the_file_comes_whole_and_as_a_download(town: Town) -> None:
    answer = await town.client.get(town.url(name='../"é\r\nX: 1.html'))
    assert answer.status_code == 200
    assert answer.content == PIECE * 3
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''_%C3%A9X_%201.html"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "x" not in answer.headers
    assert town.agent.closed == 1


async def test_a_head_asks_nobody(town: Town) -> None:
    answer = await town.client.head(town.url())
    assert (answer.status_code, town.agent.asked) == (200, 0)


@pytest.mark.parametrize(
    ("how", "status", "sentence"),
    [
        ("forged", 404, file_links.FORGED),
        ("expired", 410, file_links.EXPIRED),
        ("missing", 404, file_links.GONE),
        ("away", 502, file_links.FAILED),
        ("another agent", 404, file_links.GONE),
        ("an agent without files", 404, file_links.GONE),
    ],
)
async def test_what_cannot_be_had_is_a_sentence(town: Town, how: str, status: int, sentence: str) -> None:
    expired = Links(town.url().partition("/files/")[0], SecretStr("k" * 32), -1)
    url = {
        "forged": f"{town.url()}x",
        "expired": expired.url(Linked("support", "conv", "given", "a.txt")) or "",
        "missing": town.url("missing"),
        "away": town.url("away"),
        "another agent": town.url(agent="gone"),
        "an agent without files": town.url(agent="mute"),
    }[how]
    answer = await town.client.get(url)
    assert (answer.status_code, answer.text.strip()) == (status, sentence)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert town.agent.closed == 0


async def test_nothing_is_listed(town: Town) -> None:
    base = town.url().partition("/files/")[0]
    for path in ("/files", "/files/", "/files/a/b"):
        assert (await town.client.get(f"{base}{path}")).status_code == 404


async def test_a_file_that_breaks_off_is_no_whole_one(town: Town) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await town.client.get(town.url("breaks"))
    assert town.agent.closed == 1


async def test_who_goes_away_ends_it(town: Town) -> None:
    town.agent.pieces = 10_000
    async with town.client.stream("GET", town.url()) as answer:
        await anext(answer.aiter_bytes())
    await eventually(lambda: town.agent.closed == 1)
    assert town.agent.taken < 10_000


async def test_so_many_at_once_and_so_often(town: Town) -> None:
    town.agent.gate = asyncio.Event()
    urls = [town.url(f"r{number}") for number in range(file_links.AT_ONCE)]
    first = [asyncio.create_task(town.client.get(url)) for url in urls]
    await eventually(lambda: town.agent.asked == file_links.AT_ONCE)
    refused = await town.client.get(town.url())
    assert (refused.status_code, refused.headers["retry-after"]) == (503, file_links.BUSY_FOR)
    town.agent.gate.set()
    assert [one.status_code for one in await asyncio.gather(*first)] == [200] * file_links.AT_ONCE
    statuses = [(await town.client.get(town.url("r0"))).status_code for _ in range(file_links.OFTEN)]
    assert statuses == [200] * (file_links.OFTEN - 1) + [429]


async def test_a_shutdown_does_not_wait_for_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "ENDS_WITHIN", 0.1)
    agent = Archive(Backend())
    agent.gate = asyncio.Event()
    async with served(agent) as town:
        fetching = asyncio.create_task(town.client.get(town.url()))
        await eventually(lambda: agent.taken)
    with pytest.raises(httpx.HTTPError):
        await fetching
    assert agent.closed == 1
