"""what the operator's page reads: when first words stood there, and where to find what ended, threads and budgets."""

import sqlalchemy as sa
from alembic import op

revision = "0018operatorspage"
down_revision = "0015encryption"
branch_labels = None
depends_on = None

ENDED = sa.text("ended_at IS NOT NULL")


def upgrade() -> None:
    op.add_column("turn", sa.Column("first_words", sa.BigInteger(), nullable=True))
    op.create_index("ix_turn_ended", "turn", ["ended_at"], sqlite_where=ENDED, postgresql_where=ENDED)
    op.create_index("ix_thread_channel", "thread", ["channel", "id"])
    op.create_index("ix_thread_thread", "thread", ["thread", "id"])
    op.create_index("ix_budget_since", "budget", ["since"])


def downgrade() -> None:
    op.drop_index("ix_budget_since", "budget")
    op.drop_index("ix_thread_thread", "thread")
    op.drop_index("ix_thread_channel", "thread")
    op.drop_index("ix_turn_ended", "turn")
    op.drop_column("turn", "first_words")
