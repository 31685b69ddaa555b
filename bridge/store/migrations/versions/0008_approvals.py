"""approvals: what a turn decides, what it settles, until when a decision is waited for, what it came to."""

import sqlalchemy as sa
from alembic import op

revision = "0008approve"
down_revision = "0007steps"
branch_labels = None
depends_on = None

UNDECIDED = "expires_at IS NOT NULL AND settled IS NULL"


def upgrade() -> None:
    op.add_column("turn", sa.Column("decision", sa.Text(), nullable=True))
    op.add_column("turn", sa.Column("settles", sa.String(16), nullable=True))
    op.add_column("turn", sa.Column("expires_at", sa.BigInteger(), nullable=True))
    op.add_column("turn", sa.Column("settled", sa.Text(), nullable=True))
    op.create_index(
        "ix_turn_expires",
        "turn",
        ["expires_at"],
        sqlite_where=sa.text(UNDECIDED),
        postgresql_where=sa.text(UNDECIDED),
    )


def downgrade() -> None:
    op.drop_index("ix_turn_expires", "turn")
    with op.batch_alter_table("turn") as batch_op:
        for column in ("settled", "expires_at", "settles", "decision"):
            batch_op.drop_column(column)
