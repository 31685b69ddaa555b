"""Commands by the whole bridge, as people give them: by slash, and on Slack by mention in a thread."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.playground.discord.model import MessageFlag
from bridge.turns.gate import NOT_YOURS
from tests.e2e.people import DiscordPeople, People, SlackPeople, Thread, text_of
from tests.e2e.running import at_rest, serving, settings_for
from tests.e2e.town import Town
from tests.e2e.waiting import eventually

BOT = "@threadbridge"


@pytest.fixture
async def served(quick: None, town: Town, people: People, platform: str, database: Path) -> AsyncIterator[None]:
    settings = settings_for(town, platform, database)
    routes = [route.model_copy(update={"choices": ["openai"]}) for route in settings.routes]
    async with serving(settings.model_copy(update={"routes": routes}), people):
        if isinstance(people, DiscordPeople):
            await eventually(lambda: town.discord.commands.get(0))
        yield


async def give(people: People, who: str, thread: Thread, name: str, argument: str = "") -> str:
    """Give a command in a thread; what that person alone is told."""
    if isinstance(people, SlackPeople):
        before = len(people.world.ephemerals)
        await people.reply(who, thread, f"{BOT} {name} {argument}")
        await eventually(lambda: len(people.world.ephemerals) > before)
        answer = list(people.world.ephemerals.values())[-1]
        assert answer.ephemeral_for == people.world.person(who).id
        return answer.shown + "".join(
            block["text"]["text"] for block in answer.blocks if block["type"] == "section"
        )
    assert isinstance(people, DiscordPeople)
    world = people.world
    used = await world.command(who, thread.id, name, {"name": argument} if argument else {})
    await eventually(
        lambda: used.original_id and not world.ephemeral[used.original_id].flags & MessageFlag.LOADING
    )
    return world.ephemeral[used.original_id or 0].content


async def ask(people: People, who: str, channel: str, text: str) -> Thread:
    """Ask by slash in a channel: the thread of the question."""
    if isinstance(people, SlackPeople):
        world = people.world
        await world.command(who, channel, "/agent", f"ask {text}")
        place = world.channel(channel)
        first = next(one.ts for one in place.messages.values() if one.user == world.bot.id)
        return Thread(place.id, first, first)
    assert isinstance(people, DiscordPeople)
    await people.world.command(who, channel, "ask", {"text": text})
    await eventually(lambda: people.world.threads(channel))
    thread = str(people.world.threads(channel)[0].id)
    return Thread(str(people.world.place(channel).id), thread, thread)


async def test_ask_opens_a_thread_in_which_the_talk_goes_on(
    town: Town, people: People, database: Path, served: None
) -> None:
    thread = await ask(people, "ada", "sema4ai", "first question")
    assert await at_rest(database, 1) == ["done"]
    await people.reply("ada", thread, "second question")
    assert await at_rest(database, 2) == ["done", "done"]
    asked = town.backend("sema4ai").questions
    assert [one.text for one in asked] == ["first question", "second question"]
    assert len({one.conversation for one in asked}) == 1


async def test_stop_ends_a_reply_and_status_tells_of_it(
    town: Town, people: People, database: Path, served: None
) -> None:
    backend = town.backend("sema4ai")
    backend.hold = True
    thread = await people.say("ada", "sema4ai", f"{BOT} what now?")
    await eventually(lambda: people.shown(thread))
    assert "It is at work" in await give(people, "grace", thread, "status")
    assert await give(people, "grace", thread, "stop") == NOT_YOURS
    assert await give(people, "ada", thread, "stop") == "Stopping."
    backend.release()
    assert await at_rest(database, 1) == ["cancelled"]
    assert "nothing to stop" in await give(people, "grace", thread, "stop")


async def test_new_and_agent_begin_another_conversation(
    town: Town, people: People, database: Path, served: None
) -> None:
    thread = await people.say("ada", "sema4ai", f"{BOT} one")
    await at_rest(database, 1)
    assert "A new conversation" in await give(people, "ada", thread, "new")
    await people.reply("ada", thread, "two")
    await at_rest(database, 2)
    first, second = town.backend("sema4ai").questions
    assert first.conversation != second.conversation
    assert "two" in await give(people, "ada", thread, "history")
    assert "`openai`" in (answer := await give(people, "ada", thread, "agent", "toqan")), answer
    assert "from now on" in await give(people, "ada", thread, "agent", "openai")
    await people.reply("ada", thread, "three")
    await at_rest(database, 3)
    assert [one.text for one in town.backend("openai").questions] == ["three"]


async def test_retry_asks_once_more_and_keeps_both_answers(
    town: Town, people: People, database: Path, served: None
) -> None:
    thread = await people.say("ada", "sema4ai", f"{BOT} what now?")
    await at_rest(database, 1)
    assert await give(people, "ada", thread, "retry") == "It is being asked again."
    assert await at_rest(database, 2) == ["done", "done"]
    assert [one.text for one in town.backend("sema4ai").questions] == ["what now?"] * 2
    assert len(people.shown(thread)) == 2
    assert text_of(people.shown(thread)).count("or send me a file.") == 2


async def test_what_the_agent_made_and_was_given_is_listed_and_brought(
    town: Town, people: People, database: Path, served: None
) -> None:
    notes = ("notes.txt", "text/plain", b"buy milk\n")
    thread = await people.say("ada", "sema4ai", f"{BOT} write a report, then a table", [notes])
    await at_rest(database, 1)
    listed = await give(people, "grace", thread, "files")
    assert {"report.md", "notes.txt"} <= {word.strip("`*") for word in listed.split()}, listed
    if isinstance(people, SlackPeople):
        await people.reply("grace", thread, f"{BOT} download report.md")
        direct = people.world.direct("grace").messages
        [content] = await eventually(lambda: [file.content for one in direct.values() for file in one.files])
    else:
        assert isinstance(people, DiscordPeople)
        world = people.world
        used = await world.autocomplete("grace", thread.id, "download", "name", "rep")
        await eventually(lambda: used.answered)
        assert [one["value"] for one in used.choices] == ["report.md"]
        used = await world.command("grace", thread.id, "download", {"name": "report.md"})
        await eventually(lambda: used.original_id and world.ephemeral[used.original_id].attachments)
        [attachment] = world.ephemeral[used.original_id or 0].attachments
        content = world.bytes_of(attachment)
    assert content.startswith(b"# Report\n\nSix months")


async def test_the_agent_answers_about_an_uploaded_file(
    town: Town, people: People, database: Path, served: None
) -> None:
    notes = ("notes.txt", "text/plain", b"buy milk\n")
    if isinstance(people, SlackPeople):
        await people.world.command("ada", "sema4ai", "/agent", "upload what is on my list?")
        await people.world.view_submit("ada", {"files": [notes]})
        place = people.world.channel("sema4ai")
        first = next(one.ts for one in place.messages.values() if one.user == people.world.bot.id)
        thread = Thread(place.id, first, first)
    else:
        assert isinstance(people, DiscordPeople)
        world = people.world
        await world.command("ada", "sema4ai", "upload", {"text": "what is on my list?"}, {"file1": notes})
        await eventually(lambda: world.threads("sema4ai"))
        opened = str(world.threads("sema4ai")[0].id)
        thread = Thread(str(world.place("sema4ai").id), opened, opened)
    assert await at_rest(database, 1) == ["done"]
    assert "buy milk" in text_of(people.shown(thread))
