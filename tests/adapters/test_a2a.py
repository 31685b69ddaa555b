from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, ClassVar

import httpx
import pytest
from a2a.types import StreamResponse
from a2a.utils.proto_utils import parse_lenient
from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]

from adapters.a2a.agent import A2A, METADATA, A2ASettings
from adapters.a2a.reader import Reader
from adapters.a2a.streaming import text_update
from adapters.base import (
    AuthenticationFailed,
    Checkpoint,
    Done,
    InputRequest,
    Message,
    NotFound,
    ProtocolError,
    Rejected,
    RunFailed,
    Scalar,
    Table,
    Uncertain,
)
from adapters.http.service import create_client
from adapters.person import as_object
from adapters.testing import (
    AdapterContract,
    ApprovalContract,
    CancelsContract,
    ChoiceContract,
    Contract,
    FilesContract,
    Heard,
    HistoryContract,
    InputRequestContract,
    ListsContract,
    PolledContract,
    SourcesContract,
    StepContract,
    StreamContract,
    TablesContract,
    UploadContract,
    World,
    fetch,
    hear,
)
from adapters.testing.backends import faults
from adapters.testing.backends.a2a import A2ABackend
from adapters.testing.backends.world import PACE, BackendWorld, world_of
from adapters.testing.persons import ANN, BOB

pytestmark = pytest.mark.usefixtures("quickly")


def make(backend: A2ABackend, **settings: object):  # type: ignore[no-untyped-def]
    def agent(url: str, client: httpx.AsyncClient) -> A2A:
        return A2A(A2ASettings.model_validate({"base_url": url, "api_key": backend.key, **settings}), client)

    return agent


class Described(Contract):
    """Who asks stands in the message too, where agents look that see no headers."""

    async def test_who_asks_stands_in_the_messages_metadata(self, world: BackendWorld[A2A]) -> None:
        first = await self.turn(world.agent(), self.question)
        assert world.backend.told == []
        for person in (ANN, BOB):
            message = replace(self.message(world.agent(), self.second_question), person=person)
            await hear(world.agent().ask(first.conversation, message))
        assert [told.fields for told in world.backend.told] == [
            {METADATA: as_object(ANN)},
            {METADATA: as_object(BOB)},
        ]


class Streamed(
    Described,
    AdapterContract,
    StreamContract,
    UploadContract,
    FilesContract,
    TablesContract,
    HistoryContract,
    ListsContract,
    CancelsContract,
    InputRequestContract,
    ChoiceContract,
    ApprovalContract,
    StepContract,
    SourcesContract,
):
    way: ClassVar[dict[str, Any]] = {}

    @pytest.fixture
    async def world(self) -> AsyncIterator[BackendWorld[A2A]]:
        backend = A2ABackend(pace=PACE, **self.way)
        operations = {
            "question": ["SendStreamingMessage"],
            "stream": ["SendStreamingMessage", "SubscribeToTask"],
            "upload": ["SendStreamingMessage"],
            "download": ["GetTask"],
        }
        async with world_of(backend, make(backend), operations) as world:
            yield world
        await backend.aclose()


class Polled(
    Described,
    AdapterContract,
    PolledContract,
    UploadContract,
    FilesContract,
    TablesContract,
    HistoryContract,
    ListsContract,
    CancelsContract,
    InputRequestContract,
    ChoiceContract,
    ApprovalContract,
    StepContract,
    SourcesContract,
):
    way: ClassVar[dict[str, Any]] = {}

    @pytest.fixture
    async def world(self) -> AsyncIterator[BackendWorld[A2A]]:
        backend = A2ABackend(pace=PACE, streams=False, **self.way)
        operations = {
            "question": ["SendMessage"],
            "answer": ["GetTask"],
            "upload": ["SendMessage"],
            "download": ["GetTask"],
        }
        async with world_of(backend, make(backend), operations) as world:
            yield world
        await backend.aclose()


class WithoutAList(Contract):
    """Protocol 0.3 doesn't list tasks, which shows only once its card was read: what needs the list says so."""

    async def test_the_history_tells_who_said_what_in_order(self, world: World) -> None:
        agent: Any = world.agent()
        heard = await self.turn(agent, self.question)
        assert heard.conversation
        for call in (agent.history, agent.files):
            with pytest.raises(Rejected) as caught:
                await call(heard.conversation)
            self.fit(world, caught.value)
            assert "doesn't tell" in caught.value.sentence

    async def test_every_conversation_is_listed(self, world: World) -> None:
        agent: Any = world.agent()
        with pytest.raises(Rejected):
            await agent.conversations()

    async def test_a_file_that_it_makes_can_be_fetched(self, world: World) -> None:
        agent = world.agent()
        heard = await self.turn(agent, self.file_question)
        assert heard.files
        for file in heard.files:
            assert len(await fetch(agent, str(heard.conversation), file.ref)) == file.size


class TestJsonRpc(Streamed):
    pass


class TestJsonRpcPolled(Polled):
    pass


class TestRest(Streamed):
    way: ClassVar[dict[str, Any]] = {"rest": True}


class TestRestPolled(Polled):
    way: ClassVar[dict[str, Any]] = {"rest": True}


class TestOldJsonRpc(WithoutAList, Streamed):
    way: ClassVar[dict[str, Any]] = {"old": True}


class TestOldJsonRpcPolled(WithoutAList, Polled):
    way: ClassVar[dict[str, Any]] = {"old": True}


class TestOldRest(WithoutAList, Streamed):
    way: ClassVar[dict[str, Any]] = {"old": True, "rest": True}


class TestOldRestPolled(WithoutAList, Polled):
    way: ClassVar[dict[str, Any]] = {"old": True, "rest": True}


class TestJavaScript(Streamed):
    """A server that sends a task as it was stored first, so with the question that was just answered."""

    way: ClassVar[dict[str, Any]] = {"stored_first": True}


class TestJavaScriptPolled(Polled):
    way: ClassVar[dict[str, Any]] = {"stored_first": True}


class Started:
    """An agent's server and what talks to it."""

    def __init__(self, world: BackendWorld[A2A], backend: A2ABackend, client: httpx.AsyncClient) -> None:
        self.backend = backend
        self.url = world.url
        self.agent = world.agent()
        self._client = client

    def other(self, **settings: object) -> A2A:
        values = {"base_url": self.url, "api_key": self.backend.key, **settings}
        return A2A(A2ASettings.model_validate(values), self._client)


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., Any]]:
    """`await start(streams=…, old=…)`: see `A2ABackend`."""
    async with AsyncExitStack() as stack:

        async def started(**way: bool) -> Started:
            backend = A2ABackend(pace=0, **way)  # type: ignore[arg-type]
            stack.push_async_callback(backend.aclose)
            client = await stack.enter_async_context(create_client())
            return Started(await stack.enter_async_context(world_of(backend, make(backend), {})), backend, client)

        yield started


def said(text: str, name: str = "1") -> Message:
    return Message(f"turn-{name}", text)


async def test_a_cut_stream_is_joined_again(start: Callable[..., Any]) -> None:
    server = await start()
    server.backend.faults.add("SendStreamingMessage", faults.cut(after=2))
    heard = await hear(server.agent.ask(None, said("What is the plan?")))
    assert "What is the plan?" in heard.text
    assert server.backend.calls[:3] == ["card", "SendStreamingMessage", "SubscribeToTask"]


async def test_an_answer_to_a_question_is_given_once_whatever_happens(start: Callable[..., Any]) -> None:
    server = await start()
    asked = await hear(server.agent.ask(None, said("Ask me before you go on.")))
    answer = said("The year 2024.", "2")
    server.backend.faults.add("SendStreamingMessage", faults.drop(after=True))
    events = server.agent.ask(asked.conversation, answer, resume=asked.checkpoints[-1])
    checkpoints: list[Checkpoint] = []

    async def take_in() -> None:
        async for event in events:
            assert isinstance(event, Checkpoint)
            checkpoints.append(event)

    with pytest.raises(Uncertain):
        await take_in()
    heard = await hear(server.other().ask(asked.conversation, answer, resume=checkpoints[-1]))
    assert "The year 2024." in heard.text
    assert server.backend.count() == 2


async def test_without_a_list_of_tasks_it_stays_uncertain(start: Callable[..., Any]) -> None:
    server = await start()
    server.backend.faults.add("ListTasks", faults.refuse(404))
    begun = Checkpoint(None, {"step": "asked", "task": None, "seen": 0})
    with pytest.raises(Uncertain):
        await hear(server.agent.ask(None, said("Hello?"), resume=begun))
    assert server.backend.count() == 0


WAYS: list[dict[str, bool]] = [{}, {"rest": True}, {"old": True}, {"old": True, "rest": True}]


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_a_task_that_failed_while_nobody_listened_is_said_so(
    start: Callable[..., Any], way: dict[str, bool]
) -> None:
    """A subscription to it is refused or breaks off: then the task itself tells, at once."""
    server = await start(**way)
    server.backend.faults.add("SendStreamingMessage", faults.cut(after=1))
    with pytest.raises(RunFailed):
        await hear(server.agent.ask(None, said("Please fail.")))
    assert server.backend.times()["SubscribeToTask"] == 1


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize(
    "odd",
    [faults.garbage(), faults.garbage(b"[]", "application/json"), faults.garbage(b'{"resu', "application/json")],
)
async def test_a_look_up_survives_an_odd_answer(
    start: Callable[..., Any], way: dict[str, bool], odd: faults.Fault
) -> None:
    server = await start(**way)
    heard = await hear(server.agent.ask(None, said("What is the plan?")))
    server.backend.faults.add("GetTask", odd)
    task = next(c for c in heard.checkpoints if c.data["step"] == "task")
    again = await hear(server.other().ask(heard.conversation, said("What is the plan?"), resume=task))
    assert again.text == heard.text
    assert server.backend.times()["GetTask"] == 2


async def test_an_answer_may_be_asked_about_again(start: Callable[..., Any]) -> None:
    server = await start(stored_first=True)
    asked = await hear(server.agent.ask(None, said("Ask me before you go on.")))
    again = await hear(server.agent.ask(None, said("Ask me again.", "2"), resume=asked.checkpoints[-1]))
    assert isinstance(again.events[-1], InputRequest)
    assert server.backend.count() == 2
    answered = await hear(server.agent.ask(None, said("2024.", "3"), resume=again.checkpoints[-1]))
    assert "2024." in answered.text


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_the_settings_can_be_checked(start: Callable[..., Any], way: dict[str, bool]) -> None:
    server = await start(**way)
    found = await server.agent.check()
    assert "Simulated agent" in found
    assert ("0.3" if "old" in way else "1.0") in found
    with pytest.raises(AuthenticationFailed):
        await server.other(api_key="wrong").check()
    with pytest.raises(NotFound) as caught:
        await server.other(base_url=f"{server.url}/nothing/here").check()
    assert "set up" in caught.value.sentence
    assert server.backend.count() == 0


async def test_an_agent_that_only_speaks_grpc_is_said_so() -> None:
    interface = {"url": "http://a:50051", "protocolBinding": "GRPC", "protocolVersion": "1.0"}
    card = {"name": "a", "supportedInterfaces": [interface], "capabilities": {}}
    async with create_client(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=card))) as client:
        agent = A2A(A2ASettings(base_url="http://a"), client)
        with pytest.raises(ProtocolError, match="GRPC only") as caught:
            await agent.check()
        assert "gRPC only" in caught.value.sentence
        with pytest.raises(ProtocolError):
            await hear(agent.ask(None, said("Hello?")))


async def test_the_card_may_lie_anywhere(start: Callable[..., Any]) -> None:
    server = await start()
    agent = server.other(base_url=f"{server.url}/.well-known/agent-card.json")
    assert (await hear(agent.ask(None, said("Hello?")))).text


async def test_the_key_goes_to_the_origin_of_the_card_only(start: Callable[..., Any]) -> None:
    server = await start()
    elsewhere = server.url.replace("127.0.0.1", "localhost")
    server.backend.card_url = f"{elsewhere}/rpc"
    with pytest.raises(ProtocolError, match="another origin"):
        await hear(server.other().ask(None, said("Hello?")))
    assert server.backend.count() == 0
    heard = await hear(server.other(endpoint=f"{server.url}/rpc").ask(None, said("Hello?", "2")))
    assert heard.text


@pytest.mark.parametrize(
    ("header", "sent"),
    [("Authorization", "Bearer secret"), ("authorization", "Bearer secret"), ("X-Key", "secret")],
)
async def test_the_key_goes_into_the_header_that_is_set(header: str, sent: str) -> None:
    seen: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get(header))
        return httpx.Response(401)

    async with create_client(transport=httpx.MockTransport(answer)) as client:
        settings = A2ASettings.model_validate({"base_url": "http://a", "api_key": "secret", "header": header})
        with pytest.raises(AuthenticationFailed):
            await hear(A2A(settings, client).ask(None, said("Hello?")))
    assert seen == [sent]


# --- what is read, without a server


def task(state: str, *artifacts: dict[str, Any], **more: Any) -> StreamResponse:
    status = {"state": f"TASK_STATE_{state}", **more}
    return sent(task={"id": "t1", "contextId": "c1", "status": status, "artifacts": artifacts})


def artifact(name: str, *parts: dict[str, Any], append: bool = False) -> StreamResponse:
    value = {"artifactId": name, "parts": parts}
    return sent(artifactUpdate={"taskId": "t1", "contextId": "c1", "artifact": value, "append": append})


def status(state: str, text: str = "") -> StreamResponse:
    value: dict[str, Any] = {"state": f"TASK_STATE_{state}"}
    if text:
        value["message"] = {"messageId": "m", "role": "ROLE_AGENT", "parts": [{"text": text}]}
    return sent(statusUpdate={"taskId": "t1", "contextId": "c1", "status": value})


def sent(**payload: Any) -> StreamResponse:
    update: StreamResponse = ParseDict(payload, StreamResponse())
    return update


async def read(*updates: StreamResponse, trusts: Callable[[str], bool] = lambda _: False) -> Heard:
    reader = Reader(None, trusts=trusts)
    events = [event for update in updates for event in reader.feed(update)]
    assert reader.is_over()
    return Heard([*events, *reader.rest()])


@pytest.mark.parametrize(
    ("updates", "text"),
    [
        ([task("COMPLETED", {"artifactId": "a", "parts": [{"text": "Hi"}]})], "Hi"),
        ([artifact("a", {"text": "H"}), artifact("a", {"text": "i"}, append=True), status("COMPLETED")], "Hi"),
        ([artifact("a", {"text": "one"}), artifact("b", {"text": "two"}), status("COMPLETED")], "one\n\ntwo"),
        ([artifact("a", {"text": "draft"}), artifact("a", {"text": "final"}), status("COMPLETED")], "final"),
        ([status("WORKING", "thinking"), status("COMPLETED", "Hi")], "Hi"),
        ([artifact("a", {"text": "Hi"}), status("COMPLETED", "Hi")], "Hi"),
        ([artifact("a", {"text": "Hi"}), status("COMPLETED", "Bye")], "Hi\n\nBye"),
        ([artifact("a", {"text": "<think>no</think>Hi<think>still"}), status("COMPLETED")], "Hi"),
        ([sent(message={"messageId": "m", "contextId": "c1", "parts": [{"text": "Hi"}]})], "Hi"),
        (
            [
                artifact("a", {"text": "one"}),
                artifact("b", {"text": "two"}),
                artifact("a", {"text": "!"}, append=True),
                status("COMPLETED"),
            ],
            "one!\n\ntwo",
        ),
        (
            [artifact("a", {"data": {"key": [1]}}), status("COMPLETED")],
            '\n```json\n{\n  "key": [\n    1\n  ]\n}\n```\n',
        ),
    ],
)
async def test_an_answer_in_every_form(updates: list[StreamResponse], text: str) -> None:
    assert (await read(*updates)).text == text


@pytest.mark.parametrize(
    ("data", "columns", "rows"),
    [
        ([{"a": 1, "b": "x"}, {"a": 2.5}], ("a", "b"), ((1, "x"), (2.5, None))),
        ({"columns": ["a", "b"], "rows": [[1, True], [2]]}, ("a", "b"), ((1, True), (2, None))),
        ({"items": [{"a": {"deep": [1]}}]}, ("a",), (('{"deep": [1]}',),)),
    ],
)
async def test_records_are_a_table(data: object, columns: tuple[str, ...], rows: tuple[Any, ...]) -> None:
    heard = await read(artifact("a", {"data": data}), status("COMPLETED"))
    assert heard.tables == [Table("table", columns, rows)]
    assert heard.text == ""


async def test_a_file_at_a_strange_address_is_a_link_and_is_not_fetched(start: Callable[..., Any]) -> None:
    url = "http://169.254.169.254/latest"
    update = artifact("a", {"url": url, "filename": "report.pdf"})
    heard = await read(update, status("COMPLETED"))
    assert heard.files == []
    assert heard.text == f"[report.pdf]({url})"
    trusted = await read(update, status("COMPLETED"), trusts=lambda address: address == url)
    assert [file.name for file in trusted.files] == ["report.pdf"]
    assert trusted.text == ""


@pytest.mark.parametrize("state", ["FAILED", "REJECTED"])
async def test_a_failed_task_is_an_error(state: str) -> None:
    with pytest.raises(Rejected) as caught:
        await read(status(state, "Traceback: boom"))
    assert "boom" not in caught.value.sentence


async def test_a_cancelled_task_is_done() -> None:
    heard = await read(artifact("a", {"text": "so far"}), status("CANCELED"))
    assert heard.text == "so far"
    assert isinstance(heard.events[-1], Done)


@pytest.mark.parametrize("state", ["INPUT_REQUIRED", "AUTH_REQUIRED"])
async def test_a_task_that_waits_asks(state: str) -> None:
    heard = await read(artifact("a", {"text": "Before that:"}), status(state, "Which year?"))
    assert heard.events[-1] == InputRequest("Which year?")
    waiting: dict[str, Scalar] = {"step": "waiting", "task": "t1", "seen": 1, "before": 0, "asked": ""}
    last = heard.checkpoints[-1]
    assert last == Checkpoint("c1", {**waiting, "question": last.data["question"]})


UPDATE: dict[str, Any] = {"taskId": "t", "contextId": "c", "append": True, "lastChunk": True}


@pytest.mark.parametrize(
    ("artifact", "more", "quick"),
    [
        ({"artifactId": "a", "name": "n", "parts": [{"text": "x"}, {"text": ""}]}, {}, True),
        ({"artifactId": "a", "parts": []}, {}, True),
        ({"artifactId": "a", "parts": [{"text": "x"}]}, {"append": None}, True),
        ({"artifactId": "a", "parts": [{"data": {"b": 1}}]}, {}, False),
        ({"artifactId": "a", "parts": [{"text": "x", "metadata": {"b": 1}}]}, {}, False),
        ({"artifactId": "a", "parts": [{"text": "x"}], "description": "d"}, {}, False),
        ({"artifactId": "a", "parts": [{"text": "x"}]}, {"metadata": {"b": 1}}, False),
        ({"artifactId": "a", "parts": [{"text": "x"}]}, {"future": 1}, False),
    ],
)
def test_the_short_way_to_read_an_update_reads_the_same(
    artifact: dict[str, Any], more: dict[str, Any], quick: bool
) -> None:
    result = {"artifactUpdate": {**UPDATE, "artifact": artifact, **more}}
    read = text_update(result)
    assert (read is not None) == quick
    assert read is None or read == parse_lenient(result, StreamResponse())


@pytest.mark.parametrize(
    "result",
    [
        None,
        [],
        {"task": {}},
        {"artifactUpdate": None},
        {"artifactUpdate": {"artifact": 3}},
        {"artifactUpdate": {"artifact": {"parts": "x"}}},
        {"artifactUpdate": {"artifact": {"parts": [{"text": 3}]}}},
        {"artifactUpdate": {"taskId": 3, "artifact": {"parts": []}}},
    ],
)
def test_what_is_odd_is_left_to_the_library(result: object) -> None:
    assert text_update(result) is None


def test_what_stood_before_the_answer_counts_once_nothing_else_comes() -> None:
    first = Reader("c1", "t1", asked="one")
    list(first.feed(status("INPUT_REQUIRED", "Which year?")))
    waiting = next(event for event in first.rest() if isinstance(event, Checkpoint))
    reader = Reader("c1", "t1", asked="two", answered=str(waiting.data["question"]))
    list(reader.feed(status("INPUT_REQUIRED", "Which year?")))
    assert reader.stands
    assert not reader.is_over()
    reader.ask_again()
    assert reader.is_over()
    assert list(reader.rest())[-1] == InputRequest("Which year?")


async def test_what_was_shown_before_a_question_is_not_shown_again() -> None:
    reader = Reader("c1", "t1", seen=1)
    parts = [{"artifactId": name, "parts": [{"text": name}]} for name in ("old", "new")]
    events = [*reader.feed(task("COMPLETED", *parts)), *reader.rest()]
    assert Heard(events).text == "new"


async def test_a_chart_comes_with_its_numbers(start: Callable[..., Any]) -> None:
    server = await start()
    [chart] = (await hear(server.agent.ask(None, said("a chart")))).charts
    assert chart.labels[0] == "January"
    assert [series.name for series in chart.series] == ["orders"]
