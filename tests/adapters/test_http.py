from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest
import stamina
from pydantic import SecretStr

import adapters.http.addresses
import adapters.http.service
from adapters.base import (
    AgentError,
    Attachment,
    AuthenticationFailed,
    NotFound,
    ProtocolError,
    RateLimited,
    Rejected,
    TimedOut,
    Unavailable,
    Uncertain,
)
from adapters.http.failures import ATTEMPTS, ServerFailed
from adapters.http.service import Service, create_client, segment
from adapters.person import TOKEN_HEADER
from adapters.testing.persons import ANN

KEY = "sk_very_secret"
BASE = "https://agents.example/api/"

Handler = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    with stamina.set_testing(True, attempts=ATTEMPTS):
        yield


class Wire:
    """A network that answers from a list, the last answer for ever, and remembers what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception | Handler) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.client = create_client(transport=httpx.MockTransport(self._answer))
        self.service = Service(self.client, BASE, name="test", headers={"X-Api-Key": KEY}, secret=SecretStr(KEY))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        return answer(request)


def response(status: int, text: str = "", **headers: str) -> Handler:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: httpx.Response(status, text=text, headers=named)


class Bytes(httpx.AsyncByteStream):
    def __init__(self, *chunks: bytes, error: Exception | None = None) -> None:
        self._chunks = chunks
        self._error = error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk
        if self._error:
            raise self._error


def streamed(*chunks: bytes, kind: str = "text/event-stream", error: Exception | None = None) -> Handler:
    return lambda _: httpx.Response(200, headers={"Content-Type": kind}, stream=Bytes(*chunks, error=error))


NOT_SENT = [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow"), httpx.PoolTimeout("full")]
IN_DOUBT = [
    httpx.ReadTimeout("silence"),
    httpx.ReadError("reset"),
    httpx.WriteError("reset"),
    httpx.WriteTimeout("stuck"),
    httpx.RemoteProtocolError("Server disconnected"),
]


@pytest.mark.parametrize("error", NOT_SENT, ids=repr)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_was_not_sent_is_sent_again(method: str, error: Exception) -> None:
    wire = Wire(error, response(200, "[1]"))
    assert (await wire.service.request(method, "/x")).json() == [1]
    assert len(wire.requests) == 2


@pytest.mark.parametrize("error", NOT_SENT, ids=repr)
async def test_no_connection_at_all_is_unavailable(error: Exception) -> None:
    wire = Wire(error)
    with pytest.raises(Unavailable):
        await wire.service.post_json("/x")
    assert len(wire.requests) == ATTEMPTS


@pytest.mark.parametrize("error", IN_DOUBT, ids=repr)
async def test_a_post_that_may_have_arrived_is_uncertain_and_sent_once(error: Exception) -> None:
    wire = Wire(error)
    with pytest.raises(Uncertain):
        await wire.service.post_json("/x", {})
    assert len(wire.requests) == 1


@pytest.mark.parametrize("error", IN_DOUBT, ids=repr)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_what_may_be_repeated_is(method: str, error: Exception) -> None:
    wire = Wire(error, error, response(204))
    assert (await wire.service.request(method, "/x")).json() is None
    assert len(wire.requests) == 3


async def test_a_post_that_only_reads_may_be_repeated() -> None:
    wire = Wire(httpx.ReadTimeout("silence"), response(200, "{}"))
    assert await wire.service.post_json("/x", {}, once=False) == {}


async def test_silence_is_timed_out() -> None:
    with pytest.raises(TimedOut):
        await Wire(httpx.ReadTimeout("silence")).service.get_json("/x")


@pytest.mark.parametrize("error", IN_DOUBT, ids=repr)
async def test_a_post_whose_answer_breaks_off_is_uncertain(error: Exception) -> None:
    wire = Wire(streamed(b'{"id":', kind="application/json", error=error))
    with pytest.raises(Uncertain):
        await wire.service.post_json("/x", {})
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    ("status", "get", "post", "tries_get", "tries_post"),
    [
        (400, Rejected, Rejected, 1, 1),
        (401, AuthenticationFailed, AuthenticationFailed, 1, 1),
        (403, AuthenticationFailed, AuthenticationFailed, 1, 1),
        (404, NotFound, NotFound, 1, 1),
        (408, Unavailable, Unavailable, ATTEMPTS, ATTEMPTS),
        (409, Rejected, Rejected, 1, 1),
        (410, NotFound, NotFound, 1, 1),
        (413, Rejected, Rejected, 1, 1),
        (415, Rejected, Rejected, 1, 1),
        (422, Rejected, Rejected, 1, 1),
        (429, RateLimited, RateLimited, ATTEMPTS, ATTEMPTS),
        (500, Unavailable, ServerFailed, ATTEMPTS, 1),
        (502, Unavailable, Uncertain, ATTEMPTS, 1),
        (503, Unavailable, Unavailable, ATTEMPTS, ATTEMPTS),
        (504, Unavailable, Uncertain, ATTEMPTS, 1),
        (304, ProtocolError, ProtocolError, 1, 1),
    ],
)
async def test_each_status_has_its_error(
    status: int, get: type[AgentError], post: type[AgentError], tries_get: int, tries_post: int
) -> None:
    for method, expected, tries in (("GET", get, tries_get), ("POST", post, tries_post)):
        wire = Wire(response(status, json.dumps({"message": f"the key {KEY} is\nbad"})))
        with pytest.raises(AgentError) as caught:
            await wire.service.request(method, "/x")
        assert type(caught.value) is expected
        assert len(wire.requests) == tries
        assert KEY not in f"{caught.value} {caught.value.sentence}"
        assert f"{status} the key *** is bad" in str(caught.value)


async def test_a_token_that_the_backend_quotes_stands_in_no_detail() -> None:
    assert ANN.token
    token = ANN.token.get_secret_value()
    wire = Wire(response(400, json.dumps({"message": f"the token {token} is bad"})))
    with pytest.raises(Rejected) as caught:
        await wire.service.request("POST", "/x", person=ANN)
    assert wire.requests[0].headers[TOKEN_HEADER] == token
    assert "the token *** is bad" in str(caught.value)


async def test_accepted_statuses_are_handed_back_at_once() -> None:
    wire = Wire(response(503, '{"a": 1}'))
    reply = await wire.service.request("GET", "/x", accept={503})
    assert (reply.status, reply.json()) == (503, {"a": 1})
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    ("wanted", "delay", "tries"), [("3", 3.0, ATTEMPTS), ("600", 600.0, 1), ("soon", None, ATTEMPTS)]
)
async def test_a_429_is_repeated_unless_the_wait_is_long(wanted: str, delay: float | None, tries: int) -> None:
    wire = Wire(response(429, Retry_After=wanted))
    with pytest.raises(RateLimited) as caught:
        await wire.service.post_json("/x")
    assert caught.value.retry_after == delay
    assert len(wire.requests) == tries


async def test_the_wait_that_a_backend_asks_for_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    stamina.set_testing(False)
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    wire = Wire(response(429, Retry_After="7"), response(200, "1"))
    assert await wire.service.get_json("/x") == 1
    assert waited == [7.0]


@pytest.mark.parametrize("body", ["<html>", "{", '{"a": NaN', "[" * 100_000, "\x00"])
async def test_what_is_not_json_is_a_protocol_error(body: str) -> None:
    with pytest.raises(ProtocolError):
        await Wire(response(200, body)).service.get_json("/x")


async def test_compressed_nonsense_is_a_protocol_error() -> None:
    wire = Wire(lambda _: httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=Bytes(b"no gzip")))
    with pytest.raises(ProtocolError):
        await wire.service.get_json("/x")


async def test_an_answer_is_read_to_its_bound_and_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters.http.service, "MAX_JSON", 10)
    assert await Wire(response(200, '"12345678"')).service.get_json("/x") == "12345678"
    with pytest.raises(ProtocolError):
        await Wire(response(200, '"123456789"')).service.get_json("/x")


@pytest.mark.parametrize("key", ["sk_ünicode", "sk_line\nbreak"])
async def test_a_key_that_no_header_carries_is_refused_without_being_shown(key: str) -> None:
    async with create_client() as client:
        service = Service(client, "http://127.0.0.1:9", name="test", headers={"X": key}, secret=SecretStr(key))
        with pytest.raises(AuthenticationFailed) as caught:
            await service.get_json("/x")
    error: BaseException | None = caught.value
    while error:
        assert "sk_" not in repr(error)
        error = error.__cause__


@pytest.mark.parametrize("address", ["agents.example", "ftp://agents.example", "http://[::1", "http://a:port"])
async def test_an_address_that_is_none_is_said_so(address: str) -> None:
    async with create_client() as client:
        service = Service(client, address, name="test", headers={})
        with pytest.raises(ProtocolError):
            await service.get_json("/x")


async def test_letters_that_utf8_lacks_are_sent_as_question_marks() -> None:
    wire = Wire(response(200, "1"))
    path = "/" + segment("a\ud83d")
    await wire.service.get_json(path, params={"b": "c\ud83d"}, json={"d": "e\ud83d"})
    assert str(wire.requests[0].url).endswith("/a%3F?b=c%3F")
    assert wire.requests[0].content == b'{"d":"e?"}'


def test_a_segment_stays_one_segment() -> None:
    assert segment("a/../b?c#d é") == "a%2F..%2Fb%3Fc%23d%20%C3%A9"
    for value in ("", ".", ".."):
        with pytest.raises(ProtocolError):
            segment(value)


# --- redirects and cookies


async def test_a_get_follows_a_redirect_at_home_with_its_key_and_body() -> None:
    wire = Wire(response(307, Location="/api/y?z=1"), response(200, "1"))
    assert await wire.service.get_json("/x", params={"a": "b"}, json={"c": "d"}) == 1
    last = wire.requests[-1]
    assert str(last.url) == "https://agents.example/api/y?z=1"
    assert last.headers["x-api-key"] == KEY
    assert json.loads(last.content) == {"c": "d"}


@pytest.mark.parametrize(
    "to",
    [
        "https://evil.example/x",
        "http://agents.example/api/y",
        "https://agents.example:8443/y",
        "//evil.example",
        "https://agents.example@evil.example/",
    ],
)
async def test_json_is_never_fetched_from_another_origin(to: str) -> None:
    wire = Wire(response(302, Location=to), response(200, "1"))
    with pytest.raises(ProtocolError):
        await wire.service.get_json("/x")
    assert len(wire.requests) == 1


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The addresses of names."""
    known = {"files.example": "93.184.216.34", "inside.example": "10.0.0.1"}

    async def look_up(host: str, port: int | None) -> list[str]:
        return [known.get(host, host)]

    monkeypatch.setattr(adapters.http.addresses, "look_up", look_up)
    return known


async def test_a_file_may_lie_elsewhere_but_the_key_stays_home(names: dict[str, str]) -> None:
    wire = Wire(
        response(302, Location="https://files.example/f"), response(302, Location="g"), response(200, "content")
    )
    assert b"".join([c async for c in wire.service.download("/f", json={"key": KEY})]) == b"content"
    last = wire.requests[-1]
    assert str(last.url) == "https://93.184.216.34/g"
    assert last.headers["host"] == "files.example"
    assert last.extensions["sni_hostname"] == "files.example"
    assert KEY not in f"{last.url} {last.headers} {last.content!r}"


@pytest.mark.parametrize(
    "to", ["https://inside.example/f", "https://127.0.0.1/f", "https://[::1]/f", "https://169.254.169.254/latest"]
)
async def test_a_download_is_not_led_inside(names: dict[str, str], to: str) -> None:
    wire = Wire(response(302, Location=to), response(200, "secrets"))
    with pytest.raises(ProtocolError, match="no public address"):
        _ = [c async for c in wire.service.download("/f")]
    assert len(wire.requests) == 1
    wire = Wire(response(302, Location="https://files.example/f"), response(302, Location=to), response(200, "s"))
    with pytest.raises(ProtocolError, match="no public address"):
        _ = [c async for c in wire.service.download("/f")]
    assert len(wire.requests) == 2


async def test_a_download_is_led_to_an_inner_address_that_is_listed(names: dict[str, str]) -> None:
    wire = Wire(response(302, Location="https://inside.example/f"), response(200, "content"))
    service = Service(wire.client, BASE, name="test", headers={}, file_origins=["https://inside.example"])
    assert b"".join([c async for c in service.download("/f")]) == b"content"


async def test_a_file_is_not_fetched_in_clear_where_the_service_is_not() -> None:
    wire = Wire(response(302, Location="http://files.example/f"), response(200, "content"))
    with pytest.raises(ProtocolError):
        _ = [c async for c in wire.service.download("/f")]


async def test_redirects_in_a_circle_end() -> None:
    wire = Wire(response(302, Location="/api/x"))
    with pytest.raises(ProtocolError):
        await wire.service.get_json("/x")
    assert len(wire.requests) == adapters.http.service.MAX_REDIRECTS + 1


async def test_a_post_follows_no_redirect() -> None:
    wire = Wire(response(307, Location="/api/y"), response(200, "1"))
    with pytest.raises(ProtocolError):
        await wire.service.post_json("/x", {})
    assert len(wire.requests) == 1


async def test_cookies_are_not_kept() -> None:
    wire = Wire(response(200, "1", Set_Cookie="who=me"))
    await wire.service.get_json("/x")
    await wire.service.get_json("/x")
    assert "cookie" not in wire.requests[-1].headers


# --- files


async def test_a_download_stops_at_its_bound() -> None:
    wire = Wire(response(200, "x" * 100))
    assert len(b"".join([c async for c in wire.service.download("/f", max_bytes=100)])) == 100
    with pytest.raises(Rejected):
        _ = [c async for c in wire.service.download("/f", max_bytes=99)]


async def test_a_download_that_breaks_off_is_not_taken_for_whole() -> None:
    wire = Wire(streamed(b"half", kind="text/plain", error=httpx.ReadError("reset")))
    with pytest.raises(Unavailable):
        _ = [c async for c in wire.service.download("/f")]
    assert len(wire.requests) == 1


async def test_an_upload_is_sent_from_the_beginning_again(tmp_path: Path) -> None:
    path = tmp_path / "local"
    path.write_bytes(b"content " * 20_000)
    sent = Attachment('../a"b\r\n.txt', "text/plain", path, path.stat().st_size)
    wire = Wire(response(503), response(200, '{"id": 1}'))
    assert await wire.service.upload("/f", [sent, sent], field="files") == {"id": 1}
    for request in wire.requests:
        assert request.content.count(path.read_bytes()) == 2
        assert request.content.count(b'name="files"; filename="a_b.txt"') == 2
        assert request.headers["content-length"] == str(len(request.content))


async def test_a_file_that_is_gone_is_rejected_and_nothing_sent(tmp_path: Path) -> None:
    wire = Wire(response(200))
    with pytest.raises(Rejected):
        await wire.service.upload("/f", [Attachment("a", "", tmp_path / "gone", 1)])
    assert not wire.requests


# --- streams


async def test_events_come_one_by_one_and_json_in_one_piece() -> None:
    wire = Wire(streamed(b"data: a\n\ndata: b", b"\ndata: c\n\ndata: [DONE]"))
    async with wire.service.stream("/s", {}) as stream:
        assert not stream.is_json
        assert [event.data async for event in stream] == ["a", "b\nc", "[DONE]"]
    wire = Wire(streamed(b'{"a":', b" 1}", kind="application/json; charset=utf-8"))
    async with wire.service.stream("/s", {}) as stream:
        assert stream.is_json
        assert await stream.json() == {"a": 1}


@pytest.mark.parametrize("kind", ["text/html", "", "text/plain"])
async def test_a_stream_of_another_kind_is_a_protocol_error(kind: str) -> None:
    with pytest.raises(ProtocolError):
        async with Wire(streamed(b"data: a\n\n", kind=kind)).service.stream("/s", {}):
            pass


@pytest.mark.parametrize(
    ("error", "expected"),
    [(httpx.RemoteProtocolError("cut"), Unavailable), (httpx.ReadTimeout("silence"), TimedOut)],
)
async def test_a_stream_that_breaks_off_says_so_after_what_came(
    error: Exception, expected: type[AgentError]
) -> None:
    wire = Wire(streamed(b"data: a\n\ndata: b", error=error))
    seen: list[str] = []
    with pytest.raises(expected):
        await _collect(wire, seen)
    assert seen == ["a"]
    assert len(wire.requests) == 1


async def test_an_event_without_an_end_is_a_protocol_error() -> None:
    wire = Wire(streamed(b"data: a\n\n", *[b"x" * 65_536] * 20))
    seen: list[str] = []
    with pytest.raises(ProtocolError):
        await _collect(wire, seen)
    assert seen == ["a"]


async def test_a_stream_is_opened_again_only_if_it_was_not_taken() -> None:
    wire = Wire(response(503), httpx.ConnectError("refused"), streamed(b"data: a\n\n"))
    seen: list[str] = []
    await _collect(wire, seen)
    assert seen == ["a"]
    wire = Wire(httpx.ReadTimeout("silence"))
    with pytest.raises(Uncertain):
        await _collect(wire, seen)
    assert len(wire.requests) == 1


async def _collect(wire: Wire, seen: list[str]) -> None:
    async with wire.service.stream("/s", {}) as stream:
        async for event in stream:
            seen.append(event.data)
