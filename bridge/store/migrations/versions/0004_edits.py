"""what a person made of a question after it was asked."""

import sqlalchemy as sa
from alembic import op

revision = "0004edits"
down_revision = "0003who"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("turn", sa.Column("edited", sa.Text(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("turn") as table:
        table.drop_column("edited")
