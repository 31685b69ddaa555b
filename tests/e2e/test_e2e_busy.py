"""A busy thread, through the real libraries: what waits shows it, is joined, or interrupts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from bridge.frontends.discord.telling import WAITING as DISCORD_WAITING
from bridge.frontends.slack.surface import WAITING as SLACK_WAITING
from bridge.listening import Busy
from bridge.settings import Route
from bridge.turns import marks
from tests.e2e.people import DiscordPeople, People, SlackPeople, Thread, text_of
from tests.e2e.running import at_rest, serving, settings_for, states
from tests.e2e.town import Town
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.usefixtures("quick")

BOT = "@threadbridge"
Serve = Callable[[Busy], AbstractAsyncContextManager[None]]


@pytest.fixture
def serve(town: Town, people: People, platform: str, database: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """The bridge with one route for all channels. What waits shows it at once."""
    monkeypatch.setattr(marks, "WAITS", 0.0)
    monkeypatch.setattr(marks, "LOOK_EVERY", 0.05)

    def serve(busy: Busy) -> AbstractAsyncContextManager[None]:
        settings = settings_for(town, platform, database)
        return serving(settings.model_copy(update={"routes": [Route(agent="general", busy=busy)]}), people)

    return serve


def waits(people: People, thread: Thread, message: str) -> bool:
    """Whether a message of the thread shows that it waits."""
    if isinstance(people, SlackPeople):
        reactions = people.world.message(thread.channel, message).reactions
        return SLACK_WAITING in reactions
    assert isinstance(people, DiscordPeople)
    return DISCORD_WAITING in people.world.channels[int(thread.id)].messages[int(message)].reactions


async def at_work(people: People, database: Path) -> Thread:
    thread = await people.say("ada", "general", f"{BOT} slow 3 first")
    await eventually(lambda: "asking" in states(database) and (people.name == "slack" or people.shown(thread)))
    return thread


async def test_what_waits_shows_it_until_it_is_asked_in_its_turn(
    people: People, database: Path, serve: Serve
) -> None:
    async with serve("queue"):
        thread = await at_work(people, database)
        message = await people.reply("grace", thread, "second")
        await eventually(lambda: waits(people, thread, message))
        await at_rest(database, 2)
        await eventually(lambda: not waits(people, thread, message))
        assert len(people.shown(thread)) == 2


async def test_steered_what_waits_is_one_reply(people: People, database: Path, serve: Serve) -> None:
    async with serve("steer"):
        thread = await at_work(people, database)
        second = await people.reply("ada", thread, "milk")
        third = await people.reply("ada", thread, "and huney")
        await eventually(lambda: waits(people, thread, second) and waits(people, thread, third))
        await people.edit("ada", thread, third, "and honey")
        assert await at_rest(database, 3) == ["done"] * 3
        _, reply = people.shown(thread)
        assert reply.text.split() == ["milk", "and", "honey"]
        await eventually(lambda: not (waits(people, thread, second) or waits(people, thread, third)))


async def test_a_person_who_writes_again_interrupts_and_is_asked(
    people: People, database: Path, serve: Serve
) -> None:
    async with serve("interrupt"):
        thread = await at_work(people, database)
        await people.reply("ada", thread, "no, the other one")
        assert await at_rest(database, 2) == ["cancelled", "done"]
        assert "no, the other one" in text_of(people.shown(thread))


async def test_a_mark_goes_after_a_restart_too(people: People, database: Path, serve: Serve) -> None:
    async with serve("queue"):
        thread = await at_work(people, database)
        message = await people.reply("grace", thread, "second")
        await eventually(lambda: waits(people, thread, message))
    async with serve("queue"):
        await at_rest(database, 2)
        await eventually(lambda: not waits(people, thread, message))
