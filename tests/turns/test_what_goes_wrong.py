"""What agents, databases and people do to a turn when it suits them least."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from secrets import token_hex

import psycopg
import pytest

from adapters.base import (
    AgentError,
    Checkpoint,
    Done,
    Event,
    File,
    InputRequest,
    Message,
    Rejected,
    Table,
    Text,
    TimedOut,
    Uncertain,
)
from bridge.inbound import Person, RemoteFile
from bridge.store.arrivals import Arrivals
from bridge.store.database import Database, database_url
from bridge.turns.ask import STOPPED
from bridge.turns.surface import Refused
from tests.e2e.waiting import eventually
from tests.turns.agents import Backend, CancellableAgent, FileAgent, ScriptedAgent
from tests.turns.process import Bridge, running
from tests.turns.world import HERE, LATER, MemoryPlatform, inbound, part_name

pytestmark = pytest.mark.slow  # together; each alone is quick

ODD = "\ud800 and \0 nothing"
EVEN = "\ufffd and  nothing"


async def test_text_that_no_encoder_takes_passes_through(database: Database, platform: MemoryPlatform) -> None:
    table = Table(f"t{ODD}", (f"c{ODD}",), ((f"v{ODD}",), (float("nan"),), (float("-inf"),)))
    backend = Backend([Text(f"t{ODD}"), File(f"f{ODD}.txt", "f"), table, Rejected("d" + ODD, sentence="s" + ODD)])
    backend.contents = {"f": b"made"}
    async with running(Bridge(database, platform, FileAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1, f"q{ODD}", person=Person("U1", f"n{ODD}")))
        await bridge.until_state("failed")
        [record] = await bridge.ledger.turns(state=None, thread=None, limit=1)
    assert backend.asked == [f"q{EVEN}"]
    assert (record.turn.answer, record.turn.outcome) == (f"t{EVEN}", "rejected")
    for message in platform.messages:
        message.text.encode()
    by_name = {part_name(message.key): message for message in platform.messages}
    assert by_name["n0"].text == f"s{EVEN}"
    [(_, content)] = by_name["t1"].files
    assert content.decode("utf-8-sig").splitlines() == [f"c{EVEN}", f"v{EVEN}", "nan", "'-inf"]


async def test_a_character_that_a_service_cut_in_two_is_whole(quick: Database, platform: MemoryPlatform) -> None:
    backend = Backend([Text("a \ud83d"), Text("\ude00 b"), Done()])
    async with running(Bridge(quick, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
    assert platform.texts() == ["a 😀 b"]


async def test_a_final_text_without_end_fails_the_turn(
    quick: Database, platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.turns.ask.MAX_ANSWER", 10)
    async with running(Bridge(quick, platform, ScriptedAgent(Backend([Text("short"), Done("x" * 11)])))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("failed")
    assert platform.texts() == ["short", AgentError.sentence]


async def test_an_adapters_own_error_counts_as_what_it_was_derived_from(
    database: Database, platform: MemoryPlatform
) -> None:
    class TooSlowBecauseOfTheMaintenanceWindow(TimedOut):
        """A name longer than the column of outcomes."""

    backend = Backend([TooSlowBecauseOfTheMaintenanceWindow("no answer")])
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("failed")
        assert await bridge.outcome() == ("failed", "timed_out")
    assert [button.action for button in platform.messages[-1].buttons] == ["retry"]


async def test_what_an_adapter_gives_wrongly_costs_the_file_and_not_the_reply(
    quick: Database, platform: MemoryPlatform
) -> None:
    ragged = Table("ragged", ("a", "b"), (("only one",),))
    backend = Backend([Text("Here."), ragged, File("none.txt", "missing"), Done()])
    async with running(Bridge(quick, platform, FileAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
    assert platform.texts() == ["Here.", "These could not be brought here: ragged, none.txt."]


async def test_a_download_without_end_is_left_out(
    quick: Database, platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.turns.deliver.DOWNLOAD_SECONDS", 0.05)

    class Hanging(FileAgent):
        async def download(self, conversation: str, ref: str) -> AsyncIterator[bytes]:
            yield b"a"
            await asyncio.Event().wait()

    backend = Backend([Text("Here."), File("endless.txt", "e"), Done()])
    async with running(Bridge(quick, platform, Hanging(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
    assert platform.texts()[-1] == "These could not be brought here: endless.txt."


async def test_a_reply_that_can_not_be_delivered_frees_its_thread_in_the_end(
    quick: Database, platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.turns.runner.SWEEP", 0.01)
    monkeypatch.setattr("bridge.turns.runner.LOOK_AGAIN", 0.01)
    monkeypatch.setattr("bridge.turns.turn.MAX_ATTEMPTS", 3)

    broken = True
    backend = Backend()
    real = platform.surface

    def surface(*arguments: object, **named: object) -> object:
        made = real(*arguments, **named)  # type: ignore[arg-type]
        post = made.post

        async def breaks(*some: object, **more: object) -> str:
            if broken:
                raise KeyError("a surface's bug")
            return await post(*some, **more)  # type: ignore[arg-type]

        made.post = breaks  # type: ignore[method-assign]
        return made

    monkeypatch.setattr(platform, "surface", surface)
    async with running(Bridge(quick, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("failed")
        assert await bridge.outcome() == ("failed", "undeliverable")
        assert platform.sentences == ["I have an answer, but this place doesn't let me post it."]
        broken = False
        await bridge.intake.take(inbound(2))
        await bridge.until_state("failed", "done")
        [record] = await bridge.ledger.turns(state="failed", thread=None, limit=1)
        assert await bridge.ledger.retry(record.turn.id)
        bridge.runner.wake()
        await bridge.until_state("done")
    assert platform.texts() == ["answer to question 2", "answer to question 1"]
    assert backend.asked == ["question 1", "question 2"], "it was stored: nothing is asked for it"


async def test_a_message_that_waited_leaves_an_uncertain_turn_to_the_person(
    database: Database, platform: MemoryPlatform
) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        asked.set()
        await go_on.wait()

    backend = Backend([work, Uncertain("the connection broke")])
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1, "transfer it"))
        await asked.wait()
        await bridge.intake.take(inbound(2, "and tell me"))
        backend.script = [Text("ok"), Done()]
        go_on.set()
        await bridge.until_state("waiting", "done")
        uncertain = next(message for message in platform.messages if message.buttons)
        pressed = await bridge.press(uncertain.buttons[0])
        await bridge.until_state("failed", "done")
    assert pressed == "It is being sent again."
    assert backend.asked == ["transfer it", "and tell me", "transfer it"]


class AsksBack:
    """Stores that its run waits for an answer, and may hang before it says so."""

    def __init__(self) -> None:
        self.hangs = True
        self.answers: list[str] = []

    async def ask(
        self, conversation: str | None, message: Message, *, resume: Checkpoint | None = None
    ) -> AsyncIterator[Event]:
        if resume is not None and resume.data["asked"] != message.id:
            self.answers.append(message.text)
            yield Done("Painted.")
            return
        yield Checkpoint("c", {"asked": message.id})
        if self.hangs:
            await asyncio.Event().wait()
        yield InputRequest("Which colour?")


async def test_trying_again_is_not_taken_for_the_answer_to_a_question_that_was_never_shown(
    database: Database, platform: MemoryPlatform
) -> None:
    agent = AsksBack()
    async with running(Bridge(database, platform, agent, deadline=0.3)) as bridge:
        await bridge.intake.take(inbound(1, "paint it"))
        for _ in range(2):
            await bridge.until_state("failed")
            assert await bridge.press(platform.messages[-1].buttons[0])
        await bridge.until_state("failed")
        agent.hangs = False
        bridge.limits.clear()
        await bridge.press(platform.messages[-1].buttons[0])
        await bridge.until_state("failed", "waiting")
        assert agent.answers == []
        await bridge.intake.take(inbound(LATER, "blue"))
        await bridge.until_state("failed", "done")
    assert agent.answers == ["blue"]
    assert platform.texts()[-2:] == ["Which colour?", "Painted."]


async def test_a_turn_that_is_stopped_before_it_is_asked_is_not_asked(
    quick: Database, platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetching, go_on = asyncio.Event(), asyncio.Event()
    real = platform.surface

    async def fetch(*_: object) -> None:
        fetching.set()
        await go_on.wait()
        raise Refused("no such file")

    def surface(*arguments: object, **named: object) -> object:
        made = real(*arguments, **named)  # type: ignore[arg-type]
        made.fetch = fetch  # type: ignore[method-assign, assignment]
        return made

    monkeypatch.setattr(platform, "surface", surface)
    backend = Backend()
    async with running(Bridge(quick, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1, files=(RemoteFile("F", "f.txt", "text/plain", 1, ""),)))
        await fetching.wait()
        await bridge.intake.stop(HERE)
        go_on.set()
        await bridge.until_state("cancelled")
    assert backend.asked == []
    assert platform.texts()[-1] == STOPPED


async def test_a_stop_reaches_the_replica_that_works_and_the_agent_once_it_has_a_conversation(
    postgres_url: str, platform: MemoryPlatform
) -> None:
    """By what the database announces: no sweep comes in a test's time."""
    beginning, go_on, stopped = asyncio.Event(), asyncio.Event(), asyncio.Event()

    class Slow(CancellableAgent):
        async def ask(
            self, conversation: str | None, message: Message, *, resume: Checkpoint | None = None
        ) -> AsyncIterator[Event]:
            beginning.set()
            await go_on.wait()
            async for event in super().ask(conversation, message, resume=resume):
                yield event

        async def cancel(self, conversation: str, checkpoint: Checkpoint) -> None:
            stopped.set()
            raise KeyError("an adapter's bug")

    database = Database(database_url(postgres_url))
    backend = Backend([stopped.wait, Text("not shown"), Done()])  # type: ignore[list-item]
    other = Bridge(database, platform, ScriptedAgent(Backend()), replica="r2")
    async with running(Bridge(database, platform, Slow(backend))) as bridge, other.open():
        await bridge.intake.take(inbound(1))
        await beginning.wait()
        await other.intake.stop(HERE)
        [at_work] = bridge.runner._at_work.values()
        await eventually(lambda: at_work._stopped)
        go_on.set()
        await bridge.until_state("cancelled")
    await database.close()
    assert platform.texts() == [STOPPED]


async def test_a_stop_that_was_not_heard_is_found_in_the_database(
    quick: Database, platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.turns.runner.SWEEP", 0.02)
    working = asyncio.Event()
    backend = Backend([_set(working), asyncio.Event().wait])  # type: ignore[list-item]

    class Ending(CancellableAgent):
        async def cancel(self, conversation: str, checkpoint: Checkpoint) -> None:
            backend.script = []
            backend.cancelled.append(conversation)

    async with running(Bridge(quick, platform, Ending(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await working.wait()
        [turn] = await bridge.states()
        await Arrivals(bridge.engine).record_stop(turn)
        await eventually(lambda: backend.cancelled)
    assert backend.cancelled == ["conv"]


def _set(event: asyncio.Event) -> Callable[[], Awaitable[None]]:
    async def step() -> None:
        event.set()

    return step


@pytest.mark.slow
async def test_turns_survive_the_loss_of_every_connection(
    postgres: str, platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.turns.runner.SWEEP", 0.05)
    monkeypatch.setattr("bridge.turns.runner.LOOK_AGAIN", 0.05)
    name = f"t{token_hex(4)}"
    words = [f"word{number} " for number in range(20)]

    async def breathe() -> None:
        await asyncio.sleep(0.002)

    async def more_calls_than(calls: int) -> None:
        await platform.until(lambda: platform.calls > calls)

    script = [step for word in words for step in (Text(word), breathe)]
    with psycopg.connect(postgres, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        database = Database(database_url(postgres.replace("/postgres?", f"/{name}?")))
        await database.upgrade()
        backend = Backend([*script, Done()])
        async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
            for thread in range(4):
                for number in (1, 2):
                    await bridge.intake.take(inbound(number, f"{thread}-{number}", thread=f"{thread}.0"))
            for calls in range(0, 64, 8):
                await more_calls_than(calls)
                server.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
                )
            await bridge.until_state("done")
        await database.close()
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    assert sorted(backend.asked) == sorted(f"{thread}-{number}" for thread in range(4) for number in (1, 2))
    by_turn: dict[str, list[str]] = {}
    for message in platform.messages:
        by_turn.setdefault(message.key.turn, []).append(message.text)
    assert len(by_turn) == 8
    assert all(" ".join(parts).split() == "".join(words).split() for parts in by_turn.values())
    assert len({message.key for message in platform.messages}) == len(platform.messages)
