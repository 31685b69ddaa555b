"""What the simulated backends share: operations with faults, the key, the runs, and the count of questions.

A simulator is strict: what the real service would refuse it refuses, and what an adapter must never do (a second
question while the first is worked on) stands in `violations`.
"""

from __future__ import annotations

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from adapters.base import Decision
from adapters.person import PERSON_HEADER, TOKEN_HEADER
from adapters.testing.backends.brain import Blob, Plan, think
from adapters.testing.backends.faults import CutOff, Fault, Faults
from adapters.testing.serving import hang_up

PACE = 0.04  # seconds from word to word: about how fast a model talks
SLOWER = 10  # times, when told to be slow
MAX_BODY = 100 * 2**20  # bytes of an upload
REMEMBERED = 10_000  # calls and questions kept, the oldest forgotten first

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that the backend took."""

    conversation: str
    text: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """What one request said of who asks."""

    operation: str
    person: Mapping[str, Any]  # the header's
    token: str
    fields: Mapping[str, Any]  # what else the service has for it


class Run:
    """The agent at work on one question. How far it is follows from the clock, so that nothing runs on its own.

    `held` keeps it from ending until it is set to False.
    """

    def __init__(self, plan: Plan, pace: float, *, held: bool = False) -> None:
        self.plan = plan
        self.held = held
        self.aborted = False
        self.settled = False  # its results are in the conversation; the backend's business
        self._pace = pace * (SLOWER if plan.slow else 1)
        self._begun = time.monotonic()

    @property
    def said(self) -> int:
        """How many of the pieces were said."""
        if self.held:
            return min(2, len(self.plan.pieces) - 1)
        if not self._pace:
            return len(self.plan.pieces)
        return min(int((time.monotonic() - self._begun) / self._pace), len(self.plan.pieces))

    @property
    def over(self) -> bool:
        return self.aborted or (not self.held and self.said == len(self.plan.pieces))

    async def deltas(self) -> AsyncIterator[str]:
        """The pieces as they are said, to the end."""
        sent = 0
        while True:
            over = self.over
            for piece in self.plan.pieces[sent : self.said]:
                yield piece
                sent += 1
            if over:
                return
            await asyncio.sleep(min(self._pace or 0.01, 0.1))


class Backend(ABC):
    """Base of the simulators: `app` is mounted or served, `key` is what it wants to see.

    A subclass gives `routes()` (each handler wrapped by `operation`), `authorized` and `refusal`.
    """

    def __init__(self, *, key: str = "sk_simulated", pace: float = PACE) -> None:
        self.key = key
        self.pace = pace
        self.hold = False  # new runs don't end until `release`
        self.faults = Faults()
        self.said: list[str] = []  # the texts of the next answers, instead of what the brain would say
        self.think: Callable[[str, Sequence[Blob], Sequence[str]], Plan] = think
        self.gifts: list[Blob] = []  # files that the next run makes besides its own
        self.questions: list[Asked] = []
        self.violations: list[str] = []
        self.decisions: list[Decision] = []  # on what a run asked leave for
        self.ratings: dict[str, tuple[bool, str]] = {}  # of answers, by the question
        self.told: list[Told] = []  # by the requests that said anything of who asks
        self.traced: list[str | None] = []  # the `traceparent` of each request
        self.calls: list[str] = []  # names of operations, in order, refused ones too
        self._runs: dict[str, Run] = {}
        self.app = Starlette(
            routes=self.routes(),
            exception_handlers={HTTPException: self._http_exception},
        )

    # --- for a subclass to give

    @abstractmethod
    def routes(self) -> list[Route]: ...

    @abstractmethod
    def authorized(self, request: Request) -> bool: ...

    def refusal(self, status: int, message: str) -> Response:
        """An error in the service's own form."""
        return JSONResponse({"message": message}, status)

    async def person_fields(self, operation: str, request: Request) -> Mapping[str, Any]:  # noqa: ARG002
        """What a request's body says of who asks, where the service has a field for it."""
        return {}

    # --- for tests

    def count(self, conversation: str | None = None) -> int:
        """How many questions were taken, in all or in one conversation."""
        return sum(1 for asked in self.questions if conversation in {None, asked.conversation})

    def times(self) -> Counter[str]:
        """How often each operation was called."""
        return Counter(self.calls)

    def release(self) -> None:
        """Let the runs that are held go on, and hold no more."""
        self.hold = False
        for run in self._runs.values():
            run.held = False

    # --- for a subclass to use

    def operation(self, name: str, path: str, handler: Handler, method: str = "GET") -> Route:
        """A route whose calls are counted, need the key and are subject to faults."""

        async def endpoint(request: Request) -> Response:
            self.calls.append(name)
            del self.calls[:-REMEMBERED]
            self.traced.append(request.headers.get("traceparent"))
            del self.traced[:-REMEMBERED]
            await self._note(name, request)
            fault = self.faults.take(name)
            if fault and fault.when == "before":
                return await self._fault(request, fault)
            if not self.authorized(request):
                return self.refusal(401, "Unauthorized")
            if fault and fault.when == "through":
                await asyncio.sleep(fault.delay)
            response = await handler(request)
            if fault and fault.when == "after":
                return await self._fault(request, fault)
            return self._streamed(request, response, fault)

        return Route(path, endpoint, methods=[method], name=name)

    def begin(self, conversation: str, text: str, uploads: list[Blob], earlier: list[str]) -> Run:
        """Take a question: count it and begin a run."""
        running = self._runs.get(conversation)
        if running and not running.over:
            self.violations.append(f"{conversation}: asked {text!r} while still at work")
        self.questions.append(Asked(conversation, text, tuple(upload.name for upload in uploads)))
        del self.questions[:-REMEMBERED]
        plan = Plan(self.said.pop(0)) if self.said else self.think(text, uploads, earlier)
        if self.gifts:
            plan = replace(plan, files=(*plan.files, *self.gifts))
            self.gifts = []
        run = Run(plan, self.pace, held=self.hold)
        self._runs[conversation] = run
        return run

    def run_of(self, conversation: str) -> Run | None:
        """The latest run of a conversation."""
        return self._runs.get(conversation)

    async def body(self, request: Request) -> dict[str, Any]:
        """The request's JSON object; a 422 for anything else."""
        try:
            value = json.loads(await request.body())
        except ValueError:
            raise HTTPException(422, "the body isn't JSON") from None
        if not isinstance(value, dict):
            raise HTTPException(422, "the body isn't an object")
        return value

    async def uploads(self, request: Request, field: str) -> list[Blob]:
        """The files of a multipart form; a 422 if there is none."""
        async with request.form(max_part_size=MAX_BODY) as form:
            found = [item for item in form.getlist(field) if not isinstance(item, str)]
            if not found:
                raise HTTPException(422, f"no file in {field!r}")
            return [
                Blob(item.filename or "", item.content_type or "application/octet-stream", await item.read())
                for item in found
            ]

    async def _note(self, operation: str, request: Request) -> None:
        person = json.loads(request.headers.get(PERSON_HEADER, "{}"))
        token = request.headers.get(TOKEN_HEADER, "")
        fields = await self.person_fields(operation, request)
        if person or token or fields:
            self.told.append(Told(operation, person, token, fields))
            del self.told[:-REMEMBERED]

    async def _fault(self, request: Request, fault: Fault) -> Response:
        await asyncio.sleep(fault.delay)
        if fault.stall:
            self.faults.stalled.set()
            while (await request.receive())["type"] != "http.disconnect":
                pass
        if fault.drop:
            hang_up(request.scope)
        return Response(fault.body, fault.status, dict(fault.headers), media_type=fault.media_type)

    def _streamed(self, request: Request, response: Response, fault: Fault | None) -> Response:
        if fault and fault.mangle and isinstance(response, StreamingResponse):
            chunks = fault.mangle(_as_bytes(response.body_iterator))

            async def mangled() -> AsyncIterator[bytes]:
                try:
                    async for chunk in chunks:
                        yield chunk
                except CutOff:
                    await asyncio.sleep(0.02)  # what was sent leaves the socket's buffer first
                    hang_up(request.scope)

            response.body_iterator = mangled()
        return response

    async def _http_exception(self, _: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        return self.refusal(error.status_code, error.detail)


async def _as_bytes(chunks: Any) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield chunk.encode() if isinstance(chunk, str) else bytes(chunk)
