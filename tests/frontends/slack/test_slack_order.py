"""Events come in any order, and some never: what people wrote is taken all the same, in the order of writing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bridge.frontends.slack import listeners as listeners_module
from bridge.frontends.slack.listeners import Listeners
from bridge.frontends.slack.workspace import Workspace
from bridge.playground.slack import SlackWorld
from tests.e2e.waiting import PATIENCE
from tests.frontends.slack.memory import MemoryInbox

Tell = Callable[[str], Awaitable[None]]


@pytest.fixture
def listeners(inbox: MemoryInbox, workspace: Workspace) -> Listeners:
    return Listeners(inbox, workspace, lambda ts: None)


@pytest.fixture
def tell(world: SlackWorld, listeners: Listeners) -> Tell:
    """Deliver the event of a message, whenever the test wants it."""

    async def deliver(ts: str) -> None:
        await listeners.on_event(body_of(world, ts))

    return deliver


def body_of(world: SlackWorld, ts: str) -> Any:
    return next(
        envelope.payload
        for envelope in world.deliveries.envelopes
        if envelope.event.get("type") == "message" and envelope.event.get("ts") == ts
    )


def texts(inbox: MemoryInbox) -> list[str]:
    return [one.text for one in inbox.taken]


async def test_a_follow_up_that_overtakes_its_mention_waits_for_nobody(
    world: SlackWorld, inbox: MemoryInbox, tell: Tell
) -> None:
    root = await world.say("ada", "general", f"{world.mention} one")
    second = await world.say("ada", "general", "two", root)
    third = await world.say("grace", "general", "three", root)
    for ts in (third, root, second):
        await tell(ts)
    assert texts(inbox) == [f"{world.mention} one", "two", "three"]
    assert [one.mid_thread for one in inbox.taken] == [False, False, False]


async def test_a_late_mention_brings_along_what_was_written_below_it(
    world: SlackWorld, inbox: MemoryInbox, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process, which couldn't look, dropped the follow-ups."""
    monkeypatch.setattr(listeners_module, "LATE", 0.0)
    root = await world.say("ada", "general", f"{world.mention} one")
    await world.say("ada", "general", "two", root)
    await world.say("ada", "general", world.typed("@grace, not for the bot"), root)
    await world.say("grace", "general", "three", root)
    await tell(root)
    assert texts(inbox) == [f"{world.mention} one", "two", "three"]


async def test_what_was_dropped_without_a_look_is_taken_with_its_mention(
    world: SlackWorld, inbox: MemoryInbox, tell: Tell
) -> None:
    root = await world.say("ada", "general", f"{world.mention} one")
    second = await world.say("ada", "general", "two", root)
    world.faults.refuse("conversations.replies", "internal_error")
    await tell(second)
    assert inbox.taken == []
    await tell(root)
    assert texts(inbox) == [f"{world.mention} one", "two"]


async def test_a_mention_in_the_middle_that_is_late(world: SlackWorld, inbox: MemoryInbox, tell: Tell) -> None:
    root = await world.say("grace", "general", "the build is red")
    mention = await world.say("ada", "general", f"{world.mention} why?", root)
    after = await world.say("ada", "general", "hello?", root)
    await tell(after)
    await tell(mention)
    assert texts(inbox) == [f"{world.mention} why?", "hello?"]
    assert [one.mid_thread for one in inbox.taken] == [True, False]


@pytest.mark.parametrize("place", ["general", "direct"])
async def test_a_follow_up_that_would_be_for_us_anyway_brings_along_what_is_above_it(
    world: SlackWorld, inbox: MemoryInbox, tell: Tell, place: str
) -> None:
    """Else what is delivered later would be asked after it, and be context of it besides."""
    channel = world.direct("ada").id if place == "direct" else "general"
    mention = "" if place == "direct" else f"{world.mention} "
    root = await world.say("ada", channel, f"{mention}one")
    second = await world.say("ada", channel, f"{mention}two", root)
    third = await world.say("ada", channel, f"{mention}three", root)
    for ts in (third, root, second):
        await tell(ts)
    assert texts(inbox) == [f"{mention}one", f"{mention}two", f"{mention}three"]
    assert [one.mid_thread for one in inbox.taken] == [False, False, False]


@pytest.mark.parametrize("trouble", ["cannot be read", "old"])
async def test_a_direct_message_is_taken_whatever_became_of_those_above_it(
    world: SlackWorld, inbox: MemoryInbox, tell: Tell, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    direct = world.direct("ada").id
    root = await world.say("ada", direct, "one")
    second = await world.say("ada", direct, "two", root)
    if trouble == "old":
        monkeypatch.setattr(listeners_module, "ROOT_WITHIN", 0.0)
    else:
        world.faults.refuse("conversations.replies", "internal_error", times=2)
    await tell(second)
    assert texts(inbox) == ["two"]
    assert not inbox.taken[0].mid_thread, "what is above it may still come, as a question of its own"


async def test_a_thread_of_others_is_looked_at_once(world: SlackWorld, inbox: MemoryInbox, tell: Tell) -> None:
    root = await world.say("ada", "general", "lunch?")
    for text in ("yes", "no", "perhaps"):
        await tell(await world.say("grace", "general", text, root))
    assert inbox.taken == []
    assert len(world.calls("conversations.replies")) == 1


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """For listeners that are made after it."""
    monkeypatch.setattr(listeners_module, "REMEMBERED", 1)


async def test_only_so_many_threads_are_remembered(small_memory: None, world: SlackWorld, tell: Tell) -> None:
    for root in [await world.say("ada", "general", "lunch?"), await world.say("ada", "general", "dinner?")]:
        await tell(await world.say("grace", "general", "yes", root))
        await tell(await world.say("grace", "general", "no", root))
    assert len(world.calls("conversations.replies")) == 2
    await tell(await world.say("grace", "general", "well", next(iter(world.channel("general").messages))))
    assert len(world.calls("conversations.replies")) == 3


async def test_a_punctual_mention_costs_no_look(
    world: SlackWorld, inbox: MemoryInbox, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners_module, "LATE", 60.0)  # however slow this machine is
    await tell(await world.say("ada", "general", f"{world.mention} one"))
    assert len(inbox.taken) == 1
    assert world.calls("conversations.replies") == []


async def test_nobody_waits_for_a_budget_or_a_slow_answer(
    world: SlackWorld, workspace: Workspace, inbox: MemoryInbox, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners_module, "LOOK_WITHIN", 0.05)
    root = await world.say("ada", "general", f"{world.mention} one")
    second = await world.say("ada", "general", "two", root)
    world.faults.delay("conversations.replies", 10 * PATIENCE)
    async with asyncio.timeout(PATIENCE):
        await tell(second)
    budget = workspace.budgets.of("conversations.replies")
    assert budget is not None
    budget.refused(60.0)
    before = len(world.calls("conversations.replies"))
    await tell(second)
    assert len(world.calls("conversations.replies")) == before
    assert inbox.taken == []


@pytest.mark.parametrize(
    "foreign",
    [
        {"team_id": "T9", "context_team_id": "T9", "authorizations": [{"team_id": "T9"}]},
        {"api_app_id": "A9"},
    ],
)
async def test_what_is_for_another_team_or_app_is_ignored_with_one_warning(
    world: SlackWorld, workspace: Workspace, inbox: MemoryInbox, listeners: Listeners, foreign: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    workspace.identify(type(workspace.me)(world.team_id, world.bot.id, "B1", world.app_id))
    ts = await world.say("ada", "general", f"{world.mention} one")
    for _ in range(3):
        await listeners.on_event(body_of(world, ts) | foreign)
    assert inbox.taken == []
    assert capsys.readouterr().out.count("slack.not_for_this_app") == 1
    await listeners.on_event(body_of(world, ts))
    assert len(inbox.taken) == 1


async def test_in_a_shared_channel_the_team_is_that_of_who_wrote(
    world: SlackWorld, inbox: MemoryInbox, listeners: Listeners
) -> None:
    ts = await world.say("ada", "general", f"{world.mention} one")
    await listeners.on_event(body_of(world, ts) | {"team_id": "T9", "context_team_id": "T9"})
    assert len(inbox.taken) == 1
