"""A voice note: heard once, stored, quoted once, asked; a file where it can't be heard."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from adapters.base import Attachment, Checkpoint, Done, Message, RateLimited, Text, Unavailable
from bridge.inbound import Inbound, RemoteFile
from bridge.render.discord import DISCORD
from bridge.render.style import ZERO_WIDTH
from bridge.store.database import Database
from bridge.turns import pump
from bridge.turns.surface import Button, PartKind
from bridge.turns.voice import MAX_BYTES, MAX_QUOTED, MAX_SECONDS, quoted
from tests.turns.agents import Backend, ScriptedAgent
from tests.turns.process import Bridge, running
from tests.turns.world import STYLE, MemoryPlatform, inbound

WORDS = "what *does* the @here printer cost"
NOTE = RemoteFile("F1", "audio message", "audio/mp4", 20, "", seconds=2.5)


@dataclass
class Ears:
    """A transcription service that counts."""

    says: Mapping[str, str] = field(default_factory=lambda: {"sound": WORDS})
    fails: list[Exception] = field(default_factory=list)
    heard: list[Attachment] = field(default_factory=list)

    async def words(self, recording: Attachment) -> str:
        self.heard.append(recording)
        if self.fails:
            raise self.fails.pop(0)
        return self.says[recording.path.read_text()]


class Attentive(ScriptedAgent):
    """Remembers which files it was given."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self.files: list[list[str]] = []

    async def _post(self, message: Message) -> None:
        self.files.append([one.name for one in message.attachments])
        await super()._post(message)


@pytest.fixture
def platform() -> MemoryPlatform:
    return MemoryPlatform(contents={"F1": b"sound", "F2": b"a,b"})


async def asked(
    database: Database, platform: MemoryPlatform, ears: Ears | None, *files: RemoteFile, text: str = ""
) -> Attentive:
    agent = Attentive(Backend())
    async with running(Bridge(database, platform, agent, hears=ears)) as bridge:
        await bridge.intake.take(inbound(1, text, files=files) if text else spoken(*files))
        await bridge.until_state("done", "failed")
    return agent


def spoken(*files: RemoteFile) -> Inbound:
    """A message without a word."""
    return replace(inbound(1), text="", files=files)


async def test_its_words_are_quoted_and_asked_and_it_is_no_attachment(
    database: Database, platform: MemoryPlatform
) -> None:
    ears = Ears()
    agent = await asked(database, platform, ears, NOTE)
    assert agent.backend.asked == [WORDS]
    assert agent.files == [[]]
    quote, answer = platform.messages
    assert quote.key.kind is PartKind.NOTICE
    assert quote.text == f"> 🎤 what \\*does\\* the @{ZERO_WIDTH}here printer cost"
    assert answer.text.startswith("answer to what ")
    [recording] = ears.heard
    assert (recording.name, recording.media_type) == ("audio message.m4a", "audio/mp4")


async def test_other_files_and_words_go_along(quick: Database, platform: MemoryPlatform) -> None:
    agent = await asked(quick, platform, Ears(), NOTE, RemoteFile("F2", "a.csv", "text/csv", 3, ""), text="typed")
    assert agent.backend.asked == [f"typed\n\n{WORDS}"]
    assert agent.files == [["a.csv"]]


async def test_a_recording_that_was_put_there_as_a_file_is_a_file(
    quick: Database, platform: MemoryPlatform
) -> None:
    ears = Ears()
    agent = await asked(quick, platform, ears, RemoteFile("F1", "song.mp3", "audio/mpeg", 5, ""), text="typed")
    assert (ears.heard, agent.files) == ([], [["song.mp3"]])


async def test_without_a_service_it_is_a_file(quick: Database, platform: MemoryPlatform) -> None:
    agent = await asked(quick, platform, None, NOTE)
    assert agent.files == [["audio message"]]
    assert len(platform.messages) == 1


@pytest.mark.parametrize(
    ("ears", "note"),
    [
        (Ears(fails=[Unavailable("down")]), NOTE),
        (Ears(fails=[RateLimited("much")]), NOTE),
        (Ears(says={"sound": "  "}), NOTE),
        (Ears(), RemoteFile("F1", "audio message", "audio/mp4", MAX_BYTES + 1, "", seconds=2.0)),
        (Ears(), RemoteFile("F1", "audio message", "audio/mp4", 20, "", seconds=MAX_SECONDS + 1)),
    ],
    ids=["unavailable", "limited", "silent", "large", "long"],
)
async def test_what_cannot_be_heard_goes_to_the_agent_as_a_file_and_it_is_said(
    quick: Database, platform: MemoryPlatform, ears: Ears, note: RemoteFile
) -> None:
    agent = await asked(quick, platform, ears, note)
    assert agent.files == [["audio message"]]
    notice, _ = platform.messages
    assert notice.text == (
        "I couldn't make out the words of audio message, so the agent gets the recording itself."
    )


async def test_whoever_takes_it_up_again_asks_the_same_words_and_quotes_them_once(
    database: Database, platform: MemoryPlatform
) -> None:
    """Killed while the words are quoted: they are stored, and nothing was asked."""
    ears, backend = Ears(), Backend()
    platform.faults = ["", "unheard", *["lost"] * 1_000]
    async with running(Bridge(database, platform, ScriptedAgent(backend), hears=ears)) as bridge:
        await bridge.intake.take(spoken(NOTE))
        await platform.until(lambda: platform.messages)
        await bridge.until_state("asking")
    assert backend.asked == []
    platform.faults = []
    ears.says = {"sound": "something else"}
    async with running(Bridge(database, platform, ScriptedAgent(backend), hears=ears, replica="r2")) as bridge:
        await bridge.until_state("done")
    assert backend.asked == [WORDS]
    assert len(ears.heard) == 1
    assert [one.key.kind for one in platform.messages] == [PartKind.NOTICE, PartKind.TEXT]


async def test_the_words_stand_above_the_answer_however_long_they_take(
    quick: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a message stands in for the answer, it isn't posted before they are."""
    monkeypatch.setattr(pump, "WORKING_AFTER", 0.0)
    platform = MemoryPlatform(style=replace(STYLE, working_part=True), contents={"F1": b"sound"})

    class Slow(Ears):
        async def words(self, recording: Attachment) -> str:
            for _ in range(50):
                await asyncio.sleep(0)
            return await super().words(recording)

    await asked(quick, platform, Slow(), NOTE)
    assert [one.key.kind for one in platform.messages] == [PartKind.NOTICE, PartKind.TEXT]


async def test_tried_again_it_is_neither_heard_nor_quoted_a_second_time(
    database: Database, platform: MemoryPlatform
) -> None:
    ears, backend = Ears(), Backend([RateLimited("much", retry_after=1_000.0)])
    async with running(Bridge(database, platform, ScriptedAgent(backend), hears=ears)) as bridge:
        await bridge.intake.take(spoken(NOTE))
        await bridge.until_state("failed")
        backend.script = [Text("at last"), Done()]
        [failed] = await bridge.states()
        assert await bridge.press(Button("retry", "Try again", failed)) != ""
        await bridge.until_state("failed", "done")
    assert len(ears.heard) == 1
    assert [one.text for one in platform.messages if "🎤" in one.text] == [platform.messages[0].text]
    assert set(backend.asked) == {WORDS}


async def test_what_was_said_is_remembered(database: Database, platform: MemoryPlatform) -> None:
    class Remembering(Attentive):
        remembers = 3
        questions: tuple[str, ...] = ()

        async def ask(self, conversation, message, *, resume: Checkpoint | None = None):  # type: ignore[no-untyped-def]
            self.questions = tuple(one.question for one in message.history)
            async for event in super().ask(conversation, message, resume=resume):
                yield event

    agent = Remembering(Backend())
    async with running(Bridge(database, platform, agent, hears=Ears())) as bridge:
        await bridge.intake.take(spoken(NOTE))
        await bridge.until_state("done")
        await bridge.intake.take(inbound(2))
        await bridge.until_state("done")
    assert agent.questions == (WORDS,)


def test_a_long_note_is_quoted_in_part() -> None:
    assert len(quoted("*" * 5_000, DISCORD)) <= 2 * MAX_QUOTED + 4
