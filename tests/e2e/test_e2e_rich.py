"""Tables, charts, sources and voice notes through the whole bridge, on both platforms."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.base import Chart, ChartKind, Done, Series, Source, Table, Text
from adapters.testing.backends.transcription import MODEL, TranscriptionBackend, recording
from adapters.testing.serving import serve
from bridge import app
from bridge.playground.slack.values import Message as SlackMessage
from bridge.settings import Settings, TranscriptionSettings
from tests.e2e.people import DiscordPeople, People, Shown, SlackPeople, text_of
from tests.e2e.running import at_rest, serving, settings_for
from tests.e2e.town import Town
from tests.turns.agents import Backend, ScriptedAgent, Step

BOT = "@threadbridge"
SALES = Table("sales", ("City", "Units"), (("Zürich", 12), ("Bern @everyone", 5)))
CHART = Chart("Quarters", ChartKind.BAR, ("Q1", "Q2"), (Series("north", (10, 20)),))


class Script(list[Step]):
    """What the scripted agent says."""


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
async def scripted(
    quick: None,
    town: Town,
    people: People,
    platform: str,
    database: Path,
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[None]:
    """The bridge with an agent that yields whatever a test wants."""

    class Opened:
        async def __aenter__(self) -> dict[str, ScriptedAgent]:
            return {"general": ScriptedAgent(Backend(script))}

        async def __aexit__(self, *_: object) -> None:
            return

    monkeypatch.setattr(app, "open_agents", lambda *_, **__: Opened())
    settings = settings_for(town, platform, database).model_copy(update={"routes": []})
    async with serving(settings, people):
        yield


def slack_messages(people: People, shown: list[Shown]) -> list[SlackMessage]:
    assert isinstance(people, SlackPeople)
    return [people.world.message("general", one.id) for one in shown]


async def test_a_table_and_a_chart_are_drawn_natively_or_as_text_with_their_files(
    scripted: None, people: People, database: Path, script: Script
) -> None:
    script += [Text("Look:"), SALES, CHART, Done()]
    thread = await people.say("ada", "general", f"{BOT} show me")
    assert await at_rest(database, 1) == ["done"]
    shown = people.shown(thread)
    assert [name for one in shown for name in one.files] == ["sales.csv", "Quarters.csv"]
    if isinstance(people, SlackPeople):
        blocks = [[block["type"] for block in one.blocks] for one in slack_messages(people, shown)]
        assert [kinds for kinds in blocks if kinds and kinds[0].startswith("data_")] == [
            ["data_table"],
            ["data_visualization"],
        ]
        assert len(shown) == 5
        assert "| " not in "".join(one.text for one in shown if one.files)
    else:
        assert len(shown) == 3
        assert "```\nCity" in shown[1].text
        assert "```\nQ1 ████████████ 10\nQ2 ████████████████████████ 20\n```" in shown[2].text
    assert text_of(shown).count("Zürich") == 1
    assert people.harm() == []


async def test_a_table_in_the_text_is_shown_once(
    scripted: None, people: People, database: Path, script: Script
) -> None:
    script += [
        Text("So:\n\n| City | Units |\n|---|---|\n| Zürich | 12 |\n| Bern @everyone | 5 |\n"),
        SALES,
        Done(),
    ]
    thread = await people.say("ada", "general", f"{BOT} show me")
    await at_rest(database, 1)
    shown = people.shown(thread)
    assert text_of(shown).count("Zürich") == 1
    assert [list(one.files) for one in shown] == [[], ["sales.csv"]]
    assert isinstance(people, SlackPeople) or "```\nCity" in shown[0].text


async def test_sources_are_footnotes(scripted: None, people: People, database: Path, script: Script) -> None:
    sources = (Source("https://example.com/a", "A page"), Source("javascript:x", "<!channel> @everyone"))
    script += [Text("It is so [1]."), Done(sources=sources)]
    thread = await people.say("ada", "general", f"{BOT} why?")
    await at_rest(database, 1)
    [shown] = people.shown(thread)
    assert shown.text.startswith("It is so [\\[1\\]](https://example.com/a).")
    small = "" if isinstance(people, SlackPeople) else "-# "
    assert f"\n{small}1. [A page](https://example.com/a)\n{small}2. " in shown.text
    assert people.harm() == []


async def test_a_picture_in_the_text_is_a_link_that_nothing_fetches(
    scripted: None, people: People, database: Path, script: Script
) -> None:
    script += [Text("See ![the plan](https://example.com/plan.png?secret=1)."), Done()]
    thread = await people.say("ada", "general", f"{BOT} show me")
    await at_rest(database, 1)
    [shown] = people.shown(thread)
    assert shown.text == "See [the plan](https://example.com/plan.png?secret=1)."
    assert people.harm() == []


# --- voice --------------------------------------------------------------------------------------------------


@pytest.fixture
async def ears() -> AsyncIterator[tuple[TranscriptionBackend, TranscriptionSettings]]:
    backend = TranscriptionBackend()
    async with serve(backend.app) as url:
        yield (
            backend,
            TranscriptionSettings(base_url=f"{url}/v1", api_key=SecretStr(backend.key), model=MODEL),
        )


async def speak(people: People, words: str) -> None:
    """Ada speaks in a direct message."""
    if isinstance(people, SlackPeople):
        await people.world.speak("ada", people.world.direct("ada").id, recording(words, "m4a"), 2.5)
    elif isinstance(people, DiscordPeople):
        await people.world.speak("ada", people.world.direct("ada").id, recording(words), 2.5)


def said(people: People) -> list[str]:
    """What the bot wrote to Ada alone."""
    if isinstance(people, SlackPeople):
        channel = people.world.direct("ada")
        return [one.shown for one in channel.messages.values() if one.user == people.world.bot.id]
    assert isinstance(people, DiscordPeople)
    direct = people.world.direct("ada").id
    return [one.content for one in people.world.messages(direct) if one.author.id == people.world.bot.id]


def hearing(settings: Settings, ears: TranscriptionSettings) -> Settings:
    return settings.model_copy(update={"transcription": ears})


async def test_a_voice_note_is_quoted_and_asked(
    quick: None,
    town: Town,
    people: People,
    platform: str,
    database: Path,
    ears: tuple[TranscriptionBackend, TranscriptionSettings],
) -> None:
    backend, settings = ears
    async with serving(hearing(settings_for(town, platform, database), settings), people):
        await speak(people, "where is *the* printer?")
        assert await at_rest(database, 1) == ["done"]
    quote, answer = said(people)
    assert quote == "> 🎤 where is \\*the\\* printer?"
    assert answer.startswith("where is")
    assert "I got" not in answer
    assert len(backend.heard) == 1


async def test_a_service_that_is_down_costs_the_words_and_not_the_question(
    quick: None,
    town: Town,
    people: People,
    platform: str,
    database: Path,
    ears: tuple[TranscriptionBackend, TranscriptionSettings],
) -> None:
    _, settings = ears
    wrong = settings.model_copy(update={"api_key": SecretStr("wrong")})
    async with serving(hearing(settings_for(town, platform, database), wrong), people):
        await speak(people, "where is the printer?")
        assert await at_rest(database, 1) == ["done"]
    notice, answer = said(people)
    assert notice.startswith("I couldn't make out the words of ")
    assert "I got `" in answer
