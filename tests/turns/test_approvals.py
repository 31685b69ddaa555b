"""An agent wants leave for something: who may give it, once, and that it learns of the decision whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.base import Approval, Checkpoint, Done, Event, InputRequest, Message, RunFailed, Text, Uncertain
from bridge.access import Access, AccessTable, TurnsPerHour
from bridge.inbound import Person
from bridge.store.database import Database
from bridge.turns.gate import Gate
from bridge.turns.inbox import NotAllowed, Order, Press
from bridge.turns.surface import Action, Button, PartKind
from tests.e2e.waiting import eventually
from tests.turns.agents import Backend, ScriptedAgent
from tests.turns.process import Bridge, running
from tests.turns.world import HERE, LATER, STYLE, MemoryPlatform, Posted, inbound

ANN, BOB = Person("U1", "Ann"), Person("U2", "Bob")
WIPE = Approval("Wipe the disk", "All of it, as *agreed*.")
LATE = "That was decided already."


@pytest.fixture
def platform() -> MemoryPlatform:
    """With messages as long as the platforms' own."""
    return MemoryPlatform(style=replace(STYLE, limit=2_000))


def asking(approval: Approval = WIPE) -> Backend:
    """Asks for leave once; the decision's turn runs past it."""
    return Backend([Text("Let me see. "), approval, Text("That is it."), Done()])


def shown(platform: MemoryPlatform) -> Posted:
    """The message of the approval."""
    return next(one for one in reversed(platform.messages) if one.key.kind is PartKind.REQUEST)


def buttons(platform: MemoryPlatform) -> tuple[Button, Button]:
    approve, decline = shown(platform).buttons
    return approve, decline


async def test_an_approval_says_what_who_and_until_when(quick: Database, platform: MemoryPlatform) -> None:
    async with running(Bridge(quick, platform, ScriptedAgent(asking()))) as bridge:
        await bridge.intake.take(inbound(1, "wipe it"))
        await bridge.until_state("waiting")
    what, who, until = shown(platform).text.rsplit("\n\n", 2)
    assert what == "**Approval needed: Wipe the disk**\n\nAll of it, as *agreed*."
    assert who == "Person 1 may decide this."
    assert until.startswith("Until <!date^")
    assert [button.label for button in shown(platform).buttons] == ["Approve", "Decline"]


async def test_whoever_asked_approves_once(database: Database, platform: MemoryPlatform) -> None:
    backend = asking()
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1, "wipe it"))
        await bridge.until_state("waiting")
        approve, decline = buttons(platform)
        pressed = await asyncio.gather(*(bridge.press(button) for button in (approve, approve, decline)))
        assert sorted(pressed) == ["", LATE, LATE]
        await bridge.until_state("done")
        assert await bridge.press(approve) == await bridge.press(decline) == LATE
    [(decision, person)] = backend.decisions
    assert person is not None
    assert person.id == "U1"
    assert backend.asked == ["wipe it", "Approved" if decision.approved else "Declined"]
    assert shown(platform).buttons == ()
    assert shown(platform).text.endswith(f"\n\n{backend.asked[1]} · Ann")
    assert "may decide" not in shown(platform).text


async def test_a_reason_reaches_the_agent_and_the_thread(quick: Database, platform: MemoryPlatform) -> None:
    backend = asking()
    async with running(Bridge(quick, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1, "wipe it"))
        await bridge.until_state("waiting")
        await bridge.press(buttons(platform)[1], words="not *today*\n<!channel>")
        await bridge.until_state("done")
    [(decision, _)] = backend.decisions
    assert (decision.approved, decision.reason) == (False, "not *today*\n<!channel>")
    assert backend.asked[1] == "Declined: not *today*\n<!channel>"
    assert shown(platform).text.endswith("Declined · Ann · not \\*today\\* \\<\u200b!channel\\>")


@pytest.mark.parametrize("how", ["named by the agent", "by the settings", "an admin"])
async def test_others_than_the_entitled_are_told_who_may(
    database: Database, platform: MemoryPlatform, how: str
) -> None:
    named = ("slack:U2", "discord:7") if how == "named by the agent" else ()
    backend = asking(Approval("Wipe the disk", approvers=named))
    admins = ("slack:U2",) if how == "an admin" else ()
    gate = Gate(Access(AccessTable(admins=admins, external=True)))
    bridge = Bridge(database, platform, ScriptedAgent(backend), gate=gate)
    bridge.approvers = ("slack:U2",) if how == "by the settings" else ("slack:U9",)
    async with running(bridge):
        await bridge.intake.take(inbound(1, "wipe it"))
        await bridge.until_state("waiting")
        told = "Nothing was decided. U9 may decide this." if how == "an admin" else (
            "Nothing was decided. U2 may decide this."
        )  # fmt: skip
        for button in buttons(platform):
            assert await bridge.press(button, by=ANN) == told
        assert backend.decisions == []
        assert await bridge.press(buttons(platform)[0], by=BOB) == ""
        await bridge.until_state("done")
    [(decision, person)] = backend.decisions
    assert decision.approved
    assert person is not None
    assert person.id == "U2"


async def test_whoever_may_decide_needs_neither_leave_to_ask_nor_a_budget(
    database: Database, platform: MemoryPlatform
) -> None:
    """Bob is named as an approver, and isn't among the people who may ask; Ann's one question an hour is asked."""
    may_ask = Access(AccessTable(people=("slack:U1",), external=True))
    gate = Gate(may_ask, TurnsPerHour(person=1, channel=2))
    backend = asking(Approval("Wipe the disk", approvers=("slack:U1", "slack:U2")))
    async with running(Bridge(database, platform, ScriptedAgent(backend), gate=gate)) as bridge:
        await bridge.intake.take(inbound(1, "wipe it"))
        await bridge.until_state("waiting")
        with pytest.raises(NotAllowed):
            await bridge.intake.take(inbound(2, "yes, do it", person=BOB))
        carol = Person("U3", "Carol")
        for button in buttons(platform):
            assert await bridge.press(button, by=carol) == "Nothing was decided. Person 1 or U2 may decide this."
            press = Press(button.action, button.turn, BOB, HERE)
            assert await bridge.intake.refuses(press) == ""
        assert await bridge.press(buttons(platform)[0], by=BOB) == ""
        await bridge.until_state("done")
        with pytest.raises(NotAllowed, match="budget"):
            await bridge.intake.take(inbound(3, "and again"))
    assert [(decision.approved, person and person.id) for decision, person in backend.decisions] == [(True, "U2")]


@pytest.mark.parametrize("how", ["decided", "nobody in time"])
async def test_a_decision_waits_for_the_seat_of_whoever_made_it(
    database: Database, platform: MemoryPlatform, how: str
) -> None:
    """Of whoever asked, where nobody made it. A seat is free again while an approval waits."""
    begun, held = asyncio.Event(), asyncio.Event()
    backend = asking()

    class Holding(ScriptedAgent):
        async def ask(
            self, conversation: str | None, message: Message, *, resume: Checkpoint | None = None
        ) -> AsyncIterator[Event]:
            if message.text == "elsewhere":
                begun.set()
                await held.wait()
                yield Done("There.")
                return
            async for event in super().ask(conversation, message, resume=resume):
                yield event

    seconds = 0.3 if how == "nobody in time" else 60.0
    bridge = Bridge(database, platform, Holding(backend), at_once=1, approval_seconds=seconds)
    async with running(bridge):
        await bridge.intake.take(inbound(1, "wipe it"))
        await bridge.until_state("waiting")
        await bridge.intake.take(inbound(1, "elsewhere", thread="900.0"))
        await begun.wait()
        if how == "decided":
            assert await bridge.press(buttons(platform)[1], by=ANN) == ""
        while len(await bridge.states()) < 3:
            await bridge.runner._sweep()
        assert backend.asked == ["wipe it"]
        held.set()
        await bridge.until_state("done")
    assert backend.asked[1].startswith("Declined")
    assert shown(platform).buttons == ()


async def test_what_people_write_meanwhile_waits_in_order(database: Database, platform: MemoryPlatform) -> None:
    backend = asking()
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1, "wipe it"))
        await bridge.until_state("waiting")
        await bridge.intake.take(inbound(LATER, "yes, do it"))
        await bridge.intake.take(inbound(2, "and be quick"))
        await bridge.runner._sweep()
        assert backend.asked == ["wipe it"], "a decision is never taken from what people write"
        for number in (1, 2, 3):  # each of them asks for leave
            await platform.until(lambda: shown(platform).buttons)
            waits = shown(platform)
            await bridge.until_state("waiting", "done", "received")
            await bridge.press(waits.buttons[0])
            await eventually(lambda number=number: len(backend.decisions) == number)  # type: ignore[misc]
            await platform.until(lambda waits=waits: not waits.buttons)  # type: ignore[misc]
        await bridge.until_state("done")
    assert [one for one in backend.asked if one != "Approved"] == ["wipe it", "and be quick", "yes, do it"]


async def test_a_forged_press_changes_nothing(quick: Database, platform: MemoryPlatform) -> None:
    backend = asking()
    async with running(Bridge(quick, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1, "wipe it"))
        await bridge.intake.take(inbound(2, "something else", thread="200.0"))
        await bridge.until_state("waiting")
        turn = buttons(platform)[0].turn
        stored = await bridge.queue.turn(turn)
        assert stored is not None
        here, other = HERE, inbound(2, thread="200.0").address
        if stored.message_id != "100.0-1":
            here, other = other, here
        pressed: tuple[Action, ...] = ("approve", "decline", "choose", "answer", "abandon", "retry", "reask")
        for action in pressed:
            assert await bridge.press(Button(action, "", turn, "0"), other) == LATE
        for action in pressed[2:]:  # of the right thread, and there is no such button
            assert await bridge.press(Button(action, "", turn, "0"), here) == LATE
        assert set((await bridge.states()).values()) == {"waiting"}
    assert backend.decisions == []


# --- the time is over -------------------------------------------------------------------------------------------------


async def test_nobody_decides_in_time(database: Database, platform: MemoryPlatform) -> None:
    """The agent is told, and the message says so."""
    backend = asking(Approval("Wipe the disk", seconds=0.0))
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1, "wipe it"))
        await bridge.until_state("waiting")
        approve, _ = buttons(platform)
        await asyncio.gather(*(bridge.runner._sweep() for _ in range(3)))
        await bridge.until_state("done")
        assert await bridge.press(approve) == LATE
        await bridge.runner._sweep()
    [(decision, person)] = backend.decisions
    assert (decision.approved, decision.reason) == (False, "nobody decided in time")
    assert person is None
    assert backend.asked == ["wipe it", "Declined: nobody decided in time"]
    assert shown(platform).text.endswith("\n\nDeclined · nobody decided in time")
    assert shown(platform).buttons == ()


@pytest.mark.parametrize("seconds", [None, 1e9, float("nan")])
async def test_it_waits_no_longer_than_the_settings_say(
    quick: Database, platform: MemoryPlatform, seconds: float | None
) -> None:
    backend = asking(Approval("Wipe the disk", seconds=seconds))
    async with running(Bridge(quick, platform, ScriptedAgent(backend), approval_seconds=0.0)) as bridge:
        await bridge.intake.take(inbound(1, "wipe it"))
        await bridge.until_state("waiting")
        await bridge.runner._sweep()
        await bridge.until_state("done")
    assert [decision.reason for decision, _ in backend.decisions] == ["nobody decided in time"]


async def test_an_approval_that_nobody_can_see_is_declined(database: Database, platform: MemoryPlatform) -> None:
    platform.faults = ["gone"]
    backend = Backend([Approval("Wipe the disk", seconds=0.0), Done("Then not.")])
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1, "wipe it"))
        await bridge.until_state("failed")
        [turn] = await bridge.states()
        await bridge.runner._sweep()
        await bridge.until_state("failed", "done")
        assert not await bridge.ledger.retry(turn), "it is not delivered any more"
    assert [decision.reason for decision, _ in backend.decisions] == ["it couldn't be shown to anybody"]
    assert platform.texts() == ["Then not."]


# --- stopped ----------------------------------------------------------------------------------------------------------


async def test_stop_declines_an_approval_by_whoever_asked(database: Database, platform: MemoryPlatform) -> None:
    backend = asking(Approval("Wipe the disk", approvers=("slack:U9",)))
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1, "wipe it"))
        await bridge.until_state("waiting")
        assert await bridge.intake.ordered(Order("stop", BOB, HERE)) == "Nothing was decided. U9 may decide this."
        assert "decision" in await bridge.intake.ordered(Order("new", ANN, HERE))
        assert await bridge.intake.ordered(Order("stop", ANN, HERE)) == "Declined. The agent is told so."
        await bridge.until_state("done")
        assert "decision" in await bridge.intake.ordered(Order("retry", ANN, HERE))
    assert [(one.approved, one.reason) for one, _ in backend.decisions] == [(False, "stopped")]
    assert shown(platform).text.endswith("Declined · Ann · stopped")


async def test_an_approval_of_a_stopped_turn_is_declined_at_once(
    database: Database, platform: MemoryPlatform
) -> None:
    stopped = asyncio.Event()
    backend = Backend([Text("Let me see. "), stopped.wait, WIPE, Done("Then not.")])  # type: ignore[list-item]
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1, "wipe it"))
        await platform.until(lambda: platform.messages)
        await bridge.intake.stop(HERE)
        stopped.set()
        await bridge.until_state("waiting")
        await bridge.runner._sweep()
        await bridge.until_state("done")
    assert [decision.approved for decision, _ in backend.decisions] == [False]


# --- what an agent asks back ------------------------------------------------------------------------------------------


async def test_a_decision_is_not_lost_when_its_turn_is_tried_again(
    database: Database, platform: MemoryPlatform
) -> None:
    """Whoever has it sent again didn't decide."""
    backend = asking()
    gate = Gate(Access(AccessTable(admins=("slack:U2",), external=True)))
    async with running(Bridge(database, platform, ScriptedAgent(backend), gate=gate)) as bridge:
        await bridge.intake.take(inbound(1, "wipe it"))
        await bridge.until_state("waiting")
        backend.script = [RunFailed("broke")]
        await bridge.press(buttons(platform)[0])
        await bridge.until_state("done", "failed")
        backend.script = [Done("Wiped.")]
        await bridge.press(platform.messages[-1].buttons[0], by=BOB)
        await bridge.until_state("done", "failed")
    assert [(decision.approved, person and person.id) for decision, person in backend.decisions] == [
        (True, "U1"),
        (True, "U1"),
    ]
    assert platform.texts()[-1] == "Wiped."


# --- the buttons of what nobody waits for any more --------------------------------------------------------------------


async def test_whoever_goes_on_takes_the_buttons_of_what_was_left_along(
    database: Database, platform: MemoryPlatform
) -> None:
    backend = Backend([Uncertain("the connection broke")])
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1, "transfer it"))
        await bridge.until_state("waiting")
        unsure = platform.messages[-1]
        assert unsure.buttons
        backend.script = []
        await bridge.intake.take(inbound(LATER, "never mind"))
        await bridge.until_state("cancelled", "done")
    assert unsure.buttons == ()
    assert unsure.text == f"{Uncertain.sentence}\n\nLeft"


@pytest.mark.parametrize("how", ["left", "begun anew"])
async def test_the_next_process_takes_the_buttons_of_what_was_left_away(
    quick: Database, platform: MemoryPlatform, how: str
) -> None:
    """Killed between the decision and the message."""
    backend = Backend([InputRequest("Which colour?")])
    bridge = Bridge(quick, platform, ScriptedAgent(backend))
    async with running(bridge):
        await bridge.intake.take(inbound(1, "paint it"))
        await bridge.until_state("waiting")
    async with bridge.open():  # nobody works
        leave = shown(platform).buttons[-1]
        if how == "left":
            await bridge.press(leave)
        else:
            await bridge.intake.ordered(Order("new", ANN, HERE))
    assert shown(platform).buttons
    async with running(Bridge(quick, platform, ScriptedAgent(backend), replica="r2")):
        await platform.until(lambda: not shown(platform).buttons)
    assert shown(platform).text == ("Which colour?\n\nLeft · Ann" if how == "left" else "Which colour?\n\nLeft")


async def test_an_answer_in_words_takes_the_place_of_the_buttons(
    database: Database, platform: MemoryPlatform
) -> None:
    backend = Backend([InputRequest("Which colour?", ("blue", "red"))])
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1, "paint it"))
        await bridge.until_state("waiting")
        backend.script = []
        request = shown(platform)
        _, _, write, leave = request.buttons
        assert await bridge.press(write, words="  ") == "Write your answer first."
        said = await asyncio.gather(*(bridge.press(write, words=words) for words in ("green", "grey")))
        assert sorted(said) == ["", LATE]
        await bridge.until_state("done")
        assert await bridge.press(leave) == LATE
    assert backend.asked[0] == "paint it"
    assert backend.asked[1] in ("green", "grey")
    assert len(backend.asked) == 2
    assert request.text == "Which colour?\n\nAnswered · Ann"


async def test_choices_that_are_too_long_for_a_button_stand_in_the_text(
    quick: Database, platform: MemoryPlatform
) -> None:
    long = ("the short one", "the one that " + "goes on " * 20)
    backend = Backend([InputRequest("Which?", long)])
    async with running(Bridge(quick, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1, "choose"))
        await bridge.until_state("waiting")
        assert [button.label[:12] for button in shown(platform).buttons] == [
            "1. the short",
            "2. the one t",
            "Write an ans",
            "Leave it",
        ]
        assert all(one.strip() in shown(platform).text for one in long)
        backend.script = []
        await bridge.intake.take(inbound(LATER, "2."))
        await bridge.until_state("done")
    assert backend.asked[1] == long[1].strip()


async def test_an_approval_of_any_length_is_shown_whole(quick: Database) -> None:
    """Who may decide is in a message of its own then; so is what was decided."""
    platform = MemoryPlatform()  # with very short messages
    detail = "\n\n".join(f"Paragraph {number} of what is to be done." for number in range(40))
    backend = asking(Approval("Wipe the disk", detail))
    async with running(Bridge(quick, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1, "wipe it"))
        await bridge.until_state("waiting")
        parts = [one for one in platform.messages if one.key.kind is PartKind.REQUEST]
        assert len(parts) > 3
        assert all(f"Paragraph {number} of" in "".join(one.text for one in parts) for number in range(40))
        assert [bool(one.buttons) for one in parts] == [False] * (len(parts) - 1) + [True]
        await bridge.press(parts[-1].buttons[0])
        await bridge.until_state("done")
    assert parts[-1].text == "Approved · Ann"
    assert parts[-1].buttons == ()
