"""Commands that are given wrongly, by the whole bridge: nothing changes, and the one person is told what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from bridge.playground.discord.model import MessageFlag
from tests.e2e.people import DiscordPeople, People, SlackPeople, Thread
from tests.e2e.running import at_rest, serving, settings_for
from tests.e2e.town import Town
from tests.e2e.waiting import eventually

LARGEST = 1_000  # bytes that an attachment may have here
Place = Literal["thread", "channel", "elsewhere"]


@dataclass(frozen=True, slots=True)
class Wrong:
    """A command, where it is given, and words of what is answered on each platform. "" where it can't be given so."""

    what: str
    name: str
    argument: str
    slack: str
    discord: str
    place: Place = "thread"
    size: int | None = None  # of a file that comes along
    file: str = "a.txt"


TABLE = (
    Wrong("a command that there is not", "halp", "", "I don't know `halp`", "", "channel"),
    Wrong("no question", "ask", "", "ask How are sales?", "into `text`", "channel"),
    Wrong("no name of a file", "download", "", "`files` lists those there are", "required: name"),
    Wrong("a file that there is not", "download", "none.txt", "no file of that name", "no file of that name"),
    Wrong("an agent that there is not", "agent", "nobody", "no agent of that name", "no agent of that name"),
    Wrong("an agent that is not allowed here", "agent", "toqan", "no agent of that name", "no agent of that name"),
    Wrong("nothing to stop", "stop", "", "nothing to stop", "nothing to stop"),
    Wrong("a place without a thread", "stop", "", "Ask me something first", "in a thread that I'm in", "elsewhere"),
    Wrong("no file", "upload", "", "is required", "required: file1", "channel"),
    Wrong("too large a file", "upload", "", "Larger than", "Larger than", "channel", LARGEST + 1),
    Wrong("a kind the agent won't take", "upload", "", "take files like", "take files like", "channel", 9, "b.exe"),
)  # fmt: skip
CHANNEL = "enthusiast"  # whose agent takes some kinds of files and no others


@pytest.fixture
async def served(quick: None, town: Town, people: People, platform: str, database: Path) -> AsyncIterator[None]:
    settings = settings_for(town, platform, database)
    limits = settings.limits.model_copy(update={"attachment_bytes": LARGEST})
    async with serving(settings.model_copy(update={"limits": limits}), people):
        if isinstance(people, DiscordPeople):
            await eventually(lambda: town.discord.commands.get(0))
        yield


@pytest.mark.parametrize("wrong", TABLE, ids=lambda wrong: wrong.what)
async def test_it_changes_nothing_and_is_answered_privately(
    town: Town, people: People, database: Path, served: None, wrong: Wrong
) -> None:
    notes = [("notes.txt", "text/plain", b"buy milk")]
    thread = await people.say("ada", CHANNEL, "@threadbridge hello", notes)
    await at_rest(database, 1)
    before = len(people.shown(thread)), town.backend(CHANNEL).count()
    if isinstance(people, SlackPeople):
        told, expected = await on_slack(people, wrong), wrong.slack
    else:
        assert isinstance(people, DiscordPeople)
        told, expected = await on_discord(people, thread, wrong), wrong.discord
    assert expected in told, told
    assert await at_rest(database, 1) == ["done"]
    assert (len(people.shown(thread)), town.backend(CHANNEL).count()) == before
    assert people.harm() == []


async def on_slack(people: SlackPeople, wrong: Wrong) -> str:
    """By slash in the channel; what Ada alone is told, by an answer, a direct message or the form itself."""
    world = people.world
    channel = "random" if wrong.place == "elsewhere" else CHANNEL
    if channel == "random":
        world.add_channel("random")
    await world.command("ada", channel, "/agent", f"{wrong.name} {wrong.argument}")
    if wrong.name == "upload":
        files = [] if wrong.size is None else [(wrong.file, "x/y", bytes(wrong.size))]
        try:
            answer = await world.view_submit("ada", {"files": files or None})
        except ValueError as error:  # Slack's form itself
            return str(error)
        assert world.view_of("ada") is not None
        return str(answer["errors"])
    if wrong.name == "download" and wrong.argument:
        direct = world.direct("ada").messages
        await eventually(lambda: direct)
        return "".join(one.shown for one in direct.values())
    return "".join(one.text for one in people.private("ada"))


async def on_discord(people: DiscordPeople, thread: Thread, wrong: Wrong) -> str:
    world = people.world
    if not wrong.discord:
        with pytest.raises(LookupError):
            await world.command("ada", CHANNEL, wrong.name)
        return wrong.discord
    place = thread.id if wrong.place == "thread" else CHANNEL
    options = {"name": wrong.argument} if wrong.argument else {}
    options |= {"text": "  "} if wrong.name == "ask" else {}
    files = {} if wrong.size is None else {"file1": (wrong.file, "x/y", bytes(wrong.size))}
    try:
        used = await world.command("ada", place, wrong.name, options, files)
    except ValueError as error:  # Discord's form itself
        return str(error)
    await eventually(
        lambda: used.original_id and not world.ephemeral[used.original_id].flags & MessageFlag.LOADING
    )
    return world.ephemeral[used.original_id or 0].content
