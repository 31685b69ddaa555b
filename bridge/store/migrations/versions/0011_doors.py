"""doors: messages that wait are joined into one turn, and show that they wait."""

import sqlalchemy as sa
from alembic import op

revision = "0011doors"
down_revision = "0010first"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("turn", sa.Column("joined_into", sa.String(16), nullable=True))
    op.add_column("turn", sa.Column("marked", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index(
        "ix_turn_marked", "turn", ["thread_id"], sqlite_where=sa.text("marked"), postgresql_where=sa.text("marked")
    )


def downgrade() -> None:
    op.drop_index("ix_turn_marked", "turn")
    with op.batch_alter_table("turn") as batch_op:
        batch_op.drop_column("marked")
        batch_op.drop_column("joined_into")
