"""What servers of the OpenAI API send of their work, of what they quote and of what they want leave for."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from openai.types.responses import Response

from adapters.base import (
    Approval,
    Checkpoint,
    Decision,
    Done,
    Event,
    Message,
    RunFailed,
    Source,
    Status,
    Step,
    StepState,
)
from adapters.openai.approvals import MAX_REQUESTS, approval_of, decisions
from adapters.openai.citations import marked, quotes_in
from adapters.openai.reader import Reader
from adapters.openai.steps import Work
from adapters.steps import Sources
from adapters.testing import hear
from adapters.testing.backends.openai import MCP_SERVER, OpenAIBackend
from adapters.testing.backends.world import world_of
from tests.adapters.test_openai import OPERATIONS, chat, chunk, make, sse

pytestmark = pytest.mark.usefixtures("quickly")


@pytest.fixture
async def serve_with() -> AsyncIterator[Callable[..., Any]]:
    async with AsyncExitStack() as stack:

        async def start(lacks: set[str] | None = None, **settings: object) -> tuple[OpenAIBackend, Any]:
            backend = OpenAIBackend(pace=0, lacks=lacks or set())
            world = await stack.enter_async_context(world_of(backend, make(backend, **settings), OPERATIONS))
            return backend, world.agent()

        yield start


def told(*events: dict[str, Any]) -> list[Event]:
    work = Work()
    return [step for event in events for step in work.feed(event)]


def added(**item: Any) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": 0, "item": item}


def done(**item: Any) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": 0, "item": item}


@pytest.mark.parametrize(
    ("item", "title", "detail"),
    [
        (
            {"type": "web_search_call", "action": {"type": "search", "query": "tides"}},
            "Searching the web",
            "tides",
        ),
        (
            {"type": "web_search_call", "action": {"type": "search", "queries": ["a", "b"]}},
            "Searching the web",
            "a · b",
        ),
        ({"type": "web_search_call", "action": {"type": "open_page", "url": "https://a"}}, "Reading a page", ""),
        ({"type": "web_search_call"}, "Searching the web", ""),
        ({"type": "web_search_call", "action": "odd"}, "Searching the web", ""),
        ({"type": "file_search_call", "queries": ["rent", "lease"]}, "Searching files", "rent · lease"),
        ({"type": "code_interpreter_call", "code": "print(key)"}, "Running code", ""),
        ({"type": "image_generation_call", "result": "aGk="}, "Making an image", ""),
        ({"type": "mcp_call", "name": "get_tides", "server_label": "sea", "output": "x"}, "Get tides", "sea"),
        ({"type": "function_call", "name": "sendLetter", "arguments": "{}"}, "Send letter", ""),
        ({"type": "custom_tool_call", "name": None}, "Custom tool", ""),
        ({"type": "crystal_ball_call", "vision": "secret"}, "Crystal ball", ""),
        ({"type": "what_is_new"}, "What is new", ""),
    ],
)
def test_an_item_is_a_step(item: dict[str, Any], title: str, detail: str) -> None:
    begun, ended = told(added(id="i1", **item), done(id="i1", **item))
    assert isinstance(begun, Step)
    assert isinstance(ended, Step)
    assert (begun.title, begun.detail, begun.state) == (title, detail, StepState.RUNNING)
    assert ended.state == StepState.DONE
    assert begun.id == ended.id == "i1"


@pytest.mark.parametrize(
    "kind",
    [
        "message",
        "function_call_output",
        "mcp_list_tools",
        "mcp_approval_request",
        "mcp_approval_response",
        "compaction",
    ],
)
def test_what_is_no_work_is_no_step(kind: str) -> None:
    assert told(added(id="i1", type=kind), done(id="i1", type=kind)) == []


@pytest.mark.parametrize(
    ("item", "state"),
    [
        ({"status": "failed"}, StepState.FAILED),
        ({"status": "incomplete"}, StepState.FAILED),
        ({"status": "completed", "error": {"message": "no"}}, StepState.FAILED),
        ({"status": "completed"}, StepState.DONE),
        ({"status": None}, StepState.DONE),
    ],
)
def test_how_a_step_ended(item: dict[str, Any], state: StepState) -> None:
    *_, last = told(done(id="i1", type="mcp_call", name="x", **item))
    assert isinstance(last, Step)
    assert last.state == state


def test_events_of_a_call_move_its_step_even_where_it_was_not_announced() -> None:
    at = {"item_id": "i1", "output_index": 2}
    events = told(
        {"type": "response.web_search_call.in_progress", **at},
        {"type": "response.web_search_call.searching", **at},
        {"type": "response.web_search_call.failed", **at},
        {"type": "response.web_search_call.in_progress", **at},
        {"type": "response.web_search_call.something_new", **at},
    )
    assert [step.state for step in events if isinstance(step, Step)] == [StepState.RUNNING, StepState.FAILED]


def test_thoughts_in_summary_are_steps_and_others_a_status() -> None:
    at = {"item_id": "r1", "output_index": 0, "summary_index": 0}
    head = "response.reasoning_summary"
    events = told(
        added(id="r1", type="reasoning", summary=[]),
        {"type": f"{head}_part.added", **at},
        {"type": f"{head}_text.delta", **at, "delta": "**Weighing the op"},
        {"type": f"{head}_text.delta", **at, "delta": "tions**\n\nThere are"},
        {"type": f"{head}_text.done", **at, "text": "**Weighing the options**\n\nThere are **two**.\nMore."},
        done(
            id="r1",
            type="reasoning",
            summary=[{"type": "summary_text", "text": "**Weighing the options**\n\nThere are **two**."}],
        ),
        {"type": "response.reasoning_text.delta", "item_id": "r2", "delta": "not for people"},
    )
    first, *steps = events
    assert first == Status("Thinking")
    assert [step.title for step in steps if isinstance(step, Step)] == ["Thinking", *["Weighing the options"] * 2]
    assert steps[-1] == Step("r1/0", "Weighing the options", StepState.DONE, "There are two.")


def test_a_response_that_is_looked_at_has_the_same_steps() -> None:
    items: list[dict[str, Any]] = [
        {"id": "r1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "**Weighing**\n\nTwo."}]},
        {
            "id": "w1",
            "type": "web_search_call",
            "status": "completed",
            "action": {"type": "search", "query": "tides"},
        },
        {"id": "x1", "type": "crystal_ball_call", "status": "completed", "vision": [1]},
        {"id": "m1", "type": "message", "role": "assistant", "content": []},
    ]
    streamed = {step.id: step for step in told(*(done(**item) for item in items)) if isinstance(step, Step)}
    for response in (
        {"id": "r", "status": "completed", "output": items},
        Response.construct(id="r", status="completed", output=items),
    ):
        looked = {event.id: event for event in Reader("conv_1", "r").look(response) if isinstance(event, Step)}
        assert looked == streamed
        assert [step.title for step in looked.values()] == ["Weighing", "Searching the web", "Crystal ball"]


def test_what_still_runs_when_the_answer_fails_has_failed() -> None:
    reader = Reader("conv_1", "r")
    list(reader.feed(added(id="w1", type="web_search_call")))
    list(reader.feed({"type": "response.failed", "response": {"id": "r", "status": "failed"}}))
    events = reader.rest()
    step = next(events)
    assert isinstance(step, Step)
    assert step.state == StepState.FAILED
    with pytest.raises(RunFailed):
        next(events)


async def test_summaries_are_not_asked_for_where_they_were_refused(serve_with: Callable[..., Any]) -> None:
    backend, agent = await serve_with({"summaries"}, effort="low")
    for text in ("One?", "Two?"):
        assert text in (await hear(agent.ask(None, Message(text, text)))).text
    assert [body["reasoning"] for body in backend.asked] == [
        {"effort": "low", "summary": "auto"},
        {"effort": "low"},
        {"effort": "low"},
    ]
    assert backend.count() == 2


async def test_without_an_effort_nothing_is_said_of_reasoning(serve_with: Callable[..., Any]) -> None:
    backend, agent = await serve_with()
    await hear(agent.ask(None, Message("1", "One?")))
    assert "reasoning" not in backend.asked[0]


# --- approvals


async def test_a_chain_of_responses_is_gone_on_with(serve_with: Callable[..., Any]) -> None:
    backend, agent = await serve_with({"conversations"}, mcp=[MCP_SERVER])
    asked = await hear(agent.ask(None, Message("1", "Ask for approval.")))
    approval, waiting = asked.events[-1], asked.checkpoints[-1]
    assert isinstance(approval, Approval)
    assert approval.title == "Send letters (post)"
    assert '"everybody"' in approval.detail
    message = Message("2", "Approved.", decision=Decision(approved=True))
    answered = await hear(agent.ask(asked.conversation, message, resume=waiting))
    assert isinstance(answered.events[-1], Done)
    assert backend.asked[-1]["previous_response_id"] == waiting.data["response"]
    assert backend.asked[-1]["input"] == [
        {"type": "mcp_approval_response", "approval_request_id": waiting.data["requests"], "approve": True}
    ]
    rows = await agent.history(answered.conversation)
    assert [(row.role, row.text) for row in rows] == [("person", "Ask for approval."), ("agent", answered.text)]


async def test_a_server_whose_calls_want_no_leave(serve_with: Callable[..., Any]) -> None:
    backend, agent = await serve_with(mcp=[{**MCP_SERVER, "approval": False}])
    heard = await hear(agent.ask(None, Message("1", "Ask for approval.")))
    assert isinstance(heard.events[-1], Done)
    assert backend.asked[0]["tools"] == [
        {"type": "mcp", "server_label": "post", "server_url": MCP_SERVER["url"], "require_approval": "never"}
    ]


def test_several_calls_are_one_question() -> None:
    requests = [
        {
            "id": f"m{n}",
            "type": "mcp_approval_request",
            "name": f"call_{n}",
            "server_label": "s",
            "arguments": "``` x",
        }
        for n in range(3)
    ]
    approval = approval_of(requests)
    assert approval.title == "3 calls: Call 0 (s), Call 1 (s), Call 2 (s)"
    assert approval.detail.count("````json") == 3
    reader = Reader("conv_1", "r", asked="turn-1")
    list(reader.look({"id": "r", "status": "completed", "output": requests}))
    checkpoint, asked = reader.rest()
    assert asked == approval
    assert isinstance(checkpoint, Checkpoint)
    assert checkpoint.data == {"step": "waiting", "response": "r", "asked": "turn-1", "requests": "m0 m1 m2"}
    given = decisions(["m0", "m1"], Message("2", "no, call them"))
    assert [(item["approve"], item["reason"]) for item in given] == [(False, "no, call them")] * 2  # type: ignore[typeddict-item]


@pytest.mark.parametrize("ids", [["x"] * (MAX_REQUESTS + 1), [""], ["a b"], ["x" * 500]])
def test_what_nobody_can_decide_on_fails(ids: list[str]) -> None:
    items = [{"id": known, "type": "mcp_approval_request", "name": "x"} for known in ids]
    reader = Reader("conv_1", "r")
    list(reader.look({"id": "r", "status": "completed", "output": items}))
    with pytest.raises(RunFailed):
        list(reader.rest())


# --- what is quoted


def note(url: str, start: object, end: object) -> dict[str, Any]:
    return {"type": "url_citation", "url": url, "title": url.upper(), "start_index": start, "end_index": end}


@pytest.mark.parametrize(
    ("text", "notes", "expected"),
    [
        ("One. Two.", [note("a", 0, 4), note("b", 5, 9)], "One. [1] Two. [2]"),
        ("One. Two.", [note("b", 5, 9), note("a", 0, 4), note("b", 0, 4)], "One. [1] [2] Two. [2]"),
        ("One ([a.org](a)). Two.", [note("a", 4, 16)], "One [1]. Two."),
        ("One(two)", [note("a", 0, 3)], "One [1] (two)"),
        ("One", [note("a", -5, 99), note("a", 0, 99)], "One [1]"),
        ("One", [note("a", None, "x")], "One [1]"),
        ("One", [{"type": "file_citation", "file_id": "f", "filename": "notes.txt", "index": 1}], "O [1]ne"),
        (
            "One",
            [{"type": "url_citation", "url_citation": {"url": "a", "start_index": 0, "end_index": 3}}],
            "One [1]",
        ),
        ("One", [{"type": "what is new"}, "odd", {"type": "url_citation"}], "One"),
    ],
)
def test_markers_stand_behind_what_is_quoted(text: str, notes: list[Any], expected: str) -> None:
    assert marked(text, quotes_in(notes, len(text)), Sources()) == expected


async def test_the_final_text_has_the_markers_and_the_history_not(serve_with: Callable[..., Any]) -> None:
    _, agent = await serve_with()
    heard = await hear(agent.ask(None, Message("1", "Please cite.")))
    assert "two markets [1], and the harbour closes at six [2]." in heard.text
    rows = await agent.history(heard.conversation)
    assert "two markets, and" in rows[-1].text


# --- chats


async def test_a_chats_thoughts_and_calls_are_steps() -> None:
    call = {"index": 0, "id": "c1", "function": {"name": "get_tides", "arguments": ""}}
    heard, _ = await chat(
        sse(
            chunk(reasoning_content="the password"),
            chunk(reasoning="still"),
            chunk(tool_calls=[call]),
            chunk(tool_calls=[{"index": 0, "function": {"arguments": "{}"}}, "odd", {"function": 3}]),
            chunk(content="It is high."),
            chunk(reasoning="again"),
            chunk("stop"),
        )
    )
    steps = [event for event in heard.events if isinstance(event, Step)]
    assert [(step.id, step.title, step.state.value) for step in steps] == [
        ("thought-1", "Thinking", "running"),
        ("thought-1", "Thinking", "done"),
        ("c1", "Get tides", "running"),
        ("c1", "Get tides", "done"),
        ("thought-2", "Thinking", "running"),
        ("thought-2", "Thinking", "done"),
    ]
    assert "password" not in json.dumps([step.detail for step in steps])


async def test_a_chat_quotes() -> None:
    cited = {"type": "url_citation", "url_citation": {"url": "https://a", "title": "A", "end_index": 2}}
    heard, _ = await chat(sse(chunk(content="Hi"), chunk(annotations=[cited]), chunk("stop")))
    assert heard.text == "Hi [1]"
    assert heard.sources == (Source("https://a", "A"),)
