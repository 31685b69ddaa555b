"""Events, commands and clicks of the simulated Slack, as the real bolt app gets them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from adapters.testing.serving import serve
from bridge.playground.slack import NotAnswered, SlackWorld, create_app
from tests.e2e.waiting import PATIENCE

Json = dict[str, Any]
TYPES = ("message", "app_mention", "app_home_opened", "agent_session_stopped", "reaction_added")


@pytest.fixture
async def world() -> AsyncIterator[SlackWorld]:
    world = SlackWorld(rate=None, ack_seconds=0.5, retry_delays=(0, 0, 0))
    yield world
    await world.aclose()


@pytest.fixture
async def url(world: SlackWorld) -> AsyncIterator[str]:
    async with serve(Starlette(routes=[Mount("/slack", create_app(world))])) as url:
        yield f"{url}/slack"


class Bot:
    """A bolt app that keeps the events it gets."""

    def __init__(self, world: SlackWorld, url: str) -> None:
        self.world = world
        self.client = AsyncWebClient(world.bot_token, base_url=f"{url}/api/")
        self.app = AsyncApp(client=self.client, signing_secret=world.signing_secret)
        self.bodies: list[Json] = []
        for name in TYPES:
            self.app.event(name)(self._keep)

    async def _keep(self, body: Json) -> None:
        self.bodies.append(body)

    @property
    def events(self) -> list[Json]:
        return [body["event"] for body in self.bodies]

    @property
    def kinds(self) -> list[str]:
        return [event.get("subtype") or event["type"] for event in self.events]


@asynccontextmanager
async def connected(world: SlackWorld, url: str, *, ping_interval: float = 0.1) -> AsyncIterator[Bot]:
    bot = Bot(world, url)
    handler = AsyncSocketModeHandler(bot.app, world.app_token, ping_interval=ping_interval)
    await handler.connect_async()  # type: ignore[no-untyped-call]
    try:
        await world.until(lambda: world.deliveries.connections)
        yield bot
    finally:
        await handler.close_async()  # type: ignore[no-untyped-call]


async def settled(world: SlackWorld) -> None:
    async with asyncio.timeout(PATIENCE):
        await world.deliveries.settled()


# --- Socket Mode ----------------------------------------------------------------------------------------------


async def test_a_mention_arrives_as_message_and_as_mention(world: SlackWorld, url: str) -> None:
    async with connected(world, url) as bot:
        ts = await world.say("ada", "general", world.typed("@Threadbridge is 1 < 2?"))
        await settled(world)
    message, mention = bot.events
    assert (message["type"], mention["type"]) == ("message", "app_mention")
    assert message["text"] == f"{world.mention} is 1 &lt; 2?"
    assert (message["ts"], mention["ts"]) == (ts, ts)
    assert (message["channel_type"], "channel_type" in mention) == ("channel", False)
    assert message["client_msg_id"]
    body = bot.bodies[0]
    assert body["authorizations"][0]["user_id"] == world.bot.id
    assert body["event_id"] != bot.bodies[1]["event_id"]
    assert all(envelope.acknowledged for envelope in world.deliveries.envelopes)


async def test_all_that_happens_to_a_message(world: SlackWorld, url: str) -> None:
    async with connected(world, url) as bot:
        root = await world.say("ada", "general", "one", files=[("a.txt", "text/plain", b"x")])
        reply = await world.say("grace", "general", "two", root)
        await world.edit("grace", "general", reply, "two!")
        await world.add_reaction("ada", "general", reply, "eyes")
        await world.delete("ada", "general", root)
        await world.delete("grace", "general", reply)
        await world.webhook("general", "build failed")
        await settled(world)
    assert bot.kinds == [
        "file_share",
        "message",
        "message_changed",
        "reaction_added",
        "message_changed",
        "message_deleted",
        "bot_message",
    ]
    shared, replied, changed, reacted, tombstone, deleted, hooked = bot.events
    assert shared["files"][0]["url_private_download"].startswith(url)
    assert (replied["thread_ts"], replied["parent_user_id"]) == (root, world.person("ada").id)
    assert (changed["message"]["text"], changed["previous_message"]["text"]) == ("two!", "two")
    assert reacted["item"] == {"type": "message", "channel": world.channel("general").id, "ts": reply}
    assert tombstone["message"]["subtype"] == "tombstone"
    assert (deleted["deleted_ts"], deleted["previous_message"]["text"]) == (reply, "two!")
    assert (hooked["username"], "user" in hooked) == ("CI", False)


async def test_direct_messages_and_the_messages_tab(world: SlackWorld, url: str) -> None:
    async with connected(world, url) as bot:
        await world.open_home("ada")
        direct = world.direct("ada").id
        await world.say("ada", direct, f"{world.mention} hello")
        await settled(world)
    opened, message = bot.events
    assert (opened["type"], opened["tab"], opened["channel"]) == ("app_home_opened", "messages", direct)
    assert (message["type"], message["channel_type"]) == ("message", "im")


async def test_sends_only_what_the_app_may_get(world: SlackWorld, url: str) -> None:
    world.add_channel("outside", with_bot=False)
    async with connected(world, url) as bot:
        await world.say("ada", "outside", "not here")
        world.subscriptions.discard("message.channels")
        await world.say("ada", "general", "not subscribed")
        world.scopes.discard("im:history")
        await world.say("ada", world.direct("ada").id, "no scope")
        await world.say("ada", "general", f"{world.mention} heard")
        await settled(world)
    assert bot.kinds == ["app_mention"]


async def test_the_stop_button(world: SlackWorld, url: str) -> None:
    async with connected(world, url) as bot:
        root = await world.say("ada", "general", "question")
        await world.stop_session("ada", "general", root)
        await settled(world)
    stopped = bot.events[-1]
    assert stopped["type"] == "agent_session_stopped"
    assert (stopped["thread_ts"], stopped["user"]) == (root, world.person("ada").id)
    assert stopped["streaming_message_ts"] == []


async def test_each_event_goes_to_one_of_the_connections(world: SlackWorld, url: str) -> None:
    async with connected(world, url) as first, connected(world, url) as second:
        await world.until(lambda: len(world.deliveries.connections) == 2)
        for number in range(4):
            await world.say("ada", "general", str(number))
        await settled(world)
        assert (len(first.events), len(second.events)) == (2, 2)


async def test_an_eleventh_connection_is_turned_away(world: SlackWorld, url: str) -> None:
    web = AsyncWebClient(base_url=f"{url}/api/")
    async with aiohttp.ClientSession() as session:
        held = []
        for number in range(11):
            link = (await web.apps_connections_open(app_token=world.app_token))["url"]
            websocket = await session.ws_connect(link)
            held.append(websocket)
            said = await websocket.receive_json(timeout=PATIENCE)
            if number < 10:
                assert (said["type"], said["num_connections"]) == ("hello", number + 1)
        assert (said["type"], said["reason"]) == ("disconnect", "too_many_websockets")
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(link)


async def test_an_event_is_delivered_again_until_it_is_acknowledged(url: str, world: SlackWorld) -> None:
    web = AsyncWebClient(base_url=f"{url}/api/")
    world.deliveries.ack_seconds = 0.05
    async with aiohttp.ClientSession() as session:
        link = (await web.apps_connections_open(app_token=world.app_token))["url"]
        websocket = await session.ws_connect(link)
        await websocket.receive_json(timeout=PATIENCE)
        await world.say("ada", "general", "lost three times")
        tries = [await websocket.receive_json(timeout=PATIENCE) for _ in range(4)]
        await websocket.send_json({"envelope_id": tries[3]["envelope_id"]})
        await settled(world)
        assert [(one["retry_attempt"], one["retry_reason"]) for one in tries] == [
            (0, ""),
            (1, "timeout"),
            (2, "timeout"),
            (3, "timeout"),
        ]
        assert len({one["payload"]["event_id"] for one in tries}) == 1
        assert world.deliveries.envelopes[-1].acknowledged
        await world.say("ada", "general", "lost for good")
        await settled(world)
        assert (world.deliveries.envelopes[-1].attempts, world.deliveries.envelopes[-1].acknowledged) == (4, False)


async def test_redelivers_the_last_event(world: SlackWorld, url: str) -> None:
    async with connected(world, url) as bot:
        await world.say("ada", "general", "hello")
        await settled(world)
        await world.deliveries.redeliver()
    assert [body["event_id"] for body in bot.bodies] == [bot.bodies[0]["event_id"]] * 2


async def test_an_event_that_is_held_back_is_overtaken(world: SlackWorld, url: str) -> None:
    async with connected(world, url) as bot:
        world.deliveries.hold_back(0.05)
        await world.say("ada", "general", "first")
        await world.say("ada", "general", "second")
        await settled(world)
    assert [event["text"] for event in bot.events] == ["second", "first"]
    assert [envelope.attempts for envelope in world.deliveries.envelopes] == [1, 1]


async def test_what_is_written_without_a_connection_is_lost(world: SlackWorld, url: str) -> None:
    await world.say("ada", "general", "unheard")
    await settled(world)
    async with connected(world, url) as bot:
        await world.say("ada", "general", "heard")
        await settled(world)
    assert [event["text"] for event in bot.events] == ["heard"]


async def test_the_sdk_comes_back_after_a_cut(world: SlackWorld, url: str) -> None:
    async with connected(world, url) as bot:
        world.deliveries.drop()
        await world.until(lambda: world.deliveries.connections)
        await world.say("ada", "general", "back")
        await settled(world)
    assert [event["text"] for event in bot.events] == ["back"]


@pytest.mark.parametrize("reason", ["refresh_requested", "warning"])
async def test_the_sdk_follows_a_refresh_and_nothing_is_lost(world: SlackWorld, url: str, reason: str) -> None:
    async with connected(world, url) as bot:
        old = world.deliveries.connections[0]
        await world.deliveries.refresh(reason)
        await world.say("ada", "general", "meanwhile")
        await world.until(lambda: world.deliveries.connections and old not in world.deliveries.connections)
        await settled(world)
    assert "meanwhile" in [event["text"] for event in bot.events]


async def test_a_silent_connection_answers_pings_and_delivers_nothing(world: SlackWorld, url: str) -> None:
    web = AsyncWebClient(base_url=f"{url}/api/")
    world.deliveries.ack_seconds = 0.05
    async with aiohttp.ClientSession() as session:
        link = (await web.apps_connections_open(app_token=world.app_token))["url"]
        websocket = await session.ws_connect(link, autoping=False)
        await websocket.receive_json(timeout=PATIENCE)
        world.deliveries.silence()
        await world.say("ada", "general", "unheard")
        await settled(world)
        await websocket.ping(b"still there?")
        pong = await websocket.receive(timeout=PATIENCE)
        assert (pong.type, bytes(pong.data)) == (aiohttp.WSMsgType.PONG, b"still there?")
        world.deliveries.speak()
        await world.say("ada", "general", "heard")
        assert (await websocket.receive_json(timeout=PATIENCE))["payload"]["event"]["text"] == "heard"


# --- commands, clicks and modals ------------------------------------------------------------------------------


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


MODAL: Json = {
    "type": "modal",
    "callback_id": "upload",
    "title": plain("Upload"),
    "submit": plain("Send"),
    "private_metadata": "kept",
    "blocks": [
        {
            "type": "input",
            "block_id": "files",
            "label": plain("Files"),
            "element": {"type": "file_input", "action_id": "files", "max_files": 2},
        },
        {
            "type": "input",
            "block_id": "thread",
            "label": plain("Thread"),
            "element": {
                "type": "static_select",
                "action_id": "thread",
                "options": [{"text": plain("One"), "value": "1"}, {"text": plain("Two"), "value": "2"}],
            },
        },
        {
            "type": "input",
            "block_id": "note",
            "optional": True,
            "label": plain("Note"),
            "element": {"type": "plain_text_input", "action_id": "note"},
        },
    ],
}


async def test_a_command_opens_a_modal_that_is_submitted(world: SlackWorld, url: str) -> None:
    submitted: list[Json] = []
    async with connected(world, url) as bot:

        @bot.app.command("/agent")
        async def agent(ack: Any, command: Json, client: AsyncWebClient) -> None:
            await ack(f"you said {command['text']}")
            await client.views_open(trigger_id=command["trigger_id"], view=MODAL)

        @bot.app.view("upload")
        async def upload(ack: Any, view: Json) -> None:
            submitted.append(view)
            if view["state"]["values"]["note"]["note"]["value"] is None:
                await ack(response_action="errors", errors={"note": "say something"})
            else:
                await ack()

        watch = world.watch()
        answer = await world.command("ada", "general", "/agent", "upload")
        assert answer == {"text": "you said upload"}
        assert await world.until(lambda: world.view_of("ada"))
        shown = [(change.kind, change.user) for change in (await anext(watch), await anext(watch))]
        assert sorted(shown) == [("ephemeral", world.person("ada").id), ("view", world.person("ada").id)]

        with pytest.raises(ValueError, match="files is required"):
            await world.view_submit("ada", {"thread": "2"})
        with pytest.raises(ValueError, match="at most 10485760 bytes"):
            await world.view_submit("ada", {"files": [("a.bin", "x/y", bytes(10 * 2**20 + 1))], "thread": "2"})
        values: Json = {"files": [("a.csv", "text/csv", b"1,2")], "thread": "2"}
        answer = await world.view_submit("ada", values)
        assert answer["errors"] == {"note": "say something"}
        assert world.view_of("ada") is not None
        await world.view_submit("ada", {**values, "note": "hi"})
        assert world.view_of("ada") is None
    state = submitted[1]["state"]["values"]
    assert submitted[1]["private_metadata"] == "kept"
    assert state["files"]["files"]["files"][0]["name"] == "a.csv"
    assert state["thread"]["thread"]["selected_option"]["value"] == "2"


async def test_triggers_are_good_once_and_for_three_seconds(world: SlackWorld, url: str) -> None:
    client = AsyncWebClient(world.bot_token, base_url=f"{url}/api/")
    trigger = world.new_trigger(world.person("ada").id)
    await client.views_open(trigger_id=trigger, view=MODAL)
    errors = []
    late = world.new_trigger(world.person("ada").id)
    now = world.clock() + 4
    world.clock = lambda: now
    for one in (trigger, late, "made.up"):
        with pytest.raises(SlackApiError) as refusal:
            await client.views_open(trigger_id=one, view=MODAL)
        errors.append(refusal.value.response["error"])
    assert errors == ["exchanged_trigger_id", "expired_trigger_id", "invalid_trigger_id"]


async def test_buttons_feedback_and_shortcuts(world: SlackWorld, url: str) -> None:
    got: list[Json] = []
    blocks = [
        {
            "type": "actions",
            "elements": [{"type": "button", "text": plain("Stop"), "action_id": "stop", "value": "t1"}],
        },
        {
            "type": "context_actions",
            "elements": [
                {
                    "type": "feedback_buttons",
                    "action_id": "feedback",
                    "positive_button": {"text": plain("Good"), "value": "good"},
                    "negative_button": {"text": plain("Bad"), "value": "bad"},
                }
            ],
        },
    ]
    async with connected(world, url) as bot:

        @bot.app.action("stop")
        @bot.app.action("feedback")
        async def pressed(ack: Any, body: Json, respond: Any) -> None:
            await ack()
            got.append(body)
            if body["actions"][0]["action_id"] == "stop":
                await respond(text="stopped", replace_original=True)

        @bot.app.shortcut("ask")
        async def shortcut(ack: Any, body: Json) -> None:
            await ack()
            got.append(body)

        root = await world.say("ada", "general", "question")
        posted = await bot.client.chat_postMessage(
            channel=world.channel("general").id, thread_ts=root, text="answer", blocks=blocks
        )
        with pytest.raises(KeyError):
            await world.press("ada", posted["ts"], "nothing")
        await world.press("ada", posted["ts"], "feedback", value="bad")
        await world.press("ada", posted["ts"], "stop")
        await world.until(lambda: world.thread("general", root)[1].shown == "stopped")
        await world.shortcut("grace", "ask", channel="general", ts=root)
    feedback, stop, asked = got
    assert feedback["actions"][0]["value"] == "bad"
    assert (stop["actions"][0]["value"], stop["container"]["thread_ts"]) == ("t1", root)
    assert stop["message"]["ts"] == posted["ts"]
    assert (asked["type"], asked["message_ts"], asked["message"]["text"]) == ("message_action", root, "question")


async def test_an_app_that_does_not_answer_is_noticed(world: SlackWorld, url: str) -> None:
    with pytest.raises(NotAnswered):
        await world.command("ada", "general", "/agent")
    world.deliveries.ack_seconds = 0.05
    async with connected(world, url) as bot:

        @bot.app.command("/agent")
        async def agent() -> None:
            pass

        with pytest.raises(NotAnswered):
            await world.command("ada", "general", "/agent")


# --- HTTP -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def called(world: SlackWorld, bot: Bot, seen: list[Request]) -> AsyncIterator[None]:
    handler = AsyncSlackRequestHandler(bot.app)

    async def events(request: Request) -> Response:
        await request.body()
        seen.append(request)
        if len(seen) == 2:
            return PlainTextResponse("not now", status_code=500)
        return await handler.handle(request)

    async with serve(Starlette(routes=[Route("/slack/events", events, methods=["POST"])])) as url:
        await world.connect_http(f"{url}/slack/events")
        yield


async def test_events_and_commands_by_signed_http(world: SlackWorld, url: str) -> None:
    bot = Bot(world, url)
    seen: list[Request] = []

    @bot.app.command("/agent")
    async def agent(ack: Any) -> None:
        await ack({"response_type": "in_channel", "text": "here"})

    async with called(world, bot, seen):
        await world.say("ada", "general", "hello")
        await settled(world)
        assert await world.command("ada", "general", "/agent") == {"response_type": "in_channel", "text": "here"}
        await settled(world)
    challenge, failed, retried, command, own = seen
    assert "x-slack-retry-num" not in failed.headers
    assert retried.headers["x-slack-retry-num"] == "1"
    assert retried.headers["x-slack-retry-reason"] == "http_error"
    assert await failed.body() == await retried.body()
    assert json.loads(await challenge.body())["type"] == "url_verification"
    assert command.headers["content-type"] == "application/x-www-form-urlencoded"
    assert json.loads(await own.body())["event"]["bot_id"] == world.bot.bot_id
    assert [event["text"] for event in bot.events] == ["hello"]
    assert [message.shown for message in world.messages("general")] == ["hello", "here"]


async def test_a_wrong_signing_secret_fails_the_challenge(world: SlackWorld, url: str) -> None:
    bot = Bot(world, url)
    bot.app = AsyncApp(client=bot.client, signing_secret="another")
    with pytest.raises(ValueError, match="challenge"):
        async with called(world, bot, []):
            pass


async def test_an_unreachable_app_uses_up_its_retries(world: SlackWorld) -> None:
    world.deliveries.request_url = "http://127.0.0.1:1/slack/events"
    await world.say("ada", "general", "hello")
    await settled(world)
    envelope = world.deliveries.envelopes[-1]
    assert (envelope.attempts, envelope.acknowledged, envelope.reason) == (4, False, "connection_failed")


async def test_an_app_can_ask_for_no_retries(world: SlackWorld) -> None:
    async def refuse(request: Request) -> Response:
        return PlainTextResponse("no", status_code=500, headers={"X-Slack-No-Retry": "1"})

    async with serve(Starlette(routes=[Route("/", refuse, methods=["POST"])])) as app_url:
        world.deliveries.request_url = app_url
        await world.say("ada", "general", "hello")
        await settled(world)
    assert world.deliveries.envelopes[-1].attempts == 1


async def test_the_home_tab_comes_with_what_stands_there(world: SlackWorld, url: str) -> None:
    ada = world.person("ada").id
    async with connected(world, url) as bot:
        await world.open_home("ada", "home")
        await settled(world)
        element = {"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}, "value": "1"}
        blocks = [{"type": "actions", "elements": [element]}]
        client = AsyncWebClient(world.bot_token, base_url=f"{url}/api/")
        view = (await client.views_publish(user_id=ada, view={"type": "home", "blocks": blocks}))["view"]
        await world.open_home("ada", "home")
        await settled(world)
        world.home_tab_enabled = False
        await world.open_home("ada", "home")
        await settled(world)
    first, second = bot.events
    assert "view" not in first
    assert (second["tab"], second["view"]["hash"], second["view"]["blocks"]) == (
        "home",
        view["hash"],
        view["blocks"],
    )
    with pytest.raises(KeyError):
        await world.press_home("ada", "no such button")


async def test_a_response_url_is_good_for_five_answers(world: SlackWorld, url: str) -> None:
    async with connected(world, url) as bot, aiohttp.ClientSession() as session:
        given: list[str] = []

        @bot.app.command("/agent")
        async def agent(ack: Any, command: Json) -> None:
            given.append(command["response_url"])
            await ack()

        await world.command("ada", "general", "/agent")
        statuses = []
        for number in range(6):
            async with session.post(given[0], json={"text": f"answer {number}"}) as answer:
                statuses.append((answer.status, await answer.text()))
    assert statuses == [(200, "ok")] * 5 + [(404, "used_url")]
    assert len(world.ephemerals) == 5
