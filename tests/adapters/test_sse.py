from __future__ import annotations

import httpx
import httpx_sse
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.http.sse import EventDecoder, EventTooLong


def decode(*chunks: bytes, unseparated: bool = False) -> list[str]:
    decoder = EventDecoder(unseparated=unseparated)
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return [event.data for event in events + decoder.end()]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"", []),
        (b"\n\n\n", []),
        (b"data: a\n\ndata: b\n\n", ["a", "b"]),
        (b"data:a\r\n\r\ndata:  b\r\rdata\n\n", ["a", " b", ""]),
        (b"data: a\ndata: b\n\n", ["a\nb"]),
        (b": comment\ndata: a\n: another\n\n", ["a"]),
        (b"event: x\nid: 1\n\n", []),
        (b"data: a\nfuture: b\nretry: c\n\n", ["a"]),
        (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
        (b"data: a", ["a"]),
        (b"data: a\n", ["a"]),
        (b"data: \xff\n\n", ["\ufffd"]),
        ("data: a\u2028b\x0bc\x85d\n\n".encode(), ["a\u2028b\x0bc\x85d"]),
    ],
)
def test_streams_by_the_letter(stream: bytes, expected: list[str]) -> None:
    assert decode(stream) == expected
    assert decode(*(stream[n : n + 1] for n in range(len(stream)))) == expected


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b'data: {"a": 1}\ndata: {"a": 2}\ndata: [DONE]\n', ['{"a": 1}', '{"a": 2}', "[DONE]"]),
        (b'data: {"a":\ndata: 1}\n\n', ['{"a":\n1}']),
        (b"data: 1\ndata: 2\n\n", ["1\n2"]),
        (b'data: {"a": 1}\n\ndata: {"a": 2}\n\n', ['{"a": 1}', '{"a": 2}']),
    ],
)
def test_events_that_nothing_separates(stream: bytes, expected: list[str]) -> None:
    assert decode(stream, unseparated=True) == expected


def test_the_next_line_releases_an_event_that_nothing_separates() -> None:
    decoder = EventDecoder(unseparated=True)
    assert decoder.feed(b'data: {"a": 1}\n') == []
    assert [event.data for event in decoder.feed(b'data: {"a": 2}\n')] == ['{"a": 1}']


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([b"data: a\n", b"data: b\n\n"], ["a\nb"]),
        ([b"data: a\r", b"data: b\n\n"], ["a\nb"]),
        ([b"data: a\n\n", b"data: b\n\n", b"data: c\rd\n\n"], ["a", "b", "c"]),
        ([b"da", b"data: b\n\n"], []),
        ([b"event: x\n", b"data: b\n\n"], ["b"]),
    ],
)
def test_a_chunk_that_looks_whole_may_be_none(chunks: list[bytes], expected: list[str]) -> None:
    assert decode(*chunks) == expected


def test_an_event_in_one_chunk_keeps_its_kind_and_id() -> None:
    decoder = EventDecoder()
    decoder.feed(b"event: x\nid: 7\n")
    (first,), (second,) = decoder.feed(b"data: a\n\n"), decoder.feed(b"data: b\n\n")
    assert (first.event, first.id) == ("x", "7")
    assert (second.event, second.id) == ("message", "7")


@pytest.mark.parametrize("stream", [b"data: " + b"x" * 101, b"data: x\n" * 30, b"event: " + b"x" * 101])
def test_an_event_is_bounded(stream: bytes) -> None:
    with pytest.raises(EventTooLong):
        EventDecoder(max_event=100).feed(stream)


def test_many_small_events_and_comments_are_not_one_big_event() -> None:
    decoder = EventDecoder(max_event=100)
    assert len(decoder.feed(b": still here, for an hour\ndata: 0123456789\n\n" * 1_000)) == 1_000
    assert decoder.feed(b": still here, for an hour\n" * 1_000) == []


LINES = st.lists(
    st.one_of(
        st.sampled_from(["", "data", "event: x", ": c", "id: 1", "data:", "data: {}", "data: [DONE]"]),
        st.text(st.characters(exclude_characters="\r\n\x00\ufeff", codec="utf-8")).map(
            lambda text: f"data: {text}"
        ),
    )
)


@given(LINES, st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0, 200)))
def test_the_same_events_as_httpx_sse_wherever_the_chunks_fall(
    lines: list[str], end: str, cuts: list[int]
) -> None:
    stream = "".join(line + end for line in [*lines, ""]).encode()
    at = sorted({min(cut, len(stream)) for cut in cuts})
    chunks = [stream[a:b] for a, b in zip([0, *at], [*at, len(stream)], strict=True)]
    response = httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=stream)
    expected = [event for event in httpx_sse.EventSource(response).iter_sse() if event.data]
    decoder = EventDecoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)] + decoder.end()
    assert [(e.event, e.data) for e in events if e.data] == [(e.event, e.data) for e in expected]
