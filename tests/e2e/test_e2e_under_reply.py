"""What people do under a finished reply, through the real libraries: the same on both platforms."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from bridge.frontends.discord.settings import DiscordReactions
from bridge.frontends.slack.settings import SlackReactions
from bridge.settings import Settings
from bridge.store.decisions import Decided
from bridge.turns.under_reply import AGAINS, THANKS
from tests.e2e.people import People, Shown, Thread, text_of
from tests.e2e.running import at_rest, serving, settings_for
from tests.e2e.town import Town
from tests.e2e.waiting import eventually

BOT = "@threadbridge"
UNDER = {"Regenerate", "Good answer", "Bad answer"}


def said_to(people: People, who: str, words: str) -> Shown | None:
    return next((one for one in people.private(who) if words in one.text), None)


def feedback(database: Path) -> list[tuple[str, int, str]]:
    with sqlite3.connect(database) as connection:
        return list(connection.execute("SELECT person, good, words FROM feedback ORDER BY person"))


async def answered(people: People, database: Path, text: str, agent: str = "fifthelement") -> tuple[Thread, Shown]:
    thread = await people.say("ada", agent, f"{BOT} {text}")
    assert await at_rest(database, 1) == ["done"]
    return thread, people.shown(thread)[-1]


@pytest.mark.usefixtures("quick")
async def test_it_is_answered_again_once_also_over_a_restart(
    town: Town, people: People, platform: str, database: Path
) -> None:
    settings = settings_for(town, platform, database)
    async with serving(settings, people):
        thread, shown = await answered(people, database, "what is seven times six?")
        assert set(shown.buttons) == UNDER
    async with serving(settings, people):
        await people.press("grace", shown, "Regenerate")
        await eventually(lambda: said_to(people, "grace", "Only whoever asked"))
        await people.press("ada", shown, "Regenerate")
        assert await at_rest(database, 2) == ["done", "done"]
        await eventually(lambda: said_to(people, "ada", AGAINS[Decided.SENT]))
        first, second = people.shown(thread)
        assert "seven times six" in first.text, "both are kept"
        assert "seven times six" in second.text
        assert set(first.buttons) == set(second.buttons) == UNDER
        await people.press("ada", shown, "Regenerate")
        await eventually(lambda: said_to(people, "ada", AGAINS[Decided.TOO_LATE]))
        await people.reply("ada", thread, "and seven times seven?")
        assert await at_rest(database, 3) == ["done"] * 3
        await people.press("ada", second, "Regenerate")
        await eventually(lambda: said_to(people, "ada", AGAINS[Decided.OUTDATED]))
    questions = [asked.text for asked in town.backend("fifthelement").questions]
    assert questions == ["what is seven times six?"] * 2 + ["and seven times seven?"]


@pytest.mark.usefixtures("quick")
async def test_an_answer_is_rated_with_a_word_also_over_a_restart(
    town: Town, people: People, platform: str, database: Path
) -> None:
    settings = settings_for(town, platform, database)
    async with serving(settings, people):
        _, shown = await answered(people, database, "what is seven times six?")
        await people.press("ada", shown, "Bad answer")
        thanks = await eventually(lambda: said_to(people, "ada", THANKS))
        await people.press("grace", shown, "Good answer")
        await eventually(lambda: len(feedback(database)) == 2)
    async with serving(settings, people):
        await people.fill_in("ada", thanks, "Add a word", "=wrong, @everyone <!channel>")
        await eventually(lambda: any(words for _, _, words in feedback(database)))
        await people.press("grace", shown, "Bad answer")
        await eventually(lambda: not any(good for _, good, _ in feedback(database)))
    ratings = {person: (good, words) for person, good, words in feedback(database)}
    ada, grace = (person for person in sorted(ratings, key=lambda one: not ratings[one][1]))
    assert ratings == {ada: (0, "=wrong, @everyone <!channel>"), grace: (0, "")}
    assert ada.startswith(f"{platform}:")
    assert not people.harm()


@pytest.mark.usefixtures("bridging")
async def test_the_files_of_a_conversation_are_shown_to_who_wants_them(people: People, database: Path) -> None:
    thread = await people.say("ada", "sema4ai", f"{BOT} a table", [("notes.txt", "text/plain", b"hello")])
    assert await at_rest(database, 1) == ["done"]
    shown = next(one for one in people.shown(thread) if "Files" in one.buttons)
    await people.press("grace", shown, "Files")
    await eventually(lambda: any("sales" in str(one) or "Files" in one.text for one in people.private("grace")))
    assert not people.private("ada")


@pytest.mark.usefixtures("quick")
async def test_the_settings_of_an_agent_take_buttons_away(
    town: Town, people: People, platform: str, database: Path
) -> None:
    settings = settings_for(town, platform, database)
    agents = {
        name: table.model_copy(update={"under_reply": ("rate",)} if name == "fifthelement" else {})
        for name, table in settings.agents.items()
    }
    async with serving(settings.model_copy(update={"agents": agents}), people):
        _, shown = await answered(people, database, "what is seven times six?")
        assert set(shown.buttons) == UNDER - {"Regenerate"}


# --- reactions ----------------------------------------------------------------------------------------------------


def with_reactions(settings: Settings, platform: str) -> Settings:
    table = getattr(settings, platform)
    given = (
        SlackReactions(seen="eyes", done=":white_check_mark:", ask="robot_face")
        if platform == "slack"
        else DiscordReactions(seen="👀", done="✅", ask="🤖")
    )
    return settings.model_copy(update={platform: table.model_copy(update={"reactions": given})})


@pytest.mark.usefixtures("quick")
async def test_a_question_shows_that_it_was_seen_and_then_that_it_is_done(
    town: Town, people: People, platform: str, database: Path
) -> None:
    settings = with_reactions(settings_for(town, platform, database), platform)
    async with serving(settings, people):
        thread, _ = await answered(people, database, "what is seven times six?")
        await eventually(lambda: people.reactions(thread, thread.first) == {"✅"})
        message = await people.reply("ada", thread, "and seven times seven?")
        assert await at_rest(database, 2) == ["done", "done"]
        await eventually(lambda: people.reactions(thread, message) == {"✅"})


@pytest.mark.usefixtures("quick")
async def test_a_reaction_asks_about_anybodys_message_once_for_each_person(
    town: Town, people: People, platform: str, database: Path
) -> None:
    settings = with_reactions(settings_for(town, platform, database), platform)
    async with serving(settings, people):
        thread = await people.say("grace", "fifthelement", "The printer <is> on fire, *again*.")
        await people.react("ada", thread, thread.first, "🤖")
        assert await at_rest(database, 1) == ["done"]
        asked = [one.text for one in town.backend("fifthelement").questions]
        assert len(asked) == 1
        assert f"this message of {'@' * (platform == 'slack')}{people.named('grace')}:" in asked[0]
        assert "> The printer" in asked[0]
        assert people.shown(thread), "it is answered in the thread of that message"
        await people.react("grace", thread, thread.first, "🤖")
        assert await at_rest(database, 2) == ["done"] * 2
        await people.react("grace", thread, thread.first, "👀")
        await people.react("ada", thread, people.shown(thread)[-1].id, "🤖")
    async with serving(settings, people):
        await people.reply("ada", thread, "thanks")
        assert await at_rest(database, 3) == ["done"] * 3, "nobody asks about what is ours, or by another emoji"
    assert text_of(people.shown(thread))
    assert not people.harm()
