"""installation: the workspaces that the app was installed in, their tokens, and the states that were used for it."""

import sqlalchemy as sa
from alembic import op

revision = "0016installations"
down_revision = "0015encryption"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "installation",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("bot", sa.String(length=64), nullable=False),
        sa.Column("app", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("access_token", sa.Text(), nullable=True),
        sa.Column("refresh_token", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("org", sa.Boolean(), nullable=False),
        sa.Column("enterprise", sa.String(length=64), nullable=False),
        sa.Column("installed_by", sa.String(length=64), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("refreshing_until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_installation_changed_at", "installation", ["changed_at"])
    op.create_table(
        "spent_state",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("ix_spent_state_until", "spent_state", ["until"])


def downgrade() -> None:
    op.drop_table("spent_state")
    op.drop_table("installation")
