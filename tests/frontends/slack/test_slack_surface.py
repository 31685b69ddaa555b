"""The surface against the simulated Slack: nothing lost and nothing twice, whatever Slack answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from bridge.frontends.slack import live
from bridge.frontends.slack import surface as surface_module
from bridge.frontends.slack.surface import PART_BYTES, SlackSurface
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Address, Person
from bridge.playground.slack import SlackWorld
from bridge.turns.surface import (
    Button,
    Gone,
    PartFull,
    PartKey,
    PartKind,
    Refused,
    StoppedByPerson,
    Throttled,
    Unreachable,
)
from tests.turns.world import unguarded

T = TypeVar("T")
Shown = Callable[[], list[str]]
STOP = Button("stop", "Stop", "turn000000000001")
AGAIN = Button("retry", "Ask again", "turn000000000001")


def buttons_of(world: SlackWorld, ts: str) -> list[str]:
    blocks = world.message("general", ts).blocks
    return [element["action_id"] for block in blocks for element in block.get("elements", [])]


def methods(world: SlackWorld) -> list[str]:
    return [call.method for call in world.made_calls]


# --- the native stream ---------------------------------------------------------------------------------------


async def test_first_words_go_out_with_the_first_call(
    world: SlackWorld, surface: SlackSurface, key: PartKey, shown: Shown
) -> None:
    await surface.post(key, "The", last=False)
    assert shown() == ["The"]
    assert methods(world) == ["chat.startStream"]


async def test_a_stream_says_whom_it_answers(world: SlackWorld, surface: SlackSurface, key: PartKey) -> None:
    await surface.post(key, "The", last=False)
    args = world.calls("chat.startStream")[0].args
    assert args["recipient_user_id"] == world.person("ada").id
    assert args["recipient_team_id"] == world.team_id


async def test_a_stream_grows_by_deltas_and_ends_with_buttons_and_key(
    world: SlackWorld, surface: SlackSurface, key: PartKey, shown: Shown
) -> None:
    ts = await surface.post(key, "One", last=False)
    await surface.edit(key, ts, "One two", shown="One", last=False)
    await surface.edit(key, ts, "One two", shown="One two", last=False)
    await surface.edit(key, ts, "One two three", shown="One two", last=True, buttons=[AGAIN])
    assert shown() == ["One two three"]
    assert [call.args["chunks"] for call in world.calls("chat.appendStream")] == [
        [{"type": "markdown_text", "text": " two"}]
    ]
    assert methods(world)[-1] == "chat.stopStream"
    assert buttons_of(world, ts) == ["threadbridge:retry"]
    assert await surface.find(key, after="", known=()) == ts


async def test_a_finished_part_can_be_edited_again(
    world: SlackWorld, surface: SlackSurface, key: PartKey, shown: Shown
) -> None:
    ts = await surface.post(key, "One", last=False)
    await surface.edit(key, ts, "One", shown="One", last=True, buttons=[AGAIN])
    await surface.edit(key, ts, "One", shown="One", last=True)
    assert shown() == ["One"]
    assert buttons_of(world, ts) == []


async def test_a_final_rendering_that_differs_replaces_what_was_streamed(
    world: SlackWorld, surface: SlackSurface, key: PartKey, shown: Shown
) -> None:
    ts = await surface.post(key, "Two plus two is", last=False)
    await surface.edit(key, ts, "It is four.", shown="Two plus two is", last=True)
    assert shown() == ["It is four."]


async def test_a_stream_rolls_over_before_it_expires(
    world: SlackWorld,
    surface: SlackSurface,
    key: PartKey,
    shown: Shown,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "STREAM_SECONDS", -1.0)
    ts = await surface.post(key, "One", last=False)
    with pytest.raises(PartFull):
        await surface.edit(key, ts, "One two", shown="One", last=False)
    await surface.edit(key, ts, "One", shown="One", last=True)
    assert shown() == ["One"]
    assert "chat.appendStream" not in methods(world)
    assert methods(world)[-1] == "chat.stopStream"


@pytest.mark.parametrize("error", ["message_not_in_streaming_state", "msg_too_long"])
async def test_a_stream_that_is_over_ends_the_part_and_keeps_what_it_shows(
    world: SlackWorld, surface: SlackSurface, key: PartKey, shown: Shown, error: str
) -> None:
    ts = await surface.post(key, "One", last=False)
    world.faults.refuse("chat.appendStream", error)
    with pytest.raises(PartFull):
        await surface.edit(key, ts, "One two", shown="One", last=False)
    await surface.edit(key, ts, "One.", shown="One", last=True, buttons=[AGAIN])
    assert shown() == ["One."]
    assert buttons_of(world, ts) == ["threadbridge:retry"]


async def test_an_expired_stream_is_finished_by_an_update(
    world: SlackWorld, surface: SlackSurface, key: PartKey, shown: Shown
) -> None:
    ts = await surface.post(key, "One", last=False)
    world.expire_streams()
    await surface.edit(key, ts, "One two three", shown="One", last=True, buttons=[AGAIN])
    assert shown() == ["One two three"]
    assert buttons_of(world, ts) == ["threadbridge:retry"]
    assert await surface.find(key, after="", known=()) == ts


async def test_a_stream_that_fills_up_at_the_end_is_finished_by_an_update(
    world: SlackWorld, surface: SlackSurface, key: PartKey, shown: Shown
) -> None:
    world.stream_bytes = 8
    ts = await surface.post(key, "One", last=False)
    await surface.edit(key, ts, "One two three four", shown="One", last=True)
    assert shown() == ["One two three four"]


async def test_nothing_is_written_into_what_a_person_stopped(
    world: SlackWorld, surface: SlackSurface, key: PartKey, root: str, shown: Shown
) -> None:
    ts = await surface.post(key, "One", last=False)
    await world.stop_session("ada", "general", root)
    for _ in range(2):
        with pytest.raises(StoppedByPerson):
            await surface.edit(key, ts, "One two", shown="One", last=False)
    await surface.edit(key, ts, "One two", shown="One", last=True)
    assert shown() == ["One"]
    assert "chat.update" not in methods(world)


async def test_the_last_words_tell_that_a_person_stopped_the_reply(
    world: SlackWorld, make_surface: Callable[[], SlackSurface], key: PartKey, root: str, shown: Shown
) -> None:
    surface = make_surface()
    ts = await surface.post(key, "One", last=False)
    await world.stop_session("ada", "general", root)
    for one in (surface, make_surface()):  # the second doesn't know what is shown
        text = "One two" if one is surface else "One"
        with pytest.raises(StoppedByPerson):
            await one.edit(key, ts, text, shown="One", last=True)
        await one.edit(key, ts, text, shown="One", last=True)
    assert shown() == ["One"]


async def test_a_stopped_reply_that_lacks_nothing_is_finished(
    world: SlackWorld, surface: SlackSurface, key: PartKey, root: str, shown: Shown
) -> None:
    ts = await surface.post(key, "One", last=False)
    await world.stop_session("ada", "general", root)
    await surface.edit(key, ts, "One", shown="One", last=True)
    assert shown() == ["One"]


async def test_a_stream_that_cannot_be_stopped_is_looked_at_again(
    world: SlackWorld, make_surface: Callable[[], SlackSurface], key: PartKey, shown: Shown
) -> None:
    ts = await make_surface().post(key, "One", last=False)
    fresh = make_surface()
    world.faults.refuse("chat.stopStream", "streaming_state_conflict")
    with pytest.raises(Throttled):
        await fresh.edit(key, ts, "One two", shown=None, last=True)
    world.expire_streams()
    await fresh.edit(key, ts, "One two", shown=None, last=True)
    assert shown() == ["One two"]


@pytest.mark.parametrize("how", ["break_down", "hang_up"])
@pytest.mark.parametrize("after", [True, False])
async def test_an_append_that_nobody_knows_the_fate_of_shows_its_text_once(
    world: SlackWorld, surface: SlackSurface, key: PartKey, shown: Shown, how: str, after: bool
) -> None:
    ts = await surface.post(key, "One", last=False)
    getattr(world.faults, how)("chat.appendStream", after=after)
    with pytest.raises(Unreachable):
        await surface.edit(key, ts, "One two", shown="One", last=False)
    await surface.edit(key, ts, "One two", shown="One", last=False)
    assert shown() == ["One two"]
    await surface.edit(key, ts, "One two three", shown="One two", last=True)
    assert shown() == ["One two three"]


@pytest.mark.parametrize("after", [True, False])
async def test_a_stop_that_nobody_knows_the_fate_of_shows_its_text_once(
    world: SlackWorld, surface: SlackSurface, key: PartKey, shown: Shown, after: bool
) -> None:
    ts = await surface.post(key, "One", last=False)
    world.faults.break_down("chat.stopStream", after=after)
    with pytest.raises(Unreachable):
        await surface.edit(key, ts, "One two", shown="One", last=True)
    await surface.edit(key, ts, "One two", shown="One", last=True)
    assert shown() == ["One two"]


@pytest.mark.parametrize("method", ["chat.appendStream", "chat.stopStream", "chat.postMessage"])
async def test_a_429_asks_for_patience_and_loses_nothing(
    world: SlackWorld, surface: SlackSurface, key: PartKey, shown: Shown, method: str
) -> None:
    world.faults.throttle(method, 7)

    async def patiently(call: Callable[[], Awaitable[T]]) -> T:
        try:
            return await call()
        except Throttled as error:
            delays.append(error.retry_after)
            return await call()

    delays: list[float] = []
    if method == "chat.postMessage":
        await patiently(lambda: surface.post(key, "One two three", last=True))
    else:
        ts = await patiently(lambda: surface.post(key, "One", last=False))
        await patiently(lambda: surface.edit(key, ts, "One two", shown="One", last=False))
        await patiently(lambda: surface.edit(key, ts, "One two three", shown="One two", last=True))
    assert delays == [7]
    assert shown() == ["One two three"]
    assert len(world.calls(method)) == 2


async def test_a_full_part_fits_a_stream_and_an_update(
    world: SlackWorld, surface: SlackSurface, key: PartKey, shown: Shown
) -> None:
    text = "ä" * (PART_BYTES // 2)
    ts = await surface.post(key, text[:10], last=False)
    await surface.edit(key, ts, text, shown=text[:10], last=False)
    await surface.edit(key, ts, text, shown=text, last=True, buttons=[AGAIN])
    await surface.edit(key, ts, text, shown=None, last=True, buttons=[AGAIN])
    assert shown() == [text]


# --- where there are no streams ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", ["unknown_method", "missing_scope", "channel_type_not_supported", "team_not_found", "whatever"]
)
async def test_without_streams_a_part_lives_by_updates(
    world: SlackWorld,
    surface: SlackSurface,
    key: PartKey,
    shown: Shown,
    monkeypatch: pytest.MonkeyPatch,
    error: str,
) -> None:
    monkeypatch.setattr(surface_module, "STOP_AFTER", 0.0)
    world.faults.refuse("chat.startStream", error)
    ts = await surface.post(key, "One", last=False, buttons=[STOP])
    assert buttons_of(world, ts) == []
    await surface.edit(key, ts, "One two", shown="One", last=False, buttons=[STOP])
    assert buttons_of(world, ts) == ["threadbridge:stop"]
    assert shown() == ["One two"]
    await surface.edit(key, ts, "One two three", shown="One two", last=True, buttons=[AGAIN])
    assert shown() == ["One two three"]
    assert buttons_of(world, ts) == ["threadbridge:retry"]


@pytest.mark.parametrize(
    ("error", "starts"), [("unknown_method", 1), ("channel_type_not_supported", 1), ("whatever", 2)]
)
async def test_a_workspace_without_streams_is_asked_once(
    world: SlackWorld, make_surface: Callable[[], SlackSurface], key: PartKey, error: str, starts: int
) -> None:
    world.faults.refuse("chat.startStream", error, times=2)
    await make_surface().post(key, "One", last=False)
    second = make_surface()
    assert second.style.appends == (starts == 2)
    assert (second.style.interval > surface_module.STREAM_STYLE.interval) == (starts == 1)
    await second.post(PartKey(key.turn, PartKind.TEXT, 1), "Two", last=False)
    assert len(world.calls("chat.startStream")) == starts


async def test_where_slack_refuses_what_stands_under_an_answer_the_words_stand(
    world: SlackWorld, surface: SlackSurface, key: PartKey, shown: Shown
) -> None:
    under = (Button("rate", "Good answer", key.turn, "good"), Button("rate", "Bad answer", key.turn, "bad"))
    ts = await surface.post(key, "The", last=False)
    world.faults.refuse("chat.stopStream", "invalid_blocks")
    world.faults.refuse("chat.update", "invalid_blocks")
    await surface.edit(key, ts, "The whole answer.", shown="The", last=True, buttons=under)
    assert shown() == ["The whole answer."]
    assert not buttons_of(world, ts)


@pytest.mark.parametrize("error", ["cant_update_message", "edit_window_closed", "msg_too_long", "invalid_blocks"])
async def test_where_even_updates_are_refused_the_rest_is_posted(
    world: SlackWorld, surface: SlackSurface, key: PartKey, shown: Shown, error: str
) -> None:
    world.faults.refuse("chat.startStream", "unknown_method")
    world.faults.refuse("chat.update", error, times=99)
    ts = await surface.post(key, "One", last=False)
    await surface.edit(key, ts, "One two", shown="One", last=False)
    await surface.edit(key, ts, "One two three", shown="One two", last=True, buttons=[AGAIN])
    assert shown() == ["One", " two three"]


async def test_the_rest_is_posted_once_when_its_post_broke(
    world: SlackWorld, surface: SlackSurface, key: PartKey, shown: Shown
) -> None:
    ts = await surface.post(key, "One", last=True)
    world.faults.refuse("chat.update", "cant_update_message", times=99)
    world.faults.break_down("chat.postMessage", after=True)
    with pytest.raises(Unreachable):
        await surface.edit(key, ts, "One two", shown="One", last=True)
    await surface.edit(key, ts, "One two", shown="One", last=True)
    await surface.edit(key, ts, "One two", shown="One", last=True)
    assert shown() == ["One", " two"]


async def test_a_deleted_message_is_gone(world: SlackWorld, surface: SlackSurface, key: PartKey) -> None:
    ts = await surface.post(key, "One", last=True)
    world.remove(world.message("general", ts))
    with pytest.raises(Gone):
        await surface.edit(key, ts, "One two", shown="One", last=True)


async def test_an_archived_channel_is_gone(world: SlackWorld, surface: SlackSurface, key: PartKey) -> None:
    world.channel("general").is_archived = True
    with pytest.raises(Gone):
        await surface.post(key, "One", last=False)


async def test_content_that_slack_refuses_is_refused(
    world: SlackWorld, surface: SlackSurface, key: PartKey
) -> None:
    world.faults.refuse("chat.postMessage", "no_text", times=2)
    with pytest.raises(Refused):
        await surface.post(key, "One", last=True)


async def test_a_part_that_nobody_needs_goes_away(
    world: SlackWorld, make_surface: Callable[[], SlackSurface], key: PartKey, shown: Shown
) -> None:
    surface = make_surface()
    stream = await surface.post(key, "One", last=False)
    posted = await surface.post(PartKey(key.turn, PartKind.TEXT, 1), "Two", last=True)
    await surface.delete(stream)
    await make_surface().delete(posted)
    await surface.delete(posted)
    assert shown() == []


async def test_a_part_that_slack_keeps_is_emptied(
    world: SlackWorld, surface: SlackSurface, key: PartKey, shown: Shown
) -> None:
    stream = await surface.post(key, "One", last=False)
    world.faults.refuse("chat.delete", "compliance_exports_prevent_deletion")
    await surface.delete(stream)
    assert shown() == ["…"]


# --- plain posts ---------------------------------------------------------------------------------------------


async def test_a_post_pings_nobody_and_unfurls_nothing(
    world: SlackWorld, surface: SlackSurface, key: PartKey, shown: Shown
) -> None:
    await surface.post(key, "See https://example.com/?leak=1", last=True)
    assert shown() == ["See https://example.com/?leak=1"]
    assert world.unfurls == []
    args = world.calls("chat.postMessage")[0].args
    assert (args["link_names"], args["parse"]) == (False, "none")


@pytest.mark.parametrize("said", ["<!channel> <@U0SIM000001> @here", "&" * 5_000, "x" * 5_000])
async def test_a_notifications_text_pings_nobody_and_is_short(
    world: SlackWorld, surface: SlackSurface, key: PartKey, said: str
) -> None:
    ts = await surface.post(key, said, last=True)
    text = world.message("general", ts).text
    assert "<" not in text
    assert "@here" not in text
    assert 0 < len(text) < 4_000


async def test_blocks_that_slack_refuses_become_plain_text(
    world: SlackWorld, surface: SlackSurface, key: PartKey
) -> None:
    world.faults.refuse("chat.postMessage", "invalid_blocks")
    ts = await surface.post(key, "**bold** & <!channel>", last=True)
    message = world.message("general", ts)
    assert message.blocks == ()
    assert "*bold*" in message.text
    assert world.pings == []
    assert await surface.find(key, after="", known=()) == ts


@pytest.mark.parametrize("after", [True, False])
async def test_a_post_that_nobody_knows_the_fate_of_is_found_if_it_is_there(
    world: SlackWorld, surface: SlackSurface, key: PartKey, root: str, after: bool
) -> None:
    world.faults.break_down("chat.postMessage", after=after)
    with pytest.raises(Unreachable):
        await surface.post(key, "One", last=True)
    found = await surface.find(key, after=root, known=())
    posted = [message.ts for message in world.thread("general", root)[1:]]
    assert [found] == (posted if after else [None])


# --- found again ---------------------------------------------------------------------------------------------


async def test_a_stream_without_a_key_is_found_as_the_first_that_nobody_knows(
    world: SlackWorld, surface: SlackSurface, key: PartKey, root: str, shown: Shown
) -> None:
    first = await surface.post(key, "One", last=False)
    world.faults.hang_up("chat.startStream", after=True)
    second = PartKey(key.turn, PartKind.TEXT, 1)
    with pytest.raises(Unreachable):
        await surface.post(second, "Two", last=False)
    found = await surface.find(second, after=root, known=[first])
    assert found is not None
    assert found != first
    await surface.edit(second, found, "Two and more", shown=None, last=False)
    await surface.edit(second, found, "Two and more.", shown="Two and more", last=True)
    assert shown() == ["One", "Two and more."]


async def test_find_passes_over_people_older_messages_and_other_parts(
    world: SlackWorld, surface: SlackSurface, key: PartKey, root: str
) -> None:
    other = await surface.post(PartKey(key.turn, PartKind.NOTICE), "A notice", last=True)
    await world.say("grace", "general", "me too", root)
    assert await surface.find(key, after=root, known=()) is None
    stream = await surface.post(key, "One", last=False)
    assert await surface.find(key, after=stream, known=()) is None
    assert await surface.find(key, after=other, known=()) == stream


@pytest.mark.parametrize("last", [True, False])
async def test_after_a_restart_the_same_message_is_finished(
    world: SlackWorld, make_surface: Callable[[], SlackSurface], key: PartKey, shown: Shown, last: bool
) -> None:
    ts = await make_surface().post(key, "One", last=False)
    fresh = make_surface()
    await fresh.edit(key, ts, "One two", shown=None, last=last)
    assert shown() == ["One two"]
    await fresh.edit(key, ts, "One two three", shown="One two", last=True)
    assert shown() == ["One two three"]


async def test_after_a_restart_a_plain_message_is_finished(
    world: SlackWorld, make_surface: Callable[[], SlackSurface], key: PartKey, shown: Shown
) -> None:
    ts = await make_surface().post(key, "One", last=True)
    await make_surface().edit(key, ts, "One two", shown=None, last=True, buttons=[AGAIN])
    assert shown() == ["One two"]


async def test_what_slack_cannot_say_is_not_taken_for_no(
    world: SlackWorld, surface: SlackSurface, key: PartKey, root: str
) -> None:
    world.faults.refuse("conversations.replies", "internal_error")
    with pytest.raises(Unreachable):
        await surface.find(key, after=root, known=())


# --- what was said before ------------------------------------------------------------------------------------


async def test_earlier_messages_come_with_names_and_files_and_without_our_own(
    world: SlackWorld, workspace: Workspace
) -> None:
    start = await world.say("ada", "random", world.typed("@grace, the plan is attached"))
    await world.say("grace", "random", "Thanks &amp; noted", start, files=[("plan.txt", "text/plain", b"plan")])
    await world.say(world.bot.id, "random", "I said this", start)
    other = world.add_person("Alert Bot", is_bot=True)
    world.channel("random").members.add(other.id)
    await world.say(other.id, "random", "Disk full", start)
    asked = await world.say("ada", "random", f"{world.mention} what now?", start)
    await world.say("grace", "random", "later", start)
    address = Address("slack", world.team_id, world.channel("random").id, start)
    surface = SlackSurface(workspace, address, person=Person(world.person("ada").id), guard=unguarded)
    said = await surface.earlier(asked)
    assert [(one.author_name, one.text) for one in said] == [
        ("ada", "@grace, the plan is attached"),
        ("grace", "Thanks & noted"),
        ("Alert Bot", "Disk full"),
    ]
    assert [file.name for one in said for file in one.files] == ["plan.txt"]


async def test_earlier_messages_are_bounded_to_the_latest(world: SlackWorld, workspace: Workspace) -> None:
    start = await world.say("ada", "random", "0")
    for number in range(1, 80):
        await world.say("ada", "random", str(number), start)
    asked = await world.say("ada", "random", world.mention, start)
    address = Address("slack", world.team_id, world.channel("random").id, start)
    said = await SlackSurface(workspace, address, person=Person(world.person("ada").id), guard=unguarded).earlier(
        asked
    )
    assert [one.text for one in said] == [str(number) for number in range(30, 80)]
