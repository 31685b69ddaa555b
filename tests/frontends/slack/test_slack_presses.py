"""Buttons, and what becomes of them once somebody decided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from adapters.testing.serving import serve
from bridge.frontends.slack import signs
from bridge.frontends.slack.presses import Presses
from bridge.frontends.slack.reading import Me, read_press
from bridge.frontends.slack.surface import SlackSurface
from bridge.frontends.slack.workspace import Workspace
from bridge.playground.slack import SlackWorld, shapes
from bridge.render.slack import SLACK
from bridge.turns.inbox import Decision
from bridge.turns.surface import Button, PartKey, PartKind
from tests.frontends.slack.memory import MemoryInbox

TURN = "turn000000000001"
AGAIN = (Button("retry", "Send it again", TURN), Button("abandon", "Leave it", TURN))


@pytest.fixture
def presses(inbox: MemoryInbox, workspace: Workspace) -> Presses:
    return Presses(inbox, workspace)


def payload_of(world: SlackWorld, ts: str, action_id: str, *, seen_by_all: bool = True) -> dict[str, Any]:
    """What Slack sends when Grace presses a button, as `SlackWorld.press` makes it."""
    message = world.message("general", ts) if seen_by_all else world.ephemerals[ts]
    grace = world.person("grace").id
    [element] = [
        one for block in message.blocks for one in block.get("elements", ()) if one.get("action_id") == action_id
    ]
    payload: dict[str, Any] = {
        "user": {"id": grace, "name": "grace", "team_id": world.team_id},
        "channel": {"id": message.channel},
        "container": {"message_ts": ts, "thread_ts": message.thread_ts, "channel_id": message.channel},
        "response_url": world.new_response_url(world.channels[message.channel], message.thread_ts, grace, ts),
        "actions": [element],
    }
    return payload | ({"message": shapes.message_json(world, message)} if seen_by_all else {})


async def press(presses: Presses, world: SlackWorld, ts: str, action_id: str, *, seen_by_all: bool = True) -> None:
    me = Me(world.team_id, world.bot.id, world.bot.bot_id or "")
    pressed = read_press(payload_of(world, ts, action_id, seen_by_all=seen_by_all), me)
    assert pressed is not None
    await presses.decide(pressed)


def buttons(world: SlackWorld, ts: str) -> list[str]:
    blocks = world.message("general", ts).blocks
    return [one["action_id"] for block in blocks for one in block.get("elements", ()) if one["type"] == "button"]


@pytest.mark.parametrize("streamed", [True, False])
async def test_what_was_decided_takes_the_place_of_the_buttons(
    world: SlackWorld, surface: SlackSurface, presses: Presses, inbox: MemoryInbox, key: PartKey, streamed: bool
) -> None:
    inbox.decision = Decision(settled="Sent again · Ann <!channel> <@U0SIM000004>")
    ts = await surface.post(key, "I couldn't tell.", last=not streamed, buttons=() if streamed else AGAIN)
    if streamed:
        await surface.edit(key, ts, "I couldn't tell.", shown="I couldn't tell.", last=True, buttons=AGAIN)
    await press(presses, world, ts, "threadbridge:retry")
    assert [(one.action, one.turn, one.person.name) for one in inbox.presses] == [("retry", TURN, "grace")]
    message = world.message("general", ts)
    assert buttons(world, ts) == []
    assert message.shown.startswith("I couldn't tell.")
    assert "Sent again · Ann" in str(message.blocks[-1])
    assert world.pings == []
    assert await surface.find(key, after="", known=()) == ts  # it is still the part that it was


async def test_undecided_buttons_stay(
    world: SlackWorld, surface: SlackSurface, presses: Presses, inbox: MemoryInbox, key: PartKey
) -> None:
    inbox.decision = Decision("Not now.")
    ts = await surface.post(key, "Well?", last=True, buttons=AGAIN)
    await press(presses, world, ts, "threadbridge:abandon")
    assert buttons(world, ts) == ["threadbridge:retry", "threadbridge:abandon"]
    (told,) = world.ephemerals.values()
    assert (told.text, told.ephemeral_for) == ("Not now.", world.person("grace").id)


@pytest.mark.parametrize("error", ["cant_update_message", "internal_error", "never_heard_of"])
async def test_buttons_that_cannot_be_taken_away_are_no_reason_to_fail(
    world: SlackWorld, surface: SlackSurface, presses: Presses, inbox: MemoryInbox, key: PartKey, error: str
) -> None:
    inbox.decision = Decision("Sent.", "Sent again · Grace")
    ts = await surface.post(key, "Well?", last=True, buttons=AGAIN)
    world.faults.refuse("chat.update", error)
    await press(presses, world, ts, "threadbridge:retry")
    assert len(inbox.presses) == 1
    assert [one.text for one in world.ephemerals.values()] == ["Sent."]


@pytest.mark.parametrize(
    ("decision", "left"),
    [
        (Decision(), []),
        (Decision("Stopping."), ["Stopping."]),
        (Decision(settled="Stopped · Grace"), ["Stopped · Grace"]),
    ],
)
async def test_a_button_that_only_one_person_sees_goes_with_its_press(
    world: SlackWorld,
    surface: SlackSurface,
    presses: Presses,
    inbox: MemoryInbox,
    key: PartKey,
    monkeypatch: pytest.MonkeyPatch,
    decision: Decision,
    left: Sequence[str],
) -> None:
    monkeypatch.setattr(signs, "STOP_AFTER", 0.0)
    inbox.decision = decision
    world.subscriptions.discard("agent_session_stopped")
    await surface.post(key, "One", last=False, buttons=(Button("stop", "Stop", TURN),))
    await world.until(lambda: world.ephemerals)
    (offered,) = world.ephemerals
    await press(presses, world, offered, "threadbridge:stop", seen_by_all=False)
    assert [one.text for one in world.ephemerals.values()] == left
    assert not any(one.blocks for one in world.ephemerals.values())
    await surface.working(None)


async def test_an_answer_goes_to_slack_and_nowhere_else(
    presses: Presses, inbox: MemoryInbox, workspace: Workspace
) -> None:
    told = 0

    async def elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal told
        told += 1
        await PlainTextResponse("ok")(scope, receive, send)

    async with serve(elsewhere) as url:
        payload = {
            "user": {"id": "U1"},
            "channel": {"id": "C1"},
            "container": {"message_ts": "1.2", "thread_ts": "1.1"},
            "response_url": f"{url}/respond",
            "actions": [{"action_id": "threadbridge:stop", "value": TURN}],
        }
        pressed = read_press(payload, workspace.me)
        assert pressed is not None
        await presses.decide(pressed)
    assert len(inbox.presses) == 1
    assert told == 0


@pytest.mark.parametrize("count", [3, 5])
async def test_an_agents_choices_are_buttons(
    world: SlackWorld, surface: SlackSurface, presses: Presses, inbox: MemoryInbox, key: PartKey, count: int
) -> None:
    choices = [
        Button("choose", f"Choice {number} <!here>" + "x" * 100, TURN, str(number)) for number in range(count)
    ]
    ts = await surface.post(key, "Which one?", last=True, buttons=[*choices, Button("answer", "Write", TURN)])
    assert buttons(world, ts) == [f"threadbridge:choose:{number}" for number in range(count)] + [
        "threadbridge:answer"
    ]
    await press(presses, world, ts, "threadbridge:choose:2")
    (one,) = inbox.presses
    assert (one.action, one.turn, one.value) == ("choose", TURN, "2")


async def test_more_of_them_are_a_select(world: SlackWorld, surface: SlackSurface, key: PartKey) -> None:
    assert surface.style.max_choices == 100
    choices = [Button("choose", f"<!here> {number}" + "x" * 100, TURN, str(number)) for number in range(100)]
    ts = await surface.post(key, "Which one?", last=True, buttons=[*choices, Button("abandon", "Leave it", TURN)])
    select, leave = world.message("general", ts).blocks[-1]["elements"]
    assert (select["type"], select["action_id"], len(select["options"])) == (
        "static_select",
        "threadbridge:choose",
        100,
    )
    assert leave["text"]["text"] == "Leave it"
    assert world.pings == []
    action = {**select, "selected_option": select["options"][37]}
    payload = payload_of(world, ts, "threadbridge:choose") | {"actions": [action]}
    pressed = read_press(payload, Me(world.team_id, world.bot.id, world.bot.bot_id or ""))
    assert pressed is not None
    assert (pressed.action, pressed.turn, pressed.value) == ("choose", TURN, "37")


async def test_until_when_is_in_each_readers_time(world: SlackWorld, surface: SlackSurface, key: PartKey) -> None:
    """In Slack's own mark-up, which a markdown block doesn't have."""
    until = f"Until {SLACK.moment.format(at=1_800_000_000, utc='2027-01-15 08:00 UTC')}."
    decide = (Button("approve", "Approve", TURN), Button("decline", "Decline", TURN))
    ts = await surface.post(PartKey(TURN, PartKind.REQUEST), f"Wipe it?\n\n{until}", last=True, buttons=decide)
    message = world.message("general", ts)
    words, context, row = message.blocks
    assert words["text"] == "Wipe it?"
    assert context["elements"] == [{"type": "mrkdwn", "text": until}]
    assert [(one["text"]["text"], one["style"]) for one in row["elements"]] == [
        ("Approve", "primary"),
        ("Decline", "danger"),
    ]
    assert message.text == "Wipe it?\n\nUntil 2027-01-15 08:00 UTC."


@pytest.mark.parametrize(
    "text", ["Until <!date^1^x|y>.", "Wait.\n\nUntil <!date^1^{date_short_pretty} at {time}|<!channel>>. UTC>."]
)
async def test_nothing_else_becomes_mark_up(
    world: SlackWorld, surface: SlackSurface, key: PartKey, text: str
) -> None:
    ts = await surface.post(key, text, last=True)
    assert [block["type"] for block in world.message("general", ts).blocks] == ["markdown"]
    assert world.pings == []
