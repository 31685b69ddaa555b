"""Who did what."""

from __future__ import annotations

import sqlalchemy as sa

from bridge.store.engine import Statement
from bridge.store.statements.base import audit, number, restored, string, value

PUT_AUDIT = Statement(
    sa.insert(audit).values(
        at=number("audited_at"),
        who=string("who"),
        what=string("what"),
        about=value(audit.c.about),
        detail=value(audit.c.detail, "audit_detail"),
    )
)
NAMED_NO_MORE = Statement(sa.update(audit).where(audit.c.who == string("who")).values(who=string("instead")))
_old = (
    sa.select(audit.c.id)
    .where(audit.c.at < number("before"))
    .order_by(audit.c.at)
    .limit(number("most"))
    .scalar_subquery()
)
REMOVE_AUDIT = Statement(sa.delete(audit).where(audit.c.id.in_(_old)).returning(audit.c.id))
RESTORED_AT = Statement(sa.select(sa.func.max(sa.type_coerce(restored.c.at, sa.BigInteger))))
PUT_RESTORED = Statement(sa.insert(restored).values(at=number("at")))
