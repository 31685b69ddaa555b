"""who asks: a person's roles, and who had a question sent again."""

import sqlalchemy as sa
from alembic import op

revision = "0003who"
down_revision = "0002stops"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("turn", sa.Column("person_roles", sa.Text(), nullable=True))
    op.add_column("turn", sa.Column("asked_by", sa.Text(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("turn", schema=None) as batch_op:
        batch_op.drop_column("asked_by")
        batch_op.drop_column("person_roles")
