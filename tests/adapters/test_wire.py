from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.base import ProtocolError
from adapters.http.wire import Wire, message_in, parsed, retry_after

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "Fri, 15 Jan 2027 08:00:30 GMT"}, 30.0),
        ({"retry-after": "Fri, 15 Jan 2027 07:00:00 GMT"}, 0.0),
        ({"x-ratelimit-reset": "60"}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "60"}, 60.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1800000090"}, 90.0),
        ({"x-ratelimit-remaining": "0"}, None),
        ({"x-ratelimit-remaining": "1", "x-ratelimit-reset": "60"}, None),
        ({"retry-after": "2", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "60"}, 2.0),
    ],
)
def test_how_long_a_backend_wants_us_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=lambda: NOW) == seconds


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"message": "no"}, "no"),
        ({"detail": "no"}, "no"),
        ({"detail": [{"loc": ["body"], "msg": "field required"}]}, "field required"),
        ({"error": "no"}, "no"),
        ({"error": {"code": 3, "message": "no"}}, "no"),
        ({"data": None, "error": {"name": "E", "message": "no", "details": {}}}, "no"),
        ({"file": ["too big", "too old"]}, "file: too big; too old"),
        (["a", {"message": "b"}], "a; b"),
        ("plain", "plain"),
        ({"message": "two\nlines"}, "two lines"),
        ({}, ""),
        (None, ""),
        (3, ""),
        ({"error": {"error": {"error": {"error": {"error": "deep"}}}}}, ""),
    ],
)
def test_the_sentence_in_an_error(body: Any, message: str) -> None:
    assert message_in(json.dumps(body).encode()) == message


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[" * 100_000])
def test_no_sentence_in_what_is_not_json(body: bytes) -> None:
    assert message_in(body) == ""


def test_a_body_that_does_not_fit_is_named_by_its_places_only() -> None:
    class Thing(Wire):
        id: str
        inner: dict[str, int]

    assert parsed(Thing, {"id": 3, "inner": {}, "more": 1}, "test") == Thing(id="3", inner={})
    with pytest.raises(ProtocolError) as caught:
        parsed(Thing, {"inner": {"a": "sk_secret"}}, "test")
    assert "id: missing" in str(caught.value)
    assert "inner.a" in str(caught.value)
    assert "sk_secret" not in str(caught.value)
    with pytest.raises(ProtocolError):
        parsed(Thing, None, "test")
