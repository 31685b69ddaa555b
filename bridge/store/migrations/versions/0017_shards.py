"""shards: who serves which part of Discord's events, how far it was heard, and when sessions may begin."""

import sqlalchemy as sa
from alembic import op

revision = "0017shards"
down_revision = "0016installations"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shard_plan",
        sa.Column("application", sa.String(length=32), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("application"),
    )
    op.create_table(
        "shard_server",
        sa.Column("application", sa.String(length=32), nullable=False),
        sa.Column("replica", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("application", "replica"),
    )
    op.create_table(
        "shard",
        sa.Column("application", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(length=32), nullable=True),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("session", sa.Text(), nullable=True),
        sa.Column("sequence", sa.BigInteger(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("intents", sa.BigInteger(), nullable=True),
        sa.Column("heard_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("application", "number"),
    )
    op.create_table(
        "shard_start",
        sa.Column("application", sa.String(length=32), nullable=False),
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("application", "bucket"),
    )


def downgrade() -> None:
    for table in ("shard_start", "shard", "shard_server", "shard_plan"):
        op.drop_table(table)
