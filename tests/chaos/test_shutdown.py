"""SIGTERM: running turns get their grace, and what is left the next process finishes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import trouble
from tests.e2e.people import People
from tests.e2e.running import at_rest, running, states
from tests.e2e.town import Town
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.slow

LAST_WORDS = "or send me a file."


async def test_what_sigterm_cuts_short_is_finished_by_the_next_process(
    town: Town, people: People, config: Path, database: Path
) -> None:
    trouble.hold(town)
    async with running(config, people) as process:
        thread = await people.say("ada", "openai", "@threadbridge what now?")
        polled = await people.say("ada", "toqan", "@threadbridge and you?")
        await process.until(lambda: people.shown(thread) and town.backend("toqan").count())
        first = people.shown(thread)[0].id
        process.terminate()
        assert await process.ended() == 0, process.log()
    assert states(database) == ["asking", "asking"]
    trouble.release(town)

    async with running(config, people):
        assert await at_rest(database, 2) == ["done", "done"]
    assert [asked.text for asked in town.backend("openai").questions] == ["what now?"]
    assert [asked.text for asked in town.backend("toqan").questions] == ["and you?"]
    [reply] = people.shown(thread)
    assert reply.id == first
    assert reply.text.endswith(LAST_WORDS)
    assert not reply.growing
    [other] = people.shown(polled)
    assert other.text.endswith(LAST_WORDS)


async def test_a_turn_within_its_grace_is_finished_before_the_end(
    town: Town, people: People, config: Path, database: Path
) -> None:
    config.write_text(config.read_text(encoding="utf-8").replace("grace = 0.0", "grace = 30"), encoding="utf-8")
    trouble.hold(town)
    async with running(config, people) as process:
        thread = await people.say("ada", "openai", "@threadbridge what now?")
        await process.until(lambda: people.shown(thread))
        await people.reply("ada", thread, "for the next process")
        await eventually(lambda: states(database) == ["asking", "received"])
        process.terminate()
        await process.until(lambda: "waiting for running turns" in process.log())
        trouble.release(town)
        assert await process.ended() == 0, process.log()
    assert states(database) == ["done", "received"]
    assert people.shown(thread)[0].text.endswith(LAST_WORDS)

    async with running(config, people):
        assert await at_rest(database, 2) == ["done", "done"]
    assert len(people.shown(thread)) == 2
