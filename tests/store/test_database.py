"""Opening the database: migrations equal the tables, one process per SQLite file, mistakes in one sentence."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import OperationalError
from sqlmodel import SQLModel
from structlog.testing import capture_logs

from bridge.store import database as database_module
from bridge.store.database import Database, DatabaseError, create_engine, database_url, open_database
from bridge.store.tables import Replica


async def test_the_migrations_make_exactly_the_tables(database: Database) -> None:
    def differences(connection: sa.Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), SQLModel.metadata))

    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_upgrading_twice_changes_nothing(database: Database) -> None:
    before = await database.revision()
    await database.upgrade()
    assert await database.revision() == before
    assert before[0] == before[1]


async def test_a_sqlite_file_serves_one_process(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bridge.db'}"
    async with open_database(url, serve=True):
        with pytest.raises(DatabaseError, match="another threadbridge already serves"):
            async with open_database(url, serve=True):
                pass
        async with open_database(url) as beside:
            assert (await beside.revision())[0] is not None, "commands beside the running bridge may read"
    async with open_database(url, serve=True):
        pass


async def test_sqlite_survives_a_power_cut_and_lets_others_read(tmp_path: Path) -> None:
    async with (
        open_database(f"sqlite:///{tmp_path / 'bridge.db'}", serve=True) as database,
        database.engine.connect() as connection,
    ):
        assert (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar() == "wal"
        assert (await connection.exec_driver_sql("PRAGMA synchronous")).scalar() == 2
        assert (await connection.exec_driver_sql("PRAGMA foreign_keys")).scalar() == 1


async def test_an_older_postgres_is_not_migrated_behind_the_operators_back(postgres: str) -> None:
    with pytest.raises(DatabaseError, match="threadbridge db upgrade"):
        async with open_database(postgres, serve=True):
            pass


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("nonsense", "database_url isn't an address"),
        ("postgresql://localhost:port/x", "database_url isn't an address"),
        ("postgresql://127.0.0.1:1/x?password=hunter2", "can't open postgresql"),
        ("mysql://localhost/x", "database_url names mysql"),
        ("sqlite:////nowhere/at/all/x.db", "the folder /nowhere/at/all doesn't exist"),
        ("postgresql://me:hunter2@127.0.0.1:1/x", "can't open postgresql\\+psycopg://me:\\*\\*\\*@127.0.0.1:1/x"),
    ],
)
async def test_a_wrong_address_is_one_sentence_without_the_password(
    url: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "START_PATIENCE", 0.0)
    with pytest.raises(DatabaseError, match=sentence) as caught:
        async with open_database(url, serve=True):
            pass
    assert "hunter2" not in str(caught.value)


async def test_a_server_that_is_still_starting_is_waited_for(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision, answers = Database.revision, iter([OperationalError("connect", {}, Exception("starting up"))] * 2)

    async def sometimes(database: Database) -> tuple[str | None, str]:
        for error in answers:
            raise error
        return await revision(database)

    monkeypatch.setattr(Database, "revision", sometimes)
    with capture_logs() as logs:
        async with open_database(postgres_url, serve=True):
            pass
    assert [log["error"] for log in logs] == ["starting up", "starting up"]


async def test_times_come_back_with_their_zone(database: Database) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
    async with database.transaction() as session:
        session.add(Replica(id="r", lock=1, started_at=at, heartbeat_at=at))
    async with database.transaction() as session:
        stored = await session.get_one(Replica, "r")
        assert stored.started_at == at
        assert stored.started_at.tzinfo is not None


def test_both_spellings_of_postgres_are_taken() -> None:
    for spelling in ("postgresql", "postgresql+psycopg"):
        assert create_engine(database_url(f"{spelling}://localhost/x")).dialect.driver == "psycopg"


async def test_looking_makes_no_database(tmp_path: Path) -> None:
    path = tmp_path / "nothing.db"
    with pytest.raises(DatabaseError, match=r"there is no .*nothing\.db yet"):
        async with open_database(f"sqlite:///{path}"):
            pass
    assert not path.exists()
