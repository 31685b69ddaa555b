"""`threadbridge db encrypt`, as an operator runs it beside the bridge: killed, begun again, and without the key."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from bridge.store.arrivals import Arrivals
from bridge.store.database import Database, database_url
from bridge.store.queue import Queue
from tests.cli.command import WHOLE_TEST, run_command
from tests.e2e.running import environment
from tests.store.keys import bytes_of, encrypting, key
from tests.store.steps import ALL, HERE, inbound, next_turn

pytestmark = [pytest.mark.slow, pytest.mark.timeout(WHOLE_TEST)]

TURNS = 800
MARKED = "Zanzibar"


@pytest.fixture
def file(migrated_sqlite: Path, tmp_path: Path) -> Path:
    """Many turns of one thread, clear, and words that were deleted."""
    path = tmp_path / "threadbridge.db"
    shutil.copyfile(migrated_sqlite, path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO thread (platform, workspace, channel, thread, direct, agent, state, token, attempts,"
            " ready_at, person, several, newest, newest_position, touched_at, created_at)"
            " VALUES ('slack', 'T1', 'C1', 'old', false, 'a', 'idle', 0, 0, 1, 'U1', false, 'm', 0, 1, 1)"
        )
        row = "('t' || n, 1, 'e' || n, 'm' || n, 'm', n, 'U1', ?, '', ? || n, '[]', false, false, 0, 'done', false, n)"
        connection.execute(
            "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ?)"
            " INSERT INTO turn (id, thread_id, event_key, message_key, message_id, position, person, person_name,"
            " person_workspace, text, files, direct, mid_thread, revision, state, stopped, received_at)"
            f" SELECT {row.strip('()')} FROM c",
            (TURNS, f"Ann {MARKED}", f"question {MARKED} "),
        )
        connection.execute("DELETE FROM turn WHERE position % 7 = 0")
        connection.commit()
    return path


def settings(file: Path, *keys: int, encrypts: bool = True) -> Path:
    path = file.with_suffix(".toml")
    given = ", ".join(f'"{key(one).get_secret_value()}"' for one in keys)
    text = f'database_url = "sqlite:///{file}"\n[data]\nkeys = [{given}]\nencrypt_text = {str(encrypts).lower()}\n'
    path.write_text(text)
    return path


def texts(file: Path, numbers: tuple[int, ...]) -> tuple[list[str], int]:
    """The questions as they are read with these keys, and how many of them are clear."""
    encryption = encrypting(*numbers)
    with closing(sqlite3.connect(file)) as connection:
        stored = [
            text for (text,) in connection.execute("SELECT text FROM turn WHERE id LIKE 't%' ORDER BY position")
        ]
    return [encryption.read("turn.text", text) for text in stored], sum(MARKED in text for text in stored)


async def test_it_is_killed_begun_again_and_ended_while_the_bridge_serves(file: Path, tmp_path: Path) -> None:
    before, _ = texts(file, (1,))
    config = settings(file, 1)
    database = Database(database_url(f"sqlite:///{file}"), encryption=encrypting(1))
    async with database.prepared("r1") as engine:
        await Arrivals(engine).put(inbound(1, text=f"now {MARKED}"), "a")
        killed = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bridge", "db", "encrypt", "--config", str(config),
            stdout=asyncio.subprocess.PIPE, env=environment(),
        )  # fmt: skip
        assert killed.stdout is not None
        while b"turn:" not in (line := await killed.stdout.readline()):
            assert line, "it ended before"
        killed.kill()
        await killed.wait()
        after_kill, clear = texts(file, (1,))
        assert after_kill == before, "nothing is lost"
        assert 0 < clear < len(before)

        ended, _ = await asyncio.gather(
            run_command("db", "encrypt", "--config", str(config), folder=tmp_path),
            Arrivals(engine).put(inbound(2, text=f"meanwhile {MARKED}"), "a"),
        )
        assert ended.code == 0, ended.err
        assert "turn: 100 %" in ended.out
        assert ended.out.splitlines()[-1] == f"all stored texts are encrypted by key {encrypting(1).key_ids[0]}"
        assert texts(file, (1,)) == (before, 0)
        assert MARKED.encode() not in bytes_of(file), "nor what was deleted before"
        queue = Queue(engine, "r1")
        [claim] = await queue.claim(5, ALL)
        assert (await next_turn(queue, claim)).text == f"now {MARKED}"
        assert await Arrivals(engine).knows(HERE)
    await database.close()

    back = await run_command("db", "encrypt", "--config", str(settings(file, 2, encrypts=False)), folder=tmp_path)
    assert back.code == 1
    assert f"key {encrypting(1).key_ids[0]} isn't in data.keys" in back.err
    assert texts(file, (1,)) == (before, 0), "what can't be read stays"
