"""What is recorded of a turn's messages and files."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert  # spelled alike on SQLite

from bridge.store.engine import Statement
from bridge.store.statements.base import artifact, columns, number, part, raw, string, turn, value
from bridge.store.tables import Artifact, Part

_part_row = insert(part).values({name: value(part.c[name]) for name in columns(Part)})
PUT_PART = Statement(
    _part_row.on_conflict_do_update(
        index_elements=["turn_id", "kind", "index"],
        set_={
            "message_id": _part_row.excluded.message_id,
            "ends": sa.func.coalesce(_part_row.excluded.ends, part.c.ends),
            "shown": _part_row.excluded.shown,
            "digest": sa.func.coalesce(_part_row.excluded.digest, part.c.digest),
        },
    )
)
PUT_STEPS = Statement(
    sa.update(turn).where(turn.c.id == string("turn_id")).values(steps=value(turn.c.steps, "taken"))
)
FORGET_PART = Statement(
    sa.delete(part).where(
        part.c.turn_id == string("turn_id"), part.c.kind == string("kind"), part.c.index == number("index")
    )
)
PUT_ARTIFACT = Statement(
    insert(artifact).values({name: value(artifact.c[name]) for name in columns(Artifact)}).on_conflict_do_nothing()
)
PARTS = Statement(sa.select(*raw(part, columns(Part))).where(part.c.turn_id == string("turn_id")))
ARTIFACTS = Statement(
    sa.select(*raw(artifact, columns(Artifact)))
    .where(artifact.c.turn_id == string("turn_id"))
    .order_by(artifact.c.index)
)
