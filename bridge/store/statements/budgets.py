"""What one person, channel or installation may still ask."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert  # spelled alike on SQLite

from bridge.store.engine import Statement
from bridge.store.statements.base import budget, number, raw, string, turn

_spends = insert(budget).from_select(
    ["scope", "since", "used"],
    # For a turn that this unit of work stores, not for one that is known already.
    sa.select(string("scope"), number("at"), sa.literal_column("1")).where(
        sa.exists(sa.select(turn.c.id).where(turn.c.id == string("spender")))
    ),
)
_over = budget.c.since <= number("expired")
SPEND = Statement(
    _spends.on_conflict_do_update(
        index_elements=["scope"],
        set_={
            "since": sa.case((_over, _spends.excluded.since), else_=budget.c.since),
            "used": sa.case((_over, sa.literal_column("1")), else_=budget.c.used + 1),
        },
        where=sa.or_(_over, budget.c.used < number("allowed")),
    ).returning(budget.c.scope),
    fences=True,
)
FREE_BUDGET = Statement(sa.delete(budget).where(budget.c.scope == string("scope")))
SPENT = Statement(sa.select(*raw(budget, ("since", "used"))).where(budget.c.scope == string("scope")))
