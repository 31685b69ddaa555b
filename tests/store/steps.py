"""A turn's way through the queue, in the few steps that most tests are made of."""

from __future__ import annotations

from typing import Any

from adapters.base import Checkpoint
from bridge.inbound import Address, Inbound, Person
from bridge.lifecycle import ENDINGS, Event, Outcome, TurnState
from bridge.store.queue import Queue
from bridge.store.values import Claim, Conclusion, Outlook, PartRecord, StoredTurn

HERE = Address("slack", "T1", "C1", "100.0")
ALL = ("slack", "discord")


def inbound(
    number: int = 1, *, address: Address = HERE, text: str = "", author: str = "U1", **more: Any
) -> Inbound:
    """Message `number` of a thread."""
    values: dict[str, Any] = {
        "address": address,
        "event_id": f"Ev{address.channel}{address.thread}{number}",
        "message_id": f"{address.thread}-{number}",
        "position": number,
        "person": Person(author, f"name of {author}"),
        "text": text or f"question {number}",
    }
    return Inbound(**values | more)


def thread(number: int) -> Address:
    return Address("slack", "T1", "C1", f"{number}.0")


async def claim_one(queue: Queue) -> Claim:
    [claim] = await queue.claim(10, ALL)
    return claim


async def next_turn(queue: Queue, claim: Claim) -> StoredTurn:
    turn = (await queue.look(claim)).turn
    assert turn is not None
    return turn


async def begin_next(queue: Queue, claim: Claim, checkpoint: Checkpoint | None = None) -> StoredTurn:
    """The next turn, as it was before it was begun."""
    turn = await next_turn(queue, claim)
    await queue.begin(claim, turn, checkpoint)
    return turn


async def end(
    queue: Queue, claim: Claim, turn: StoredTurn, outcome: Outcome = Outcome.ANSWERED, **more: Any
) -> Outlook | None:
    """Conclude and deliver. `more` is the conclusion's; `shown_at` and `parts` the end's."""
    ends = {name: more.pop(name) for name in ("shown_at", "parts", "last_part") if name in more}
    await queue.conclude(claim, turn.id, Conclusion(outcome, **more))
    return await queue.end(claim, turn.id, Event.DELIVERED, outcome, **ends)


async def work_off(
    queue: Queue, claim: Claim, outcome: Outcome = Outcome.ANSWERED, **more: Any
) -> tuple[StoredTurn, Outlook | None]:
    """Begin the next turn and end it."""
    turn = await begin_next(queue, claim)
    return turn, await end(queue, claim, turn, outcome, **more)


def part(index: int = 0, message_id: str = "m1", **more: Any) -> PartRecord:
    return PartRecord("p", index, message_id, **more)


def state_after(outcome: Outcome) -> TurnState:
    return ENDINGS[outcome].state
