"""A simulator as the adapters' contract suite sees it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from adapters.base import Agent, Decision
from adapters.http.service import create_client
from adapters.http.transport import Transport
from adapters.testing.backends import faults
from adapters.testing.backends.base import Backend
from adapters.testing.backends.faults import Fault
from adapters.testing.serving import serve

PACE = 0.0001  # seconds from word to word
ENDLESS = 17 * 2**20  # bytes of an answer, more than an adapter holds in memory
HUGE = 4 * 2**20  # bytes of an event

A_co = TypeVar("A_co", bound=Agent, covariant=True)


class BackendWorld(Generic[A_co]):
    """`make` makes an agent for an address and the key of `backend`. `operations` names the backend's operations
    for each step that the adapter takes."""

    def __init__(
        self,
        backend: Backend,
        make: Callable[[str, httpx.AsyncClient], A_co],
        operations: Mapping[str, Sequence[str]],
        url: str,
        elsewhere: str,
        heard_elsewhere: list[str],
        client: httpx.AsyncClient,
    ) -> None:
        self.backend = backend
        self.key = backend.key
        self.steps: Collection[str] = operations.keys()
        self.url = url
        self._make = make
        self._operations = operations
        self._elsewhere = elsewhere
        self._heard_elsewhere = heard_elsewhere
        self._client = client

    def agent(self) -> A_co:
        return self._make(self.url, self._client)

    def unreachable(self) -> A_co:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        return self._make(f"http://127.0.0.1:{port}", self._client)

    def asked(self) -> int:
        return self.backend.count()

    def violations(self) -> Sequence[str]:
        return self.backend.violations

    def told(self) -> Sequence[Mapping[str, Any]]:
        return [{**told.person, "token": told.token} if told.token else told.person for told in self.backend.told]

    def traced(self) -> Sequence[str | None]:
        return self.backend.traced

    def traced_elsewhere(self) -> bool:
        return any("traceparent" in heard for heard in self._heard_elsewhere)

    def decided(self) -> Sequence[Decision]:
        return self.backend.decisions

    def rated(self) -> Mapping[str, tuple[bool, str]]:
        return self.backend.ratings

    def say(self, text: str) -> None:
        self.backend.said.append(text)

    def hold(self) -> None:
        self.backend.hold = True

    def release(self) -> None:
        self.backend.release()

    def fail(self, step: str, trouble: str, times: int = 1) -> None:
        for operation in self._operations[step]:
            self.backend.faults.add(operation, self._fault(trouble), times=times)

    def stall(self, nth: int) -> None:
        self.backend.faults.stall(nth)

    async def stalled(self) -> None:
        await self.backend.faults.stalled.wait()

    def mend(self) -> None:
        self.backend.faults.clear()

    def leaked(self) -> bool:
        return any(self.key in heard for heard in self._heard_elsewhere)

    def _fault(self, trouble: str) -> Fault:
        if trouble == "endless":
            return faults.garbage(b'["' + b"x" * ENDLESS + b'"]', "application/json")
        return {
            "dropped before": faults.drop(),
            "dropped after": faults.drop(after=True),
            "unauthorized": faults.refuse(401),
            "not found": faults.refuse(404),
            "rejected": faults.refuse(400),
            "limited": faults.refuse(429),
            "limited briefly": faults.refuse(429, Retry_After="1"),
            "limited for long": faults.refuse(429, Retry_After="600"),
            "down": faults.refuse(503),
            "garbage": faults.garbage(),
            "redirected": faults.redirect(f"{self._elsewhere}/elsewhere"),
            "cut": faults.cut(),
            "crlf": faults.crlf(),
            "commented": faults.commented(),
            "dribbled": faults.dribbled(),
            "huge event": faults.huge(HUGE),
        }[trouble]


def _client() -> httpx.AsyncClient:
    """The adapters' client without certificates, which take long to load and are of no use here."""
    return create_client(transport=Transport(verify=False))


@asynccontextmanager
async def world_of(
    backend: Backend,
    make: Callable[[str, httpx.AsyncClient], A_co],
    operations: Mapping[str, Sequence[str]],
) -> AsyncIterator[BackendWorld[A_co]]:
    """Serve `backend` and another origin beside it."""
    heard: list[str] = []

    async def listen(request: Request) -> Response:
        body = (await request.body()).decode("utf-8", "replace")
        heard.append(f"{request.url} {request.headers.items()} {body}")
        return JSONResponse({})

    other = Starlette(routes=[Route("/{path:path}", listen, methods=["GET", "POST", "PUT", "DELETE"])])
    async with serve(backend.app) as url, serve(other) as elsewhere, _client() as client:
        yield BackendWorld(backend, make, operations, url, elsewhere, heard, client)
