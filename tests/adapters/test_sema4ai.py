from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import stamina

import adapters.http.polling
import adapters.sema4ai.agent
from adapters.base import MAX_TABLE_ROWS, Checkpoint, Done, Message, ProtocolError, Rejected, Text, Uncertain
from adapters.http.service import create_client
from adapters.sema4ai.agent import MAX_REMEMBERED, Sema4ai, Sema4aiSettings
from adapters.sema4ai.text import Deltas, content_text
from adapters.sema4ai.wire import mark_of, rows_in
from adapters.testing import (
    MAX_CHECKPOINT,
    AdapterContract,
    DeletesContract,
    FilesContract,
    HistoryContract,
    ListsContract,
    PolledContract,
    StreamContract,
    TablesContract,
    UploadContract,
    fetch,
    hear,
)
from adapters.testing.backends import sema4ai as simulated
from adapters.testing.backends.brain import Blob, Frame
from adapters.testing.backends.faults import cut, drop, ended, garbage
from adapters.testing.backends.sema4ai import AGENT_ID, AGENT_NAME, Sema4aiBackend
from adapters.testing.backends.world import PACE, BackendWorld, world_of

STREAMED = {
    "question": ("stream",),
    "stream": ("stream",),
    "answer": ("messages",),
    "upload": ("upload",),
    "download": ("download",),
}
IN_WHOLE = {"question": ("ask",), "upload": ("upload",), "download": ("download",)}


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(adapters.sema4ai.agent, "STEADY", 0.05)
    monkeypatch.setattr(adapters.http.polling, "FIRST", 0.01)
    monkeypatch.setattr(adapters.http.polling, "SETTLING", 0.1)
    with stamina.set_testing(True, attempts=4):
        yield


@pytest.fixture
def backend() -> Sema4aiBackend:
    return Sema4aiBackend(pace=PACE)


@pytest.fixture
def settings() -> dict[str, Any]:
    return {"agent_id": AGENT_ID}


@pytest.fixture
async def world(backend: Sema4aiBackend, settings: dict[str, Any]) -> AsyncIterator[BackendWorld[Sema4ai]]:
    def make(url: str, client: httpx.AsyncClient) -> Sema4ai:
        given = {"base_url": url, "api_key": backend.key, **settings}
        return Sema4ai(Sema4aiSettings.model_validate(given), client)

    operations = STREAMED if settings.get("stream", True) else IN_WHOLE
    async with world_of(backend, make, operations) as world:
        yield world


class TestSema4ai(
    AdapterContract,
    PolledContract,
    StreamContract,
    UploadContract,
    FilesContract,
    TablesContract,
    HistoryContract,
    ListsContract,
    DeletesContract,
):
    """Answers that are streamed."""


class TestSema4aiInWhole(
    AdapterContract, UploadContract, FilesContract, TablesContract, HistoryContract, ListsContract, DeletesContract
):
    """Answers in one piece."""

    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return {"agent_id": AGENT_NAME, "stream": False}


def say(text: str) -> Message:
    return Message("turn", text)


def streamed_of(events: list[Any]) -> str:
    return "".join(event.delta for event in events if isinstance(event, Text))


# --- what the guide leaves open


@pytest.mark.parametrize("deltas", ["raw", "string", "delta", "content", "text", "chunk", "patch"])
async def test_each_form_of_delta_is_read(
    backend: Sema4aiBackend, world: BackendWorld[Sema4ai], deltas: simulated.Deltas
) -> None:
    backend.deltas = deltas
    heard = await hear(world.agent().ask(None, say("plan")))
    assert "1. Look at what is **known** already.\n" in streamed_of(heard.events)
    assert heard.events[-1] == Done(), "the messages say the same"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (["plain ", "words"], "plain words"),
        (['"a JSON "', '"string"'], "a JSON string"),
        (['"unfinished'], '"unfinished'),
        (["{not JSON"], "{not JSON"),
        (["[DONE]"], ""),
        (["3", "true", "null"], "3truenull"),
        (['{"delta": "a"}', '{"content": "b"}', '{"text": "c"}', '{"chunk": "d"}'], "abcd"),
        (['{"delta": ""}'], ""),
        (['{"type": "ping"}', "{}", "[1, 2]"], ""),
        (['{"kind": "thought", "text": "a"}', '{"kind": "text", "text": "b"}'], "b"),
        (['{"content": [{"kind": "text", "text": "a"}, {"kind": "tool", "text": "b"}]}'], "a"),
        (['{"op": "concat_string", "path": "/0", "value": "a"}'], "a"),
        (['{"delta": {"op": "add", "path": "/0", "value": {"kind": "text", "text": "a"}}}'], "a"),
        (
            [
                '{"op": "add", "path": "/content/0", "value": {"kind": "thought", "text": "a"}}',
                '{"op": "concat_string", "path": "/content/0/text", "value": "b"}',
                '{"op": "concat_string", "path": "/content/01/text", "value": "c"}',
            ],
            "c",
        ),
        (
            [
                '{"op": "replace", "path": "/x", "value": "Good"}',
                '{"op": "replace", "path": "/x", "value": "Good day"}',
                '{"op": "replace", "path": "/x", "value": "Bad day"}',
            ],
            "Good day",
        ),
        (['{"op": "remove", "path": "/x"}', '{"op": "add", "path": "/x", "value": 3}'], ""),
    ],
)
def test_deltas(data: list[str], text: str) -> None:
    deltas = Deltas()
    assert "".join(map(deltas.feed, data)) == text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("a", "a"),
        (None, ""),
        (3, ""),
        ({"kind": "text", "text": "a"}, "a"),
        ([{"kind": "text", "text": "a"}, "b", {"content": "c"}, {"kind": "thought", "text": "d"}, None], "abc"),
    ],
)
def test_contents(content: Any, text: str) -> None:
    assert content_text(content) == text


@pytest.mark.parametrize("form", ["pages", "links", "bare"])
async def test_each_form_of_list_is_read(backend: Sema4aiBackend, world: BackendWorld[Sema4ai], form: str) -> None:
    backend.page, backend.bare, backend.links = 2, form == "bare", form == "links"
    agent = world.agent()
    made = [(await hear(agent.ask(None, say("plan")))).conversation for _ in range(5)]
    assert list(await agent.conversations()) == made[::-1]
    assert made[0]
    assert len(await agent.history(made[0])) == 2


async def test_a_list_without_an_end_is_a_protocol_error(
    backend: Sema4aiBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = iter(range(10_000))
    monkeypatch.setattr(adapters.sema4ai.agent, "MAX_PAGES", 5)
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"data": [], "next": str(next(pages))}))
    async with create_client(transport=transport) as client:
        with pytest.raises(ProtocolError):
            await sema4ai("http://a.example", client).conversations()


async def test_a_list_that_goes_in_a_circle_ends() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"data": [{"id": 1}], "next": "again"}))
    async with create_client(transport=transport) as client:
        assert await sema4ai("http://a.example", client).conversations() == ["1", "1"]


@pytest.mark.parametrize("name", [AGENT_NAME, AGENT_NAME.lower(), AGENT_ID])
async def test_the_agent_is_found_by_its_name(backend: Sema4aiBackend, name: str) -> None:
    backend.page = 2

    def make(url: str, client: httpx.AsyncClient) -> Sema4ai:
        return sema4ai(url, client, backend.key, name)

    async with world_of(backend, make, STREAMED) as world:
        agent = world.agent()
        await hear(agent.ask(None, say("plan")))
        await hear(agent.ask(None, say("plan")))
    assert backend.times()["agents"] == (0 if name == AGENT_ID else 2), "two pages, read once"


@pytest.mark.parametrize(
    ("url", "header"),
    [
        ("https://a.sema4.example/tenants/t/api/v2", "Bearer KEY"),
        ("https://x.eu.snowflakecomputing.app/tenants/t/api/v2", 'Snowflake Token="KEY"'),
        ("https://x.snowflakecomputing.com/api/v2", 'Snowflake Token="KEY"'),
        ("https://a.example/snowflakecomputing", "Bearer KEY"),
    ],
)
async def test_the_key_goes_into_the_header_of_the_host(url: str, header: str) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=[])

    async with create_client(transport=httpx.MockTransport(answer)) as client:
        await sema4ai(url, client, "KEY").conversations()
    assert seen[0].headers["authorization"] == header


@pytest.mark.parametrize("whole", ["conversation", "messages", "message"])
async def test_a_synchronous_answer_is_read_in_each_form(backend: Sema4aiBackend, whole: simulated.Whole) -> None:
    backend.whole = whole

    def make(url: str, client: httpx.AsyncClient) -> Sema4ai:
        return sema4ai(url, client, backend.key, stream=False)

    async with world_of(backend, make, IN_WHOLE) as world:
        assert "“plan”" in (await hear(world.agent().ask(None, say("plan")))).text
    assert backend.times()["messages"] == 0


async def test_json_in_place_of_a_stream_is_the_answer(
    backend: Sema4aiBackend, world: BackendWorld[Sema4ai]
) -> None:
    body = {"messages": [{"role": "user", "content": "plan"}, {"role": "agent", "content": "Here it is."}]}
    backend.faults.add("stream", garbage(json.dumps(body).encode(), "application/json"))
    assert (await hear(world.agent().ask(None, say("plan")))).text == "Here it is."


# --- the last word


async def test_the_messages_have_the_last_word(backend: Sema4aiBackend, world: BackendWorld[Sema4ai]) -> None:
    backend.faults.add("stream", ended(after=3))
    heard = await hear(world.agent().ask(None, say("plan")))
    assert len(streamed_of(heard.events)) < len(heard.text)
    assert heard.events[-1] == Done(text=heard.text)
    assert heard.text.endswith("send me a file.")


@pytest.mark.parametrize("after", [0, 3])
async def test_a_stream_that_was_cut_is_made_whole_from_the_messages(
    backend: Sema4aiBackend, world: BackendWorld[Sema4ai], after: int
) -> None:
    backend.faults.add("stream", cut(after=after))
    heard = await hear(world.agent().ask(None, say("a report")))
    assert "You asked: “a report”." in heard.text
    assert [file.name for file in heard.files] == ["report.md"]
    assert backend.count() == 1


async def test_a_question_whose_stream_never_opened_is_found_in_the_messages(
    backend: Sema4aiBackend, world: BackendWorld[Sema4ai]
) -> None:
    backend.faults.add("stream", drop(after=True))
    assert "plan" in (await hear(world.agent().ask(None, say("plan")))).text
    assert backend.count() == 1


async def test_a_question_that_did_not_arrive_is_not_sent_again_in_the_same_breath(
    backend: Sema4aiBackend, world: BackendWorld[Sema4ai]
) -> None:
    backend.faults.add("stream", drop())
    with pytest.raises(Uncertain):
        await hear(world.agent().ask(None, say("plan")))
    assert backend.count() == 0


async def test_an_error_in_the_stream_is_a_failed_run(world: BackendWorld[Sema4ai]) -> None:
    with pytest.raises(Rejected):
        await hear(world.agent().ask(None, say("fail")))


# --- files and tables


@pytest.mark.parametrize(
    ("name", "shown"),
    [("../../etc/passwd", "passwd"), ("a b&c=d?.txt", "a b&c=d_.txt"), ("x\u202efdp.exe", "xfdp.exe")],
)
async def test_files_with_odd_names_arrive(
    backend: Sema4aiBackend, world: BackendWorld[Sema4ai], name: str, shown: str
) -> None:
    backend.gifts.append(Blob(name, "text/plain", b"content"))
    agent = world.agent()
    heard = await hear(agent.ask(None, say("plan")))
    assert [file.name for file in heard.files] == [shown]
    assert await fetch(agent, heard.conversation or "", heard.files[0].ref) == b"content"


async def test_a_file_that_was_there_before_and_has_changed_is_shown_again(
    backend: Sema4aiBackend, world: BackendWorld[Sema4ai]
) -> None:
    first = await hear(world.agent().ask(None, say("a report")))
    backend.gifts.append(Blob("report.md", "text/markdown", b"shorter"))
    second = await hear(world.agent().ask(first.conversation, say("plan")))
    assert [file.name for file in second.files] == ["report.md"]


async def test_a_tenant_without_data_frames_has_no_tables(
    backend: Sema4aiBackend, world: BackendWorld[Sema4ai]
) -> None:
    backend.has_frames = False
    heard = await hear(world.agent().ask(None, say("a table")))
    assert heard.text
    assert not heard.tables


async def test_a_long_table_is_read_page_by_page_up_to_its_bound(
    backend: Sema4aiBackend, world: BackendWorld[Sema4ai], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tuple((n, f"row {n}", n / 3) for n in range(MAX_TABLE_ROWS + 1))
    monkeypatch.setattr(
        "adapters.testing.backends.brain._frame", lambda: Frame("long / one", ("n", "name", "third"), rows)
    )
    [table] = (await hear(world.agent().ask(None, say("a table")))).tables
    assert table.name == "one"
    assert table.columns == ("n", "name", "third")
    assert table.rows == rows[:MAX_TABLE_ROWS]
    assert table.truncated


@pytest.mark.parametrize(
    ("value", "columns", "rows"),
    [
        ([{"a": 1, "b": None}, {"b": [2], "c": 3}], ("a", "b"), [(1, None), (None, "[2]")]),
        ({"columns": ["a", "b"], "rows": [[1, True]]}, ("a", "b"), [(1, True)]),
        ({"columns": ["a"], "data": [{"a": float("nan")}]}, ("a",), [(None,)]),
        ([["x", "y"]], ("p", "q"), [("x", "y")]),
        ([], ("p", "q"), []),
    ],
)
def test_rows_in_each_form(value: Any, columns: tuple[str, ...], rows: list[Any]) -> None:
    assert rows_in(value, ("p", "q") if columns == ("p", "q") else ()) == (columns, rows)


@pytest.mark.parametrize("value", [None, "x", {"rows": 3}, [["x"]]])
def test_rows_that_do_not_fit_are_a_protocol_error(value: Any) -> None:
    with pytest.raises(ProtocolError):
        rows_in(value, ("p", "q"))


async def test_more_files_than_a_checkpoint_holds_are_not_shown_as_new(
    backend: Sema4aiBackend, world: BackendWorld[Sema4ai], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapters.sema4ai.agent, "MAX_REMEMBERED", 3)
    for made, shown in ((3, 1), (4, 0)):
        backend.gifts += [Blob(f"{n}.txt", "text/plain", b"x") for n in range(made)]
        first = await hear(world.agent().ask(None, say("plan")))
        assert len(first.files) == made
        second = await hear(world.agent().ask(first.conversation, say("a report")))
        assert len(second.files) == shown


def test_what_is_remembered_fits_a_checkpoint() -> None:
    marks = frozenset(mark_of(n) for n in range(MAX_REMEMBERED))
    assert len(marks) == MAX_REMEMBERED
    data = adapters.sema4ai.agent._Before(10**6, marks, asked=True).data()
    assert len(json.dumps(data)) < MAX_CHECKPOINT


async def test_a_turn_resumed_after_the_question_waits_for_its_answer(
    backend: Sema4aiBackend, world: BackendWorld[Sema4ai]
) -> None:
    first = await hear(world.agent().ask(None, say("plan")))
    checkpoint = next(c for c in reversed(first.checkpoints) if c.data.get("asked"))
    assert (await hear(world.agent().ask(None, say("plan"), resume=checkpoint))).text == first.text
    assert backend.count() == 1


async def test_a_conversation_that_was_made_before_a_crash_is_used(
    backend: Sema4aiBackend, world: BackendWorld[Sema4ai]
) -> None:
    agent = world.agent()
    made = (await hear(agent.ask(None, say("plan")))).checkpoints[1]
    assert made == Checkpoint(made.conversation)
    await hear(world.agent().ask(None, say("again"), resume=made))
    assert backend.times()["create"] == 1


def sema4ai(
    url: str, client: httpx.AsyncClient, key: str = "key", agent: str = AGENT_ID, *, stream: bool = True
) -> Sema4ai:
    given = {"base_url": url, "api_key": key, "agent_id": agent, "stream": stream}
    return Sema4ai(Sema4aiSettings.model_validate(given), client)
