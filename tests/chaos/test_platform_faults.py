"""Platforms that fail while the bridge replies: the reply comes whole, and once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from bridge.frontends.slack import connection, workspace
from bridge.frontends.slack.client import Budgets
from bridge.turns import retry
from tests.e2e.people import DiscordPeople, People, SlackPeople, text_of
from tests.e2e.running import at_rest
from tests.e2e.town import Town
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.usefixtures("short_pauses", "bridging")

LAST_WORDS = "or send me a file."
SLACK_WRITES = ("chat.startStream", "chat.appendStream", "chat.stopStream", "chat.postMessage", "chat.update")
DISCORD_WRITES = ("POST /channels/*/messages", "PATCH /channels/*/messages/*")


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(retry, "LONGEST_PAUSE", 0.1)
    monkeypatch.setattr(connection, "PING_INTERVAL", 0.5)
    # After a refusal the budget is spent evenly over Slack's minute: here it has a second.
    monkeypatch.setattr(workspace, "Budgets", partial(Budgets, 60.0))


def break_down(town: Town, platform: str, *, after: bool) -> None:
    for method in SLACK_WRITES if platform == "slack" else ():
        town.slack.faults.break_down(method, 502, after=after)
    for route in DISCORD_WRITES if platform == "discord" else ():
        town.discord.faults.break_down(route, 500, after=after)


def hang_up(town: Town, platform: str, *, after: bool) -> None:
    for method in SLACK_WRITES if platform == "slack" else ():
        town.slack.faults.hang_up(method, after=after)
    for route in DISCORD_WRITES if platform == "discord" else ():
        town.discord.faults.hang_up(route, after=after, times=6)


def throttle(town: Town, platform: str, *, after: bool) -> None:
    for method in SLACK_WRITES if platform == "slack" else ():
        town.slack.faults.throttle(method, 0 if after else 1)
    for route in DISCORD_WRITES if platform == "discord" else ():
        town.discord.faults.throttle(route, 0.05, everywhere=after)


def check_long(shown: str) -> None:
    chapters = shown.count("This paragraph is number ")
    assert chapters > 30
    for n in range(1, chapters + 1):
        assert shown.count(f"This paragraph is number {n}.") == 1
        assert shown.count(f"def chapter_{n}(") == 1
        assert shown.count(f"    return {n}\n") == 1


@pytest.mark.parametrize("after", [False, True], ids=["before it took effect", "after it took effect"])
@pytest.mark.parametrize("trouble", [break_down, hang_up, throttle])
@pytest.mark.slow
async def test_every_kind_of_write_fails_once(
    town: Town, people: People, platform: str, database: Path, trouble: Callable[..., None], after: bool
) -> None:
    backend = town.backend("sema4ai")
    backend.hold = True
    trouble(town, platform, after=after)
    thread = await people.say("ada", "sema4ai", "@threadbridge a table and a csv, please")
    await eventually(lambda: people.shown(thread))
    backend.release()
    assert await at_rest(database, 1) == ["done"]
    assert backend.count() == 1
    shown = people.shown(thread)
    assert text_of(shown).count("You asked") == 1
    assert sorted(name for message in shown for name in message.files) == ["sales.csv", "sales.csv"]
    assert not any(message.growing or "Stop" in message.buttons for message in shown)


@pytest.mark.slow
async def test_a_long_reply_through_a_storm(town: Town, people: People, platform: str, database: Path) -> None:
    # discord.py waits for seconds by itself after each 500.
    storm = (break_down, throttle, hang_up) if platform == "slack" else (throttle, hang_up)
    for trouble in storm:
        for after in (False, True):
            trouble(town, platform, after=after)
    thread = await people.say("ada", "sema4ai", "@threadbridge a long one")
    assert await at_rest(database, 1) == ["done"]
    shown = people.shown(thread)
    check_long(text_of(shown))
    assert max(message.size for message in shown) <= people.limit
    assert not any(message.growing for message in shown)


@pytest.mark.slow
async def test_uploads_fail_once(town: Town, people: People, platform: str, database: Path) -> None:
    for method in ("files.getUploadURLExternal", "files.upload", "files.completeUploadExternal"):
        town.slack.faults.hang_up(method, after=True)
    town.discord.faults.hang_up("POST /channels/*/messages", after=True, times=2)
    thread = await people.say("ada", "toqan", "@threadbridge a report and a csv, please")
    assert await at_rest(database, 1) == ["done"]
    names = sorted(name for message in people.shown(thread) for name in message.files)
    assert names == ["report.md", "sales.csv"]


@pytest.mark.parametrize("platform", ["slack"])
@pytest.mark.parametrize("error", ["message_not_in_streaming_state", "msg_too_long", "streaming_state_conflict"])
async def test_a_stream_that_takes_no_more(town: Town, people: SlackPeople, database: Path, error: str) -> None:
    backend = town.backend("openai")
    backend.hold = True
    thread = await people.say("ada", "openai", "@threadbridge what now?")
    await eventually(lambda: people.shown(thread))
    town.slack.faults.refuse("chat.appendStream", error)
    backend.release()
    assert await at_rest(database, 1) == ["done"]
    whole = " ".join(text_of(people.shown(thread)).split())
    assert whole.count("You asked") == 1
    assert whole.endswith(LAST_WORDS)
    assert not any(message.growing for message in people.shown(thread))


@pytest.mark.parametrize("platform", ["slack"])
async def test_a_stream_that_expired(town: Town, people: SlackPeople, database: Path) -> None:
    backend = town.backend("openai")
    backend.hold = True
    thread = await people.say("ada", "openai", "@threadbridge what now?")
    await eventually(lambda: people.shown(thread))
    town.slack.expire_streams()
    backend.release()
    assert await at_rest(database, 1) == ["done"]
    whole = " ".join(text_of(people.shown(thread)).split())
    assert whole.count("You asked") == 1
    assert whole.endswith(LAST_WORDS)


@pytest.mark.parametrize("platform", ["slack"])
@pytest.mark.parametrize("refusal", ["unknown_method", "missing_scope", "channel_type_not_supported"])
async def test_a_workspace_without_streams(town: Town, people: SlackPeople, database: Path, refusal: str) -> None:
    backend = town.backend("openai")
    backend.hold = True
    town.slack.faults.refuse("chat.startStream", refusal, times=10)
    thread = await people.say("ada", "openai", "@threadbridge what now?")
    await eventually(lambda: people.shown(thread))
    backend.release()
    assert await at_rest(database, 1) == ["done"]
    [reply] = people.shown(thread)
    assert reply.text.count("You asked") == 1
    assert reply.text.endswith(LAST_WORDS)


@pytest.mark.parametrize("platform", ["slack"])
async def test_an_event_that_slack_delivers_again_runs_once(
    town: Town, people: SlackPeople, database: Path
) -> None:
    thread = await people.say("ada", "toqan", "@threadbridge one")
    await at_rest(database, 1)
    await people.reply("ada", thread, "two")
    await at_rest(database, 2)
    await town.slack.deliveries.redeliver()
    await town.slack.deliveries.redeliver()
    await people.reply("ada", thread, "three")
    await at_rest(database, 3)
    assert [asked.text for asked in town.backend("toqan").questions] == ["one", "two", "three"]
    assert len(people.shown(thread)) == 3


@pytest.mark.parametrize("platform", ["slack"])
@pytest.mark.slow
async def test_events_that_were_not_acknowledged_are_not_lost(
    town: Town, people: SlackPeople, database: Path
) -> None:
    thread = await people.say("ada", "toqan", "@threadbridge one")
    await at_rest(database, 1)
    town.slack.deliveries.drop()
    await people.reply("ada", thread, "two")
    await at_rest(database, 2)
    assert [asked.text for asked in town.backend("toqan").questions] == ["one", "two"]


@pytest.mark.parametrize("platform", ["discord"])
async def test_an_event_that_discord_delivers_again_runs_once(
    town: Town, people: DiscordPeople, database: Path
) -> None:
    thread = await people.say("ada", "toqan", "@threadbridge one")
    await at_rest(database, 1)
    await people.reply("ada", thread, "two")
    town.discord.gateway.repeat_last()
    town.discord.gateway.repeat_last()
    await at_rest(database, 2)
    await people.reply("ada", thread, "three")
    await at_rest(database, 3)
    assert [asked.text for asked in town.backend("toqan").questions] == ["one", "two", "three"]


@pytest.mark.parametrize("platform", ["discord"])
async def test_messages_while_the_gateway_was_lost_are_answered_after_the_resume(
    town: Town, people: DiscordPeople, database: Path
) -> None:
    thread = await people.say("ada", "toqan", "@threadbridge one")
    await at_rest(database, 1)
    town.discord.gateway.drop()
    await people.reply("ada", thread, "two")
    await at_rest(database, 2)
    assert [asked.text for asked in town.backend("toqan").questions] == ["one", "two"]


async def test_a_thread_that_is_gone_ends_its_turn_and_nothing_else(
    town: Town, people: People, database: Path
) -> None:
    backend = town.backend("sema4ai")
    backend.hold = True
    gone = await people.say("ada", "sema4ai", "@threadbridge first")
    await eventually(lambda: people.shown(gone))
    if isinstance(people, DiscordPeople):
        await people.world.delete_channel(int(gone.id))
    for method in SLACK_WRITES:
        town.slack.faults.refuse(method, "channel_not_found", times=2)
    backend.release()
    assert await at_rest(database, 1) == ["failed"]
    town.slack.faults.clear()
    thread = await people.say("ada", "toqan", "@threadbridge second")
    assert await at_rest(database, 2) == ["failed", "done"]
    assert "second" in text_of(people.shown(thread))
