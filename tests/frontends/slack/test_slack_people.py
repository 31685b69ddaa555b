from __future__ import annotations

import pytest

from bridge.frontends.slack import people as people_module
from bridge.frontends.slack.people import REMEMBERED_FOR, People
from bridge.frontends.slack.workspace import Workspace
from bridge.playground.slack import SlackWorld


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def people(workspace: Workspace, clock: Clock) -> People:
    return People(workspace.read, clock)


async def test_a_name_is_asked_for_again_when_it_is_old(world: SlackWorld, people: People, clock: Clock) -> None:
    ada = world.person("ada").id
    assert [await people.name(ada), await people.name(ada)] == ["ada", "ada"]
    assert len(world.calls("users.info")) == 1
    clock.now += REMEMBERED_FOR
    await people.name(ada)
    assert len(world.calls("users.info")) == 2


async def test_an_old_name_is_better_than_none(world: SlackWorld, people: People, clock: Clock) -> None:
    ada = world.person("ada").id
    await people.name(ada)
    clock.now += REMEMBERED_FOR
    world.faults.refuse("users.info", "ratelimited")
    assert await people.name(ada) == "ada"


async def test_slow_answers_are_not_waited_for(
    world: SlackWorld, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people_module, "PATIENCE", 0.05)
    world.faults.delay("users.info", 1.0)
    ada = world.person("ada").id
    assert await people.name(ada) == ada


async def test_only_so_many_are_remembered(
    world: SlackWorld, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people_module, "REMEMBERED", 2)
    ada, grace, bot = world.person("ada").id, world.person("grace").id, world.bot.id
    await people.name(ada)
    await people.name(grace)
    await people.name(ada)
    await people.name(bot)  # grace is the one that was longest not asked for
    before = len(world.calls("users.info"))
    await people.name(ada)
    assert len(world.calls("users.info")) == before
    await people.name(grace)
    assert len(world.calls("users.info")) == before + 1


async def test_many_names_are_bounded(world: SlackWorld, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people_module, "AT_ONCE", 1)
    ada, grace = world.person("ada").id, world.person("grace").id
    assert await people.names([ada, grace, ada]) == {ada: "ada", grace: grace}
