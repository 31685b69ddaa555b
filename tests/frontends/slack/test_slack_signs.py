"""What a person sees of an agent at work: nothing that words would take the place of, and nothing that stays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bridge.frontends.slack import signs
from bridge.frontends.slack import surface as surface_module
from bridge.frontends.slack.surface import SlackSurface
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Address, Person
from bridge.playground.slack import SlackWorld
from bridge.turns.surface import Button, Fenced, PartKey, PartKind
from tests.e2e.waiting import PATIENCE, eventually

STOP = Button("stop", "Stop", "turn000000000001")
SESSION, LINE = "agents.sessions.setStatus", "assistant.threads.setStatus"


@pytest.fixture
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs come at once, where words would have taken a while."""
    monkeypatch.setattr(signs, "SIGN_AFTER", 0.0)
    monkeypatch.setattr(signs, "STOP_AFTER", 0.0)


def methods(world: SlackWorld) -> list[str]:
    return [call.method for call in world.made_calls]


async def test_a_reply_whose_words_come_at_once_costs_no_sign(
    world: SlackWorld, surface: SlackSurface, key: PartKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signs, "SIGN_AFTER", 60.0)  # however slow this machine is
    monkeypatch.setattr(signs, "STOP_AFTER", 60.0)
    await surface.working("")
    ts = await surface.post(key, "One", last=False, buttons=[STOP])
    await surface.working("Searching")
    await surface.edit(key, ts, "One two", shown="One", last=False, buttons=[STOP])
    await surface.edit(key, ts, "One two three", shown="One two", last=False, buttons=[STOP])
    await surface.edit(key, ts, "One two three four.", shown="One two three", last=True)
    await surface.working(None)
    assert methods(world) == ["chat.startStream", "chat.appendStream", "chat.appendStream", "chat.stopStream"]


async def test_the_session_shows_that_the_agent_works(
    prompt: None, world: SlackWorld, surface: SlackSurface, root: str
) -> None:
    await surface.working("")
    await world.until(lambda: world.session("general", root).status == "processing")
    await surface.working("Searching the handbook")
    await world.until(lambda: world.session("general", root).label == "Searching the handbook")
    await surface.working(None)
    assert (world.session("general", root).status, world.session("general", root).label) == ("active", "")
    assert len(world.calls(SESSION)) == 2
    assert len(world.calls(LINE)) == 2


async def test_only_what_was_shown_is_taken_away(
    prompt: None, world: SlackWorld, surface: SlackSurface, key: PartKey, root: str
) -> None:
    await surface.working("Searching")
    await world.until(lambda: world.session("general", root).label)
    ts = await surface.post(key, "One", last=False)  # Slack takes the line away with it
    await surface.edit(key, ts, "One.", shown="One", last=True)
    await surface.working(None)
    assert len(world.calls(LINE)) == 1
    assert world.session("general", root).status == "active"


async def test_a_line_is_set_again_before_slack_takes_it_away(
    prompt: None, world: SlackWorld, surface: SlackSurface, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert signs.REARM_AFTER < 120
    monkeypatch.setattr(signs, "REARM_AFTER", 0.01)
    await surface.working("Searching")
    await world.until(lambda: len(world.calls(LINE)) > 2)
    await surface.working(None)
    assert {call.args["status"] for call in world.calls(LINE)[:-1]} == {"Searching"}
    assert world.session("general", root).label == ""


async def test_a_new_label_does_not_wait_for_the_old_ones_time(
    prompt: None, world: SlackWorld, surface: SlackSurface, root: str
) -> None:
    for label in ("Searching", "Reading", "Writing"):
        await surface.working(label)
        await world.until(lambda label=label: world.session("general", root).label == label)  # type: ignore[misc]
    await surface.working(None)
    assert [call.args["status"] for call in world.calls(LINE)] == ["Searching", "Reading", "Writing", ""]


async def test_who_lost_the_thread_shows_no_sign_any_more(
    prompt: None, world: SlackWorld, workspace: Workspace, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signs, "REARM_AFTER", 0.0)
    asked = 0

    async def guard() -> None:
        nonlocal asked
        asked += 1
        if asked > 3:
            raise Fenced

    surface = SlackSurface(workspace, address, person=Person("U1"), guard=guard)
    await surface.working("Searching")
    await eventually(lambda: asked == 4)
    await surface.working(None)
    assert len(world.made_calls) == 3


async def test_without_sessions_the_status_line_serves(
    prompt: None, world: SlackWorld, make_surface: Callable[[], SlackSurface], root: str
) -> None:
    world.faults.refuse(SESSION, "unknown_method")
    surface = make_surface()
    await surface.working("")
    await world.until(lambda: world.session("general", root).label)
    await surface.working(None)
    assert world.session("general", root).label == ""
    another = make_surface()
    await another.working("")
    await world.until(lambda: world.session("general", root).label)
    assert len(world.calls(SESSION)) == 1
    await another.working(None)


async def test_a_sign_of_life_never_raises(prompt: None, world: SlackWorld, surface: SlackSurface) -> None:
    world.faults.refuse(SESSION, "fatal_error")
    world.faults.hang_up(LINE)
    await surface.working("")
    await world.until(lambda: LINE in methods(world))
    world.faults.throttle(SESSION)
    world.faults.break_down(LINE)
    await surface.working("Searching")
    await world.until(lambda: len(world.calls(LINE)) == 2)
    await surface.working(None)


@pytest.mark.parametrize("slow", [SESSION, LINE])
async def test_the_end_of_a_sign_comes_after_its_beginning(
    prompt: None, world: SlackWorld, surface: SlackSurface, root: str, slow: str
) -> None:
    world.faults.delay(slow, 0.1)
    await surface.working("Searching")
    async with asyncio.timeout(PATIENCE):
        while list(world.faults):  # noqa: ASYNC110 - until the slow call is on its way
            await asyncio.sleep(0.001)
    await surface.working(None)
    session = world.session("general", root)
    assert (session.status, session.label) == ("active", "")


async def test_a_label_pings_nobody_and_is_one_line(
    prompt: None, world: SlackWorld, surface: SlackSurface
) -> None:
    await surface.working("Reading\n<!channel>.csv " + "x" * 100)
    await world.until(lambda: LINE in methods(world))
    (call,) = world.calls(LINE)
    assert call.args["status"].startswith("Reading <\u200b!channel>.csv")
    assert len(call.args["status"]) == 50
    await surface.working(None)


async def test_a_reply_that_grows_for_long_can_be_stopped(
    prompt: None, world: SlackWorld, surface: SlackSurface, key: PartKey, root: str
) -> None:
    ts = await surface.post(key, "One", last=False, buttons=[STOP])
    await world.until(lambda: world.session("general", root).status == "processing")
    await surface.edit(key, ts, "One.", shown="One", last=True)
    await surface.working(None)
    assert world.session("general", root).status == "active"
    assert world.calls("chat.postEphemeral") == []  # Slack's own button is enough


async def test_without_slacks_stop_button_the_person_gets_ours_once(
    prompt: None, world: SlackWorld, surface: SlackSurface, key: PartKey
) -> None:
    world.subscriptions.discard("agent_session_stopped")
    for index in range(2):
        part = PartKey(key.turn, PartKind.TEXT, index)
        ts = await surface.post(part, "One", last=False, buttons=[STOP])
        await world.until(lambda: world.calls("chat.postEphemeral"))
        await surface.edit(part, ts, "One.", shown="One", last=True)
    await surface.working(None)
    (message,) = world.ephemerals.values()
    assert message.ephemeral_for == world.person("ada").id
    assert message.blocks[0]["elements"][0]["value"] == STOP.turn


async def test_a_part_that_shows_its_own_stop_button_needs_none_beside_it(
    prompt: None, world: SlackWorld, surface: SlackSurface, key: PartKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surface_module, "STOP_AFTER", 0.0)
    world.subscriptions.discard("agent_session_stopped")
    world.faults.refuse("chat.startStream", "unknown_method")
    ts = await surface.post(key, "One", last=False, buttons=[STOP])
    await world.until(lambda: world.calls(SESSION))
    await surface.edit(key, ts, "One two", shown="One", last=False, buttons=[STOP])
    assert world.message("general", ts).blocks[-1]["elements"][0]["value"] == STOP.turn
    await surface.working(None)
    assert not world.ephemerals


async def test_an_offer_that_comes_after_the_end_is_none(
    world: SlackWorld, surface: SlackSurface, key: PartKey, root: str
) -> None:
    ts = await surface.post(key, "One", last=False, buttons=[STOP])
    await surface.edit(key, ts, "One.", shown="One", last=True)
    await surface.working(None)
    await surface._signs._offer_stop()  # its timer had gone off in the same moment
    assert SESSION not in methods(world)
