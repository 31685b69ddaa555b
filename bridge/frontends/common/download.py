"""Bytes from a connection to disk, bounded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from bridge.turns.surface import Refused

CHUNK = 64 * 1024  # bytes held in memory at a time


async def save(chunks: AsyncIterator[bytes], to: Path, max_bytes: int, *, what: str) -> None:
    """Write what comes to `to`. On any error nothing is left there. `what` names it in the log.

    :raises Refused: more than `max_bytes` came, whatever was announced.
    """
    received = 0
    try:
        with to.open("wb") as target:
            async for chunk in chunks:
                received += len(chunk)
                if received > max_bytes:
                    raise Refused(f"{what}: more than {max_bytes} bytes")
                target.write(chunk)
    except BaseException:
        to.unlink(missing_ok=True)  # noqa: ASYNC240 - a local file's entry
        raise
