from __future__ import annotations

import asyncio
import csv
import io
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import (
    Agent,
    Approval,
    Attachment,
    AuthenticationFailed,
    Cancels,
    ChartKind,
    Checkpoint,
    Decision,
    Deletes,
    Done,
    File,
    Files,
    History,
    InputRequest,
    Lists,
    Message,
    NotFound,
    ProtocolError,
    RateLimited,
    Rejected,
    Row,
    Table,
    Text,
    TimedOut,
    Unavailable,
    Uncertain,
)
from adapters.echo import MAX_CONVERSATIONS, MAX_FILE_BYTES, Echo, Wish, file_bytes, long_markdown, made_file
from adapters.http.service import create_client
from adapters.person import as_object
from adapters.testing import (
    ApprovalContract,
    ChoiceContract,
    Heard,
    HistoryContract,
    InputRequestContract,
    ListsContract,
    StepContract,
    TablesContract,
    fetch,
    hear,
)
from adapters.testing.persons import ANN, BOB
from adapters.testing.world import World
from tests.e2e.waiting import PATIENCE


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with create_client() as client:
        yield client


@pytest.fixture
def echo(client: httpx.AsyncClient) -> Echo:
    return Echo(Echo.Settings(delay=0), client)


class EchoWorld:
    """What asks nobody can't fail, be held or leak: none of that is in the parts of the suite used here."""

    key = "no key"
    steps: tuple[str, ...] = ()

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._agents: list[Echo] = []

    def agent(self) -> Echo:
        self._agents.append(Echo(Echo.Settings(delay=0), self._client))
        return self._agents[-1]

    def asked(self) -> int:
        return sum(agent.asked for agent in self._agents)

    def decided(self) -> list[Decision]:
        return list(
            {told: decision for agent in self._agents for told, decision in agent.decided.items()}.values()
        )

    def violations(self) -> tuple[str, ...]:
        return ()

    def leaked(self) -> bool:
        return False


class TestEcho(
    InputRequestContract,
    ChoiceContract,
    ApprovalContract,
    StepContract,
    TablesContract,
    HistoryContract,
    ListsContract,
):
    asking_question = "ask me"
    choosing_question = "ask me"
    approving_question = "approve the letters"

    @pytest.fixture
    def world(self, client: httpx.AsyncClient) -> EchoWorld:
        return EchoWorld(client)

    async def test_who_answers_is_told_too(self, world: World) -> None:
        agent = world.agent()
        heard = await hear(agent.ask(None, Message("1", "ask me", person=ANN)))
        answer = Message("2", "whoami", person=BOB)
        answered = await hear(agent.ask(heard.conversation, answer, resume=heard.checkpoints[-1]))
        assert who_in(answered.text) == as_object(BOB)

    async def test_who_decides_is_told(self, world: World) -> None:
        """It tells whom it was told of when asked, and a decision asks nothing."""

    async def test_the_cards_go_on_in_whatever_request_it_dies(self, world: World) -> None:
        """It sends none."""

    async def test_the_decision_is_given_once_in_whatever_request_it_dies(self, world: World) -> None:
        """It sends none."""


def who_in(answer: str) -> object:
    """Whom an answer to `whoami` names."""
    return json.loads(answer.partition("```json\n")[2].partition("\n```")[0])


async def test_it_says_who_asks(echo: Echo) -> None:
    told = (await hear(echo.ask(None, Message("1", "Whoami, please", person=ANN)))).text
    assert who_in(told) == as_object(ANN)
    assert ANN.token
    assert ANN.token.get_secret_value() not in told
    assert "A signed token came along." in told
    assert "No signed token" in (await hear(echo.ask(None, Message("2", "whoami", person=BOB)))).text


async def test_it_says_so_when_it_was_not_told(echo: Echo) -> None:
    assert (await turn(echo, "whoami")).text == "whoami\n\nI wasn't told who asks."


async def test_it_suggests_what_to_ask_next_when_told_to(echo: Echo) -> None:
    async def suggestions(text: str) -> tuple[str, ...]:
        events = [event async for event in echo.ask(None, Message(text, text))]
        done = events[-1]
        assert isinstance(done, Done)
        return done.suggestions

    assert "Make a table 5" in await suggestions("please suggest something")
    assert await suggestions("good morning") == ()


async def test_who_asks_changes_nothing_else(echo: Echo) -> None:
    assert (await hear(echo.ask(None, Message("1", "good morning", person=ANN)))).text == "good morning"


async def turn(echo: Echo, text: str, conversation: str | None = None, *files: Attachment) -> Heard:
    return await hear(echo.ask(conversation, Message(f"turn-{text}", text, files)))


def test_what_it_can_do(echo: Echo) -> None:
    for protocol in (Agent, Files, Cancels, Deletes, History, Lists):
        assert isinstance(echo, protocol)


async def test_it_says_word_by_word_what_it_was_told(echo: Echo) -> None:
    heard = await turn(echo, "good  morning\nto you")
    assert [event.delta for event in heard.events if isinstance(event, Text)] == [
        "good  ",
        "morning\n",
        "to ",
        "you",
    ]
    assert echo.asked == 1


async def test_nothing_is_an_answer_too(echo: Echo) -> None:
    assert (await turn(echo, "")).text == "You said nothing."


@pytest.mark.parametrize(
    ("content", "media_type", "line"),
    [
        (b"first\nsecond", "text/plain", "It begins: first"),
        (b"\xef\xbb\xbffirst", "text/csv", "It begins: first"),
        (b"", "text/plain", "It is empty."),
        (b"\xff\xfe", "text/plain", "It begins: \ufffd\ufffd"),
        (b"\x89PNG", "image/png", "(4 bytes, image/png)."),
    ],
)
async def test_it_mentions_each_file(
    echo: Echo, tmp_path: Path, content: bytes, media_type: str, line: str
) -> None:
    path = tmp_path / "data"
    path.write_bytes(content)
    heard = await turn(echo, "look", None, Attachment("data.bin", media_type, path, len(content)))
    assert "`data.bin`" in heard.text
    assert heard.text.endswith(line)


async def test_a_file_that_is_gone_is_refused(echo: Echo, tmp_path: Path) -> None:
    gone = Attachment("gone.txt", "text/plain", tmp_path / "gone.txt", 3)
    with pytest.raises(Rejected):
        await turn(echo, "look", None, gone)


@pytest.mark.parametrize(
    ("text", "name", "size"),
    [
        ("make a file notes.txt", "notes.txt", None),
        ("make a report", "report.md", None),
        ("FILE big.bin 3 MB please", "big.bin", 3 * 2**20),
        ("file tiny.txt 5 b", "tiny.txt", 5),
        ("file ../../etc/passwd.txt", "../../etc/passwd.txt", None),
    ],
)
async def test_it_makes_files(echo: Echo, text: str, name: str, size: int | None) -> None:
    heard = await turn(echo, text)
    (file,) = heard.files
    assert file.name == name
    content = await fetch(echo, str(heard.conversation), file.ref)
    assert len(content) == file.size
    assert size in {None, file.size}
    assert list(await echo.files(str(heard.conversation))) == [file]


def test_no_file_is_larger_than_the_limit() -> None:
    wish = Wish.of("file big.bin 999999999 MB")
    assert wish.file
    assert wish.file.size == MAX_FILE_BYTES


def test_a_made_picture_and_a_made_csv_are_real() -> None:
    picture = b"".join(file_bytes("a.png", 0))
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    data = picture[picture.index(b"IDAT") + 4 :]
    assert (
        len(zlib.decompress(data[: int.from_bytes(picture[picture.index(b"IDAT") - 4 :][:4], "big")])) == 96 * 289
    )
    rows = list(csv.reader(io.StringIO(b"".join(file_bytes("a.csv", 0)).decode())))
    assert rows[0] == ["n", "square", "cube"]
    assert rows[3] == ["3", "9", "27"]


@given(st.sampled_from(["a.txt", "b.csv", "c.png", "d"]), st.integers(0, 300_000))
def test_a_made_file_has_its_size(name: str, size: int) -> None:
    assert sum(map(len, file_bytes(name, size))) == made_file(name, size).size


async def test_it_makes_tables(echo: Echo) -> None:
    (table,) = (await turn(echo, "table 3")).tables
    assert table == Table("numbers", ("n", "square", "cube"), ((1, 1, 1), (2, 4, 8), (3, 9, 27)))


async def test_a_table_beyond_the_limit_is_cut(echo: Echo) -> None:
    (table,) = (await turn(echo, "table 10001")).tables
    assert len(table.rows) == 10_000
    assert table.truncated


@pytest.mark.parametrize("size", [0, 1, 1_000, 30_000])
def test_a_long_answer_has_about_the_length_it_was_asked_for(size: int) -> None:
    document = long_markdown(size)
    assert size <= len(document) <= size + 500
    fences = [line for line in document.splitlines() if line.startswith(("```", "~~~"))]
    assert len(fences) % 2 == 0
    assert document == long_markdown(size)


async def test_a_long_answer_arrives_whole(echo: Echo) -> None:
    heard = await turn(echo, "long 30000")
    assert heard.text == long_markdown(30_000)
    for piece in ("# Section 1", "```python", "| 東京 |", "👩‍👩‍👧‍👦", "~~~markdown", "> A quotation"):
        assert piece in heard.text


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("fail", Rejected),
        ("please FAIL unavailable", Unavailable),
        ("fail authentication", AuthenticationFailed),
        ("fail not_found", NotFound),
        ("fail rate_limited", RateLimited),
        ("fail timed_out", TimedOut),
        ("fail protocol", ProtocolError),
        ("fail uncertain", Uncertain),
    ],
)
async def test_it_fails_in_every_way(echo: Echo, text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        await turn(echo, text)


async def test_it_can_fail_in_the_middle(echo: Echo) -> None:
    said: list[str] = []

    async def take_in() -> None:
        async for event in echo.ask(None, Message("m", "one two three fail late unavailable")):
            said.append(event.delta if isinstance(event, Text) else "")

    with pytest.raises(Unavailable):
        await take_in()
    assert "".join(said) == "one two three "


async def test_it_asks_back_and_takes_the_answer(echo: Echo, client: httpx.AsyncClient) -> None:
    heard = await turn(echo, "ask me something")
    assert heard.events[-1] == InputRequest("What shall I answer?", ("yes", "no"))
    restarted = Echo(Echo.Settings(delay=0), client)
    answer = Message("turn-2", "ask again? no: yes")
    answered = await hear(restarted.ask(heard.conversation, answer, resume=heard.checkpoints[-1]))
    assert answered.text == "You answered: ask again? no: yes"
    assert answered.conversation == heard.conversation
    again = await hear(restarted.ask(heard.conversation, answer, resume=answered.checkpoints[-1]))
    assert again.text == answered.text
    assert restarted.asked == 1


@pytest.mark.parametrize("text", ["hello there", "report and a table", "long 500", "ask"])
async def test_a_turn_taken_up_after_a_restart_gives_the_same(
    echo: Echo, client: httpx.AsyncClient, text: str
) -> None:
    heard = await turn(echo, text)
    restarted = Echo(Echo.Settings(delay=0), client)
    message = Message(f"turn-{text}", text)
    again = await hear(restarted.ask(None, message, resume=heard.checkpoints[0]))
    assert again.events == heard.events
    assert restarted.asked == 0


async def test_a_file_can_be_fetched_after_a_restart(echo: Echo, client: httpx.AsyncClient) -> None:
    heard = await turn(echo, "report")
    restarted = Echo(Echo.Settings(), client)
    before = await fetch(echo, str(heard.conversation), heard.files[0].ref)
    assert await fetch(restarted, str(heard.conversation), heard.files[0].ref) == before


@pytest.mark.parametrize("ref", ["", "notes.txt", "x/notes.txt", "-1/notes.txt", f"{MAX_FILE_BYTES + 1}/a"])
async def test_a_file_that_it_did_not_make_is_not_found(echo: Echo, ref: str) -> None:
    with pytest.raises(NotFound):
        await fetch(echo, "echo-1", ref)


async def test_slow_spreads_the_answer_over_the_time(client: httpx.AsyncClient) -> None:
    echo = Echo(Echo.Settings(delay=0), client)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await turn(echo, "slow 0.2 answer of six words")
    assert loop.time() - begun >= 0.19


async def test_a_cancelled_turn_ends_with_what_was_said(client: httpx.AsyncClient) -> None:
    echo = Echo(Echo.Settings(delay=0), client)
    last: Checkpoint | None = None
    said = ""
    async with aclosing(cast(Any, echo.ask(None, Message("m", "slow 30 one two three")))) as events:
        async with asyncio.timeout(PATIENCE):
            async for event in events:
                last = event if isinstance(event, Checkpoint) else last
                if last and last.conversation:
                    await echo.cancel(last.conversation, last)
                said += event.delta if isinstance(event, Text) else ""
                if isinstance(event, Done):
                    break
            else:
                raise AssertionError("no Done")
    assert said != "slow 30 one two three"


async def test_history_listing_and_deleting(echo: Echo) -> None:
    first = await turn(echo, "one")
    await turn(echo, "two", first.conversation)
    other = await turn(echo, "three")
    assert list(await echo.conversations()) == [other.conversation, first.conversation]
    assert await echo.history(str(first.conversation)) == [
        Row("person", "one"),
        Row("agent", "one"),
        Row("person", "two"),
        Row("agent", "two"),
    ]
    await echo.delete(str(first.conversation))
    with pytest.raises(NotFound):
        await echo.history(str(first.conversation))
    with pytest.raises(NotFound):
        await echo.delete(str(first.conversation))


async def test_it_forgets_the_oldest_conversations(echo: Echo) -> None:
    for n in range(MAX_CONVERSATIONS + 5):
        await turn(echo, f"{n}")
    kept = await echo.conversations()
    assert len(kept) == MAX_CONVERSATIONS
    assert kept[0] == f"echo-turn-{MAX_CONVERSATIONS + 4}"


@given(st.text(max_size=300))
def test_any_words_are_read(text: str) -> None:
    wish = Wish.of(text)
    assert wish.file is None or isinstance(wish.file, File)


async def test_it_asks_leave_for_what_it_was_told(echo: Echo) -> None:
    heard = await turn(echo, "please approve sending the letters")
    approval = heard.events[-1]
    assert isinstance(approval, Approval)
    assert approval.title == "May I do this: sending the letters?"
    assert "You wrote" in approval.detail


@pytest.mark.parametrize(("words", "count"), [("think", 3), ("take steps 5", 5), ("steps 99", 20), ("talk", 0)])
async def test_it_works_in_steps(echo: Echo, words: str, count: int) -> None:
    assert len((await turn(echo, words)).steps) == count


@pytest.mark.parametrize(("words", "kind"), [("a chart", ChartKind.LINE), ("chart PIE", ChartKind.PIE)])
async def test_it_makes_charts(echo: Echo, words: str, kind: ChartKind) -> None:
    [chart] = (await turn(echo, words)).charts
    assert chart.kind == kind
    assert {len(series.values) for series in chart.series} == {len(chart.labels)}


async def test_a_file_of_that_name_is_no_chart(echo: Echo) -> None:
    heard = await turn(echo, "Make a file chart.png and a table 8")
    assert not heard.charts
    assert heard.files


async def test_it_quotes_pages(echo: Echo) -> None:
    heard = await turn(echo, "with sources")
    assert len(heard.sources) == 2
    assert "[1]" in heard.text
    assert "[2]" in heard.text
