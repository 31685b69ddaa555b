"""How the gateway's frames go over the wire."""

from __future__ import annotations

import json
import sys
import zlib
from typing import Protocol

from bridge.playground.discord.model import Json


class Encoder(Protocol):
    """Turns frames into what is sent. One belongs to one connection."""

    def encode(self, frame: Json) -> str | bytes: ...


class PlainText:
    def encode(self, frame: Json) -> str:
        return json.dumps(frame)


class ZlibStream:
    """One zlib stream for the whole connection, flushed after each frame."""

    def __init__(self) -> None:
        self._stream = zlib.compressobj()

    def encode(self, frame: Json) -> bytes:
        return self._stream.compress(json.dumps(frame).encode()) + self._stream.flush(zlib.Z_SYNC_FLUSH)


if sys.version_info >= (3, 14):
    from compression import zstd

    class ZstdStream:
        """One zstd frame for the whole connection, flushed after each of the gateway's."""

        def __init__(self) -> None:
            self._stream = zstd.ZstdCompressor()

        def encode(self, frame: Json) -> bytes:
            return self._stream.compress(json.dumps(frame).encode(), zstd.ZstdCompressor.FLUSH_BLOCK)


def choose_encoder(compress: str | None) -> Encoder:
    """The compression that a client asks for; plain text, which each understands, if there is none such here."""
    if compress == "zlib-stream":
        return ZlibStream()
    if sys.version_info >= (3, 14) and compress == "zstd-stream":
        return ZstdStream()
    return PlainText()
