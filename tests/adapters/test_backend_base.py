from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from adapters.testing.backends import faults
from adapters.testing.backends.base import Backend, Run
from adapters.testing.backends.brain import LONG, MAX_PIECES, Blob, Plan, think
from adapters.testing.backends.faults import Fault
from adapters.testing.backends.sema4ai import AGENT_ID, Sema4aiBackend
from adapters.testing.backends.toqan import ToqanBackend
from adapters.testing.serving import serve
from tests.e2e.waiting import PATIENCE


@pytest.mark.parametrize(
    ("question", "files", "table"),
    [
        ("What is the plan?", (), False),
        ("Show me a table", (), True),
        ("a csv please", ("sales.csv",), False),
        ("a REPORT, please.", ("report.md",), False),
        ("make me a file", ("report.md",), False),
        ("a table and a csv and a report", ("sales.csv", "report.md"), True),
        ("reporting is suitable", (), False),
    ],
)
def test_the_words_that_make_things(question: str, files: tuple[str, ...], table: bool) -> None:
    plan = think(question)
    assert question in plan.text
    assert tuple(file.name for file in plan.files) == files
    assert (plan.frame is not None) == table
    assert "".join(plan.pieces) == plan.text


def test_a_file_that_was_sent_is_read_and_none_made() -> None:
    plan = think(
        "What is in this file?", [Blob("a.txt", "text/plain", b"hello\nworld"), Blob("b", "", b"\xff\x00")]
    )
    assert "**a.txt** (11 bytes)" in plan.text
    assert "`hello`" in plan.text
    assert "**b** (2 bytes). Its first line: `(not text)`" in plan.text
    assert not plan.files


def test_slow_fail_long_and_ask_me() -> None:
    assert think("be slow").slow
    assert think("tell me slowly").slow
    assert think("please fail").fails
    assert think("Ask me first").asks
    assert not think("I ask myself").asks
    long = think("something long")
    assert len(long.text) >= LONG
    assert len(long.pieces) <= MAX_PIECES
    assert "".join(long.pieces) == long.text


def test_it_remembers_the_question_before() -> None:
    assert "“one”, so this is question 2" in think("two", earlier=["one"]).text


async def test_a_run_talks_at_its_pace_and_a_held_one_does_not_end() -> None:
    run = Run(Plan("one two three four"), 0.01)
    assert [piece async for piece in run.deltas()] == ["one", " two", " three", " four"]
    held = Run(Plan("one two three four"), 0.0, held=True)
    assert not held.over
    assert held.said == 2
    held.held = False
    assert held.over


@pytest.fixture
async def toqan() -> AsyncIterator[tuple[ToqanBackend, httpx.AsyncClient]]:
    backend = ToqanBackend(pace=0)
    headers = {"X-Api-Key": backend.key}
    async with serve(backend.app) as url, httpx.AsyncClient(base_url=url, headers=headers) as client:
        yield backend, client


async def test_questions_are_counted_and_two_at_once_are_a_violation(
    toqan: tuple[ToqanBackend, httpx.AsyncClient],
) -> None:
    backend, client = toqan
    backend.hold = True
    made = (await client.post("/create_conversation", json={"user_message": "one"})).json()
    body = {"user_message": "two", "conversation_id": made["conversation_id"]}
    assert (await client.post("/continue_conversation", json=body)).status_code == 200
    assert [asked.text for asked in backend.questions] == ["one", "two"]
    assert backend.count(made["conversation_id"]) == 2
    assert len(backend.violations) == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/create_conversation", {}, 400),
        ("POST", "/create_conversation", {"user_message": ""}, 400),
        ("POST", "/create_conversation", {"user_message": "x", "private_user_files": [{"id": "?"}]}, 400),
        ("POST", "/create_conversation", [], 422),
        ("POST", "/continue_conversation", {"user_message": "x", "conversation_id": "?"}, 404),
        ("GET", "/get_answer", {"conversation_id": "?", "request_id": "?"}, 404),
        ("PUT", "/upload_file", {}, 422),
        ("GET", "/create_conversation", None, 405),
        ("GET", "/elsewhere", None, 404),
    ],
)
async def test_a_simulator_is_strict(
    toqan: tuple[ToqanBackend, httpx.AsyncClient], method: str, path: str, body: Any, status: int
) -> None:
    backend, client = toqan
    reply = await client.request(method, path, json=body)
    assert reply.status_code == status
    assert reply.json()["message"]
    assert backend.count() == 0


@pytest.mark.parametrize(
    ("backend", "path", "headers"),
    [
        (ToqanBackend(), "/get_answer", {}),
        (ToqanBackend(), "/get_answer", {"X-Api-Key": "wrong"}),
        (Sema4aiBackend(), f"/agents/{AGENT_ID}/conversations", {"Authorization": "sk_simulated"}),
    ],
)
async def test_without_the_key_nothing_is_told(backend: Backend, path: str, headers: dict[str, str]) -> None:
    async with serve(backend.app) as url, httpx.AsyncClient(base_url=url, headers=headers) as client:
        assert (await client.get(path)).status_code == 401


async def test_faults_come_in_order_and_then_no_more(toqan: tuple[ToqanBackend, httpx.AsyncClient]) -> None:
    backend, client = toqan
    ask: dict[str, Any] = {"json": {"user_message": "x"}}
    backend.faults.add("create", faults.refuse(429, Retry_After="3"))
    backend.faults.add("create", faults.drop())
    backend.faults.add("create", faults.drop(after=True))
    reply = await client.post("/create_conversation", **ask)
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "3")
    for asked in (0, 1):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/create_conversation", **ask)
        assert backend.count() == asked
    assert (await client.post("/create_conversation", **ask)).status_code == 200
    assert backend.times()["create"] == 4


async def test_a_call_that_stalls_took_effect_and_is_never_answered(
    toqan: tuple[ToqanBackend, httpx.AsyncClient],
) -> None:
    backend, client = toqan
    backend.faults.stall(2)
    ask: dict[str, Any] = {"json": {"user_message": "x"}}
    await client.post("/create_conversation", **ask)
    second = asyncio.create_task(client.post("/create_conversation", **ask))
    async with asyncio.timeout(PATIENCE):
        await backend.faults.stalled.wait()
    assert backend.count() == 2
    assert not second.done()
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)


def test_a_fault_for_every_operation() -> None:
    every = faults.Faults()
    fault = Fault(status=500)
    every.add(faults.EVERY, fault, times=2)
    assert every.take("a") is every.take("b") is fault
    assert every.take("a") is None
