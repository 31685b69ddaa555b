"""a person's seats, budgets, and messages that were refused."""

import sqlalchemy as sa
from alembic import op

from bridge.store.tables import Moment

revision = "0006share"
down_revision = "0005commands"
branch_labels = None
depends_on = None

QUEUED = "state = 'queued'"
SEATED = "state IN ('ready', 'running')"


def upgrade() -> None:
    op.create_table(
        "budget",
        sa.Column("scope", sa.String(length=160), nullable=False),
        sa.Column("since", Moment(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("scope"),
    )
    op.create_table(
        "refused",
        sa.Column("message_key", sa.String(length=255), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("message_key"),
    )
    op.create_index("ix_refused_at", "refused", ["at"])
    op.add_column("thread", sa.Column("seat", sa.String(length=64), nullable=True))
    _index("ix_thread_queued", ["seat", "ready_at"], QUEUED)
    _index("ix_thread_seated", ["seat"], SEATED)


def downgrade() -> None:
    op.execute("UPDATE thread SET state = 'ready' WHERE state = 'queued'")
    op.drop_index("ix_thread_seated", "thread")
    op.drop_index("ix_thread_queued", "thread")
    op.drop_column("thread", "seat")
    op.drop_table("refused")
    op.drop_table("budget")


def _index(name: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "thread", columns, sqlite_where=condition, postgresql_where=condition)
