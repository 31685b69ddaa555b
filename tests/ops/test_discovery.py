"""What kind of agent answers at an address, told from what it shows, whatever that is."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from adapters.http.service import MAX_JSON, create_client
from bridge.ops import discovery
from bridge.ops.discovery import Card, KeyRefused, KeyWanted, Models, address, discover
from bridge.settings import SettingsError

HOME = "https://agent.example"
CARD = {"name": "Helper", "supportedInterfaces": [{"url": HOME, "protocolBinding": "JSONRPC"}]}
MODELS = {"object": "list", "data": [{"id": "small"}, {"id": "large"}]}
BY_HEADER: dict[str, Any] = {"k": {"apiKeySecurityScheme": {"location": "header", "name": "X-API-Key"}}}
BY_HEADER_0_3 = {"k": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}
BEARER: dict[str, Any] = {"k": {"httpAuthSecurityScheme": {"scheme": "bearer"}}}
EITHER: dict[str, Any] = {**BY_HEADER, **BEARER}

BOMB = gzip.compress(bytes(2 * MAX_JSON), 1)


def bomb() -> httpx.Response:
    return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(BOMB))


class Server:
    """Answers by path: a status with JSON, a whole response, or what makes one. All else is 404."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.get(request.url.path, (404, {}))
        if callable(answer):
            answer = answer()
        if isinstance(answer, httpx.Response):
            return answer
        status, body = answer
        return httpx.Response(status, json=body)


async def look(answers: dict[str, Any], base: str = HOME, key: str = "") -> tuple[Card | Models, Server]:
    server = Server(answers)
    async with create_client(transport=httpx.MockTransport(server)) as client:
        return await discover(address(base), SecretStr(key) if key else None, client), server


@pytest.mark.parametrize(
    ("base", "answers", "found"),
    [
        (HOME, {"/.well-known/agent-card.json": (200, CARD)}, Card(HOME, "Helper", wants_key=False)),
        (
            HOME,
            {"/.well-known/agent.json": (200, {"name": "Old", "url": HOME})},
            Card(HOME, "Old", wants_key=False),
        ),
        (f"{HOME}/a/b/", {"/a/b/.well-known/agent-card.json": (200, CARD)}, Card(f"{HOME}/a/b", "Helper", False)),
        (f"{HOME}/my.json", {"/my.json": (200, CARD)}, Card(f"{HOME}/my.json", "Helper", wants_key=False)),
        (
            HOME,
            {"/.well-known/agent-card.json": (200, {**CARD, "security": [{}], "securitySchemes": BY_HEADER})},
            Card(HOME, "Helper", wants_key=True, header="X-API-Key"),
        ),
        (
            HOME,
            {"/.well-known/agent-card.json": (200, {**CARD, "security": [{}], "securitySchemes": BY_HEADER_0_3})},
            Card(HOME, "Helper", wants_key=True, header="X-API-Key"),
        ),
        (
            HOME,
            {
                "/.well-known/agent-card.json": (
                    200,
                    {**CARD, "securityRequirements": [{}], "securitySchemes": EITHER},
                )
            },
            Card(HOME, "Helper", wants_key=True),
        ),
        (f"{HOME}/v1", {"/v1/models": (200, MODELS)}, Models(f"{HOME}/v1", ["small", "large"], "chat")),
        (f"{HOME}/v1/models", {"/v1/models": (200, MODELS)}, Models(f"{HOME}/v1", ["small", "large"], "chat")),
        (HOME, {"/v1/models": (200, MODELS)}, Models(f"{HOME}/v1", ["small", "large"], "chat")),
        (HOME, {"/models": (200, {"data": []})}, Models(HOME, [], "chat")),
        (
            "https://api.openai.com/v1/chat/completions",
            {"/v1/models": (200, MODELS)},
            Models("https://api.openai.com/v1", ["small", "large"], "responses"),
        ),
    ],
)
async def test_a_card_and_a_list_of_models_are_told_by_their_shape(
    base: str, answers: dict[str, Any], found: Card | Models
) -> None:
    assert (await look(answers, base))[0] == found


async def test_a_key_is_wanted_where_anything_is_locked_and_shown_only_then() -> None:
    locked: dict[str, Any] = {"/v1/models": (401, {}), "/.well-known/agent-card.json": (404, {})}
    with pytest.raises(KeyWanted):
        await look(locked)
    with pytest.raises(KeyRefused):
        await look(locked, key="wrong")
    with pytest.raises(KeyWanted):  # the models are for everybody
        await look({"/v1/models": (200, MODELS), "/v1/chat/completions": (401, {})})
    _, server = await look({"/v1/models": (200, MODELS)}, key="good")
    assert {request.headers["Authorization"] for request in server.asked} == {"Bearer good"}


@pytest.mark.parametrize(
    "answer",
    [
        (200, ["no", "card"]),
        (200, {"name": 7, "url": 7}),
        (200, {"data": [{"id": 7}, {"id": "\x1b[2J"}, "x"]}),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, text="[" * 200_000),
        bomb,
        httpx.Response(302, headers={"location": "https://elsewhere.example/card"}),
    ],
    ids=["list", "card", "models", "html", "deep", "bomb", "redirect"],
)
async def test_what_is_neither_is_said_to_be_so(answer: object) -> None:
    paths = ("/.well-known/agent-card.json", "/.well-known/agent.json", "/models", "/v1/models")
    with pytest.raises(SettingsError, match="neither an A2A agent card"):
        await look(dict.fromkeys(paths, answer), key="secret")


async def test_no_request_leaves_the_server_for_another() -> None:
    away = httpx.Response(307, headers={"location": "https://elsewhere.example/models"})
    server = Server({"/models": away, "/v1/models": away})
    async with create_client(transport=httpx.MockTransport(server)) as client:
        with pytest.raises(SettingsError):
            await discover(HOME, SecretStr("k"), client)
    assert {request.url.host for request in server.asked} == {"agent.example"}


async def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "LOOKED_FOR", 0.05)

    async def never(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with create_client(transport=httpx.MockTransport(never)) as client:
        with pytest.raises(SettingsError, match="hasn't told within"):
            await discover(HOME, None, client)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("agent.example", "begins with https"),
        ("file:///etc/passwd", "begins with https"),
        ("https://", "begins with https"),
        ("https://me:key@agent.example", "a key or a password in the address"),
        ("https://agent.example/?key=1", "begins with"),
        ("https://agent.example:99999999", "begins with https"),
    ],
)
def test_what_is_no_address_is_told_in_a_sentence_without_it(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as told:
        address(text)
    assert said in str(told.value)
    assert "key@" not in str(told.value)


def test_a_name_that_a_card_gives_itself_is_bounded_and_bare() -> None:
    card = {**CARD, "name": "x\x1b[31m\u202e" * 1000}
    found = discovery._card(HOME, json.loads(json.dumps(card)))
    assert found is not None
    assert len(found.name) <= discovery.MAX_NAME + 1
    assert found.name.isprintable()
