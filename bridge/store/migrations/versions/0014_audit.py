"""audit: who did what; what is found by its age, to be removed; which agent a turn was put to."""

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0014audit"
down_revision = "0013traces"
branch_labels = None
depends_on = None

AT_ONCE = 1_000  # rows


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.String(length=160), nullable=False),
        sa.Column("what", sa.String(length=64), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_index("ix_audit_who", "audit", ["who"])
    op.create_table(
        "restored",
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("at"),
    )
    op.add_column("turn", sa.Column("agent", sa.String(length=64), nullable=True))
    op.create_index("ix_turn_ended", "turn", ["ended_at", "id"])
    op.create_index("ix_turn_thread", "turn", ["thread_id", "received_at"])
    op.create_index("ix_budget_since", "budget", ["since"])
    _digest_keys()


def _digest_keys() -> None:
    """What was refused is known by a digest from now on."""
    connection = op.get_bind()
    refused = sa.table("refused", sa.column("message_key"), sa.column("at"))
    keys = connection.execute(sa.select(refused.c.message_key)).scalars().all()
    change = (
        sa.update(refused)
        .where(refused.c.message_key == sa.bindparam("clear"))
        .values(message_key=sa.bindparam("digest"))
    )
    for start in range(0, len(keys), AT_ONCE):
        values = [
            {"clear": key, "digest": hashlib.sha256(key.encode()).hexdigest()}
            for key in keys[start : start + AT_ONCE]
        ]
        connection.execute(change, values)


def downgrade() -> None:
    op.drop_index("ix_budget_since", "budget")
    op.drop_index("ix_turn_thread", "turn")
    op.drop_index("ix_turn_ended", "turn")
    with op.batch_alter_table("turn") as batch_op:
        batch_op.drop_column("agent")
    op.drop_table("restored")
    op.drop_table("audit")
