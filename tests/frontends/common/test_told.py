"""Nobody is told the same again and again."""

from __future__ import annotations

from bridge.frontends.common.told import TELL_AGAIN, Told
from bridge.inbound import Person
from bridge.turns.inbox import NotAllowed

ANN, BOB = Person("U1"), Person("U2")
EXTERNAL, BUDGET = NotAllowed("external", "no"), NotAllowed("budget", "in 5 minutes")


def test_once_in_a_while_for_each_person_and_reason() -> None:
    now = 5.0
    told = Told(lambda: now)
    assert [told.is_due(ANN, EXTERNAL), told.is_due(ANN, EXTERNAL)] == [True, False]
    assert told.is_due(BOB, EXTERNAL)
    assert told.is_due(ANN, BUDGET)
    now += TELL_AGAIN
    assert told.is_due(ANN, EXTERNAL)


def test_without_words_nobody_is_told() -> None:
    assert not Told().is_due(ANN, NotAllowed("no agent", ""))
