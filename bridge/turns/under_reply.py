"""What stands under a finished reply: buttons to have it answered again, to rate it, and to see the files."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import structlog

from bridge.prompts import UnderReply
from bridge.store.budgets import Quota
from bridge.store.decisions import Decided, Decisions
from bridge.store.feedback import MAX_WORDS, FeedbackStore
from bridge.store.values import StoredTurn, can_be_regenerated
from bridge.turns.inbox import Decision, Press
from bridge.turns.surface import ADD_WORDS, Action, Button

ACTIONS: tuple[Action, ...] = ("again", "rate", "words", "files")
GOOD, BAD = "good", "bad"  # values of the action `rate`

THANKS = "Thanks for your feedback."
NO_WORDS = "Write a few words first."
NOT_RATED = "Rate the answer first, by one of the thumbs under it."
NO_ANSWER = "That isn't an answer of mine that can be rated."
AGAINS = {
    Decided.SENT: "I'm answering it again below.",
    Decided.OUTDATED: "Something was asked since; write it again.",
    Decided.TOO_LATE: "That was asked again already.",
}

log = structlog.get_logger()


def buttons_under(turn: StoredTurn, wanted: Collection[UnderReply], *, files: bool) -> tuple[Button, ...]:
    """Those of an answer. `turn` as it is known to end; `files`: it got or made some."""
    shown: list[Button] = []
    if "again" in wanted and can_be_regenerated(turn):
        shown.append(Button("again", "Regenerate", turn.id))
    if "rate" in wanted:
        shown.append(Button("rate", "Good answer", turn.id, GOOD))
        shown.append(Button("rate", "Bad answer", turn.id, BAD))
    if "files" in wanted and (files or turn.files):
        shown.append(Button("files", "Files", turn.id))
    return tuple(shown)


class PressedUnderReply:
    """Carries out what people press there, except for the files, which the front ends list."""

    def __init__(self, decisions: Decisions, feedback: FeedbackStore) -> None:
        self._decisions = decisions
        self._feedback = feedback

    async def decide(self, press: Press, quotas: Sequence[Quota]) -> Decision:
        """May be repeated.

        :raises OverBudget: nothing is asked again.
        :raises StoreUnavailable:
        """
        address, turn, person = press.address, press.turn, press.person
        match press.action:
            case "again":
                decided = await self._decisions.regenerate(address, turn, person, quotas=quotas)
                log.info("asked again", decision=decided.name.lower(), turn=turn, person=person.id)
                return Decision(AGAINS[decided])
            case "rate" if press.value in (GOOD, BAD):
                if not await self._feedback.rate(address, turn, person, good=press.value == GOOD):
                    return Decision(NO_ANSWER)
                log.info("answer rated", turn=turn, value=press.value, person=person.id)
                return Decision(THANKS, buttons=(Button("words", ADD_WORDS, turn),))
            case "words":
                words = press.value.strip()[:MAX_WORDS]
                if not words:
                    return Decision(NO_WORDS)
                added = await self._feedback.add_words(address, turn, person, words)
                return Decision("" if added else NOT_RATED)
            case _:
                return Decision(NO_ANSWER)
