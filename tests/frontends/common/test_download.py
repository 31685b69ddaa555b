from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.frontends.common.download import save
from bridge.turns.surface import Refused


async def chunks(*pieces: bytes, broken: bool = False) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
    if broken:
        raise ConnectionResetError


async def test_what_comes_is_saved(tmp_path: Path) -> None:
    await save(chunks(b"one ", b"two"), tmp_path / "here", 7, what="file")
    assert (tmp_path / "here").read_bytes() == b"one two"


async def test_more_than_was_allowed_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="file F1"):
        await save(chunks(b"one ", b"two"), tmp_path / "here", 6, what="file F1")
    assert not (tmp_path / "here").exists()


async def test_a_broken_download_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConnectionResetError):
        await save(chunks(b"one ", broken=True), tmp_path / "here", 100, what="file")
    assert not (tmp_path / "here").exists()
