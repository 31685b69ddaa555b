"""Threads of a replica that is gone."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from bridge.store.engine import Statement
from bridge.store.statements.base import number, one_of, ours, string, thread

RECLAIMED_AT_ONCE = 500  # threads in one statement

HELD_BY = Statement(
    sa.select(thread.c.id, thread.c.token).where(
        one_of(thread.c.state, "running"), thread.c.owner == string("replica")
    )
)
_lost = (
    sa.select(thread.c.id)
    .where(one_of(thread.c.state, "running"), thread.c.owner == string("dead"))
    .limit(RECLAIMED_AT_ONCE)
    .with_for_update(skip_locked=True)
    .cte("lost")
)
_freed: dict[str, Any] = {"state": sa.literal_column("'ready'"), "owner": sa.null(), "ready_at": number("at")}
RECLAIM = Statement(
    sa.update(thread).where(thread.c.id.in_(sa.select(_lost.c.id))).values(_freed).returning(thread.c.id)
)
OWNERS = Statement(sa.select(thread.c.owner).distinct().where(one_of(thread.c.state, "running")))
FREE_ALL = Statement(
    sa.update(thread).where(one_of(thread.c.state, "running")).values(_freed).returning(thread.c.id)
)
FREE = Statement(sa.update(thread).where(ours, one_of(thread.c.state, "running")).values(_freed))
PING = Statement(sa.select(sa.literal_column("1")))
