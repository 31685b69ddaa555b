"""`threadbridge doctor --fix`: what is mended, and that nothing else is touched."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from filelock import FileLock

from bridge.findings import Mark
from bridge.ops.doctor import examine
from bridge.ops.mending import mend
from bridge.store.database import open_database


def settings(folder: Path, address: str) -> Path:
    file = folder / "threadbridge.toml"
    file.write_text(f'database_url = "{address}"\n[agents.echo]\nkind = "echo"\n', encoding="utf-8")
    file.chmod(0o600)
    return file


async def marks(config: Path, place: str) -> list[Mark]:
    return [finding.mark for finding in await examine(config) if finding.place == place]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)


async def test_files_that_everybody_can_read_are_shut_and_the_group_keeps_what_it_had(tmp_path: Path) -> None:
    database = tmp_path / "t.db"
    config = settings(tmp_path, f"sqlite:///{database}")
    async with open_database(f"sqlite:///{database}", serve=True):
        pass
    assert await mend(config) == [], "nothing to mend"
    config.chmod(0o644)
    database.chmod(0o646)
    assert await marks(config, "database_url") == [Mark.WARN, Mark.OK]
    mended = await mend(config)
    assert [(one.mark, one.place) for one in mended] == [(Mark.DONE, "settings"), (Mark.DONE, "database_url")]
    assert [file.stat().st_mode & 0o777 for file in (config, database)] == [0o640, 0o640]
    assert await marks(config, "database_url") == [Mark.OK]
    assert await mend(config) == []


async def test_the_databases_folder_is_made_and_no_database(tmp_path: Path) -> None:
    config = settings(tmp_path, f"sqlite:///{tmp_path}/a/b/t.db")
    assert await marks(config, "database_url") == [Mark.FAIL]
    [mended] = await mend(config)
    assert mended.mark is Mark.DONE
    folder = tmp_path / "a" / "b"
    assert list(folder.iterdir()) == []
    assert folder.stat().st_mode & 0o777 == 0o700
    assert await marks(config, "database_url") == [Mark.OK]


async def test_a_sqlite_database_is_brought_up_to_date_but_not_beside_a_process_that_serves(
    tmp_path: Path,
) -> None:
    database = tmp_path / "t.db"
    config = settings(tmp_path, f"sqlite:///{database}")
    sqlite3.connect(database).close()
    database.touch()
    database.chmod(0o600)
    with FileLock(f"{database}.lock"):
        [refused] = await mend(config)
        assert refused.mark is Mark.FAIL
        assert "already serves" in refused.found
        assert await marks(config, "database_url") == [Mark.WARN]
    [mended] = await mend(config)
    assert (mended.mark, mended.place) == (Mark.DONE, "database_url")
    assert await marks(config, "database_url") == [Mark.OK]


async def test_a_postgresql_database_and_settings_that_dont_load_are_left_alone(tmp_path: Path) -> None:
    assert await mend(settings(tmp_path, "postgresql://nobody@127.0.0.1:1/x")) == []
    config = settings(tmp_path, "sqlite:///x/t.db")
    config.write_text("[slack", encoding="utf-8")
    assert await mend(config) == []
    assert not (tmp_path / "x").exists()
    assert await mend(tmp_path / "nowhere.toml") == []
