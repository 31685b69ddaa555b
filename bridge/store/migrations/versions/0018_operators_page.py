"""what the operator's page reads: when first words stood there, and where to find what ended, threads and budgets."""

import sqlalchemy as sa
from alembic import op

revision = "0018operatorspage"
down_revision = "0017shards"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("turn", sa.Column("first_words", sa.BigInteger(), nullable=True))
    op.create_index("ix_thread_channel", "thread", ["channel", "id"])
    op.create_index("ix_thread_thread", "thread", ["thread", "id"])


def downgrade() -> None:
    op.drop_index("ix_thread_thread", "thread")
    op.drop_index("ix_thread_channel", "thread")
    op.drop_column("turn", "first_words")
