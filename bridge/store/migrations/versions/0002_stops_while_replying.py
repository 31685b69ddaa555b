"""a stop that wasn't heard is found while the reply is delivered, too."""

import sqlalchemy as sa
from alembic import op

revision = "0002stops"
down_revision = "0001core"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _index("stopped AND state IN ('asking', 'replying')")


def downgrade() -> None:
    _index("stopped AND state = 'asking'")


def _index(where: str) -> None:
    op.drop_index("ix_turn_stopped", "turn")
    op.create_index(
        "ix_turn_stopped", "turn", ["thread_id"], sqlite_where=sa.text(where), postgresql_where=sa.text(where)
    )
