"""The files of ours that hold secrets or what people wrote, and whether everybody on this machine can read them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from bridge.findings import Finding, warn
from bridge.settings import Settings, settings_path
from bridge.store.database import DatabaseError, database_url

IN_MEMORY = ":memory:"


def check_own_files(settings: Settings, config: Path | None) -> Iterator[Finding]:
    """The settings file and a SQLite database."""
    database = sqlite_file(settings.database_url.get_secret_value())
    for place, file in (("settings", settings_path(config)), ("database_url", database)):
        if file is not None and of_others(file):
            fix = f"`threadbridge doctor --fix` shuts it, or chmod o= {file}."
            yield warn(place, f"everybody on this machine can read {file}", fix)


def of_others(file: Path) -> bool:
    """Whether everybody may read or write a file of ours. One that was mounted for us isn't ours to change."""
    if not hasattr(os, "geteuid"):  # Windows has no such modes
        return False
    try:
        found = file.stat()
    except OSError:
        return False
    return found.st_uid == os.geteuid() and bool(stat.S_IMODE(found.st_mode) & (stat.S_IROTH | stat.S_IWOTH))


def sqlite_file(address: str) -> Path | None:
    """The file of a SQLite database; None for other databases and for none."""
    try:
        url = database_url(address)
    except DatabaseError:  # the database's own check says it
        return None
    if url.get_backend_name() != "sqlite" or url.database in (None, "", IN_MEMORY):
        return None
    return Path(str(url.database))
