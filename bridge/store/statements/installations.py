"""Where the app was installed. Every change takes the version that it was made for, or begins a new one."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert  # spelled alike on SQLite

from bridge.store.engine import Statement
from bridge.store.statements.base import number, raw, string, value
from bridge.store.tables import Installation, SpentState, table_of

installation = table_of(Installation)
spent_state = table_of(SpentState)

INSTALLATION_COLUMNS = (
    "id", "name", "user", "bot", "app", "scopes", "access_token", "refresh_token", "expires_at", "org",
    "enterprise", "installed_by", "version", "changed_at",
)  # fmt: skip
_GIVEN = tuple(name for name in INSTALLATION_COLUMNS if name != "version")
_one = installation.c.version + sa.literal_column("1")
_this = sa.and_(installation.c.id == string("id"), installation.c.version == number("version"))

_puts = insert(installation).values(
    {name: value(installation.c[name]) for name in _GIVEN}
    | {"version": sa.literal_column("1"), "refreshing_until": sa.null()}
)
PUT_INSTALLATION = Statement(
    _puts.on_conflict_do_update(
        index_elements=["id"],
        set_={name: _puts.excluded[name] for name in _GIVEN if name != "id"}
        | {"version": _one, "refreshing_until": sa.null()},
    ).returning(*raw(installation, INSTALLATION_COLUMNS))
)
CHANGED_INSTALLATIONS = Statement(
    sa.select(*raw(installation, INSTALLATION_COLUMNS))
    .where(installation.c.changed_at >= number("since"))
    .order_by(installation.c.changed_at, installation.c.id)
)
FIND_INSTALLATION = Statement(
    sa.select(*raw(installation, INSTALLATION_COLUMNS)).where(installation.c.id == string("id"))
)
REMOVE_INSTALLATION = Statement(
    sa.update(installation)
    .where(_this)
    .values(
        access_token=sa.null(),
        refresh_token=sa.null(),
        expires_at=sa.null(),
        refreshing_until=sa.null(),
        version=_one,
        changed_at=number("at"),
    )
    .returning(installation.c.id),
    fences=True,
)
# By the clocks of the replicas: one that is wrong by more than a lease would use a refresh token a second time.
CLAIM_REFRESH = Statement(
    sa.update(installation)
    .where(
        _this,
        installation.c.refresh_token.is_not(None),
        sa.or_(installation.c.refreshing_until.is_(None), installation.c.refreshing_until <= number("at")),
    )
    .values(refreshing_until=number("until"))
    .returning(installation.c.id)
)
REFRESHED = Statement(
    sa.update(installation)
    .where(_this)
    .values(
        access_token=value(installation.c.access_token),
        refresh_token=value(installation.c.refresh_token),
        expires_at=value(installation.c.expires_at),
        refreshing_until=sa.null(),
        version=_one,
        changed_at=number("at"),
    )
    .returning(*raw(installation, INSTALLATION_COLUMNS))
)
# The same tokens under another key, so that it is no new version.
REENCRYPT = Statement(
    sa.update(installation)
    .where(_this)
    .values(access_token=value(installation.c.access_token), refresh_token=value(installation.c.refresh_token))
)
SPEND_STATE = Statement(
    insert(spent_state)
    .values(digest=string("digest"), until=number("until"))
    .on_conflict_do_nothing(index_elements=["digest"])
    .returning(spent_state.c.digest)
)
FORGET_STATES = Statement(sa.delete(spent_state).where(spent_state.c.until < number("at")))
