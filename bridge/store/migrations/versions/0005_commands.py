"""commands: where a conversation was begun anew; a person's last turns, a thread's last one."""

import sqlalchemy as sa
from alembic import op

revision = "0005commands"
down_revision = "0004edits"
branch_labels = None
depends_on = None

UNANSWERED = "state IN ('failed', 'cancelled')"


def upgrade() -> None:
    op.add_column("thread", sa.Column("begins_after", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_turn_unanswered",
        "turn",
        ["thread_id", "position"],
        sqlite_where=sa.text(UNANSWERED),
        postgresql_where=sa.text(UNANSWERED),
    )
    op.create_index("ix_turn_person", "turn", ["person", "received_at"])


def downgrade() -> None:
    op.drop_index("ix_turn_person", "turn")
    op.drop_index("ix_turn_unanswered", "turn")
    with op.batch_alter_table("thread") as batch_op:
        batch_op.drop_column("begins_after")
