from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from adapters import enthusiast
from adapters.base import Checkpoint, Message, NotFound, ProtocolError, Rejected, Status, Uncertain
from adapters.enthusiast import Enthusiast, HistoryRow, answer_in, highest
from adapters.http import polling
from adapters.http.service import create_client
from adapters.testing import (
    AdapterContract,
    HistoryContract,
    ListsContract,
    PolledContract,
    UploadContract,
    attachment,
    hear,
)
from adapters.testing.backends import faults
from adapters.testing.backends.enthusiast import AGENT, DATA_SET, EnthusiastBackend, Form
from adapters.testing.backends.world import PACE, BackendWorld, world_of

OPERATIONS = {"question": ("question",), "answer": ("status", "history")}
UPLOADS = {"upload": ("upload",)}

EnthusiastWorld = BackendWorld[Enthusiast]


async def worlds(form: Form) -> AsyncIterator[EnthusiastWorld]:
    backend = EnthusiastBackend(form=form, pace=PACE)

    def make(url: str, client: httpx.AsyncClient) -> Enthusiast:
        settings = {"base_url": url, "api_key": backend.key, "data_set_id": DATA_SET, "agent_id": AGENT}
        return Enthusiast(Enthusiast.Settings.model_validate(settings), client)

    operations = {**OPERATIONS, **UPLOADS} if form == "new" else OPERATIONS
    async with world_of(backend, make, operations) as world:
        yield world


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enthusiast, "ARRIVAL", 0.15)


class TestNewServer(AdapterContract, PolledContract, UploadContract, HistoryContract, ListsContract):
    @pytest.fixture
    async def world(self) -> AsyncIterator[EnthusiastWorld]:
        async for world in worlds("new"):
            yield world


class TestOldServer(AdapterContract, PolledContract, HistoryContract, ListsContract):
    @pytest.fixture
    async def world(self) -> AsyncIterator[EnthusiastWorld]:
        async for world in worlds("old"):
            yield world


@pytest.fixture(params=["new", "old"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[EnthusiastWorld]:
    async for world in worlds(request.param):
        yield world


@pytest.fixture(autouse=True)
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "FIRST", 0.01)
    monkeypatch.setattr(polling, "LONGEST", 0.05)


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
    await until(lambda: backend.times()["status"] >= 6)
    assert not heard.done()
    world.release()
    assert QUESTION.text in (await heard).text


@pytest.mark.parametrize("end", ["FAILURE", "REVOKED"])
async def test_a_task_that_ends_badly_is_rejected(world: EnthusiastWorld, end: str) -> None:
    backend_of(world).working = end
    world.hold()
    with pytest.raises(Rejected, match=end):
        await hear(world.agent().ask(None, QUESTION))


async def test_a_task_that_the_server_forgot_is_answered_by_the_history(world: EnthusiastWorld) -> None:
    backend_of(world).forgets = True
    assert QUESTION.text in (await hear(world.agent().ask(None, QUESTION))).text
    assert world.asked() == 1


async def test_a_failure_shows_in_the_history_too(world: EnthusiastWorld) -> None:
    world.backend.faults.add("question", faults.drop(after=True))
    with pytest.raises(Rejected):
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


# --- files and lists --------------------------------------------------------------------------------------------


async def test_a_file_type_that_it_does_not_take_is_named(tmp_path: Path) -> None:
    async for world in worlds("new"):
        sent = attachment(tmp_path, "budget.docx")
        with pytest.raises(Rejected) as caught:
            await hear(world.agent().ask(None, Message("turn-1", "Read this.", (sent,))))
        assert "budget.docx" in caught.value.sentence
        assert world.asked() == 0


async def test_a_file_that_it_cannot_read_is_said_so(tmp_path: Path) -> None:
    async for world in worlds("new"):
        backend_of(world).unreadable = True
        with pytest.raises(Rejected, match="no text in it") as caught:
            await hear(world.agent().ask(None, Message("turn-1", "Read this.", (attachment(tmp_path),))))
        assert "couldn't read" in caught.value.sentence
        assert world.asked() == 0


async def test_a_file_alone_is_a_question_too(tmp_path: Path) -> None:
    async for world in worlds("new"):
        heard = await hear(world.agent().ask(None, Message("turn-1", " ", (attachment(tmp_path),))))
        assert "buy milk" in heard.text
        assert world.backend.questions[0].text == "notes.txt"


async def test_a_server_from_before_uploads_takes_no_files(tmp_path: Path) -> None:
    async for world in worlds("old"):
        with pytest.raises(Rejected) as caught:
            await hear(world.agent().ask(None, Message("turn-1", "Read this.", (attachment(tmp_path),))))
        assert "can't take files" in caught.value.sentence


async def test_all_pages_are_listed_newest_first(world: EnthusiastWorld) -> None:
    made = await create(world, 23)
    assert list(await world.agent().conversations()) == made[::-1]
    assert world.backend.times()["list"] == 3


async def test_conversations_of_other_agents_are_not_listed() -> None:
    async for world in worlds("new"):
        await create(world)
        async with create_client() as client:
            other = agent_of(world, client, agent_id=AGENT + 1)
            assert list(await other.conversations()) == []


async def test_an_agent_that_the_server_does_not_know() -> None:
    async for world in worlds("new"):
        async with create_client() as client:
            with pytest.raises(Rejected, match="agent_id"):
                await hear(agent_of(world, client).ask(None, QUESTION))
            with pytest.raises(NotFound):
                await hear(agent_of(world, client, agent_id=99).ask(None, QUESTION))


def agent_of(world: EnthusiastWorld, client: httpx.AsyncClient, **more: int) -> Enthusiast:
    settings = {"base_url": world.url, "api_key": world.key, "data_set_id": DATA_SET, **more}
    return Enthusiast(Enthusiast.Settings.model_validate(settings), client)


async def create(world: EnthusiastWorld, count: int = 1) -> list[str]:
    body = {"data_set_id": DATA_SET, "agent_id": AGENT}
    async with httpx.AsyncClient(headers={"Authorization": f"Token {world.key}"}) as client:
        made = [await client.post(f"{world.url}/api/conversations", json=body) for _ in range(count)]
        return [str(created.json()["id"]) for created in made]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
