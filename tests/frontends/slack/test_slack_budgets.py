"""Slack's budgets are the workspace's: replies that grow at the same time share them, and only wait."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeVar

import pytest

from bridge.frontends.slack.client import Budgets
from bridge.frontends.slack.reading import Me
from bridge.frontends.slack.settings import SlackSettings
from bridge.frontends.slack.surface import START_WAIT, SlackSurface
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Address, Person
from bridge.playground.slack import SlackWorld
from bridge.turns.surface import PartFull, PartKey, PartKind, Sending, Throttled
from tests.turns.world import unguarded

T = TypeVar("T")
FASTER = 20  # times Slack's rates, and as much shorter our minutes
STREAMS = 50
STEPS = 40
WORDS = 5  # of a step
PAUSE = 0.02  # seconds between two steps: 16 s of talk at Slack's own pace


@pytest.fixture
async def limited(world: SlackWorld, settings: SlackSettings) -> AsyncIterator[Workspace]:
    """With Slack's real limits, as much faster as the test."""
    world.limiter.scale = FASTER
    workspace = Workspace(settings, Budgets(scale=FASTER))
    workspace.identify(Me(world.team_id, world.bot.id, world.bot.bot_id or ""))
    async with workspace.connections():
        yield workspace


class MiniReply:
    """Grows one reply as the core does: what is sent is decided while the slot is held."""

    def __init__(self, surface: SlackSurface, number: int) -> None:
        self._surface = surface
        self._turn = f"turn{number:012}"
        self._text = ""
        self._complete = False
        self._changed = asyncio.Event()

    def say(self, text: str) -> None:
        self._text += text
        self._changed.set()

    def end(self) -> None:
        self._complete = True
        self._changed.set()

    async def run(self) -> None:
        begin = index = 0
        while True:
            begin = await self._part(PartKey(self._turn, PartKind.TEXT, index), begin)
            index += 1
            if self._complete and begin == len(self._text):
                return

    async def _part(self, key: PartKey, begin: int) -> int:
        await self._changed.wait()
        shown = ""

        async def post() -> str:
            nonlocal shown
            shown = self._text[begin:]
            return await self._surface.post(key, shown, last=False)

        message_id = await self._call(Sending.FIRST, post)
        while True:
            await self._changed.wait()
            self._changed.clear()
            last = self._complete

            async def edit() -> None:
                nonlocal shown
                text = self._text[begin:]
                await self._surface.edit(key, message_id, text, shown=shown, last=last)  # noqa: B023
                shown = text

            try:
                await self._call(Sending.LAST if last else Sending.GROWTH, edit)
            except PartFull:
                end = begin + len(shown)
                await self._call(Sending.LAST, lambda: self._finish(key, message_id, shown))
                self._changed.set()
                return end
            if last:
                return len(self._text)

    async def _finish(self, key: PartKey, message_id: str, shown: str) -> None:
        await self._surface.edit(key, message_id, shown, shown=shown, last=True)

    async def _call(self, sending: Sending, call: Callable[[], Awaitable[T]]) -> T:
        while True:
            async with self._surface.slot(sending):
                try:
                    return await call()
                except Throttled:
                    pass  # the slot knows for how long


def words_of(number: int) -> list[str]:
    return [f"{number}w{word}." for word in range(STEPS * WORDS)]


def steps_of(number: int) -> Iterator[str]:
    words = words_of(number)
    for begin in range(0, len(words), WORDS):
        yield " ".join(words[begin : begin + WORDS]) + " "


async def talk(surface: SlackSurface, number: int) -> None:
    reply = MiniReply(surface, number)
    running = asyncio.create_task(reply.run())
    for step in steps_of(number):
        reply.say(step)
        await asyncio.sleep(PAUSE)
    reply.end()
    await running


@pytest.mark.slow
async def test_fifty_streams_at_once_end_whole_without_a_storm(world: SlackWorld, limited: Workspace) -> None:
    author = world.person("ada").id
    channels = [world.add_channel(f"room{number}").id for number in range(5)]
    roots = [
        (channel, await world.say("ada", channel, f"{world.mention} tell"))
        for channel in channels
        for _ in range(STREAMS // len(channels))
    ]
    surfaces = [
        SlackSurface(
            limited, Address("slack", world.team_id, channel, root), person=Person(author), guard=unguarded
        )
        for channel, root in roots
    ]
    async with asyncio.timeout(50):
        await asyncio.gather(*(talk(surface, number) for number, surface in enumerate(surfaces)))

    for number, (channel, root) in enumerate(roots):
        shown = world.thread(channel, root)[1:]
        assert not any(message.streaming == "in_progress" for message in shown)
        assert re.findall(r"\S+", " ".join(message.shown for message in shown)) == words_of(number)
    refused = [call for call in world.made_calls if call.error == "ratelimited"]
    assert len(world.calls("chat.startStream")) < STREAMS  # the others were posted and edited
    assert len(refused) < len(world.made_calls) / 10, [call.method for call in refused]


async def test_a_new_reply_does_not_wait_for_a_stream(
    world: SlackWorld, surface: SlackSurface, key: PartKey
) -> None:
    world.faults.throttle("chat.startStream", int(START_WAIT) + 20)
    appends: list[bool] = []
    async with surface.slot(Sending.FIRST):
        appends.append(surface.style.appends)
        with pytest.raises(Throttled):
            await surface.post(key, "One", last=False)
    async with surface.slot(Sending.FIRST):
        appends.append(surface.style.appends)
        ts = await surface.post(key, "One", last=False)
    async with surface.slot(Sending.GROWTH):
        await surface.edit(key, ts, "One two", shown="One", last=False)
    async with surface.slot(Sending.LAST):
        await surface.edit(key, ts, "One two.", shown="One two", last=True)
    assert appends == [True, False]
    assert [call.method for call in world.made_calls] == [
        "chat.startStream",
        "chat.postMessage",
        "chat.update",
        "chat.update",
    ]
    assert world.message("general", ts).shown == "One two."


async def test_without_a_slot_nobody_waits_for_a_stream_either(
    world: SlackWorld, workspace: Workspace, make_surface: Callable[[], SlackSurface], key: PartKey
) -> None:
    budget = workspace.budgets.of("chat.startStream")
    assert budget is not None
    before = make_surface()
    budget.refused(START_WAIT + 20)
    assert not make_surface().style.appends
    await before.post(key, "One", last=False)
    assert [call.method for call in world.made_calls] == ["chat.postMessage"]


async def test_a_slot_is_of_the_method_that_is_called(
    workspace: Workspace, surface: SlackSurface, key: PartKey
) -> None:
    def counted() -> dict[str, int]:
        names = ("chat.startStream", "chat.appendStream", "chat.stopStream", "chat.postMessage", "chat.update")
        budgets = {name: workspace.budgets.of(name, surface._address.channel) for name in names}
        return {name: len(budget._allowance._sent) for name, budget in budgets.items() if budget is not None}

    async with surface.slot(Sending.FIRST):
        ts = await surface.post(key, "One", last=False)
    async with surface.slot(Sending.GROWTH):
        await surface.edit(key, ts, "One two", shown="One", last=False)
    async with surface.slot(Sending.LAST):
        await surface.edit(key, ts, "Two.", shown="One two", last=True)  # an edit: stopped first, then updated
    async with surface.slot(Sending.FIRST):
        await surface.post(PartKey(key.turn, PartKind.NOTICE), "Note", last=True)
    assert counted() == {
        "chat.startStream": 1,
        "chat.appendStream": 1,
        "chat.stopStream": 1,
        "chat.postMessage": 1,
        "chat.update": 1,
    }


@pytest.mark.parametrize("method", ["chat.appendStream", "chat.stopStream", "chat.update", "chat.postMessage"])
async def test_a_429_tells_everybody(
    world: SlackWorld, workspace: Workspace, surface: SlackSurface, key: PartKey, method: str
) -> None:
    ts = await surface.post(key, "One", last=method in ("chat.update", "chat.postMessage"))
    world.faults.throttle(method, 9)
    last = method != "chat.appendStream"
    call = (
        surface.post(PartKey(key.turn, PartKind.NOTICE), "Note", last=True)
        if method == "chat.postMessage"
        else surface.edit(key, ts, "One two", shown="One", last=last)
    )
    with pytest.raises(Throttled):
        await call
    budget = workspace.budgets.of(method, surface._address.channel)
    assert budget is not None
    assert 0 < budget.delay <= 9
