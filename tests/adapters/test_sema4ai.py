from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx

import adapters.http.polling
import adapters.sema4ai.agent
import adapters.sema4ai.client
from adapters.base import (
    MAX_TABLE_ROWS,
    AgentError,
    AuthenticationFailed,
    Checkpoint,
    Checks,
    Done,
    Message,
    NotFound,
    ProtocolError,
    RunFailed,
    Text,
    TimedOut,
    Uncertain,
)
from adapters.http.service import create_client
from adapters.sema4ai.agent import STEADY, STEADY_TOOLS, Sema4ai, Sema4aiSettings
from adapters.sema4ai.client import MAX_REMEMBERED, Before
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
    StepContract,
    StreamContract,
    TablesContract,
    UploadContract,
    attachment,
    fetch,
    hear,
)
from adapters.testing.backends import sema4ai as simulated
from adapters.testing.backends.brain import Blob, Frame
from adapters.testing.backends.faults import cut, drop, ended, garbage
from adapters.testing.backends.sema4ai import AGENT_ID, AGENT_NAME, Sema4aiBackend
from adapters.testing.backends.world import PACE, BackendWorld, world_of
from tests.adapters.odd import ODD_ANSWERS
from tests.e2e.waiting import PATIENCE

STREAMED: dict[str, tuple[str, ...]] = {
    "question": ("stream",),
    "stream": ("stream",),
    "answer": ("messages",),
    "upload": ("upload",),
    "download": ("download",),
}
IN_WHOLE: dict[str, tuple[str, ...]] = {"question": ("ask",), "upload": ("upload",), "download": ("download",)}


pytestmark = pytest.mark.usefixtures("quickly")


@pytest.fixture
def backend() -> Sema4aiBackend:
    return Sema4aiBackend(pace=PACE)


@pytest.fixture
async def world(backend: Sema4aiBackend) -> AsyncIterator[BackendWorld[Sema4ai]]:
    async for world in worlds(backend, STREAMED):
        yield world


async def worlds(
    backend: Sema4aiBackend, operations: dict[str, tuple[str, ...]], **settings: Any
) -> AsyncIterator[BackendWorld[Sema4ai]]:
    def make(url: str, client: httpx.AsyncClient) -> Sema4ai:
        given = {"base_url": url, "api_key": backend.key, "agent_id": AGENT_ID, **settings}
        return Sema4ai(Sema4aiSettings.model_validate(given), client)

    async with world_of(backend, make, operations) as world:
        yield world


class Sema4aiContract(
    AdapterContract,
    UploadContract,
    FilesContract,
    TablesContract,
    HistoryContract,
    ListsContract,
    DeletesContract,
    StepContract,
):
    pass


class TestStreamed(Sema4aiContract, PolledContract, StreamContract):
    """Answers that are streamed, messages that are written down when the agent has finished."""


class TestStreamedAndWrittenMeanwhile(Sema4aiContract, PolledContract, StreamContract):
    @pytest.fixture
    def backend(self) -> Sema4aiBackend:
        backend = Sema4aiBackend(pace=PACE)
        backend.grows = True
        return backend


class TestStreamedAsChanges(Sema4aiContract, PolledContract, StreamContract):
    """Deltas that say which place of the message they change, tools among them."""

    @pytest.fixture
    def backend(self) -> Sema4aiBackend:
        return Sema4aiBackend(pace=PACE, deltas="patch")


class TestInWhole(Sema4aiContract):
    """Answers in one piece, of an agent that is known by its name."""

    @pytest.fixture
    async def world(self, backend: Sema4aiBackend) -> AsyncIterator[BackendWorld[Sema4ai]]:
        async for world in worlds(backend, IN_WHOLE, agent_id=AGENT_NAME, stream=False):
            yield world


class TestBareLists(Sema4aiContract, PolledContract, StreamContract):
    @pytest.fixture
    def backend(self) -> Sema4aiBackend:
        backend = Sema4aiBackend(pace=PACE)
        backend.bare = True
        return backend


class TestOnSnowflake(Sema4aiContract, PolledContract, StreamContract):
    @pytest.fixture
    async def world(self, backend: Sema4aiBackend) -> AsyncIterator[BackendWorld[Sema4ai]]:
        backend.snowflake = True
        async with create_client(transport=_Snowflake()) as at_snowflake:

            def make(url: str, _: httpx.AsyncClient) -> Sema4ai:
                return sema4ai(url.replace("127.0.0.1", SNOWFLAKE), at_snowflake, backend.key)

            async with world_of(backend, make, STREAMED) as world:
                yield world


SNOWFLAKE = "acme.snowflakecomputing.app"


class _Snowflake(httpx.AsyncHTTPTransport):
    """Brings requests to that name to this machine."""

    def __init__(self) -> None:
        super().__init__(verify=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert request.url.host in {SNOWFLAKE, "127.0.0.1"}
        request.url = request.url.copy_with(host="127.0.0.1")
        return await super().handle_async_request(request)


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
    monkeypatch.setattr(adapters.sema4ai.client, "MAX_PAGES", 5)
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
    with pytest.raises(RunFailed):
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
    monkeypatch.setattr(adapters.sema4ai.client, "MAX_REMEMBERED", 3)
    for made, shown in ((3, 1), (4, 0)):
        backend.gifts += [Blob(f"{n}.txt", "text/plain", b"x") for n in range(made)]
        first = await hear(world.agent().ask(None, say("plan")))
        assert len(first.files) == made
        second = await hear(world.agent().ask(first.conversation, say("a report")))
        assert len(second.files) == shown


def test_what_is_remembered_fits_a_checkpoint() -> None:
    marks = frozenset(mark_of(n) for n in range(MAX_REMEMBERED))
    assert len(marks) == MAX_REMEMBERED
    data = Before(10**6, marks, asked=True).data()
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


# --- each request


AT = f"/agents/{AGENT_ID}/conversations"
ONE = f"{AT}/c1"
PLAN = {"role": "user", "content": "plan"}
RESUMED = Checkpoint("c1", Before(asked=True).data())


@pytest.fixture
async def alone() -> AsyncIterator[tuple[respx.MockRouter, Sema4ai]]:
    """An agent whose requests are answered one by one; its conversation has no files and no frames."""
    router = respx.MockRouter(base_url="http://sema4ai.example", assert_all_called=False)
    router.get(f"{ONE}/files").respond(json=[])
    router.get(f"{ONE}/data-frames").respond(json=[])
    async with create_client(transport=httpx.MockTransport(router.async_handler)) as client:
        yield router, sema4ai("http://sema4ai.example", client)


def agent_says(*texts: str, kind: str = "text") -> dict[str, Any]:
    return {
        "role": "agent",
        "content": [{"kind": "text", "text": text} for text in texts[:-1]] + [{"kind": kind, "text": texts[-1]}],
    }


async def test_a_resumed_turn_shows_what_the_messages_hold_while_it_grows(
    alone: tuple[respx.MockRouter, Sema4ai],
) -> None:
    router, agent = alone
    growing = [[], [PLAN], [PLAN, agent_says("One")], [PLAN, agent_says("One two")]]
    final = [PLAN, agent_says("One two"), agent_says("Three.")]
    looks = [*growing, *[final] * (1 + STEADY)]
    messages = router.get(f"{ONE}/messages").mock(side_effect=[httpx.Response(200, json=look) for look in looks])
    heard = await hear(agent.ask(None, say("plan"), resume=RESUMED))
    assert [event.delta for event in heard.events if isinstance(event, Text)] == ["One", " two", "\n\nThree."]
    assert heard.events[-1] == Done(text="Three.")
    assert messages.call_count == len(looks)


@pytest.mark.parametrize("kind", ["text", "tool_use", "thought", "something_new"])
async def test_a_message_is_whole_once_it_stays_the_same_and_later_where_a_tool_is_at_work(
    alone: tuple[respx.MockRouter, Sema4ai], kind: str
) -> None:
    router, agent = alone
    needed = STEADY if kind == "text" else STEADY_TOOLS
    almost = [PLAN, agent_says("One", " or", kind=kind)]
    looks = [*[almost] * needed, *[[PLAN, agent_says("One two")]] * (1 + STEADY)]
    messages = router.get(f"{ONE}/messages").mock(side_effect=[httpx.Response(200, json=look) for look in looks])
    heard = await hear(agent.ask(None, say("plan"), resume=RESUMED))
    assert heard.text == "One two"
    assert messages.call_count == len(looks)


async def test_a_stream_that_broke_off_goes_on_from_the_messages(alone: tuple[respx.MockRouter, Sema4ai]) -> None:
    router, agent = alone

    async def broken() -> AsyncIterator[bytes]:
        yield b"data: One\n\n"
        raise httpx.ReadError("gone")

    events = {"content-type": "text/event-stream"}
    router.post(AT).respond(json={"id": "c1"})
    router.post(f"{ONE}/stream").mock(return_value=httpx.Response(200, headers=events, content=broken()))
    looks = [[PLAN, agent_says("Hm"), agent_says("One")], [PLAN, agent_says("Hm"), agent_says("One two")]]
    looks += looks[-1:] * STEADY
    router.get(f"{ONE}/messages").mock(side_effect=[httpx.Response(200, json=look) for look in looks])
    heard = await hear(agent.ask(None, say("plan")))
    assert [event.delta for event in heard.events if isinstance(event, Text)] == ["One", " two"]
    assert heard.events[-1] == Done()


def streaming(router: respx.MockRouter, answer: str) -> None:
    data = "".join(f"data: {word}\n\n" for word in answer.split())
    router.post(AT).respond(json={"id": "c1"})
    router.post(f"{ONE}/stream").respond(content=data, content_type="text/event-stream")


async def test_a_chunk_costs_neither_a_task_nor_a_timer(
    alone: tuple[respx.MockRouter, Sema4ai], monkeypatch: pytest.MonkeyPatch
) -> None:
    router, agent = alone
    loop = asyncio.get_running_loop()
    made: list[str] = []

    def counted(called: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*given: Any, **named: Any) -> Any:
            made.append(called.__name__)
            return called(*given, **named)

        return counting

    for name in ("create_task", "call_at"):
        monkeypatch.setattr(loop, name, counted(getattr(loop, name)))
    counts: list[int] = []
    for chunks in (20, 200):
        answer = "word " * chunks
        streaming(router, answer)
        router.get(f"{ONE}/messages").respond(json=[PLAN, agent_says(answer.replace(" ", ""))])
        made.clear()
        heard = await hear(agent.ask(None, say("plan")))
        assert len([event for event in heard.events if isinstance(event, Text)]) == chunks
        counts.append(len(made))
    assert counts[0] == counts[1]


async def test_the_last_words_do_not_wait_for_look_ups_that_go_side_by_side(
    alone: tuple[respx.MockRouter, Sema4ai],
) -> None:
    router, agent = alone
    streaming(router, "So it is.")
    shown: list[Any] = []
    at_once = asyncio.Barrier(3)

    def meeting(value: object) -> Callable[[httpx.Request], Awaitable[httpx.Response]]:
        async def answer(_: httpx.Request) -> httpx.Response:
            await at_once.wait()  # for the two others: one after another they would never get here
            assert streamed_of(shown) == "Soitis."
            return httpx.Response(200, json=value)

        return answer

    router.get(f"{ONE}/messages").mock(side_effect=meeting([PLAN, agent_says("Soitis.")]))
    router.get(f"{ONE}/files").mock(side_effect=meeting([{"file_ref": "a.md"}]))
    router.get(f"{ONE}/data-frames").mock(side_effect=meeting([]))
    async with asyncio.timeout(PATIENCE):
        async for event in agent.ask(None, say("plan")):
            shown.append(event)
    assert [type(event).__name__ for event in shown[-2:]] == ["File", "Done"]


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_in_one_piece_does_not_wait_for_the_files(
    alone: tuple[respx.MockRouter, Sema4ai], stream: bool
) -> None:
    router, agent = alone
    agent._stream = stream
    seen = asyncio.Event()

    async def files(_: httpx.Request) -> httpx.Response:
        await seen.wait()
        return httpx.Response(200, json=[])

    router.post(AT).respond(json={"id": "c1"})
    router.post(path__in=(f"{ONE}/stream", f"{ONE}/messages")).respond(json=agent_says("All of it."))
    router.get(f"{ONE}/files").mock(side_effect=files)
    async with asyncio.timeout(PATIENCE):
        async for event in agent.ask(None, say("plan")):
            if isinstance(event, Text):
                seen.set()
    assert event == Done()


async def test_the_look_for_what_was_made_has_an_end(
    alone: tuple[respx.MockRouter, Sema4ai], monkeypatch: pytest.MonkeyPatch
) -> None:
    router, agent = alone
    monkeypatch.setattr(adapters.sema4ai.agent, "LOOKUP", 0.05)
    streaming(router, "So.")
    router.get(f"{ONE}/messages").respond(json=[PLAN, agent_says("So.")])

    async def never(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    router.get(f"{ONE}/files").mock(side_effect=never)
    shown: list[Any] = []

    async def take_in() -> None:
        async for event in agent.ask(None, say("plan")):
            shown.append(event)

    with pytest.raises(TimedOut):
        await take_in()
    assert streamed_of(shown) == "So."


ROWS: list[Any] = [None, {"a": 1}, None, {"a": 2}]


@pytest.mark.parametrize("place", ["messages", "files", "data-frames", "data-frames/sales"])
@pytest.mark.parametrize("odd", ODD_ANSWERS)
async def test_a_poll_survives_an_odd_answer(
    alone: tuple[respx.MockRouter, Sema4ai], place: str, odd: bytes
) -> None:
    router, agent = alone
    answers: dict[str, Any] = {
        "messages": [None, PLAN, {"role": None}, agent_says("So.")],
        "files": [None, {"file_ref": "a.md", "file_size": "12 KB", "name": None}, {"file_ref": None}],
        "data-frames": [None, {"name": "sales", "column_headers": None, "num_rows": "two"}],
        "data-frames/sales": ROWS,
    }
    for path, value in answers.items():
        replies = [httpx.Response(200, json=value)] * 20
        if path == place:
            replies.insert(0, httpx.Response(200, content=odd))
        router.get(f"{ONE}/{path}").mock(side_effect=replies)
    heard = await hear(agent.ask(None, say("plan"), resume=RESUMED))
    assert heard.text == "So."
    assert [(file.name, file.size) for file in heard.files] == [("a.md", None)]
    assert [table.rows for table in heard.tables] == [((1,), (2,))]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_turn_sends_no_request_that_it_can_do_without(backend: Sema4aiBackend, stream: bool) -> None:
    backend.pace = 0
    async for world in worlds(backend, STREAMED, stream=stream):
        agent = world.agent()
        first = await hear(agent.ask(None, say("a report and a table")))
        asking, looking = ["stream" if stream else "ask"], ["messages"] if stream else []
        assert sorted(backend.calls) == sorted(["create", *asking, *looking, "files", "frames", "frame"])
        backend.calls.clear()
        second = await hear(agent.ask(first.conversation, say("plan")))
        assert not second.files
        assert not second.tables
        before = ["messages"] if stream else ["messages", "files", "frames"]
        assert sorted(backend.calls) == sorted([*before, *asking, *looking, "files", "frames"])


async def test_a_tenant_without_data_frames_is_not_asked_for_them_again(
    backend: Sema4aiBackend, world: BackendWorld[Sema4ai]
) -> None:
    backend.has_frames = False
    agent = world.agent()
    for _ in range(3):
        await hear(agent.ask(None, say("a table")))
    assert backend.times()["frames"] == 1


async def test_a_turn_that_another_process_served_is_not_taken_for_this_one(
    backend: Sema4aiBackend, world: BackendWorld[Sema4ai]
) -> None:
    agent = world.agent()
    first = await hear(agent.ask(None, say("plan")))
    assert (await hear(world.agent().ask(first.conversation, say("a report and a table")))).files
    backend.faults.add("stream", drop())
    with pytest.raises(Uncertain):
        await hear(agent.ask(first.conversation, say("plan")))
    heard = await hear(agent.ask(first.conversation, say("plan")))
    assert "question 3" in heard.text
    assert not heard.files
    assert not heard.tables


async def test_a_file_that_a_person_sends_later_is_not_shown_as_the_agents(
    backend: Sema4aiBackend, world: BackendWorld[Sema4ai], tmp_path: Path
) -> None:
    agent = world.agent()
    first = await hear(agent.ask(None, say("plan")))
    heard = await hear(agent.ask(first.conversation, Message("turn", "look", (attachment(tmp_path),))))
    assert "notes.txt" in heard.text
    assert not heard.files


# --- failures and settings


async def test_an_agent_that_is_not_there_is_a_wrong_setting_and_says_so(
    alone: tuple[respx.MockRouter, Sema4ai],
) -> None:
    router, agent = alone
    router.post(AT).respond(404, json={"detail": "Agent not found"})
    with pytest.raises(NotFound, match="no such agent") as caught:
        await hear(agent.ask(None, say("plan")))
    assert "isn't set up correctly" in caught.value.sentence


async def test_a_run_that_failed_with_a_whole_500_can_be_tried_again(backend: Sema4aiBackend) -> None:
    async for world in worlds(backend, IN_WHOLE, stream=False):
        with pytest.raises(RunFailed) as caught:
            await hear(world.agent().ask(None, say("fail")))
        assert "ran into an error" in caught.value.sentence


@pytest.mark.parametrize("agent_id", [AGENT_ID, AGENT_NAME])
async def test_an_agent_that_is_there_is_confirmed(backend: Sema4aiBackend, agent_id: str) -> None:
    async for world in worlds(backend, STREAMED, agent_id=agent_id):
        agent = world.agent()
        assert isinstance(agent, Checks)
        assert await agent.check() == "key accepted; agent 'Analyst'"
        assert list(await agent.conversations()) == []


@pytest.mark.parametrize("agent_id", ["Nobody", "00000000-0000-0000-0000-00000000000f"])
async def test_an_agent_that_is_not_there_is_told_with_those_that_are(
    backend: Sema4aiBackend, agent_id: str
) -> None:
    async for world in worlds(backend, STREAMED, agent_id=agent_id):
        with pytest.raises(NotFound, match=f"no agent '{agent_id}'.*Analyst"):
            await world.agent().check()


async def test_a_key_that_may_not_list_agents_is_confirmed_by_the_agent(
    alone: tuple[respx.MockRouter, Sema4ai],
) -> None:
    router, agent = alone
    router.get("/agents").respond(403)
    router.get(AT).respond(json=[])
    assert await agent.check() == f"key accepted; agent '{AGENT_ID}'"


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, '{"error": {"code": "unauthorized"}}', AuthenticationFailed),
        (404, "<html>", NotFound),
        (200, "<html>", ProtocolError),
    ],
)
async def test_what_speaks_against_the_settings_is_told(
    alone: tuple[respx.MockRouter, Sema4ai], status: int, body: str, error: type[AgentError]
) -> None:
    router, agent = alone
    router.get(path__in=("/agents", AT)).respond(status, text=body)
    with pytest.raises(error):
        await agent.check()


def sema4ai(
    url: str, client: httpx.AsyncClient, key: str = "key", agent: str = AGENT_ID, *, stream: bool = True
) -> Sema4ai:
    given = {"base_url": url, "api_key": key, "agent_id": agent, "stream": stream}
    return Sema4ai(Sema4aiSettings.model_validate(given), client)


async def test_a_chart_comes_with_its_numbers(world: BackendWorld[Sema4ai]) -> None:
    heard = await hear(world.agent().ask(None, say("a chart")))
    [chart] = heard.charts
    assert chart.labels[0] == "January"
    assert [series.name for series in chart.series] == ["orders"]
