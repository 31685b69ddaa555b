"""Files that are too large for the platform in a reply, and large ones on their way to an agent."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.base import Done, File, Text
from bridge.inbound import RemoteFile
from bridge.store.database import Database
from bridge.turns import progress
from bridge.turns.links import Linked, Links
from bridge.turns.surface import Surface
from tests.e2e.waiting import eventually
from tests.turns.agents import Backend, FileAgent, ScriptedAgent
from tests.turns.process import Bridge, running
from tests.turns.world import STYLE, MemoryPlatform, inbound

LINKS = Links("https://bridge.example.com", SecretStr("k" * 32), 24)
MAX = 10_000  # bytes that the platform in memory takes
ROOMY = replace(STYLE, limit=2_000)


class Large(FileAgent):
    taken = 0

    async def download(self, conversation: str, ref: str) -> AsyncIterator[bytes]:
        if ref == "small":
            yield b"small"
            return
        for _ in range(1_000):
            self.taken += 1
            yield b"x" * 1_000


SCRIPT = (
    Text("Here."),
    File("small.txt", "small"),
    File("known.bin", "known", size=MAX + 1),
    File("un`known.bin", "unknown"),
    Done(),
)


async def test_they_are_linked_in_the_thread(quick: Database) -> None:
    platform = MemoryPlatform(style=ROOMY)
    agent = Large(Backend(SCRIPT))
    async with running(Bridge(quick, platform, agent, links=LINKS)) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
    assert [message.files for message in platform.messages if message.files] == [(("small.txt", b"small"),)]
    told = platform.texts()[-1]
    assert told.startswith("Too large for this platform:\n- `known.bin`: [download it](<https://")
    tokens = re.findall(r"/files/([^>]+)>", told)
    assert [LINKS.read(token) for token in tokens] == [
        Linked("support", "conv", "known", "known.bin", "slack:U1"),
        Linked("support", "conv", "unknown", "un`known.bin", "slack:U1"),
    ]
    assert agent.taken == MAX // 1_000 + 1, "one was known to be too large, the other was fetched no further"


async def test_without_links_it_is_a_word(quick: Database, platform: MemoryPlatform) -> None:
    async with running(Bridge(quick, platform, Large(Backend(SCRIPT)))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
    assert platform.texts()[-1] == "These could not be brought here: known.bin, un`known.bin."


async def test_what_has_no_room_for_its_link_is_named(quick: Database) -> None:
    platform = MemoryPlatform(style=ROOMY)
    files = [File(f"{number}.bin", f"{number}" * 200, size=MAX + 1) for number in range(9)]
    async with running(Bridge(quick, platform, Large(Backend((*files, Done("Here.")))), links=LINKS)) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
    told = "".join(platform.texts()[-1:])
    assert 1 < told.count("download it") < 9
    assert told.endswith("These could not be brought here: " + told.rpartition("here: ")[2])
    assert "8.bin" in told.rpartition("here: ")[2]
    assert len(told) <= ROOMY.limit


async def test_a_person_sees_how_far_large_files_are(
    quick: Database, platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.001)
    half, whole = asyncio.Event(), asyncio.Event()
    size = progress.LARGE * 2

    async def fetch(surface: Surface, file: RemoteFile, to: Path, max_bytes: int) -> None:
        with to.open("wb") as out:
            out.truncate(size // 2)
            half.set()
            await whole.wait()
            out.truncate(size)

    monkeypatch.setattr("tests.turns.world.MemorySurface.fetch", fetch)
    asked = replace(inbound(1), files=(RemoteFile("1", "big.bin", "", size, ""),))
    async with running(Bridge(quick, platform, ScriptedAgent(Backend()), max_attachment_bytes=size)) as bridge:
        await bridge.intake.take(asked)
        await half.wait()
        await eventually(lambda: "Fetching your files: 50 %" in platform.labels)
        whole.set()
        await bridge.until_state("done")


async def test_lines_are_shown_at_a_bounded_pace_and_none_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.001)
    shown: list[str] = []
    lines = iter(["", "a", "a", "b"])
    over = False

    async def show(line: str) -> None:
        assert not over
        shown.append(line)

    async with progress.watched(lambda: next(lines, "b"), show):
        await eventually(lambda: shown == ["a", "b"])
    over = True
    monkeypatch.setattr(progress, "EVERY", 3_600.0)
    async with progress.watched(lambda: "never", show):
        await asyncio.sleep(0)
    assert shown == ["a", "b"]
