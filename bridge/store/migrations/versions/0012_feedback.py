"""feedback: what people think of answers, and what the agents' services are still to be told of it."""

import sqlalchemy as sa
from alembic import op

revision = "0012feedback"
down_revision = "0011doors"
branch_labels = None
depends_on = None

DUE = "due_at IS NOT NULL"


def upgrade() -> None:
    op.create_table(
        "feedback",
        sa.Column("turn_id", sa.String(length=16), nullable=False),
        sa.Column("person", sa.String(length=80), nullable=False),
        sa.Column("agent", sa.String(length=64), nullable=False),
        sa.Column("good", sa.Boolean(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["turn_id"], ["turn.id"]),
        sa.PrimaryKeyConstraint("turn_id", "person"),
    )
    op.create_index("ix_feedback_at", "feedback", ["at"])
    op.create_index("ix_feedback_person", "feedback", ["person"])
    op.create_index(
        "ix_feedback_due", "feedback", ["due_at"], sqlite_where=sa.text(DUE), postgresql_where=sa.text(DUE)
    )


def downgrade() -> None:
    op.drop_table("feedback")
