"""Every column says what is personal in it, and `forget` and `export` do what it says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from sqlmodel import SQLModel, col, select

from adapters.base import Agent, Row, Unavailable
from bridge.lifecycle import TurnState
from bridge.ops.export import export_person
from bridge.ops.forget import forget
from bridge.store import statements as sql
from bridge.store.arrivals import Arrivals
from bridge.store.database import Database
from bridge.store.engine import Engine, Fenced, Op
from bridge.store.personal import COLUMNS
from bridge.store.persons import Identity, identity
from bridge.store.queue import Queue
from bridge.store.tables import Audit, Budget, Feedback, Thread, Turn
from tests.store.kept import WHO, fill, found_in_dump, found_in_files, put, thread, turn, word
from tests.store.steps import HERE, begin_next, claim_one, inbound

MARKED = Identity("slack", WHO)


class Service:
    """An agent whose service deletes and shows conversations."""

    def __init__(self) -> None:
        self.deleted: list[str] = []
        self.failing = False

    async def delete(self, conversation: str) -> None:
        if self.failing:
            raise Unavailable("away")
        self.deleted.append(conversation)

    async def history(self, conversation: str) -> Sequence[Row]:
        return [Row("person", f"said in {conversation}")]

    def opened(self, names: Sequence[str]) -> Any:
        @asynccontextmanager
        async def opened() -> AsyncIterator[Mapping[str, Agent]]:
            yield dict.fromkeys(names, cast(Agent, self))

        return opened()


@pytest.fixture
def service() -> Service:
    return Service()


def test_every_column_of_every_table_says_what_becomes_of_it() -> None:
    tables = SQLModel.metadata.tables
    assert {name: set(table.columns.keys()) for name, table in tables.items()} == {
        name: set(columns) for name, columns in COLUMNS.items()
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("slack:U07", Identity("slack", "U07")),
        ("slack:T1:W07", Identity("slack", "W07", "T1")),
        ("discord:123", Identity("discord", "123")),
        ("slack:C1", None),
        ("discord:T1:123", None),
        ("U07", None),
        ("", None),
    ],
)
def test_how_a_person_is_written(text: str, found: Identity | None) -> None:
    if found is not None:
        assert identity(text) == found
        return
    with pytest.raises(ValueError, match="write a person as"):
        identity(text)


@pytest.mark.slow
async def test_after_forget_no_file_of_the_database_holds_the_words(
    database: Database, migrated_url: str, service: Service
) -> None:
    words = await fill(database)
    assert found_in_files(migrated_url, words) == words, "the search finds what is there"
    report = await forget(database, MARKED, service.opened, rewrite=True)
    assert not report.remains
    assert report.deleted == 1
    assert service.deleted == [word("thread", "conversation")]
    assert any("shared" in note and "others asked" in note for note in report.notes)
    assert not found_in_files(migrated_url, words)
    if not migrated_url.startswith("sqlite"):
        assert not found_in_dump(migrated_url, words)
    async with database.transaction() as session:
        [left] = (await session.exec(select(Turn))).all()
        assert (left.text, left.answer, left.asked_by) == ("the other's words", "the other's answer", None)
        assert left.settled == "Answered"
        assert left.request is not None
        assert (left.request["approvers"], left.request["names"]) == (["slack:U9"], ["Nina"])
        [place] = (await session.exec(select(Thread))).all()
        assert (place.person, place.seat, place.conversation) == ("", None, "shared")
        [opinion] = (await session.exec(select(Feedback))).all()
        assert opinion.words == "the other's opinion"
        assert not (await session.exec(select(Budget))).all()
        lines = (await session.exec(select(Audit).order_by(col(Audit.id)))).all()
        assert [line.what for line in lines] == [
            "turn stopped", "conversation deleted at the agent", "person forgotten",
        ]  # fmt: skip
        assert lines[0].who == "forgotten"
    again = await forget(database, MARKED, service.opened)
    assert (again.known, again.remains) == (False, [])


async def test_what_an_agent_could_not_delete_is_tried_again_and_nothing_else_stays_meanwhile(
    database: Database, migrated_url: str, service: Service
) -> None:
    words = await fill(database)
    earlier = turn(8, 1, checkpoint={"conversation": "zqearlierqz", "data": {"x": "zqdataqz"}}, agent="b")
    await put(database, earlier)
    service.failing = True
    report = await forget(database, MARKED, service.opened)
    assert len(report.remains) == 2
    kept = {word("thread", name) for name in ("conversation", "workspace", "channel", "thread")} | {WHO}
    search = found_in_files if migrated_url.startswith("sqlite") else found_in_dump
    assert search(migrated_url, words | {"zqearlierqz", "zqdataqz"}) == kept | {"zqearlierqz"}
    service.failing = False
    again = await forget(database, MARKED, service.opened)
    assert not again.remains
    assert sorted(service.deleted) == ["zqearlierqz", word("thread", "conversation")]
    assert not search(migrated_url, words | {"zqearlierqz"})


async def test_what_was_forgotten_is_not_asked_when_it_is_delivered_again(
    database: Database, arrivals: Arrivals, queue: Queue, service: Service
) -> None:
    await arrivals.put(inbound(1), "a")
    await arrivals.put(inbound(2, author="U2"), "a")
    claim = await claim_one(queue)
    asked = await begin_next(queue, claim)
    assert asked.person.id == "U1"
    report = await forget(database, Identity("slack", "U1"), service.opened, patience=0)
    assert (report.forgotten.turns, report.remains) == (1, [])
    with pytest.raises(Fenced):
        await queue.still_ours(claim)
    assert not await arrivals.put(inbound(1), "a"), "a late delivery"
    assert not await arrivals.put(inbound(1, event_id="another"), "a"), "a catch-up"
    await queue.fill_seats()
    claim = await claim_one(queue)
    assert (await begin_next(queue, claim)).person.id == "U2", "the others' questions go on"


async def test_a_question_that_waits_is_not_asked_and_the_thread_goes_on(
    database: Database, arrivals: Arrivals, queue: Queue, service: Service
) -> None:
    await arrivals.put(inbound(1, author="U2"), "a")
    await arrivals.put(inbound(2), "a")
    claim = await claim_one(queue)
    await begin_next(queue, claim)
    await forget(database, Identity("slack", "U1"), service.opened, patience=0)
    await queue.still_ours(claim)
    async with database.transaction() as session:
        [left] = (await session.exec(select(Turn))).all()
        assert (left.person, left.state) == ("U2", TurnState.ASKING)


async def test_only_the_named_workspace_is_forgotten(database: Database, service: Service) -> None:
    await put(database, thread(thread="1.0"), thread(workspace="T2", thread="2.0"))
    await put(database, turn(1, 1, text="first"), turn(2, 2, text="second"))
    await forget(database, Identity("slack", WHO, "T2"), service.opened)
    async with database.transaction() as session:
        assert [one.text for one in (await session.exec(select(Turn))).all()] == ["first"]
    await forget(database, Identity("discord", WHO), service.opened)
    async with database.transaction() as session:
        assert len((await session.exec(select(Turn))).all()) == 1, (
            "the same id on another platform is somebody else"
        )


async def test_an_export_has_what_is_theirs_and_nothing_of_others(database: Database, service: Service) -> None:
    words = await fill(database)
    exported = await export_person(database, MARKED, service.opened)
    assert exported is not None
    text = str(exported)
    assert exported["threadbridge_export"] == 1
    assert not [one for one in words if one not in text]
    assert not [one for one in ("the other's", "shared'") if one in text.replace("zqshared", "")]
    told = {one["conversation"]: one["history"] for one in exported["conversations"]}
    conversation = word("thread", "conversation")
    assert told == {conversation: [{"role": "person", "text": f"said in {conversation}"}], None: None}
    [artifact] = exported["turns"][0]["artifacts"] or exported["turns"][1]["artifacts"]
    assert artifact["fetch"][:2] == ["threadbridge", "files"]
    assert await export_person(database, Identity("slack", "U404"), service.opened) is None
    async with database.transaction() as session:
        lines = (await session.exec(select(Audit))).all()
        assert [line.what for line in lines if line.who != f"slack:{WHO}"] == ["person exported"]


async def test_what_an_agent_said_to_them_unasked_is_theirs(database: Database, service: Service) -> None:
    """In a thread of theirs alone, in an opening to them, and by name in a thread of others."""
    said = {"digest": "d", "place": "slack:C1", "title": "", "known": True}
    others = thread(thread="3.0", person="U2")
    opening = thread(channel=f"@{WHO}", thread="~1", person="", state="moved")
    await put(database, thread(thread="1.0"), opening, others)
    unasked = {"person": "", "text": "unasked", "state": "done"}
    await put(
        database,
        turn(1, 1, text="asked"),
        turn(2, 1, spoken=said, answer="by the way", **unasked),
        turn(3, 3, spoken=said | {"place": f"slack:{WHO}"}, answer="to them", **unasked),
        turn(4, 3, spoken=said, answer="to all", **unasked),
    )
    exported = await export_person(database, MARKED, service.opened)
    assert exported is not None
    assert {one["answer"] for one in exported["turns"]} == {None, "by the way", "to them"}
    report = await forget(database, MARKED, service.opened)
    assert (report.forgotten.turns, report.forgotten.threads, report.remains) == (3, 2, [])
    async with database.transaction() as session:
        assert [one.answer for one in (await session.exec(select(Turn))).all()] == ["to all"]


async def test_a_turn_knows_which_agent_it_was_put_to(engine: Engine, arrivals: Arrivals, queue: Queue) -> None:
    await arrivals.put(inbound(1), "first")
    claim = await claim_one(queue)
    asked = await begin_next(queue, claim)
    [[row]] = await engine.run(Op(sql.TURN, {"turn_id": asked.id}))
    assert "first" in row
    assert HERE.platform == "slack"
