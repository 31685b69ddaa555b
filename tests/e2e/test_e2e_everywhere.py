"""Every kind of agent answers, on both platforms at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.e2e.people import DiscordPeople, SlackPeople, text_of
from tests.e2e.running import at_rest, serving
from tests.e2e.town import AGENTS, Town


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
async def test_all_agents_answer_and_go_on(town: Town, database: Path) -> None:
    everyone = (SlackPeople(town.slack), DiscordPeople(town.discord))
    async with serving(town.settings(database), *everyone):
        begun = [
            (people, await people.say("ada", agent, f"@threadbridge hello from {people.name}"))
            for people in everyone
            for agent in AGENTS
        ]
        assert set(await at_rest(database, len(begun))) == {"done"}
        await asyncio.gather(*(people.reply("ada", thread, "and a follow-up") for people, thread in begun))
        assert set(await at_rest(database, 2 * len(begun))) == {"done"}
    for people, thread in begun:
        first, second = people.shown(thread)
        assert f"hello from {people.name}" in first.text
        assert "and a follow-up" in text_of([second])
    for backend in town.backends:
        assert backend.count() == 4
        assert len({asked.conversation for asked in backend.questions}) == 2
