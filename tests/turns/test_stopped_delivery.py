"""A person stops a reply whose whole text is known already, at any moment while it is being delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from adapters.base import Done, File, InputRequest, Table, Text
from bridge.inbound import Address, Person
from bridge.render.style import Style
from bridge.store.arrivals import Arrivals
from bridge.store.database import Database
from bridge.store.engine import Engine
from bridge.turns.ask import STOPPED
from bridge.turns.surface import Guard, PartKind, Surface
from tests.e2e.waiting import eventually
from tests.turns.agents import Backend, FileAgent, ScriptedAgent
from tests.turns.process import Bridge, running
from tests.turns.test_every_step import Plug, PluggedEngine
from tests.turns.world import HERE, STYLE, MemoryPlatform, MemorySurface, inbound

LONG = "\n\n".join(f"Paragraph {number} " + "word " * 30 + "end." for number in range(8))
ENDED = ("done", "cancelled", "failed")
STYLES = {
    "edits": STYLE,
    "streams": replace(STYLE, appends=True),
    "a button below the newest part": replace(STYLE, working_part=True),
}


@pytest.fixture(params=STYLES.values(), ids=list(STYLES))
def style(request: pytest.FixtureRequest) -> Style:
    style: Style = request.param
    return style


class HeldPlatform(MemoryPlatform):
    """Holds a reply at one step: before a call takes effect, or before its answer comes back."""

    steps_left: int = 0

    def hold_at(self, step: int) -> None:
        self.steps_left = step
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()

    async def _step(self) -> None:
        self.steps_left -= 1
        if self.steps_left == -1:
            self.reached.set()
            await self.go_on.wait()

    def surface(self, address: Address, *, person: Person, guard: Guard) -> Surface:
        surface = MemorySurface(self, guard)
        for name in ("post", "edit", "upload", "delete"):
            setattr(surface, name, self._held(getattr(surface, name)))
        return surface

    def _held(self, call: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def held(*arguments: object, **named: object) -> object:
            await self._step()
            result = await call(*arguments, **named)
            await self._step()
            return result

        return held


async def reached(bridge: Bridge, platform: HeldPlatform) -> bool:
    """Whether the reply is held; else it has ended before."""
    ending = asyncio.create_task(bridge.until_state(*ENDED))
    holding = asyncio.create_task(platform.reached.wait())
    await asyncio.wait([ending, holding], return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()
    holding.cancel()
    return platform.reached.is_set()


def text_parts(platform: MemoryPlatform) -> list[str]:
    return [message.text for message in platform.messages if message.key.kind is PartKind.TEXT]


def check(platform: MemoryPlatform, whole: list[str], most: int) -> None:
    """What stands there is a beginning of the reply, finished, and says once that it was stopped."""
    shown = text_parts(platform)
    assert shown == whole[: len(shown)]
    assert len(shown) <= most
    assert all(message.finished for message in platform.messages)
    assert [button for message in platform.messages for button in message.buttons] == []
    assert [message.text for message in platform.messages if message.key.kind is not PartKind.TEXT] == [STOPPED]
    assert platform.texts()[-1] == STOPPED


async def whole_reply(quick: Database, style: Style) -> list[str]:
    platform = MemoryPlatform(style=style)
    async with running(Bridge(quick, platform, ScriptedAgent(Backend([Done(LONG)])))) as bridge:
        await bridge.intake.take(inbound(1, thread="whole"))
        await bridge.until_state("done")
    assert len(platform.texts()) == 4
    return platform.texts()


async def test_stopped_at_any_step_it_ends_with_what_stands_there(quick: Database, style: Style) -> None:
    whole = await whole_reply(quick, style)
    platform = HeldPlatform(style=style)
    async with running(Bridge(quick, platform, ScriptedAgent(Backend([Done(LONG)])))) as bridge:
        for step in range(100):
            platform.messages.clear()
            platform.hold_at(step)
            thread = str(step)
            await bridge.intake.take(inbound(1, thread=thread))
            if not await reached(bridge, platform):
                break
            standing = len(platform.messages)
            await bridge.intake.stop(replace(HERE, thread=thread))
            platform.go_on.set()
            await bridge.until_state(*ENDED)
            assert await bridge.outcome(f"{thread}-1") == ("cancelled", "stopped"), step
            check(platform, whole, most=standing + 1)  # a call that was under way is through
    assert text_parts(platform) == whole, "it was stopped at every step on the way"
    assert step >= 2 * len(whole)


@pytest.mark.slow  # together; each alone is quick
@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "not recorded"])
@pytest.mark.parametrize("late", [True, False], ids=["stopped after the kill", "stopped before the kill"])
async def test_whoever_takes_a_stopped_reply_over_posts_no_more_of_it(
    quick: Database, style: Style, late: bool, recorded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is killed at each step of the delivery: during its last call, or before it heard of its success."""
    whole = await whole_reply(quick, style)
    monkeypatch.setattr("bridge.turns.hold.RIDE_SECONDS", 0.0 if recorded else 1_000.0)
    platform, agent = HeldPlatform(style=style), ScriptedAgent(Backend([Done(LONG)]))
    for step in range(100):
        platform.messages.clear()
        platform.hold_at(step)
        here, plug = replace(HERE, thread=str(step)), Plug(10_000)

        def between(engine: Engine, plug: Plug = plug) -> Engine:
            return PluggedEngine(engine, plug)

        killed = Bridge(quick, platform, agent, between=between)
        async with killed.open():
            await killed.intake.take(inbound(1, thread=here.thread))
            serving = asyncio.create_task(killed.runner.run())
            if not await reached(killed, platform):
                await plug.kill(serving)
                break
            standing = len(platform.messages)
            if not late:
                await killed.intake.stop(here)
            await plug.kill(serving)
        heir = Bridge(quick, platform, agent, replica="r2")
        if late:
            async with heir.open():
                await heir.intake.stop(here)
        async with running(heir):
            await heir.until_state(*ENDED)
            assert await heir.outcome(f"{here.thread}-1") == ("cancelled", "stopped"), step
        check(platform, whole, most=max(1, standing))
    assert platform.texts() == whole, "it was killed at every step on the way"
    assert step >= 2 * len(whole)


async def held_at_first_post(bridge: Bridge, platform: HeldPlatform) -> None:
    """The first part stands there, and the reply doesn't know it yet."""
    platform.hold_at(1)
    await bridge.intake.take(inbound(1))
    await platform.reached.wait()


async def test_a_stop_on_the_platform_itself_ends_the_delivery(quick: Database) -> None:
    platform = MemoryPlatform(style=STYLES["streams"], faults=["", "stopped"])
    async with running(Bridge(quick, platform, ScriptedAgent(Backend([Done(LONG)])))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state(*ENDED)
        assert await bridge.outcome() == ("cancelled", "stopped")
    assert len(text_parts(platform)) == 1
    assert platform.texts()[-1] == STOPPED


async def test_files_tables_and_notes_are_no_more_wanted_than_the_text(quick: Database) -> None:
    platform = HeldPlatform()
    table = Table("sales", ("month",), (("May",),))
    backend = Backend([File("a.txt", "a"), table, Done("long " * 30_000, note="It was cut off.")])
    backend.contents = {"a": b"made"}
    async with running(Bridge(quick, platform, FileAgent(backend))) as bridge:
        await held_at_first_post(bridge, platform)
        await bridge.intake.stop(HERE)
        platform.go_on.set()
        await bridge.until_state(*ENDED)
    assert len(platform.texts()) == 2
    assert platform.texts()[-1] == STOPPED


async def test_what_the_agent_asks_back_is_asked_though_the_text_before_it_was_stopped(quick: Database) -> None:
    """Nobody else can tell the agent: the thread waits for the answer, or for Leave it."""
    platform = HeldPlatform()
    async with running(
        Bridge(quick, platform, ScriptedAgent(Backend([Text(LONG), InputRequest("Which?")])))
    ) as bridge:
        platform.hold_at(3)
        await bridge.intake.take(inbound(1))
        await platform.reached.wait()
        await bridge.intake.stop(HERE)
        platform.go_on.set()
        await bridge.until_state("waiting")
    assert platform.texts()[-1] == "Which?"
    assert len(text_parts(platform)) <= 2


@pytest.mark.usefixtures("swept")
async def test_who_has_a_stopped_reply_delivered_again_gets_all_of_it(quick: Database) -> None:
    platform = HeldPlatform(faults=["", "gone"])
    async with running(Bridge(quick, platform, ScriptedAgent(Backend([Done(LONG)])))) as bridge:
        await held_at_first_post(bridge, platform)
        await bridge.intake.stop(HERE)
        platform.go_on.set()
        await bridge.until_state(*ENDED)
        assert await bridge.outcome() == ("failed", "undeliverable")
        [turn] = await bridge.states()
        assert await bridge.ledger.retry(turn)
        bridge.runner.wake()
        await bridge.until_state("done")
    assert len(text_parts(platform)) == 4
    assert STOPPED not in platform.texts()


async def test_a_stop_that_was_not_heard_is_found_during_the_delivery_too(
    quick: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.turns.runner.SWEEP", 0.01)
    platform = HeldPlatform()
    async with running(Bridge(quick, platform, ScriptedAgent(Backend([Done(LONG)])))) as bridge:
        await held_at_first_post(bridge, platform)
        [turn] = await bridge.states()
        await Arrivals(bridge.engine).record_stop(turn)
        await eventually(lambda: bridge.runner._at_work[turn]._stopped)
        platform.go_on.set()
        await bridge.until_state(*ENDED)
        assert await bridge.outcome() == ("cancelled", "stopped")
    assert len(text_parts(platform)) == 1
