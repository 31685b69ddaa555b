"""The simulated Slack's Web API, as the real client sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.oauth import AuthorizeUrlGenerator
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette
from starlette.routing import Mount

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
async def url(world: SlackWorld) -> AsyncIterator[str]:
    async with serve(Starlette(routes=[Mount("/slack", create_app(world))])) as url:
        yield f"{url}/slack"


@pytest.fixture
def client(world: SlackWorld, url: str) -> AsyncWebClient:
    return AsyncWebClient(world.bot_token, base_url=f"{url}/api/")


@pytest.fixture
def general(world: SlackWorld) -> str:
    return world.channel("general").id


async def refused(call: Any) -> str:
    with pytest.raises(SlackApiError) as refusal:
        await call
    return str(refusal.value.response["error"])


# --- who calls ------------------------------------------------------------------------------------------------


async def test_auth_test_tells_who_and_what_is_granted(world: SlackWorld, client: AsyncWebClient) -> None:
    world.scopes = {"chat:write", "im:history"}
    answer = await client.auth_test()
    assert answer["user_id"] == world.bot.id
    assert answer["team_id"] == world.team_id
    assert answer.headers["x-oauth-scopes"] == "chat:write,im:history"


@pytest.mark.parametrize(
    ("token", "error"),
    [(None, "not_authed"), ("xoxb-other", "invalid_auth"), ("xapp-simulated-app", "not_allowed_token_type")],
)
async def test_refuses_wrong_tokens(url: str, token: str | None, error: str) -> None:
    assert await refused(AsyncWebClient(token, base_url=f"{url}/api/").auth_test()) == error


async def test_refuses_a_bot_token_for_socket_mode(client: AsyncWebClient, world: SlackWorld) -> None:
    assert await refused(client.apps_connections_open(app_token=world.bot_token)) == "not_allowed_token_type"


async def test_names_the_missing_scope(world: SlackWorld, client: AsyncWebClient, general: str) -> None:
    world.scopes.discard("chat:write")
    with pytest.raises(SlackApiError) as refusal:
        await client.chat_postMessage(channel=general, text="hi")
    assert refusal.value.response["error"] == "missing_scope"
    assert refusal.value.response["needed"] == "chat:write"
    assert "im:history" in refusal.value.response["provided"]


async def test_refuses_unknown_methods_and_broken_json(client: AsyncWebClient, url: str) -> None:
    assert await refused(client.api_call("chat.sing")) == "unknown_method"
    headers = {"content-type": "application/json"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/api/auth.test", data="{", headers=headers) as answer,
    ):
        assert (await answer.json())["error"] == "invalid_json"


async def test_merges_query_form_and_json(client: AsyncWebClient, general: str, world: SlackWorld) -> None:
    await client.api_call("chat.postMessage", params={"channel": general}, json={"text": "by json"})
    await client.api_call("chat.postMessage", params={"channel": general}, data={"text": "by form"})
    await client.api_call("chat.postMessage", http_verb="GET", params={"channel": general, "text": "by query"})
    assert [message.shown for message in world.messages("general")] == ["by json", "by form", "by query"]


# --- messages -------------------------------------------------------------------------------------------------


async def test_posts_into_threads_and_direct_messages(
    client: AsyncWebClient, world: SlackWorld, general: str
) -> None:
    root = await world.say("ada", "general", "hello")
    posted = await client.chat_postMessage(channel=general, thread_ts=root, text="*hi*")
    assert posted["message"]["parent_user_id"] == world.person("ada").id
    assert [message.shown for message in world.thread("general", root)] == ["hello", "*hi*"]
    direct = await client.chat_postMessage(channel=world.person("ada").id, text="psst")
    assert direct["channel"] == world.direct("ada").id


async def test_a_replys_ts_leads_to_its_thread(client: AsyncWebClient, world: SlackWorld, general: str) -> None:
    root = await world.say("ada", "general", "hello")
    reply = await world.say("grace", "general", "hey", root)
    posted = await client.chat_postMessage(channel=general, thread_ts=reply, text="hi")
    assert posted["message"]["thread_ts"] == root


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ({}, "no_text"),
        ({"text": "  "}, "no_text"),
        ({"markdown_text": "x" * 12_001}, "msg_too_long"),
        ({"markdown_text": "x", "text": "x"}, "markdown_text_conflict"),
        ({"text": "x", "channel": "C0NOWHERE"}, "channel_not_found"),
        ({"text": "x", "thread_ts": "1.000001"}, "thread_not_found"),
        ({"text": "x", "blocks": [{"type": "carousel"}]}, "invalid_blocks"),
        ({"text": "x", "blocks": "no json"}, "invalid_blocks_format"),
        ({"text": "x", "metadata": {"event_type": "a"}}, "invalid_metadata_format"),
        (
            {"text": "x", "metadata": {"event_type": "a", "event_payload": {"x": "y" * 8_000}}},
            "metadata_too_large",
        ),
    ],
)
async def test_refuses_bad_posts(client: AsyncWebClient, general: str, args: dict[str, Any], error: str) -> None:
    assert await refused(client.api_call("chat.postMessage", json={"channel": general, **args})) == error


async def test_missing_channel_is_named(client: AsyncWebClient) -> None:
    with pytest.raises(SlackApiError) as refusal:
        await client.api_call("chat.postMessage", json={"text": "x"})
    messages = refusal.value.response["response_metadata"]["messages"]
    assert messages == ["[ERROR] missing required field: channel"]


async def test_refuses_channels_the_app_is_not_in(client: AsyncWebClient, world: SlackWorld) -> None:
    outside = world.add_channel("outside", with_bot=False)
    hidden = world.add_channel("hidden", kind="group", with_bot=False)
    assert await refused(client.chat_postMessage(channel=outside.id, text="x")) == "not_in_channel"
    assert await refused(client.chat_postMessage(channel=hidden.id, text="x")) == "channel_not_found"
    await client.conversations_join(channel=outside.id)
    await client.chat_postMessage(channel=outside.id, text="x")
    outside.is_archived = True
    assert await refused(client.chat_postMessage(channel=outside.id, text="x")) == "is_archived"


async def test_cuts_off_a_text_over_the_limit(client: AsyncWebClient, world: SlackWorld, general: str) -> None:
    await client.chat_postMessage(channel=general, text="x" * 40_001)
    assert len(world.messages("general")[0].text) == 40_000


async def test_updates_keep_what_is_not_given(client: AsyncWebClient, world: SlackWorld, general: str) -> None:
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "old"}}]
    ts = (await client.chat_postMessage(channel=general, text="fallback", blocks=blocks))["ts"]
    await client.chat_update(channel=general, ts=ts, text="new fallback")
    assert (world.message("general", ts).text, world.message("general", ts).shown) == ("new fallback", "old")
    await client.chat_update(channel=general, ts=ts, text="plain", blocks=[])
    assert world.message("general", ts).shown == "plain"
    await client.chat_update(channel=general, ts=ts, markdown_text="**b**")
    assert world.message("general", ts).shown == "**b**"


async def test_refuses_bad_updates_and_deletes(client: AsyncWebClient, world: SlackWorld, general: str) -> None:
    theirs = await world.say("ada", "general", "mine")
    own = (await client.chat_postMessage(channel=general, text="own"))["ts"]
    assert await refused(client.chat_update(channel=general, ts=theirs, text="x")) == "cant_update_message"
    assert await refused(client.chat_update(channel=general, ts="1.000001", text="x")) == "message_not_found"
    assert await refused(client.chat_update(channel=general, ts=own, text="x" * 4_001)) == "msg_too_long"
    assert await refused(client.api_call("chat.update", json={"channel": general, "ts": own})) == "no_text"
    assert await refused(client.chat_delete(channel=general, ts=theirs)) == "cant_delete_message"
    await client.chat_delete(channel=general, ts=own)
    assert [message.ts for message in world.messages("general")] == [theirs]


async def test_ephemeral_messages_are_seen_by_one(client: AsyncWebClient, world: SlackWorld, general: str) -> None:
    ada = world.person("ada")
    watch = world.watch()
    await client.chat_postEphemeral(channel=general, user=ada.id, text="only you")
    change = await anext(watch)
    assert (change.kind, change.user, change.message and change.message.shown) == ("ephemeral", ada.id, "only you")
    assert world.messages("general") == []
    world.channel("general").members.discard(ada.id)
    assert (
        await refused(client.chat_postEphemeral(channel=general, user=ada.id, text="x")) == "user_not_in_channel"
    )


async def test_records_pings_and_unfurls(client: AsyncWebClient, world: SlackWorld, general: str) -> None:
    await client.chat_postMessage(
        channel=general, text="&lt;!channel&gt; https://a.org", unfurl_links=False, unfurl_media=False
    )
    assert (world.pings, world.unfurls) == ([], [])
    await client.chat_postMessage(channel=general, text="<!channel> https://a.org", unfurl_links=False)
    assert [ping.token for ping in world.pings] == ["<!channel>"]
    assert [unfurl.url for unfurl in world.unfurls] == ["https://a.org"]
    ts = (await client.chat_postMessage(channel=general, markdown_text="calm"))["ts"]
    await client.chat_update(channel=general, ts=ts, markdown_text="<@U123>")
    assert [ping.token for ping in world.pings] == ["<!channel>", "<@U123>"]


async def test_permalink(client: AsyncWebClient, world: SlackWorld, general: str) -> None:
    ts = await world.say("ada", "general", "hello")
    link = (await client.chat_getPermalink(channel=general, message_ts=ts))["permalink"]
    assert link.endswith(f"/archives/{general}/p{ts.replace('.', '')}")


# --- history --------------------------------------------------------------------------------------------------


async def test_history_shows_roots_newest_first(client: AsyncWebClient, world: SlackWorld, general: str) -> None:
    tss = [await world.say("ada", "general", str(number)) for number in range(5)]
    await world.say("grace", "general", "reply", tss[0])
    page = await client.conversations_history(channel=general, limit=3)
    assert [message["text"] for message in page["messages"]] == ["4", "3", "2"]
    assert page["has_more"] is True
    cursor = page["response_metadata"]["next_cursor"]
    page = await client.conversations_history(channel=general, limit=3, cursor=cursor)
    assert [message["text"] for message in page["messages"]] == ["1", "0"]
    assert page["messages"][1]["reply_count"] == 1
    since = await client.conversations_history(channel=general, oldest=tss[2])
    assert [message["text"] for message in since["messages"]] == ["4", "3"]
    since = await client.conversations_history(channel=general, oldest=tss[2], latest=tss[3], inclusive=True)
    assert [message["text"] for message in since["messages"]] == ["3", "2"]


async def test_replies_show_the_root_first_and_metadata_on_request(
    client: AsyncWebClient, world: SlackWorld, general: str
) -> None:
    root = await world.say("ada", "general", "root")
    metadata = {"event_type": "part", "event_payload": {"turn": "t1"}}
    await client.chat_postMessage(channel=general, thread_ts=root, text="one", metadata=metadata)
    plain = await client.conversations_replies(channel=general, ts=root)
    assert [message["text"] for message in plain["messages"]] == ["root", "one"]
    assert "metadata" not in plain["messages"][1]
    full = await client.conversations_replies(channel=general, ts=root, include_all_metadata=True)
    assert full["messages"][1]["metadata"] == metadata
    assert await refused(client.conversations_replies(channel=general, ts="1.000001")) == "thread_not_found"


async def test_history_needs_the_scope_of_its_kind_of_channel(
    client: AsyncWebClient, world: SlackWorld, general: str
) -> None:
    world.scopes -= {"channels:history"}
    assert await refused(client.conversations_history(channel=general)) == "missing_scope"
    await client.conversations_history(channel=world.direct("ada").id)


async def test_a_commercial_app_reads_little(client: AsyncWebClient, world: SlackWorld, general: str) -> None:
    world.commercial = True
    world.limiter.scale = 1.0
    for number in range(20):
        await world.say("ada", "general", str(number))
    page = await client.conversations_history(channel=general, limit=200)
    assert len(page["messages"]) == 15
    assert await refused(client.conversations_history(channel=general)) == "ratelimited"


async def test_lists_channels_people_and_members(client: AsyncWebClient, world: SlackWorld, general: str) -> None:
    world.add_channel("secret", kind="group")
    ada = world.person("ada")
    direct = (await client.conversations_open(users=ada.id))["channel"]["id"]
    assert direct == world.direct("ada").id
    listed = await client.conversations_list(types="public_channel,private_channel,im")
    assert [channel.get("name") for channel in listed["channels"]] == ["general", "random", "secret", None]
    assert (await client.conversations_info(channel=direct))["channel"]["user"] == ada.id
    assert ada.id in (await client.conversations_members(channel=general))["members"]
    assert (await client.users_info(user=ada.id))["user"]["profile"]["real_name"] == "Ada Lovelace"
    assert await refused(client.users_info(user="U0NOBODY")) == "user_not_found"
    people = (await client.users_list())["members"]
    assert [person["id"] for person in people if person["is_bot"]] == [world.bot.id]
    assert (await client.bots_info(bot=world.bot.bot_id))["bot"]["user_id"] == world.bot.id
    assert (await client.team_info())["team"]["id"] == world.team_id


async def test_reactions(client: AsyncWebClient, world: SlackWorld, general: str) -> None:
    ts = await world.say("ada", "general", "hello")
    await client.reactions_add(channel=general, timestamp=ts, name="eyes")
    assert world.message("general", ts).reactions == {"eyes": (world.bot.id,)}
    assert await refused(client.reactions_add(channel=general, timestamp=ts, name="eyes")) == "already_reacted"
    await client.reactions_remove(channel=general, timestamp=ts, name="eyes")
    assert world.message("general", ts).reactions == {}
    assert await refused(client.reactions_remove(channel=general, timestamp=ts, name="eyes")) == "no_reaction"


# --- files ----------------------------------------------------------------------------------------------------


async def test_uploads_files_into_a_thread(client: AsyncWebClient, world: SlackWorld, general: str) -> None:
    root = await world.say("ada", "general", "files please")
    answer = await client.files_upload_v2(
        channel=general,
        thread_ts=root,
        initial_comment="here",
        file_uploads=[
            {"filename": "a.csv", "content": "1,2", "title": "Numbers"},
            {"filename": "b c.bin", "file": b"\x00\x01"},
        ],
    )
    message = world.thread("general", root)[1]
    assert (message.shown, message.subtype) == ("here", "file_share")
    assert [(file.name, file.content) for file in message.files] == [("a.csv", b"1,2"), ("b c.bin", b"\x00\x01")]
    info = await client.files_info(file=answer["files"][0]["id"])
    assert info["file"]["title"] == "Numbers"
    assert info["file"]["shares"]["public"][general][0]["ts"] == message.ts
    await client.files_delete(file=answer["files"][0]["id"])
    assert [file.name for file in world.thread("general", root)[1].files] == ["b c.bin"]
    assert [file["name"] for file in (await client.files_list())["files"]] == ["b c.bin"]


async def test_an_upload_must_be_what_was_announced(client: AsyncWebClient, url: str, general: str) -> None:
    ticket = await client.files_getUploadURLExternal(filename="a.txt", length=3)
    async with aiohttp.ClientSession() as session:
        async with session.post(ticket["upload_url"], data=b"four") as answer:
            assert answer.status == 400
        unfinished = client.files_completeUploadExternal(files=[{"id": ticket["file_id"]}], channel_id=general)
        assert await refused(unfinished) == "file_not_found"
        async with session.post(ticket["upload_url"], data=b"123") as answer:
            assert await answer.text() == "OK - 3"
        async with session.post(ticket["upload_url"], data=b"123") as answer:
            assert answer.status == 404
    assert await refused(client.files_info(file=ticket["file_id"])) == "file_not_found"


async def test_downloads_need_the_token_and_the_scope(
    client: AsyncWebClient, world: SlackWorld, general: str
) -> None:
    await client.auth_test()
    ts = await world.say("ada", "general", "look", files=[("ä b.txt", "text/plain", b"secret")])
    history = await client.conversations_history(channel=general)
    shown = history["messages"][0]["files"][0]
    assert (shown["name"], shown["size"], shown["mimetype"]) == ("ä b.txt", 6, "text/plain")
    headers = {"Authorization": f"Bearer {world.bot_token}"}
    async with aiohttp.ClientSession() as session:
        async with session.get(shown["url_private_download"], headers=headers) as answer:
            assert await answer.read() == b"secret"
        async with session.get(shown["url_private_download"]) as answer:
            assert (answer.status, answer.content_type) == (200, "text/html")
            assert b"secret" not in await answer.read()
        world.scopes.discard("files:read")
        async with session.get(shown["url_private"], headers=headers) as answer:
            assert answer.content_type == "text/html"
    assert world.message("general", ts).subtype == "file_share"


# --- the agent's surface --------------------------------------------------------------------------------------


async def test_sessions(client: AsyncWebClient, world: SlackWorld, general: str) -> None:
    root = await world.say("ada", "general", "hello")
    set_status = client.agents_sessions_setStatus
    answer = await set_status(channel_id=general, thread_ts=root, status="processing", title="Hello")
    assert answer["title"] == "Hello"
    await set_status(channel_id=general, thread_ts=root, status="active", title="ignored")
    assert (world.session("general", root).status, world.session("general", root).title) == ("active", "Hello")
    await client.agents_sessions_rename(channel_id=general, thread_ts=root, title="New")
    assert world.session("general", root).title == "New"
    assert await refused(set_status(channel_id=general, thread_ts=root, status="done")) == "invalid_arguments"
    assert await refused(set_status(channel_id=general, thread_ts="1.1", status="active")) == "thread_not_found"
    world.subscriptions.discard("agent_session_stopped")
    answer = await set_status(channel_id=general, thread_ts=root, status="processing")
    assert answer["warning"] == "missing_agent_session_stopped_event_subscription"


async def test_a_status_ends_with_a_message_or_after_two_minutes(
    client: AsyncWebClient, world: SlackWorld, general: str, clock: Clock
) -> None:
    root = await world.say("ada", "general", "hello")
    set_status = client.assistant_threads_setStatus
    await set_status(channel_id=general, thread_ts=root, status="is thinking", loading_messages=["hm"])
    assert world.session("general", root).label == "is thinking"
    await client.chat_postMessage(channel=general, thread_ts=root, text="done")
    assert world.session("general", root).label == ""
    await set_status(channel_id=general, thread_ts=root, status="is thinking")
    clock.now += 121
    assert world.session("general", root).label == ""
    too_many = set_status(channel_id=general, thread_ts=root, status="x", loading_messages=["m"] * 11)
    assert await refused(too_many) == "invalid_arguments"


async def test_suggested_prompts_are_shown_until_somebody_writes(
    client: AsyncWebClient, world: SlackWorld
) -> None:
    direct = world.direct("ada").id
    watch = world.watch()
    await client.assistant_threads_setSuggestedPrompts(
        channel_id=direct, prompts=[{"title": "Help", "message": "What can you do?"}], title="Try"
    )
    change = await anext(watch)
    assert (change.kind, change.prompts[0]["title"], world.prompts[direct].title) == ("prompts", "Help", "Try")
    ts = await world.use_prompt("ada", "Help")
    assert (world.message(direct, ts).text, world.message(direct, ts).thread_ts) == ("What can you do?", None)
    with pytest.raises(KeyError):
        await world.use_prompt("ada", "Help")


PROMPT = {"title": "Help", "message": "What can you do?"}


@pytest.mark.parametrize(
    "prompts",
    [[], [PROMPT] * 5, "x", ["Help"], [{"title": "Help"}], [PROMPT | {"message": 1}], [PROMPT | {"title": ""}]],
)
async def test_prompts_that_slack_refuses(client: AsyncWebClient, world: SlackWorld, prompts: Any) -> None:
    call = client.assistant_threads_setSuggestedPrompts(channel_id=world.direct("ada").id, prompts=prompts)
    assert await refused(call) == "invalid_arguments"


async def test_prompts_and_titles_are_for_direct_messages(client: AsyncWebClient, world: SlackWorld) -> None:
    ts = await world.say("ada", "general", "hello")
    general = world.channel("general").id
    for call in (
        client.assistant_threads_setSuggestedPrompts(channel_id=general, prompts=[PROMPT]),
        client.assistant_threads_setTitle(channel_id=general, thread_ts=ts, title="Hello"),
    ):
        assert await refused(call) == "channel_not_found"


async def test_an_agents_prompts_have_no_thread_and_an_assistants_need_one(
    client: AsyncWebClient, world: SlackWorld
) -> None:
    direct = world.direct("ada").id
    ts = await world.say("ada", direct, "hello")
    await client.assistant_threads_setSuggestedPrompts(channel_id=direct, thread_ts=ts, prompts=[PROMPT])
    assert direct not in world.prompts  # it says that all is well, and shows nothing
    world.agent_view = False
    assert (
        await refused(client.assistant_threads_setSuggestedPrompts(channel_id=direct, prompts=[PROMPT]))
        == "invalid_thread_ts"
    )
    await client.assistant_threads_setSuggestedPrompts(channel_id=direct, thread_ts=ts, prompts=[PROMPT])
    assert direct in world.prompts


async def test_a_session_takes_its_title_when_it_is_made(client: AsyncWebClient, world: SlackWorld) -> None:
    ts = await world.say("ada", "general", "hello")
    place = {"channel_id": world.channel("general").id, "thread_ts": ts}
    await client.assistant_threads_setStatus(**place, status="is thinking…", loading_messages=["One", "Two"])
    assert world.session("general", ts).loading_messages == ("One", "Two")
    for title in ("Hello", "Another"):
        await client.agents_sessions_setStatus(**place, status="processing", title=title)
    assert world.session("general", ts).title == "Hello"
    for loading in (["x"] * 11, "x", [""], [1]):
        call = client.assistant_threads_setStatus(**place, status="x", loading_messages=loading)  # type: ignore[arg-type]
        assert await refused(call) == "invalid_arguments"


async def test_home_tab(client: AsyncWebClient, world: SlackWorld) -> None:
    ada = world.person("ada").id
    view = {"type": "home", "blocks": [{"type": "divider"}]}
    first = (await client.views_publish(user_id=ada, view=view))["view"]
    second = (await client.views_publish(user_id=ada, view=view, hash=first["hash"]))["view"]
    assert (len(world.views), second["id"]) == (1, first["id"])
    assert await refused(client.views_publish(user_id=ada, view=view, hash=first["hash"])) == "hash_conflict"
    assert await refused(client.views_publish(user_id="U404", view=view)) == "invalid_arguments"
    assert await refused(client.views_open(trigger_id="x", view=view)) == "invalid_arguments"
    many = {"type": "home", "blocks": [{"type": "divider"}] * 101}
    assert await refused(client.views_publish(user_id=ada, view=many)) == "invalid_arguments"
    large = view | {"private_metadata": "x" * 2_000, "blocks": [_section("x" * 2_900)] * 90}
    assert await refused(client.views_publish(user_id=ada, view=large)) == "view_too_large"
    world.home_tab_enabled = False
    assert await refused(client.views_publish(user_id=ada, view=view)) == "not_enabled"


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "plain_text", "text": text}}


# --- installing -----------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")  # slack_sdk's
async def test_installs_by_oauth(client: AsyncWebClient, world: SlackWorld, url: str) -> None:
    back = "http://127.0.0.1:1/slack/oauth_redirect"
    link = AuthorizeUrlGenerator(
        client_id=world.client_id,
        scopes=["chat:write"],
        redirect_uri=back,
        authorization_url=f"{url}/oauth/v2/authorize",
    ).generate("the-state")
    async with aiohttp.ClientSession() as session, session.get(link, allow_redirects=False) as answer:
        redirect = answer.headers["location"]
    assert redirect.startswith(f"{back}?code=")
    assert redirect.endswith("&state=the-state")
    code = redirect.partition("code=")[2].partition("&")[0]
    app = AsyncWebClient(base_url=f"{url}/api/")

    async def exchange(secret: str) -> Any:
        return await app.oauth_v2_access(
            client_id=world.client_id, client_secret=secret, code=code, redirect_uri=back
        )

    assert await refused(exchange("wrong")) == "bad_client_secret"
    assert (await exchange(world.client_secret))["access_token"] == world.bot_token
    assert await refused(exchange(world.client_secret)) == "invalid_code"


# --- limits and records ---------------------------------------------------------------------------------------


async def test_posting_is_limited_by_channel(
    client: AsyncWebClient, world: SlackWorld, general: str, clock: Clock
) -> None:
    world.limiter.scale = 1.0
    for _ in range(5):
        await client.chat_postMessage(channel=general, text="x")
    with pytest.raises(SlackApiError) as refusal:
        await client.chat_postMessage(channel=general, text="x")
    assert refusal.value.response.status_code == 429
    assert refusal.value.response.headers["Retry-After"] == "1"
    await client.chat_postMessage(channel=world.channel("random").id, text="x")
    clock.now += 1
    await client.chat_postMessage(channel=general, text="x")
    assert [call.error for call in world.calls("chat.postMessage")] == [None] * 5 + ["ratelimited", None, None]


async def test_watchers_see_every_change_and_slow_ones_are_told(world: SlackWorld) -> None:
    watch = world.watch()
    ts = await world.say("ada", "general", "hello")
    await world.edit("ada", "general", ts, "hello!")
    await world.delete("ada", "general", ts)
    assert [(await anext(watch)).kind for _ in range(3)] == ["posted", "changed", "deleted"]
    for _ in range(2_001):
        await world.say("ada", "general", "hello")
    assert (await anext(watch)).kind == "lost"
    watch.close()
    assert [change async for change in watch] == []
