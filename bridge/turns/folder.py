"""Where the files of turns at work lie: a folder of this process, and in it one of each turn."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "threadbridge-work-"
NEW_PREFIX = "threadbridge-new-"  # of a folder that isn't locked yet
LOCK = "lock"


@contextmanager
def work_folder() -> Iterator[Path]:
    """A folder of this process, under the system's temporary one; what killed processes left there is swept."""
    parent = Path(tempfile.gettempdir())
    for found in parent.glob(f"{PREFIX}*"):
        _sweep(found)
    new = Path(tempfile.mkdtemp(prefix=NEW_PREFIX, dir=parent))
    with FileLock(new / LOCK):
        # It gets the name that others look for once it is locked: before, they would take it for one left behind.
        folder = new.rename(parent / (PREFIX + new.name.removeprefix(NEW_PREFIX)))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def remove_of_turns(turns: Iterable[str]) -> None:
    """What processes of this account on this machine, living or dead, have on disk for these turns."""
    names = set(turns)
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            if _is_ours(folder):
                for name in names:
                    shutil.rmtree(folder / name, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    """Anybody may put a name there; our own folder nobody else can exchange."""
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()


def _sweep(found: Path) -> None:
    try:
        if not _is_ours(found):
            return
        with FileLock(found / LOCK).acquire(timeout=0):
            shutil.rmtree(found, ignore_errors=True)
    except (Timeout, OSError):
        return  # its process lives, or another one sweeps


class Folder:
    """A folder of one turn, made when it is first used. Files in it are named by number: names are hostile."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = 0

    def new(self, suffix: str = "") -> Path:
        self._path.mkdir(parents=True, exist_ok=True)
        self._count += 1
        return self._path / f"{self._count}{suffix}"

    async def remove(self) -> None:
        if self._count:
            await asyncio.to_thread(_remove, self._path)


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink(missing_ok=True)
    folder.rmdir()
