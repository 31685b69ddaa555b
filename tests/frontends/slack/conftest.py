"""A simulated Slack, an inbox in memory, and surfaces on them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from pydantic import SecretStr

from adapters.testing.serving import serve
from bridge.frontends.slack.manifest import EVENTS, SCOPES
from bridge.frontends.slack.reading import Me
from bridge.frontends.slack.settings import SlackSettings
from bridge.frontends.slack.surface import SlackSurface
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Address, Person
from bridge.playground.slack import SlackWorld, create_app
from bridge.turns.surface import PartKey, PartKind
from tests.frontends.slack.memory import MemoryInbox
from tests.turns.world import unguarded

TURN = "turn000000000001"


@pytest.fixture
async def world() -> AsyncIterator[SlackWorld]:
    """An app that has what the manifest asks for, and nothing more."""
    world = SlackWorld(rate=None, retry_delays=(0.0, 0.1, 0.2))
    world.scopes, world.subscriptions = set(SCOPES), set(EVENTS)
    yield world
    await world.deliveries.aclose()


@pytest.fixture
async def slack_url(world: SlackWorld) -> AsyncIterator[str]:
    async with serve(create_app(world)) as url:
        world.base_url = url
        yield url


@pytest.fixture
def settings(world: SlackWorld, slack_url: str) -> SlackSettings:
    return SlackSettings(
        bot_token=SecretStr(world.bot_token),
        app_token=SecretStr(world.app_token),
        api_url=f"{slack_url}/api/",
    )


@pytest.fixture
def inbox() -> MemoryInbox:
    return MemoryInbox()


@pytest.fixture
async def workspace(world: SlackWorld, settings: SlackSettings) -> AsyncIterator[Workspace]:
    workspace = Workspace(settings)
    workspace.identify(Me(world.team_id, world.bot.id, world.bot.bot_id or ""))
    async with workspace.connections():
        yield workspace


@pytest.fixture
async def root(world: SlackWorld) -> str:
    """Ada's question in #general."""
    return await world.say("ada", "general", f"{world.mention} how are you?")


@pytest.fixture
def address(world: SlackWorld, root: str) -> Address:
    return Address("slack", world.team_id, world.channel("general").id, root)


@pytest.fixture
def make_surface(world: SlackWorld, workspace: Workspace, address: Address) -> Callable[[], SlackSurface]:
    """A new surface each time, as after a restart."""
    return lambda: SlackSurface(workspace, address, person=Person(world.person("ada").id), guard=unguarded)


@pytest.fixture
def surface(make_surface: Callable[[], SlackSurface]) -> SlackSurface:
    return make_surface()


@pytest.fixture
def key() -> PartKey:
    return PartKey(TURN, PartKind.TEXT, 0)


@pytest.fixture
def shown(world: SlackWorld, root: str) -> Callable[[], list[str]]:
    """What people read below the question."""
    return lambda: [message.shown for message in world.thread("general", root)[1:]]
