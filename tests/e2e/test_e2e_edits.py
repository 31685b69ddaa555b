"""What becomes of a question that its author changes, through the real libraries: the same on both platforms."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.people import People, Shown, SlackPeople, Thread
from tests.e2e.running import at_rest
from tests.e2e.town import Town
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.usefixtures("bridging")

BOT = "@threadbridge"
ASK_AGAIN = "Ask again"


def offer(people: People, thread: Thread) -> Shown | None:
    """On Slack only its author sees it."""
    shown = people.private("ada") if isinstance(people, SlackPeople) else people.shown(thread)
    return next((one for one in shown if ASK_AGAIN in one.buttons), None)


async def test_changed_after_the_answer_it_is_asked_again_on_demand(
    town: Town, people: People, database: Path
) -> None:
    thread = await people.say("ada", "fifthelement", f"{BOT} what is seven times six?")
    await at_rest(database, 1)
    message = await people.reply("ada", thread, "and seven times ate?")
    assert await at_rest(database, 2) == ["done", "done"]
    await people.edit("ada", thread, message, "and seven times eight?")
    shown = await eventually(lambda: offer(people, thread))
    await people.press("ada", shown, ASK_AGAIN)
    assert await at_rest(database, 3) == ["done"] * 3
    assert [asked.text for asked in town.backend("fifthelement").questions] == [
        "what is seven times six?",
        "and seven times ate?",
        "and seven times eight?",
    ]
    await eventually(lambda: offer(people, thread) is None)
