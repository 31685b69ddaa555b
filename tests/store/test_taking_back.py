"""Every migration has a way back, as the page on upgrades says."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlmodel import SQLModel

from bridge.store import migrate
from bridge.store.database import Database


@pytest.mark.slow
async def test_each_migration_is_taken_back_and_made_again(database: Database) -> None:
    def back_and_forth(connection: sa.Connection) -> None:
        config = migrate._config()
        config.attributes["connection"] = connection
        older = list(reversed(migrate.revisions()[:-1]))
        assert older
        for revision in older:
            command.downgrade(config, revision)
            assert migrate.current(connection) == revision
        migrate.upgrade(connection)
        assert not compare_metadata(MigrationContext.configure(connection), SQLModel.metadata)

    async with database.engine.begin() as connection:
        await connection.run_sync(back_and_forth)
