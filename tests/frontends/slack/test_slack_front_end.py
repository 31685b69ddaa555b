"""The whole front end, served against the simulated Slack in both modes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from adapters.testing.serving import serve
from bridge.frontends.slack import app as app_module
from bridge.frontends.slack import signs as signs_module
from bridge.frontends.slack.app import SlackFrontEnd
from bridge.frontends.slack.settings import SlackSettings
from bridge.inbound import Address, Person
from bridge.playground.slack import SlackWorld, create_app
from bridge.turns.inbox import Decision, Edit
from bridge.turns.surface import Button, ConfigurationError, PartKey, PartKind
from tests.e2e.waiting import PATIENCE, eventually
from tests.frontends.slack.memory import MemoryInbox
from tests.turns.world import unguarded


@asynccontextmanager
async def serving(front_end: SlackFrontEnd) -> AsyncIterator[None]:
    task = asyncio.create_task(front_end.serve())
    try:
        await eventually(lambda: front_end.trouble() is None or task.done())
        if task.done():
            await task
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(params=["socket", "http"])
async def front_end(
    request: pytest.FixtureRequest, world: SlackWorld, slack_url: str, inbox: MemoryInbox
) -> AsyncIterator[SlackFrontEnd]:
    settings = SlackSettings(
        mode=request.param,
        bot_token=SecretStr(world.bot_token),
        app_token=SecretStr(world.app_token),
        signing_secret=SecretStr(world.signing_secret),
        api_url=f"{slack_url}/api/",
    )
    front_end = SlackFrontEnd(settings, inbox)
    async with serve(Starlette(routes=front_end.routes)) as url, serving(front_end):
        if request.param == "http":
            world.deliveries.request_url = f"{url}/slack/events"
        yield front_end


@pytest.fixture
def settled(world: SlackWorld) -> Callable[[], Awaitable[None]]:
    async def wait() -> None:
        async with asyncio.timeout(PATIENCE):
            await world.deliveries.settled()

    return wait


Settled = Callable[[], Awaitable[None]]


def at(world: SlackWorld, thread: str, channel: str = "general") -> Address:
    return Address("slack", world.team_id, world.channel(channel).id, thread)


# --- what is asked -------------------------------------------------------------------------------------------


async def test_a_mention_is_one_question_though_slack_tells_it_twice(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, settled: Settled
) -> None:
    ts = await world.say("ada", "general", world.typed("@threadbridge what does @grace think of 1 < 2?"))
    await settled()
    (inbound,) = inbox.taken
    assert inbox.offered == 2
    assert inbound.address == at(world, ts)
    assert inbound.message_id == ts
    assert inbound.position == int(ts.replace(".", ""))
    assert inbound.person == Person(world.person("ada").id, workspace=world.team_id)
    assert inbound.text == world.typed("@threadbridge what does @grace think of 1 < 2?")
    assert world.calls("users.info") == []  # names are for later: see `Surface.resolve`
    assert not inbound.mid_thread
    assert not inbound.direct
    assert all(envelope.acknowledged for envelope in world.deliveries.envelopes)


async def test_a_follow_up_needs_no_mention_and_people_are_told_apart(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, settled: Settled
) -> None:
    ts = await world.say("ada", "general", f"{world.mention} hello")
    await world.say("grace", "general", "and what about me?", ts)
    await settled()
    assert [(one.person.id, one.address.thread, one.mid_thread) for one in inbox.taken] == [
        (world.person("ada").id, ts, False),
        (world.person("grace").id, ts, False),
    ]


async def test_the_talk_of_a_channel_is_left_alone(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, settled: Settled
) -> None:
    ts = await world.say("ada", "general", "lunch?")
    await world.say("grace", "general", "yes", ts)
    other = world.add_person("Other Bot", is_bot=True)
    world.channel("general").members.add(other.id)
    await world.say(other.id, "general", f"{world.mention} beep")
    await world.say(world.bot.id, "general", "I said this")
    await settled()
    assert inbox.offered == 0
    assert all(envelope.acknowledged for envelope in world.deliveries.envelopes)


async def test_people_who_talk_to_each_other_are_left_alone(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, settled: Settled
) -> None:
    ts = await world.say("ada", "general", f"{world.mention} hello")
    await settled()
    await world.say("ada", "general", world.typed("@grace what do you make of that?"), ts)
    await world.say("ada", "general", world.typed("@grace and @threadbridge: what do you make of that?"), ts)
    await settled()
    assert len(inbox.taken) == 2
    assert "what do you make of that" in inbox.taken[1].text


async def test_a_call_in_the_middle_of_a_thread_brings_along_what_was_said(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, settled: Settled
) -> None:
    ts = await world.say("ada", "general", "the build is red")
    called = await world.say("grace", "general", f"{world.mention} why?", ts)
    await settled()
    (inbound,) = inbox.taken
    assert inbound.mid_thread
    assert inbound.address == at(world, ts)
    surface = front_end.surface(inbound.address, person=Person(inbound.person.id), guard=unguarded)
    assert [(said.author_name, said.text) for said in await surface.earlier(called)] == [
        ("ada", "the build is red")
    ]


async def test_each_direct_message_is_a_thread(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, settled: Settled
) -> None:
    channel = world.direct("ada").id
    first = await world.say("ada", channel, "hello")
    second = await world.say("ada", channel, "something else")
    await world.say("ada", channel, "go on", first)
    await settled()
    threads = [one.address.thread for one in sorted(inbox.taken, key=lambda one: one.position)]
    assert threads == [first, second, first]
    assert all(one.direct for one in inbox.taken)


async def test_files_come_along_without_a_word_too(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, settled: Settled
) -> None:
    channel = world.direct("ada").id
    await world.say("ada", channel, "", files=[("plan.txt", "text/plain", b"plan")])
    await settled()
    (inbound,) = inbox.taken
    (file,) = inbound.files
    assert (file.name, file.media_type, file.size) == ("plan.txt", "text/plain", 4)
    assert inbound.text == ""


# --- what changes --------------------------------------------------------------------------------------------


async def test_edits_and_deletions_arrive(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, settled: Settled
) -> None:
    ts = await world.say("ada", "general", f"{world.mention} helo")
    await world.edit("ada", "general", ts, f"{world.mention} hello")
    await world.delete("ada", "general", ts)
    await settled()
    assert inbox.edits == [(at(world, ts), ts, f"{world.mention} hello")]
    assert inbox.deletions == [(at(world, ts), ts)]


async def test_a_question_that_was_changed_too_late_is_offered_to_its_author_alone(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, settled: Settled
) -> None:
    ts = await world.say("ada", "general", f"{world.mention} helo")
    inbox.edit = Edit(asked="0123456789abcdef")
    await world.edit("ada", "general", ts, f"{world.mention} hello")
    await settled()
    (offer,) = world.ephemerals.values()
    assert (offer.ephemeral_for, offer.root) == (world.person("ada").id, ts)
    inbox.decision = Decision(settled="Asked again · Ada")
    await world.press("ada", offer.ts, "threadbridge:reask")
    assert [(one.action, one.turn, one.address) for one in inbox.presses] == [
        ("reask", "0123456789abcdef", at(world, ts))
    ]
    (offer,) = world.ephemerals.values()
    assert "Asked again" in offer.text


async def test_a_mention_that_is_added_by_an_edit_counts(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, settled: Settled
) -> None:
    ts = await world.say("ada", "general", "is anyone here?")
    await settled()
    assert inbox.taken == []
    await world.edit("ada", "general", ts, f"{world.mention} is anyone here?")
    await world.edit("ada", "general", ts, f"{world.mention} is anyone there?")
    await settled()
    assert [(one.message_id, one.address) for one in inbox.taken] == [(ts, at(world, ts))]


async def test_slacks_stop_button_stops_the_thread(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, settled: Settled
) -> None:
    ts = await world.say("ada", "general", f"{world.mention} hello")
    await world.stop_session("ada", "general", ts)
    await settled()
    assert inbox.stops == [at(world, ts)]


async def test_a_button_is_answered_to_the_one_who_pressed_it(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox
) -> None:
    ts = await world.say("ada", "general", f"{world.mention} hello")
    surface = front_end.surface(at(world, ts), person=Person(world.person("ada").id), guard=unguarded)
    key = PartKey("turn000000000001", PartKind.TEXT, 0)
    part = await surface.post(key, "Hello!", last=True, buttons=[Button("retry", "Ask again", key.turn)])
    await world.press("grace", part, "threadbridge:retry")
    (press,) = inbox.presses
    assert (press.action, press.turn, press.address) == ("retry", key.turn, at(world, ts))
    assert press.person == Person(world.person("grace").id, "grace", world.team_id)
    (answer,) = world.ephemerals.values()
    assert (answer.text, answer.ephemeral_for) == ("Stopping.", world.person("grace").id)


async def test_the_stop_button_beside_a_stream_knows_its_thread(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signs_module, "STOP_AFTER", 0.0)
    world.subscriptions.discard("agent_session_stopped")
    ts = await world.say("ada", "general", f"{world.mention} hello")
    surface = front_end.surface(at(world, ts), person=Person(world.person("ada").id), guard=unguarded)
    key = PartKey("turn000000000001", PartKind.TEXT, 0)
    await surface.post(key, "Hel", last=False, buttons=[Button("stop", "Stop", key.turn)])
    await eventually(lambda: world.ephemerals)
    (offered,) = world.ephemerals
    await world.press("ada", offered, "threadbridge:stop")
    (press,) = inbox.presses
    assert (press.action, press.turn, press.address) == ("stop", key.turn, at(world, ts))
    assert world.ephemerals[offered].text == "Stopping."  # in the button's place
    assert world.ephemerals[offered].blocks == ()
    await surface.working(None)


async def test_an_answer_that_cannot_be_shown_leaves_the_press_acknowledged(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox
) -> None:
    ts = await world.say("ada", "general", f"{world.mention} hello")
    surface = front_end.surface(at(world, ts), person=Person(world.person("ada").id), guard=unguarded)
    key = PartKey("turn000000000001", PartKind.TEXT, 0)
    part = await surface.post(key, "Hello!", last=True, buttons=[Button("stop", "Stop", key.turn)])
    world.faults.break_down("chat.postEphemeral")
    await world.press("ada", part, "threadbridge:stop")
    assert len(inbox.presses) == 1


async def test_what_nobody_listens_to_is_acknowledged_all_the_same(
    world: SlackWorld, front_end: SlackFrontEnd, settled: Settled
) -> None:
    ts = await world.say("ada", "general", "hello")
    await world.add_reaction("ada", "general", ts, "wave")
    await world.open_home("ada")
    await settled()
    assert {envelope.attempts for envelope in world.deliveries.envelopes} == {1}


# --- stored first, then acknowledged -------------------------------------------------------------------------


async def test_what_could_not_be_stored_is_delivered_again(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, settled: Settled
) -> None:
    inbox.failures = 2
    world.deliveries.ack_seconds = 0.3  # on a socket, silence is the only way to say no
    with capture_logs() as logs:
        ts = await world.say("ada", world.direct("ada").id, "my secret words")
        await settled()
    assert [one.message_id for one in inbox.taken] == [ts]
    (envelope,) = world.deliveries.envelopes
    assert envelope.attempts == 3
    assert envelope.acknowledged
    assert len([line for line in logs if line["event"] == "slack.event_not_stored"]) == 2
    assert "my secret words" not in str(logs)


async def test_while_the_store_is_away_messages_wait_and_are_stored_once_and_in_order(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, settled: Settled
) -> None:
    world.deliveries.ack_seconds = 0.2  # so that Slack delivers again meanwhile
    world.deliveries.retry_delays = (0.0, 0.1, 5.0)
    inbox.gate = asyncio.Event()
    first = await world.say("ada", "general", f"{world.mention} one")
    await eventually(lambda: inbox.offered)
    second = await world.say("ada", "general", "two", first)
    third = await world.say("grace", "general", "three", first)
    await eventually(lambda: all(envelope.attempts >= 3 for envelope in world.deliveries.envelopes))
    assert inbox.taken == []
    inbox.gate.set()
    await settled()
    assert [one.message_id for one in inbox.taken] == [first, second, third]
    assert all(envelope.acknowledged for envelope in world.deliveries.envelopes)


async def test_a_redelivery_is_stored_once(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, settled: Settled
) -> None:
    await world.say("ada", world.direct("ada").id, "hello")
    await settled()
    envelope = await world.deliveries.redeliver()
    assert envelope.acknowledged
    assert (inbox.offered, len(inbox.taken)) == (2, 1)


# --- HTTP ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("front_end", ["http"], indirect=True)
async def test_slack_can_verify_the_address(world: SlackWorld, front_end: SlackFrontEnd) -> None:
    assert world.deliveries.request_url is not None
    await world.deliveries.verify(world.deliveries.request_url, world.verification_token)


@pytest.mark.parametrize("front_end", ["http"], indirect=True)
@pytest.mark.parametrize("forged", ["secret", "body", "age", "nothing", "length"])
async def test_a_forged_request_is_refused(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, forged: str
) -> None:
    ts = "1700000001.000100"
    event = {"type": "message", "channel": "D1", "user": "U1", "text": "hi", "ts": ts, "channel_type": "im"}
    body = httpx.Request("POST", "http://x", json={"type": "event_callback", "event_id": "E", "event": event})
    content = body.content.decode()
    headers = world.deliveries.signed(content)
    match forged:
        case "secret":
            headers["X-Slack-Signature"] = "v0=" + "0" * 64
        case "body":
            content += " "
        case "age":
            headers["X-Slack-Request-Timestamp"] = "1600000000"
        case "nothing":
            headers = {}
        case "length":
            content += " " * 2_000_000
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(
            world.deliveries.request_url or "",
            content=content,
            headers=headers | {"Content-Type": "application/json"},
        )
    assert answer.status_code == (413 if forged == "length" else 401)
    assert inbox.offered == 0


async def test_an_event_that_comes_before_we_know_who_we_are_is_not_acknowledged(
    world: SlackWorld, slack_url: str, inbox: MemoryInbox, settled: Settled
) -> None:
    settings = SlackSettings(
        mode="http",
        bot_token=SecretStr(world.bot_token),
        signing_secret=SecretStr(world.signing_secret),
        api_url=f"{slack_url}/api/",
    )
    front_end = SlackFrontEnd(settings, inbox)
    async with serve(Starlette(routes=front_end.routes)) as url:
        world.deliveries.request_url = f"{url}/slack/events"
        assert front_end.trouble()
        await world.say("ada", world.direct("ada").id, "hello")
        await eventually(lambda: world.deliveries.envelopes[0].attempts == 2)
        assert inbox.offered == 0
        async with serving(front_end):
            await settled()
    assert len(inbox.taken) == 1


@pytest.mark.parametrize("mode", ["socket", "http"])
async def test_the_token_is_looked_at_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
    world: SlackWorld,
    slack_url: str,
    inbox: MemoryInbox,
    mode: Literal["socket", "http"],
) -> None:
    monkeypatch.setattr(app_module, "CHECK_EVERY", 0.02)
    monkeypatch.setattr(app_module, "FIRST_PAUSE", 0.02)
    settings = SlackSettings(
        mode=mode,
        bot_token=SecretStr(world.bot_token),
        app_token=SecretStr(world.app_token),
        signing_secret=SecretStr(world.signing_secret),
        api_url=f"{slack_url}/api/",
    )
    front_end = SlackFrontEnd(settings, inbox)
    task = asyncio.create_task(front_end.serve())
    await eventually(lambda: front_end.trouble() is None)
    world.faults.refuse("auth.test", "internal_error", times=3)
    await eventually(front_end.trouble)
    await eventually(lambda: front_end.trouble() is None)
    world.faults.refuse("auth.test", "token_revoked", times=99)
    with pytest.raises(ConfigurationError, match=r"slack\.bot_token"):
        async with asyncio.timeout(PATIENCE):
            await task
    assert not world.deliveries.connections


# --- sockets -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("front_end", ["socket"], indirect=True)
async def test_slack_may_ask_to_reconnect(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, settled: Settled
) -> None:
    (before,) = world.deliveries.connections
    await world.deliveries.refresh()
    await eventually(lambda: world.deliveries.connections and before not in world.deliveries.connections)
    await world.say("ada", world.direct("ada").id, "hello")
    await settled()
    assert len(inbox.taken) == 1


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(app_module, "GIVE_UP_AFTER", 0.1)
    monkeypatch.setattr(app_module, "FIRST_PAUSE", 0.01)


@pytest.mark.parametrize("front_end", ["socket"], indirect=True)
async def test_a_socket_that_broke_is_said_and_made_anew(
    hasty: None, world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, settled: Settled
) -> None:
    world.faults.refuse("apps.connections.open", "internal_error", times=2)
    world.deliveries.drop()
    await eventually(front_end.trouble)
    await eventually(lambda: world.deliveries.connections and front_end.trouble() is None)
    await world.say("ada", world.direct("ada").id, "hello")
    await settled()
    assert len(inbox.taken) == 1


@pytest.mark.parametrize(
    "answer",
    [
        PlainTextResponse("upstream connect error", 503),
        Response("<html>", 503, media_type="application/json"),
        Response("", 200, media_type="application/json"),
        JSONResponse([]),
        Response("<html>Sign in</html>", 200, media_type="text/html"),
        Response("<html>Forbidden</html>", 403, media_type="text/html"),
        JSONResponse({"ok": True}),
        JSONResponse({"ok": True, "url": "https://example.com"}),
    ],
    ids=["plain text", "no JSON", "nothing", "no object", "login page", "refusal", "no address", "no socket"],
)
async def test_an_answer_that_is_not_slacks_is_no_reason_to_end(
    hasty: None, world: SlackWorld, inbox: MemoryInbox, answer: Response
) -> None:
    simulated = create_app(world)
    broken = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal broken
        if broken and scope["type"] == "http" and scope["path"].endswith("/apps.connections.open"):
            broken -= 1
            await answer(scope, receive, send)
        else:
            await simulated(scope, receive, send)

    async with serve(app) as url:
        settings = SlackSettings(
            bot_token=SecretStr(world.bot_token), app_token=SecretStr(world.app_token), api_url=f"{url}/api/"
        )
        front_end = SlackFrontEnd(settings, inbox)
        async with serving(front_end):
            broken = 4
            world.deliveries.drop()
            await eventually(front_end.trouble)
            await eventually(lambda: front_end.trouble() is None)
            assert broken == 0


@pytest.mark.parametrize("front_end", ["socket"], indirect=True)
async def test_a_socket_that_looks_alive_and_delivers_nothing_is_replaced(
    hasty: None,
    world: SlackWorld,
    front_end: SlackFrontEnd,
    inbox: MemoryInbox,
    settled: Settled,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world.deliveries.ack_seconds = 0.3
    world.deliveries.retry_delays = (0.1, 0.1, 1.0)
    world.deliveries.silence()
    monkeypatch.setattr(app_module, "QUIET_AFTER", 0.3)
    await world.say("ada", world.direct("ada").id, "hello")
    await settled()
    assert len(inbox.taken) == 1


async def test_an_event_under_way_is_stored_and_acknowledged_at_the_end(
    world: SlackWorld, settings: SlackSettings, inbox: MemoryInbox, settled: Settled
) -> None:
    inbox.gate = asyncio.Event()
    async with serving(SlackFrontEnd(settings, inbox)):
        await world.say("ada", world.direct("ada").id, "hello")
        await eventually(lambda: inbox.offered)
        asyncio.get_running_loop().call_later(0.1, inbox.gate.set)
    assert len(inbox.taken) == 1
    await settled()
    assert world.deliveries.envelopes[0].attempts == 1


async def test_no_thread_looks_busy_after_the_end(
    world: SlackWorld, settings: SlackSettings, inbox: MemoryInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signs_module, "SIGN_AFTER", 0.0)
    done, cut_short = [await world.say("ada", "general", text) for text in ("one", "two")]
    front_end = SlackFrontEnd(settings, inbox)
    async with serving(front_end):
        author = world.person("ada").id
        first, second = [
            front_end.surface(at(world, thread), person=Person(author), guard=unguarded)
            for thread in (done, cut_short)
        ]
        for thread, surface in ((done, first), (cut_short, second)):
            await surface.working("Searching")
            await eventually(lambda thread=thread: world.session("general", thread).label)  # type: ignore[misc]
        await first.working(None)
        calls = len(world.calls("agents.sessions.setStatus"))
    sessions = [world.session("general", thread) for thread in (done, cut_short)]
    assert [(session.status, session.label) for session in sessions] == [("active", "")] * 2
    assert len(world.calls("agents.sessions.setStatus")) == calls + 1


async def test_the_command_says_how_to_ask(world: SlackWorld, front_end: SlackFrontEnd) -> None:
    answer = await world.command("ada", "general", "/agent")
    assert world.mention in answer["text"]


# --- who must mend what --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"bot_token": SecretStr("xoxb-wrong")}, "slack.bot_token"),
        ({"app_token": SecretStr("xapp-wrong")}, "slack.app_token"),
    ],
)
async def test_a_wrong_token_says_which_and_what_to_do(
    hasty: None, settings: SlackSettings, inbox: MemoryInbox, wrong: dict[str, SecretStr], named: str
) -> None:
    front_end = SlackFrontEnd(settings.model_copy(update=wrong), inbox)
    with pytest.raises(ConfigurationError, match=named) as caught:
        async with asyncio.timeout(PATIENCE):
            await front_end.serve()
    assert "wrong" not in str(caught.value)
    assert front_end.trouble()


async def test_an_address_that_is_not_slacks_is_said_and_waited_for(
    settings: SlackSettings, inbox: MemoryInbox, slack_url: str
) -> None:
    """A login page or a proxy may stand before Slack for a while."""
    front_end = SlackFrontEnd(settings.model_copy(update={"api_url": f"{slack_url}/nothing/"}), inbox)
    task = asyncio.create_task(front_end.serve())
    await eventually(lambda: "slack.api_url" in (front_end.trouble() or ""))
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_token_that_is_refused_for_a_moment_is_no_reason_to_end(
    hasty: None, world: SlackWorld, settings: SlackSettings, inbox: MemoryInbox
) -> None:
    world.faults.refuse("auth.test", "invalid_auth", times=app_module.REFUSED_TIMES - 1)
    world.faults.refuse("apps.connections.open", "invalid_auth", times=app_module.REFUSED_TIMES - 1)
    async with serving(SlackFrontEnd(settings, inbox)):
        pass


@pytest.mark.parametrize("method", ["auth.test", "apps.connections.open"])
async def test_a_refusal_that_nobody_knows_is_waited_out(
    hasty: None, world: SlackWorld, settings: SlackSettings, inbox: MemoryInbox, method: str
) -> None:
    world.faults.refuse(method, "never_heard_of", times=app_module.REFUSED_TIMES + 2)
    async with serving(SlackFrontEnd(settings, inbox)):
        assert len(world.calls(method)) > app_module.REFUSED_TIMES + 2


async def test_a_slack_that_is_down_is_waited_for(
    world: SlackWorld, settings: SlackSettings, inbox: MemoryInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "FIRST_PAUSE", 0.01)
    world.faults.refuse("auth.test", "internal_error", times=2)
    front_end = SlackFrontEnd(settings, inbox)
    async with serving(front_end):
        assert len(world.calls("auth.test")) == 3
    assert front_end.trouble()


async def test_missing_scopes_are_logged_by_name(
    world: SlackWorld, settings: SlackSettings, inbox: MemoryInbox
) -> None:
    world.scopes.discard("files:read")
    with capture_logs() as logs:
        async with serving(SlackFrontEnd(settings, inbox)):
            pass
    (line,) = [line for line in logs if line["event"] == "slack.scopes_missing"]
    assert "files:read" in line["scopes"]
