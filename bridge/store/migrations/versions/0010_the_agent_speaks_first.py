"""the agent speaks first: what was said unasked, by turn, and where in a thread it was said last."""

import sqlalchemy as sa
from alembic import op

revision = "0010first"
down_revision = "0009rich"
branch_labels = None
depends_on = None

WAITS = "spoken IS NOT NULL AND state = 'received'"


def upgrade() -> None:
    op.add_column("thread", sa.Column("spoke_at", sa.BigInteger(), nullable=True))
    op.add_column("turn", sa.Column("spoken", sa.Text(), nullable=True))
    op.create_index(
        "ix_turn_spoken",
        "turn",
        ["received_at"],
        sqlite_where=sa.text(WAITS),
        postgresql_where=sa.text(WAITS),
    )


def downgrade() -> None:
    op.drop_index("ix_turn_spoken", "turn")
    with op.batch_alter_table("turn") as batch_op:
        batch_op.drop_column("spoken")
    with op.batch_alter_table("thread") as batch_op:
        batch_op.drop_column("spoke_at")
