"""Alembic's environment: runs inside the connection that `bridge.store.database` hands over."""

from alembic import context
from sqlmodel import SQLModel

from bridge.store import tables

assert tables.Turn.metadata is SQLModel.metadata  # importing the tables fills the metadata  # noqa: S101

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,  # SQLite can't alter most things in place
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
