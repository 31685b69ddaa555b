"""traces: a turn's trace goes on in whatever process takes it up."""

import sqlalchemy as sa
from alembic import op

revision = "0013traces"
down_revision = "0012feedback"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("turn", sa.Column("traceparent", sa.String(length=55), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("turn") as batch_op:
        batch_op.drop_column("traceparent")
