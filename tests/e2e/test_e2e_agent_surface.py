"""Slack's agent surface by the whole bridge: prompts, what to go on with, titles, the Home tab."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.access import AccessTable
from bridge.frontends.slack import home
from bridge.frontends.slack.prompts import SUGGESTED
from bridge.prompts import Prompt
from tests.e2e.people import DiscordPeople, People, SlackPeople, Thread, text_of
from tests.e2e.running import at_rest, serving, settings_for
from tests.e2e.town import Town
from tests.e2e.waiting import eventually

SESSION = "agents.sessions.setStatus"


@pytest.fixture
async def served(quick: None, town: Town, people: People, platform: str, database: Path) -> AsyncIterator[None]:
    settings = settings_for(town, platform, database)
    settings.agents["general"] = settings.agents["general"].model_copy(
        update={"prompts": [Prompt(title="A table", message="Make a table 3")]}
    )
    async with serving(settings, people):
        yield


async def test_a_prompt_is_asked_and_a_suggestion_goes_on_in_its_thread(
    town: Town, people: People, database: Path, served: None
) -> None:
    if not isinstance(people, SlackPeople):
        pytest.skip("Discord has neither")
    world = people.world
    await world.open_home("ada")
    direct = world.direct("ada").id
    await eventually(lambda: direct in world.prompts)
    ts = await world.use_prompt("ada", "A table")
    assert await at_rest(database, 1) == ["done"]
    thread = Thread(direct, ts, ts)
    await people.reply("ada", thread, "suggest something")
    assert await at_rest(database, 2) == ["done", "done"]
    [offered] = await eventually(lambda: [one for one in world.ephemerals.values() if one.thread_ts == ts])
    await world.press("ada", offered.ts, f"{SUGGESTED}0")
    assert await at_rest(database, 3) == ["done"] * 3
    assert "**ada asks:**" in text_of(people.shown(thread))
    assert len([one for one in people.shown(thread) if one.files]) == 2  # both tables are in the one thread
    titles = [call.args["title"] for call in world.calls(SESSION) if call.args.get("title")]
    assert (titles, world.session(direct, ts).title) == (["Make a table 3"], "Make a table 3")


async def test_the_home_tab_shows_a_persons_thread_and_brings_its_file(
    town: Town, people: People, database: Path, served: None
) -> None:
    if not isinstance(people, SlackPeople):
        pytest.skip("Discord has none")
    world = people.world
    thread = await people.say("ada", "sema4ai", "@threadbridge write a report")
    assert await at_rest(database, 1) == ["done"]
    await world.open_home("ada", "home")
    ada = world.person("ada").id
    view = await eventually(lambda: world.home_of(ada))
    shown = repr(view.body["blocks"])
    assert "write a report" in shown
    assert "report.md" in shown
    assert f"/archives/{thread.channel}/p{thread.id.replace('.', '')}" in shown
    assert "• A table" in shown
    await world.press_home("ada", f"{home.BRING}0")
    direct = world.direct("ada").messages
    [content] = await eventually(lambda: [file.content for one in direct.values() for file in one.files])
    assert content.startswith(b"# Report")


async def test_an_agent_that_suggests_is_no_trouble_where_that_is_not_shown(
    people: People, database: Path, served: None
) -> None:
    if not isinstance(people, DiscordPeople):
        pytest.skip("Slack shows it")
    thread = await people.say("ada", "general", "@threadbridge suggest something")
    assert await at_rest(database, 1) == ["done"]
    await eventually(lambda: "suggest something" in text_of(people.shown(thread)))


async def test_an_app_without_any_of_it_answers_all_the_same(
    town: Town, people: People, database: Path, served: None
) -> None:
    if not isinstance(people, SlackPeople):
        pytest.skip("Discord has none of it")
    world = people.world
    world.scopes.discard("assistant:write")
    world.faults.refuse(SESSION, "feature_not_enabled", times=100)
    world.faults.refuse("views.publish", "not_enabled", times=100)
    world.faults.refuse("chat.postEphemeral", "user_not_in_channel", times=100)
    await world.open_home("ada")
    await world.open_home("ada", "home")
    thread = await people.direct("ada", "suggest something")
    assert await at_rest(database, 1) == ["done"]
    assert "suggest something" in text_of(people.shown(thread))


async def test_who_may_not_write_directly_is_offered_nothing(
    quick: None, town: Town, people: People, platform: str, database: Path
) -> None:
    if not isinstance(people, SlackPeople):
        pytest.skip("Discord has neither prompts nor a Home tab")
    settings = settings_for(town, platform, database)
    settings.agents["general"] = settings.agents["general"].model_copy(
        update={"prompts": [Prompt(title="A table", message="Make a table 3")]}
    )
    settings = settings.model_copy(update={"access": AccessTable(direct_messages="nobody")})
    world = people.world
    async with serving(settings, people):
        await world.open_home("ada")
        await world.open_home("ada", tab="home")
        view = await eventually(lambda: world.home_of(world.person("ada").id))
        assert "I don't answer direct messages of yours" in str(view.body["blocks"])
        assert world.direct("ada").id not in world.prompts
