from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from pydantic import ValidationError

from adapters.base import (
    Attachment,
    AuthenticationFailed,
    Checkpoint,
    Done,
    Exchange,
    Message,
    NotFound,
    ProtocolError,
    RateLimited,
    Rejected,
    RunFailed,
    Stateless,
)
from adapters.http.service import create_client
from adapters.openai.agent import OpenAI
from adapters.openai.chat import ChatCompletions
from adapters.openai.client import refuses_person
from adapters.openai.reader import Reader
from adapters.openai.responses import Responses
from adapters.person import as_object, as_pairs, pseudonym
from adapters.testing import (
    AdapterContract,
    ApprovalContract,
    CancelsContract,
    DeletesContract,
    FilesContract,
    Heard,
    HistoryContract,
    PolledContract,
    SourcesContract,
    StepContract,
    StreamContract,
    UploadContract,
    attachment,
    fetch,
    hear,
)
from adapters.testing.backends import faults
from adapters.testing.backends.openai import IMAGE, MCP_SERVER, MODEL, OpenAIBackend
from adapters.testing.backends.world import PACE, BackendWorld, world_of
from adapters.testing.persons import ANN

Agent = Responses | ChatCompletions
OPERATIONS = {"question": ["ask"], "stream": ["ask", "read"], "upload": ["upload"], "download": ["made file"]}
POLLED = {"question": ["ask"], "answer": ["read", "read"], "upload": ["upload"], "download": ["made file"]}
CHAT = {"question": ["chat"], "stream": ["chat"], "upload": ["chat"]}

MCP = [{**MCP_SERVER, "token": "t0ken"}]

pytestmark = pytest.mark.usefixtures("quickly")


def make(backend: OpenAIBackend, **settings: object) -> Callable[[str, httpx.AsyncClient], Any]:
    def agent(url: str, client: httpx.AsyncClient) -> Agent:
        values = {"base_url": f"{url}/v1", "api_key": backend.key, "model": MODEL, **settings}
        return OpenAI(OpenAI.Settings.model_validate(values), client)

    return agent


class Kept(
    AdapterContract,
    UploadContract,
    FilesContract,
    HistoryContract,
    DeletesContract,
    ApprovalContract,
    StepContract,
    SourcesContract,
):
    """By the Responses API, where the server keeps the conversation."""

    lacks: ClassVar[set[str]] = set()
    operations: ClassVar[dict[str, list[str]]] = OPERATIONS
    settings: ClassVar[dict[str, Any]] = {}

    @pytest.fixture
    async def world(self) -> AsyncIterator[BackendWorld[Agent]]:
        backend = OpenAIBackend(pace=PACE, lacks=self.lacks)
        settings = {"effort": "low", "mcp": MCP, **self.settings}
        async with world_of(backend, make(backend, **settings), self.operations) as world:
            yield world


class TestResponses(Kept, StreamContract, CancelsContract):
    pass


class TestResponsesThatAreNotStreamed(Kept, PolledContract, CancelsContract):
    lacks: ClassVar[set[str]] = {"streams"}
    operations: ClassVar[dict[str, list[str]]] = POLLED


class TestResponsesNotInTheBackground(Kept, StreamContract):
    lacks: ClassVar[set[str]] = {"background"}
    settings: ClassVar[dict[str, Any]] = {"background": False}


class TestResponsesNotInTheBackgroundNorStreamed(Kept, PolledContract):
    lacks: ClassVar[set[str]] = {"background", "streams"}
    operations: ClassVar[dict[str, list[str]]] = POLLED
    settings: ClassVar[dict[str, Any]] = {"background": False}


class TestChatCompletions(AdapterContract, StreamContract, UploadContract, StepContract, SourcesContract):
    recovers = False
    lacks: ClassVar[set[str]] = set()

    @pytest.fixture
    async def world(self) -> AsyncIterator[BackendWorld[Agent]]:
        backend = OpenAIBackend(pace=PACE, lacks=self.lacks)
        async with world_of(backend, make(backend, api="chat"), CHAT) as world:
            yield world


class TestChatCompletionsWithoutUsage(TestChatCompletions):
    lacks: ClassVar[set[str]] = {"usage"}


@pytest.fixture
async def serve_with() -> AsyncIterator[Callable[..., Any]]:
    """`await serve_with(lacks=…, **settings)` gives a backend and an agent that talks to it."""
    async with AsyncExitStack() as stack:

        async def start(lacks: set[str] | None = None, **settings: object) -> tuple[OpenAIBackend, Any]:
            backend = OpenAIBackend(pace=0, lacks=lacks or set())
            world = await stack.enter_async_context(world_of(backend, make(backend, **settings), OPERATIONS))
            return backend, world.agent()

        yield start


def said(text: str, *attachments: Attachment) -> Message:
    return Message(f"turn-{text}", text, attachments)


class TestAServerWithoutConversations:
    async def test_turns_are_chained_by_the_response_before(self, serve_with: Callable[..., Any]) -> None:
        backend, agent = await serve_with({"conversations"})
        first = await hear(agent.ask(None, said("Where is the harbour?")))
        second = await hear(agent.ask(first.conversation, said("And the market?")))
        assert "Where is the harbour?" in second.text
        assert second.conversation != first.conversation
        assert backend.times()["begin"] == 0

        rows = await agent.history(second.conversation)
        assert [row.text for row in rows if row.role == "person"] == ["Where is the harbour?", "And the market?"]
        assert [row.text for row in rows if row.role == "agent"] == [first.text, second.text]

    async def test_files_of_all_its_responses_are_listed_and_images_fetched(
        self, serve_with: Callable[..., Any]
    ) -> None:
        _, agent = await serve_with({"conversations"})
        first = await hear(agent.ask(None, said("Write a report with an image.")))
        second = await hear(agent.ask(first.conversation, said("Thanks!")))
        listed = await agent.files(second.conversation)
        assert {file.name for file in listed} == {"report.md", "image.png"}
        assert [file.ref for file in listed] == [file.ref for file in first.files]
        image = next(file for file in listed if file.name == "image.png")
        assert (await fetch(agent, str(second.conversation), image.ref)).startswith(b"\x89PNG")

    async def test_deleting_deletes_the_whole_chain(self, serve_with: Callable[..., Any]) -> None:
        backend, agent = await serve_with({"conversations"})
        first = await hear(agent.ask(None, said("One?")))
        second = await hear(agent.ask(first.conversation, said("Two?")))
        await agent.delete(second.conversation)
        assert backend.times()["delete response"] == 2
        with pytest.raises(NotFound):
            await hear(agent.ask(first.conversation, said("Three?")))


class TestWhoAsks:
    async def test_responses_are_told_by_an_opaque_id_and_metadata(self, serve_with: Callable[..., Any]) -> None:
        backend, agent = await serve_with()
        await hear(agent.ask(None, replace(said("One?"), person=ANN)))
        await hear(agent.ask(None, said("Two?")))
        [told] = backend.told
        assert told.fields == {"safety_identifier": pseudonym(ANN), "metadata": as_pairs(ANN)}
        assert not {"user", "safety_identifier", "metadata"} & backend.asked[-1].keys()

    async def test_chat_completions_are_told_by_an_opaque_id(self, serve_with: Callable[..., Any]) -> None:
        backend, agent = await serve_with(api="chat")
        await hear(agent.ask(None, replace(said("One?"), person=ANN)))
        await hear(agent.ask(None, said("Two?")))
        [told] = backend.told
        assert told.fields == {"user": pseudonym(ANN)}
        assert "user" not in backend.asked[-1]

    @pytest.mark.parametrize("api", ["responses", "chat"])
    async def test_a_server_that_refuses_the_fields_is_told_by_headers(
        self, serve_with: Callable[..., Any], api: str
    ) -> None:
        backend, agent = await serve_with({"person"}, api=api)
        for _ in range(2):
            await hear(agent.ask(None, replace(said("One?"), person=ANN)))
        assert [bool(told.fields) for told in backend.told] == [True, False, False], "refused once, then known"
        assert {json.dumps(told.person) for told in backend.told} == {json.dumps(as_object(ANN))}
        assert backend.count() == 2

    @pytest.mark.parametrize("api", ["responses", "chat"])
    async def test_by_setting_it_is_told_by_headers_alone(self, serve_with: Callable[..., Any], api: str) -> None:
        backend, agent = await serve_with({"person"}, api=api, person_fields=False)
        await hear(agent.ask(None, replace(said("One?"), person=ANN)))
        [told] = backend.told
        assert told.fields == {}
        assert told.person == as_object(ANN)

    @pytest.mark.parametrize(
        ("message", "refuses"),
        [
            ("400 Unknown parameter: 'safety_identifier'.", True),
            ("400 Unrecognized request argument supplied: user", True),
            ("422 [{'type': 'extra_forbidden', 'loc': ['body', 'user'], 'msg': 'Extra inputs …'}]", True),
            ("400 metadata is not supported", True),
            ("400 user: extra fields are not permitted", True),
            ("400 Unsupported content in the message of the user", False),
            ("400 Unknown parameter: 'temperature'.", False),
            ("400 metadata", False),
        ],
    )
    def test_which_refusal_is_of_the_fields(self, message: str, refuses: bool) -> None:
        assert refuses_person(Rejected(message)) == refuses
        assert not refuses_person(RunFailed(message)), "it was taken"

    async def test_a_server_that_counts_nothing_is_told_the_same_again(
        self, serve_with: Callable[..., Any]
    ) -> None:
        backend, agent = await serve_with({"usage"}, api="chat")
        await hear(agent.ask(None, replace(said("One?"), person=ANN)))
        first, second = backend.told
        assert first == second


async def test_a_cut_stream_is_joined_again_where_it_broke(serve_with: Callable[..., Any]) -> None:
    backend, agent = await serve_with()
    backend.faults.add("ask", faults.cut(after=6))
    heard = await hear(agent.ask(None, said("What is the plan?")))
    assert heard.text == backend.run_of(heard.conversation).plan.text
    assert backend.calls == ["begin", "ask", "read"]


async def test_a_response_that_is_not_in_the_background_is_polled_after_a_cut(
    serve_with: Callable[..., Any],
) -> None:
    backend, agent = await serve_with({"background"}, background=False)
    backend.faults.add("ask", faults.cut(after=6))
    heard = await hear(agent.ask(None, said("What is the plan?")))
    assert heard.text == backend.run_of(heard.conversation).plan.text
    assert backend.calls == ["begin", "ask", "read"]


async def test_an_image_is_a_file(serve_with: Callable[..., Any]) -> None:
    _, agent = await serve_with()
    heard = await hear(agent.ask(None, said("Draw me an image.")))
    (image,) = heard.files
    content = await fetch(agent, str(heard.conversation), image.ref)
    assert content == base64.b64decode(IMAGE)
    assert (image.media_type, image.size) == ("image/png", len(content))


@pytest.mark.parametrize("api", ["responses", "chat"])
async def test_files_travel_in_the_question_where_a_server_keeps_none(
    serve_with: Callable[..., Any], tmp_path: Path, api: str
) -> None:
    backend, agent = await serve_with({"files"}, api=api)
    picture = tmp_path / "dot.png"
    picture.write_bytes(b"\x89PNG")
    sheet = tmp_path / "sheet.pdf"
    sheet.write_bytes(b"%PDF-1.7")
    files = (
        attachment(tmp_path, "notes.txt", b"```\nfenced already\n```"),
        Attachment("dot.png", "image/png", picture, 4),
        Attachment("sheet.pdf", "application/pdf", sheet, 8),
    )
    heard = await hear(agent.ask(None, said("Look at these.", *files)))
    assert "**notes.txt** (22 bytes)" in heard.text
    assert "**sheet.pdf** (8 bytes)" in heard.text
    assert len(backend.questions[0].files) == 3


async def test_a_file_too_large_for_a_question_is_refused(serve_with: Callable[..., Any], tmp_path: Path) -> None:
    backend, agent = await serve_with(api="chat")
    large = Attachment("large.txt", "text/plain", tmp_path / "large.txt", 2**30)
    with pytest.raises(Rejected) as caught:
        await hear(agent.ask(None, said("Read this.", large)))
    assert "8 MB" in caught.value.sentence
    assert backend.count() == 0


async def test_chat_sends_as_much_of_the_history_as_it_remembers(serve_with: Callable[..., Any]) -> None:
    backend, agent = await serve_with(api="chat", remembers=2, instructions="Be brief.")
    history = tuple(Exchange(f"question {n}", f"answer {n}") for n in range(5))
    heard = await hear(agent.ask(None, Message("turn", "And now?", history=history)))
    assert "“question 4”, so this is question 3" in heard.text
    assert backend.count() == 1


async def test_chat_takes_an_answer_in_one_piece(serve_with: Callable[..., Any]) -> None:
    _, agent = await serve_with({"streams"}, api="chat")
    assert "What is up?" in (await hear(agent.ask(None, said("What is up?")))).text


@pytest.mark.parametrize(("api", "stateless"), [("responses", False), ("chat", True)])
async def test_only_chat_is_stateless(serve_with: Callable[..., Any], api: str, stateless: bool) -> None:
    _, agent = await serve_with(api=api)
    assert isinstance(agent, Stateless) == stateless


def test_tools_need_responses() -> None:
    values = {"api_key": "k", "model": "m", "api": "chat", "tools": ["web_search"]}
    with pytest.raises(ValidationError, match="tools and mcp need"):
        OpenAI.Settings.model_validate(values)


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ([("a", 0, 0), ("b", 0, 0)], "ab"),
        ([("a", 0, 0), ("b", 1, 0)], "a\n\nb"),
        ([("a", 0, 0), ("", 1, 0), ("b", 2, 0)], "a\n\nb"),
        ([("<think>no</think>a", 0, 0), ("b<thi", 0, 0), ("nk>no", 0, 0), ("c", 0, 1)], "ab\n\nc"),
    ],
)
def test_parts_of_an_answer_stand_apart(events: list[tuple[str, int, int]], text: str) -> None:
    reader = Reader("conv_1", "resp_1")
    shown = ""
    for delta, output, content in events:
        event = {"type": "response.output_text.delta", "output_index": output, "content_index": content}
        shown += "".join(more.delta for more in reader.feed({**event, "delta": delta}))  # type: ignore[union-attr]
    assert shown == text


def test_a_reader_takes_what_other_servers_leave_out() -> None:
    reader = Reader(None)
    assert list(reader.feed({"type": "response.created", "response": {"id": "r1"}})) == [
        Checkpoint("r1", {"response": "r1"})
    ]
    list(reader.feed({"type": "response.output_text.delta", "delta": "Hi"}))
    list(reader.feed({"type": "keepalive"}))
    list(reader.feed({"type": "response.completed", "response": {"id": "r1", "status": "completed"}}))
    (done,) = reader.rest()
    assert done.text is None  # type: ignore[union-attr]


@pytest.mark.parametrize("event", [{"type": "error", "code": "x"}, {"error": {"message": "x"}}])
def test_an_error_in_a_stream_ends_it(event: dict[str, Any]) -> None:
    with pytest.raises(Rejected):
        list(Reader("conv_1", "r").feed(json.loads(json.dumps(event))))


def test_a_response_without_an_id_is_not_understood() -> None:
    with pytest.raises(ProtocolError):
        list(Reader("conv_1").feed({"type": "response.created", "response": {"status": "queued"}}))


# --- what servers send of a chat


def sse(*values: object, done: bool = True) -> httpx.Response:
    data = [value if isinstance(value, str) else json.dumps(value) for value in values]
    text = "".join(f"data: {value}\n\n" for value in [*data, *(["[DONE]"] if done else [])])
    return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, text=text)


def chunk(finish: str | None = None, **delta: object) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


async def chat(*answers: httpx.Response, **settings: object) -> tuple[Heard, list[httpx.Request]]:
    """The answer to one question, by a server that answers so, and what it was sent."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return answers[min(len(asked), len(answers)) - 1]

    values = {"base_url": "http://a/v1", "api_key": "k", "model": "m", "api": "chat", **settings}
    async with create_client(transport=httpx.MockTransport(answer)) as client:
        agent = OpenAI(OpenAI.Settings.model_validate(values), client)
        return await hear(agent.ask(None, said("Hello?"))), asked


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([chunk(content="Hi"), chunk("stop")], "Hi"),
        ([chunk(content="Hi")], "Hi"),  # [DONE] alone says that it is whole
        ([chunk(content=[{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]), chunk("stop")], "Hi"),
        ([chunk(content=[{"type": "thinking", "thinking": []}, "?", {"text": "Hi"}]), chunk("stop")], "Hi"),
        ([chunk(refusal="No."), chunk("stop")], "No."),
        ([{"choices": [{"index": 0, "finish_reason": "stop"}]}], ""),
        (
            [
                {"choices": None},
                {},
                {"choices": [None, "x", {}]},
                {"choices": [{"delta": 3}]},
                chunk(content="Hi"),
            ],
            "Hi",
        ),
        ([chunk(content="Hi"), {"choices": [], "usage": {"prompt_tokens": "x"}}], "Hi"),
    ],
)
async def test_a_chat_in_every_form(values: list[object], text: str) -> None:
    heard, _ = await chat(sse(*values))
    assert heard.text == text
    assert done(heard).note == ""


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}, "Hi"),
        ({"choices": [{"message": {"content": [{"type": "text", "text": "Hi"}]}}]}, "Hi"),
        ({"choices": [{"finish_reason": "stop"}]}, ""),
        ({"choices": [{"message": None}]}, ""),
    ],
)
async def test_a_chat_in_one_piece_in_every_form(body: object, text: str) -> None:
    assert (await chat(httpx.Response(200, json=body)))[0].text == text


def done(heard: Heard) -> Done:
    assert isinstance(heard.events[-1], Done)
    return heard.events[-1]


@pytest.mark.parametrize(
    ("reason", "words"),
    [("length", "too long"), ("content_filter", "filter"), ("stop", ""), ("tool_calls", ""), ("what is new", "")],
)
async def test_an_answer_that_was_cut_off_says_so(reason: str, words: str) -> None:
    for answer in (
        sse(chunk(content="Hi"), chunk(reason)),
        httpx.Response(200, json={"choices": [{"message": {"content": "Hi"}, "finish_reason": reason}]}),
    ):
        heard, _ = await chat(answer)
        assert heard.text == "Hi"
        assert words in done(heard).note
        assert bool(done(heard).note) == bool(words)


@pytest.mark.parametrize(
    ("details", "words"),
    [
        ({"reason": "max_output_tokens"}, "too long"),
        ({"reason": "content_filter"}, "filter"),
        ({"reason": "what is new"}, "cut off"),
        (None, "cut off"),
    ],
)
def test_an_incomplete_response_says_so(details: object, words: str) -> None:
    reader = Reader("conv_1", "r1")
    response = {"id": "r1", "status": "incomplete", "incomplete_details": details}
    list(reader.feed({"type": "response.incomplete", "response": response}))
    (last,) = reader.rest()
    assert words in last.note  # type: ignore[union-attr]


@pytest.mark.parametrize("status", [200, 429])
async def test_an_account_that_is_used_up_is_not_asked_again(status: int) -> None:
    error = {"error": {"code": "insufficient_quota", "type": "insufficient_quota", "message": "see your plan"}}
    answers = (
        [httpx.Response(status, json=error)] if status == 429 else [sse(error), httpx.Response(200, json=error)]
    )
    for answer in answers:
        asked: list[httpx.Request] = []

        def reply(request: httpx.Request, answer: httpx.Response = answer) -> httpx.Response:
            asked.append(request)  # noqa: B023 - used up within the round
            return answer

        async with create_client(transport=httpx.MockTransport(reply)) as client:
            values = {"base_url": "http://a/v1", "api_key": "k", "model": "m", "api": "chat"}
            with pytest.raises((RateLimited, RunFailed)) as caught:
                await hear(OpenAI(OpenAI.Settings.model_validate(values), client).ask(None, said("Hello?")))
        assert "used up" in caught.value.sentence
        assert len(asked) == 1


@pytest.mark.parametrize("code", ["server_error", "context_length_exceeded", 500, None, "what is new"])
async def test_an_error_within_a_good_stream_is_a_failed_run(code: object) -> None:
    with pytest.raises(RunFailed) as caught:
        await chat(sse(chunk(content="Hi"), {"error": {"code": code, "message": "Traceback"}}))
    assert "Traceback" not in caught.value.sentence


async def test_usage_is_no_longer_asked_for_where_it_was_refused(serve_with: Callable[..., Any]) -> None:
    backend, agent = await serve_with({"usage"}, api="chat")
    for text in ("One?", "Two?"):
        assert text in (await hear(agent.ask(None, said(text)))).text
    assert ["stream_options" in body for body in backend.asked] == [True, False, False]
    assert backend.count() == 2


@pytest.mark.parametrize("api", ["responses", "chat"])
async def test_what_is_set_besides_goes_along(serve_with: Callable[..., Any], api: str) -> None:
    backend, agent = await serve_with(api=api, effort="low", temperature=0, max_tokens=50)
    await hear(agent.ask(None, said("Hello?")))
    (body,) = backend.asked
    assert body["temperature"] == 0
    assert body.get("reasoning_effort", body.get("reasoning")) in (
        "low",
        {"effort": "low", "summary": "auto"},
    )
    assert body.get("max_completion_tokens", body.get("max_output_tokens")) == 50


async def test_headers_and_query_go_along() -> None:
    _, (request,) = await chat(sse(chunk("stop")), headers={"X-Team": "blue"}, query={"api-version": "2026-01-01"})
    assert request.headers["x-team"] == "blue"
    assert request.headers["authorization"] == "Bearer k"
    assert request.url.query == b"api-version=2026-01-01"


# --- what `doctor` asks


@pytest.mark.parametrize("api", ["responses", "chat"])
async def test_the_settings_can_be_checked(serve_with: Callable[..., Any], api: str) -> None:
    backend, agent = await serve_with(api=api)
    assert MODEL in await agent.check()
    backend.faults.add("model", faults.refuse(404))
    assert MODEL in await agent.check(), "the list has it"
    for values, error in (({"api_key": "wrong"}, AuthenticationFailed), ({"model": "wrong"}, NotFound)):
        _, agent = await serve_with(api=api, **values)
        with pytest.raises(error) as caught:
            await agent.check()
        assert "runs this bot" in caught.value.sentence
    assert f"there are: {MODEL}" in str(caught.value)
    _, agent = await serve_with({"models"}, api=api)
    assert "could be checked" in await agent.check()


@pytest.mark.parametrize("body", ["<html>", '"text"', "{}", "[]", '{"data": 3}'])
async def test_what_lists_no_models_is_no_such_server(serve_with: Callable[..., Any], body: str) -> None:
    backend, agent = await serve_with()
    for operation in ("model", "models"):
        backend.faults.add(operation, faults.garbage(body.encode(), "application/json"))
    with pytest.raises(ProtocolError):
        await agent.check()


@pytest.mark.parametrize("api", ["responses", "chat"])
async def test_a_model_that_there_is_not_is_a_wrong_setting(serve_with: Callable[..., Any], api: str) -> None:
    _, agent = await serve_with(api=api, model="wrong")
    with pytest.raises(NotFound) as caught:
        await hear(agent.ask(None, said("Hello?")))
    assert "set up" in caught.value.sentence
