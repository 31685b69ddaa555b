"""A reply through a storm of faults: whatever Slack answers and whenever the process restarts, once and whole."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from bridge.frontends.slack.surface import SlackSurface
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Address, Person
from bridge.playground.slack import SlackWorld
from bridge.turns.surface import PartFull, PartKey, PartKind, Throttled, Unreachable
from tests.turns.world import unguarded

TURN = "turn000000000001"
TEXT = "".join(f"word{number} " for number in range(40)).strip()
TRIES = 20

WRITES = ("chat.startStream", "chat.appendStream", "chat.stopStream", "chat.update", "chat.postMessage")
STREAM_REFUSALS = (
    "message_not_in_streaming_state",
    "msg_too_long",
    "stopped_by_user",
    "streaming_state_conflict",
    "something_new",
)

T = TypeVar("T")


async def retry(call: Callable[[], Awaitable[T]]) -> T:
    for _ in range(TRIES):
        try:
            return await call()
        except (Throttled, Unreachable):
            continue
    raise AssertionError("still failing")


class Storm:
    """Says `TEXT` in pieces as a reply does, with a fault armed before many a step."""

    def __init__(self, world: SlackWorld, make_surface: Callable[[], SlackSurface], root: str, seed: int) -> None:
        self._world = world
        self._make_surface = make_surface
        self._surface = make_surface()
        self._root = root
        self._dice = random.Random(seed)
        self._known: set[str] = set()

    async def say(self) -> None:
        begin, number = 0, 0
        while begin < len(TEXT):
            begin = await self._say_part(PartKey(TURN, PartKind.TEXT, number), begin)
            number += 1

    async def _say_part(self, key: PartKey, begin: int) -> int:
        """Begin a part at `begin` of the text; returns where it ends."""
        end = begin + self._dice.randint(1, 20)
        message_id, shown = await self._post(key, TEXT[begin:end], last=end >= len(TEXT))
        while end < len(TEXT):
            end += self._dice.randint(1, 30)
            self._arm()
            if self._dice.random() < 0.1:
                self._surface, shown = self._make_surface(), None
            text, last = TEXT[begin:end], end >= len(TEXT)
            try:
                await self._edit(key, message_id, text, shown, last)
            except PartFull:
                await self._edit(key, message_id, text, shown, True)
                return end
            shown = text
        if shown is None or end - begin > len(shown):
            await self._edit(key, message_id, TEXT[begin:], shown, True)
        return end

    async def _post(self, key: PartKey, text: str, *, last: bool) -> tuple[str, str | None]:
        perhaps = False

        async def attempt() -> tuple[str, str | None]:
            nonlocal perhaps
            if perhaps and (found := await self._surface.find(key, after=self._root, known=self._known)):
                return found, None
            try:
                return await self._surface.post(key, text, last=last), text
            except Unreachable:
                perhaps = True
                raise

        self._arm()
        message_id, shown = await retry(attempt)
        self._known.add(message_id)
        return message_id, shown

    async def _edit(self, key: PartKey, message_id: str, text: str, shown: str | None, last: bool) -> None:
        await retry(lambda: self._surface.edit(key, message_id, text, shown=shown, last=last))

    def _arm(self) -> None:
        faults, dice = self._world.faults, self._dice
        faults.clear()
        for _ in range(dice.randint(0, 2)):
            method = dice.choice(WRITES)
            match dice.randint(0, 3):
                case 0:
                    faults.throttle(method, 1, times=dice.randint(1, 2))
                case 1:
                    faults.break_down(method, after=dice.random() < 0.5, times=dice.randint(1, 2))
                case 2:
                    faults.hang_up(method, after=dice.random() < 0.5)
                case 3 if "Stream" in method:
                    faults.refuse(method, dice.choice(STREAM_REFUSALS))


@pytest.mark.parametrize("seed", range(25))
async def test_every_word_arrives_once(world: SlackWorld, workspace: Workspace, seed: int) -> None:
    root = await world.say("ada", "general", f"{world.mention} talk")
    address = Address("slack", world.team_id, world.channel("general").id, root)
    author = world.person("ada").id
    await Storm(
        world, lambda: SlackSurface(workspace, address, person=Person(author), guard=unguarded), root, seed
    ).say()
    replies = world.thread("general", root)[1:]
    assert "".join(message.shown for message in replies) == TEXT
    assert all(message.streaming != "in_progress" for message in replies)
