"""Shards of Discord's gateway: who serves which, and when sessions may begin."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert  # spelled alike on SQLite

from bridge.store.engine import Statement
from bridge.store.statements.base import number, string
from bridge.store.tables import Replica, Shard, ShardPlan, ShardServer, ShardStart, table_of

replica = table_of(Replica)
shard = table_of(Shard)
plan = table_of(ShardPlan)
server = table_of(ShardServer)
start = table_of(ShardStart)

_application = string("application")
_planned = insert(plan).values(application=_application, count=number("count"))
AGREE = Statement(
    _planned.on_conflict_do_update(
        index_elements=["application"],
        set_={
            "count": sa.case(
                (
                    sa.or_(sa.bindparam("exact", type_=sa.Boolean), _planned.excluded["count"] > plan.c["count"]),
                    _planned.excluded["count"],
                ),
                else_=plan.c["count"],
            )
        },
    ).returning(plan.c["count"])
)
_agreed = sa.and_(plan.c.application == _application, plan.c["count"] == number("count"))
# Holds the plan's row to the end of the unit: two counts can't be laid out at once.
STILL_AGREED = Statement(
    sa.update(plan).where(_agreed).values({"count": number("count")}).returning(plan.c["count"]), fences=True
)
DROP_SHARDS = Statement(
    sa.delete(shard).where(shard.c.application == _application, shard.c["count"] != number("count"))
)
PUT_SHARD = Statement(
    insert(shard)
    .values(
        {
            "application": _application,
            "number": number("number"),
            "count": number("count"),
            "token": sa.literal_column("0"),
        }
    )
    .on_conflict_do_nothing()
)

SERVE_SHARDS = Statement(
    insert(server).values(application=_application, replica=string("replica")).on_conflict_do_nothing()
)
SERVE_NO_SHARDS = Statement(
    sa.delete(server).where(server.c.application == _application, server.c.replica == string("replica"))
)
PLANNED = Statement(sa.select(plan.c["count"]).where(plan.c.application == _application))
# On SQLite there is one replica, which needn't be seen by others.
SERVERS = Statement(
    sa.select(server.c.replica)
    .select_from(server.outerjoin(replica, replica.c.id == server.c.replica))
    .where(
        server.c.application == _application,
        sa.or_(replica.c.id.is_not(None), server.c.replica == string("replica")),
    )
)
FORGET_SERVERS = Statement(
    sa.delete(server).where(
        server.c.application == _application,
        server.c.replica != string("replica"),
        sa.not_(sa.exists(sa.select(replica.c.id).where(replica.c.id == server.c.replica))),
    )
)
SHARDS = Statement(
    sa.select(shard.c.number, shard.c.owner, shard.c.token).where(
        shard.c.application == _application, shard.c["count"] == number("count")
    )
)

_this = sa.and_(shard.c.application == _application, shard.c.number == number("number"))
_ours = sa.and_(_this, shard.c.owner == string("replica"), shard.c.token == number("token"))
_session: dict[str, Any] = {
    "session": sa.bindparam("session", type_=sa.Text),
    "sequence": number("sequence"),
    "url": sa.bindparam("url", type_=sa.Text),
    "intents": number("intents"),
    "heard_at": number("at"),
}
CLAIM_SHARD = Statement(
    sa.update(shard)
    .where(_this, shard.c["count"] == number("count"), shard.c.token == number("token"))
    .values({"owner": string("replica"), "token": shard.c.token + 1})
    .returning(
        shard.c.token,
        shard.c.session,
        shard.c.sequence,
        shard.c.url,
        shard.c.intents,
        sa.type_coerce(shard.c.heard_at, sa.BigInteger),
    )
)
KEEP_SHARD = Statement(sa.update(shard).where(_ours).values(_session).returning(shard.c.number))
HOLD_SHARD = Statement(sa.select(shard.c.number).where(_ours))
GIVE_SHARD_BACK = Statement(sa.update(shard).where(_ours).values({"owner": sa.null()}))

_slot = insert(start).values(application=_application, bucket=number("bucket"), at=number("at"))
_next = start.c.at + number("apart")
START_SLOT = Statement(
    _slot.on_conflict_do_update(
        index_elements=["application", "bucket"],
        set_={"at": sa.case((_next > _slot.excluded.at, _next), else_=_slot.excluded.at)},
    ).returning(sa.type_coerce(start.c.at, sa.BigInteger))
)
