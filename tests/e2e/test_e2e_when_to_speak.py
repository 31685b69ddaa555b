"""When the bot speaks, by the settings of a route, through the real libraries: the same on both platforms."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from bridge.settings import Route
from bridge.turns.gate import BOT_TURNS_IN_THREAD
from tests.e2e.people import DiscordPeople, People, Shown, SlackPeople, Thread, text_of
from tests.e2e.running import at_rest, serving, settings_for, states
from tests.e2e.town import Town
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.usefixtures("quick")

BOT = "@threadbridge"
ALERTS = "778899001122334455"
Serve = Callable[..., AbstractAsyncContextManager[None]]


@pytest.fixture
def serve(town: Town, people: People, platform: str, database: Path) -> Serve:
    """The bridge with one route for all channels, of these keys."""

    def serve(**route: Any) -> AbstractAsyncContextManager[None]:
        settings = settings_for(town, platform, database)
        return serving(settings.model_copy(update={"routes": [Route(agent="general", **route)]}), people)

    return serve


def in_channel(people: People, channel: str) -> list[Shown]:
    """The bot's messages in a channel itself, oldest first."""
    if isinstance(people, SlackPeople):
        here = people.world.channel(channel).messages.values()
        return [people._shown(one) for one in here if one.user == people.world.bot.id and one.thread_ts is None]
    assert isinstance(people, DiscordPeople)
    place = people.world.place(channel)
    return people.shown(Thread(str(place.id), str(place.id), ""))


async def alert(people: People, channel: str, text: str, *, thread: Thread | None = None) -> Thread:
    """What a service posts that has no user and mentions nobody: text in attachments, or in an embed."""
    if isinstance(people, SlackPeople):
        place = people.world.channel(channel).id
        said = {"attachments": [{"title": text}], "bot_id": f"B{ALERTS}"}
        ts = await people.world.alert(place, thread_ts=thread.id if thread else None, **said)  # type: ignore[arg-type]
        return thread or Thread(place, ts, ts)
    assert isinstance(people, DiscordPeople)
    at = str(thread.id if thread else people.world.place(channel).id)
    message = str(await people.world.alert(at, embeds=[{"type": "rich", "title": text}], webhook_id=int(ALERTS)))
    return thread or Thread(at, message, message)


def trusted(platform: str) -> list[str]:
    return [f"B{ALERTS}" if platform == "slack" else ALERTS]


async def handled(people: People, database: Path, turns: int) -> None:
    """All that was written before was considered: events keep their order, and a direct message came through."""
    await people.direct("grace", "are you there?")
    await at_rest(database, turns + 1)


async def test_a_mention_each_time(people: People, database: Path, serve: Serve) -> None:
    async with serve(listen="mention"):
        thread = await people.say("ada", "general", f"{BOT} one")
        await at_rest(database, 1)
        await people.reply("ada", thread, "two, among ourselves")
        await people.reply("ada", thread, f"{BOT} three")
        await at_rest(database, 2)
        assert [message.text for message in people.shown(thread)] == ["one", "three"]


async def test_every_message_of_a_channel_and_its_threads(people: People, database: Path, serve: Serve) -> None:
    async with serve(listen="all"):
        first = await people.say("ada", "general", "no mention here")
        second = await people.say("grace", "general", "@ada nor here")
        await at_rest(database, 2)
        assert "no mention here" in text_of(people.shown(first))
        assert "nor here" in text_of(people.shown(second))
        await people.reply("grace", first, "@ada a follow-up")
        await at_rest(database, 3)
        assert "a follow-up" in text_of(people.shown(first))


async def test_what_was_missed_in_a_channel_where_all_is_asked(
    people: People, database: Path, serve: Serve
) -> None:
    async with serve(listen="all"):
        before = await people.say("ada", "general", "heard")
        await at_rest(database, 1)
    missed = await people.say("grace", "general", "not heard")
    await people.reply("ada", before, "nor this")
    async with serve(listen="all"):
        await at_rest(database, 3)
        assert "not heard" in text_of(people.shown(missed))
        assert "nor this" in text_of(people.shown(before))


async def test_a_flat_channel_is_one_conversation(people: People, database: Path, serve: Serve) -> None:
    async with serve(listen="all", flat=True):
        for who, text in (("ada", "milk"), ("grace", "and honey")):
            await people.say(who, "general", text)
        await at_rest(database, 2)
        shown = in_channel(people, "general")
        assert "milk" in shown[0].text
        assert "and honey" in shown[1].text
        assert len(shown) == 2


async def test_in_a_flat_channel_a_mention_is_needed_unless_all_is_asked(
    people: People, database: Path, serve: Serve
) -> None:
    async with serve(flat=True):
        await people.say("ada", "general", f"{BOT} milk")
        await at_rest(database, 1)
        await people.say("ada", "general", "honey, among ourselves")
        await handled(people, database, 1)
        [shown] = in_channel(people, "general")
        assert shown.text == "milk"


async def test_a_long_reply_grows_and_is_stopped_in_a_flat_channel(
    town: Town, people: People, database: Path, serve: Serve
) -> None:
    async with serve(flat=True):
        await people.say("ada", "general", f"{BOT} slow 60: one two three four five six seven eight")
        shown = await eventually(
            lambda: next((one for one in in_channel(people, "general") if "Stop" in one.buttons), None)
        )
        await people.press("ada", shown, "Stop")
        assert await at_rest(database, 1) == ["cancelled"]


async def test_a_flat_conversation_goes_on_after_a_restart_and_catches_up(
    people: People, database: Path, serve: Serve
) -> None:
    async with serve(flat=True):
        await people.say("ada", "general", f"{BOT} slow 4 milk")
        await eventually(lambda: "asking" in states(database))
    await people.say("grace", "general", f"{BOT} honey")
    async with serve(flat=True):
        assert await at_rest(database, 2) == ["done"] * 2
        shown = in_channel(people, "general")
        assert [word for word in ("milk", "honey") if word in text_of(shown)] == ["milk", "honey"]
        assert len(shown) == 2


async def test_an_alert_of_a_trusted_bot_is_asked_and_no_other_bots(
    people: People, platform: str, database: Path, serve: Serve
) -> None:
    async with serve(bots=trusted(platform)):
        thread = await alert(people, "general", "The disk is full")
        await at_rest(database, 1)
        assert "The disk is full" in text_of(people.shown(thread))
        await people.another_bot(thread, f"{BOT} me too")
        await handled(people, database, 1)
        assert len(people.shown(thread)) == 1


async def test_without_a_word_in_the_route_no_bot_is_asked(
    people: People, platform: str, database: Path, serve: Serve
) -> None:
    async with serve(listen="all"):
        thread = await alert(people, "general", "The disk is full")
        await handled(people, database, 0)
        assert people.shown(thread) == []


async def test_bots_that_answer_each_other_stop_until_a_person_goes_on(
    people: People, platform: str, database: Path, serve: Serve
) -> None:
    async with serve(bots=trusted(platform)):
        thread = await alert(people, "general", "ping 0")
        for number in range(1, BOT_TURNS_IN_THREAD + 3):
            await at_rest(database, min(number, BOT_TURNS_IN_THREAD))
            await alert(people, "general", f"ping {number}", thread=thread)
        await handled(people, database, BOT_TURNS_IN_THREAD)
        turns = BOT_TURNS_IN_THREAD + 1
        await people.reply("ada", thread, "go on, you two")
        await at_rest(database, turns + 1)
        await alert(people, "general", "pong", thread=thread)
        await at_rest(database, turns + 2)
        assert "pong" in text_of(people.shown(thread))


async def test_in_a_flat_channel_a_lost_answer_of_the_platform_posts_nothing_twice(
    people: People, database: Path, serve: Serve
) -> None:
    if isinstance(people, SlackPeople):
        people.world.faults.break_down("chat.postMessage", 500, after=True)
    else:
        assert isinstance(people, DiscordPeople)
        people.world.faults.break_down("POST /channels/*/messages", 500, after=True)
    async with serve(flat=True):
        await people.say("ada", "general", f"{BOT} milk")
        await at_rest(database, 1)
        assert [shown.text for shown in in_channel(people, "general")] == ["milk"]


async def test_commands_concern_the_conversation_of_a_flat_channel(
    people: People, database: Path, serve: Serve
) -> None:
    async with serve(flat=True):
        if isinstance(people, SlackPeople):
            place = people.world.channel("general").id
            await people.world.command("ada", place, "/agent", "ask how much milk?")
            await at_rest(database, 1)
            assert "how much milk?" in in_channel(people, "general")[-1].text
            await people.say("ada", "general", f"{BOT} status")
            await eventually(lambda: [one for one in people.private("ada") if "answers here" in one.text])
        else:
            assert isinstance(people, DiscordPeople)
            await eventually(lambda: people.world.commands.get(0))
            await people.world.command("ada", "general", "ask", {"text": "how much milk?"})
            await at_rest(database, 1)
            assert "how much milk?" in in_channel(people, "general")[-1].text
            used = await people.world.command("ada", "general", "status")
            await eventually(
                lambda: used.original_id and "answers here" in people.world.ephemeral[used.original_id].content
            )
        assert len(states(database)) == 1
