"""The tables brought from one revision to the next, by Alembic."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

_VERSIONS = str(resources.files("bridge.store") / "migrations" / "versions")
UPGRADING = 7_471_036_253  # key of the advisory lock: replicas that are started together upgrade one after another


class NewerDatabase(Exception):
    """A revision that this version doesn't know."""


def newest() -> str:
    return _scripts().get_current_head() or ""


def current(connection: sa.Connection) -> str | None:
    """The revision that the database has, None for an empty one. Raises `NewerDatabase`."""
    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and found not in {script.revision for script in _scripts().walk_revisions()}:
        raise NewerDatabase(
            f"its tables are of revision {found}, which this version of Threadbridge doesn't know: update it, or"
            " go back to the backup that was made before the upgrade"
        )
    return found


def upgrade(connection: sa.Connection) -> None:
    """To the newest revision, in the connection's transaction. Raises `NewerDatabase`."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(UPGRADING)))
    current(connection)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def draft(message: str, folder: Path | None = None) -> Path:
    """Write the migration from the newest revision to what the tables are in the code; into `folder`, or beside the
    others. The comparison is with an empty database of the newest revision, in memory."""
    with sa.create_engine("sqlite://").begin() as connection:
        upgrade(connection)
        config = _config()
        config.attributes["connection"] = connection
        if folder is not None:
            config.set_main_option("version_locations", f"{_VERSIONS} {folder}")
            config.set_main_option("path_separator", "space")
        number = f"{len(list(_scripts().walk_revisions())) + 1:04}"
        script = command.revision(
            config, message, autogenerate=True, rev_id=number, version_path=str(folder) if folder else None
        )
    assert script is not None and not isinstance(script, list)  # noqa: S101, PT018  # it is for one head
    return Path(script.path)


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(resources.files("bridge.store") / "migrations"))
    return config
