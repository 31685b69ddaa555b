"""What Slack refuses: a reply is cut short only where nothing else can be done, and somebody is told."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from adapters.testing.serving import serve
from bridge.frontends.slack.errors import TOKEN_IS_BAD
from bridge.frontends.slack.history import History
from bridge.frontends.slack.reading import Me
from bridge.frontends.slack.settings import SlackSettings
from bridge.frontends.slack.surface import SlackSurface
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Address, Person, RemoteFile
from bridge.playground.slack import SlackWorld, create_app
from bridge.turns.surface import Gone, PartKey, PartKind, Refused, Unreachable, Upload
from tests.turns.world import unguarded

Shown = Callable[[], list[str]]
UNLISTED = [
    "never_heard_of",
    "cant_update_message",
    "edit_window_closed",
    "message_not_owned_by_app",
    "no_permission",
]


# --- edits, appends and stops --------------------------------------------------------------------------------


@pytest.mark.parametrize("error", UNLISTED)
async def test_an_edit_that_is_refused_leaves_what_stands_and_posts_the_rest(
    world: SlackWorld, surface: SlackSurface, key: PartKey, shown: Shown, error: str
) -> None:
    ts = await surface.post(key, "One", last=True)
    world.faults.refuse("chat.update", error, times=99)
    await surface.edit(key, ts, "One two", shown="One", last=True)
    assert shown() == ["One", " two"]


@pytest.mark.parametrize("error", [*UNLISTED, "message_not_found", "thread_not_found_whatever"])
@pytest.mark.parametrize("method", ["chat.appendStream", "chat.stopStream"])
async def test_a_stream_that_refuses_for_whatever_reason_goes_on_by_an_edit(
    world: SlackWorld, surface: SlackSurface, key: PartKey, shown: Shown, method: str, error: str
) -> None:
    ts = await surface.post(key, "One", last=False)
    world.faults.refuse(method, error)
    await surface.edit(key, ts, "One two", shown="One", last=method == "chat.stopStream")
    await surface.edit(key, ts, "One two three", shown="One two", last=True)
    assert shown() == ["One two three"]


@pytest.mark.parametrize("error", ["channel_not_found", "is_archived", "not_in_channel"])
@pytest.mark.parametrize("method", ["chat.appendStream", "chat.stopStream", "chat.update"])
async def test_a_place_that_is_gone_ends_it(
    world: SlackWorld, surface: SlackSurface, key: PartKey, method: str, error: str
) -> None:
    ts = await surface.post(key, "One", last=method == "chat.update")
    world.faults.refuse(method, error)
    with pytest.raises(Gone):
        await surface.edit(key, ts, "One two", shown="One", last=method != "chat.appendStream")


async def test_a_post_is_refused_for_good_only_by_a_known_code(
    world: SlackWorld, surface: SlackSurface, key: PartKey
) -> None:
    world.faults.refuse("chat.postMessage", "never_heard_of", times=2)
    with pytest.raises(Unreachable):
        await surface.post(key, "One", last=True)
    for error in (
        "restricted_action",
        "restricted_action_thread_locked",
        "no_permission",
        "messages_tab_disabled",
    ):
        world.faults.refuse("chat.postMessage", error)
        with pytest.raises(Refused):
            await surface.post(key, "One", last=True)


async def test_what_one_channel_refuses_another_may_allow(
    world: SlackWorld, workspace: Workspace, surface: SlackSurface, key: PartKey
) -> None:
    world.faults.refuse("chat.startStream", "no_permission")
    await surface.post(key, "One", last=False)
    root = await world.say("ada", "random", f"{world.mention} hello")
    elsewhere = Address("slack", world.team_id, world.channel("random").id, root)
    other = SlackSurface(workspace, elsewhere, person=Person(world.person("ada").id), guard=unguarded)
    assert other.style.appends
    ts = await other.post(key, "One", last=False)
    assert world.message("random", ts).streaming == "in_progress"
    again = SlackSurface(workspace, surface._address, person=Person(world.person("ada").id), guard=unguarded)
    assert not again.style.appends


async def test_a_stream_to_a_guest_names_the_guests_own_team(
    world: SlackWorld, workspace: Workspace, key: PartKey
) -> None:
    guest = world.add_person("Gus Guest", team="T0OTHER")
    world.channel("general").members.add(guest.id)
    root = await world.say("gus", "general", f"{world.mention} hello")
    address = Address("slack", world.team_id, world.channel("general").id, root)
    surface = SlackSurface(workspace, address, person=Person(guest.id, workspace="T0OTHER"), guard=unguarded)
    ts = await surface.post(key, "One", last=False)
    assert world.message("general", ts).streaming == "in_progress"
    assert world.calls("chat.startStream")[0].args["recipient_team_id"] == "T0OTHER"


# --- answers that aren't Slack's -----------------------------------------------------------------------------

LOGIN = "<!DOCTYPE html><html><title>Sign in</title></html>"
NOT_SLACKS = {
    "a login page": Response(LOGIN, 200, media_type="text/html"),
    "a login page that says it's JSON": Response(LOGIN, 200, media_type="application/json"),
    "a refusal in HTML": Response(LOGIN, 403, media_type="text/html"),
    "a refusal in words": PlainTextResponse("Forbidden", 403),
    "words": PlainTextResponse("ok", 200),
    "nothing": Response("", 200, media_type="application/json"),
    "cut JSON": Response('{"ok": tr', 200, media_type="application/json"),
    "a list": JSONResponse([]),
    "a full list": JSONResponse([{"ok": True}]),
    "a number": JSONResponse(7),
    "an object without ok": JSONResponse({}),
    "a refusal without an error": JSONResponse({"ok": False}),
    "another's error": JSONResponse({"error": {"message": "not found"}}, 404),
    "no text at all": Response(b"\xff\xfe\x00", 200, media_type="application/json"),
    "no charset": Response(b"{}", 200, headers={"content-type": "application/json; charset=nonsense"}),
}


@asynccontextmanager
async def behind(world: SlackWorld, answer: Response) -> AsyncIterator[tuple[Workspace, Callable[[bool], None]]]:
    """A workspace whose every call can be answered by something that isn't Slack."""
    simulated = create_app(world)
    switched = False

    def switch(on: bool) -> None:
        nonlocal switched
        switched = on

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (answer if switched and scope["type"] == "http" else simulated)(scope, receive, send)

    async with serve(app) as url:
        settings = SlackSettings(
            bot_token=SecretStr(world.bot_token), app_token=SecretStr(world.app_token), api_url=f"{url}/api/"
        )
        world.base_url = url
        workspace = Workspace(settings)
        workspace.identify(Me(world.team_id, world.bot.id, world.bot.bot_id or ""))
        async with workspace.connections():
            yield workspace, switch


@pytest.mark.parametrize("answer", NOT_SLACKS.values(), ids=NOT_SLACKS.keys())
async def test_what_is_not_slacks_answer_is_no_answer(
    world: SlackWorld, root: str, address: Address, key: PartKey, shown: Shown, tmp_path: Path, answer: Response
) -> None:
    second, third = PartKey(key.turn, PartKind.TEXT, 1), PartKey(key.turn, PartKind.TEXT, 2)
    file = world.store("plan.txt", "text/plain", b"plan", world.person("ada").id)
    path = tmp_path / "report.md"
    path.write_bytes(b"# Report")
    async with behind(world, answer) as (workspace, switch):
        surface = SlackSurface(workspace, address, person=Person(world.person("ada").id), guard=unguarded)
        growing = await surface.post(key, "One", last=False)
        whole = await surface.post(second, "Two", last=True)
        remote = RemoteFile(file.id, file.name, file.media_type, 4, "")
        calls: tuple[Callable[[], Awaitable[object]], ...] = (
            lambda: surface.post(third, "More", last=False),
            lambda: surface.post(third, "More", last=True),
            lambda: surface.edit(second, whole, "Two and", shown="Two", last=True),
            lambda: surface.delete(whole),
            lambda: surface.upload(PartKey(key.turn, PartKind.FILE), [Upload("r.md", path, "text/markdown", 8)]),
            lambda: surface.find(third, after=root, known=()),
            lambda: surface.earlier(root),
            lambda: surface.fetch(remote, tmp_path / "fetched", 100),
            lambda: surface.edit(key, growing, "One and", shown="One", last=False),
        )
        for call in calls:
            switch(True)
            with pytest.raises(Unreachable):
                await call()
            switch(False)
        await surface.edit(key, growing, "One and all.", shown="One", last=True)
    assert shown() == ["One and all.", "Two"]


async def test_an_answer_that_lacks_what_it_is_for_is_no_answer(
    world: SlackWorld, root: str, address: Address, key: PartKey, tmp_path: Path
) -> None:
    path = tmp_path / "report.md"
    path.write_bytes(b"# Report")
    async with behind(world, JSONResponse({"ok": True})) as (workspace, switch):
        surface = SlackSurface(workspace, address, person=Person(world.person("ada").id), guard=unguarded)
        switch(True)
        calls: tuple[Callable[[], Awaitable[object]], ...] = (
            lambda: surface.post(key, "More", last=False),
            lambda: surface.post(key, "More", last=True),
            lambda: surface.upload(PartKey(key.turn, PartKind.FILE), [Upload("r.md", path, "text/markdown", 8)]),
            lambda: surface.find(key, after=root, known=()),
            lambda: surface.earlier(root),
            lambda: surface.fetch(RemoteFile("F1", "a", "text/plain", 4, ""), tmp_path / "fetched", 100),
            lambda: History(workspace).thread(address),
            lambda: History(workspace).channel(address.channel, "0"),
        )
        for call in calls:
            with pytest.raises(Unreachable):
                await call()
        assert await surface.resolve(Person("U1"), "hello <@U2>") == ("U1", "hello @U2")


# --- a token that is taken away ------------------------------------------------------------------------------


@pytest.mark.parametrize("code", sorted(TOKEN_IS_BAD))
async def test_a_reply_waits_for_a_good_token_and_goes_out_with_it(
    world: SlackWorld, settings: SlackSettings, address: Address, root: str, key: PartKey, shown: Shown, code: str
) -> None:
    person = Person(world.person("ada").id)
    before = Workspace(settings)
    before.identify(Me(world.team_id, world.bot.id, world.bot.bot_id or ""))
    second = PartKey(key.turn, PartKind.TEXT, 1)
    async with before.connections():
        surface = SlackSurface(before, address, person=person, guard=unguarded)
        ts = await surface.post(key, "One", last=False)
        world.faults.refuse("*", code, times=99)
        calls: tuple[Callable[[], Awaitable[object]], ...] = (
            lambda: surface.edit(key, ts, "One two", shown="One", last=False),
            lambda: surface.edit(key, ts, "One two", shown="One", last=True),
            lambda: surface.post(second, "More", last=True),
            lambda: surface.find(second, after=root, known=()),
        )
        for call in calls:
            with pytest.raises(Unreachable):
                await call()
    world.faults.clear()
    world.bot_token = "xoxb-another"
    after = Workspace(settings.model_copy(update={"bot_token": SecretStr("xoxb-another")}))
    after.identify(before.me)
    async with after.connections():
        successor = SlackSurface(after, address, person=person, guard=unguarded)
        await successor.edit(key, ts, "One two.", shown=None, last=True)
        assert await successor.find(second, after=root, known=[ts]) is None
        await successor.post(second, "More.", last=True)
    assert shown() == ["One two.", "More."]


# --- and then somebody is told -------------------------------------------------------------------------------

SENTENCE = "My answer could not be shown <!channel> here."


@pytest.mark.parametrize(
    ("refused", "where"),
    [
        ((), "thread"),
        (("chat.postMessage",), "ephemeral"),
        (("chat.postMessage", "chat.postEphemeral"), "direct"),
        (("chat.postMessage", "chat.postEphemeral", "chat.postMessage"), "reaction"),
        (("chat.postMessage", "chat.postEphemeral", "chat.postMessage", "reactions.add"), "nowhere"),
    ],
)
@pytest.mark.parametrize("error", ["restricted_action", "is_archived", "never_heard_of"])
async def test_what_cannot_be_shown_is_said_wherever_it_can_be(
    world: SlackWorld, surface: SlackSurface, root: str, refused: tuple[str, ...], where: str, error: str
) -> None:
    for method in refused:
        world.faults.refuse(method, error)
    assert await surface.say_undeliverable(root, SENTENCE) is (where != "nowhere")
    ada = world.person("ada").id
    found = {
        "thread": len(world.thread("general", root)) == 2,
        "ephemeral": [one.ephemeral_for for one in world.ephemerals.values()] == [ada],
        "direct": any(SENTENCE.split("<")[0] in one.text for one in world.messages(world.direct("ada").id)),
        "reaction": "warning" in world.message("general", root).reactions,
    }
    assert [name for name, is_there in found.items() if is_there] == ([] if where == "nowhere" else [where])
    assert world.pings == []


async def test_a_waiting_question_is_marked_and_unmarked(
    world: SlackWorld, surface: SlackSurface, root: str
) -> None:
    for waits in (True, True, False, False):
        await surface.mark_waiting(root, waits)
        assert ("hourglass_flowing_sand" in world.message("general", root).reactions) is waits


async def test_without_the_scope_nothing_is_marked(
    world: SlackWorld, workspace: Workspace, surface: SlackSurface, root: str
) -> None:
    workspace.identify(workspace.me, frozenset(world.scopes - {"reactions:write"}))
    await surface.mark_waiting(root, True)
    assert world.made_calls == deque()


@pytest.mark.parametrize("error", ["missing_scope", "never_heard_of", "internal_error", "message_not_found"])
async def test_a_mark_that_is_refused_is_no_matter(
    world: SlackWorld, surface: SlackSurface, root: str, error: str
) -> None:
    world.faults.refuse("reactions.add", error)
    await surface.mark_waiting(root, True)
    await surface.mark_waiting(root, False)
    assert world.message("general", root).reactions == {}
