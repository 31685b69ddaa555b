"""Texts encrypted at rest: on later, off again, with a new key, without one, with one that was changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from adapters.base import Agent, Checkpoint, Source
from bridge.cipher import MARK, Cipher, WrongKey
from bridge.inbound import Person, RemoteFile
from bridge.lifecycle import Event, Outcome
from bridge.ops.forget import forget
from bridge.store.arrivals import Arrivals
from bridge.store.database import Database, database_url, open_database
from bridge.store.decisions import Decided, Decisions
from bridge.store.desk import Desk
from bridge.store.encryption import UNREADABLE, Encryption
from bridge.store.feedback import FeedbackStore
from bridge.store.ledger import Ledger
from bridge.store.persons import Identity
from bridge.store.queue import Queue
from bridge.store.reencrypt import Progress, reencrypt, tidy
from bridge.store.values import ArtifactRecord, Conclusion, InputRequestShown, StoredTurn, storable
from tests.store.keys import bytes_of, encrypting, key, reading, stored
from tests.store.steps import ALL, HERE, begin_next, claim_one, inbound, next_turn, part, thread, work_off

MARKED = "Zanzibar"  # in each text, and nowhere else
PERSON = Person("U1", f"Ann {MARKED}", roles=(f"role {MARKED}",))
FILE = RemoteFile("F1", f"{MARKED}.pdf", "application/pdf", 3, f"https://files.example/{MARKED}")


def written(number: int = 1) -> dict[str, Any]:
    return {"text": f"question {number} {MARKED}", "person": PERSON, "files": (FILE,)}


async def ask(database: Database, number: int = 1) -> StoredTurn:
    """One turn with something in every column that can have words, to its end, in a thread of its own."""
    where = thread(number)
    async with database.prepared("r1") as engine:
        queue, arrivals = Queue(engine, "r1"), Arrivals(engine)
        await arrivals.put(inbound(number, address=where, **written(number)), "a")
        claim = await claim_one(queue)
        checkpoint = Checkpoint("c1", {"said": MARKED})
        turn = await begin_next(queue, claim, checkpoint)
        await arrivals.change_text(where, turn.message_id, f"edited {MARKED}")
        conclusion = Conclusion(
            Outcome.INPUT_REQUEST,
            f"answer {MARKED}",
            InputRequestShown(f"which {MARKED}?", (f"this {MARKED}",)),
            f"notice {MARKED}",
            f"detail {MARKED}",
            (
                ArtifactRecord(
                    0, "table", f"{MARKED}.csv", "text/csv", f"ref-{MARKED}", table={"rows": [[MARKED]]}
                ),
            ),
            (Source(f"https://example.com/{MARKED}", MARKED),),
        )
        steps = f'[["{MARKED}"]]'
        await queue.conclude(claim, turn.id, conclusion, [part(digest=f"digest {MARKED}")], steps=steps)
        await queue.end(
            claim, turn.id, Event.DELIVERED, Outcome.INPUT_REQUEST, detail=f"detail {MARKED}", shown_at=50
        )
        await Decisions(engine).choose(where, turn.id, 0, PERSON, f"line {MARKED}")
        claim = await claim_one(queue)
        chosen, _ = await work_off(queue, claim, answer=f"answer {MARKED}")
        feedback = FeedbackStore(engine)
        await feedback.rate(where, chosen.id, PERSON, good=False)
        await feedback.add_words(where, chosen.id, PERSON, f"words {MARKED}")
        found = await queue.turn(turn.id)
        assert found is not None
        return found


async def read(database: Database, turn: str) -> StoredTurn:
    async with database.prepared("r2") as engine:
        found = await Queue(engine, "r2").turn(turn)
    assert found is not None
    return found


async def rewrite(database: Database, encryption: Encryption) -> dict[str, Progress]:
    return {progress.table: progress async for progress in reencrypt(database, encryption)}


async def dumped(database: Database) -> str:
    """All that is stored, as a dump has it."""
    async with database.engine.connect() as connection:
        tables = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
        rows = [await connection.execute(sa.text(f'SELECT * FROM "{table}"')) for table in tables]
        return repr([sorted(row.all(), key=repr) for row in rows])


# --- encrypted, and read again ------------------------------------------------------------------------------------


async def test_no_word_is_stored_clear_and_each_is_read_as_it_was(database: Database, tmp_path: Path) -> None:
    database.use(encrypting(1))
    turn = await ask(database)
    assert MARKED not in await dumped(database)
    if database.url.get_backend_name() == "sqlite":
        assert MARKED.encode() not in bytes_of(tmp_path / "threadbridge.db")
    assert (turn.text, turn.person, turn.files) == (f"question 1 {MARKED}", PERSON, (FILE,))
    assert (turn.answer, turn.notice, turn.detail) == (f"answer {MARKED}", f"notice {MARKED}", f"detail {MARKED}")
    assert (turn.edited, turn.settled) == (f"edited {MARKED}", f"line {MARKED}")
    assert turn.request == InputRequestShown(f"which {MARKED}?", (f"this {MARKED}",))
    assert turn.sources == (Source(f"https://example.com/{MARKED}", MARKED),)
    assert turn.checkpoint == Checkpoint("c1", {"said": MARKED})
    async with database.prepared("r2") as engine:
        queue, desk = Queue(engine, "r2"), Desk(engine)
        [made] = await queue.artifacts(turn.id)
        assert (made.name, made.ref, made.table) == (f"{MARKED}.csv", f"ref-{MARKED}", {"rows": [[MARKED]]})
        assert [one.digest for one in await queue.parts(turn.id)] == [f"digest {MARKED}"]
        assert list((await desk.recent("slack", "T1", PERSON, 5)).values()) == [f"this {MARKED}"]
        [due] = await FeedbackStore(engine).take_due(5, 60)
        assert due.words == f"words {MARKED}"
    ledger = Ledger(database)
    record = await ledger.turn(turn.id)
    assert record is not None
    assert record.turn.text == turn.text
    assert FILE.name in str(record.turn.files)
    assert (record.artifacts[0].name, record.artifacts[0].table) == (made.name, made.table)
    assert [one.feedback.words for one in await ledger.feedback(agent=None, since=None)] == [f"words {MARKED}"]


async def test_an_edit_is_told_once_though_its_words_cant_be_compared(database: Database) -> None:
    database.use(encrypting(1))
    async with database.prepared("r1") as engine:
        queue, arrivals = Queue(engine, "r1"), Arrivals(engine)
        await arrivals.put(inbound(1), "a")
        turn = await begin_next(queue, await claim_one(queue))

        async def told(words: str) -> list[str]:
            edits = [arrivals.change_text(HERE, turn.message_id, words) for _ in range(4)]
            return [edit.asked for edit in await asyncio.gather(*edits) if edit.asked]

        assert await told("better") == [turn.id]
        assert await told("better") == []
        assert await told("best") == [turn.id]
        assert (await read(database, turn.id)).edited == "best"


async def test_without_a_key_nothing_stands_between(database: Database) -> None:
    async with database.prepared("r1") as engine, database.plain("r2") as plain:
        assert type(engine) is type(plain)


# --- on later, off again, another key -----------------------------------------------------------------------------


async def test_every_mixture_of_clear_and_of_two_keys_is_read(database: Database) -> None:
    turns = [await ask(database, 1)]
    for number, encryption in enumerate((encrypting(1), reading(1), encrypting(2, 1), reading(2, 1)), 2):
        database.use(encryption)
        turns.append(await ask(database, number))
    read_now = [await read(database, turn.id) for turn in turns]
    assert [turn.text for turn in read_now] == [f"question {number} {MARKED}" for number in range(1, 6)]
    assert not any(turn.unreadable for turn in read_now)
    assert [MARKED in text for text in await stored(database, "text")].count(True) == 6  # of three threads


async def test_a_new_key_in_front_lets_the_old_one_go(database: Database) -> None:
    database.use(encrypting(1))
    turn = await ask(database)
    ends = await rewrite(database, encrypting(2, 1))
    assert not any(end.left or end.unreadable for end in ends.values())
    assert await database.key_ids() == set(encrypting(2).key_ids)
    database.use(encrypting(2))
    assert await read(database, turn.id) == turn
    assert MARKED not in await dumped(database)


async def test_old_texts_are_encrypted_and_made_clear_again(database: Database) -> None:
    turn = await ask(database)
    before = await dumped(database)
    assert MARKED in before
    ends = await rewrite(database, encrypting(1))
    assert {name for name, end in ends.items() if end.replaced} == {"turn", "artifact", "feedback", "part"}
    assert MARKED not in await dumped(database)
    database.use(encrypting(1))
    assert await read(database, turn.id) == turn
    assert not any(end.replaced for end in (await rewrite(database, encrypting(1))).values()), "nothing is left"
    await rewrite(database, reading(1))
    assert await dumped(database) == before
    assert await database.key_ids() == set()


async def test_more_rows_than_are_read_at_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.store.reencrypt.ROWS", 2)
    for number in range(1, 5):
        await ask(database, number)
    seen = [(one.table, one.seen, one.rows) async for one in reencrypt(database, encrypting(1))]
    assert ("turn", 4, 8) in seen
    assert MARKED not in await dumped(database)


async def test_what_is_written_meanwhile_is_kept(database: Database) -> None:
    """A row that changed since it was read stays as the bridge has written it, and is looked at again."""
    turn = await ask(database)
    async with database.prepared("r1") as engine:
        going = reencrypt(database, encrypting(1))
        arrivals = Arrivals(engine)
        async for _ in going:
            await arrivals.change_text(thread(1), turn.message_id, f"edited later {MARKED}")
    assert (await read_with(database, turn.id)).edited == f"edited later {MARKED}"


async def read_with(database: Database, turn: str) -> StoredTurn:
    database.use(encrypting(1))
    return await read(database, turn)


async def test_the_clear_bytes_are_gone_from_the_file(migrated_sqlite: Path, tmp_path: Path) -> None:
    """From the file and its log, while another connection is open, as the bridge's is."""
    path = tmp_path / "threadbridge.db"
    path.write_bytes(migrated_sqlite.read_bytes())
    database = Database(database_url(f"sqlite:///{path}"))
    for number in range(1, 20):
        await ask(database, number)
    assert MARKED.encode() in bytes_of(path)
    async with database.prepared("r1") as running:
        await Arrivals(running).knows(HERE)
        await rewrite(database, encrypting(1))
        assert await asyncio.to_thread(tidy, str(path))
        assert MARKED.encode() not in bytes_of(path)
    await database.close()


# --- what can't be read -------------------------------------------------------------------------------------------


async def spoil(database: Database, turn: str, column: str, value: str) -> None:
    async with database.engine.begin() as connection:
        statement = sa.text(f"UPDATE turn SET {column} = :value WHERE id = :id")
        await connection.execute(statement, {"value": value, "id": turn})


@pytest.mark.parametrize("keys", [encrypting(2), reading(2), Encryption()], ids=["another", "off", "none"])
async def test_what_has_no_key_is_nobodys_words(database: Database, keys: Encryption) -> None:
    """Not the encrypted value's either; and no operation on it is offered."""
    database.use(encrypting(1))
    lost = await ask(database)
    database.use(keys)
    turn = await read(database, lost.id)
    assert (turn.text, turn.answer, turn.files, turn.request) == ("", None, (), None)
    assert encrypting(1).key_ids[0] in turn.unreadable
    async with database.prepared("r1") as engine:
        desk, queue, decisions = Desk(engine), Queue(engine, "r1"), Decisions(engine)
        assert await decisions.ask_again(thread(1), lost.id) is Decided.TOO_LATE
        assert await decisions.ask_edited(thread(1), lost.id) is Decided.TOO_LATE
        assert list(await queue.artifacts(lost.id)) == []
        assert await queue.exchanges(lost.thread, 2**60, 5) == ()
        assert list((await desk.recent("slack", "T1", PERSON, 5)).values()) == [UNREADABLE]
        [due] = await FeedbackStore(engine).take_due(5, 60)
        assert (due.words, due.checkpoint) == ("", None)
    record = await Ledger(database).turn(lost.id)
    assert record is not None
    assert record.turn.text == UNREADABLE
    assert not record.turn.files
    database.use(encrypting(2, 1))
    assert await read(database, lost.id) == lost, "with the key back all is as it was"


async def test_a_value_that_was_changed_or_moved_cant_be_read(database: Database) -> None:
    database.use(encrypting(1))
    turn = await ask(database)
    async with database.plain("r") as _:
        [[value]] = [[one for one in await stored(database, "notice") if one]]
    for spoiled in (value[:-3] + "AAA", value[:30], f"{MARK}", f"{MARK}nonsense:", f"{MARK}\u20ac:é"):
        await spoil(database, turn.id, "notice", spoiled)
        assert (await read(database, turn.id)).unreadable.startswith("turn.notice: ")
    await spoil(database, turn.id, "notice", value)
    assert await read(database, turn.id) == turn
    await spoil(database, turn.id, "answer", value)
    assert "turn.answer" in (await read(database, turn.id)).unreadable, "each column has keys of its own"


def test_another_purpose_has_other_keys() -> None:
    """So a secret that is stored by the same keys can't be had by moving it into a turn's answer."""
    secret = Cipher([key(1)]).encrypt("xoxb-1")
    with pytest.raises(WrongKey):
        encrypting(1).read("turn.answer", secret)
    assert Cipher([key(2), key(1)]).decrypt(secret) == "xoxb-1"


async def test_a_replica_without_keys_takes_no_encrypted_text_for_a_question(database: Database) -> None:
    """It was started before another one that encrypts, so that nothing told it to look."""
    database.use(encrypting(1))
    turn = await ask(database)
    database.use(None)
    found = await read(database, turn.id)
    assert (found.text, found.answer, found.unreadable != "") == ("", None, True)
    await spoil(database, turn.id, "text", "what stands clear, as it was stored before the other one began")
    found = await read(database, turn.id)
    assert (found.text, found.checkpoint, found.unreadable != "") == ("", None, True)


FORGED = Encryption([key(1)], encrypts=True).stored("turn.text", "what somebody else wrote")


async def test_who_writes_like_an_encrypted_value_neither_breaks_nor_forges(database: Database) -> None:
    """Even an encrypted value out of a stolen copy isn't decrypted for them, now or once there is a key."""
    texts = [f"{MARK}nonsense", MARK + "x", FORGED, "\x02\x02" + FORGED]
    for base, encryption in ((0, None), (10, reading(1)), (20, encrypting(1))):
        database.use(encryption)
        async with database.prepared("r1") as engine:
            queue, arrivals = Queue(engine, "r1"), Arrivals(engine)
            for number, text in enumerate(texts, base):
                await arrivals.put(inbound(number, address=thread(number), text=text), "a")
            claims = sorted(await queue.claim(10, ALL), key=lambda claim: claim.thread)
            turns = [await next_turn(queue, claim) for claim in claims]
        assert [turn.text for turn in turns] == [text.lstrip("\x02") for text in texts]
        for later in (reading(1), encrypting(2, 1)):
            database.use(later)
            assert [await read(database, turn.id) for turn in turns] == turns


def test_a_text_that_looks_encrypted_is_encrypted_where_nothing_else_is() -> None:
    """As what isn't said by people, and doesn't come by `storable`, may begin in any way."""
    assert storable(f"{MARK}x") == f"{MARK}x"[1:]
    off = reading(1)
    assert off.read("turn.settled", off.stored("turn.settled", f"{MARK}x")) == f"{MARK}x"
    assert off.restored("turn.settled", off.stored("turn.settled", f"{MARK}x")) is None
    assert off.stored("turn.settled", "x") == "x"


async def test_values_without_a_key_stay_and_are_told(database: Database) -> None:
    database.use(encrypting(1))
    turn = await ask(database)
    await database.add_key_id(encrypting(1).key_ids[0])
    ends = await rewrite(database, encrypting(2))
    [reason] = ends["turn"].unreadable
    assert reason == f"key {encrypting(1).key_ids[0]} isn't in data.keys"
    assert encrypting(1).key_ids[0] in await database.key_ids(), "it is still needed"
    database.use(encrypting(1))
    assert await read(database, turn.id) == turn


# --- start --------------------------------------------------------------------------------------------------------


async def test_the_start_says_which_key_is_missing(migrated_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_database(migrated_url, serve=True, encryption=encrypting(1)) as database:
        turn = await ask(database)
    assert "a key is missing" not in capsys.readouterr().out
    for keys in (encrypting(2), None):
        async with open_database(migrated_url, serve=True, encryption=keys) as database:
            assert (await read(database, turn.id)).unreadable
        said = capsys.readouterr().out
        assert "a key is missing" in said
        assert encrypting(1).key_ids[0] in said
    async with open_database(migrated_url, serve=True, encryption=encrypting(2, 1)) as database:
        assert await read(database, turn.id) == turn
    assert "a key is missing" not in capsys.readouterr().out


@asynccontextmanager
async def no_agents(_: Sequence[str]) -> AsyncIterator[Mapping[str, Agent]]:
    yield {}


async def test_a_person_is_forgotten_whose_turns_cant_be_read(database: Database) -> None:
    """And what can't be read of others stays as it is, for the day when its key is back."""
    database.use(encrypting(1))
    other = await ask(database)
    async with database.prepared("r1") as engine:
        queue, ann = Queue(engine, "r1"), Person("U7", "key")  # as stands in the sentence of what can't be read
        await Arrivals(engine).put(inbound(7, address=thread(7), text="x", person=ann), "a")
        claim = await claim_one(queue)
        turn = await begin_next(queue, claim, Checkpoint("c7", {}))
        await queue.conclude(claim, turn.id, Conclusion(Outcome.TIMED_OUT, "half"))
        await queue.end(claim, turn.id, Event.DELIVERED, Outcome.TIMED_OUT)
        assert await Decisions(engine).retry(thread(7), turn.id) is Decided.SENT
    database.use(reading(2))
    report = await forget(database, Identity("slack", "U7"), no_agents)
    assert (report.forgotten.turns, report.forgotten.mentions, report.remains) == (2, 0, [])
    assert "2 of their turns couldn't be read" in report.notes[0]
    database.use(encrypting(1))
    assert (await read(database, other.id)).settled == f"line {MARKED}"
