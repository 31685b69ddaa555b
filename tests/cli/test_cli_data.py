"""`threadbridge forget`, `export`, `audit`, `db backup` and `db restored`, beside a running bridge."""

from __future__ import annotations

import json
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock

from bridge.cli import data
from bridge.store.engine import StoreUnavailable
from bridge.turns.folder import remove_of_turns, work_folder
from tests.cli.command import WHOLE_TEST
from tests.cli.conftest import Command
from tests.e2e.people import People
from tests.e2e.running import at_rest, running, serving, settings_for
from tests.e2e.town import Town

pytestmark = [pytest.mark.slow, pytest.mark.timeout(WHOLE_TEST)]

WORDS = "Zqquestionqz"


def holds(database: Path, words: str) -> list[str]:
    """The names of the database's files that hold these words."""
    files = [path for path in database.parent.iterdir() if path.name.startswith(database.name)]
    return [path.name for path in files if words.encode() in path.read_bytes()]


def asker(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        [(person,)] = connection.execute("SELECT DISTINCT person FROM turn").fetchall()
        return str(person)


@pytest.mark.parametrize("platform", ["discord"], indirect=True)
async def test_a_person_is_exported_and_forgotten_while_the_bridge_runs(
    town: Town, people: People, database: Path, command: Command, tmp_path: Path, config: Path
) -> None:
    async with running(config, people) as process:
        await people.say("ada", "openai", f"@threadbridge {WORDS}")
        assert await at_rest(database, 1) == ["done"]
        who = f"{people.name}:{asker(database)}"
        assert holds(database, WORDS)

        out = tmp_path / "ada.json"
        exported = await command("export", who, "--out", str(out))
        assert exported.code == 0, exported.err
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
        value = json.loads(out.read_text())
        assert (value["threadbridge_export"], value["person"]) == (1, who)
        assert WORDS in value["turns"][0]["text"]
        assert WORDS in value["turns"][0]["answer"]

        forgotten = await command("forget", who)
        assert forgotten.code == 0, forgotten.err + forgotten.out
        assert "1 turns, 1 threads" in forgotten.out
        assert "stays there" in forgotten.out
        assert not holds(database, WORDS)
        assert not holds(database, who.partition(":")[2])
        assert WORDS not in process.log()

        audited = await command("audit", "--json", "--since", "1")
        lines = audited.events
        assert [line["what"] for line in lines][:1] == ["person forgotten"]
        assert "person exported" in [line["what"] for line in lines]
        assert all(line["who"].startswith("operator") for line in lines)
        assert who.partition(":")[2] not in audited.out

        await people.say("ada", "openai", "@threadbridge hello again")
        assert await at_rest(database, 1) == ["done"], "the bridge goes on, and asks nothing of before"


async def test_a_backup_of_a_running_bridge_is_restored_and_nothing_is_asked_twice(
    town: Town, people: People, platform: str, database: Path, command: Command, tmp_path: Path
) -> None:
    """What was answered after the backup isn't known any more when it is put back; the catch-up finds its message."""
    settings, copy, backend = (
        settings_for(town, platform, database),
        tmp_path / "backup.db",
        town.backend("openai"),
    )
    async with serving(settings, people):
        thread = await people.say("ada", "openai", "@threadbridge first")
        assert await at_rest(database, 1) == ["done"]
        backed_up = await command("db", "backup", str(copy))
        assert backed_up.code == 0, backed_up.err
        await people.reply("ada", thread, "@threadbridge second")
        assert await at_rest(database, 2) == ["done", "done"]
    asked = backend.count()
    for companion in ("-wal", "-shm"):
        database.with_name(f"{database.name}{companion}").unlink(missing_ok=True)
    shutil.copyfile(copy, database)
    restored = await command("db", "restored")
    assert restored.code == 0, restored.err
    assert "isn't asked any more" in restored.out
    async with serving(settings, people):
        await people.reply("ada", thread, "@threadbridge third")
        assert await at_rest(database, 2) == ["done", "done"]
    assert backend.count() == asked + 1
    assert "third" in people.shown(thread)[-1].text
    assert backend.count() == 3


@pytest.fixture
def settings_file(migrated_sqlite: Path, tmp_path: Path) -> Path:
    """Of an empty database that nobody serves."""
    database = tmp_path / "empty.db"
    shutil.copyfile(migrated_sqlite, database)
    path = tmp_path / "empty.toml"
    path.write_text(f'database_url = "sqlite:///{database}"\n', encoding="utf-8")
    return path


def test_who_is_not_known_and_who_is_nobody(settings_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data.forget("slack:U404", config=settings_file)
    assert capsys.readouterr().out == "nothing is kept of slack:U404\n"
    with pytest.raises(SystemExit):
        data.export("slack:U404", config=settings_file)
    assert "nothing is kept of slack:U404" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        data.forget("ada", config=settings_file)
    assert "PERSON is 'ada': write a person as" in capsys.readouterr().err


def test_an_empty_audit_log_says_so_and_a_retention_line_is_readable(
    settings_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data.audit(config=settings_file)
    assert capsys.readouterr().err == "the audit log is empty\n"
    data.restored(config=settings_file)
    data.audit(config=settings_file)
    assert "database restored\t-\tturns_not_asked 0" in capsys.readouterr().out


def test_what_is_served_is_not_taken_for_restored(
    settings_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FileLock(tmp_path / "empty.db.lock"), pytest.raises(SystemExit):
        data.restored(config=settings_file)
    assert "a bridge serves this database; stop it first" in capsys.readouterr().err


def test_a_file_of_a_turn_at_work_is_removed_with_it() -> None:
    with work_folder() as folder:
        for name in ("t1", "t2"):
            (folder / name).mkdir()
            (folder / name / "1.txt").write_text(WORDS)
        remove_of_turns(["t1"])
        assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["t2"]


def test_a_database_that_is_lost_meanwhile_is_one_sentence(
    settings_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def lost(*_: object, **__: object) -> None:
        raise StoreUnavailable("database is locked")

    monkeypatch.setattr("bridge.ops.forget.forget", lost)
    with pytest.raises(SystemExit):
        data.forget("slack:U404", config=settings_file)
    assert "can't be used now (database is locked); run the same command again" in capsys.readouterr().err
