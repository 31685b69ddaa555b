"""What people wrote while nobody listened is taken afterwards: each once, in order, within Slack's limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest

from bridge.frontends.slack import app as app_module
from bridge.frontends.slack import catch_up as catch_up_module
from bridge.frontends.slack.app import SlackFrontEnd
from bridge.frontends.slack.catch_up import CatchUp
from bridge.frontends.slack.client import Budgets
from bridge.frontends.slack.listeners import Listeners
from bridge.frontends.slack.reading import Me
from bridge.frontends.slack.settings import SlackSettings
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Address, Inbound, Person, Seen, position
from bridge.playground.slack import SlackWorld
from bridge.turns.inbox import Overloaded
from tests.e2e.waiting import PATIENCE, eventually
from tests.frontends.slack.memory import MemoryInbox


@pytest.fixture(autouse=True)
def _no_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' minutes are short."""
    monkeypatch.setattr(catch_up_module, "OVERLAP", 0)
    monkeypatch.setattr(catch_up_module, "FIRST_PAUSE", 0.01)


@pytest.fixture
def listeners(inbox: MemoryInbox, workspace: Workspace) -> Listeners:
    return Listeners(inbox, workspace, lambda ts: None)


@pytest.fixture
def catch_up(inbox: MemoryInbox, workspace: Workspace, listeners: Listeners) -> CatchUp:
    return CatchUp(inbox, workspace, listeners.hear)


def seen_by(world: SlackWorld, channel: str, root: str, newest: str = "") -> Seen:
    place = world.channel(channel)
    return Seen(Address("slack", world.team_id, place.id, root), newest or root, place.is_direct)


async def remembered(world: SlackWorld, inbox: MemoryInbox, channel: str, text: str = "known") -> str:
    """A thread that was answered before."""
    place = world.channel(channel)
    ts = await world.say("ada", place.id, text if place.is_direct else f"{world.mention} {text}")
    address = Address("slack", world.team_id, place.id, ts)
    person = Person(world.person("ada").id)
    inbox.taken.append(Inbound(address, f"Ev{ts}", ts, position(ts), person, text, direct=place.is_direct))
    return ts


def missed(inbox: MemoryInbox, known: int) -> list[str]:
    return [one.text.split(">")[-1].strip() for one in inbox.taken[known:]]


@pytest.mark.parametrize(("hours", "taken"), [(1, []), (3, ["one"])])
async def test_what_is_older_than_the_window_is_left(
    world: SlackWorld, inbox: MemoryInbox, workspace: Workspace, listeners: Listeners, hours: int, taken: list[str]
) -> None:
    thread = await remembered(world, inbox, "general")
    inbox.threads = [seen_by(world, "general", thread)]
    await world.say("grace", "general", "one", thread)
    two_hours_later = time.time() + 2 * 3600
    catch_up = CatchUp(
        inbox, workspace, listeners.hear, oldest=timedelta(hours=hours), clock=lambda: two_hours_later
    )
    await catch_up.run()
    assert missed(inbox, 1) == taken


async def test_replies_mentions_and_direct_messages_are_taken_in_order(
    world: SlackWorld, inbox: MemoryInbox, catch_up: CatchUp
) -> None:
    direct = world.direct("ada").id
    thread = await remembered(world, inbox, "general")
    private = await remembered(world, inbox, direct)
    inbox.threads = [seen_by(world, "general", thread), seen_by(world, direct, private)]
    await world.say("grace", "general", "one", thread)
    await world.say("ada", "general", "the talk of others")
    new = await world.say("ada", "general", f"{world.mention} two")
    await world.say("ada", "general", "three", new)
    await world.say("ada", "general", world.typed("@grace not for the bot"), thread)
    await world.say(world.bot.id, "general", "the bot's own", thread)
    await world.say("ada", direct, "four", private)
    await world.say("ada", direct, "five")

    await catch_up.run()
    assert missed(inbox, 2) == ["one", "two", "three", "four", "five"]
    assert [one.mid_thread for one in inbox.taken[2:]] == [False] * 5
    await catch_up.run()  # twice is once
    assert len(inbox.taken) == 7


async def test_a_mention_below_the_talk_of_others(
    world: SlackWorld, inbox: MemoryInbox, catch_up: CatchUp
) -> None:
    thread = await remembered(world, inbox, "general")
    inbox.threads = [seen_by(world, "general", thread)]
    root = await world.say("grace", "general", "the build is red")
    await world.say("ada", "general", f"{world.mention} why?", root)
    await world.say("ada", "general", "hello?", root)
    await catch_up.run()
    assert missed(inbox, 1) == ["why?", "hello?"]
    assert inbox.taken[1].mid_thread


async def test_nothing_older_than_the_newest_is_read(
    world: SlackWorld, inbox: MemoryInbox, catch_up: CatchUp
) -> None:
    await world.say("ada", "general", f"{world.mention} long ago")
    thread = await remembered(world, inbox, "general")
    inbox.threads = [seen_by(world, "general", thread)]
    await catch_up.run()
    assert len(inbox.taken) == 1
    (call,) = world.calls("conversations.history")
    assert position(call.args["oldest"]) == position(thread) - 1  # its root shows whether it has new replies
    assert world.calls("conversations.replies") == []


async def test_from_a_message_that_was_not_stored_on_all_is_read_again(
    world: SlackWorld, inbox: MemoryInbox, catch_up: CatchUp
) -> None:
    """The store was away, and what came afterwards was stored."""
    thread = await remembered(world, inbox, "general")
    lost = await world.say("ada", "general", "lost", thread)
    newest = await remembered(world, inbox, "general", "newest")
    inbox.threads = [seen_by(world, "general", newest), seen_by(world, "general", thread)]
    await catch_up.run()
    assert missed(inbox, 2) == []
    catch_up.missed(f"{float(lost) - 0.001:.6f}")
    catch_up.missed("nonsense")
    await catch_up.run()
    assert missed(inbox, 2) == ["lost"]


async def test_a_thread_older_than_what_is_read_of_its_channel(
    world: SlackWorld, inbox: MemoryInbox, catch_up: CatchUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up_module, "HISTORY_PAGES", 1)
    world.commercial = True
    thread = await remembered(world, inbox, "general")
    for number in range(20):
        await world.say("ada", "general", f"talk {number}")
    inbox.threads = [seen_by(world, "general", thread)]
    await world.say("ada", "general", "missed", thread)
    await catch_up.run()
    assert missed(inbox, 1) == ["missed"]


async def test_it_is_bounded(
    world: SlackWorld, inbox: MemoryInbox, catch_up: CatchUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = await remembered(world, inbox, "general")
    inbox.threads = [seen_by(world, "general", thread)]
    for number in range(10):
        await world.say("ada", "general", str(number), thread)
    monkeypatch.setattr(catch_up_module, "MESSAGES", 4)
    await catch_up.run()
    assert missed(inbox, 1) == ["0", "1", "2", "3"]
    monkeypatch.setattr(catch_up_module, "CALLS", 1)
    world.made_calls.clear()
    await catch_up.run()
    assert len(world.made_calls) == 1


@pytest.mark.parametrize("error", ["internal_error", "never_heard_of", "channel_not_found", "missing_scope"])
async def test_it_never_raises(world: SlackWorld, inbox: MemoryInbox, catch_up: CatchUp, error: str) -> None:
    thread = await remembered(world, inbox, "general")
    other = await remembered(world, inbox, "random")
    inbox.threads = [seen_by(world, "general", thread), seen_by(world, "random", other)]
    await world.say("ada", "random", "missed", other)
    world.faults.refuse("conversations.history", error)
    await catch_up.run()
    assert missed(inbox, 2) == ["missed"]


async def test_a_store_that_breaks_is_looked_at_again_the_next_time(
    world: SlackWorld, inbox: MemoryInbox, workspace: Workspace, listeners: Listeners
) -> None:
    thread = await remembered(world, inbox, "general")
    lost = await world.say("ada", "general", "lost", thread)
    inbox.threads = [seen_by(world, "general", thread, newest=f"{float(lost) + 1:.6f}")]
    catch_up = CatchUp(inbox, workspace, listeners.hear)
    catch_up.missed(f"{float(lost) - 0.001:.6f}")
    inbox.failures = 1
    await catch_up.run()
    assert missed(inbox, 1) == []
    await catch_up.run()
    assert missed(inbox, 1) == ["lost"]


async def test_it_waits_while_too_many_wait_for_the_store(
    world: SlackWorld, inbox: MemoryInbox, workspace: Workspace, listeners: Listeners
) -> None:
    thread = await remembered(world, inbox, "general")
    inbox.threads = [seen_by(world, "general", thread)]
    await world.say("ada", "general", "missed", thread)
    overloaded = 3

    async def hear(heard: object) -> bool:
        nonlocal overloaded
        if overloaded:
            overloaded -= 1
            raise Overloaded
        return await listeners.hear(heard)  # type: ignore[arg-type]

    await CatchUp(inbox, workspace, hear).run()
    assert missed(inbox, 1) == ["missed"]


FASTER = 600  # a minute of Slack's is a tenth of a second


@pytest.fixture
async def commercial(world: SlackWorld, settings: SlackSettings) -> AsyncIterator[Workspace]:
    world.commercial = True
    world.limiter.scale = FASTER
    world.faults.clear()
    workspace = Workspace(settings, Budgets(scale=FASTER))
    workspace.identify(Me(world.team_id, world.bot.id, world.bot.bot_id or ""))
    async with workspace.connections():
        yield workspace


@pytest.mark.slow
async def test_an_app_that_gets_15_messages_a_minute_catches_up_slowly(
    world: SlackWorld, inbox: MemoryInbox, commercial: Workspace
) -> None:
    thread = await remembered(world, inbox, "general")
    inbox.threads = [seen_by(world, "general", thread)]
    for number in range(40):
        await world.say("ada", "general", str(number), thread)
    listeners = Listeners(inbox, commercial, lambda ts: None)
    await CatchUp(inbox, commercial, listeners.hear).run()
    assert missed(inbox, 1) == [str(number) for number in range(40)]
    pages = [call for call in world.calls("conversations.replies") if call.error is None]
    refused = [call for call in world.calls("conversations.replies") if call.error]
    assert len(pages) == 3
    assert len(refused) <= len(pages)


async def test_two_hundred_messages_in_ten_channels(
    world: SlackWorld, inbox: MemoryInbox, settings: SlackSettings
) -> None:
    world.limiter.scale = FASTER
    workspace = Workspace(settings, Budgets(scale=FASTER))
    workspace.identify(Me(world.team_id, world.bot.id, world.bot.bot_id or ""))
    written: list[str] = []
    for number in range(10):
        channel = world.add_channel(f"room{number}").id
        thread = await remembered(world, inbox, channel)
        inbox.threads.append(seen_by(world, channel, thread))
        for message in range(10):
            written.append(await world.say("ada", channel, f"reply {message}", thread))
            written.append(await world.say("grace", channel, f"{world.mention} mention {message}"))
    listeners = Listeners(inbox, workspace, lambda ts: None)
    async with workspace.connections():
        await CatchUp(inbox, workspace, listeners.hear).run()
    taken = [one.message_id for one in inbox.taken[10:]]
    assert sorted(taken) == sorted(written)
    for number in range(10):
        place = world.channel(f"room{number}").id
        of_this = [one.message_id for one in inbox.taken[10:] if one.address.channel == place]
        assert of_this == sorted(of_this)
    assert not [call for call in world.made_calls if call.error]


# --- when ----------------------------------------------------------------------------------------------------


async def test_after_a_start_what_was_written_before_it_is_taken(
    world: SlackWorld, settings: SlackSettings, inbox: MemoryInbox
) -> None:
    world.deliveries.retry_delays = ()
    thread = await remembered(world, inbox, "general")
    inbox.threads = [seen_by(world, "general", thread)]
    await world.say("ada", "general", "missed", thread)
    await world.deliveries.settled()
    serving = asyncio.create_task(SlackFrontEnd(settings, inbox).serve())
    await eventually(lambda: len(inbox.taken) == 2)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    assert missed(inbox, 1) == ["missed"]


async def test_what_was_known_before_the_first_event_counts(
    world: SlackWorld, settings: SlackSettings, inbox: MemoryInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first event after a start is newer than all that was missed."""
    known: list[Sequence[Seen]] = []

    async def run(self: CatchUp, seen: Sequence[Seen] | None = None) -> None:
        known.append(seen or ())

    monkeypatch.setattr(CatchUp, "run", run)
    thread = await remembered(world, inbox, "general")
    before = inbox.threads = [seen_by(world, "general", thread)]
    world.faults.delay("bots.info", 0.2)
    serving = asyncio.create_task(SlackFrontEnd(settings, inbox).serve())
    async with asyncio.timeout(PATIENCE):
        while not known:
            if list(world.faults) == [] and inbox.threads is before:
                inbox.threads = [seen_by(world, "general", thread, newest=world.new_ts())]
            await asyncio.sleep(0.01)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    assert known == [before]


async def test_after_a_socket_that_was_lost_for_too_long(
    world: SlackWorld, settings: SlackSettings, inbox: MemoryInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack gave up delivering, and what came first afterwards is newer than what was missed."""
    for name in ("LOOK_EVERY", "GIVE_UP_AFTER", "FIRST_PAUSE"):
        monkeypatch.setattr(app_module, name, 0.05)
    world.deliveries.retry_delays = ()
    front_end = SlackFrontEnd(settings, inbox)
    serving = asyncio.create_task(front_end.serve())
    await eventually(lambda: front_end.trouble() is None)
    thread = await remembered(world, inbox, "general")
    await world.deliveries.settled()
    inbox.threads = [seen_by(world, "general", thread, newest=f"{float(thread) + 60:.6f}")]
    world.faults.refuse("apps.connections.open", "internal_error", times=1_000)
    world.deliveries.drop()
    await eventually(front_end.trouble)
    await world.say("ada", "general", "missed", thread)
    await world.deliveries.settled()
    monkeypatch.setattr(app_module, "LOST_TOO_LONG", 0.0)
    world.faults.clear()
    await eventually(lambda: len(inbox.taken) == 2)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    assert missed(inbox, 1) == ["missed"]
