from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import adapters.http.bounds
from adapters.base import ProtocolError
from adapters.http.bounds import PIECE, Unpacker
from adapters.http.service import Service, create_client

BOMB = gzip.compress(bytes(50 * 2**20), 1)  # some 200 KB


def raw(data: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeeze.compress(data) + squeeze.flush()


@pytest.mark.parametrize(
    ("coding", "pack"),
    [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", raw)],
)
@given(data=st.binary(max_size=3 * PIECE), cut=st.integers(0, 100))
def test_what_was_packed_comes_out(coding: str, pack: type[bytes], data: bytes, cut: int) -> None:
    unpacker, packed = Unpacker(coding), pack(data)
    pieces = [piece for chunk in (packed[:cut], packed[cut:]) for piece in unpacker.feed(chunk)]
    assert b"".join(pieces) == data


def test_a_bomb_goes_off_piece_by_piece() -> None:
    pieces = Unpacker("gzip").feed(BOMB)
    assert [len(next(pieces)) for _ in range(3)] == [PIECE] * 3
    assert sum(map(len, pieces)) == 50 * 2**20 - 3 * PIECE


@pytest.mark.parametrize("coding", ["gzip, gzip", "br", "zstd", "compress", "future"])
def test_a_coding_that_was_not_asked_for_is_not_unpacked(coding: str) -> None:
    with pytest.raises(httpx.DecodingError):
        list(Unpacker(coding).feed(b"anything"))


class Taken(httpx.AsyncByteStream):
    """A body in pieces, and how many of them were taken."""

    def __init__(self, body: bytes, size: int) -> None:
        self.count = 0
        self._pieces = [body[at : at + size] for at in range(0, len(body), size)]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            self.count += 1
            yield piece


def client(body: httpx.AsyncByteStream, **headers: str) -> httpx.AsyncClient:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = httpx.MockTransport(lambda _: httpx.Response(200, headers=named, stream=body))
    return create_client(transport=answer)


async def test_a_packed_answer_is_read_to_the_bound_of_its_reader() -> None:
    body = Taken(BOMB, 1_000)
    async with client(body, Content_Encoding="gzip") as http:
        with pytest.raises(ProtocolError, match="more than"):
            await Service(http, "http://a", name="test", headers={}).get_json("/x")
    assert body.count < len(BOMB) / 1_000 / 2, "16 of 50 MiB are in a third of it"


@pytest.mark.parametrize("coding", ["gzip", "identity"])
async def test_who_reads_without_a_bound_has_one(monkeypatch: pytest.MonkeyPatch, coding: str) -> None:
    """As a vendor's library reads: the whole body at once."""
    monkeypatch.setattr(adapters.http.bounds, "MAX_ANSWER", 1_000_000)
    body = Taken(BOMB if coding == "gzip" else bytes(50 * 2**20), 1_000)
    async with client(body, Content_Encoding=coding) as http:
        with pytest.raises(httpx.DecodingError, match="more than 1000000 bytes"):
            await http.get("http://a/x")
    assert body.count <= 1_001


async def test_what_is_asked_for_is_what_is_unpacked() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["accept-encoding"])
        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=Taken(gzip.compress(b"[1]"), 5))

    async with create_client(transport=httpx.MockTransport(answer)) as http:
        assert (await http.get("http://a/x")).json() == [1]
    assert asked == ["gzip, deflate"]
