"""Streams of the simulated Slack: their life, their limits and what refuses them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from adapters.testing.serving import serve
from bridge.playground.slack import SlackWorld, create_app


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def world(clock: Clock) -> AsyncIterator[SlackWorld]:
    world = SlackWorld(clock=clock, rate=None, retry_delays=())
    yield world
    await world.aclose()


@pytest.fixture
async def client(world: SlackWorld) -> AsyncIterator[AsyncWebClient]:
    async with serve(create_app(world)) as url:
        yield AsyncWebClient(world.bot_token, base_url=f"{url}/api/")


class Stream:
    """A stream in answer to Ada's message in #general."""

    def __init__(self, world: SlackWorld, client: AsyncWebClient) -> None:
        self.world, self.client = world, client
        self.channel = world.channel("general").id
        self.root = self.ts = ""

    async def start(self, **more: Any) -> None:
        self.root = await self.world.say("ada", "general", "question")
        started = await self.client.chat_startStream(
            channel=self.channel,
            thread_ts=self.root,
            recipient_user_id=self.world.person("ada").id,
            recipient_team_id=self.world.team_id,
            **more,
        )
        self.ts = started["ts"]

    async def append(self, text: str) -> None:
        await self.client.chat_appendStream(channel=self.channel, ts=self.ts, markdown_text=text)

    async def stop(self, **more: Any) -> None:
        await self.client.chat_stopStream(channel=self.channel, ts=self.ts, **more)

    async def update(self, text: str) -> None:
        await self.client.chat_update(channel=self.channel, ts=self.ts, markdown_text=text)

    @property
    def shown(self) -> str:
        return self.world.message(self.channel, self.ts).shown


@pytest.fixture
def stream(world: SlackWorld, client: AsyncWebClient) -> Stream:
    return Stream(world, client)


async def refused(call: Any) -> str:
    with pytest.raises(SlackApiError) as refusal:
        await call
    return str(refusal.value.response["error"])


async def test_grows_while_people_watch(stream: Stream, world: SlackWorld) -> None:
    watch = world.watch()
    await stream.start(markdown_text="Hello")
    await stream.append(" **wor")
    await stream.append("ld**")
    await stream.stop(markdown_text="!", metadata={"event_type": "part", "event_payload": {"turn": "t"}})
    kinds = [await anext(watch) for _ in range(5)]
    assert [change.kind for change in kinds] == ["posted", "posted", "streamed", "streamed", "changed"]
    shown = [change.message.shown for change in kinds if change.message]
    assert shown[1:] == ["Hello", "Hello **wor", "Hello **world**", "Hello **world**!"]
    answer = await stream.client.conversations_replies(
        channel=stream.channel, ts=stream.root, include_all_metadata=True
    )
    message = answer["messages"][1]
    assert (message["text"], message["streaming_state"]) == ("Hello *world*!", "completed")
    assert message["metadata"]["event_payload"] == {"turn": "t"}


async def test_the_sdks_own_helper_streams(world: SlackWorld, client: AsyncWebClient) -> None:
    root = await world.say("ada", "general", "question")
    helper = await client.chat_stream(
        channel=world.channel("general").id,
        thread_ts=root,
        recipient_user_id=world.person("ada").id,
        recipient_team_id=world.team_id,
        buffer_size=4,
    )
    for word in ("one ", "two ", "three"):
        await helper.append(markdown_text=word)
    await helper.stop()
    assert world.thread("general", root)[1].shown == "one two three"


async def test_tasks_and_blocks_are_kept(stream: Stream, world: SlackWorld) -> None:
    tasks = [{"type": "task_update", "id": "1", "title": "Look", "status": "in_progress"}]
    await stream.start(chunks=[*tasks, {"type": "markdown_text", "text": "text"}])
    done = {"type": "task_update", "id": "1", "title": "Look", "status": "complete"}
    await stream.client.chat_appendStream(channel=stream.channel, ts=stream.ts, chunks=[done])
    buttons = {
        "type": "actions",
        "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Again"}, "action_id": "again"}],
    }
    await stream.stop(blocks=[buttons])
    message = world.message(stream.channel, stream.ts)
    assert message.tasks["1"]["status"] == "complete"
    assert message.blocks[0]["elements"][0]["action_id"] == "again"
    assert message.blocks[0]["block_id"]
    assert stream.shown == "text"


LOOK: dict[str, Any] = {"type": "task_update", "id": "1", "title": "Look", "status": "in_progress"}
PAGE = {"type": "url", "url": "https://example.com", "text": "Example"}


async def test_title_and_status_are_replaced_and_what_is_said_of_a_task_grows(
    stream: Stream, world: SlackWorld
) -> None:
    await stream.start(task_display_mode="plan", chunks=[{"type": "plan_update", "title": "Working"}, LOOK])
    for chunk in (LOOK | {"details": "one"}, LOOK | {"details": " two", "title": "Looked", "sources": [PAGE]}):
        await stream.client.chat_appendStream(channel=stream.channel, ts=stream.ts, chunks=[chunk])
    done = {"type": "task_update", "id": "1", "title": "Looked", "status": "complete", "output": "3 found"}
    await stream.stop(chunks=[{"type": "plan_update", "title": "Done"}, done])
    answer = await stream.client.conversations_replies(channel=stream.channel, ts=stream.root)
    [plan] = answer["messages"][1]["blocks"]
    [card] = plan["tasks"]
    assert (plan["type"], plan["title"], card["title"], card["status"]) == ("plan", "Done", "Looked", "complete")
    said = [card[name]["elements"][0]["elements"][0]["text"] for name in ("details", "output")]
    assert (said, card["sources"]) == (["one two", "3 found"], [PAGE])


async def test_a_plan_without_a_title_says_completed_between_two_tasks(stream: Stream) -> None:
    await stream.start(chunks=[LOOK | {"status": "complete"}])
    answer = await stream.client.conversations_replies(channel=stream.channel, ts=stream.root)
    assert answer["messages"][1]["blocks"][0]["title"] == "Thinking completed"


async def test_a_stream_takes_text_or_chunks(stream: Stream) -> None:
    append = stream.client.chat_appendStream
    text = [{"type": "markdown_text", "text": "a"}]
    await stream.start(chunks=text)
    both = append(channel=stream.channel, ts=stream.ts, markdown_text="b", chunks=text)
    assert await refused(both) == "cannot_provide_both_markdown_text_and_chunks"
    assert await refused(stream.append("b")) == "streaming_mode_mismatch"
    assert await refused(stream.stop(markdown_text="b")) == "streaming_mode_mismatch"
    await stream.stop(chunks=text)
    await stream.start(markdown_text="a")
    mismatch = append(channel=stream.channel, ts=stream.ts, chunks=text)
    assert await refused(mismatch) == "streaming_mode_mismatch"


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "plan_update"},
        {"type": "plan_update", "title": ""},
        {"type": "plan_update", "title": "x" * 257},
        {"type": "task_update", "title": "Look", "status": "complete"},
        {"type": "task_update", "id": "1", "status": "complete"},
        {"type": "task_update", "id": "1", "title": "Look"},
        LOOK | {"status": "done"},
        LOOK | {"details": "x" * 257},
        LOOK | {"output": {"type": "rich_text"}},
        LOOK | {"text": "?"},
        LOOK | {"sources": [{"type": "url", "url": "https://example.com"}]},
        LOOK | {"sources": [{"type": "url", "url": "javascript:x", "text": "x"}]},
        LOOK | {"sources": "https://example.com"},
        {"type": "thought", "text": "x"},
        "text",
    ],
)
async def test_chunks_of_another_shape_are_refused(stream: Stream, wrong: object) -> None:
    await stream.start()
    call = stream.client.api_call(
        "chat.appendStream", json={"channel": stream.channel, "ts": stream.ts, "chunks": [wrong]}
    )
    assert await refused(call) == "invalid_chunks"


async def test_a_plan_has_fifty_tasks(stream: Stream) -> None:
    await stream.start(chunks=[LOOK | {"id": str(number)} for number in range(50)])
    one_more = stream.client.chat_appendStream(channel=stream.channel, ts=stream.ts, chunks=[LOOK | {"id": "x"}])
    assert await refused(one_more) == "invalid_chunks"


CARD: dict[str, Any] = {"type": "task_card", "task_id": "1", "title": "Look", "status": "complete"}
WORDS = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": []}]}


@pytest.mark.parametrize(
    ("block", "taken"),
    [
        ({"type": "plan", "title": "Plan", "tasks": [CARD | {"details": WORDS, "sources": [PAGE]}]}, True),
        (CARD, True),
        ({"type": "plan", "tasks": [CARD]}, False),
        ({"type": "plan", "title": "Plan", "tasks": [CARD, CARD]}, False),
        ({"type": "plan", "title": "Plan", "tasks": [CARD | {"task_id": str(n)} for n in range(51)]}, False),
        (CARD | {"status": "running"}, False),
        (CARD | {"title": ""}, False),
        (CARD | {"details": "plain"}, False),
        (CARD | {"output": {"type": "rich_text", "elements": []}}, False),
        (CARD | {"sources": [{"type": "url", "url": "x", "text": "x"}]}, False),
        (CARD | {"id": "1"}, False),
    ],
)
async def test_plans_and_cards_as_blocks(stream: Stream, block: dict[str, Any], taken: bool) -> None:
    posted = stream.client.chat_postMessage(channel=stream.channel, text="x", blocks=[block])
    if taken:
        ts = (await posted)["ts"]
        await stream.client.chat_update(channel=stream.channel, ts=ts, text="x", blocks=[block])
    else:
        assert await refused(posted) == "invalid_blocks"


async def test_needs_a_recipient_outside_direct_messages(world: SlackWorld, client: AsyncWebClient) -> None:
    root = await world.say("ada", "general", "question")
    call: dict[str, Any] = {"channel": world.channel("general").id, "thread_ts": root}
    assert await refused(client.chat_startStream(**call)) == "missing_recipient_user_id"
    call["recipient_user_id"] = world.person("ada").id
    assert await refused(client.chat_startStream(**call)) == "missing_recipient_team_id"
    assert await refused(client.chat_startStream(**call, recipient_team_id="T0OTHER")) == "team_not_found"
    call |= {"recipient_user_id": "U0NOBODY", "recipient_team_id": world.team_id}
    assert await refused(client.chat_startStream(**call)) == "user_not_found"
    direct = world.direct("ada").id
    asked = await world.say("ada", direct, "question")
    await client.chat_startStream(channel=direct, thread_ts=asked)
    untied = client.api_call("chat.startStream", json={"channel": direct})
    assert await refused(untied) == "invalid_thread_ts"


async def test_dies_at_its_age_however_lively(stream: Stream, clock: Clock) -> None:
    await stream.start(markdown_text="a")
    for _ in range(2):
        clock.now += 140
        await stream.append("b")
    clock.now += 21
    assert await refused(stream.append("c")) == "message_not_in_streaming_state"
    assert await refused(stream.stop()) == "message_not_in_streaming_state"
    assert stream.shown == "abb"
    await stream.update("abb and on")
    assert stream.shown == "abb and on"


async def test_expires_on_demand(stream: Stream, world: SlackWorld) -> None:
    await stream.start(markdown_text="a")
    world.expire_streams()
    assert await refused(stream.append("b")) == "message_not_in_streaming_state"


async def test_fills_up_by_bytes(stream: Stream) -> None:
    await stream.start(markdown_text="é" * 5_800)
    assert await refused(stream.append("x")) == "msg_too_long"
    assert stream.shown == "é" * 5_800
    await stream.stop()
    assert await refused(stream.append("x")) == "message_not_in_streaming_state"


async def test_refuses_too_much_at_once_and_nothing(stream: Stream) -> None:
    await stream.start()
    assert await refused(stream.append("x" * 12_001)) == "msg_too_long"
    assert await refused(stream.append("")) == "no_text"
    assert await refused(stream.stop()) == "no_text"


async def test_an_open_stream_is_neither_updated_nor_deleted(stream: Stream, world: SlackWorld) -> None:
    await stream.start(markdown_text="a")
    assert await refused(stream.update("b")) == "streaming_state_conflict"
    delete = stream.client.chat_delete
    assert await refused(delete(channel=stream.channel, ts=stream.ts)) == "cant_delete_message"
    await stream.stop()
    await stream.update("b")
    await delete(channel=stream.channel, ts=stream.ts)
    assert len(world.thread("general", stream.root)) == 1


async def test_a_click_on_stop_ends_it(stream: Stream, world: SlackWorld) -> None:
    await stream.start(markdown_text="a")
    await world.stop_session("ada", "general", stream.root)
    assert await refused(stream.append("b")) == "stopped_by_user"
    assert world.deliveries.envelopes[-1].event["streaming_message_ts"] == [stream.ts]
    await stream.update("a (stopped)")
    assert stream.shown == "a (stopped)"


async def test_stopping_can_set_the_session(stream: Stream, world: SlackWorld) -> None:
    await stream.start(markdown_text="a")
    await stream.stop(session_status="active")
    assert world.session("general", stream.root).status == "active"


async def test_a_mention_split_over_two_appends_is_a_ping(stream: Stream, world: SlackWorld) -> None:
    await stream.start(markdown_text="hi <!chan")
    assert world.pings == []
    await stream.append("nel>")
    await stream.stop()
    assert [ping.token for ping in world.pings] == ["<!channel>"]


async def test_only_ones_own_posts_are_streams(stream: Stream, world: SlackWorld) -> None:
    await stream.start(markdown_text="a")
    posted = await stream.client.chat_postMessage(channel=stream.channel, text="post")
    stream.ts = posted["ts"]
    assert await refused(stream.append("b")) == "message_not_in_streaming_state"
    stream.ts = stream.root
    assert await refused(stream.append("b")) == "message_not_owned_by_app"
    stream.ts = "1.000001"
    assert await refused(stream.append("b")) == "message_not_found"
