"""encryption: the ids of the keys in use, and room for what is encrypted."""

import sqlalchemy as sa
from alembic import op

revision = "0015encryption"
down_revision = "0014audit"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "encryption_key",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    if op.get_bind().dialect.name == "postgresql":  # no rewrite of the table; SQLite looks at no length
        op.alter_column("turn", "person_name", type_=sa.Text(), existing_nullable=False)
        op.alter_column("part", "digest", type_=sa.Text(), existing_nullable=True)


def downgrade() -> None:
    op.drop_table("encryption_key")
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("turn", "person_name", type_=sa.String(length=255), existing_nullable=False)
        op.alter_column("part", "digest", type_=sa.String(length=64), existing_nullable=True)
