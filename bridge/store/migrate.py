"""The tables brought from one revision to the next, by Alembic.

It is imported where there is something to bring: a command is done sooner than Alembic is imported, and whether the
tables are up to date shows without it.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from alembic.config import Config

_VERSIONS = resources.files("bridge.store") / "migrations" / "versions"
_REVISION = re.compile(r'^revision = "(\w+)"$', re.MULTILINE)
_CURRENT = sa.table("alembic_version", sa.column("version_num", sa.String))
UPGRADING = 7_471_036_253  # key of the advisory lock: replicas that are started together upgrade one after another


class NewerDatabase(Exception):
    """A revision that this version doesn't know."""


@cache
def revisions() -> tuple[str, ...]:
    """All that there are, the newest last."""
    files = sorted((file for file in _VERSIONS.iterdir() if file.name.endswith(".py")), key=lambda file: file.name)
    return tuple(found[1] for file in files if (found := _REVISION.search(file.read_text(encoding="utf-8"))))


def newest() -> str:
    return revisions()[-1]


def current(connection: sa.Connection) -> str | None:
    """The revision that the database has, None for an empty one. Raises `NewerDatabase`."""
    if not sa.inspect(connection).has_table(_CURRENT.name):
        return None
    found: str | None = connection.scalar(sa.select(_CURRENT.c.version_num))
    if found is not None and found not in revisions():
        raise NewerDatabase(
            f"its tables are of revision {found}, which this version of Threadbridge doesn't know: update it, or"
            " go back to the backup that was made before the upgrade"
        )
    return found


def upgrade(connection: sa.Connection) -> None:
    """To the newest revision, in the connection's transaction. Raises `NewerDatabase`."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(UPGRADING)))
    if current(connection) == newest():
        return
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def draft(message: str, folder: Path | None = None) -> Path:
    """Write the migration from the newest revision to what the tables are in the code; into `folder`, or beside the
    others. The comparison is with an empty database of the newest revision, in memory."""
    from alembic import command

    with sa.create_engine("sqlite://").begin() as connection:
        upgrade(connection)
        config = _config()
        config.attributes["connection"] = connection
        if folder is not None:
            config.set_main_option("version_locations", f"{_VERSIONS} {folder}")
            config.set_main_option("path_separator", "space")
        number = f"{len(revisions()) + 1:04}"
        script = command.revision(
            config, message, autogenerate=True, rev_id=number, version_path=str(folder) if folder else None
        )
    assert script is not None and not isinstance(script, list)  # noqa: S101, PT018  # it is for one head
    return Path(script.path)


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(resources.files("bridge.store") / "migrations"))
    return config
