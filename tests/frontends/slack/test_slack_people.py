from __future__ import annotations

from dataclasses import replace

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bridge.frontends.slack import people as people_module
from bridge.frontends.slack.manifest import EMAIL_SCOPE
from bridge.frontends.slack.people import REMEMBERED_FOR, People
from bridge.frontends.slack.reading import Me
from bridge.frontends.slack.settings import SlackSettings
from bridge.frontends.slack.surface import SlackSurface
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Address, Person
from bridge.playground.slack import SlackWorld
from bridge.turns.surface import Emails, Fenced
from tests.turns.world import unguarded


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


async def test_one_request_brings_the_name_and_the_address(
    world: SlackWorld, people: People, client: AsyncWebClient, clock: Clock
) -> None:
    world.scopes.add(EMAIL_SCOPE)
    ada = world.person("ada").id
    assert (await people.name(client, ada), await people.email(client, ada)) == ("ada", "ada@example.com")
    clock.now += REMEMBERED_FOR - 1
    assert await people.email(client, ada) == "ada@example.com"
    assert len(world.calls("users.info")) == 1


async def test_without_the_scope_there_is_no_address(
    world: SlackWorld, people: People, client: AsyncWebClient
) -> None:
    assert await people.email(client, world.person("ada").id) == ""


async def test_an_address_that_is_none_is_not_told(
    world: SlackWorld, people: People, client: AsyncWebClient
) -> None:
    world.scopes.add(EMAIL_SCOPE)
    ada, grace = world.person("ada"), world.person("grace")
    world.people[ada.id] = replace(ada, email="a" * 255)
    world.faults.refuse("users.info", "internal_error")
    assert await people.email(client, grace.id) == ""
    assert await people.email(client, ada.id) == ""


@pytest.mark.parametrize(
    ("emails", "granted", "asked"),
    [(True, True, True), (True, False, False), (False, True, False)],
    ids=["by setting and scope", "without the scope", "without the setting"],
)
async def test_an_address_is_asked_for_by_setting_and_scope_alone(
    world: SlackWorld, settings: SlackSettings, address: Address, emails: bool, granted: bool, asked: bool
) -> None:
    if granted:
        world.scopes.add(EMAIL_SCOPE)
    workspace = Workspace(settings.model_copy(update={"emails": emails}))
    workspace.identify(Me(world.team_id, world.bot.id, ""), frozenset(world.scopes))
    ada = Person(world.person("ada").id)
    async with workspace.connections():
        surface = SlackSurface(workspace, address, person=ada, guard=unguarded)
        assert isinstance(surface, Emails)
        assert await surface.email(ada) == ("ada@example.com" if asked else "")
    assert bool(world.calls("users.info")) == asked


async def test_who_lost_the_thread_asks_for_no_address(
    world: SlackWorld, settings: SlackSettings, address: Address
) -> None:
    async def lost() -> None:
        raise Fenced("another process has it")

    workspace = Workspace(settings.model_copy(update={"emails": True}))
    workspace.identify(Me(world.team_id, world.bot.id, ""))
    ada = Person(world.person("ada").id)
    async with workspace.connections():
        assert await SlackSurface(workspace, address, person=ada, guard=lost).email(ada) == ""
    assert world.calls("users.info") == []
