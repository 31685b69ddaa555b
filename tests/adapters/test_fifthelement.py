from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Literal

import httpx
import pytest
from httpx_sse import ServerSentEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from adapters.base import (
    AgentError,
    AuthenticationFailed,
    Checkpoint,
    Done,
    Message,
    NotFound,
    ProtocolError,
    RateLimited,
    Rejected,
    Status,
    Text,
    Uncertain,
    Usage,
)
from adapters.fifthelement import AnswerReader, Budget, FifthElement
from adapters.http.failures import ServerFailed
from adapters.http.service import create_client
from adapters.testing import AdapterContract, StreamContract, hear
from adapters.testing.backends.fifthelement import ROOT, SLUG, FifthElementBackend, Form
from adapters.testing.backends.world import PACE, BackendWorld, world_of

OPERATIONS = {"question": ("chat",), "stream": ("chat",)}

FifthElementWorld = BackendWorld[FifthElement]


async def worlds(form: Form) -> AsyncIterator[FifthElementWorld]:
    backend = FifthElementBackend(form=form, pace=PACE)

    def make(url: str, client: httpx.AsyncClient) -> FifthElement:
        settings = {"base_url": url + ROOT, "api_key": backend.key, "slug": SLUG}
        return FifthElement(FifthElement.Settings.model_validate(settings), client)

    async with world_of(backend, make, OPERATIONS) as world:
        yield world


class TestStreamOfTheGuide(AdapterContract, StreamContract):
    recovers = False

    @pytest.fixture
    async def world(self) -> AsyncIterator[FifthElementWorld]:
        async for world in worlds("doc"):
            yield world


class TestStreamOfTheStandard(AdapterContract, StreamContract):
    recovers = False

    @pytest.fixture
    async def world(self) -> AsyncIterator[FifthElementWorld]:
        async for world in worlds("standard"):
            yield world


@pytest.fixture(params=["doc", "standard"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[FifthElementWorld]:
    async for world in worlds(request.param):
        yield world


def backend_of(world: FifthElementWorld) -> FifthElementBackend:
    assert isinstance(world.backend, FifthElementBackend)
    return world.backend


FIRST = Message("turn-1", "What is new?")
SECOND = Message("turn-2", "And then?")


# --- answers, piece by piece ------------------------------------------------------------------------------------


def event(data: str) -> ServerSentEvent:
    return ServerSentEvent(data=data)


@pytest.mark.parametrize(
    ("events", "text"),
    [
        (['{"chunk": "a"}', '{"chunk": " b"}', "[DONE]"], "a b"),
        (['{"chunk": "a"}\n{"chunk": " b"}', "[DONE]"], "a b"),
        (['{"chunk": "a"}\n{"chunk": " b"}\n[DONE]'], "a b"),
        (['{"chunk":\n"a"}', "[DONE]"], "a"),
        (["[DONE]"], ""),
        (['{"chunk": "a"}'], "a"),
        (["not json", "17", '"text"', "[1]", '{"other": 1}', '{"chunk": null}', '{"chunk": "a"}'], "a"),
        (['{"chunk": "<thi"}', '{"chunk": "nk>hm</think>a"}'], "a"),
        (['{"chunk": "a"}', '{"data": {"response": "a", "conversationId": "c"}, "error": null}'], "a"),
        (['{"data": {"response": "whole"}, "error": null}'], "whole"),
    ],
)
def test_what_a_stream_says(events: list[str], text: str) -> None:
    answer = AnswerReader("conv")
    said = "".join(answer.feed(event(data)) for data in events) + answer.end()
    assert said == answer.text == text
    assert answer.ended


@given(st.text(), st.data())
def test_however_the_text_is_cut_it_is_the_same(text: str, data: st.DataObject) -> None:
    answer = AnswerReader("conv")
    whole = AnswerReader("conv").whole({"data": {"response": text}})
    said = ""
    while text:
        size = data.draw(st.integers(1, len(text)))
        said += answer.feed(event(json.dumps({"chunk": text[:size]})))
        text = text[size:]
    answer.feed(event("[DONE]"))
    assert said + answer.end() == whole


@pytest.mark.parametrize(
    "data",
    ['{"chunk": "", "conversationId": "new"}', '{"data": {"conversationId": "new"}}', '{"conversationId": "new"}'],
)
def test_any_event_may_tell_the_conversation(data: str) -> None:
    answer = AnswerReader("old")
    answer.feed(event('{"chunk": "a", "conversationId": null}'))
    assert answer.conversation == "old"
    answer.feed(event(data))
    assert answer.conversation == "new"


@pytest.mark.parametrize("events", [[], ['{"chunk": ""}'], ["nonsense"]])
def test_a_stream_that_says_nothing_and_does_not_end_well_is_an_error(events: list[str]) -> None:
    answer = AnswerReader("conv")
    for data in events:
        answer.feed(event(data))
    with pytest.raises(ProtocolError):
        answer.end()


@pytest.mark.parametrize("body", [None, [], {}, {"data": None}, {"data": {}}, {"data": {"response": 7}}])
def test_an_envelope_without_an_answer_is_not_understood(body: object) -> None:
    with pytest.raises(ProtocolError):
        AnswerReader().whole(body)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"name": "UnauthorizedError", "message": "m"}, AuthenticationFailed),
        ({"name": "AUTHENTICATION_FAILED", "message": "m"}, AuthenticationFailed),
        ({"name": "Not Found", "message": "m"}, NotFound),
        ({"name": "RateLimitError", "message": "m"}, RateLimited),
        ({"name": "TooManyRequests", "message": "m"}, RateLimited),
        ({"name": "ValidationError", "message": "m"}, Rejected),
        ({"name": "BadRequestError", "message": "m"}, Rejected),
        ({"name": "InternalServerError", "message": "m"}, ServerFailed),
        ({"name": "WhatIsNew", "message": "m"}, ServerFailed),
        ({}, ServerFailed),
        ("m", ServerFailed),
    ],
)
def test_the_error_of_an_envelope(error: object, kind: type[AgentError]) -> None:
    for body in ({"data": None, "error": error}, {"data": {"response": "text"}, "error": error}):
        with pytest.raises(kind):
            AnswerReader().whole(body)
        with pytest.raises(kind):
            AnswerReader("conv").feed(event(json.dumps(body)))


def test_an_error_does_not_quote_the_key() -> None:
    body = {"data": None, "error": {"name": "UnauthorizedError", "message": "The key sk_secret is wrong"}}
    with pytest.raises(AuthenticationFailed, match="is wrong") as caught:
        AnswerReader(secret=SecretStr("sk_secret")).whole(body)
    assert "sk_secret" not in f"{caught.value!r} {caught.value.sentence}"


@pytest.mark.parametrize(
    ("metadata", "usage"),
    [
        (None, None),
        ({"model": "m"}, Usage(model="m")),
        ({"model": "m", "tokens": 40}, Usage(model="m")),
        ({"model": 7, "tokens": {"input": 3, "output": 4}}, Usage(3, 4)),
        ({"tokens": {"promptTokens": 3, "completionTokens": 4}}, Usage(3, 4)),
    ],
)
def test_the_usage_in_an_envelope(metadata: object, usage: Usage | None) -> None:
    answer = AnswerReader()
    answer.whole({"data": {"response": "text", "metadata": metadata}})
    assert answer.usage == usage


# --- the budget of requests -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, 0),
        ({"x-ratelimit-remaining": "1", "x-ratelimit-reset": "50"}, 0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "50"}, 50),
        ({"x-ratelimit-remaining": "0"}, 0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}, 0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "-3"}, 0),
    ],
)
def test_the_budget_by_the_headers(headers: dict[str, str], wait: float) -> None:
    budget = Budget(clock=lambda: 1_000.0)
    budget.note(headers)
    assert budget.wait == wait


@pytest.mark.parametrize("unit", [1, 1_000], ids=["seconds", "milliseconds"])
def test_the_reset_may_be_a_moment(unit: int) -> None:
    budget = Budget()
    budget.note({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str((time.time() + 90) * unit)})
    assert budget.wait == pytest.approx(90, abs=5)


def test_the_budget_is_renewed() -> None:
    now = 1_000.0
    budget = Budget(clock=lambda: now)
    budget.spent(30.0)
    assert budget.wait == 30
    now += 31
    assert budget.wait == 0


@pytest.mark.parametrize("reset_as", ["moment", "seconds"])
async def test_nothing_is_sent_when_nothing_is_left(
    world: FifthElementWorld, reset_as: Literal["moment", "seconds"]
) -> None:
    backend = backend_of(world)
    backend.budget, backend.reset_as = 1, reset_as
    agent = world.agent()
    first = await hear(agent.ask(None, FIRST))
    with pytest.raises(RateLimited) as caught:
        await hear(agent.ask(first.conversation, SECOND))
    assert caught.value.retry_after == pytest.approx(3600, abs=30)
    assert backend.times()["chat"] == 1


async def test_a_budget_that_is_soon_renewed_is_waited_for(world: FifthElementWorld) -> None:
    agent = world.agent()
    assert isinstance(agent, FifthElement)
    first = await hear(agent.ask(None, FIRST))
    agent._budget.spent(0.3)
    second = await hear(agent.ask(first.conversation, SECOND))
    assert isinstance(second.events[0], Status)
    assert SECOND.text in second.text
    assert world.violations() == []


async def test_a_refusal_for_long_is_remembered(world: FifthElementWorld) -> None:
    world.fail("question", "limited for long")
    agent = world.agent()
    for _ in range(2):
        with pytest.raises(RateLimited) as caught:
            await hear(agent.ask(None, FIRST))
        assert caught.value.retry_after == pytest.approx(600, abs=5)
    assert world.backend.times()["chat"] == 1


# --- the way of a question --------------------------------------------------------------------------------------


async def test_the_first_turn_comes_whole_and_the_second_in_pieces(world: FifthElementWorld) -> None:
    first = await hear(world.agent().ask(None, FIRST))
    second = await hear(world.agent().ask(first.conversation, SECOND))
    assert [type(event) for event in first.events] == [Checkpoint, Checkpoint, Text, Done]
    assert sum(isinstance(event, Text) for event in second.events) > 5
    assert first.events[-1] == Done(usage=Usage(model="simulated"))


async def test_a_stream_request_may_be_answered_in_one_piece(world: FifthElementWorld) -> None:
    first = await hear(world.agent().ask(None, FIRST))
    backend_of(world).streams = "json"
    assert SECOND.text in (await hear(world.agent().ask(first.conversation, SECOND))).text


async def test_a_stream_without_its_end_is_an_answer(world: FifthElementWorld) -> None:
    first = await hear(world.agent().ask(None, FIRST))
    backend_of(world).streams = "open"
    assert SECOND.text in (await hear(world.agent().ask(first.conversation, SECOND))).text


async def test_a_stream_without_a_word_is_an_error(world: FifthElementWorld) -> None:
    first = await hear(world.agent().ask(None, FIRST))
    backend_of(world).streams = "mute"
    with pytest.raises(ProtocolError):
        await hear(world.agent().ask(first.conversation, SECOND))


@pytest.mark.parametrize("refuses", [False, True], ids=["500", "200"])
@pytest.mark.parametrize("later", [False, True], ids=["first turn", "later turn"])
async def test_a_failure_in_the_services_own_words(world: FifthElementWorld, refuses: bool, later: bool) -> None:
    backend_of(world).refuses = refuses
    conversation = (await hear(world.agent().ask(None, FIRST))).conversation if later else None
    with pytest.raises(Uncertain, match="fell over") as caught:
        await hear(world.agent().ask(conversation, Message("turn-2", "Please fail.")))
    assert "ran into an error" in caught.value.sentence, "the connection is as it was"


async def test_an_answer_without_words_is_an_error_with_a_sentence(world: FifthElementWorld) -> None:
    world.say("<think>nothing to say</think>")
    with pytest.raises(ProtocolError) as caught:
        await hear(world.agent().ask(None, FIRST))
    assert "without an answer" in caught.value.sentence


@pytest.mark.parametrize("later", [False, True], ids=["first turn", "later turn"])
async def test_an_answer_that_was_received_survives_a_crash_if_it_is_short(
    world: FifthElementWorld, later: bool
) -> None:
    conversation = (await hear(world.agent().ask(None, FIRST))).conversation if later else None
    whole = await hear(world.agent().ask(conversation, SECOND))
    again = await hear(world.agent().ask(conversation, SECOND, resume=whole.checkpoints[-1]))
    assert again.text == whole.text
    assert again.conversation == whole.conversation

    world.say("A line of a long answer.\n" * 300)
    long = await hear(world.agent().ask(conversation, SECOND))
    with pytest.raises(Uncertain) as caught:
        await hear(world.agent().ask(conversation, SECOND, resume=long.checkpoints[-1]))
    assert "lost" in caught.value.sentence
    assert world.asked() == 2 + later


async def test_an_agent_that_is_not_there(world: FifthElementWorld) -> None:
    async with create_client() as client:
        settings = {"base_url": world.url + ROOT, "api_key": world.key, "slug": "no/such"}
        agent = FifthElement(FifthElement.Settings.model_validate(settings), client)
        with pytest.raises(NotFound) as caught:
            await hear(agent.ask(None, FIRST))
    assert "set up" in caught.value.sentence
