"""What a restart between two messages must not change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.people import People
from tests.e2e.running import at_rest, serving, settings_for
from tests.e2e.town import Town

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick")]


async def test_a_conversation_goes_on(town: Town, people: People, platform: str, database: Path) -> None:
    settings = settings_for(town, platform, database)
    async with serving(settings, people):
        thread = await people.say("ada", "openai", "@threadbridge first question")
        await at_rest(database, 1)
    async with serving(settings, people):
        await people.reply("ada", thread, "second question")
        await at_rest(database, 2)
    assert "so this is question 2" in people.shown(thread)[-1].text


async def test_an_answer_to_a_question_that_was_asked_back_before(
    town: Town, people: People, platform: str, database: Path
) -> None:
    settings = settings_for(town, platform, database)
    async with serving(settings, people):
        thread = await people.say("ada", "agentok", "@threadbridge ask me about the year")
        assert await at_rest(database, 1) == ["waiting"]
    async with serving(settings, people):
        await people.reply("ada", thread, "2024")
        assert await at_rest(database, 2) == ["done", "done"]
    backend = town.backend("agentok")
    assert backend.answers == ["2024"]  # type: ignore[attr-defined]
    assert backend.count() == 1
    assert "You said: “2024”." in people.shown(thread)[-1].text
