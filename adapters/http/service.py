"""What the adapters share of HTTP: one client, a `Service` per backend, streams, files.

What goes wrong becomes one of the errors of `adapters.base`, with a detail for the log that holds no secret. What
may be repeated, and when nobody can tell what became of a request, is in `adapters.http.failures`.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import IO, Any
from urllib.parse import quote

import httpx
from httpx_sse import ServerSentEvent
from opentelemetry.trace import Tracer, get_tracer
from pydantic import SecretStr

from adapters.base import Attachment, AuthenticationFailed, Person, ProtocolError, Rejected, Unavailable
from adapters.http.addresses import led, origin
from adapters.http.bounds import BOUND, CODINGS
from adapters.http.failures import Failed, WrongAddress, broken, refused, tries, unanswered
from adapters.http.outgoing import opened
from adapters.http.secret import Headers, without
from adapters.http.sse import EventDecoder, EventTooLong
from adapters.http.tracing import at_home
from adapters.http.transport import Client
from adapters.http.wire import message_in
from adapters.person import as_headers
from adapters.sentences import FILE_TOO_LARGE
from adapters.text import one_line, safe_name, scrub

CONNECT_TIMEOUT = 10.0  # seconds
READ_TIMEOUT = 60.0  # seconds between two chunks of an ordinary answer
WRITE_TIMEOUT = 60.0  # seconds for one chunk of an upload
POOL_TIMEOUT = 10.0  # seconds in wait for a free connection
STREAM_TIMEOUT = 300.0  # seconds of silence in a stream: agents think and run tools without a word
ANSWER_TIMEOUT = 900.0  # seconds for a call that returns only with the answer; a turn's default deadline

MAX_CONNECTIONS = 900  # under the usual limit of 1,024 open files
MAX_KEPT_ALIVE = 100
KEEP_ALIVE = 30.0  # seconds

MAX_JSON = 16 * 2**20  # bytes of an answer that is held in memory
MAX_ERROR = 64 * 2**10  # bytes read of an error's body
MAX_DOWNLOAD = 2**30  # bytes; Slack takes 1 GB, Discord less
CHUNK = 64 * 2**10  # bytes
MAX_REDIRECTS = 5
LINGER = 0.03  # seconds that a stream gets to end after its last event

_REDIRECTS = {301, 302, 303, 307, 308}


def create_client(
    *, transport: httpx.AsyncBaseTransport | None = None, tracer: Tracer | None = None
) -> httpx.AsyncClient:
    """The client that all adapters share: it keeps connections alive, follows no redirect by itself and takes no
    cookies, so that two agents on one host stay strangers. Close it when the last adapter is done. `tracer` makes
    spans of the requests within a trace; without it the tracer of this process's OpenTelemetry, which is none where
    nothing was set up."""
    return Client(
        tracer=tracer or get_tracer("threadbridge.adapters"),
        timeout=httpx.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT, write=WRITE_TIMEOUT, pool=POOL_TIMEOUT),
        limits=httpx.Limits(
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_KEPT_ALIVE,
            keepalive_expiry=KEEP_ALIVE,
        ),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        headers={"User-Agent": "threadbridge", "Accept-Encoding": CODINGS},
        follow_redirects=False,
        transport=transport,
    )


def segment(value: str) -> str:
    """An id or a name as one segment of a path, whatever it holds."""
    if value in {"", ".", ".."}:
        raise ProtocolError(f"{value!r} can't be part of an address")
    return quote(value, safe="", errors="replace")


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer, held in memory."""

    status: int
    headers: httpx.Headers
    content: bytes
    called: str  # "toqan GET /get_answer", for details

    def json(self) -> Any:
        """The body as JSON; None for an empty one. Raises `ProtocolError`."""
        if not self.content.strip():
            return None
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError) as error:
            kind = one_line(self.headers.get("content-type", "no content type"), 60)
            raise ProtocolError(f"{self.called}: {self.status} with {kind} that isn't JSON") from error


class Stream:
    """An answer that is being sent. Iterate for its events, or call `json` where `is_json`: the service answered
    in one piece although it was asked to stream.

    A stream that breaks off raises `Unavailable`, one that falls silent `TimedOut`: the question has arrived.
    """

    def __init__(self, response: httpx.Response, called: str, decoder: EventDecoder, *, once: bool) -> None:
        self.headers = response.headers
        self.is_json = media_type(response) != "text/event-stream"
        self._response = response
        self._called = called
        self._decoder = decoder
        self._once = once
        self._chunks = response.aiter_bytes()
        self._ready: deque[ServerSentEvent] = deque()
        self._ended = False

    async def json(self) -> Any:
        """The whole body. Raises `ProtocolError`; if it breaks off, the same as `Service.request`."""
        try:
            content = await _read(self._response, MAX_JSON, self._called)
        except httpx.HTTPError as error:
            raise unanswered(error, f"{self._called}: {type(error).__name__}", once=self._once).error from error
        return Reply(self._response.status_code, self.headers, content, self._called).json()

    async def finish(self) -> None:
        """Read what little may follow the last event that matters, so that the connection can be used again."""
        if self.is_json or self._ended:
            return
        with suppress(httpx.HTTPError, TimeoutError):
            async with asyncio.timeout(LINGER):
                async for _ in self._chunks:
                    pass

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> ServerSentEvent:
        try:
            while not self._ready and not self._ended:
                try:
                    self._ready.extend(self._decoder.feed(await anext(self._chunks)))
                except StopAsyncIteration:
                    self._ended = True
                    self._ready.extend(self._decoder.end())
        except EventTooLong as error:
            raise ProtocolError(f"{self._called}: {error}") from error
        except httpx.HTTPError as error:
            raise broken(error, self._called) from error
        if not self._ready:
            raise StopAsyncIteration
        return self._ready.popleft()


class Service:
    """A backend at its address. `path` begins with a slash; ids in it go through `segment`.

    `secret` is what must never stand in a detail: the key that `headers` carry. `file_origins`: where a download
    may be redirected to although it is no public address. `home`: the agent's own addresses, where `base_url` isn't
    one of them; they alone are told of the current trace.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        base_url: str,
        *,
        name: str,
        headers: Mapping[str, str],
        secret: SecretStr | None = None,
        file_origins: Collection[str] = (),
        home: Sequence[str] | None = None,
    ) -> None:
        self.name = name
        self._file_origins = file_origins
        self._client = client
        self._base = base_url.rstrip("/")
        self._home = (base_url,) if home is None else tuple(home)
        self._headers = Headers(headers)
        self._secret = secret

    async def get_json(self, path: str, *, params: Mapping[str, Any] | None = None, json: Any = None) -> Any:
        reply = await self.request("GET", path, params=params, json=json)
        return reply.json()

    async def post_json(
        self,
        path: str,
        json: Any = None,
        *,
        once: bool = True,
        timeout: float = READ_TIMEOUT,
        person: Person | None = None,
    ) -> Any:
        """`once=False` for a POST that only reads, or that does no harm when it is repeated. `person`: who asks, told
        by headers."""
        reply = await self.request("POST", path, json=json, once=once, timeout=timeout, person=person)
        return reply.json()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        once: bool | None = None,
        accept: Collection[int] = (),
        timeout: float = READ_TIMEOUT,
        person: Person | None = None,
    ) -> Reply:
        """The whole answer. `once` is by default what POST and PATCH are. The statuses in `accept` are handed back
        instead of raised or retried. `timeout`: seconds of silence. `person`: who asks, told by headers."""

        call = self._call(method, path, once, accept, person)
        return await self._whole(call, params=params, json=json, timeout=timeout)

    async def upload(
        self,
        path: str,
        attachments: Sequence[Attachment],
        *,
        method: str = "POST",
        field: str = "file",
        data: Mapping[str, str] | None = None,
        once: bool = False,
        timeout: float = READ_TIMEOUT,
    ) -> Any:
        """Send files as a multipart form, read from disk while they are sent; the JSON that comes back. `timeout`:
        seconds of silence."""

        call = self._call(method, path, once, ())
        return (await self._whole(call, uploads=(field, attachments), data=data, timeout=timeout)).json()

    async def download(
        self,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        max_bytes: int = MAX_DOWNLOAD,
    ) -> AsyncIterator[bytes]:
        """A file's bytes in chunks. A redirect may lead to another origin, which never sees the key.
        Raises `Rejected` where the file is larger than `max_bytes`."""
        call = self._call("GET", path, once=False, accept=())
        async with AsyncExitStack() as stack:

            async def send() -> httpx.Response:
                return await self._open(stack, call, params=params, json=json, elsewhere=True)

            response = await tries(send)
            read = 0
            try:
                async for chunk in response.aiter_bytes(CHUNK):
                    read += len(chunk)
                    if read > max_bytes:
                        raise Rejected(f"{call.name}: more than {max_bytes} bytes", sentence=FILE_TOO_LARGE)
                    yield chunk
            except httpx.HTTPError as error:
                raise broken(error, call.name) from error

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        json: Any = None,
        *,
        method: str = "POST",
        once: bool = True,
        accept: Collection[int] = (),
        unseparated: bool = False,
        timeout: float = STREAM_TIMEOUT,
        person: Person | None = None,
    ) -> AsyncIterator[Stream]:
        """Open a stream of server-sent events. Errors up to the first byte are those of `request`, and so are
        `accept` and `person`; what is neither events nor JSON is a `ProtocolError`. `unseparated`: see
        `EventDecoder`."""
        call = self._call(method, path, once, accept, person)
        async with AsyncExitStack() as stack:

            async def send() -> httpx.Response:
                headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
                return await self._open(stack, call, json=json, headers=headers, timeout=timeout)

            response = await tries(send)
            kind = media_type(response)
            if kind not in {"text/event-stream", "application/json"} and not kind.endswith("+json"):
                raise ProtocolError(f"{call.name}: {kind or 'no content type'} instead of events")
            stream = Stream(response, call.name, EventDecoder(unseparated=unseparated), once=once)
            yield stream
            await stream.finish()

    async def _whole(
        self,
        call: _Call,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        uploads: tuple[str, Sequence[Attachment]] | None = None,
        data: Mapping[str, str] | None = None,
        timeout: float = READ_TIMEOUT,
    ) -> Reply:
        async def send() -> Reply:
            async with AsyncExitStack() as stack:
                field, attachments = uploads or ("", ())
                response = await self._open(
                    stack,
                    call,
                    params=params,
                    json=json,
                    files=[(field, _part(stack, attachment)) for attachment in attachments] or None,
                    data=data,
                    timeout=timeout,
                )
                try:
                    content = await _read(response, MAX_JSON, call.name)
                except httpx.HTTPError as error:
                    raise self._unanswered(call, error) from error
                return Reply(response.status_code, response.headers, content, call.name)

        return await tries(send)

    def _call(
        self,
        method: str,
        path: str,
        once: bool | None,
        accept: Collection[int],
        person: Person | None = None,
    ) -> _Call:
        once = method in {"POST", "PATCH"} if once is None else once
        told = Headers(as_headers(person))
        return _Call(method, path, f"{self.name} {method} {path}", once, accept, told)

    async def _open(
        self,
        stack: AsyncExitStack,
        call: _Call,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        files: list[tuple[str, tuple[str, IO[bytes], str]]] | None = None,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = READ_TIMEOUT,
        elsewhere: bool = False,
    ) -> httpx.Response:
        """One try: an open response with a good status, or `Failed`."""
        limits = httpx.Timeout(timeout, connect=CONNECT_TIMEOUT, write=WRITE_TIMEOUT, pool=POOL_TIMEOUT)
        own = {"Accept": "application/json"}
        if json is not None:
            own["Content-Type"] = "application/json"
        if not all(value.isascii() and value.isprintable() for value in self._headers.values()):
            raise Failed(AuthenticationFailed(f"{call.name}: no header carries the key's characters"))
        try:
            request = self._client.build_request(
                call.method,
                self._base + call.path,
                params={name: scrub(str(value)) for name, value in params.items()} if params else None,
                content=None if json is None else _encode(json),
                files=files,
                data=data,
                headers={**own, **(headers or {}), **call.person, **self._headers},
                timeout=limits,
                extensions={BOUND: None},  # whoever reads it counts
            )
        except httpx.InvalidURL as error:
            raise Failed(WrongAddress(f"{call.name}: not a valid address")) from error
        response = await self._send(stack, call, request)
        place = request.url
        for _ in range(MAX_REDIRECTS):
            if response.status_code not in _REDIRECTS or call.method != "GET":
                break
            place = self._target(call, place, response)
            request = await self._redirected(call, request, place, elsewhere)
            await response.aclose()
            response = await self._send(stack, call, request)
        if response.is_success or response.status_code in call.accept:
            return response
        try:
            body = await _read(response, MAX_ERROR, call.name, cut=True)
        except httpx.HTTPError:
            body = b""  # the status alone says enough
        await response.aclose()
        detail = self._clean(f"{call.name}: {response.status_code} {message_in(body)}".rstrip())
        raise refused(response.status_code, response.headers, detail, once=call.once)

    async def _send(self, stack: AsyncExitStack, call: _Call, request: httpx.Request) -> httpx.Response:
        try:
            with at_home(*self._home):
                response = await self._client.send(request, stream=True, follow_redirects=False)
        except httpx.HTTPError as error:
            raise self._unanswered(call, error) from error
        stack.push_async_callback(response.aclose)
        return response

    def _target(self, call: _Call, place: httpx.URL, response: httpx.Response) -> httpx.URL:
        try:
            return place.join(response.headers.get("location", ""))
        except httpx.InvalidURL as error:
            raise Failed(ProtocolError(f"{call.name}: a redirect to no valid address")) from error

    async def _redirected(
        self, call: _Call, request: httpx.Request, target: httpx.URL, elsewhere: bool
    ) -> httpx.Request:
        home = httpx.URL(self._base)
        if origin(target) == origin(home):
            return self._client.build_request(
                "GET",
                target,
                content=request.content,
                headers=_without_host(request),
                extensions=request.extensions,
            )
        place = one_line(f"{target.scheme}://{target.netloc.decode('ascii', 'replace').rpartition('@')[2]}", 100)
        if not elsewhere or target.scheme not in {"https", home.scheme}:
            raise Failed(ProtocolError(f"{call.name}: a redirect to {place}, which isn't followed"))
        try:
            way, headers, extensions = await led(target, self._file_origins)
        except (ProtocolError, Unavailable) as error:
            raise Failed(type(error)(f"{call.name}: a redirect to {place}: {error}")) from error
        return self._client.build_request(
            "GET", way, headers=headers, extensions={**request.extensions, **extensions}
        )

    def _unanswered(self, call: _Call, error: httpx.HTTPError) -> Failed:
        return unanswered(error, self._clean(f"{call.name}: {type(error).__name__} {error}"), once=call.once)

    def _clean(self, text: str) -> str:
        return one_line(without(text, self._secret))


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    path: str
    name: str
    once: bool
    accept: Collection[int]
    person: Headers  # who asks


async def _read(response: httpx.Response, limit: int, called: str, *, cut: bool = False) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes(CHUNK):
        body += chunk
        if len(body) > limit:
            if cut:
                break
            raise ProtocolError(f"{called}: an answer of more than {limit} bytes")
    return bytes(body[:limit])


def _encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _part(stack: AsyncExitStack, attachment: Attachment) -> tuple[str, IO[bytes], str]:
    file = stack.enter_context(opened(attachment))
    return safe_name(attachment.name), file, attachment.media_type or "application/octet-stream"


def media_type(response: httpx.Response) -> str:
    """Without its parameters; empty if there is none."""
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


def _without_host(request: httpx.Request) -> list[tuple[str, str]]:
    return [(name, value) for name, value in request.headers.items() if name not in {"host", "content-length"}]
