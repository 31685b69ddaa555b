"""What people think of answers: the last word of each counts, and is told to the agent's service once it was stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from adapters.base import Checkpoint
from bridge.inbound import Address, Person
from bridge.store import statements as sql
from bridge.store.engine import Engine, Op
from bridge.store.tables import SECOND, now
from bridge.store.values import checkpoint_of, storable

MAX_WORDS = 3_000  # characters


@dataclass(frozen=True, slots=True)
class DueFeedback:
    """What an agent's service is to be told."""

    turn: str
    person: str
    good: bool
    words: str
    at: int
    tries: int  # this one included
    agent: str | None = None  # None where it can't be said any more who answered
    checkpoint: Checkpoint | None = None  # the answered turn's last one


class FeedbackStore:
    """Everything raises `StoreUnavailable`, and comes to the same when it is done twice."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def rate(self, address: Address, turn: str, person: Person, *, good: bool) -> bool:
        """Whether an answer was good. False if it is no answer of this thread."""
        values = _whose(address, turn, person) | {"good": good, "at": now()}
        [rated] = await self._engine.run(Op(sql.RATE, values))
        return bool(rated)

    async def add_words(self, address: Address, turn: str, person: Person, words: str) -> bool:
        """Why, in the person's words. False if they haven't rated that answer."""
        said = storable(words.strip()[:MAX_WORDS])
        values = _whose(address, turn, person) | {"said": said, "at": now()}
        [added] = await self._engine.run(Op(sql.ADD_WORDS, values))
        return bool(added)

    async def take_due(self, most: int, pause: float) -> Sequence[DueFeedback]:
        """What is to be told now, at most `most`. No other process gets the same ones for `pause` seconds, and longer
        with every try."""
        values = {"at": now(), "most": most, "pause": round(pause * SECOND)}
        [taken] = await self._engine.run(Op(sql.TAKE_DUE_FEEDBACK, values))
        if not taken:
            return ()
        turns = await self._engine.run(*(Op(sql.RATED_TURN, {"turn_id": row[0]}) for row in taken))
        return [
            DueFeedback(turn, person, bool(good), words or "", at, tries, *(_answered(found[0]) if found else ()))
            for (turn, person, good, words, at, tries), found in zip(taken, turns, strict=True)
        ]

    async def settle(self, told: DueFeedback) -> None:
        """It was told, or never will be; unless the person had another word meanwhile."""
        values = {"turn_id": told.turn, "rater": told.person, "at": told.at}
        await self._engine.run(Op(sql.FEEDBACK_TOLD, values))


def _whose(address: Address, turn: str, person: Person) -> dict[str, object]:
    return asdict(address) | {"turn_id": turn, "rater": f"{address.platform}:{person.id}"}


def _answered(row: Sequence[str | None]) -> tuple[str | None, Checkpoint | None]:
    agent, checkpoint = row
    return agent, checkpoint_of(checkpoint)
