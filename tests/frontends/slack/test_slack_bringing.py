"""A file by command: while a large one is on its way, a message in the person's direct message is a bar."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bridge.frontends.slack.app import SlackFrontEnd
from bridge.frontends.slack.bringing import NOT_DONE
from bridge.playground.slack import SlackWorld
from bridge.playground.slack.values import Message
from bridge.render.selection import Selection
from bridge.turns import progress
from bridge.turns.surface import Upload
from tests.e2e.waiting import eventually
from tests.frontends.slack.memory import MemoryInbox
from tests.frontends.slack.test_slack_commands import front_end as front_end


@pytest.fixture
def file(inbox: MemoryInbox, tmp_path: Path) -> Upload:
    path = tmp_path / "1"
    path.write_bytes(b"x" * 6 * 2**20)
    inbox.file = Upload("big.bin", path, "x/y", path.stat().st_size)
    return inbox.file


def told(world: SlackWorld) -> list[Message]:
    """Our messages in Ada's direct message, less those with a file."""
    return [one for one in world.direct("ada").messages.values() if not one.files]


async def test_a_bar_grows_in_place_above_the_file(
    world: SlackWorld,
    front_end: SlackFrontEnd,
    inbox: MemoryInbox,
    file: Upload,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.001)
    inbox.half_way = asyncio.Event()
    await world.command("ada", "general", "/robot", "download big.bin columns=a sort=-b")
    await eventually(lambda: [one.shown for one in told(world)] == ["Fetching it: ▰▰▰▰▰▱▱▱▱▱ 50 % of 6 MB"])
    inbox.half_way.set()
    await eventually(lambda: [one.shown for one in told(world)] == ["From your conversation: `big.bin`"])
    await eventually(lambda: [one for one in world.direct("ada").messages.values() if one.files])
    [brought] = [one for one in world.direct("ada").messages.values() if one.files]
    assert brought.thread_ts == told(world)[0].ts
    assert brought.files[0].content == file.path.read_bytes()
    [order] = inbox.orders
    assert (order.argument, order.selection) == ("big.bin", Selection("a", "-b"))
    assert (world.pings, world.unfurls) == ([], [])


async def test_what_goes_wrong_takes_the_bars_place(
    world: SlackWorld,
    front_end: SlackFrontEnd,
    inbox: MemoryInbox,
    file: Upload,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.001)
    inbox.half_way = asyncio.Event()
    await world.command("ada", "general", "/robot", "download big.bin")
    await eventually(lambda: [one for one in told(world) if "50 %" in one.shown])
    world.faults.refuse("files.completeUploadExternal", "internal_error", times=9)
    inbox.half_way.set()
    await eventually(lambda: [one.shown for one in told(world)] == [NOT_DONE])


async def test_what_cannot_be_had_takes_the_bars_place(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.001)
    inbox.half_way = asyncio.Event()
    await world.command("ada", "general", "/robot", "download big.bin")
    await eventually(lambda: [one for one in told(world) if "50 %" in one.shown])
    inbox.half_way.set()
    await eventually(lambda: [one.shown for one in told(world)] == [inbox.file])
