"""Alembic's environment: runs inside the connection that `bridge.store.database` hands over."""

from typing import Literal

from alembic import context
from sqlmodel import SQLModel
from sqlmodel.sql.sqltypes import AutoString

from bridge.store import tables

assert tables.Turn.metadata is SQLModel.metadata  # importing the tables fills the metadata  # noqa: S101


def render_item(_kind: str, item: object, _context: object) -> str | Literal[False]:
    """Types as the databases have them: a migration must not change when our own types do."""
    match item:
        case tables.Moment():
            return "sa.BigInteger()"
        case tables.Words():
            return "sa.Text()"
        case AutoString():
            return f"sa.String(length={item.length})" if item.length else "sa.String()"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,  # SQLite can't alter most things in place
    compare_type=True,
    render_item=render_item,
)
with context.begin_transaction():
    context.run_migrations()
