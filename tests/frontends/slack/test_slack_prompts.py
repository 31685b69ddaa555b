"""What people are offered to ask: prompts in the direct message, and below a reply what the agent suggests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from bridge.frontends.slack import prompts as module
from bridge.frontends.slack import signs
from bridge.frontends.slack.app import SlackFrontEnd
from bridge.frontends.slack.prompts import METHOD, SUGGESTED, suggestion_blocks
from bridge.frontends.slack.settings import SlackSettings
from bridge.frontends.slack.surface import SlackSurface
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Address, Person
from bridge.playground.slack import SlackWorld
from bridge.playground.slack.checks import check_message
from bridge.prompts import Prompt
from bridge.turns.surface import Fenced, Suggests, Titles
from tests.e2e.waiting import eventually
from tests.frontends.slack.memory import MemoryInbox
from tests.frontends.slack.test_slack_front_end import serving
from tests.turns.world import unguarded

ASKED = [Prompt(title="Sales", message="How are sales?"), Prompt(title="<!channel>", message="Whom do you ping?")]
Makes = Callable[[], SlackSurface]


@pytest.fixture
def asked_at() -> list[Address]:
    return []


@pytest.fixture
async def front_end(
    settings: SlackSettings, inbox: MemoryInbox, asked_at: list[Address]
) -> AsyncIterator[SlackFrontEnd]:
    def prompts_at(address: Address) -> list[Prompt]:
        asked_at.append(address)
        return ASKED

    titled = settings.model_copy(update={"prompts_title": "Try one of these"})
    front_end = SlackFrontEnd(titled, inbox, prompts_at=prompts_at)
    async with serving(front_end):
        yield front_end


# --- in the direct message -------------------------------------------------------------------------------------


async def test_whoever_opens_the_direct_message_is_offered_the_agents_prompts(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, asked_at: list[Address]
) -> None:
    await world.open_home("ada")
    direct = world.direct("ada").id
    await eventually(lambda: direct in world.prompts)
    offered = world.prompts[direct]
    assert (offered.title, offered.prompts[0]) == (
        "Try one of these",
        {"title": "Sales", "message": "How are sales?"},
    )
    assert offered.prompts[1]["title"].startswith("<\u200b")
    assert asked_at == [Address("slack", world.team_id, direct, "")]
    ts = await world.use_prompt("ada", "Sales")
    await eventually(lambda: inbox.taken)
    assert (inbox.taken[0].text, inbox.taken[0].address.thread) == ("How are sales?", ts)


async def test_going_back_and_forth_costs_one_call(world: SlackWorld, front_end: SlackFrontEnd) -> None:
    for _ in range(10):
        await world.open_home("ada")
        await world.open_home("ada", "about")
    await world.deliveries.settled()
    await world.open_home("grace")
    await eventually(lambda: world.direct("grace").id in world.prompts)
    assert len(world.calls(METHOD)) == 2


async def test_a_workspace_that_has_no_prompts_is_asked_once(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox
) -> None:
    world.faults.refuse(METHOD, "feature_not_enabled")
    await world.open_home("ada")
    await eventually(lambda: world.calls(METHOD))
    await world.open_home("grace")
    await world.say("grace", world.direct("grace").id, "hello")
    await eventually(lambda: inbox.taken)
    assert len(world.calls(METHOD)) == 1


async def test_a_token_without_the_scope_is_not_tried(
    world: SlackWorld, settings: SlackSettings, inbox: MemoryInbox
) -> None:
    world.scopes.discard("assistant:write")
    async with serving(SlackFrontEnd(settings, inbox, prompts_at=lambda _: ASKED)):
        await world.open_home("ada")
        await world.say("ada", world.direct("ada").id, "hello")
        await eventually(lambda: inbox.taken)
    assert world.calls(METHOD) == []


# --- below a reply ---------------------------------------------------------------------------------------------


async def test_what_the_agent_suggests_is_asked_in_its_thread_once(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, address: Address
) -> None:
    surface = front_end.surface(address, person=Person(world.person("ada").id), guard=unguarded)
    assert isinstance(surface, Suggests)
    await eventually(lambda: len(inbox.taken) == 1)  # the thread's own question
    await surface.suggest(["By <region> & <!channel>?", "By month?"])
    (offered,) = world.ephemerals.values()
    assert (offered.ephemeral_for, offered.thread_ts) == (world.person("ada").id, address.thread)
    await world.press("ada", offered.ts, f"{SUGGESTED}0")
    await eventually(lambda: len(inbox.taken) == 2)
    asked = inbox.taken[1]
    assert asked.address == address
    assert asked.text == "By &lt;region&gt; &amp; &lt;!channel&gt;?"
    assert asked.person == Person(world.person("ada").id, workspace=world.team_id)
    said = world.message(address.channel, asked.message_id)
    assert said.shown.startswith("**ada asks:**")
    await eventually(lambda: not world.ephemerals)
    assert world.pings == []


async def test_a_second_press_asks_nothing(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, address: Address
) -> None:
    await eventually(lambda: len(inbox.taken) == 1)
    surface = front_end.surface(address, person=Person(world.person("ada").id), guard=unguarded)
    await surface.suggest(["One?", "Two?"])
    (offered,) = world.ephemerals.values()
    world.faults.break_down("chat.postMessage")  # so that the first is refused and nothing is quick
    await world.press("ada", offered.ts, f"{SUGGESTED}0")
    await eventually(lambda: "didn't work" in next(iter(world.ephemerals.values())).text)
    world.ephemerals[offered.ts] = offered
    await world.press("ada", offered.ts, f"{SUGGESTED}1")
    await world.say("ada", world.direct("ada").id, "hello")
    await eventually(lambda: len(inbox.taken) == 2)
    assert inbox.taken[1].text == "hello"


async def test_what_cannot_be_offered_is_no_trouble(world: SlackWorld, make_surface: Makes) -> None:
    world.faults.refuse("chat.postEphemeral", "user_not_in_channel")
    await make_surface().suggest(["One?"])
    await make_surface().suggest([" ", "x" * 5_000])
    assert world.ephemerals == {}
    assert len(world.calls("chat.postEphemeral")) == 1


async def test_whoever_lost_the_thread_offers_nothing(
    world: SlackWorld, workspace: Workspace, address: Address
) -> None:
    async def lost() -> None:
        raise Fenced

    surface = SlackSurface(workspace, address, person=Person(world.person("ada").id), guard=lost)
    await surface.suggest(["One?"])
    assert world.calls("chat.postEphemeral") == []


def test_suggestions_are_bounded_and_mention_nobody() -> None:
    given = ["<!channel> " + "x" * 900, *(f"{n}?" for n in range(9)), "0?", "", "y" * 1_001]
    blocks = suggestion_blocks("1.000001", given)
    check_message(blocks)
    buttons = blocks[1]["elements"]
    assert len(buttons) == 4
    assert all(len(one["text"]["text"]) <= module.MAX_LABEL and len(one["value"]) <= 2_000 for one in buttons)
    assert "<!" not in repr([one["text"] for one in buttons])
    assert suggestion_blocks("1.000001", []) == []


# --- titles ----------------------------------------------------------------------------------------------------


async def test_a_thread_is_named_after_its_first_question(
    world: SlackWorld, make_surface: Makes, address: Address
) -> None:
    surface = make_surface()
    assert isinstance(surface, Titles)
    surface.title(f"<@{world.bot.id}> how are <!channel> &amp; sales\n today?" + " and so on" * 50)
    await surface.working(None)
    session = world.session("general", address.thread)
    assert session.title.replace("\u200b", "").startswith("how are @channel & sales today? and so on")
    assert len(session.title) <= 100
    again = make_surface()
    again.title("Something else")
    await again.working(None)
    assert world.session("general", address.thread) == session


async def test_without_sessions_a_direct_message_gets_its_title_the_older_way(
    world: SlackWorld, workspace: Workspace, make_surface: Makes, address: Address
) -> None:
    world.faults.refuse("agents.sessions.setStatus", "feature_not_enabled")
    direct = world.direct("ada").id
    ts = await world.say("ada", direct, "How are sales?")
    surface = SlackSurface(
        workspace, Address("slack", world.team_id, direct, ts), person=Person("U1"), guard=unguarded
    )
    surface.title("How are sales?")
    await surface.working(None)
    assert world.session(direct, ts).title == "How are sales?"
    in_channel = make_surface()
    in_channel.title("How are sales?")
    await in_channel.working(None)
    assert len(world.calls("assistant.threads.setTitle")) == 1


# --- loading messages ------------------------------------------------------------------------------------------


async def test_loading_messages_are_shown_and_shown_again_until_the_agent_says_what_it_does(
    world: SlackWorld,
    settings: SlackSettings,
    workspace: Workspace,
    address: Address,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signs, "SIGN_AFTER", 0.0)
    monkeypatch.setattr(signs, "REARM_AFTER", 0.01)
    served = Workspace(settings.model_copy(update={"loading": ["Looking around…", "Still <!here>…"]}))
    served.identify(workspace.me)
    async with served.connections():
        surface = SlackSurface(served, address, person=Person(world.person("ada").id), guard=unguarded)
        await surface.working("")
        await world.until(lambda: len(world.calls("assistant.threads.setStatus")) > 2)
        assert world.session("general", address.thread).loading_messages == (
            "Looking around…",
            "Still <\u200b!here>…",
        )
        await surface.working("Searching")
        await world.until(lambda: world.session("general", address.thread).label == "Searching")
        assert world.session("general", address.thread).loading_messages == ()
        await surface.working(None)
    assert world.session("general", address.thread).label == ""
