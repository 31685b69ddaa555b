"""`GET /files/TOKEN`: a file that was too large for its platform, for whoever holds the link.

Its bytes come from the agent's service while they are sent, in pieces. Nothing is asked of anybody before the token's
signature is verified, and nothing is ever shown by a browser as a page of this address.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, MutableMapping
from urllib.parse import quote

import structlog
from cachetools import TTLCache
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from adapters.base import Agent, AgentError, Files, NotFound
from adapters.text import safe_name
from bridge.turns.links import PATH, Expired, Linked, Links, NoLink

log = structlog.get_logger()

AT_ONCE = 8  # files on their way
OFTEN = 10  # requests for one link within `WINDOW`: a browser asks again for what broke off
WINDOW = 60.0  # seconds
REMEMBERED = 10_000  # links that were asked for lately
FIRST_WITHIN = 60.0  # seconds until the service gives the first bytes
SECONDS = 3_600.0  # for one file: its reader may be slow
BUSY_FOR = "30"  # seconds after which to come again

FORGED = "This link isn't one of ours, or it was cut off when it was copied."
EXPIRED = "This link's time is over. Ask for the file again in the conversation: `download` gives a new one."
GONE = "The file is no longer there."
FAILED = "The file can't be fetched right now. Please try again later."
BUSY = "Too many files are being fetched right now. Please try again in half a minute."
TOO_OFTEN = "This link is being used too often. Please try again in a minute."

SAFE = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}


class FileLinks:
    """Answers for the links that `links` made."""

    def __init__(
        self, links: Links, agents: Mapping[str, Agent], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._links = links
        self._agents = agents
        self._under_way = 0
        self._asked: MutableMapping[str, int] = TTLCache(REMEMBERED, WINDOW, clock)

    async def serve(self, request: Request) -> Response:
        token = request.path_params["token"]
        try:
            linked = self._links.read(token)
        except Expired:
            return _said(EXPIRED, 410)
        except NoLink:
            return _said(FORGED, 404)
        agent: object = self._agents.get(linked.agent)
        if not isinstance(agent, Files):
            return _said(GONE, 404)
        if request.method == "HEAD":  # a preview, or a manager of downloads: the service isn't asked for it
            return Response(headers=_headers(linked))
        self._asked[token] = asked = self._asked.get(token, 0) + 1
        if asked > OFTEN:
            return _said(TOO_OFTEN, 429, {"Retry-After": str(round(WINDOW))})
        if self._under_way >= AT_ONCE:
            return _said(BUSY, 503, {"Retry-After": BUSY_FOR})
        log.info("file by link", agent=linked.agent, person=linked.person)
        return await self._answer(linked, self._counted(agent.download(linked.conversation, linked.ref)))

    async def _answer(self, linked: Linked, pieces: AsyncGenerator[bytes, None]) -> Response:
        """Once the first piece is there: what goes wrong before it has a status of its own."""
        try:
            async with asyncio.timeout(FIRST_WITHIN):
                first = await anext(pieces, b"")
        except NotFound:
            await pieces.aclose()
            return _said(GONE, 404)
        except (AgentError, TimeoutError) as error:
            await pieces.aclose()
            log.warning("file by link failed", agent=linked.agent, error=type(error).__name__)
            return _said(FAILED, 502)
        except BaseException:
            await pieces.aclose()
            raise
        return _Streamed(first, pieces, linked)

    async def _counted(self, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        self._under_way += 1
        try:
            async for piece in pieces:
                yield piece
        finally:
            self._under_way -= 1
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()


class _Streamed(StreamingResponse):
    """Lets go of the service however it ends: its reader may be gone, or take nothing."""

    def __init__(self, first: bytes, pieces: AsyncGenerator[bytes, None], linked: Linked) -> None:
        super().__init__(_all(first, pieces), headers=_headers(linked))
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                await super().__call__(scope, receive, send)
        finally:
            await self._pieces.aclose()


async def _all(first: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in pieces:
        yield piece


def link_routes(links: Links | None, agents: Mapping[str, Agent]) -> list[Route]:
    """None where links aren't switched on."""
    if links is None:
        return []
    return [Route(f"{PATH}{{token}}", FileLinks(links, agents).serve, methods=["GET"])]


def _headers(linked: Linked) -> dict[str, str]:
    name = quote(safe_name(linked.name), safe="")
    return {
        **SAFE,
        "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
        "Content-Type": "application/octet-stream",
    }


def _said(sentence: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return PlainTextResponse(f"{sentence}\n", status, headers={**SAFE, **(headers or {})})
