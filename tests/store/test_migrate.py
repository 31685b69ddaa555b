"""Migrations: a draft of the next, a database that is newer, several upgrades at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory

from bridge.store import migrate
from bridge.store.arrivals import Arrivals
from bridge.store.database import Database, DatabaseError, database_url, open_database
from bridge.store.tables import now
from tests.store.steps import inbound


def test_the_revisions_are_those_that_alembic_knows_in_its_order() -> None:
    scripts = ScriptDirectory.from_config(migrate._config())
    assert [script.revision for script in scripts.walk_revisions()] == [*reversed(migrate.revisions())]
    assert migrate.newest() == scripts.get_current_head()


def test_a_draft_of_unchanged_tables_changes_nothing(tmp_path: Path) -> None:
    draft = migrate.draft("nothing to do", tmp_path).read_text()
    assert f"down_revision = {migrate.newest()!r}" in draft
    assert draft.count("pass") == 2


async def test_a_newer_database_is_one_sentence(database: Database) -> None:
    async with database.engine.begin() as connection:
        await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    for look in (database.upgrade, database.revision):
        with pytest.raises(
            DatabaseError, match="of revision 9999, which this version of Threadbridge doesn't know"
        ):
            await look()


async def test_many_upgrades_at_once_upgrade_once(any_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.store.database.BUSY_SECONDS", 60.0)  # on a busy machine the last one waits long
    databases = [Database(database_url(any_database_url)) for _ in range(4)]
    await asyncio.gather(*(database.upgrade() for database in databases))
    for database in databases:
        assert (await database.revision())[0] == migrate.newest()
        await database.close()


async def test_what_people_wrote_is_readable_to_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "bridge.db"
    async with open_database(f"sqlite:///{path}", serve=True) as database, database.prepared("r1"):
        files = [one for one in tmp_path.iterdir() if one.suffix != ".lock"]
        assert {one.stat().st_mode & 0o077 for one in files} == {0}


async def test_what_was_refused_before_keys_were_digests_stays_refused(any_database_url: str) -> None:
    database = Database(database_url(any_database_url))
    before = migrate.revisions()[migrate.revisions().index("0014audit") - 1]
    message = inbound(1)

    def to_before(connection: sa.Connection) -> None:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, before)

    async with database.engine.begin() as connection:
        await connection.run_sync(to_before)
        values = {"key": f"slack:T1:C1:{message.message_id}", "at": now()}
        await connection.execute(sa.text("INSERT INTO refused (message_key, at) VALUES (:key, :at)"), values)
    await database.upgrade()
    async with database.prepared("r1") as engine:
        assert not await Arrivals(engine).put(message, "a")
        assert await Arrivals(engine).put(inbound(2), "a")
    await database.close()
