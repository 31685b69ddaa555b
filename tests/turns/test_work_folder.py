"""Attachments that a killed process left behind are swept when the next one starts, and nothing else is."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.turns.folder import LOCK, PREFIX, work_folder

WORKS = """
from bridge.turns.folder import Folder, work_folder
with work_folder() as folder:
    attachment = Folder(folder / "turn").new(".txt")
    attachment.write_text("what somebody attached")
    print(attachment, flush=True)
    input()
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder for temporary files."""
    path = tmp_path / "tmp"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


@contextmanager
def another(temporary: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process at work, and an attachment of its turn; it ends by itself in the end."""
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", WORKS], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().rstrip("\n"))
        if process.poll() is None:
            process.stdin.write("\n")


def left_behind(temporary: Path, name: str) -> Path:
    folder = temporary / (PREFIX + name)
    folder.mkdir()
    (folder / LOCK).touch()
    (folder / "1.txt").write_text("left")
    return folder


def tree(folder: Path) -> dict[str, str]:
    """Everything below, files with their content."""
    found = folder.rglob("*")
    return {str(path.relative_to(folder)): path.read_text() if path.is_file() else "" for path in found}


def test_what_a_killed_process_left_goes_and_what_a_living_one_works_with_stays(temporary: Path) -> None:
    with another(temporary) as (killed, left), another(temporary) as (_, used):
        assert left.parent.parent.parent == used.parent.parent.parent == temporary
        killed.kill()
        killed.wait()
        assert left.exists()
        with work_folder() as own:
            assert not left.parent.parent.exists()
            assert used.read_text() == "what somebody attached"
            assert sorted(temporary.iterdir()) == sorted([own, used.parent.parent])
    assert list(temporary.iterdir()) == [], "who ends by itself leaves nothing"


def test_nothing_outside_is_touched_and_no_link_is_followed(temporary: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "letter.txt").write_text("dear")
    (temporary / f"{PREFIX}link").symlink_to(outside)
    (temporary / f"{PREFIX}file").write_text("no folder")
    (temporary / "threadbridge").mkdir()
    locked_by_link = left_behind(temporary, "lock")
    (locked_by_link / LOCK).unlink()
    (locked_by_link / LOCK).symlink_to(outside / "letter.txt")
    stays = tree(temporary)
    linked = left_behind(temporary, "linked")
    (linked / "folder").symlink_to(outside)
    (linked / "file").symlink_to(outside / "letter.txt")
    with work_folder():
        assert not linked.exists()
    assert tree(temporary) == stays
    assert tree(outside) == {"letter.txt": "dear"}


def test_a_folder_of_another_account_stays(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = left_behind(temporary, "theirs")
    before = tree(left)
    account = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: account + 1)
    with work_folder():
        assert tree(left) == before


def test_two_that_start_at_the_same_moment_leave_each_other_their_folders(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = tempfile.mkdtemp

    def make_while_another_starts(*arguments: str, **named: object) -> str:
        made = make(*arguments, **named)  # type: ignore[call-overload]
        monkeypatch.setattr(tempfile, "mkdtemp", make)
        with work_folder():
            return str(made)

    monkeypatch.setattr(tempfile, "mkdtemp", make_while_another_starts)
    with work_folder() as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, "made anew, it would be open to other accounts"
        (folder / "1").touch()
        with work_folder():
            assert (folder / "1").exists()
