"""No line of the log quotes a person, an agent, a file's name or a service's error, whatever goes wrong."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import structlog

from adapters.echo import Echo
from adapters.testing.backends import faults
from bridge.ops.logs import set_up_logs
from bridge.turns import outages
from tests.e2e.people import NamedFile, People
from tests.e2e.running import at_rest, serving, settings_for, states
from tests.e2e.town import Town
from tests.e2e.waiting import eventually

BOT = "@threadbridge"
MARK = "xyzzy"  # in all that nobody may find in a log
NOTES = (f"{MARK}.txt", "text/plain", f"{MARK}: buy milk\n".encode())
TOO_LARGE = (f"{MARK}.txt", "text/plain", b"x" * 2_000)
BODY = json.dumps({"message": f"no {MARK}", "detail": MARK, "error": MARK}).encode()
# Lines of a turn at work, some of each kind of failure.
OF_TURNS = {
    "agent done",
    "agent failed",
    "agent can't be reached",
    "agent's service is asked again",
    "adapter broke",
    "attachment left out",
    "file left out",
    "platform throttles",
    "platform can't be reached",
    "turn stopped by a person",
    "turn ended",
}


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    configured = structlog.get_config()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    root.handlers.clear()  # or they would be closed
    yield
    structlog.configure(**configured)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.slow
async def test_no_line_says_what_anybody_wrote(
    town: Town,
    people: People,
    platform: str,
    database: Path,
    quick: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up_logs(format="json", level=logging.DEBUG)
    monkeypatch.setattr(outages, "FIRST_PAUSE", 0.01)
    asked = 0

    async def say(agent: str, words: str = "a question", *, file: NamedFile | None = None) -> Any:
        nonlocal asked
        asked += 1
        thread = await people.say("ada", agent, f"{BOT} {words} {MARK}", [file] if file else [])
        await at_rest(database, asked)
        return thread

    settings = settings_for(town, platform, database)
    limits = settings.limits.model_copy(update={"attachment_bytes": 1_000})
    async with serving(settings.model_copy(update={"limits": limits}), people):
        thread = await say("sema4ai", "write a report", file=NOTES)
        await people.reply("ada", thread, f"and {MARK}?")
        asked += 1
        await at_rest(database, asked)
        toqan = town.backend("toqan").faults
        for status in (400, 401, 404, 500):
            toqan.add("create", faults.refuse(status, BODY))
            await say("toqan")
        toqan.add("create", faults.refuse(429, BODY, Retry_After="600"))
        await say("toqan")
        toqan.add("create", faults.refuse(503, BODY, Retry_After="0"))  # asked again at once
        await say("toqan")
        toqan.add("create", faults.refuse(503, BODY, Retry_After="600"))  # waited out
        await say("toqan")
        toqan.add("create", faults.garbage(BODY + b"]", "application/json"))
        await say("toqan")
        toqan.add("create", faults.redirect(f"https://{MARK}.example.com/{MARK}"))
        await say("toqan")
        town.backend("sema4ai").faults.add("stream", faults.cut())
        await say("sema4ai")
        town.backend("sema4ai").faults.add("download", faults.refuse(404, BODY))
        await say("sema4ai", "write a report")
        await say("sema4ai", "fail")
        town.backend("fifthelement").faults.add("chat", faults.drop(after=True))
        await say("fifthelement")
        town.backend("a2a").hold = True
        thread = await people.say("ada", "a2a", f"{BOT} {MARK}")
        asked += 1
        await eventually(lambda: people.shown(thread) and people.shown(thread)[0].growing)
        await people.reply("ada", thread, f"more of {MARK}")
        asked += 1
        await eventually(lambda: len(states(database)) == asked)
        await people.stop("ada", thread)
        await eventually(lambda: _stopped(database))
        town.backend("a2a").release()
        await at_rest(database, asked)
        await _platform_fails(people)
        await say("sema4ai", file=NOTES)
        await say("sema4ai", file=TOO_LARGE)
        with monkeypatch.context() as broken:
            broken.setattr(Echo, "ask", _break)
            await say("general")
    said = capsys.readouterr().err
    lines = [json.loads(line) for line in said.splitlines()]
    assert [line for line in said.splitlines() if MARK in line.lower()] == []
    of_turns = [line for line in lines if line["event"] in OF_TURNS]
    assert {line["event"] for line in of_turns} == OF_TURNS
    for line in of_turns:
        assert {"turn", "thread", "agent", "platform", "level", "timestamp"} <= line.keys(), line
    assert {line.get("status") for line in of_turns} >= {400, 401, 429, 500}


def _stopped(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute("SELECT count(*) FROM turn WHERE stopped").fetchone()[0])


async def _platform_fails(people: People) -> None:
    world: Any = people.world  # type: ignore[attr-defined]  # either one's
    if people.name == "slack":
        world.faults.throttle("chat.startStream", 0)
        world.faults.hang_up("chat.startStream")
        world.faults.break_down("chat.stopStream")
        world.faults.hang_up("chat.update")
        world.faults.hang_up("chat.postMessage")
    else:
        world.faults.throttle("POST /channels/*/messages", 0.01)
        world.faults.hang_up("POST /channels/*/messages")


def _break(*_: object, **__: object) -> Any:
    raise ValueError(f"an adapter's bug quotes {MARK}")
