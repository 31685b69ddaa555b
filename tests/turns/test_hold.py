"""What rides along with the steps of a turn: no part is forgotten, none takes a finished one back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from adapters.base import Checkpoint
from bridge.inbound import Address
from bridge.store.engine import StoreUnavailable
from bridge.store.lease import Lease
from bridge.store.queue import Queue
from bridge.store.values import Claim, PartRecord
from bridge.turns import hold as holds
from bridge.turns.hold import Hold
from tests.e2e.waiting import eventually

TURN = "0123456789abcdef"


class Recorded(Queue):
    """Notes each write of parts; the first waits if it is told to."""

    def __init__(self) -> None:
        self.writes: list[tuple[str, list[int]]] = []
        self.steps: list[str | None] = []
        self.gate: asyncio.Event | None = None
        self.outages = 0

    async def _write(self, name: str, parts: Sequence[PartRecord]) -> None:
        self.writes.append((name, [part.index for part in parts]))
        gate, self.gate = self.gate, None
        if gate is not None:
            await gate.wait()
        if self.outages:
            self.outages -= 1
            raise StoreUnavailable("away")

    async def record_parts(
        self, claim: Claim, turn: str, parts: Sequence[PartRecord], *, steps: str | None = None
    ) -> None:
        self.steps.append(steps)
        await self._write("parts", parts)

    async def record_checkpoint(
        self,
        claim: Claim,
        turn: str,
        checkpoint: Checkpoint,
        parts: Sequence[PartRecord] = (),
        *,
        steps: str | None = None,
        progress: bool,
    ) -> None:
        self.steps.append(steps)
        await self._write("checkpoint", parts)


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> Hold:
    monkeypatch.setattr(holds, "RIDE_SECONDS", 0.0)
    monkeypatch.setattr("bridge.store.engine.FIRST_PAUSE", 0.001)
    return Hold(Recorded(), Claim(1, 1, Address("slack", "T", "C", "1"), "a", 1), Lease(alone=True))


def part(index: int, shown: int = 0) -> PartRecord:
    return PartRecord("p", index, f"m{index}", shown=shown)


def writes(hold: Hold) -> list[tuple[str, list[int]]]:
    assert isinstance(hold.queue, Recorded)
    return hold.queue.writes


async def test_a_part_goes_with_the_next_step_or_by_itself(hold: Hold) -> None:
    hold.note(TURN, part(0))
    await hold.checkpoint(TURN, Checkpoint("c", {}), progress=True)
    assert writes(hold) == [("checkpoint", [0])]
    hold.note(TURN, part(1))
    await eventually(lambda: len(writes(hold)) == 2)
    await hold.checkpoint(TURN, Checkpoint("c", {}), progress=True)
    assert writes(hold)[1:] == [("parts", [1]), ("checkpoint", [])]


async def test_a_part_that_comes_while_others_are_recorded_follows_them(hold: Hold) -> None:
    assert isinstance(hold.queue, Recorded)
    gate = hold.queue.gate = asyncio.Event()
    hold.note(TURN, part(0))
    await eventually(lambda: writes(hold))
    hold.note(TURN, part(1))
    gate.set()
    await eventually(lambda: ("parts", [1]) in writes(hold))


async def test_parts_outlive_an_outage_and_the_newest_counts(hold: Hold) -> None:
    assert isinstance(hold.queue, Recorded)
    hold.queue.outages = 3
    hold.note(TURN, part(0, shown=1))
    hold.note(TURN, part(0, shown=2))
    await eventually(lambda: len(writes(hold)) == 4)
    await hold.checkpoint(TURN, Checkpoint("c", {}), progress=True)
    assert writes(hold)[-1] == ("checkpoint", [])


async def test_nothing_rides_once_the_thread_is_let_go(hold: Hold) -> None:
    hold.note(TURN, part(0))
    hold.close()
    await asyncio.sleep(0.01)
    assert writes(hold) == []


async def test_steps_ride_along_as_they_are_then_and_never_alone(hold: Hold) -> None:
    queue = hold.queue
    assert isinstance(queue, Recorded)
    known = ["one"]
    hold.note_steps(TURN, lambda: " ".join(known))
    for _ in range(5):
        await asyncio.sleep(0)
    assert queue.writes == []
    known.append("two")
    await hold.checkpoint(TURN, Checkpoint("c"), progress=True)
    await hold.checkpoint(TURN, Checkpoint("c"), progress=True)
    hold.note_steps(TURN, lambda: "three")
    hold.note(TURN, part(0))
    await eventually(lambda: len(queue.steps) == 3)
    assert queue.steps == ["one two", None, "three"]
