"""How much is worked on at once, of all agents together and of each."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from adapters.base import Done, Text
from bridge.store.database import Database
from bridge.turns import marks
from bridge.turns.room import Room
from tests.turns.agents import Backend, ScriptedAgent
from tests.turns.process import Bridge, running
from tests.turns.world import HERE, MemoryPlatform, inbound


def test_each_agent_has_its_own_limit_within_that_of_all() -> None:
    room = Room(3, {"few": 1, "any": 0})
    assert (room.limited, room.free_for("few"), room.free_for("any")) == (("few",), 1, 3)
    room.take("few")
    assert (room.free_for("few"), room.free_for("any"), room.free) == (0, 2, 2)
    room.take("any")
    room.take("any")
    assert (room.free, room.free_for("any")) == (0, 0)
    assert room.give_back("any"), "somebody may wait for it"
    assert not room.give_back("any")
    assert room.free_for("few") == 0
    assert room.give_back("few")
    assert room.free == 3


async def test_no_more_turns_are_at_an_agent_than_it_takes_and_the_rest_shows_that_it_waits(
    database: Database, platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marks, "WAITS", 0.0)
    monkeypatch.setattr(marks, "LOOK_EVERY", 0.02)
    go_on, at_work, most = asyncio.Event(), 0, 0

    async def begin() -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)

    async def end() -> None:
        nonlocal at_work
        await go_on.wait()
        at_work -= 1

    backend = Backend([begin, end, Text("done"), Done()])
    async with running(Bridge(database, platform, ScriptedAgent(backend), agent_at_once=2)) as bridge:
        for number in range(1, 7):
            there = replace(HERE, thread=f"{number}00.0")
            await bridge.intake.take(inbound(number, address=there, author=f"U{number}"))
        await platform.until(lambda: len(platform.waiting) == 4)
        assert at_work == 2
        go_on.set()
        await bridge.until_state("done")
        await platform.until(lambda: not platform.waiting)
    assert most == 2
    assert len(backend.asked) == 6
