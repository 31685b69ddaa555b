"""The page's requests: who may make them, what they answer, and the feed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from starlette.datastructures import Headers

from adapters.testing.serving import serve
from bridge.playground.discord import DiscordWorld
from bridge.playground.discord.model import MessageFlag
from bridge.playground.page.app import MAX_BODY, MAX_FEEDS, MAX_FILE_BYTES, create_page
from bridge.playground.page.discord import DiscordView
from bridge.playground.page.feed import MAX_WAITING, feed
from bridge.playground.page.guard import refusal
from bridge.playground.page.rooms import ROOMS
from bridge.playground.page.slack import SlackView
from bridge.playground.page.troubles import Trouble
from bridge.playground.page.views import CantDo, PlatformView, TallyView
from bridge.playground.slack import SlackWorld
from tests.e2e.waiting import PATIENCE

TALLY: TallyView = {"written": 0, "repeated": 0, "asked": 0, "replied": 0, "twice": 0}


@dataclass
class Served:
    url: str
    slack: SlackWorld
    discord: DiscordWorld
    caused: list[str] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def client(self, **headers: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, headers={"Origin": self.url} | headers, trust_env=False)

    @property
    def general(self) -> str:
        return self.slack.channel("general").id


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    slack = SlackWorld(channels=list(ROOMS), rate=None)
    discord = DiscordWorld(channels=list(ROOMS), forums=(), rate=None, base_url="http://127.0.0.1:1")
    views: dict[str, PlatformView] = {
        "slack": SlackView(slack, "ada", ROOMS, "general"),
        "discord": DiscordView(discord, "ada", ROOMS, "general"),
    }
    here = Served("", slack, discord)

    def nothing_to_break() -> None:
        raise CantDo("Write something first.")

    troubles = {
        "slack": {
            "drop": Trouble('Drop "it"', "It is gone.", lambda: here.caused.append("drop")),
            "again": Trouble("Again", "Once more.", nothing_to_break),
        }
    }
    async with serve(create_page(views, troubles, lambda: 7, here.over)) as url:
        here.url = url
        yield here
    await slack.aclose()


# --- who may ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "host", "origin", "served"),
    [
        ("GET", "127.0.0.1:8080", None, True),
        ("GET", "localhost:8080", None, True),
        ("GET", "[::1]:8080", None, True),
        ("HEAD", "localhost", None, True),
        ("GET", "evil.example:8080", None, False),
        ("GET", "127.0.0.1.evil.example", None, False),
        ("GET", "localhost@evil.example", None, False),
        ("GET", "[", None, False),
        ("GET", "", None, False),
        ("POST", "localhost:8080", "http://localhost:8080", True),
        ("POST", "localhost:8080", None, False),
        ("POST", "localhost:8080", "null", False),
        ("POST", "localhost:8080", "http://localhost:9090", False),
        ("POST", "localhost:8080", "https://localhost:8080", False),
        ("POST", "localhost:8080", "http://127.0.0.1:8080", False),
        ("POST", "evil.example:8080", "http://evil.example:8080", False),
        ("PUT", "localhost:8080", None, False),
    ],
)
def test_only_this_machines_own_page_is_served(method: str, host: str, origin: str | None, served: bool) -> None:
    headers = Headers({"host": host} | ({"origin": origin} if origin else {}))
    assert (refusal(method, headers) is None) == served


async def test_another_pages_post_has_no_effect(served: Served) -> None:
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example", "Origin": "http://evil.example"}):
        async with served.client(**headers) as client:
            said = await client.post("/say/slack", data={"channel": served.general, "text": "hi"})
            broken = await client.post("/break/slack/drop")
        assert (said.status_code, broken.status_code) == (403, 403)
    assert served.slack.messages("general") == []
    assert served.caused == []


async def test_every_answer_carries_the_policy(served: Served) -> None:
    async with served.client() as client:
        for path in ("/", "/static/page.js", "/nowhere"):
            answer = await client.get(path)
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
        page = (await client.get("/")).text
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")  # nothing is loaded from elsewhere
    assert "https://" not in page
    assert "Drop \\&#34;it\\&#34;" in page


# --- what they do -----------------------------------------------------------------------------------------------


async def test_a_message_with_a_file_is_said_and_the_file_comes_back(served: Served) -> None:
    name = 'a "b"\r\n<c>.html'
    async with served.client() as client:
        sent = await client.post(
            "/say/slack",
            data={"channel": served.general, "text": "look"},
            files={"files": ("x.html", b"<script>alert(1)</script>", "text/html")},
        )
        assert sent.status_code == 204
        (message,) = served.slack.messages("general")
        (file,) = message.files
        got = await client.get(f"/file/slack/{file.id}")
        odd = served.slack.store(name, "text/html\r\nX: ü", b"odd", "ada")
        oddly = await client.get(f"/file/slack/{odd.id}")
    assert got.content == b"<script>alert(1)</script>"
    assert got.headers["content-disposition"] == "attachment; filename*=UTF-8''x.html"
    assert "sandbox" in got.headers["content-security-policy"]
    assert oddly.headers["content-type"] == "application/octet-stream"
    assert oddly.headers["content-disposition"].endswith("''a%20%22b%22%0D%0A%3Cc%3E.html")


async def test_words_go_out_as_a_voice_note(served: Served) -> None:
    async with served.client() as client:
        for channel in (served.general, served.slack.direct("ada").id):
            said = await client.post("/speak/slack", data={"channel": channel, "text": "hello there"})
            assert said.status_code == 204
        place = str(served.discord.place("general").id)
        refused = await client.post("/speak/discord", data={"channel": place, "text": "hello there"})
        assert (refused.status_code, "speak in a thread" in refused.text) == (409, True)
        direct = str(served.discord.direct("ada").id)
        assert (await client.post("/speak/discord", data={"channel": direct, "text": "hello"})).status_code == 204
    [called] = served.slack.messages("general")
    assert called.text == served.slack.mention
    [clip] = called.files
    assert (clip.clip_ms, clip.media_type) == (1_000, "audio/mp4")
    [voice] = served.discord.messages(direct)
    assert (voice.content, voice.attachments[0].seconds) == ("", 1.0)
    assert voice.flags & MessageFlag.IS_VOICE_MESSAGE


@pytest.mark.parametrize(
    ("path", "data", "status", "says"),
    [
        ("/say/slack", {"channel": "general", "text": " "}, 409, "There is nothing to send."),
        ("/say/slack", {"channel": "general", "thread": "1.0", "text": "hi"}, 409, "no longer there"),
        ("/say/discord", {"channel": "1", "text": "hi"}, 409, "no longer there"),
        ("/say/discord", {"channel": "x", "text": "hi"}, 409, "Discord refuses that"),
        ("/speak/slack", {"channel": "general", "text": " "}, 409, "Write what is to be said"),
        ("/speak/slack", {"channel": "general", "thread": "1.0", "text": "hi"}, 409, "no longer there"),
        ("/speak/discord", {"channel": "x", "text": "hi"}, 409, "Discord refuses that"),
        ("/speak/teams", {"channel": "general", "text": "hi"}, 404, ""),
        ("/say/teams", {"channel": "general", "text": "hi"}, 404, ""),
        ("/press/slack", {"message": "1.0", "button": "x"}, 409, "no longer there"),
        ("/stop/slack", {"channel": "general", "thread": "1.0"}, 409, "nothing to stop"),
        ("/stop/discord", {"channel": "1", "thread": ""}, 404, ""),
        ("/break/slack/drop", {}, 200, "It is gone."),
        ("/break/slack/again", {}, 409, "Write something first."),
        ("/break/slack/unknown", {}, 404, ""),
        ("/break/moon/drop", {}, 404, ""),
    ],
)
async def test_what_goes_wrong_is_said(
    served: Served, path: str, data: dict[str, str], status: int, says: str
) -> None:
    async with served.client() as client:
        answer = await client.post(path, data=data)
    assert answer.status_code == status
    assert says in answer.text


async def test_files_have_a_limit(served: Served) -> None:
    async with served.client() as client:
        large = {"files": ("large.bin", b"x" * (MAX_FILE_BYTES + 1))}
        answer = await client.post("/say/slack", data={"channel": served.general}, files=large)
        assert (answer.status_code, "large.bin is too large" in answer.text) == (409, True)
        many = [("files", (f"{n}.txt", b"x")) for n in range(11)]
        assert (await client.post("/say/slack", data={"channel": served.general}, files=many)).status_code == 400
    assert served.slack.messages("general") == []


async def test_a_message_that_claims_to_be_huge_is_refused_unread(served: Served) -> None:
    host = served.url.removeprefix("http://")
    reader, writer = await asyncio.open_connection(*host.split(":"))
    head = [
        "POST /say/slack HTTP/1.1",
        f"Host: {host}",
        f"Origin: {served.url}",
        f"Content-Length: {MAX_BODY + 1}",
    ]
    writer.write("\r\n".join([*head, "", ""]).encode())
    async with asyncio.timeout(PATIENCE):
        answer = await reader.readuntil(b"each.")
    assert b"409" in answer.splitlines()[0]
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("path", ["slack/F1", "discord/1-1", "discord/x", "teams/1"])
async def test_a_file_that_is_not_there(served: Served, path: str) -> None:
    async with served.client() as client:
        assert (await client.get(f"/file/{path}")).status_code == 404


# --- the feed ---------------------------------------------------------------------------------------------------


async def test_the_feed_begins_with_everything_and_goes_on(served: Served) -> None:
    await served.slack.say("ada", "general", "before")
    async with served.client() as client, client.stream("GET", "/feed") as answer:
        lines = answer.aiter_lines()
        slack, discord, tally = [await event(lines) for _ in range(3)]
        assert [message["html"] for message in slack["server"]["messages"]] == ["<p>before</p>\n"]
        assert discord["server"]["platform"] == "discord"
        assert tally["tally"] == TALLY | {"asked": 7}
        await served.discord.say("grace", "general", "after")
        assert (await event(lines))["message"]["html"] == "<p>after</p>\n"
        gone = await served.slack.say("ada", "general", "gone")
        assert (await event(lines))["message"]["id"] == gone
        await served.slack.delete("ada", "general", gone)
        assert (await event(lines))["deleted"] == gone


async def test_the_feed_ends_in_good_order(served: Served) -> None:
    async with served.client() as client, client.stream("GET", "/feed") as answer:
        lines = answer.aiter_lines()
        await event(lines)
        served.over.set()
        async with asyncio.timeout(PATIENCE):
            async for _ in lines:
                pass


async def event(lines: AsyncIterator[str]) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE):
        async for line in lines:
            if line.startswith("data: "):
                data: dict[str, Any] = json.loads(line.removeprefix("data: "))
                return data
    raise AssertionError("the feed ended")


async def test_only_so_many_pages_follow(served: Served) -> None:
    async with served.client() as client:
        open_feeds = [
            await client.send(client.build_request("GET", "/feed"), stream=True) for _ in range(MAX_FEEDS)
        ]
        for one in open_feeds:
            await event(one.aiter_lines())
        assert (await client.get("/feed")).status_code == 503
        for one in open_feeds:
            await one.aclose()

        async def freed() -> None:
            while True:
                async with client.stream("GET", "/feed") as again:
                    if again.status_code == 200:
                        return

        async with asyncio.timeout(PATIENCE):
            await freed()


async def test_a_slow_page_is_told_the_newest_only(served: Served) -> None:
    views: dict[str, PlatformView] = {"slack": SlackView(served.slack, "ada", ROOMS, "general")}
    ts = await served.slack.say("ada", "general", "0")
    async with aclosing(feed(views, lambda: TALLY, asyncio.Event())) as events:
        await take(events, 2)
        for n in range(1, 50):
            await served.slack.edit("ada", "general", ts, str(n))
        (change,) = await take(events, 1)
        assert change["message"]["html"] == "<p>49</p>\n"


async def test_a_page_that_falls_far_behind_gets_everything_anew(served: Served) -> None:
    views: dict[str, PlatformView] = {"slack": SlackView(served.slack, "ada", ROOMS, "general")}
    async with aclosing(feed(views, lambda: TALLY, asyncio.Event())) as events:
        await take(events, 2)
        for n in range(MAX_WAITING + 1):
            await served.slack.say("ada", "general", str(n))
        (change,) = await take(events, 1)
        assert change["server"]["messages"][-1]["html"] == f"<p>{MAX_WAITING}</p>\n"


async def take(events: AsyncIterator[dict[str, str | int]], count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(PATIENCE):
        return [json.loads(str((await anext(events))["data"])) for _ in range(count)]


async def test_a_feed_that_ends_leaves_nothing_behind(served: Served) -> None:
    views: dict[str, PlatformView] = {"slack": SlackView(served.slack, "ada", ROOMS, "general")}
    watchers = served.slack._watchers
    async with aclosing(feed(views, lambda: TALLY, asyncio.Event())) as events:
        await take(events, 1)
        assert len(watchers) == 1
    assert len(watchers) == 0
