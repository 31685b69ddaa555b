from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from adapters.base import Attachment, Checkpoint, Exchange, Message, NotFound, ProtocolError, Rejected, Stateless
from adapters.openai.agent import OpenAI
from adapters.openai.chat import ChatCompletions
from adapters.openai.reader import Reader
from adapters.openai.responses import Responses
from adapters.testing import (
    AdapterContract,
    CancelsContract,
    DeletesContract,
    FilesContract,
    HistoryContract,
    PolledContract,
    StreamContract,
    UploadContract,
    attachment,
    fetch,
    hear,
)
from adapters.testing.backends import faults
from adapters.testing.backends.openai import IMAGE, MODEL, OpenAIBackend
from adapters.testing.backends.world import PACE, BackendWorld, world_of

Agent = Responses | ChatCompletions
OPERATIONS = {"question": ["ask"], "stream": ["ask", "read"], "upload": ["upload"], "download": ["made file"]}
CHAT = {"question": ["chat"], "stream": ["chat"], "upload": ["chat"]}


def make(backend: OpenAIBackend, **settings: object) -> Callable[[str, httpx.AsyncClient], Any]:
    def agent(url: str, client: httpx.AsyncClient) -> Agent:
        values = {"base_url": f"{url}/v1", "api_key": backend.key, "model": MODEL, **settings}
        return OpenAI(OpenAI.Settings.model_validate(values), client)

    return agent


class TestResponses(
    AdapterContract,
    StreamContract,
    UploadContract,
    FilesContract,
    HistoryContract,
    DeletesContract,
    CancelsContract,
):
    @pytest.fixture
    async def world(self) -> AsyncIterator[BackendWorld[Agent]]:
        backend = OpenAIBackend(pace=PACE)
        async with world_of(backend, make(backend), OPERATIONS) as world:
            yield world


class TestResponsesThatAreNotStreamed(
    AdapterContract,
    PolledContract,
    UploadContract,
    FilesContract,
    HistoryContract,
    DeletesContract,
    CancelsContract,
):
    @pytest.fixture
    async def world(self) -> AsyncIterator[BackendWorld[Agent]]:
        backend = OpenAIBackend(pace=PACE, lacks={"streams"})
        operations = {
            "question": ["ask"],
            "answer": ["read", "read"],
            "upload": ["upload"],
            "download": ["made file"],
        }
        async with world_of(backend, make(backend), operations) as world:
            yield world


class TestChatCompletions(AdapterContract, StreamContract, UploadContract):
    recovers = False

    @pytest.fixture
    async def world(self) -> AsyncIterator[BackendWorld[Agent]]:
        backend = OpenAIBackend(pace=PACE)
        async with world_of(backend, make(backend, api="chat"), CHAT) as world:
            yield world


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
    with pytest.raises(ValidationError, match="tools need"):
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
