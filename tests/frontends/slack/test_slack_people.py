from __future__ import annotations

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bridge.frontends.slack import people as people_module
from bridge.frontends.slack.people import REMEMBERED_FOR, People
from bridge.frontends.slack.surface import SlackSurface
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Person
from bridge.playground.slack import SlackWorld


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(workspace: Workspace) -> AsyncWebClient:
    return workspace.client


@pytest.fixture
def people(clock: Clock) -> People:
    return People(clock)


async def test_a_name_is_asked_for_again_when_it_is_old(
    world: SlackWorld, people: People, client: AsyncWebClient, clock: Clock
) -> None:
    ada = world.person("ada").id
    assert [await people.name(client, ada), await people.name(client, ada)] == ["ada", "ada"]
    assert len(world.calls("users.info")) == 1
    clock.now += REMEMBERED_FOR
    await people.name(client, ada)
    assert len(world.calls("users.info")) == 2


async def test_an_old_name_is_better_than_none(
    world: SlackWorld, people: People, client: AsyncWebClient, clock: Clock
) -> None:
    ada = world.person("ada").id
    await people.name(client, ada)
    clock.now += REMEMBERED_FOR
    world.faults.refuse("users.info", "ratelimited")
    assert await people.name(client, ada) == "ada"


async def test_slow_answers_are_not_waited_for(
    world: SlackWorld, people: People, client: AsyncWebClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people_module, "PATIENCE", 0.05)
    world.faults.delay("users.info", 1.0)
    ada = world.person("ada").id
    assert await people.name(client, ada) == ada


async def test_only_so_many_are_remembered(
    world: SlackWorld, client: AsyncWebClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people_module, "REMEMBERED", 2)
    people = People()
    ada, grace, bot = world.person("ada").id, world.person("grace").id, world.bot.id
    await people.name(client, ada)
    await people.name(client, grace)
    await people.name(client, ada)
    await people.name(client, bot)  # grace is the one that was longest not asked for
    before = len(world.calls("users.info"))
    await people.name(client, ada)
    assert len(world.calls("users.info")) == before
    await people.name(client, grace)
    assert len(world.calls("users.info")) == before + 1


async def test_many_names_are_bounded(
    world: SlackWorld, people: People, client: AsyncWebClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people_module, "AT_ONCE", 1)
    ada, grace = world.person("ada").id, world.person("grace").id
    assert await people.names(client, [ada, grace, ada]) == {ada: "ada", grace: grace}


async def test_who_wrote_and_who_is_mentioned_are_named(world: SlackWorld, surface: SlackSurface) -> None:
    text = world.typed("@threadbridge what does @grace think of 1 < 2?")
    name, shown = await surface.resolve(Person(world.person("ada").id), text)
    assert (name, shown) == ("ada", "what does @grace think of 1 < 2?")


async def test_names_that_cannot_be_had_stay_ids(world: SlackWorld, surface: SlackSurface) -> None:
    world.faults.refuse("users.info", "user_not_found")
    ada = world.person("ada").id
    assert await surface.resolve(Person(ada), "hello") == (ada, "hello")


async def test_a_name_is_asked_for_once(world: SlackWorld, surface: SlackSurface) -> None:
    for text in ("one", "two", "three"):
        await surface.resolve(Person(world.person("ada").id), text)
    assert len(world.calls("users.info")) == 1
