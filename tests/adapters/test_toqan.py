from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
import respx

import adapters.http.polling
from adapters.base import (
    AgentError,
    Attachment,
    AuthenticationFailed,
    Checkpoint,
    Checks,
    Message,
    NotFound,
    ProtocolError,
    Rejected,
    RunFailed,
    Text,
    Unavailable,
    Uncertain,
)
from adapters.http.service import create_client
from adapters.testing import (
    AdapterContract,
    FilesContract,
    HistoryContract,
    PolledContract,
    UploadContract,
    attachment,
    fetch,
    hear,
)
from adapters.testing.backends.brain import Blob
from adapters.testing.backends.faults import drop, garbage, refuse
from adapters.testing.backends.toqan import Gets, ToqanBackend
from adapters.testing.backends.world import PACE, BackendWorld, world_of
from adapters.toqan import MAX_UPLOAD, Toqan, ToqanSettings
from tests.adapters.odd import ODD_ANSWERS

OPERATIONS = {
    "question": ("create", "continue"),
    "answer": ("answer",),
    "upload": ("upload",),
    "download": ("download",),
}


@pytest.fixture
def backend() -> ToqanBackend:
    return ToqanBackend(pace=PACE)


@pytest.fixture
async def world(backend: ToqanBackend) -> AsyncIterator[BackendWorld[Toqan]]:
    def make(url: str, client: httpx.AsyncClient) -> Toqan:
        return Toqan(ToqanSettings.model_validate({"base_url": url, "api_key": backend.key}), client)

    async with world_of(backend, make, OPERATIONS) as world:
        yield world


class ToqanContract(AdapterContract, PolledContract, UploadContract, FilesContract, HistoryContract):
    gets: ClassVar[Gets]

    @pytest.fixture
    def backend(self) -> ToqanBackend:
        return ToqanBackend(gets=self.gets, pace=PACE)


class TestBodyOrQuery(ToqanContract):
    gets = "either"


class TestBodyOnly(ToqanContract):
    gets = "body"


class TestQueryOnly(ToqanContract):
    gets = "query"


pytestmark = pytest.mark.usefixtures("quickly")


def say(text: str, *attachments: Attachment) -> Message:
    return Message("turn", text, attachments)


async def test_the_address_has_a_default() -> None:
    assert ToqanSettings.model_validate({"api_key": "sk_1"}).base_url == "https://api.toqan.ai/api"


@pytest.mark.parametrize("gets", ["either", "body", "query"])
async def test_both_forms_of_get_serve(backend: ToqanBackend, world: BackendWorld[Toqan], gets: Gets) -> None:
    backend.gets = gets
    agent = world.agent()
    heard = await hear(agent.ask(None, say("a report")))
    assert heard.files
    assert await fetch(agent, heard.conversation or "", heard.files[0].ref)
    assert backend.times()["download"] == 1, "what was learned from the answers is remembered"


@pytest.mark.parametrize("status", [400, 403, 411, 413, 502])
async def test_a_get_with_a_body_that_is_refused_is_asked_by_query(
    backend: ToqanBackend, world: BackendWorld[Toqan], status: int
) -> None:
    backend.faults.add("answer", refuse(status))
    assert "plan" in (await hear(world.agent().ask(None, say("plan")))).text


async def test_an_empty_answer_is_taken_from_the_history(
    backend: ToqanBackend, world: BackendWorld[Toqan]
) -> None:
    backend.blank = True
    heard = await hear(world.agent().ask(None, say("a report of plans")))
    assert "a report of plans" in heard.text
    assert [file.name for file in heard.files] == ["report.md"]


async def test_an_unknown_status_is_still_working(backend: ToqanBackend, world: BackendWorld[Toqan]) -> None:
    backend.working = "contemplating"
    assert (await hear(world.agent().ask(None, say("plan")))).text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Q3 report é.csv", "Q3 report é.csv"),
        ("../../etc/passwd", "passwd"),
        ("100%25.txt", "100%25.txt"),
        ("a\r\nb.txt", "ab.txt"),
        ("x\u202efdp.exe", "xfdp.exe"),
    ],
)
async def test_files_with_odd_names_arrive(
    backend: ToqanBackend, world: BackendWorld[Toqan], name: str, shown: str
) -> None:
    backend.gifts.append(Blob(name, "text/plain", b"content"))
    agent = world.agent()
    heard = await hear(agent.ask(None, say("plan")))
    assert [file.name for file in heard.files] == [shown]
    assert await fetch(agent, heard.conversation or "", heard.files[0].ref) == b"content"


async def test_a_later_question_whose_answer_was_lost_is_found_in_the_history(
    backend: ToqanBackend, world: BackendWorld[Toqan]
) -> None:
    first = await hear(world.agent().ask(None, say("plan")))
    backend.faults.add("continue", drop(after=True))
    second = await hear(world.agent().ask(first.conversation, say("plan")))
    assert "question 2" in second.text
    assert backend.count() == 2


async def test_a_later_question_that_did_not_arrive_is_not_sent_again_in_the_same_breath(
    backend: ToqanBackend, world: BackendWorld[Toqan]
) -> None:
    first = await hear(world.agent().ask(None, say("plan")))
    backend.faults.add("continue", drop())
    with pytest.raises(Uncertain):
        await hear(world.agent().ask(first.conversation, say("again")))
    assert backend.count() == 1


async def test_doubt_stays_doubt_when_the_history_cannot_be_had(
    backend: ToqanBackend, world: BackendWorld[Toqan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapters.http.polling, "OUTAGE", 0)
    first = await hear(world.agent().ask(None, say("plan")))
    agent = world.agent()
    events = agent.ask(first.conversation, say("again"))
    while "after" not in (checkpoint := await anext(events)).data:  # type: ignore[union-attr]
        pass
    assert isinstance(checkpoint, Checkpoint)
    backend.faults.add("continue", drop(after=True))
    backend.faults.add("history", refuse(503), times=20)
    with pytest.raises(Uncertain):
        await hear(events)
    assert backend.count() == 2


async def test_the_same_words_twice_are_two_questions_after_a_crash_too(
    backend: ToqanBackend, world: BackendWorld[Toqan]
) -> None:
    first = await hear(world.agent().ask(None, say("yes")))
    reference = await hear(world.agent().ask(first.conversation, say("yes")))
    before_asking = reference.checkpoints[1]
    third = await hear(world.agent().ask(first.conversation, say("yes"), resume=before_asking))
    assert backend.count() == 2, "the second question had arrived"
    assert third.text == reference.text


async def test_a_history_that_was_cut_short_cannot_tell(world: BackendWorld[Toqan]) -> None:
    first = await hear(world.agent().ask(None, say("plan")))
    checkpoint = Checkpoint(first.conversation, {"after": "a row that is gone"})
    with pytest.raises(Uncertain):
        await hear(world.agent().ask(first.conversation, say("again"), resume=checkpoint))


@pytest.mark.parametrize("body", [b"{}", b'{"conversation_id": null}', b"[]", b"null", b'"x"', b"{"])
async def test_an_answer_without_ids_is_a_protocol_error(
    backend: ToqanBackend, world: BackendWorld[Toqan], body: bytes
) -> None:
    backend.faults.add("create", garbage(body, "application/json"))
    with pytest.raises(ProtocolError):
        await hear(world.agent().ask(None, say("plan")))


@pytest.mark.parametrize("reply", [{"file_id": "f1"}, {"id": "f1"}, {"id": 1}])
async def test_an_upload_answers_in_either_form(tmp_path: Path, reply: dict[str, Any]) -> None:
    sent: list[bytes] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        sent.append(await request.aread())
        if request.url.path == "/upload_file":
            return httpx.Response(200, json=reply)
        if request.url.path == "/create_conversation":
            return httpx.Response(200, json={"conversation_id": 7, "request_id": 8})
        return httpx.Response(200, json={"status": "finished", "answer": "done", "timestamp": 1})

    async with create_client(transport=httpx.MockTransport(answer)) as client:
        agent = Toqan(ToqanSettings.model_validate({"base_url": "http://toqan.example", "api_key": "k"}), client)
        heard = await hear(agent.ask(None, say("", attachment(tmp_path))))
    assert heard.text == "done"
    assert heard.conversation == "7"
    file_id = str(reply.get("file_id", reply.get("id")))
    assert f'{{"user_message":"notes.txt","private_user_files":[{{"id":"{file_id}"}}]}}'.encode() in sent


async def test_a_file_that_the_service_would_refuse_is_not_sent(
    backend: ToqanBackend, world: BackendWorld[Toqan], tmp_path: Path
) -> None:
    large = Attachment("large.bin", "", tmp_path / "large.bin", MAX_UPLOAD + 1)
    with pytest.raises(Rejected) as caught:
        await hear(world.agent().ask(None, say("look", large)))
    assert "100 MB" in caught.value.sentence
    assert not backend.calls


async def test_a_body_that_was_taken_once_is_not_given_up_for_an_outage(
    backend: ToqanBackend, world: BackendWorld[Toqan]
) -> None:
    backend.gets = "body"
    backend.faults.add("answer", refuse(502), times=9)
    assert "plan" in (await hear(world.agent().ask(None, say("plan")))).text


@pytest.mark.parametrize("later", [False, True])
async def test_a_turn_sends_no_request_that_it_can_do_without(
    backend: ToqanBackend, world: BackendWorld[Toqan], later: bool
) -> None:
    backend.pace = 0
    agent = world.agent()
    first = await hear(agent.ask(None, say("plan"))) if later else None
    backend.calls.clear()
    await hear(agent.ask(first.conversation if first else None, say("and then?")))
    assert backend.calls == (["history", "continue", "answer"] if later else ["create", "answer"])


async def test_a_question_that_another_process_asked_is_not_taken_for_this_one(
    backend: ToqanBackend, world: BackendWorld[Toqan]
) -> None:
    agent = world.agent()
    first = await hear(agent.ask(None, say("yes")))
    await hear(world.agent().ask(first.conversation, say("yes")))
    backend.faults.add("continue", drop())
    with pytest.raises(Uncertain):
        await hear(agent.ask(first.conversation, say("yes")))
    assert backend.count() == 2


async def test_a_run_that_failed_can_be_tried_again(world: BackendWorld[Toqan]) -> None:
    with pytest.raises(RunFailed) as caught:
        await hear(world.agent().ask(None, say("fail")))
    assert "ran into an error" in caught.value.sentence


async def test_a_finished_run_without_an_answer_says_so(backend: ToqanBackend, world: BackendWorld[Toqan]) -> None:
    backend.said.append("<think>nothing to say</think>")
    with pytest.raises(ProtocolError) as caught:
        await hear(world.agent().ask(None, say("plan")))
    assert "without an answer" in caught.value.sentence


# --- each request


@pytest.fixture
async def alone() -> AsyncIterator[tuple[respx.MockRouter, Toqan]]:
    """An agent whose requests are answered one by one."""
    router = respx.MockRouter(base_url="http://toqan.example")
    async with create_client(transport=httpx.MockTransport(router.async_handler)) as client:
        settings = ToqanSettings.model_validate({"base_url": "http://toqan.example", "api_key": "k"})
        yield router, Toqan(settings, client)


ASKED = Checkpoint("c1", {"request": "r1"})
ROWS: list[Any] = [
    None,
    {"id": "r1", "message": "plan", "author_id": "u1", "attachments": None},
    {"id": None, "message": "lost"},
    {"id": "a1", "message": None, "author_id": "Toqan"},
    {
        "id": "a2",
        "message": "It is.",
        "author_id": "Toqan",
        "attachments": [None, {"name": None}, {"name": "a.md"}],
    },
]


@pytest.mark.parametrize("place", ["/get_answer", "/find_conversation"])
@pytest.mark.parametrize("odd", ODD_ANSWERS)
async def test_a_poll_survives_an_odd_answer(
    alone: tuple[respx.MockRouter, Toqan], place: str, odd: bytes
) -> None:
    router, agent = alone
    odd_once = [httpx.Response(200, content=odd)]
    finished = [httpx.Response(200, json={"status": "finished", "answer": None, "attachments": None})]
    rows = [httpx.Response(200, json=ROWS)]
    answers = router.get("/get_answer").mock(
        side_effect=odd_once + finished if place == "/get_answer" else finished
    )
    router.post("/find_conversation").mock(side_effect=rows if place == "/get_answer" else odd_once + rows)
    heard = await hear(agent.ask(None, say("plan"), resume=ASKED))
    assert heard.text == "It is."
    assert [file.name for file in heard.files] == ["a.md"]
    assert answers.call_count == (2 if place == "/get_answer" else 1)


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, {"message": "Conversation not found"}), (400, {"message": "bad id"}), (422, {}), (200, [])],
)
async def test_a_key_that_is_taken_is_confirmed(
    alone: tuple[respx.MockRouter, Toqan], status: int, body: object
) -> None:
    router, agent = alone
    router.post("/find_conversation").respond(status, json=body)
    assert isinstance(agent, Checks)
    assert "key accepted" in await agent.check()


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, '{"message": "Unauthorized"}', AuthenticationFailed),
        (403, "", AuthenticationFailed),
        (404, "<html>nothing here</html>", NotFound),
        (200, "<html>log in</html>", ProtocolError),
        (503, "", Unavailable),
        (418, "", Rejected),
    ],
)
async def test_what_speaks_against_the_settings_is_told(
    alone: tuple[respx.MockRouter, Toqan], status: int, body: str, error: type[AgentError]
) -> None:
    router, agent = alone
    router.post("/find_conversation").respond(status, text=body)
    with pytest.raises(error):
        await agent.check()


async def test_a_404_of_the_first_question_is_a_wrong_setting_and_says_so(
    alone: tuple[respx.MockRouter, Toqan],
) -> None:
    router, agent = alone
    router.post("/create_conversation").respond(404)
    with pytest.raises(NotFound) as caught:
        await hear(agent.ask(None, say("plan")))
    assert "isn't set up correctly" in caught.value.sentence


async def test_words_of_an_unfinished_answer_are_not_shown(
    backend: ToqanBackend, world: BackendWorld[Toqan]
) -> None:
    heard = await hear(world.agent().ask(None, say("plan")))
    assert len([event for event in heard.events if isinstance(event, Text)]) == 1
