"""The REST side: who may ask, how often, and which function answers."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message as AsgiMessage

from adapters.testing.serving import hang_up
from bridge.playground.discord.errors import (
    ApiError,
    bad_json,
    invalid_form,
    method_not_allowed,
    not_found,
    too_large,
    unauthorized,
)
from bridge.playground.discord.faults import Fault
from bridge.playground.discord.files import MAX_REQUEST
from bridge.playground.discord.limits import Bucket, too_many_requests
from bridge.playground.discord.model import Call, Json, Upload
from bridge.playground.discord.state import State

MAX_BODY = MAX_REQUEST + 2 * 1024 * 1024  # bytes: the files and what is around them
MAX_FIELD = 1024 * 1024  # bytes of `payload_json`

_FILE_FIELD = re.compile(r"files\[(\d+)\]")


@dataclass(slots=True)
class Asked:
    """A request, read and let in."""

    params: dict[str, str]
    query: dict[str, str]
    body: Any
    files: dict[int, Upload] = field(default_factory=dict)

    @property
    def form(self) -> Json:
        """The body as an object."""
        if not isinstance(self.body, dict):
            raise invalid_form("", "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
        return self.body

    def id(self, name: str) -> int:
        """A snowflake in the path."""
        return read_id(name, self.params[name])

    def query_id(self, name: str) -> int | None:
        """A snowflake in the query."""
        return None if self.query.get(name) is None else read_id(name, self.query[name])

    def limit(self, default: int, most: int) -> int:
        """How many the query wants, from 1 to `most`."""
        value = self.query.get("limit", str(default))
        if not value.isdigit() or not 1 <= int(value) <= most:
            raise invalid_form("limit", "NUMBER_TYPE_MAX", f"int value should be between 1 and {most}.")
        return int(value)


def read_id(name: str, value: object) -> int:
    text = str(value)
    if not text.isdigit():
        raise invalid_form(name, "NUMBER_TYPE_COERCE", f'Value "{text}" is not snowflake.')
    return int(text)


Answer = Json | list[Json] | None
"""None is 204 without a body."""

Handler = Callable[[State, Asked], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path, and what answers it. routes that are not `guarded` carry a token in the path."""

    method: str
    path: re.Pattern[str]
    handler: Handler
    bucket: Bucket | None
    major: str
    guarded: bool
    status: int


class Routes:
    """Collects the routes of a module by decorator."""

    def __init__(self) -> None:
        self.all: list[Route] = []

    def on(
        self,
        method: str,
        path: str,
        *,
        bucket: Bucket | None = None,
        major: str = "channel",
        guarded: bool = True,
        status: int = 200,
    ) -> Callable[[Handler], Handler]:
        """`{name}` in the path is any one part of it. The rate limit's `bucket` is counted for each value of the
        part named `major`."""
        pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))

        def register(handler: Handler) -> Handler:
            self.all.append(Route(method, pattern, handler, bucket, major, guarded, status))
            return handler

        return register


class Rest:
    """Answers the API's requests, with the faults that are switched on."""

    def __init__(self, world: State, routes: list[Route]) -> None:
        self._world = world
        self._routes = routes

    async def answer(self, request: Request) -> Response:
        world = self._world
        learn_base_url(world, request)
        path = "/" + request.path_params["path"]
        call = Call(request.method, path, world.clock(), dict(request.query_params))
        world.record(call)
        faults = world.faults.take(f"{call.method} {path}")
        response = await meet(request, call, [fault for fault in faults if not fault.after])
        if response is None:
            response = await self._answer(request, call)
            hit = await meet(request, call, [fault for fault in faults if fault.after])
            response = hit or response
        world.stir()
        return response

    async def _answer(self, request: Request, call: Call) -> Response:
        headers: dict[str, str] = {}
        try:
            async with _read(request) as (body, files):
                call.body = body
                call.files = tuple(upload.name for upload in files.values())
                route, params = self._find(call)
                self._let_in(request, route, params, headers)
                answer = route.handler(self._world, Asked(params, call.query, body, files))
        except ApiError as refusal:
            return _refusal(call, refusal, headers)
        if answer is None:
            call.status = 204
            return Response(status_code=204, headers=headers)
        call.status = route.status
        return _json(answer, route.status, headers)

    def _find(self, call: Call) -> tuple[Route, dict[str, str]]:
        known = False
        for route in self._routes:
            found = route.path.fullmatch(call.path)
            if found is not None and route.method == call.method:
                return route, found.groupdict()
            known = known or found is not None
        raise method_not_allowed() if known else not_found()

    def _let_in(self, request: Request, route: Route, params: Mapping[str, str], headers: dict[str, str]) -> None:
        if route.guarded:
            if request.headers.get("authorization") != f"Bot {self._world.token}":
                raise unauthorized()
            self._world.limits.take_global()
        if route.bucket is not None:
            headers |= self._world.limits.take(route.bucket, params[route.major])


async def meet(request: Request, call: Call, faults: list[Fault]) -> Response | None:
    """Let the call meet these faults. Returns the answer if they leave it with one of their own."""
    for fault in faults:
        match fault.trouble:
            case "delay":
                await asyncio.sleep(fault.seconds)
            case "hang_up":
                call.status = 0
                hang_up(request.scope)
                return Response(status_code=499)  # goes nowhere
            case "throttle":
                return _refusal(call, too_many_requests(fault.seconds, everywhere=fault.everywhere), {})
            case "refuse" if fault.code:
                return _refusal(call, ApiError(fault.status, fault.code, fault.message), {})
            case "refuse":
                call.status = fault.status
                return PlainTextResponse(fault.message, fault.status, media_type="text/html")
    return None


def learn_base_url(world: State, connection: HTTPConnection) -> None:
    """The first one who asks tells under which address the world is reached."""
    if not world.base_url:
        secure = connection.url.scheme in ("https", "wss")
        below = connection.scope.get("root_path", "").rstrip("/")
        world.base_url = f"{'https' if secure else 'http'}://{connection.url.netloc}{below}"


@asynccontextmanager
async def _read(request: Request) -> AsyncIterator[tuple[Any, dict[int, Upload]]]:
    """The body and the files of a request, JSON or multipart."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        limited = Request(request.scope, _counting(request))
        try:
            async with limited.form(max_part_size=MAX_FIELD) as form:
                yield await _read_form(form)
        except HTTPException:
            raise bad_json() from None
        return
    data = b"".join([chunk async for chunk in Request(request.scope, _counting(request)).stream()])
    if not data:
        yield {}, {}
        return
    if kind != "application/json":
        raise invalid_form("", "CONTENT_TYPE_INVALID", 'Expected "Content-Type" header to be "application/json".')
    yield _parse(data), {}


async def _read_form(form: FormData) -> tuple[Any, dict[int, Upload]]:
    body: Any = {}
    files: dict[int, Upload] = {}
    for name, value in form.multi_items():
        number = _FILE_FIELD.fullmatch(name)
        if isinstance(value, UploadFile):
            if number is not None:
                media_type = value.content_type or ""
                files[int(number[1])] = Upload(value.filename or "unknown", media_type, await value.read())
        elif name == "payload_json":
            body = _parse(value.encode())
    return body, files


def _parse(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        raise bad_json() from None


def _counting(request: Request) -> Callable[[], Any]:
    read = 0

    async def receive() -> AsgiMessage:
        nonlocal read
        message = await request.receive()
        read += len(message.get("body", b""))
        if read > MAX_BODY:
            raise too_large()
        return message

    return receive


def _refusal(call: Call, refusal: ApiError, headers: dict[str, str]) -> Response:
    call.status, call.code = refusal.status, refusal.code
    return _json(refusal.body, refusal.status, headers | refusal.headers)


def _json(content: object, status: int, headers: Mapping[str, str]) -> Response:
    # the SDK reads JSON only when the content type is exactly this
    return Response(json.dumps(content), status, dict(headers), media_type="application/json")
