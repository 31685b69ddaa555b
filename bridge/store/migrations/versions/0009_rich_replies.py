"""rich replies: what an answer quotes; the words of a voice note."""

import sqlalchemy as sa
from alembic import op

revision = "0009rich"
down_revision = "0008approve"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("turn", sa.Column("sources", sa.Text(), nullable=True))
    op.add_column("turn", sa.Column("heard", sa.Text(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("turn") as batch_op:
        batch_op.drop_column("heard")
        batch_op.drop_column("sources")
