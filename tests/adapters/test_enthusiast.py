from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx

from adapters import enthusiast
from adapters.base import (
    AgentError,
    AuthenticationFailed,
    Checkpoint,
    Checks,
    Message,
    NotFound,
    ProtocolError,
    Rejected,
    RunFailed,
    Status,
    Uncertain,
)
from adapters.enthusiast import HISTORY_EVERY, Enthusiast, HistoryRow, answer_in, answered_in, highest
from adapters.http.service import create_client
from adapters.testing import (
    AdapterContract,
    HistoryContract,
    ListsContract,
    PolledContract,
    RatesContract,
    UploadContract,
    attachment,
    hear,
)
from adapters.testing.backends import faults
from adapters.testing.backends.enthusiast import (
    AGENT,
    AGENT_NAME,
    DATA_SET,
    OTHER_DATA_SET,
    EnthusiastBackend,
    Version,
)
from adapters.testing.backends.world import PACE, BackendWorld, world_of
from tests.adapters.odd import ODD_ANSWERS
from tests.e2e.waiting import eventually

OPERATIONS = {"question": ("question",), "answer": ("status", "history"), "rating": ("feedback",)}
UPLOADS = {"upload": ("upload",)}

EnthusiastWorld = BackendWorld[Enthusiast]


SETTINGS: dict[Version, dict[str, Any]] = {
    "1.0": {"data_set_id": DATA_SET},
    "1.2": {"data_set_id": DATA_SET, "agent": AGENT_NAME},
    "1.4": {"data_set_id": DATA_SET, "agent_id": AGENT},
}


async def worlds(version: Version) -> AsyncIterator[EnthusiastWorld]:
    backend = EnthusiastBackend(version=version, pace=PACE)

    def make(url: str, client: httpx.AsyncClient) -> Enthusiast:
        settings = {"base_url": url, "api_key": backend.key, **SETTINGS[version]}
        return Enthusiast(Enthusiast.Settings.model_validate(settings), client)

    operations = {**OPERATIONS, **UPLOADS} if version == "1.4" else OPERATIONS
    async with world_of(backend, make, operations) as world:
        yield world


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enthusiast, "ARRIVAL", 0.15)


class TestVersion10(AdapterContract, PolledContract, HistoryContract, ListsContract, RatesContract):
    @pytest.fixture
    async def world(self) -> AsyncIterator[EnthusiastWorld]:
        async for world in worlds("1.0"):
            yield world


class TestVersion12(AdapterContract, PolledContract, HistoryContract, ListsContract, RatesContract):
    @pytest.fixture
    async def world(self) -> AsyncIterator[EnthusiastWorld]:
        async for world in worlds("1.2"):
            yield world


class TestVersion14(
    AdapterContract, PolledContract, UploadContract, HistoryContract, ListsContract, RatesContract
):
    @pytest.fixture
    async def world(self) -> AsyncIterator[EnthusiastWorld]:
        async for world in worlds("1.4"):
            yield world


@pytest.fixture(params=["1.0", "1.2", "1.4"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[EnthusiastWorld]:
    async for world in worlds(request.param):
        yield world


pytestmark = pytest.mark.usefixtures("quickly")


def backend_of(world: EnthusiastWorld) -> EnthusiastBackend:
    assert isinstance(world.backend, EnthusiastBackend)
    return world.backend


QUESTION = Message("turn-1", "What is new?")


# --- rows -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "author"),
    [
        ({"id": 1, "type": "human"}, "person"),
        ({"id": 1, "type": "ai"}, "agent"),
        ({"id": 1, "type": "system"}, "failure"),
        ({"id": 1, "type": "file", "text": None}, "other"),
        ({"id": 1, "type": "widget", "text": ""}, "other"),
        ({"id": 1, "role": "user"}, "person"),
        ({"id": 1, "role": "agent"}, "agent"),
        ({"id": 1, "role": "agent_error"}, "failure"),
        ({"id": 1, "type": "ai", "role": "user"}, "agent"),
        ({"id": 1}, "other"),
    ],
)
def test_the_author_of_a_row(row: dict[str, object], author: str) -> None:
    assert HistoryRow.model_validate(row).author == author


def test_the_answer_is_all_that_the_agent_wrote() -> None:
    texts = ["first", "<think>hm</think>", "", "second <think>left open"]
    rows = [HistoryRow(id=n, type="ai", text=text) for n, text in enumerate(texts, 4)]
    assert answer_in([HistoryRow(id=3, type="human", text="why"), *rows]) == "first\n\nsecond"
    assert highest(rows) == 7
    assert highest([]) == 0


# --- the way of a question --------------------------------------------------------------------------------------


async def test_a_locked_conversation_is_left_for_a_new_one(world: EnthusiastWorld) -> None:
    first = await hear(world.agent().ask(None, QUESTION))
    assert first.conversation
    backend_of(world).locked.add(first.conversation)
    second = await hear(world.agent().ask(first.conversation, QUESTION))
    assert second.conversation not in {None, first.conversation}
    assert any(isinstance(event, Status) for event in second.events)
    assert second.text
    assert world.asked() == 2


async def test_a_lock_that_comes_with_each_new_conversation_is_an_error(world: EnthusiastWorld) -> None:
    world.backend.faults.add("question", faults.refuse(400, b'{"detail": "Conversation locked."}'), times=9)
    with pytest.raises(Rejected, match="locked"):
        await hear(world.agent().ask(None, QUESTION))
    assert world.backend.times()["question"] == 1


@pytest.mark.parametrize("working", ["PENDING", "STARTED", "RETRY", "SOMETHING_NEW"])
async def test_a_state_that_is_no_end_is_waited_out(world: EnthusiastWorld, working: str) -> None:
    backend = backend_of(world)
    backend.working = working
    world.hold()
    heard = asyncio.create_task(hear(world.agent().ask(None, QUESTION)))
    await eventually(lambda: backend.times()["status"] >= 6)
    assert not heard.done()
    world.release()
    assert QUESTION.text in (await heard).text


@pytest.mark.parametrize("end", ["FAILURE", "REVOKED"])
async def test_a_task_that_ends_badly_is_rejected(world: EnthusiastWorld, end: str) -> None:
    backend_of(world).working = end
    world.hold()
    with pytest.raises(RunFailed, match=end) as caught:
        await hear(world.agent().ask(None, QUESTION))
    assert "ran into an error" in caught.value.sentence


async def test_a_task_that_the_server_forgot_is_answered_by_the_history(world: EnthusiastWorld) -> None:
    backend_of(world).forgets = True
    assert QUESTION.text in (await hear(world.agent().ask(None, QUESTION))).text
    assert world.asked() == 1


async def test_a_failure_shows_in_the_history_too(world: EnthusiastWorld) -> None:
    world.backend.faults.add("question", faults.drop(after=True))
    with pytest.raises(RunFailed):
        await hear(world.agent().ask(None, Message("turn-1", "Please fail.")))
    assert world.asked() == 1


async def test_a_question_without_a_trace_is_uncertain(world: EnthusiastWorld) -> None:
    heard = await hear(world.agent().ask(None, QUESTION))
    checkpoint = Checkpoint(heard.conversation, {"step": "ask", "mark": 1_000})
    with pytest.raises(Uncertain):
        await hear(world.agent().ask(None, QUESTION, resume=checkpoint))
    assert world.asked() == 1


async def test_the_address_of_a_task_needs_no_redirect(world: EnthusiastWorld) -> None:
    await hear(world.agent().ask(None, QUESTION))
    assert world.backend.times()["status"]
    assert not world.backend.times()["status redirect"]


async def test_an_answer_without_words_is_an_error_with_a_sentence(world: EnthusiastWorld) -> None:
    world.say("<think>nothing to say</think>")
    with pytest.raises(ProtocolError) as caught:
        await hear(world.agent().ask(None, QUESTION))
    assert "without an answer" in caught.value.sentence


async def test_a_conversation_that_is_not_there(world: EnthusiastWorld) -> None:
    with pytest.raises(NotFound):
        await hear(world.agent().ask("4711", QUESTION))
    assert world.asked() == 0


# --- each request ------------------------------------------------------------------------------------------------


@pytest.fixture
async def alone() -> AsyncIterator[tuple[respx.MockRouter, Enthusiast]]:
    """An agent whose requests are answered one by one."""
    router = respx.MockRouter(base_url="http://enthusiast.example")
    async with create_client(transport=httpx.MockTransport(router.async_handler)) as client:
        settings = {"base_url": "http://enthusiast.example", "api_key": "k", "data_set_id": DATA_SET}
        yield router, Enthusiast(Enthusiast.Settings.model_validate(settings), client)


def history_of(*texts: str) -> httpx.Response:
    rows: list[dict[str, Any]] = [{"id": 5, "type": "human", "text": QUESTION.text}]
    rows += [{"id": number, "type": "ai", "text": text} for number, text in enumerate(texts, 6)]
    return httpx.Response(200, json={"history": rows})


async def test_without_a_task_an_answer_counts_once_two_looks_show_the_same(
    alone: tuple[respx.MockRouter, Enthusiast],
) -> None:
    router, agent = alone
    looks = [
        history_of(),
        history_of(),
        history_of("One."),
        history_of("One.", "Two."),
        history_of("One.", "Two."),
    ]
    history = router.get("/api/conversations/4").mock(side_effect=looks)
    heard = await hear(agent.ask("4", QUESTION, resume=Checkpoint("4", {"step": "ask", "mark": 4})))
    assert heard.text == "One.\n\nTwo."
    assert history.call_count == len(looks)


async def test_the_history_is_looked_at_rarely_while_there_is_a_task(
    alone: tuple[respx.MockRouter, Enthusiast],
) -> None:
    router, agent = alone
    task = router.get("/api/task_status/t1/").mock(return_value=httpx.Response(200, json={"state": "PENDING"}))
    looks = [history_of("One."), history_of("One.", "Two."), history_of("One.", "Two.")]
    history = router.get("/api/conversations/4").mock(side_effect=looks)
    checkpoint = Checkpoint("4", {"step": "wait", "mark": 4, "task": "t1"})
    assert (await hear(agent.ask("4", QUESTION, resume=checkpoint))).text == "One.\n\nTwo."
    assert (task.call_count, history.call_count) == (3 * HISTORY_EVERY, 3)


TASK, HISTORY, UPLOADED = "/api/task_status/t1/", "/api/conversations/4", "/api/file-upload-status/u1/"


@pytest.mark.parametrize("place", [TASK, HISTORY, UPLOADED])
@pytest.mark.parametrize("odd", ODD_ANSWERS)
async def test_a_poll_survives_an_odd_answer(
    alone: tuple[respx.MockRouter, Enthusiast], tmp_path: Path, place: str, odd: bytes
) -> None:
    router, agent = alone
    router.post("/api/conversations/4/upload/").respond(202, json={"task_id": "u1"})
    router.post(HISTORY).respond(202, json={"task_id": "t1"})
    read = {"status": "SUCCESS", "result": {"status": "SUCCESS", "file_id": 1}}
    answers = {
        UPLOADED: [httpx.Response(200, json=read)],
        TASK: [httpx.Response(200, json={"state": "SUCCESS"})],
        HISTORY: [history_of("One.")] if place == HISTORY else [history_of(), history_of("One.")],
    }
    answers[place].insert(0, httpx.Response(200, content=odd))
    for path, replies in answers.items():
        router.get(path).mock(side_effect=replies + replies[-1:])
    message = Message("turn-1", "What is new?", (attachment(tmp_path),))
    before = Checkpoint("4", {"step": "begin", "mark": 5})
    if place == HISTORY:
        before = Checkpoint("4", {"step": "wait", "mark": 5, "task": "t1"})
    assert (await hear(agent.ask("4", message, resume=before))).text == "One."


async def test_a_row_that_is_odd_costs_no_other(alone: tuple[respx.MockRouter, Enthusiast]) -> None:
    router, agent = alone
    rows: list[Any] = [
        None,
        {"id": 5, "type": "human", "text": "Why?"},
        [],
        {"id": None},
        {"id": 6, "type": "ai", "text": "So."},
    ]
    rows += [{"id": 7, "type": {"odd": 1}, "text": 3}]
    router.get(HISTORY).respond(json={"history": rows})
    assert [row.text for row in await agent.history("4")] == ["Why?", "So."]


@pytest.mark.parametrize("later", [False, True])
async def test_a_turn_sends_no_request_that_it_can_do_without(world: EnthusiastWorld, later: bool) -> None:
    backend = backend_of(world)
    backend.pace = 0
    first = await hear(world.agent().ask(None, QUESTION)) if later else None
    backend.calls.clear()
    await hear(world.agent().ask(first.conversation if first else None, QUESTION))
    before = ["history"] if later else ["create"]
    assert backend.calls == [*before, "question", "status", "history"]


# --- files and lists --------------------------------------------------------------------------------------------


async def test_a_file_type_that_it_does_not_take_is_named(tmp_path: Path) -> None:
    async for world in worlds("1.4"):
        sent = attachment(tmp_path, "budget.docx")
        with pytest.raises(Rejected) as caught:
            await hear(world.agent().ask(None, Message("turn-1", "Read this.", (sent,))))
        assert "budget.docx" in caught.value.sentence
        assert world.asked() == 0


async def test_a_file_that_it_cannot_read_is_said_so(tmp_path: Path) -> None:
    async for world in worlds("1.4"):
        backend_of(world).unreadable = True
        with pytest.raises(Rejected, match="no text in it") as caught:
            await hear(world.agent().ask(None, Message("turn-1", "Read this.", (attachment(tmp_path),))))
        assert "couldn't read" in caught.value.sentence
        assert world.asked() == 0


async def test_a_file_alone_is_a_question_too(tmp_path: Path) -> None:
    async for world in worlds("1.4"):
        heard = await hear(world.agent().ask(None, Message("turn-1", " ", (attachment(tmp_path),))))
        assert "buy milk" in heard.text
        assert world.backend.questions[0].text == "notes.txt"


async def test_a_server_from_before_uploads_takes_no_files(tmp_path: Path) -> None:
    async for world in worlds("1.0"):
        with pytest.raises(Rejected) as caught:
            await hear(world.agent().ask(None, Message("turn-1", "Read this.", (attachment(tmp_path),))))
        assert "can't take files" in caught.value.sentence


async def test_all_pages_are_listed_newest_first(world: EnthusiastWorld) -> None:
    made = await create(world, 23)
    assert list(await world.agent().conversations()) == made[::-1]
    assert world.backend.times()["list"] == 3


async def test_conversations_of_other_agents_are_not_listed() -> None:
    async for world in worlds("1.4"):
        await create(world)
        async with create_client() as client:
            other = agent_of(world, client, agent_id=AGENT + 1)
            assert list(await other.conversations()) == []


# --- settings ---------------------------------------------------------------------------------------------------


WRONG: list[tuple[Version, dict[str, Any]]] = [
    ("1.0", {"data_set_id": 99}),
    ("1.2", {"agent": "Nobody"}),
    ("1.4", {"agent_id": 99}),
    ("1.4", {"agent_id": None}),
]


@pytest.mark.parametrize(("version", "wrong"), WRONG)
async def test_a_conversation_that_cannot_be_made_is_a_wrong_setting_and_says_so(
    version: Version, wrong: dict[str, Any]
) -> None:
    async for world in worlds(version):
        async with create_client() as client:
            with pytest.raises((NotFound, Rejected)) as caught:
                await hear(agent_of(world, client, **wrong).ask(None, QUESTION))
        assert "isn't set up correctly" in caught.value.sentence


@pytest.mark.parametrize(
    ("version", "confirmed"),
    [
        ("1.0", "key accepted; data set 3 on a server that has no agents"),
        ("1.2", "key accepted; agent 7 'Support' in data set 3"),
        ("1.4", "key accepted; agent 7 'Support' in data set 3"),
    ],
)
async def test_settings_that_can_work_are_confirmed_without_a_trace(version: Version, confirmed: str) -> None:
    async for world in worlds(version):
        agent = world.agent()
        assert isinstance(agent, Checks)
        assert await agent.check() == confirmed
        assert list(await agent.conversations()) == []
        assert world.asked() == 0


@pytest.mark.parametrize(
    ("version", "wrong", "error", "detail"),
    [
        ("1.0", {"api_key": "other"}, AuthenticationFailed, "401"),
        ("1.0", {"data_set_id": 99}, NotFound, "no data set 99"),
        ("1.2", {"api_key": "other"}, AuthenticationFailed, "401"),
        ("1.2", {"data_set_id": 99}, NotFound, "no data set 99"),
        ("1.2", {"agent": ""}, Rejected, "wants agent, the name.*'Support'"),
        ("1.2", {"agent": "Nobody"}, NotFound, "no agent 'Nobody'.*'Support'"),
        ("1.2", {"data_set_id": OTHER_DATA_SET}, NotFound, "no agent 'Support', data set 4 .*'Sales'"),
        ("1.4", {"api_key": "other"}, AuthenticationFailed, "401"),
        ("1.4", {"data_set_id": 99}, NotFound, "no data set 99"),
        ("1.4", {"agent_id": None}, Rejected, "wants agent_id.*7 'Support'"),
        ("1.4", {"agent_id": 99}, NotFound, "no agent 99"),
        ("1.4", {"agent_id": 8}, Rejected, "8 'Retired' was deleted"),
        ("1.4", {"agent_id": 9}, Rejected, "9 'Sales' belongs to data set 4"),
        ("1.4", {"base_url": "/elsewhere"}, NotFound, "no Enthusiast at this base_url"),
    ],
)
async def test_each_wrong_setting_is_told_apart(
    version: Version, wrong: dict[str, Any], error: type[AgentError], detail: str
) -> None:
    async for world in worlds(version):
        if "base_url" in wrong:
            wrong = {"base_url": world.url + wrong["base_url"]}
        async with create_client() as client:
            with pytest.raises(error, match=detail):
                await agent_of(world, client, **wrong).check()


async def test_data_sets_that_cannot_be_listed_are_said_to_be_unconfirmed() -> None:
    async for world in worlds("1.0"):
        world.backend.faults.add("data sets", faults.refuse(403))
        assert "can't be listed" in await world.agent().check()


def agent_of(world: EnthusiastWorld, client: httpx.AsyncClient, **more: Any) -> Enthusiast:
    settings = {"base_url": world.url, "api_key": world.key, **SETTINGS[backend_of(world).version], **more}
    return Enthusiast(Enthusiast.Settings.model_validate(settings), client)


async def create(world: EnthusiastWorld, count: int = 1) -> list[str]:
    body = SETTINGS[backend_of(world).version]
    async with httpx.AsyncClient(headers={"Authorization": f"Token {world.key}"}) as client:
        made = [await client.post(f"{world.url}/api/conversations", json=body) for _ in range(count)]
        return [str(created.json()["id"]) for created in made]


@pytest.mark.parametrize(
    ("authors", "rated"),
    [
        (["human", "ai"], 2),
        (["human", "ai", "ai"], 3),
        (["human", "ai", "human", "ai"], 2),
        (["human", "file", "ai", "widget", "human"], 3),
        (["ai", "human", "ai"], 1),
        (["human", "system", "human", "ai"], None),
        (["human"], None),
        ([], None),
    ],
)
def test_which_row_is_rated(authors: list[str], rated: int | None) -> None:
    rows = [HistoryRow(id=n, type=author, text="x") for n, author in enumerate(authors, 1)]
    found = answered_in(rows)
    assert (found and found.id) == rated
