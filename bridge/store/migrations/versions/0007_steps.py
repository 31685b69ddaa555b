"""steps: what the agent did in a turn, as its reply shows it."""

import sqlalchemy as sa
from alembic import op

revision = "0007steps"
down_revision = "0006share"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("turn", sa.Column("steps", sa.Text(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("turn") as batch_op:
        batch_op.drop_column("steps")
