"""A busy thread: what waits is asked one after the other, together, or at once; and it shows that it waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest

from adapters.base import Checkpoint, Done, Event, Message, Text
from bridge.inbound import RemoteFile
from bridge.listening import Busy
from bridge.store.database import Database
from bridge.turns import line, marks
from tests.e2e.waiting import PATIENCE
from tests.turns.agents import Backend, CancellableAgent, ScriptedAgent, Step
from tests.turns.process import Bridge, running
from tests.turns.world import HERE, MemoryPlatform, MemorySurface, inbound


class Work:
    """A script that holds the first question until it may go on."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.go_on = asyncio.Event()

    async def hold(self) -> None:
        self.began.set()
        await self.go_on.wait()

    @property
    def script(self) -> list[Step]:
        return [self.hold, Text("done"), Done()]


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message shows that it waits as soon as it does."""
    monkeypatch.setattr(marks, "WAITS", 0.0)
    monkeypatch.setattr(marks, "LOOK_EVERY", 0.02)


async def eventually_none(find: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while await find():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


async def ask_behind(bridge: Bridge, work: Work, *more: tuple[str, str]) -> None:
    """A first question that is worked on, and others behind it by these people."""
    await bridge.intake.take(inbound(1, "first"))
    await work.began.wait()
    for number, (author, text) in enumerate(more, 2):
        await bridge.intake.take(inbound(number, text, author=author))


async def until_all_ended(bridge: Bridge) -> list[str]:
    await bridge.until_state("done", "cancelled", "failed")
    return sorted((await bridge.states()).values())


async def test_by_default_each_is_asked_by_itself(
    database: Database, platform: MemoryPlatform, work: Work
) -> None:
    backend = Backend(work.script)
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        await ask_behind(bridge, work, ("U1", "second"), ("U1", "third"))
        work.go_on.set()
        await until_all_ended(bridge)
    assert backend.asked == ["first", "second", "third"]


async def test_steered_what_waits_is_one_turn_of_all_words_in_order(
    database: Database, platform: MemoryPlatform, work: Work
) -> None:
    backend = Backend(work.script)
    async with running(Bridge(database, platform, ScriptedAgent(backend), busy="steer")) as bridge:
        await ask_behind(bridge, work, ("U1", "second"), ("U1", "third"), ("U1", "fourth"))
        work.go_on.set()
        await until_all_ended(bridge)
        assert len(platform.messages) == 2
    assert backend.asked == ["first", "second\n\nthird\n\nfourth"]


async def test_steered_files_come_along_and_each_message_once(
    database: Database, platform: MemoryPlatform, work: Work
) -> None:
    platform.contents = {"F1": b"one", "F2": b"two"}
    files = [RemoteFile(f"F{number}", f"{number}.txt", "text/plain", 3, "") for number in (1, 2)]
    got: list[Sequence[str]] = []

    class Reader(ScriptedAgent):
        async def _post(self, message: Message) -> None:
            got.append([one.name for one in message.attachments])
            await super()._post(message)

    async with running(Bridge(database, platform, Reader(Backend(work.script)), busy="steer")) as bridge:
        await bridge.intake.take(inbound(1, "first"))
        await work.began.wait()
        for number, file in enumerate(files, 2):
            await bridge.intake.take(inbound(number, f"read {file.name}", files=(file,)))
        work.go_on.set()
        await until_all_ended(bridge)
    assert got == [[], ["1.txt", "2.txt"]]


async def test_steered_another_persons_message_is_asked_by_itself(
    database: Database, platform: MemoryPlatform, work: Work
) -> None:
    """Else the agent would act for one on the word of another."""
    backend = Backend(work.script)
    async with running(Bridge(database, platform, ScriptedAgent(backend), busy="steer")) as bridge:
        await ask_behind(bridge, work, ("U1", "second"), ("U1", "third"), ("U2", "mine"), ("U1", "fourth"))
        work.go_on.set()
        await until_all_ended(bridge)
    assert [text.partition(": ")[2] or text for text in backend.asked] == [
        "first",
        "second\n\nthird",
        "mine",
        "fourth",
    ]


async def test_what_is_changed_or_withdrawn_before_is_joined_as_it_reads_now(
    database: Database, platform: MemoryPlatform, work: Work
) -> None:
    backend = Backend(work.script)
    async with running(Bridge(database, platform, ScriptedAgent(backend), busy="steer")) as bridge:
        await ask_behind(bridge, work, ("U1", "second"), ("U1", "thrid"), ("U1", "never mind"))
        await bridge.intake.edited(HERE, "100.0-3", "third")
        await bridge.intake.deleted(HERE, "100.0-4")
        work.go_on.set()
        await until_all_ended(bridge)
    assert backend.asked == ["first", "second\n\nthird"]


async def test_changed_while_it_is_being_prepared_it_is_joined_anew(
    database: Database, platform: MemoryPlatform, work: Work
) -> None:
    backend = Backend(work.script)
    bridge = Bridge(database, platform, ScriptedAgent(backend), busy="steer")
    edits = ["changed"]

    class Late(ScriptedAgent):
        async def ask(
            self, conversation: str | None, message: Message, *, resume: Checkpoint | None = None
        ) -> AsyncIterator[Event]:
            if "second" in message.text and edits:
                await bridge.intake.edited(HERE, "100.0-3", edits.pop())
            async for event in super().ask(conversation, message, resume=resume):
                yield event

    bridge = Bridge(database, platform, Late(backend), busy="steer")
    async with running(bridge):
        await ask_behind(bridge, work, ("U1", "second"), ("U1", "third"))
        work.go_on.set()
        await until_all_ended(bridge)
    assert backend.asked == ["first", "second\n\nchanged"]


async def test_more_than_one_turn_takes_are_asked_in_the_next(
    database: Database, platform: MemoryPlatform, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "MAX_JOINED", 3)
    backend = Backend(work.script)
    async with running(Bridge(database, platform, ScriptedAgent(backend), busy="steer")) as bridge:
        await ask_behind(bridge, work, *(("U1", str(number)) for number in range(5)))
        work.go_on.set()
        await until_all_ended(bridge)
    assert backend.asked == ["first", "0\n\n1\n\n2", "3\n\n4"]


async def test_a_person_who_writes_again_interrupts_their_own_turn_and_is_asked_next(
    database: Database, platform: MemoryPlatform, work: Work
) -> None:
    backend = Backend(work.script)
    async with running(Bridge(database, platform, CancellableAgent(backend), busy="interrupt")) as bridge:
        await ask_behind(bridge, work, ("U1", "no, the other one"))
        await platform.until(lambda: backend.cancelled)
        work.go_on.set()
        assert await until_all_ended(bridge) == ["cancelled", "done"]
    assert backend.asked == ["first", "no, the other one"]


async def test_nobody_interrupts_another(database: Database, platform: MemoryPlatform, work: Work) -> None:
    backend = Backend(work.script)
    async with running(Bridge(database, platform, CancellableAgent(backend), busy="interrupt")) as bridge:
        await ask_behind(bridge, work, ("U2", "and I?"))
        work.go_on.set()
        assert await until_all_ended(bridge) == ["done", "done"]
    assert backend.cancelled == []


async def test_a_message_that_comes_again_interrupts_nothing(
    database: Database, platform: MemoryPlatform, work: Work
) -> None:
    backend = Backend(work.script)
    async with running(Bridge(database, platform, CancellableAgent(backend), busy="interrupt")) as bridge:
        await ask_behind(bridge, work)
        await bridge.intake.take(inbound(1, "first"))
        work.go_on.set()
        assert await until_all_ended(bridge) == ["done"]


async def test_written_again_while_the_first_is_prepared_it_is_interrupted_too(
    database: Database, platform: MemoryPlatform, work: Work
) -> None:
    backend = Backend(work.script)
    wrote: list[Bridge] = []

    class Quick(CancellableAgent):
        async def ask(
            self, conversation: str | None, message: Message, *, resume: Checkpoint | None = None
        ) -> AsyncIterator[Event]:
            if message.text == "first":
                await wrote[0].intake.take(inbound(2, "second"))
            async for event in super().ask(conversation, message, resume=resume):
                yield event

    async with running(Bridge(database, platform, Quick(backend), busy="interrupt")) as bridge:
        wrote.append(bridge)
        await bridge.intake.take(inbound(1, "first"))
        await platform.until(lambda: backend.cancelled)
        work.go_on.set()
        assert await until_all_ended(bridge) == ["cancelled", "done"]


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("busy", ["queue", "steer"])
async def test_what_waits_shows_it_until_it_is_asked(
    database: Database, platform: MemoryPlatform, work: Work, busy: Busy
) -> None:
    async with running(Bridge(database, platform, ScriptedAgent(Backend(work.script)), busy=busy)) as bridge:
        await ask_behind(bridge, work, ("U1", "second"), ("U1", "third"))
        await platform.until(lambda: platform.waiting == {"100.0-2", "100.0-3"})
        work.go_on.set()
        await until_all_ended(bridge)
        await platform.until(lambda: not platform.waiting)


@pytest.mark.usefixtures("at_once")
async def test_after_a_crash_the_next_process_takes_the_marks_away(
    database: Database, platform: MemoryPlatform, work: Work
) -> None:
    backend = Backend(work.script)
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        await ask_behind(bridge, work, ("U1", "second"))
        await platform.until(lambda: platform.waiting)
    work.go_on.set()
    async with running(Bridge(database, platform, ScriptedAgent(backend), replica="r2")) as bridge:
        await until_all_ended(bridge)
        await platform.until(lambda: not platform.waiting)


@pytest.mark.usefixtures("at_once")
async def test_a_mark_that_comes_after_its_message_was_asked_is_taken_away_again(
    database: Database, platform: MemoryPlatform, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, marking, asked = MemorySurface.mark_waiting, asyncio.Event(), asyncio.Event()

    async def slowly(self: MemorySurface, message_id: str, *, waits: bool) -> bool:
        if waits:
            marking.set()
            await asked.wait()
        return await mark(self, message_id, waits=waits)

    monkeypatch.setattr(MemorySurface, "mark_waiting", slowly)
    async with running(Bridge(database, platform, ScriptedAgent(Backend(work.script)))) as bridge:
        await ask_behind(bridge, work, ("U1", "second"))
        await marking.wait()
        work.go_on.set()
        await until_all_ended(bridge)
        asked.set()
        await platform.until(lambda: platform.waiting)
        await platform.until(lambda: not platform.waiting)


@pytest.mark.usefixtures("at_once")
async def test_a_message_that_is_withdrawn_is_marked_no_more(
    database: Database, platform: MemoryPlatform, work: Work
) -> None:
    async with running(Bridge(database, platform, ScriptedAgent(Backend(work.script)))) as bridge:
        await ask_behind(bridge, work, ("U1", "second"), ("U1", "third"))
        await platform.until(lambda: len(platform.waiting) == 2)
        await bridge.intake.deleted(HERE, "100.0-2")
        work.go_on.set()
        await until_all_ended(bridge)
        await platform.until(lambda: platform.waiting == {"100.0-2"})  # nothing is taken off what is gone
        await eventually_none(lambda: bridge.queue.marked_no_more(10, ["slack"]))
