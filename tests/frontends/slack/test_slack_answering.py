"""Forms for an answer in words, and for why something is declined, through the whole front end."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bridge.frontends.slack import signs as signs_module
from bridge.frontends.slack.app import SlackFrontEnd
from bridge.frontends.slack.settings import SlackSettings
from bridge.frontends.slack.surface import SlackSurface
from bridge.inbound import Address, Person
from bridge.playground.slack import SlackWorld
from bridge.turns.inbox import Decision
from bridge.turns.surface import Button, PartKey, PartKind
from tests.frontends.slack.memory import MemoryInbox
from tests.frontends.slack.test_slack_front_end import serving
from tests.turns.world import unguarded

TURN = "turn000000000001"
REQUEST = PartKey(TURN, PartKind.REQUEST)
ANSWER, DECLINE = Button("answer", "Write an answer", TURN), Button("decline", "Decline", TURN)
SESSION = "agents.sessions.setStatus"


@pytest.fixture
async def front_end(
    world: SlackWorld, settings: SlackSettings, inbox: MemoryInbox
) -> AsyncIterator[SlackFrontEnd]:
    inbox.decision = Decision()
    front_end = SlackFrontEnd(settings, inbox)
    async with serving(front_end):
        yield front_end


@pytest.fixture
def surface(world: SlackWorld, front_end: SlackFrontEnd, root: str) -> SlackSurface:
    address = Address("slack", world.team_id, world.channel("general").id, root)
    return front_end.surface(address, person=Person(world.person("ada").id), guard=unguarded)


async def test_a_form_brings_its_words(world: SlackWorld, surface: SlackSurface, inbox: MemoryInbox) -> None:
    ts = await surface.post(REQUEST, "Which colour?", last=True, buttons=[ANSWER])
    await world.press("grace", ts, "threadbridge:answer")
    assert inbox.presses == []
    with pytest.raises(ValueError, match="required"):
        await world.view_submit("grace", {})
    with pytest.raises(ValueError, match="3000"):
        await world.view_submit("grace", {"words": "x" * 3_001})
    await world.view_submit("grace", {"words": "light green"})
    (press,) = inbox.presses
    assert (press.action, press.turn, press.value) == ("answer", TURN, "light green")
    assert (press.address.channel, press.address.thread) == (
        world.channel("general").id,
        world.message("general", ts).thread_ts,
    )
    assert press.person.id == world.person("grace").id
    assert world.view_of("grace") is None


async def test_a_reason_may_be_left_out(world: SlackWorld, surface: SlackSurface, inbox: MemoryInbox) -> None:
    ts = await surface.post(REQUEST, "Wipe it?", last=True, buttons=[DECLINE])
    await world.press("grace", ts, "threadbridge:decline")
    await world.view_submit("grace", {})
    (press,) = inbox.presses
    assert (press.action, press.value) == ("decline", "")


async def test_who_may_not_decide_is_told_so_and_gets_no_form(
    world: SlackWorld, surface: SlackSurface, inbox: MemoryInbox
) -> None:
    inbox.refused = "Nothing was decided. <!channel> may decide this."
    ts = await surface.post(REQUEST, "Wipe it?", last=True, buttons=[DECLINE])
    await world.press("grace", ts, "threadbridge:decline")
    (told,) = world.ephemerals.values()
    assert told.text.startswith("Nothing was decided.")
    assert told.ephemeral_for == world.person("grace").id
    assert world.view_of("grace") is None
    assert world.pings == []


async def test_what_came_too_late_is_said_in_the_form(
    world: SlackWorld, surface: SlackSurface, inbox: MemoryInbox
) -> None:
    ts = await surface.post(REQUEST, "Which colour?", last=True, buttons=[ANSWER])
    await world.press("grace", ts, "threadbridge:answer")
    inbox.decision = Decision("That was decided already.")
    answer = await world.view_submit("grace", {"words": "blue"})
    assert answer == {"response_action": "errors", "errors": {"words": "That was decided already."}}
    assert world.view_of("grace") is not None


async def test_a_form_that_cannot_be_opened_is_said(
    world: SlackWorld, surface: SlackSurface, inbox: MemoryInbox
) -> None:
    ts = await surface.post(REQUEST, "Which colour?", last=True, buttons=[ANSWER])
    world.faults.refuse("views.open", "expired_trigger_id")
    await world.press("grace", ts, "threadbridge:answer")
    (told,) = world.ephemerals.values()
    assert told.text == "That didn't work. Please press again."


async def test_a_session_that_waits_for_a_person_is_suspended(
    world: SlackWorld, front_end: SlackFrontEnd, surface: SlackSurface, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is active again once that came, also where another process had suspended it."""
    monkeypatch.setattr(signs_module, "SIGN_AFTER", 0.0)
    ts = await surface.post(REQUEST, "Which colour?", last=True, buttons=[ANSWER])
    await surface.working(None)
    assert world.session("general", root).status == "suspended"
    address = Address("slack", world.team_id, world.channel("general").id, root)
    later = front_end.surface(address, person=Person(world.person("ada").id), guard=unguarded)
    front_end._workspace.suspended.clear()
    await later.edit(REQUEST, ts, "Which colour?", shown=None, last=True)
    await later.working(None)
    assert world.session("general", root).status == "active"
    assert [call.args["status"] for call in world.calls(SESSION)] == ["suspended", "active"]


async def test_a_workspace_without_sessions_is_asked_once(
    world: SlackWorld, surface: SlackSurface, front_end: SlackFrontEnd
) -> None:
    world.faults.refuse(SESSION, "unknown_method", times=9)
    await surface.post(REQUEST, "Which colour?", last=True, buttons=[ANSWER])
    await surface.working(None)
    await surface.post(REQUEST, "Which colour?", last=True, buttons=[ANSWER])
    await surface.working(None)
    assert len(world.calls(SESSION)) == 1
