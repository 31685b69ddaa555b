"""What the simulated REST API refuses, and how it words that."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount

from bridge.playground.discord import DiscordWorld, MessageFlag, create_app
from bridge.playground.discord.commands import check_commands
from bridge.playground.discord.errors import ApiError
from tests.examples import examples

NOW = 1_800_000_000.0
V2 = int(MessageFlag.COMPONENTS_V2)
MIB = 1024 * 1024


@pytest.fixture
def world() -> DiscordWorld:
    return DiscordWorld(rate=None, clock=lambda: NOW)


@pytest.fixture
async def api(world: DiscordWorld) -> AsyncIterator[httpx.AsyncClient]:
    async with client(world) as api:
        yield api


def client(world: DiscordWorld) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(world)),
        base_url="http://discord.test/api/v10",
        headers={"Authorization": f"Bot {world.token}"},
    )


def room(world: DiscordWorld, name: str = "general") -> str:
    return f"/channels/{world.place(name).id}"


async def post(api: httpx.AsyncClient, path: str, body: object) -> httpx.Response:
    return await api.post(path, json=body)


def button(**changed: object) -> dict[str, object]:
    return {"type": 2, "style": 2, "label": "Go", "custom_id": "go"} | changed


def row(*children: object) -> dict[str, object]:
    return {"type": 1, "components": list(children)}


def text(content: str = "text") -> dict[str, object]:
    return {"type": 10, "content": content}


# body: code, and the path of the error in the tree
MESSAGES: dict[str, tuple[dict[str, object], int, str]] = {
    "nothing": ({}, 50006, ""),
    "white space": ({"content": " \n "}, 50006, ""),
    "buttons without a text": ({"components": [row(button())]}, 50006, ""),
    "too long": ({"content": "x" * 2001}, 50035, "content"),
    "content that is no text": ({"content": ["x"]}, 50035, "content"),
    "eleven embeds": ({"embeds": [{"title": "x"}] * 11}, 50035, "embeds"),
    "long title": ({"embeds": [{"title": "x" * 257}]}, 50035, "embeds.0.title"),
    "long footer": ({"embeds": [{"footer": {"text": "x" * 2049}}]}, 50035, "embeds.0.footer.text"),
    "field without a value": ({"embeds": [{"fields": [{"name": "x"}]}]}, 50035, "embeds.0.fields.0.value"),
    "embeds over 6000": ({"embeds": [{"description": "x" * 4000}] * 2}, 50035, "embeds"),
    "six rows": (
        {"content": "x", "components": [row(button(custom_id=str(n))) for n in range(6)]},
        50035,
        "components",
    ),
    "six buttons": (
        {"content": "x", "components": [row(*(button(custom_id=str(n)) for n in range(6)))]},
        50035,
        "components.0.components",
    ),
    "long label": (
        {"content": "x", "components": [row(button(label="x" * 81))]},
        50035,
        "components.0.components.0.label",
    ),
    "long custom id": (
        {"content": "x", "components": [row(button(custom_id="x" * 101))]},
        50035,
        "components.0.components.0.custom_id",
    ),
    "no custom id": (
        {"content": "x", "components": [row({"type": 2, "style": 1, "label": "x"})]},
        50035,
        "components.0.components.0.custom_id",
    ),
    "link with a custom id": (
        {"content": "x", "components": [row(button(style=5, url="https://a.example"))]},
        50035,
        "components.0.components.0",
    ),
    "the same custom id twice": ({"content": "x", "components": [row(button(), button())]}, 50035, "components"),
    "menu beside a button": (
        {
            "content": "x",
            "components": [
                row(button(), {"type": 3, "custom_id": "m", "options": [{"label": "a", "value": "a"}]})
            ],
        },
        50035,
        "components.0.components",
    ),
    "menu of 26": (
        {
            "content": "x",
            "components": [
                row(
                    {
                        "type": 3,
                        "custom_id": "m",
                        "options": [{"label": str(n), "value": str(n)} for n in range(26)],
                    }
                )
            ],
        },
        50035,
        "components.0.components.0.options",
    ),
    "button at the top": ({"content": "x", "components": [button()]}, 50035, "components.0.type"),
    "text display without the flag": ({"content": "x", "components": [text()]}, 50035, "components.0.type"),
    "content with v2": ({"flags": V2, "content": "x", "components": [text()]}, 50035, "content"),
    "embeds with v2": ({"flags": V2, "embeds": [{"title": "x"}], "components": [text()]}, 50035, "embeds"),
    "v2 with nothing in it": ({"flags": V2, "components": []}, 50006, ""),
    "41 components": ({"flags": V2, "components": [text(str(n)) for n in range(41)]}, 50035, "components"),
    "41 components, nested": (
        {"flags": V2, "components": [{"type": 17, "components": [text(str(n)) for n in range(40)]}]},
        50035,
        "components",
    ),
    "4001 characters": ({"flags": V2, "components": [text("x" * 2000), text("x" * 2001)]}, 50035, "components"),
    "section without an accessory": (
        {"flags": V2, "components": [{"type": 9, "components": [text()]}]},
        50035,
        "components.0.accessory",
    ),
    "section of four": (
        {"flags": V2, "components": [{"type": 9, "components": [text()] * 4, "accessory": button()}]},
        50035,
        "components.0.components",
    ),
    "empty gallery": ({"flags": V2, "components": [{"type": 12, "items": []}]}, 50035, "components.0.items"),
    "file from nowhere": (
        {"flags": V2, "components": [{"type": 13, "file": {"url": "ftp://a"}}]},
        50035,
        "components.0.file.url",
    ),
    "file that isn't attached": (
        {"flags": V2, "components": [{"type": 13, "file": {"url": "attachment://a.txt"}}]},
        50035,
        "components",
    ),
    "long nonce": ({"content": "x", "nonce": "x" * 26}, 50035, "nonce"),
    "reply to nothing": ({"content": "x", "message_reference": {"message_id": "1"}}, 50035, "message_reference"),
    "reply without an id": ({"content": "x", "message_reference": {}}, 50035, "message_reference.message_id"),
    "mentions of everyone and of some": (
        {"content": "x", "allowed_mentions": {"parse": ["users"], "users": ["1"]}},
        50035,
        "allowed_mentions",
    ),
    "mentions of an unknown kind": (
        {"content": "x", "allowed_mentions": {"parse": ["all"]}},
        50035,
        "allowed_mentions.parse",
    ),
    "101 mentions": (
        {"content": "x", "allowed_mentions": {"users": [str(n) for n in range(101)]}},
        50035,
        "allowed_mentions.users",
    ),
    "flags that are no number": ({"content": "x", "flags": "many"}, 50035, "flags"),
}


def at(tree: dict[str, Any], path: str) -> dict[str, Any]:
    for part in path.split("."):
        tree = tree[part]
    return tree


@pytest.mark.parametrize("name", MESSAGES)
async def test_messages_that_are_refused(world: DiscordWorld, api: httpx.AsyncClient, name: str) -> None:
    body, code, path = MESSAGES[name]
    refused = await post(api, f"{room(world)}/messages", body)
    assert refused.status_code == 400
    assert refused.headers["content-type"] == "application/json"
    assert refused.json()["code"] == code
    if path:
        assert at(refused.json()["errors"], path)["_errors"][0].keys() == {"code", "message"}
    assert world.messages("general") == []


FITTING: dict[str, dict[str, object]] = {
    "2000 characters": {"content": "x" * 2000},
    "an embed alone": {"embeds": [{"title": "x", "fields": [{"name": "a", "value": "b"}]}]},
    "25 buttons": {
        "content": "x",
        "components": [row(*(button(custom_id=f"{line}{n}") for n in range(5))) for line in range(5)],
    },
    "40 components": {"flags": V2, "components": [text("x" * 100) for _ in range(40)]},
    "a section with a button": {
        "flags": V2,
        "components": [{"type": 9, "components": [text()], "accessory": button()}, {"type": 14}],
    },
    "a picture": {
        "flags": V2,
        "components": [{"type": 12, "items": [{"media": {"url": "https://a.example/a.png"}}]}],
    },
    "a reply to nothing that needn't be there": {
        "content": "x",
        "message_reference": {"message_id": "1", "fail_if_not_exists": False},
    },
}


@pytest.mark.parametrize("name", FITTING)
async def test_messages_that_just_fit(world: DiscordWorld, api: httpx.AsyncClient, name: str) -> None:
    sent = await post(api, f"{room(world)}/messages", FITTING[name])
    assert sent.status_code == 200
    assert [message.id for message in world.messages("general")] == [int(sent.json()["id"])]


async def test_the_tree_names_every_mistake_at_its_place(world: DiscordWorld, api: httpx.AsyncClient) -> None:
    refused = await post(api, f"{room(world)}/messages", {"content": "x" * 2001, "nonce": "x" * 26})
    assert refused.json() == {
        "message": "Invalid Form Body",
        "code": 50035,
        "errors": {
            "content": {
                "_errors": [{"code": "BASE_TYPE_MAX_LENGTH", "message": "Must be 2000 or fewer in length."}]
            },
            "nonce": {"_errors": [{"code": "NONCE_TYPE_TOO_LONG", "message": "Must be 25 or fewer in length."}]},
        },
    }


UNKNOWN: dict[str, tuple[str, str, int, int]] = {
    "route": ("GET", "/nowhere", 404, 0),
    "method": ("POST", "/users/@me", 405, 0),
    "channel": ("GET", "/channels/1", 404, 10003),
    "channel that is no number": ("GET", "/channels/x", 400, 50035),
    "message": ("GET", "{general}/messages/1", 404, 10008),
    "guild": ("GET", "/guilds/1", 404, 10004),
    "member": ("GET", "/guilds/{guild}/members/1", 404, 10007),
    "user": ("GET", "/users/1", 404, 10013),
    "application": ("GET", "/applications/1/commands", 404, 10002),
    "command": ("DELETE", "/applications/{bot}/commands/1", 404, 10063),
    "interaction": ("POST", "/interactions/1/x/callback", 404, 10062),
    "webhook": ("POST", "/webhooks/{bot}/x", 404, 10015),
    "webhook of another": ("POST", "/webhooks/1/x", 404, 10015),
    "emoji": ("PUT", "{general}/messages/{message}/reactions/x/@me", 400, 10014),
    "messages of a forum": ("GET", "{help}/messages", 400, 50008),
    "page of 101": ("GET", "{general}/messages?limit=101", 400, 50035),
    "page of none": ("GET", "{general}/messages?limit=0", 400, 50035),
    "members of a channel": ("GET", "{general}/thread-members", 400, 50024),
}


@pytest.mark.parametrize("name", UNKNOWN)
async def test_what_is_not_there(world: DiscordWorld, api: httpx.AsyncClient, name: str) -> None:
    method, path, status, code = UNKNOWN[name]
    message = await world.say("ada", "general", "hello")
    path = path.format(
        general=room(world), help=room(world, "help"), guild=world.guild.id, bot=world.bot.id, message=message
    )
    refused = await api.request(method, path)
    assert (refused.status_code, refused.json()["code"]) == (status, code)


@pytest.mark.parametrize("header", ["", "Bot other", "Bearer {token}", "{token}"])
async def test_a_wrong_token_is_refused_everywhere(
    world: DiscordWorld, api: httpx.AsyncClient, header: str
) -> None:
    refused = await api.get("/users/@me", headers={"Authorization": header.format(token=world.token)})
    assert (refused.status_code, refused.json()) == (401, {"message": "401: Unauthorized", "code": 0})


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[}"])
async def test_a_body_that_is_no_json(world: DiscordWorld, api: httpx.AsyncClient, content: bytes) -> None:
    refused = await api.post(
        f"{room(world)}/messages", content=content, headers={"Content-Type": "application/json"}
    )
    assert (refused.status_code, refused.json()["code"]) == (400, 50109)


async def test_edits_that_are_refused(world: DiscordWorld, api: httpx.AsyncClient) -> None:
    theirs = await world.say("ada", "general", "hello")
    mine = (await post(api, f"{room(world)}/messages", {"content": "mine"})).json()["id"]
    card = (await post(api, f"{room(world)}/messages", {"flags": V2, "components": [text()]})).json()["id"]

    async def edit(message: object, body: object) -> tuple[int, int]:
        answer = await api.patch(f"{room(world)}/messages/{message}", json=body)
        return answer.status_code, answer.json().get("code", 0)

    assert await edit(theirs, {"content": "x"}) == (403, 50005)
    assert await edit(mine, {"content": ""}) == (400, 50006)
    assert await edit(mine, {"content": "x" * 2001}) == (400, 50035)
    assert await edit(mine, {"flags": V2, "components": [text()]}) == (400, 50035)
    assert await edit(mine, {"flags": V2, "content": None, "components": [text()]}) == (200, 0)
    assert await edit(card, {"content": "x"}) == (400, 50035)
    assert await edit(card, {"flags": 0, "components": [text("other")]}) == (200, 0)
    assert world.messages("general")[2].flags & MessageFlag.COMPONENTS_V2


async def test_deleting_what_others_wrote_takes_a_permission(world: DiscordWorld, api: httpx.AsyncClient) -> None:
    theirs = await world.say("ada", "general", "hello")
    refused = await api.delete(f"{room(world)}/messages/{theirs}")
    assert (refused.status_code, refused.json()["code"]) == (403, 50013)


@pytest.mark.parametrize(
    ("sizes", "tier", "fits"),
    [
        ([10 * MIB], 0, True),
        ([10 * MIB + 1], 0, False),
        ([25 * MIB], 2, True),
        ([9 * MIB] * 3, 0, False),
    ],
)
async def test_the_size_of_files(sizes: list[int], tier: int, fits: bool) -> None:
    world = DiscordWorld(rate=None)
    world.guild.boost_tier = tier
    files = [(f"files[{n}]", (f"{n}.bin", b"x" * size)) for n, size in enumerate(sizes)]
    async with client(world) as api:
        sent = await api.post(f"{room(world)}/messages", files=files, data={"payload_json": "{}"})
    if fits:
        assert sent.status_code == 200
    else:
        assert (sent.status_code, sent.json()["code"]) == (413, 40005)
        assert world.messages("general") == []


async def test_eleven_files_are_too_many(world: DiscordWorld, api: httpx.AsyncClient) -> None:
    files = [(f"files[{n}]", (f"{n}.txt", b"x")) for n in range(11)]
    refused = await api.post(f"{room(world)}/messages", files=files)
    assert refused.json()["code"] == 50035


THREADS: list[dict[str, object]] = [
    {},
    {"name": ""},
    {"name": "x" * 101},
    {"name": "x", "auto_archive_duration": 61},
    {"name": "x", "rate_limit_per_user": 21_601},
    {"name": "x", "type": 10},
]


@pytest.mark.parametrize("body", THREADS)
async def test_threads_that_are_refused(
    world: DiscordWorld, api: httpx.AsyncClient, body: dict[str, object]
) -> None:
    refused = await post(api, f"{room(world)}/threads", {"type": 11} | body)
    assert (refused.status_code, refused.json()["code"]) == (400, 50035)
    assert world.threads("general") == []


async def test_forum_posts_that_are_refused(world: DiscordWorld, api: httpx.AsyncClient) -> None:
    forum = world.add_forum(world.guild, "strict", require_tag=True)
    tag = str(forum.tags[0].id)

    async def code(body: dict[str, object]) -> int:
        answer = await post(
            api, f"/channels/{forum.id}/threads", {"name": "x", "message": {"content": "x"}} | body
        )
        return int(answer.json().get("code", 0))

    assert await code({}) == 40067
    assert await code({"applied_tags": ["1"]}) == 50035
    assert await code({"applied_tags": [tag], "message": {}}) == 50006
    assert await code({"applied_tags": [tag], "message": None}) == 50035
    assert await code({"applied_tags": [tag]}) == 0
    assert [post.name for post in world.threads("strict")] == ["x"]


def slash(name: str = "ask", **changed: object) -> dict[str, object]:
    return {"name": name, "description": "Asks"} | changed


COMMANDS: dict[str, list[object]] = {
    "101 commands": [slash(f"c{n}") for n in range(101)],
    "16 context menus": [{"name": f"Menu {n}", "type": 3} for n in range(16)],
    "a name in capitals": [slash("Ask")],
    "a name with a space": [slash("ask me")],
    "a long name": [slash("x" * 33)],
    "no description": [{"name": "ask"}],
    "a long description": [slash(description="x" * 101)],
    "the same name twice": [slash(), slash()],
    "a context menu with a description": [{"name": "Ask", "type": 3, "description": "x"}],
    "26 options": [slash(options=[slash(f"o{n}", type=3) for n in range(26)])],
    "an option of no type": [slash(options=[slash("o")])],
    "a required option after another": [slash(options=[slash("a", type=3), slash("b", type=3, required=True)])],
    "26 choices": [
        slash(options=[slash("o", type=3, choices=[{"name": str(n), "value": str(n)} for n in range(26)])])
    ],
    "a group in a group": [slash(options=[slash("a", type=2, options=[slash("b", type=2)])])],
    "no object": ["ask"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_that_are_refused(name: str) -> None:
    with pytest.raises(ApiError) as refused:
        check_commands(COMMANDS[name])
    assert (refused.value.status, refused.value.code in (50035, 30032)) == (400, True)


async def test_addresses_follow_where_the_app_is_mounted(world: DiscordWorld) -> None:
    app = Starlette(routes=[Mount("/discord", create_app(world))])
    await world.say("ada", "general", files=[("a.txt", "text/plain", b"a")])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://demo.test:8080") as http:
        headers = {"Authorization": f"Bot {world.token}"}
        gateway = await http.get("/discord/api/v10/gateway/bot", headers=headers)
        page = await http.get(f"/discord/api/v10{room(world)}/messages", headers=headers)
        file = await http.get(page.json()[0]["attachments"][0]["url"])
        forged = await http.get(page.json()[0]["attachments"][0]["url"].replace("hm=", "hm=0"))
    assert gateway.json()["url"] == "ws://demo.test:8080/discord/gateway"
    assert (file.text, forged.status_code) == ("a", 404)


async def test_a_base_url_that_is_given_is_kept() -> None:
    world = DiscordWorld(base_url="https://chat.example/discord")
    async with client(world) as api:
        assert (await api.get("/gateway")).json() == {"url": "wss://chat.example/discord/gateway"}


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**40) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "type", "name"]), inner),
    max_leaves=6,
)
component = st.fixed_dictionaries(
    {"type": st.integers(0, 24)},
    optional=dict.fromkeys(
        ("components", "accessory", "custom_id", "label", "style", "options", "items", "media", "content"), values
    ),
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "content": values,
        "embeds": values
        | st.lists(st.dictionaries(st.sampled_from(["title", "fields", "footer"]), values), max_size=2),
        "components": values | st.lists(component, max_size=3),
        "flags": values | st.just(V2),
        "attachments": values,
        "allowed_mentions": values | st.dictionaries(st.sampled_from(["parse", "users", "replied_user"]), values),
        "message_reference": values,
        "nonce": values,
    },
)


@examples(150)
@given(body=bodies)
async def test_any_body_is_either_sent_or_refused(body: dict[str, object]) -> None:
    world = DiscordWorld(rate=None, clock=lambda: NOW)
    async with client(world) as api:
        answer = await post(api, f"{room(world)}/messages", body)
        assert answer.status_code in (200, 400)
        json.dumps(answer.json())
        assert len(world.messages("general")) == (answer.status_code == 200)


@examples(60)
@given(
    path=st.sampled_from(
        ["/channels/{general}/threads", "/channels/{help}/threads", "/applications/{bot}/commands"]
    ),
    body=st.dictionaries(
        st.sampled_from(
            ["name", "type", "auto_archive_duration", "applied_tags", "message", "options", "recipient_id"]
        ),
        values,
    ),
)
async def test_any_thread_or_command_is_either_made_or_refused(path: str, body: dict[str, object]) -> None:
    world = DiscordWorld(rate=None, clock=lambda: NOW)
    path = path.format(general=world.place("general").id, help=world.place("help").id, bot=world.bot.id)
    async with client(world) as api:
        answer = await post(api, path, body)
    assert answer.status_code in (201, 400)


@examples(150)
@given(
    kind=st.integers(0, 12),
    data=bodies
    | values
    | st.dictionaries(st.sampled_from(["title", "custom_id", "components", "choices"]), values),
)
async def test_any_answer_to_an_interaction_is_either_taken_or_refused(kind: int, data: object) -> None:
    world = DiscordWorld(rate=None, clock=lambda: NOW)
    async with client(world) as api:
        await api.put(f"/applications/{world.bot.id}/commands", json=[slash()])
        used = await world.command("ada", "general", "ask")
        path = f"/interactions/{used.id}/{used.token}/callback"
        first = await post(api, path, {"type": kind, "data": data})
        assert first.status_code in (204, 400)
        assert used.answered == (first.status_code == 204)
        second = await post(api, path, {"type": 5})
        assert {first.status_code, second.status_code} == {204, 400}
