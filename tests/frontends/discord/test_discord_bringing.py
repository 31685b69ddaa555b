"""A file by command: while a large one is on its way, the answer that only the person sees is a bar."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bridge.frontends.discord.app import DiscordFrontEnd
from bridge.frontends.discord.bringing import NOT_DONE
from bridge.playground.discord import DiscordWorld
from bridge.playground.discord.invocations import Interaction
from bridge.playground.discord.model import Message, MessageFlag
from bridge.render.selection import Selection
from bridge.turns import progress
from bridge.turns.surface import Upload
from tests.frontends.discord.running import MemoryInbox, eventually

EDIT = "PATCH /webhooks/*/*/messages/@original"


@pytest.fixture
async def registered(world: DiscordWorld, front: DiscordFrontEnd) -> DiscordFrontEnd:
    await eventually(lambda: world.commands.get(0))
    return front


@pytest.fixture
def file(inbox: MemoryInbox, tmp_path: Path) -> Upload:
    path = tmp_path / "1"
    path.write_bytes(b"x" * 6 * 2**20)
    inbox.file = Upload("big.bin", path, "x/y", path.stat().st_size)
    return inbox.file


def shown(world: DiscordWorld, used: Interaction) -> Message:
    return world.ephemeral[used.original_id or 0]


async def test_a_bar_grows_in_place_until_the_file_takes_it(
    world: DiscordWorld,
    inbox: MemoryInbox,
    registered: DiscordFrontEnd,
    file: Upload,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.001)
    inbox.half_way = asyncio.Event()
    used = await world.command("ada", str(world.direct("ada").id), "download", {"name": "big.bin"})
    await eventually(
        lambda: used.original_id and shown(world, used).content == "Fetching it: ▰▰▰▰▰▱▱▱▱▱ 50 % of 6 MB"
    )
    inbox.half_way.set()
    await eventually(lambda: shown(world, used).attachments and not shown(world, used).content)
    [attachment] = shown(world, used).attachments
    assert world.bytes_of(attachment) == file.path.read_bytes()
    assert shown(world, used).flags & MessageFlag.EPHEMERAL
    assert used.followup_ids == []


async def test_a_small_one_has_none(
    world: DiscordWorld, inbox: MemoryInbox, registered: DiscordFrontEnd, tmp_path: Path
) -> None:
    path = tmp_path / "1"
    path.write_bytes(b"month,sum\n")
    inbox.file = Upload("sales.csv", path, "text/csv", path.stat().st_size)
    options = {"name": "sales.csv", "columns": "sum", "sort": "-sum"}
    used = await world.command("ada", str(world.direct("ada").id), "download", options)
    await eventually(lambda: used.original_id and shown(world, used).attachments)
    assert len(world.calls(EDIT)) == 1
    assert inbox.orders[0].selection == Selection("sum", "-sum")


async def test_what_goes_wrong_takes_the_bars_place(
    world: DiscordWorld,
    inbox: MemoryInbox,
    registered: DiscordFrontEnd,
    file: Upload,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.001)
    inbox.half_way = asyncio.Event()
    used = await world.command("ada", str(world.direct("ada").id), "download", {"name": "big.bin"})
    await eventually(lambda: used.original_id and "50 %" in shown(world, used).content)
    file.path.unlink()
    inbox.half_way.set()
    await eventually(lambda: shown(world, used).content == NOT_DONE)
