"""All that is kept of one person, as JSON. The shape stands in `.github/docs/data.md`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlmodel import SQLModel, col, select

from bridge.store.database import Database
from bridge.store.persons import Belongings, Identity
from bridge.store.tables import Artifact, Feedback, Part, Thread, Turn

VERSION = 1
# Of the turns of others that name the person, only what does.
NAMING = ("id", "thread_id", "asked_by", "request", "settled", "received_at")


async def export(database: Database, who: Identity, found: Belongings) -> dict[str, Any]:
    turns = []
    async with database.transaction() as session:
        for turn, thread in sorted(found.turns, key=lambda one: one[0].received_at):
            parts = (await session.exec(select(Part).where(col(Part.turn_id) == turn.id))).all()
            made = (await session.exec(select(Artifact).where(col(Artifact.turn_id) == turn.id))).all()
            rated = (await session.exec(select(Feedback).where(col(Feedback.turn_id) == turn.id))).all()
            turns.append(
                _plain(turn)
                | {
                    "thread": _place(thread),
                    "parts": _rows(parts),
                    "artifacts": [_artifact(one, turn, thread) for one in made],
                    "feedback": _rows([one for one in rated if one.person == who.key]),
                }
            )
    return {
        "threadbridge_export": VERSION,
        "person": str(who),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "names": sorted(found.names),
        "turns": turns,
        "threads": [_plain(one) | {"others_asked": False} for one in found.alone]
        + [_place(one) | {"others_asked": True} for one in found.shared],
        "named_in": [{name: _plain(one)[name] for name in NAMING} for one in found.named_in],
        "feedback": _rows(found.feedback),
        "budgets": _rows(found.budgets),
        "audit": _rows(found.audit),
    }


def _plain(row: SQLModel) -> dict[str, Any]:
    return row.model_dump(mode="json")


def _rows(rows: Sequence[SQLModel]) -> list[dict[str, Any]]:
    return [_plain(row) for row in rows]


def _place(thread: Thread) -> dict[str, Any]:
    names = ("id", "platform", "workspace", "channel", "thread", "direct", "agent")
    return {name: getattr(thread, name) for name in names}


def _artifact(made: Artifact, turn: Turn, thread: Thread) -> Mapping[str, Any]:
    """With how its content is to be had."""
    checkpoint = turn.checkpoint or {}
    conversation = checkpoint.get("conversation") or thread.conversation
    fetch = None
    if made.kind == "file" and conversation:
        fetch = ["threadbridge", "files", turn.agent or thread.agent, conversation, "--download", made.name]
    return _plain(made) | {"fetch": fetch}
