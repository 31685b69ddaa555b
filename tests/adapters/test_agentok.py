from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar, Literal

import httpx
import pytest
import respx
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from adapters.agentok import agent as agentok
from adapters.agentok import posting
from adapters.agentok.agent import OVER, QUIET, Agentok
from adapters.agentok.run import MAX_LINE, UNASKED, WAITING, ChatRow, Kind, Run, is_echo, read_row
from adapters.agentok.steps import Work
from adapters.base import (
    AgentError,
    AuthenticationFailed,
    Checkpoint,
    Checks,
    Event,
    InputRequest,
    Message,
    NotFound,
    ProtocolError,
    RateLimited,
    Rejected,
    RunFailed,
    Step,
    StepState,
    Text,
    Unavailable,
    Uncertain,
)
from adapters.http import polling
from adapters.http.failures import ATTEMPTS
from adapters.http.service import create_client
from adapters.testing import (
    AdapterContract,
    CancelsContract,
    DeletesContract,
    HistoryContract,
    InputRequestContract,
    ListsContract,
    PolledContract,
    StepContract,
    close,
    hear,
)
from adapters.testing.backends import faults
from adapters.testing.backends.agentok import FAILURE, FIRST_WORDS, SOURCE, AgentokBackend, Server
from adapters.testing.backends.world import PACE, BackendWorld, world_of
from tests.adapters.odd import ODD_ANSWERS
from tests.e2e.waiting import eventually

OPERATIONS = {"question": ("question",), "answer": ("status", "messages")}

AgentokWorld = BackendWorld[Agentok]


SOURCES = {kind: {"from_type": kind, f"from_{kind}": SOURCE} for kind in ("flow", "project", "template")}


async def worlds(server: Server, prefix: str, kind: str) -> AsyncIterator[AgentokWorld]:
    backend = AgentokBackend(server=server, prefix=prefix, pace=PACE)

    def make(url: str, client: httpx.AsyncClient) -> Agentok:
        settings = {"base_url": url, "api_key": backend.key, **SOURCES[kind]}
        return Agentok(Agentok.Settings.model_validate(settings), client)

    async with world_of(backend, make, OPERATIONS) as world:
        yield world


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "ARRIVAL", 0.15)


class AgentokContract(
    AdapterContract,
    PolledContract,
    HistoryContract,
    ListsContract,
    DeletesContract,
    CancelsContract,
    InputRequestContract,
):
    variant: ClassVar[tuple[Server, str, str]]

    @pytest.fixture
    async def world(self) -> AsyncIterator[AgentokWorld]:
        async for world in worlds(*self.variant):
            yield world


class TestFlowOfTheGuide(AgentokContract):
    variant = ("guide", "", "flow")


class TestFlowUnderV1(AgentokContract):
    variant = ("guide", "/v1", "flow")


class TestProjectOn2024(AgentokContract, StepContract):
    variant = ("2024", "/v1", "project")


class TestTemplateOn2024(AgentokContract, StepContract):
    variant = ("2024", "", "template")


class TestProjectOn2026(AgentokContract, StepContract):
    variant = ("2026-07", "/v1", "project")


class TestTemplateOn2026(AgentokContract, StepContract):
    variant = ("2026-07", "", "template")


@pytest.fixture(params=["guide", "2024", "2026-07"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[AgentokWorld]:
    guided = request.param == "guide"
    async for world in worlds(request.param, "" if guided else "/v1", "flow" if guided else "project"):
        yield world


@pytest.fixture(params=["2024", "2026-07"])
async def seen(request: pytest.FixtureRequest) -> AsyncIterator[AgentokWorld]:
    async for world in worlds(request.param, "/v1", "project"):
        yield world


pytestmark = pytest.mark.usefixtures("quickly")


def backend_of(world: AgentokWorld) -> AgentokBackend:
    assert isinstance(world.backend, AgentokBackend)
    return world.backend


QUESTION = Message("turn-1", "What is new?")
ASKING = Message("turn-1", "Ask me before you go on.")
ANSWER = Message("turn-2", "The year 2024.")


TOOL = {"tool_info": {"type": "tool_response"}}


# --- rows and runs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "row"),
    [
        ({"id": "7", "type": "user", "content": " hello "}, ChatRow(7, "person", "hello")),
        ({"id": 7, "type": "assistant", "content": "<think>hm</think>Hello."}, ChatRow(7, "agent", "Hello.")),
        ({"id": 7, "type": "assistant", "content": None}, ChatRow(7, "agent", "")),
        ({"id": 7, "type": "assistant", "content": "x", "metadata": {"tool_info": {}}}, ChatRow(7, "agent", "x")),
        ({"id": 7, "type": "assistant", "content": "x", "metadata": TOOL}, ChatRow(7, "tool", "")),
        ({"id": 7, "type": "assistant", "content": "x", "meta": TOOL}, ChatRow(7, "tool", "")),
        ({"id": 7, "type": "summary", "content": "In short."}, ChatRow(7, "summary", "In short.")),
        ({"id": 7, "type": "system", "content": "secret"}, ChatRow(7, "hidden", "secret")),
        ({"id": 7, "content": "__STATUS_RUNNING__"}, ChatRow(7, "control", "", "RUNNING")),
        (
            {"id": 7, "type": "assistant", "content": "__STATUS_WAIT_FOR_HUMAN_INPUT__ Which\nyear? "},
            ChatRow(7, "control", "Which\nyear?", "WAIT_FOR_HUMAN_INPUT"),
        ),
        ({"id": 7, "content": "__STATUS_OF_TOMORROW__ x"}, ChatRow(7, "control", "x", "OF_TOMORROW")),
        (
            {"id": 7, "type": "assistant", "content": "a __STATUS_ word"},
            ChatRow(7, "agent", "a __STATUS_ word"),
        ),
    ],
)
def test_what_a_row_is(raw: dict[str, object], row: ChatRow) -> None:
    assert read_row(raw) == row


@pytest.mark.parametrize("raw", [None, [], {}, {"id": None}, {"id": "x"}])
def test_a_row_without_an_id_is_not_understood(raw: object) -> None:
    with pytest.raises(ProtocolError):
        read_row(raw)


@pytest.mark.parametrize(
    ("text", "asked", "echo"),
    [
        ("What is new?", "What is new?", True),
        ('"What is new?"', "What is new?", True),
        ('"one\ntwo"', "one\n\ntwo\n", True),
        ("What is new? Nothing.", "What is new?", False),
    ],
)
def test_an_echo_is_known(text: str, asked: str, echo: bool) -> None:
    assert is_echo(ChatRow(1, "agent", text), asked) == echo


def rows(*made: tuple[Kind, str] | tuple[Kind, str, str], first: int = 11) -> list[ChatRow]:
    return [ChatRow(number, *parts) for number, parts in enumerate(made, first)]


PERSON: tuple[Kind, str] = ("person", "What is new?")
RUNNING: tuple[Kind, str, str] = ("control", "", "RUNNING")


@pytest.mark.parametrize(
    ("status", "own", "state"),
    [
        (None, [], "unknown"),
        ("ready", [], "unknown"),
        ("completed", [], "unknown"),
        ("failed", [PERSON], "unknown"),
        ("completed", [PERSON], "unknown"),
        (
            "completed",
            [("control", "DONE", "COMPLETED")],
            "unknown",
        ),  # of the run before, late
        ("completed", [("control", "DONE", "COMPLETED"), PERSON], "unknown"),
        ("completed", [PERSON, RUNNING], "working"),  # the status was read before it began
        ("running", [], "working"),
        ("running", [PERSON, RUNNING, ("agent", "Nothing.")], "working"),
        ("queued", [PERSON, RUNNING], "working"),
        ("running", [PERSON, RUNNING, ("control", "DONE", "COMPLETED")], "finished"),
        ("running", [PERSON, RUNNING, ("control", "TERMINATED", "COMPLETED")], "aborted"),
        ("running", [PERSON, RUNNING, ("control", "1: KeyError: 'x'", "COMPLETED")], "failed"),
        ("ready", [PERSON, RUNNING, ("control", "-9: Killed", "COMPLETED")], "failed"),
    ],
)
def test_the_first_look_at_a_run(status: str | None, own: list[tuple[Kind, str]], state: str) -> None:
    run = Run(10, "What is new?")
    run.look(status, rows(("agent", "old"), first=10) + rows(*own))
    assert run.state == state


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("completed", "finished"),
        ("ready", "finished"),
        ("failed", "failed"),
        ("error", "failed"),
        ("aborted", "aborted"),
        ("running", "working"),
        ("something new", "working"),
        (None, "working"),
    ],
)
def test_a_status_counts_once_the_run_began(status: str | None, state: str) -> None:
    run = Run(10, "What is new?")
    run.look("running", rows(PERSON))
    run.look(status, rows(PERSON))
    assert run.state == state


@pytest.mark.parametrize(
    ("looks", "begun", "state"),
    [
        ([("running", [])], False, "unknown"),  # the status of the dead run, the question is nowhere
        ([("running", [PERSON])], False, "unknown"),
        ([("running", [("control", "TERMINATED", "COMPLETED")])], False, "unknown"),
        ([("aborted", [PERSON])], False, "unknown"),  # the dead run's end, late
        ([("running", [PERSON, RUNNING])], True, "working"),
        ([("running", [PERSON, ("agent", "Nothing.")])], True, "working"),
        ([("completed", [PERSON])] * 2, True, "finished"),
        ([("running", [PERSON, RUNNING])] * 2 + [("failed", [PERSON, RUNNING])], True, "failed"),
    ],
)
def test_a_status_that_a_dead_run_left_says_nothing_of_the_next(
    looks: list[tuple[str, list[tuple[Kind, str]]]], begun: bool, state: str
) -> None:
    run = Run(10, "What is new?", stale=True)
    for status, own in looks:
        run.look(status, rows(*own))
    assert (run.begun, run.state) == (begun, state)


def test_a_run_that_waits_asks_what_its_row_says() -> None:
    run = Run(10, "What is new?")
    waits = rows(PERSON, RUNNING, ("control", "Which year?", "WAIT_FOR_HUMAN_INPUT"))
    run.look("running", waits)
    assert run.state == "working"
    run.look(WAITING, waits)
    assert (run.state, run.question, run.last) == ("waiting", "Which year?", 13)


def test_a_question_that_was_answered_is_not_asked_again() -> None:
    run = Run(13, "The year 2024.", arrived=True, begun=True)
    answered = rows(("person", "The year 2024."), ("control", "", "RECEIVED_HUMAN_INPUT"), first=14)
    for _ in range(UNASKED):
        run.look(WAITING, answered)
        assert run.state == "working"
    run.look(WAITING, answered)
    assert run.state == "waiting", "it waits for something, even if no row says for what"
    assert run.question


def test_a_run_shows_its_summary_only_if_it_said_nothing() -> None:
    silent, talks = (Run(10, "What is new?", begun=True) for _ in range(2))
    silent.look("completed", rows(PERSON, ("agent", '"What is new?"'), ("summary", "Little.")))
    assert silent.rest() == "Little."
    assert talks.look("completed", rows(PERSON, ("agent", "Much."), ("summary", "Little."))) == ["Much."]
    assert talks.rest() == ""


TRANSCRIPT = rows(
    PERSON,
    RUNNING,
    ("agent", '"What is new?"'),
    ("hidden", ""),
    ("agent", "First."),
    ("control", "", "OF_TOMORROW"),
    ("agent", "What is new?"),
    ("agent", "Second."),
    ("summary", "Both."),
    ("control", "DONE", "COMPLETED"),
)


@given(st.lists(st.tuples(st.integers(0, len(TRANSCRIPT)), st.sampled_from([None, "running"])), max_size=12))
def test_whenever_it_looks_it_shows_the_same(looks: list[tuple[int, str | None]]) -> None:
    run = Run(10, "What is new?")
    shown = []
    for upto, status in sorted(looks, key=lambda look: look[0]):
        shown += run.look(status, TRANSCRIPT[:upto])
    shown += run.look("completed", TRANSCRIPT)
    assert shown == ["First.", "What is new?", "Second."]
    assert run.state == "finished"


# --- settings, prefixes, chats ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        {},
        {"from_type": "project"},
        {"from_type": "flow", "from_project": 3},
        {"from_type": "template", "from_flow": 3},
    ],
)
def test_a_source_needs_its_id(source: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="needs from_"):
        Agentok.Settings.model_validate({"base_url": "http://localhost", "api_key": "k", **source})


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/"])
async def test_the_prefix_is_found_once_and_kept(world: AgentokWorld, ending: str) -> None:
    asked: list[str] = []

    async def note(request: httpx.Request) -> None:
        asked.append(request.url.path)

    async with create_client() as client:
        client.event_hooks = {"request": [note]}
        agent = agent_of(world, client, base_url=world.url + ending)
        await agent.conversations()
        await agent.conversations()
    known = f"{backend_of(world).prefix}/chats"
    assert asked in ([known, known], ["/v1/chats", known, known])


async def test_a_chat_that_is_not_there_tells_the_prefix_too(seen: AgentokWorld) -> None:
    async with create_client() as client:
        agent = agent_of(seen, client)
        with pytest.raises(NotFound):
            await hear(agent.ask("4711", QUESTION))
        assert (await hear(agent.ask(None, QUESTION))).text


async def test_a_chat_of_a_template(seen: AgentokWorld) -> None:
    async with create_client() as client:
        agent = agent_of(seen, client, from_type="template", from_template=SOURCE)
        heard = await hear(agent.ask(None, QUESTION))
        assert await agent.conversations() == [heard.conversation]
        assert await seen.agent().conversations() == [], "those of the project are others"


async def test_where_nothing_can_be_deleted_a_chat_is_forgotten_here(seen: AgentokWorld) -> None:
    agent = seen.agent()
    heard = await hear(agent.ask(None, QUESTION))
    assert heard.conversation
    await agent.delete(heard.conversation)
    with pytest.raises(NotFound):
        await hear(agent.ask(heard.conversation, QUESTION))
    assert await agent.conversations() == []


# --- the way of a question --------------------------------------------------------------------------------------


async def test_only_the_agents_words_are_shown(seen: AgentokWorld) -> None:
    heard = await hear(seen.agent().ask(None, QUESTION))
    assert heard.text.startswith("You asked:")
    assert "__STATUS" not in heard.text
    assert "calendar" not in heard.text
    assert heard.text.count("You asked:") == 1


async def test_an_old_status_does_not_end_a_run_that_has_not_begun(world: AgentokWorld) -> None:
    backend = backend_of(world)
    first = await hear(world.agent().ask(None, QUESTION))
    backend.may_start.clear()
    heard = asyncio.create_task(hear(world.agent().ask(first.conversation, Message("turn-2", "And then?"))))
    before = backend.times()["status"]
    await eventually(lambda: backend.times()["status"] > before + 5)
    assert not heard.done()
    backend.may_start.set()
    assert "And then?" in (await heard).text
    assert world.asked() == 2


async def test_a_question_waits_for_the_run_before_it(
    world: AgentokWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agentok, "QUIET", 1_000)
    backend = backend_of(world)
    world.hold()
    conversation = await left_running(world)
    heard = asyncio.create_task(hear(world.agent().ask(conversation, Message("turn-2", "And then?"))))
    before = backend.times()["status"]
    await eventually(lambda: backend.times()["status"] > before + 3)
    assert world.asked() == 1
    world.release()
    assert "And then?" in (await heard).text
    assert world.violations() == []


async def test_a_run_that_never_ends_lets_no_question_through(
    world: AgentokWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agentok, "BUSY", 0.1)
    monkeypatch.setattr(agentok, "QUIET", 1_000)
    world.hold()
    conversation = await left_running(world)
    with pytest.raises(Rejected) as caught:
        await hear(world.agent().ask(conversation, QUESTION))
    assert "still at work" in caught.value.sentence
    assert world.asked() == 1


@pytest.mark.parametrize("dies", ["unbegun", "begun"])
async def test_a_run_that_dies_in_the_server_fails_the_turn_and_not_the_next_one(
    world: AgentokWorld, dies: Literal["unbegun", "begun"]
) -> None:
    backend = backend_of(world)
    backend.dies = dies
    agent = world.agent()
    kept: list[Event] = []
    with pytest.raises(RunFailed) as caught:
        await keep(agent.ask(None, QUESTION), kept)
    assert "ran into an error" in caught.value.sentence
    assert [event.delta for event in kept if isinstance(event, Text)] == ([FIRST_WORDS] if dies == "begun" else [])
    backend.dies = ""
    [conversation] = await agent.conversations()
    heard = await hear(agent.ask(conversation, Message("turn-2", "And then?")))
    assert "And then?" in heard.text
    assert FIRST_WORDS not in heard.text


async def test_a_run_that_dies_while_it_asks_asks_nobody(world: AgentokWorld) -> None:
    backend_of(world).dies = "begun"
    kept: list[Event] = []
    with pytest.raises(RunFailed):
        await keep(world.agent().ask(None, ASKING), kept)
    assert not any(isinstance(event, InputRequest) for event in kept)


async def test_a_status_that_stays_running_after_the_run_does_not_hold_the_turn(world: AgentokWorld) -> None:
    def stuck(row: dict[str, object]) -> dict[str, object]:
        return {**row, "status": "running"} if row["status"] != "ready" else row

    backend = backend_of(world)
    shown = backend._shown
    backend._shown = lambda chat: stuck(shown(chat))  # type: ignore[method-assign]
    backend._control = lambda chat, word, rest="": None  # type: ignore[method-assign]
    assert QUESTION.text in (await hear(world.agent().ask(None, QUESTION))).text


async def test_a_running_without_new_rows_does_not_lock_the_chat(world: AgentokWorld) -> None:
    world.hold()
    conversation = await left_running(world)
    world.release()
    backend_of(world).forget_runs()
    heard = await hear(world.agent().ask(conversation, Message("turn-2", "And then?")))
    assert "And then?" in heard.text
    assert world.asked() == 2


async def test_a_post_that_breaks_off_leaves_the_run_to_the_polls(world: AgentokWorld) -> None:
    world.hold()
    world.backend.faults.add("question", faults.drop(after=True))
    heard = asyncio.create_task(hear(world.agent().ask(None, QUESTION)))
    await eventually(lambda: world.asked() == 1)
    world.release()
    assert QUESTION.text in (await heard).text
    assert world.asked() == 1


async def test_nothing_of_a_failed_run_is_shown(seen: AgentokWorld) -> None:
    heard: list[Event] = []
    with pytest.raises(Rejected) as caught:
        await keep(seen.agent().ask(None, Message("turn-1", "Please fail.")), heard)
    assert heard
    assert not any(isinstance(event, Text) for event in heard)
    assert FAILURE not in caught.value.sentence
    assert FAILURE in str(caught.value), "the log has the reason"


async def test_an_answer_without_words_is_an_error_with_a_sentence(world: AgentokWorld) -> None:
    world.say("<think>nothing to say</think>")
    with pytest.raises(ProtocolError) as caught:
        await hear(world.agent().ask(None, QUESTION))
    assert "without an answer" in caught.value.sentence


# --- stopping ---------------------------------------------------------------------------------------------------


async def test_an_aborted_run_is_said_to_be_stopped(world: AgentokWorld) -> None:
    world.hold()
    heard = asyncio.create_task(hear(world.agent().ask(None, QUESTION)))
    await eventually(lambda: world.asked() == 1)
    [conversation] = await world.agent().conversations()
    await world.agent().cancel(conversation, Checkpoint(conversation))
    with pytest.raises(Rejected) as caught:
        await heard
    assert "stopped" in caught.value.sentence


async def test_stopping_what_does_not_run_does_no_harm(world: AgentokWorld) -> None:
    heard = await hear(world.agent().ask(None, QUESTION))
    assert heard.conversation
    await world.agent().cancel(heard.conversation, heard.checkpoints[-1])


# --- questions of a run -----------------------------------------------------------------------------------------


async def test_the_answer_of_a_person_goes_to_the_waiting_run(world: AgentokWorld) -> None:
    asked = await hear(world.agent().ask(None, ASKING))
    assert asked.events[-1] == InputRequest("Which year do you mean?")
    answered = await hear(world.agent().ask(asked.conversation, ANSWER, resume=asked.checkpoints[-1]))
    assert backend_of(world).answers == [ANSWER.text]
    assert "2024" in answered.text
    assert world.asked() == 1


async def test_an_answer_that_was_lost_on_its_way_back_is_not_given_again(world: AgentokWorld) -> None:
    asked = await hear(world.agent().ask(None, ASKING))
    world.backend.faults.add("input", faults.drop(after=True), times=9)
    answered = await hear(world.agent().ask(asked.conversation, ANSWER, resume=asked.checkpoints[-1]))
    assert "2024" in answered.text
    assert backend_of(world).answers == [ANSWER.text]


async def test_an_answer_that_may_not_have_arrived_is_uncertain(world: AgentokWorld) -> None:
    asked = await hear(world.agent().ask(None, ASKING))
    world.backend.faults.add("input", faults.drop(), times=9)
    with pytest.raises(Uncertain):
        await hear(world.agent().ask(asked.conversation, ANSWER, resume=asked.checkpoints[-1]))
    assert backend_of(world).answers == []


async def test_an_answer_to_a_run_that_died_is_rejected(world: AgentokWorld) -> None:
    asked = await hear(world.agent().ask(None, ASKING))
    backend_of(world).forget_runs()
    with pytest.raises(Rejected) as caught:
        await hear(world.agent().ask(asked.conversation, ANSWER, resume=asked.checkpoints[-1]))
    assert "no longer waits" in caught.value.sentence
    assert world.asked() == 1


async def test_a_new_message_answers_a_run_that_waits(world: AgentokWorld) -> None:
    asked = await hear(world.agent().ask(None, ASKING))
    answered = await hear(world.agent().ask(asked.conversation, ANSWER))
    assert backend_of(world).answers == [ANSWER.text]
    assert "2024" in answered.text
    assert world.asked() == 1


async def test_a_new_message_is_asked_where_the_waiting_run_died(world: AgentokWorld) -> None:
    asked = await hear(world.agent().ask(None, ASKING))
    backend_of(world).forget_runs()
    heard = await hear(world.agent().ask(asked.conversation, QUESTION))
    assert QUESTION.text in heard.text
    assert world.asked() == 2


async def test_an_answer_of_several_lines_answers_one_question(world: AgentokWorld) -> None:
    backend_of(world).asks_more = ["Which month?"]
    asked = await hear(world.agent().ask(None, ASKING))
    several = Message("turn-2", "The year 2024,\n\n  or so.\r\nMaybe.\u2028Yes.")
    again = await hear(world.agent().ask(asked.conversation, several, resume=asked.checkpoints[-1]))
    assert backend_of(world).answers == ["The year 2024, or so. Maybe. Yes."]
    assert again.events[-1] == InputRequest("Which month?")
    assert "2024" not in again.text, "its echo isn't the agent's words"
    third = Message("turn-3", "May")
    heard = await hear(world.agent().ask(asked.conversation, third, resume=again.checkpoints[-1]))
    assert "“May”" in heard.text
    assert world.violations() == []


async def test_an_answer_that_is_too_long_for_a_line_is_not_given(world: AgentokWorld) -> None:
    asked = await hear(world.agent().ask(None, ASKING))
    endless = Message("turn-2", "x" * MAX_LINE + "\ny")
    with pytest.raises(Rejected) as caught:
        await hear(world.agent().ask(asked.conversation, endless, resume=asked.checkpoints[-1]))
    assert "shorten" in caught.value.sentence
    assert backend_of(world).answers == []


# --- each request -----------------------------------------------------------------------------------------------


@pytest.fixture
async def alone() -> AsyncIterator[tuple[respx.MockRouter, Agentok]]:
    """An agent whose requests are answered one by one."""
    router = respx.MockRouter(base_url="http://agentok.example", assert_all_called=False)
    async with create_client(transport=httpx.MockTransport(router.async_handler)) as client:
        settings = {"base_url": "http://agentok.example", "api_key": "k", **SOURCES["project"]}
        yield router, Agentok(Agentok.Settings.model_validate(settings), client)


CHAT, MESSAGES = "/v1/chats/4", "/v1/chats/4/messages"
ASKED = [{"id": 7, "type": "user", "content": QUESTION.text}]
ANSWERED: list[Any] = [
    *ASKED,
    None,
    {"id": None, "content": "lost"},
    {"id": 9, "type": "assistant", "content": "Nothing."},
    {"id": 10, "type": "assistant", "content": "__STATUS_COMPLETED__ DONE"},
    [],
]


@pytest.mark.parametrize("step", ["begin", "wait"])
@pytest.mark.parametrize("place", [CHAT, MESSAGES])
@pytest.mark.parametrize("odd", ODD_ANSWERS)
async def test_a_poll_survives_an_odd_answer(
    alone: tuple[respx.MockRouter, Agentok], odd: bytes, place: str, step: str
) -> None:
    router, agent = alone
    replies = {CHAT: {"id": 4, "status": "completed"}, MESSAGES: ANSWERED if step == "wait" else []}
    asked = asyncio.Event()

    async def post(_: httpx.Request) -> httpx.Response:
        asked.set()
        return httpx.Response(200, json=None)

    def look(path: str) -> Callable[[httpx.Request], httpx.Response]:
        odd_once = [odd] if path == place else []

        def answer(_: httpx.Request) -> httpx.Response:
            if odd_once:
                return httpx.Response(200, content=odd_once.pop())
            return httpx.Response(200, json=ANSWERED if asked.is_set() and path == MESSAGES else replies[path])

        return answer

    router.post(MESSAGES).mock(side_effect=post)
    for path in (CHAT, MESSAGES):
        router.get(path).mock(side_effect=look(path))
    checkpoint = Checkpoint("4", {"step": step, "mark": 0})
    heard = await hear(agent.ask("4", QUESTION, resume=checkpoint))
    assert heard.text == "Nothing."
    assert asked.is_set() == (step == "begin")


@pytest.mark.parametrize("status", [502, 503, 429])
async def test_before_the_question_an_outage_is_the_callers(
    alone: tuple[respx.MockRouter, Agentok], status: int
) -> None:
    router, agent = alone
    looks = router.get(CHAT).respond(status)
    with pytest.raises((Unavailable, RateLimited)):
        await hear(agent.ask("4", QUESTION))
    assert looks.call_count <= ATTEMPTS


async def test_a_chat_is_given_up_on_after_looks_without_a_new_row(
    alone: tuple[respx.MockRouter, Agentok], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "LONGEST", 0.01)
    router, agent = alone
    talk = [{"id": number, "type": "assistant", "content": "Hm."} for number in range(1, 6)]
    rows = [talk[:1]] * QUIET + [talk] * (QUIET + 1)  # one more look would have been too many
    looks = router.get(MESSAGES).mock(side_effect=[httpx.Response(200, json=found) for found in rows])
    router.get(CHAT).respond(json={"id": 4, "status": "running"})
    events = agent.ask("4", QUESTION)
    checkpoints = [await anext(events), await anext(events)]
    assert checkpoints[1] == Checkpoint("4", {"step": "ask", "mark": 5, "stale": True})
    assert looks.call_count == len(rows)
    await close(events)


async def test_a_run_that_died_is_waited_for_while_rows_come(alone: tuple[respx.MockRouter, Agentok]) -> None:
    router, agent = alone
    router.get(CHAT).respond(json={"id": 4, "status": "running"})
    router.post("/v1/chats").respond(json={"id": 4, "status": None})
    router.post(MESSAGES).respond(500)
    talk = [{"id": number, "type": "assistant", "content": f"{number}."} for number in range(8, 12)]
    rows = [[*ASKED, *talk[:1]], *[[*ASKED, *talk[:2]]] * OVER, *[[*ASKED, *talk]] * (OVER + 1)]
    looks = router.get(MESSAGES).mock(side_effect=[httpx.Response(200, json=found) for found in rows])
    kept: list[Event] = []
    with pytest.raises(RunFailed, match="500"):
        await keep(agent.ask(None, QUESTION), kept)
    assert looks.call_count == len(rows)
    assert "".join(event.delta for event in kept if isinstance(event, Text)).split() == ["8.", "9.", "10.", "11."]


@pytest.mark.parametrize("later", [False, True])
async def test_a_turn_sends_no_request_that_it_can_do_without(world: AgentokWorld, later: bool) -> None:
    backend = backend_of(world)
    backend.pace = 0
    agent = world.agent()
    await agent.conversations()  # the prefix is found once
    first = await hear(agent.ask(None, QUESTION)) if later else None
    backend.calls.clear()
    await hear(agent.ask(first.conversation if first else None, Message("turn-2", "And then?")))
    before = ["status", "messages"] if later else ["create"]
    assert backend.calls[: len(before)] == before
    rest = backend.calls[len(before) :]  # the chat is polled while the question is still on its way
    assert rest.count("question") == 1
    assert set(rest) == {"question", "status", "messages"}


# --- settings ---------------------------------------------------------------------------------------------------


async def test_a_source_that_is_not_there_is_a_wrong_setting_and_says_so(world: AgentokWorld) -> None:
    kind = backend_of(world).kinds[0]
    async with create_client() as client:
        with pytest.raises(Rejected) as caught:
            await hear(agent_of(world, client, **{f"from_{kind}": 99}).ask(None, QUESTION))
    assert "isn't set up correctly" in caught.value.sentence


async def test_settings_that_can_work_are_confirmed_without_a_trace(world: AgentokWorld) -> None:
    agent = world.agent()
    assert isinstance(agent, Checks)
    kind = backend_of(world).kinds[0]
    assert await agent.check() == f"key accepted; chats of {kind} {SOURCE} so far: 0"
    await hear(agent.ask(None, QUESTION))
    assert await agent.check() == f"key accepted; chats of {kind} {SOURCE} so far: 1"


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, "", AuthenticationFailed),
        (403, "", AuthenticationFailed),
        (404, '{"detail": "Not Found"}', NotFound),
        (404, "<html>", NotFound),
        (200, "<html>", ProtocolError),
        (500, "Internal Server Error", Unavailable),
        (418, "", Rejected),
    ],
)
async def test_what_speaks_against_the_settings_is_told(
    alone: tuple[respx.MockRouter, Agentok], status: int, body: str, error: type[AgentError]
) -> None:
    router, agent = alone
    router.get(path__in=("/v1/chats", "/chats")).respond(status, text=body)
    with pytest.raises(error):
        await agent.check()


# --- helpers ----------------------------------------------------------------------------------------------------


def agent_of(world: AgentokWorld, client: httpx.AsyncClient, **more: object) -> Agentok:
    source = SOURCES[backend_of(world).kinds[0]]
    settings = {"base_url": world.url, "api_key": world.key, **source, **more}
    return Agentok(Agentok.Settings.model_validate(settings), client)


async def keep(events: AsyncIterator[Event], kept: list[Event]) -> None:
    async for event in events:
        kept.append(event)


async def left_running(world: AgentokWorld) -> str:
    """Ask, and leave while the run goes on; the conversation."""
    task = asyncio.create_task(hear(world.agent().ask(None, QUESTION)))
    await eventually(lambda: world.asked() == 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    [conversation] = await world.agent().conversations()
    return conversation


def row(number: int, content: str = "", info: object = None, **more: Any) -> ChatRow:
    metadata = {"tool_info": info} if info else {}
    return read_row({"id": number, "type": "assistant", "content": content, "metadata": metadata, **more})


def test_calls_of_tools_are_steps_and_what_they_return_is_not_shown() -> None:
    work = Work()
    call = row(1, "x", {"type": "suggested_tool_call", "meta": "c1", "tool": "get_tides"}, sender="Sea_expert")
    assert list(work.look([call])) == [Step("tool-c1", "Get tides", detail="Sea expert")]
    answer = row(2, "the password", {"type": "tool_response", "meta": "c1"})
    assert list(work.look([call, answer])) == [Step("tool-c1", "Get tides", StepState.DONE, "Sea expert")]
    unknown = row(3, "the password", {"type": "tool_response", "meta": "c9"})
    assert list(work.look([call, answer, unknown])) == []


@pytest.mark.parametrize(
    "info", ["odd", {"type": "suggested_tool_call"}, {"type": "suggested_tool_call", "tool": ""}]
)
def test_an_odd_call_is_a_step_without_a_name(info: object) -> None:
    steps = list(Work().look([row(1, "x", info)]))
    assert steps in ([], [Step("tool-1", "Tool")])


def test_what_agents_tell_each_other_is_a_step_and_what_they_tell_the_person_is_none() -> None:
    rows = [
        row(1, "First the tides.\nThen the moon.", sender="Planner", receiver="chat_manager"),
        row(2, "It is high.", sender="Planner", receiver="User"),
        row(3, "Hello", sender="User", receiver="Planner"),
        row(4, "Hello"),
    ]
    assert list(Work().look(rows)) == [Step("row-1", "Planner", StepState.DONE, "First the tides.")]
