"""A reply arrives whole and once: paced, split, resumed, whatever a platform's calls do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.store.tables import Part as PartRow
from bridge.turns.reply import MAX_REPLY, Reply
from bridge.turns.surface import Button, Gone, Upload
from tests.turns.world import STYLE, MemoryPlatform, MemorySurface

TURN = "0123456789abcdef"


class MemoryJournal:
    """The part rows as the database would keep them."""

    def __init__(self) -> None:
        self.rows: dict[str, PartRow] = {}

    async def record(self, name: str, **values: object) -> None:
        row = self.rows.setdefault(name, PartRow(turn_id=TURN, name=name))
        row.sqlmodel_update({key: value for key, value in values.items() if value is not None})

    async def forget(self, name: str) -> None:
        del self.rows[name]


def reply_on(platform: MemoryPlatform, journal: MemoryJournal) -> Reply:
    rows: Mapping[str, PartRow] = {name: row.model_copy() for name, row in journal.rows.items()}
    return Reply(MemorySurface(platform), journal, turn=TURN, asked="q", rows=rows, known=set())


def paragraphs(count: int) -> str:
    return "\n\n".join(f"Paragraph {number} " + "word " * 20 + "end." for number in range(count))


def words(platform: MemoryPlatform) -> list[str]:
    return " ".join(platform.texts()).split()


async def test_the_first_words_are_shown_while_the_agent_still_talks() -> None:
    platform = MemoryPlatform()
    async with reply_on(platform, MemoryJournal()) as reply:
        reply.text("The first words ")
        await platform.until(lambda: platform.messages)
        [message] = platform.messages
        assert message.text.strip() == "The first words"
        assert not message.finished
        assert [button.action for button in message.buttons] == ["stop"]
        reply.text("and the last.")
        await reply.finish()
    [message] = platform.messages
    assert message.text == "The first words and the last."
    assert message.finished
    assert message.buttons == ()


async def test_a_long_reply_becomes_parts_in_order() -> None:
    platform, text = MemoryPlatform(), paragraphs(20)
    async with reply_on(platform, MemoryJournal()) as reply:
        for start in range(0, len(text), 37):
            reply.text(text[start : start + 37])
            await asyncio.sleep(0)
        await reply.finish()
    assert len(platform.messages) > 3
    assert words(platform) == text.split()
    assert all(message.finished for message in platform.messages)
    assert all(len(shown) <= STYLE.limit for message in platform.messages for shown in message.history)


FAULTS = st.lists(st.sampled_from(["", "", "lost", "unheard", "throttled", "full"]), max_size=12)


@settings(deadline=None, max_examples=40)
@given(faults=FAULTS, appends=st.booleans(), deltas=st.integers(5, 200))
def test_whatever_the_platforms_calls_do_the_reply_arrives_once(
    faults: list[str], appends: bool, deltas: int
) -> None:
    text = paragraphs(9)

    async def main() -> None:
        platform = MemoryPlatform(style=replace(STYLE, appends=appends), faults=list(faults))
        async with asyncio.timeout(20):
            async with reply_on(platform, MemoryJournal()) as reply:
                for start in range(0, len(text), deltas):
                    reply.text(text[start : start + deltas])
                    await asyncio.sleep(0)
                await reply.finish()
        assert words(platform) == text.split()
        keys = [message.key.name for message in platform.messages]
        assert keys == sorted(set(keys), key=int)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bridge.turns.retry.FIRST_PAUSE", 0.001)
        asyncio.run(main())


@settings(deadline=None, max_examples=40)
@given(kills=st.lists(st.integers(1, 30), min_size=1, max_size=4), appends=st.booleans())
def test_a_restart_between_any_two_calls_goes_on_in_the_same_messages(kills: list[int], appends: bool) -> None:
    text = paragraphs(9)

    async def main() -> None:
        platform, journal = MemoryPlatform(style=replace(STYLE, appends=appends)), MemoryJournal()
        for kill in [*kills, None]:
            async with reply_on(platform, journal) as reply:
                for step, start in enumerate(range(0, len(text), 40)):
                    if step == kill:
                        break
                    reply.text(text[start : start + 40])
                    await asyncio.sleep(0)
                else:
                    await reply.finish(text)
        assert words(platform) == text.split()
        keys = [message.key.name for message in platform.messages]
        assert len(keys) == len(set(keys)), "no part was posted twice"
        assert all(message.finished for message in platform.messages)

    asyncio.run(main())


async def test_a_restart_never_makes_a_message_shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.turns.reply.SHOWN_EVERY", 0.0)
    platform, journal = MemoryPlatform(), MemoryJournal()
    async with reply_on(platform, journal) as reply:
        reply.text("one two three ")
        await platform.until(lambda: platform.messages)
        reply.text("four five six ")
        await platform.until(lambda: "six" in platform.messages[0].text)
        await asyncio.sleep(0)
    async with reply_on(platform, journal) as reply:
        for word in ["one", "two", "three", "four", "five", "six", "seven."]:
            reply.text(f"{word} ")
            await asyncio.sleep(0)
        await reply.finish()
    [message] = platform.messages
    lengths = [len(shown.strip()) for shown in message.history]
    assert lengths == sorted(lengths)
    assert message.text.strip() == "one two three four five six seven."


async def test_the_final_text_replaces_what_was_streamed_where_they_differ() -> None:
    platform = MemoryPlatform()
    async with reply_on(platform, MemoryJournal()) as reply:
        reply.text(paragraphs(9))
        await platform.until(lambda: len(platform.messages) >= 2)
        await reply.finish("Something else altogether.")
    assert platform.texts() == ["Something else altogether."]


async def test_an_answer_that_only_grew_at_the_end_is_not_rewritten() -> None:
    platform = MemoryPlatform()
    async with reply_on(platform, MemoryJournal()) as reply:
        reply.text("Hello ")
        await platform.until(lambda: platform.messages)
        await reply.finish("Hello world")
    assert platform.texts() == ["Hello world"]


async def test_notices_and_files_are_posted_once_over_a_lost_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.turns.retry.FIRST_PAUSE", 0.001)
    platform, journal = MemoryPlatform(faults=["unheard", "unheard"]), MemoryJournal()
    path = tmp_path / "a.txt"
    path.write_text("content")
    for _ in range(2):
        async with reply_on(platform, journal) as reply:
            await reply.finish("")
            await reply.upload("f0", Upload("a.txt", path, "text/plain", 7))
            await reply.notice("n0", "That failed.", (Button("again", "Try again", TURN),))
    assert [message.key.name for message in platform.messages] == ["f0", "n0"]
    assert platform.messages[0].files == (("a.txt", b"content"),)


async def test_a_deleted_channel_ends_the_reply() -> None:
    platform = MemoryPlatform(faults=["gone"])
    async with reply_on(platform, MemoryJournal()) as reply:
        reply.text("hello ")
        with pytest.raises(Gone):
            await reply.finish()


async def test_only_the_newest_sign_of_life_counts() -> None:
    platform = MemoryPlatform()
    async with reply_on(platform, MemoryJournal()) as reply:
        for label in ("", "reading", "thinking"):
            reply.working(label)
        await platform.until(lambda: platform.labels)
        await reply.finish("x")
    assert platform.labels == ["thinking"]


async def test_what_is_longer_than_messages_can_be_says_so() -> None:
    platform = MemoryPlatform(style=replace(STYLE, limit=50_000))
    async with reply_on(platform, MemoryJournal()) as reply:
        reply.text("a " * MAX_REPLY)
        await reply.finish()
        assert reply.overflowed
        assert reply.length == 2 * MAX_REPLY
    assert sum(len(text) for text in platform.texts()) <= MAX_REPLY
