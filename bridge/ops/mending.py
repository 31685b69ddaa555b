"""What `threadbridge doctor --fix` mends: what lies on this machine, can't lose anything and needs nobody's decision.

Never tokens, agents, apps on the platforms, or a PostgreSQL database, whose migrations are a step of their own.
"""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from pathlib import Path

from bridge.findings import Finding, Mark, fail
from bridge.ops.own_files import of_others, sqlite_file
from bridge.settings import Settings, SettingsError, load, settings_path
from bridge.store.database import DatabaseError, open_database

FOLDER_MODE = 0o700  # of a folder for the database, which holds what people wrote


async def mend(config: Path | None = None) -> list[Finding]:
    """What was mended, and what couldn't be. Never raises for what is wrong with the settings."""
    try:
        settings = load(config)
    except SettingsError:  # doctor says what it is
        return _shut("settings", settings_path(config))
    return [*_shut("settings", settings_path(config)), *[one async for one in _database(settings)]]


def _shut(place: str, file: Path) -> list[Finding]:
    """Nobody but the owner and the group as it was."""
    if not of_others(file):
        return []
    try:
        file.chmod(stat.S_IMODE(file.stat().st_mode) & ~stat.S_IRWXO)
    except OSError as error:
        return [fail(place, f"{file} can't be shut to others ({error.strerror})", f"Run chmod o= {file}.")]
    return [_done(place, f"{file} can no longer be read by everybody on this machine")]


async def _database(settings: Settings) -> AsyncIterator[Finding]:
    place, address = "database_url", settings.database_url.get_secret_value()
    file = sqlite_file(address)
    if file is None:
        return
    if not file.parent.is_dir():
        try:
            file.parent.mkdir(mode=FOLDER_MODE, parents=True)
        except OSError as error:
            found = f"the folder {file.parent} can't be made ({error.strerror})"
            yield fail(place, found, "Make it, or change the address.")
        else:
            yield _done(place, f"the folder {file.parent} is there now")
    for one in _shut(place, file):
        yield one
    if await _is_behind(address):
        try:
            # As `run` does it: with the lock, so never beside a process that serves from it.
            async with open_database(address, serve=True):
                yield _done(place, f"{file} is up to date now")
        except DatabaseError as error:
            yield fail(
                place, str(error).removeprefix(f"{place}: "), "End that process; `threadbridge run` upgrades."
            )


async def _is_behind(address: str) -> bool:
    """Whether the database is there and wants migrations. What else is wrong with it is for doctor to say."""
    try:
        async with open_database(address) as database:
            current, newest = await database.revision()
    except DatabaseError:
        return False
    return current != newest


def _done(place: str, found: str) -> Finding:
    return Finding(Mark.DONE, place, found)
