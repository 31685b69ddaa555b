"""Buttons under a part: put there, moved, decided."""

from __future__ import annotations

import pytest

from bridge.frontends.discord import presses
from bridge.frontends.discord.app import DiscordFrontEnd
from bridge.frontends.discord.presses import MAX_LABEL, MAX_TEXT
from bridge.frontends.discord.reading import custom_id
from bridge.frontends.discord.surface import DiscordSurface
from bridge.playground.discord import DiscordWorld, Message
from bridge.playground.discord.model import Json
from bridge.render.discord import DISCORD
from bridge.turns.surface import Button, PartKey, PartKind, Unreachable
from tests.frontends.discord.running import MemoryInbox, eventually
from tests.turns.world import unguarded

TURN = "0123456789abcdef"
KEY = PartKey(TURN, PartKind.TEXT)
STOP = Button("stop", "Stop", TURN)
AGAIN, LEAVE = Button("retry", "Send it again", TURN), Button("abandon", "Leave it", TURN)
EDIT = "PATCH /channels/*/messages/*"


@pytest.fixture
async def surface(world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd) -> DiscordSurface:
    await world.say("ada", "general", f"{world.mention} what is the answer?")
    await eventually(lambda: inbox.turns)
    turn = inbox.turns[0]
    return front.surface(turn.address, person=turn.person, guard=unguarded)


def last(world: DiscordWorld) -> Message:
    return world.messages(world.threads("general")[0].id)[-1]


def rows(message: Message) -> list[list[Json]]:
    return [row["components"] for row in message.components]


def labels(message: Message) -> list[str]:
    return [button["label"] for row in rows(message) for button in row]


class TestOnAPart:
    def test_a_silent_agent_gets_a_message_with_its_stop_button(self, surface: DiscordSurface) -> None:
        assert surface.style.working_part

    async def test_a_button_comes_and_goes_without_the_text_being_sent_again(
        self, world: DiscordWorld, surface: DiscordSurface
    ) -> None:
        part = await surface.post(KEY, "words", last=False)
        await surface.edit(KEY, part, "words", shown="words", last=False, buttons=[STOP])
        assert labels(last(world)) == ["Stop"]
        await surface.edit(KEY, part, "words", shown="words", last=False, buttons=[STOP])
        await surface.edit(KEY, part, "words", shown="words", last=False)
        assert (labels(last(world)), last(world).content) == ([], "words")
        bodies = [call.body for call in world.calls(EDIT)]
        assert [sorted(body) for body in bodies] == [["allowed_mentions", "components"]] * 2

    async def test_text_grows_without_the_buttons_being_sent_again(
        self, world: DiscordWorld, surface: DiscordSurface
    ) -> None:
        part = await surface.post(KEY, "words", last=False, buttons=[STOP])
        await surface.edit(KEY, part, "words and", shown="words", last=False, buttons=[STOP])
        assert (labels(last(world)), last(world).content) == (["Stop"], "words and")
        await surface.edit(KEY, part, "words and more", shown="words and", last=True)
        assert (labels(last(world)), last(world).content) == ([], "words and more")
        bodies = [call.body for call in world.calls(EDIT)]
        assert [sorted(body) for body in bodies] == [
            ["allowed_mentions", "content"],
            ["allowed_mentions", "components", "content"],
        ]

    async def test_a_last_edit_that_changes_nothing_costs_nothing(
        self, world: DiscordWorld, surface: DiscordSurface
    ) -> None:
        part = await surface.post(KEY, "words", last=False)
        await surface.edit(KEY, part, "words", shown="words", last=True)
        assert not world.calls(EDIT)

    async def test_after_an_answer_was_lost_nobody_knows_which_stand_there(
        self, world: DiscordWorld, surface: DiscordSurface
    ) -> None:
        part = await surface.post(KEY, "words", last=False, buttons=[STOP])
        world.faults.hang_up(EDIT, after=True)
        with pytest.raises(Unreachable):
            await surface.edit(KEY, part, "words", shown="words", last=False)
        await surface.edit(KEY, part, "words", shown="words", last=False, buttons=[STOP])
        assert labels(last(world)) == ["Stop"]

    async def test_what_another_process_left_is_brought_to_what_it_should_be(
        self, world: DiscordWorld, front: DiscordFrontEnd, inbox: MemoryInbox, surface: DiscordSurface
    ) -> None:
        part = await surface.post(KEY, "words", last=False, buttons=[STOP])
        turn = inbox.turns[0]
        successor = front.surface(turn.address, person=turn.person, guard=unguarded)
        await successor.edit(KEY, part, "words", shown=None, last=True)
        assert (labels(last(world)), last(world).content) == ([], "words")

    @pytest.mark.parametrize("count", [2, 5])
    async def test_few_choices_are_buttons(self, world: DiscordWorld, surface: DiscordSurface, count: int) -> None:
        choices = [Button("choose", f"Choice {number}", TURN, str(number)) for number in range(count)]
        others = [Button("answer", "Write an answer", TURN), LEAVE]
        await surface.post(KEY, "Which?", last=True, buttons=[*choices, *others])
        ids = [button["custom_id"] for row in rows(last(world)) for button in row]
        assert ids == [custom_id(button) for button in (*choices, *others)]

    async def test_more_choices_are_a_select(self, world: DiscordWorld, surface: DiscordSurface) -> None:
        most = surface.style.max_choices
        choices = [Button("choose", f"Choice {number} " + "x" * 100, TURN, str(number)) for number in range(most)]
        key = PartKey(TURN, PartKind.REQUEST)
        await surface.post(key, "Which?", last=True, buttons=[*choices, LEAVE])
        (select,), (leave,) = rows(last(world))
        assert (len(select["options"]), leave["label"]) == (most, "Leave it") == (25, "Leave it")
        await surface.post(key, "Which?", last=True, buttons=[*choices, LEAVE])
        assert not world.calls(EDIT)

    @pytest.mark.parametrize(
        "label", ["x" * 300, "", "  \n ", "日本語" * 60, "👩‍👩‍👧" * 40, "half \ud800 a pair", "@everyone <@1>"]
    )
    async def test_any_label_is_taken(self, world: DiscordWorld, surface: DiscordSurface, label: str) -> None:
        await surface.post(KEY, "Which?", last=True, buttons=[Button("choose", label, TURN, "0")])
        (shown,) = labels(last(world))
        assert 0 < len(shown) <= MAX_LABEL
        assert not world.pings


class TestDecided:
    async def press(self, world: DiscordWorld, button: Button) -> None:
        interaction = await world.press("grace", last(world).id, custom_id(button))
        await world.until(lambda: interaction.answered)

    async def test_who_decided_what_takes_the_place_of_the_buttons(
        self, world: DiscordWorld, inbox: MemoryInbox, surface: DiscordSurface
    ) -> None:
        await surface.post(KEY, "Did it arrive?", last=True, buttons=[AGAIN, LEAVE])
        inbox.settled = "Sent again · Grace **<@1>**"
        await self.press(world, AGAIN)
        await world.until(lambda: not last(world).components)
        content = last(world).content
        assert content.startswith("Did it arrive?\n-# Sent again · Grace \\*\\*<")
        assert "<@1>" not in content
        assert not world.pings

    async def test_it_works_for_a_slow_press_too(
        self, world: DiscordWorld, inbox: MemoryInbox, surface: DiscordSurface, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(presses, "ANSWER_WITHIN", 0.01)
        await surface.post(KEY, "Did it arrive?", last=True, buttons=[AGAIN])
        inbox.settled, inbox.answer = "Sent again · Grace", "It is being sent again."
        inbox.gate.clear()
        await self.press(world, AGAIN)
        inbox.gate.set()
        await world.until(lambda: last(world).content == "Did it arrive?\n-# Sent again · Grace")
        assert not last(world).components
        await world.until(lambda: "It is being sent again." in [one.content for one in world.ephemeral.values()])

    async def test_a_full_message_gets_it_below(
        self, world: DiscordWorld, inbox: MemoryInbox, surface: DiscordSurface
    ) -> None:
        part = await surface.post(KEY, "x" * MAX_TEXT, last=True, buttons=[AGAIN])
        inbox.settled = "Sent again · Grace"
        await self.press(world, AGAIN)
        await world.until(lambda: last(world).content == "-# Sent again · Grace")
        (full,) = [message for message in world.messages(last(world).channel_id) if str(message.id) == part]
        assert (full.content, full.components) == ("x" * MAX_TEXT, [])

    async def test_a_decision_without_one_leaves_the_buttons(
        self, world: DiscordWorld, inbox: MemoryInbox, surface: DiscordSurface
    ) -> None:
        await surface.post(KEY, "Did it arrive?", last=True, buttons=[AGAIN])
        inbox.answer = "That was decided already."
        await self.press(world, AGAIN)
        assert labels(last(world)) == ["Send it again"]

    async def test_a_choice_brings_its_value(
        self, world: DiscordWorld, inbox: MemoryInbox, surface: DiscordSurface
    ) -> None:
        choices = [Button("choose", name, TURN, str(index)) for index, name in enumerate(("Soup", "Pie"))]
        await surface.post(KEY, "Lunch?", last=True, buttons=choices)
        await self.press(world, choices[1])
        assert inbox.values == ["1"]

    async def test_what_is_picked_from_a_select_does_too(
        self, world: DiscordWorld, inbox: MemoryInbox, surface: DiscordSurface
    ) -> None:
        choices = [Button("choose", f"Dish {index}", TURN, str(index)) for index in range(9)]
        await surface.post(KEY, "Lunch?", last=True, buttons=choices)
        [[select]] = rows(last(world))
        interaction = await world.press("grace", last(world).id, select["custom_id"], ["7"])
        await world.until(lambda: interaction.answered)
        assert (inbox.presses[0][0], inbox.values) == ("choose", ["7"])

    async def test_a_form_brings_its_words(
        self, world: DiscordWorld, inbox: MemoryInbox, surface: DiscordSurface
    ) -> None:
        await surface.post(KEY, "Lunch?", last=True, buttons=[Button("answer", "Write an answer", TURN)])
        interaction = await world.press("grace", last(world).id, custom_id(Button("answer", "", TURN)))
        await world.until(lambda: interaction.modal)
        assert not inbox.presses
        with pytest.raises(ValueError, match="required"):
            await world.submit(interaction, {})
        await world.submit(interaction, {"words": "Pie, please."})
        await eventually(lambda: inbox.presses)
        assert (inbox.presses[0][:2], inbox.values) == (("answer", TURN), ["Pie, please."])

    async def test_who_may_not_decide_is_told_so_and_gets_no_form(
        self, world: DiscordWorld, inbox: MemoryInbox, surface: DiscordSurface
    ) -> None:
        inbox.refused = "Nothing was decided. @everyone may decide this."
        await surface.post(KEY, "Wipe it?", last=True, buttons=[Button("decline", "Decline", TURN)])
        interaction = await world.press("grace", last(world).id, custom_id(Button("decline", "", TURN)))
        await world.until(lambda: interaction.answered)
        assert interaction.modal is None
        [told] = world.ephemeral.values()
        assert told.content.startswith("Nothing was decided. @")
        assert not inbox.presses
        assert not world.pings

    async def test_until_when_is_in_each_readers_time(self, world: DiscordWorld, surface: DiscordSurface) -> None:
        until = f"Until {DISCORD.moment.format(at=1_800_000_000, utc='')}."
        await surface.post(PartKey(TURN, PartKind.REQUEST), f"Wipe it?\n\n{until}", last=True)
        assert last(world).content == "Wipe it?\n\nUntil <t:1800000000:f> (<t:1800000000:R>)."
