"""An agent or a webhook speaks first, over HTTP: people see it once, and what they reply goes to the agent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from bridge.playground.discord import Permission
from bridge.settings import HttpSettings, Settings
from tests.e2e.people import DiscordPeople, People, SlackPeople, Thread, text_of
from tests.e2e.running import at_rest, serving, settings_for, states
from tests.e2e.town import Town
from tests.e2e.waiting import eventually
from tests.ports import free_port

TOKEN = "a-token-of-forty-characters-and-no-less!"
LONG = "\n\n".join(f"Paragraph {number} " + "word " * 60 + "end." for number in range(50))


def place(people: People, name: str) -> str:
    """The id of a channel."""
    if isinstance(people, SlackPeople):
        return people.world.channel(name).id
    assert isinstance(people, DiscordPeople)
    return str(people.world.place(name).id)


def person(people: People, who: str) -> str:
    assert isinstance(people, SlackPeople | DiscordPeople)
    return str(people.world.person(who).id)


@pytest.fixture
def settings(town: Town, people: People, platform: str, database: Path) -> Settings:
    allowed = [place(people, "toqan"), place(people, "openai"), place(people, "general"), person(people, "ada")]
    http = HttpSettings(port=free_port(), token=SecretStr(TOKEN), speak=[f"{platform}:{one}" for one in allowed])
    return settings_for(town, platform, database).model_copy(update={"http": http})


@pytest.fixture
async def bridged(quick: None, settings: Settings, people: People) -> AsyncIterator[None]:
    async with serving(settings, people):
        yield


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.http.port}", headers=headers) as client:
        yield client


async def post(client: httpx.AsyncClient, key: str, **request: Any) -> dict[str, Any]:
    answer = await client.post("/threads", json=request, headers={"idempotency-key": key})
    assert answer.status_code == 202, answer.text
    said: dict[str, Any] = answer.json()
    return said


async def settled(client: httpx.AsyncClient, said: dict[str, Any]) -> dict[str, Any]:
    """What became of it."""
    async with asyncio.timeout(60):
        while True:
            now: dict[str, Any] = (await client.get(f"/threads/{said['id']}")).json()
            if now["state"] in ("posted", "refused"):
                return now
            await asyncio.sleep(0.01)


def thread_of(people: People, now: dict[str, Any]) -> Thread:
    return Thread(now["channel"], now["thread"], now["thread"])


def shown(people: People, thread: Thread) -> list[str]:
    """All of the bot's in the channel and the thread, each once."""
    if isinstance(people, SlackPeople):
        return [one.text for one in people.shown(thread)]
    assert isinstance(people, DiscordPeople)
    texts = [one.content for one in people.world.messages(thread.channel) if one.author.id == people.world.bot.id]
    if thread.id != thread.channel:
        texts += [one.text for one in people.shown(thread)]
    return texts


@pytest.mark.usefixtures("bridged")
async def test_a_thread_is_opened_and_a_reply_without_a_mention_goes_on_in_it(
    people: People, platform: str, client: httpx.AsyncClient, town: Town, database: Path
) -> None:
    said = await post(
        client,
        "k1",
        platform=platform,
        channel=place(people, "toqan"),
        text="The **build** is red.",
        title="Build",
    )
    assert said["state"] == "accepted"
    now = await settled(client, said)
    assert now["state"] == "posted"
    thread = thread_of(people, now)
    assert shown(people, thread) == ["The **build** is red."]

    await people.reply("ada", thread, "which one?")
    await at_rest(database, 2)
    [asked] = town.backend("toqan").questions
    assert "The **build** is red." in asked.text, "the agent's backend didn't hear what was said in its name"
    assert asked.text.endswith("which one?")
    assert "which one?" in text_of(people.shown(thread))

    await people.reply("ada", thread, "and now?")
    await at_rest(database, 3)
    first, second = town.backend("toqan").questions
    assert second.conversation == first.conversation
    assert second.text == "and now?"


@pytest.mark.usefixtures("bridged")
async def test_the_named_conversation_of_the_named_agent_goes_on(
    people: People, platform: str, client: httpx.AsyncClient, town: Town, database: Path
) -> None:
    before = await people.say("grace", "toqan", "@threadbridge hello")
    await at_rest(database, 1)
    [asked] = town.backend("toqan").questions
    said = await post(
        client, "k1", platform=platform, channel=place(people, "general"), text="Done with that.", agent="toqan",
        conversation=asked.conversation,
    )  # fmt: skip
    thread = thread_of(people, await settled(client, said))
    assert thread.id != before.id
    await people.reply("ada", thread, "thanks")
    await at_rest(database, 3)
    second = town.backend("toqan").questions[1]
    assert second.conversation == asked.conversation
    assert second.text == "thanks"


@pytest.mark.usefixtures("bridged")
async def test_an_agent_without_a_memory_reads_what_was_said_in_its_name(
    people: People, platform: str, client: httpx.AsyncClient, town: Town, database: Path
) -> None:
    said = await post(client, "k1", platform=platform, channel=place(people, "openai"), text="Lunch at noon?")
    thread = thread_of(people, await settled(client, said))
    await people.reply("ada", thread, "yes please")
    assert await at_rest(database, 2) == ["done", "done"]


@pytest.mark.usefixtures("bridged")
async def test_a_long_text_is_split_and_nothing_of_it_is_lost(
    people: People, platform: str, client: httpx.AsyncClient
) -> None:
    said = await post(client, "k1", platform=platform, channel=place(people, "toqan"), text=LONG)
    thread = thread_of(people, await settled(client, said))
    texts = shown(people, thread)
    assert len(texts) > 1
    assert " ".join(texts).split() == LONG.split()


@pytest.mark.usefixtures("bridged")
async def test_a_person_is_written_to_directly_and_the_reply_is_a_turn(
    people: People, platform: str, client: httpx.AsyncClient, database: Path
) -> None:
    said = await post(client, "k1", platform=platform, person=person(people, "ada"), text="Your report is ready.")
    now = await settled(client, said)
    assert now["state"] == "posted", now
    thread = thread_of(people, now)
    assert [one.text for one in people.shown(thread)] == ["Your report is ready."]
    await people.reply("ada", thread, "show me")
    await at_rest(database, 2)
    assert "show me" in text_of(people.shown(thread))


@pytest.mark.usefixtures("bridged")
async def test_what_is_said_in_a_busy_thread_stands_behind_the_reply_and_before_the_next_question(
    people: People, platform: str, client: httpx.AsyncClient, town: Town, database: Path
) -> None:
    backend = town.backend("sema4ai")
    backend.hold = True
    thread = await people.say("ada", "sema4ai", "@threadbridge one")
    await eventually(backend.count)
    refused = await client.post(
        "/threads",
        json={"platform": platform, "channel": thread.channel, "thread": thread.id, "text": "News."},
        headers={"idempotency-key": "k0"},
    )
    assert refused.status_code == 403, "the channel isn't among those of http.speak"
    assert f"{platform}:{thread.channel}" in refused.text
    backend.hold = False
    backend.release()
    await at_rest(database, 1)

    opened = await post(client, "k1", platform=platform, channel=place(people, "toqan"), text="Good morning.")
    thread = thread_of(people, await settled(client, opened))
    slow = town.backend("toqan")
    slow.hold = True
    await people.reply("ada", thread, "first question")
    await eventually(slow.count)
    by_id = await post(client, "k2", thread=opened["id"], text="News by id.")
    by_name = await post(
        client, "k3", platform=platform, channel=thread.channel, thread=thread.id, text="News by name."
    )
    assert (by_id["thread"], by_name["thread"]) == (thread.id, thread.id)
    await people.reply("ada", thread, "second question")
    await eventually(lambda: states(database).count("received") == 3)
    slow.hold = False
    slow.release()
    assert set(await at_rest(database, 6)) == {"done"}
    texts = shown(people, thread)
    where = [next(i for i, text in enumerate(texts) if words in text) for words in (
        "Good morning", "first question", "News by id", "News by name", "second question",
    )]  # fmt: skip
    assert where == sorted(where), texts
    assert len(texts) == 5
    second = slow.questions[-1]
    assert "News by id." in second.text
    assert "News by name." in second.text


@pytest.mark.usefixtures("bridged")
async def test_further_messages_may_come_before_the_thread_stands(
    people: People, platform: str, client: httpx.AsyncClient, database: Path
) -> None:
    opened = await post(client, "k1", platform=platform, channel=place(people, "toqan"), text="one")
    later = [await post(client, f"l{text}", thread=opened["id"], text=text) for text in ("two", "three")]
    now = await settled(client, later[-1])
    assert now["thread"] == (await settled(client, opened))["thread"]
    assert shown(people, thread_of(people, now)) == ["one", "two", "three"]


@pytest.mark.usefixtures("bridged")
async def test_a_key_says_one_thing_once_however_often_and_at_once(
    people: People, platform: str, client: httpx.AsyncClient
) -> None:
    request = {"platform": platform, "channel": place(people, "toqan"), "text": "Once."}
    said = await asyncio.gather(*(post(client, "k1", **request) for _ in range(10)))
    assert len({one["id"] for one in said}) == 1
    now = await settled(client, said[0])
    assert (await post(client, "k1", **request))["state"] == "posted"
    assert shown(people, thread_of(people, now)) == ["Once."]
    other = await client.post("/threads", json=request | {"text": "Other."}, headers={"idempotency-key": "k1"})
    assert other.status_code == 409


@pytest.mark.usefixtures("bridged")
async def test_it_can_neither_ping_nor_unfurl(people: People, platform: str, client: httpx.AsyncClient) -> None:
    """That nobody was pinged, `make_town` looks at its end."""
    who = person(people, "grace")
    hostile = f"@everyone <!channel> <@{who}> <@&1> @here https://example.org/?q=secret"
    said = await post(
        client, "k1", platform=platform, channel=place(people, "toqan"), text=hostile, title="@everyone <@1>"
    )
    assert (await settled(client, said))["state"] == "posted"
    assert people.harm() == []


@pytest.mark.usefixtures("bridged")
async def test_what_the_platform_refuses_is_told_with_its_reason(
    people: People, platform: str, client: httpx.AsyncClient, settings: Settings, database: Path
) -> None:
    if isinstance(people, SlackPeople):
        people.world.channel("toqan").members.discard(people.world.bot.id)
    else:
        assert isinstance(people, DiscordPeople)
        people.world.deny("toqan", Permission.SEND_MESSAGES)
    said = await post(client, "k1", platform=platform, channel=place(people, "toqan"), text="Anybody?")
    now = await settled(client, said)
    assert now["state"] == "refused"
    assert "not_in_channel" in now["reason"] or "50013" in now["reason"]
    assert TOKEN not in str(now)
    assert await at_rest(database, 1) == ["failed"]


WRONG: list[tuple[str, dict[str, Any], int, str]] = [
    ("nothing to say", {"text": ""}, 422, "text"),
    ("blanks", {"text": " \n"}, 422, "text is empty"),
    ("too long", {"text": "x" * 40_001}, 422, "40000"),
    ("no place", {"channel": None}, 422, "channel"),
    ("two places", {"person": "U1"}, 422, "one of the two"),
    ("a name", {"channel": "#general"}, 422, "not a name"),
    ("no platform", {"platform": None}, 422, "platform"),
    ("another platform", {"platform": "irc"}, 422, "platform"),
    ("a platform that isn't served", {"platform": "other"}, 404, "isn't served"),
    ("an unknown key", {"colour": "red"}, 422, "unknown"),
    ("a number", {"text": 5}, 422, "text"),
    ("a NUL in an id", {"conversation": "a\0b"}, 422, "conversation"),
    ("half a character", {"text": "x\ud800"}, 422, "text"),
    ("an unknown agent", {"agent": "nobody"}, 422, "nobody"),
    ("a channel that isn't allowed", {"channel": "elsewhere"}, 403, "http.speak"),
    ("an unknown thread", {"thread": "unknown"}, 404, "no such thread"),
    (
        "a thread of ours that isn't",
        {"platform": None, "channel": None, "thread": "0" * 16},
        404,
        "no such thread",
    ),
    ("a thread that is no id", {"thread": "a-b"}, 422, "thread"),
]


@pytest.mark.usefixtures("bridged")
@pytest.mark.parametrize(("change", "status", "words"), [one[1:] for one in WRONG], ids=[one[0] for one in WRONG])
async def test_a_wrong_request_is_refused_with_a_sentence_and_nothing_is_stored(
    change: dict[str, Any],
    status: int,
    words: str,
    people: People,
    platform: str,
    client: httpx.AsyncClient,
    database: Path,
) -> None:
    stand_ins = {
        ("channel", "elsewhere"): place(people, "agentok"),
        ("platform", "other"): "discord" if platform == "slack" else "slack",
        ("thread", "unknown"): "1700000000.000001" if platform == "slack" else "1234567890",
    }
    changes = {key: stand_ins.get((key, value), value) for key, value in change.items()}
    if changes.get("platform") in ("slack", "discord"):
        changes["channel"] = "C0123" if changes["platform"] == "slack" else "123456"
    base = {"platform": platform, "channel": place(people, "toqan"), "text": "hello"}
    request = {key: value for key, value in {**base, **changes}.items() if value is not None}
    content = json.dumps(request)  # escaped, as half a character has no other form
    answer = await client.post("/threads", content=content, headers={"idempotency-key": "k1"})
    assert answer.status_code == status, answer.text
    assert any(words in sentence for sentence in answer.json()["errors"]), answer.text
    assert states(database) == []


@pytest.mark.usefixtures("bridged")
@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"authorization": ""}, b"{}", 401),
        ({"authorization": "Bearer wrong"}, b"{}", 401),
        ({"authorization": f"Basic {TOKEN}"}, b"{}", 401),
        ({"authorization": "Bearer \u00fcber".encode()}, b"{}", 401),
        ({}, b"{", 400),
        ({}, b"\xff\xfe", 400),
        ({}, b"[" * 100_000, 400),
        ({}, b"[]", 422),
        ({}, b"null", 422),
        ({}, b"x" * 300_000, 413),
        ({"idempotency-key": ""}, None, 400),
        ({"idempotency-key": "k" * 201}, None, 400),
        ({"idempotency-key": "two words"}, None, 400),
    ],
)
async def test_what_is_no_request_is_refused(
    headers: dict[str, Any],
    content: bytes | None,
    status: int,
    people: People,
    platform: str,
    client: httpx.AsyncClient,
) -> None:
    if content is None:
        content = f'{{"platform": "{platform}", "channel": "{place(people, "toqan")}", "text": "x"}}'.encode()
    answer = await client.post("/threads", content=content, headers={"idempotency-key": "k", **headers})
    assert answer.status_code == status
    assert isinstance(answer.json()["errors"][0], str)
    assert TOKEN not in answer.text


@pytest.mark.usefixtures("bridged")
async def test_who_has_no_token_learns_nothing_of_a_message(
    people: People, platform: str, client: httpx.AsyncClient
) -> None:
    said = await post(client, "k1", platform=platform, channel=place(people, "toqan"), text="hello")
    await settled(client, said)
    nobody = await client.get(f"/threads/{said['id']}", headers={"authorization": "Bearer x"})
    assert nobody.status_code == 401
    assert (await client.get("/threads/0123456789abcdef")).status_code == 404
    assert (await client.get("/threads/nothing")).status_code == 404


async def test_without_a_token_in_the_settings_nothing_is_served(
    quick: None, settings: Settings, people: People, client: httpx.AsyncClient
) -> None:
    without = settings.model_copy(update={"http": settings.http.model_copy(update={"token": None})})
    async with serving(without, people):
        assert (await client.post("/threads", json={})).status_code == 404
        assert (await client.post("/mcp", json={})).status_code == 404


@pytest.mark.usefixtures("bridged")
async def test_more_than_the_bound_is_told_to_come_again(
    people: People, platform: str, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.speaking.speaker.WAITING", 0)
    request = {"platform": platform, "channel": place(people, "toqan"), "text": "hello"}
    answer = await client.post("/threads", json=request, headers={"idempotency-key": "k1"})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.usefixtures("bridged")
async def test_an_opening_is_no_thread_that_catch_up_looks_at(
    people: People, platform: str, client: httpx.AsyncClient, database: Path
) -> None:
    said = await post(client, "k1", platform=platform, channel=place(people, "toqan"), text="hello")
    now = await settled(client, said)
    with contextlib.closing(sqlite3.connect(database)) as connection:
        seen = connection.execute("SELECT thread, state FROM thread WHERE touched_at > 0").fetchall()
        left = connection.execute("SELECT state FROM thread WHERE touched_at = 0").fetchall()
    assert seen == [(now["thread"], "idle")]
    assert left == [("moved",)]


async def fails(people: People, how: str) -> None:
    """The next message that the bot posts meets this."""
    if isinstance(people, SlackPeople):
        faults = people.world.faults
        ways = {
            "lost": lambda: faults.hang_up("chat.postMessage"),
            "unheard": lambda: faults.hang_up("chat.postMessage", after=True),
            "throttled": lambda: faults.throttle("chat.postMessage", retry_after=0),
        }
    else:
        assert isinstance(people, DiscordPeople)
        route, world = "POST /channels/*/messages", people.world
        ways = {
            "lost": lambda: world.faults.hang_up(route),
            "unheard": lambda: world.faults.hang_up(route, after=True),
            "throttled": lambda: world.faults.throttle(route, retry_after=0.05),
        }
    ways[how]()


@pytest.mark.usefixtures("bridged")
@pytest.mark.parametrize("how", ["lost", "unheard", "throttled"])
async def test_a_first_message_whose_call_fails_stands_there_once(
    how: str, people: People, platform: str, client: httpx.AsyncClient
) -> None:
    await fails(people, how)
    said = await post(client, "k1", platform=platform, channel=place(people, "toqan"), text="Once.")
    assert shown(people, thread_of(people, await settled(client, said))) == ["Once."]


async def test_a_forum_gets_a_post_with_the_title(quick: None, town: Town, database: Path) -> None:
    people = DiscordPeople(town.discord)
    forum = str(town.discord.place("help").id)
    http = HttpSettings(port=free_port(), token=SecretStr(TOKEN), speak=[f"discord:{forum}"])
    settings = settings_for(town, "discord", database).model_copy(update={"http": http})
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with (
        serving(settings, people),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{http.port}", headers=headers) as client,
    ):
        town.discord.faults.hang_up("POST /channels/*/threads", after=True)
        said = await post(
            client, "k1", platform="discord", channel=forum, text=LONG[:3_000], title="Weekly report"
        )
        now = await settled(client, said)
        assert now["state"] == "posted", now
        thread = thread_of(people, now)
        [opened] = [one for one in town.discord.channels.values() if one.parent_id == int(forum)]
        assert (opened.name, str(opened.id)) == ("Weekly report", thread.id)
        assert " ".join(one.text for one in people.shown(thread)).split() == LONG[:3_000].split()
        await people.reply("ada", thread, "thanks")
        await at_rest(database, 2)
        assert "thanks" in people.shown(thread)[-1].text


@pytest.mark.parametrize("platform", ["discord"])
@pytest.mark.usefixtures("bridged")
async def test_a_channel_that_the_bot_cant_see_is_said_at_once(
    people: People, platform: str, client: httpx.AsyncClient, settings: Settings, database: Path
) -> None:
    channel = place(people, "toqan")
    assert isinstance(people, DiscordPeople)
    await people.world.delete_channel("toqan")
    request = {"platform": platform, "channel": channel, "text": "hello"}
    async with asyncio.timeout(60):
        while True:  # the gateway tells the bot of it a moment later
            answer = await client.post(
                "/threads", json=request, headers={"idempotency-key": f"k{len(states(database))}"}
            )
            if answer.status_code != 202:
                break
    assert answer.status_code == 404
    assert "can't see" in answer.text


@pytest.mark.usefixtures("bridged")
async def test_a_first_message_that_a_frozen_replica_wrote_over_is_written_again(
    people: People, platform: str, client: httpx.AsyncClient, database: Path
) -> None:
    said = await post(client, "k1", platform=platform, channel=place(people, "toqan"), text="Right.")
    thread = thread_of(people, await settled(client, said))
    if isinstance(people, SlackPeople):
        [root] = people.world.thread(thread.channel, thread.id)
        people.world.change(replace(root, text="Wrong.", blocks=()))
    else:
        assert isinstance(people, DiscordPeople)
        people.world.message(people.world.place(thread.channel), int(thread.id)).content = "Wrong."
    assert shown(people, thread) == ["Wrong."]
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "UPDATE thread SET recheck_turn = ?, state = 'ready' WHERE thread = ?", (said["id"], thread.id)
        )
    await eventually(lambda: shown(people, thread) == ["Right."])


@pytest.mark.usefixtures("bridged")
async def test_what_no_database_can_hold_is_said_without_it(
    people: People, platform: str, client: httpx.AsyncClient
) -> None:
    said = await post(client, "k1", platform=platform, channel=place(people, "toqan"), text="a\0b", title="\0")
    now = await settled(client, said)
    assert shown(people, thread_of(people, now)) == ["ab"]


async def test_a_person_whom_the_platform_doesnt_know_is_refused_with_the_reason(
    quick: None, settings: Settings, people: People, platform: str, client: httpx.AsyncClient
) -> None:
    nobody = "U0NOBODY" if platform == "slack" else "1234567890"
    http = settings.http.model_copy(update={"speak": [f"{platform}:{nobody}"]})
    async with serving(settings.model_copy(update={"http": http}), people):
        now = await settled(client, await post(client, "k1", platform=platform, person=nobody, text="hello"))
        assert now["state"] == "refused"
        assert now["reason"].startswith(("Gone", "Refused"))


async def test_what_was_taken_before_a_restart_is_said_after_it(
    quick: None, settings: Settings, people: People, platform: str, client: httpx.AsyncClient
) -> None:
    """The platform is away, and the process ends: the caller was told that it is taken."""
    if isinstance(people, SlackPeople):
        people.world.faults.break_down("chat.postMessage", times=100)
    else:
        assert isinstance(people, DiscordPeople)
        people.world.faults.break_down("POST /channels/*/messages", times=100)
    async with serving(settings, people):
        said = await post(client, "k1", platform=platform, channel=place(people, "toqan"), text="Hello.")
    people.world.faults.clear()
    async with serving(settings, people):
        now = await settled(client, said)
        assert shown(people, thread_of(people, now)) == ["Hello."]


async def test_a_place_that_is_listed_no_more_is_closed_in_its_threads_too(
    quick: None, settings: Settings, people: People, platform: str, client: httpx.AsyncClient, database: Path
) -> None:
    async with serving(settings, people):
        said = await post(client, "k1", platform=platform, person=person(people, "ada"), text="Hello.")
        await settled(client, said)
        await settled(client, await post(client, "k2", thread=said["id"], text="Again."))
    http = settings.http.model_copy(update={"speak": []})
    async with serving(settings.model_copy(update={"http": http}), people):
        request = {"thread": said["id"], "text": "And again."}
        answer = await client.post("/threads", json=request, headers={"idempotency-key": "k3"})
        assert answer.status_code == 403
        assert states(database) == ["done", "done"]
