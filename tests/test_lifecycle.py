"""The life of a turn as a table: what follows what, and what a message is to the turn that its thread waits with.

Then the store is led through random lives, and every row it keeps must be one that the table can reach.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from itertools import count, product
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from adapters.base import Checkpoint
from bridge.inbound import Person
from bridge.lifecycle import (
    ACTIVE,
    ENDINGS,
    TRANSITIONS,
    Event,
    ImpossibleTransition,
    Outcome,
    Relation,
    Retry,
    TurnState,
    Waiting,
    after,
    drawing,
    relation,
)
from bridge.store.arrivals import Arrivals
from bridge.store.decisions import Decided, Decisions
from bridge.store.engine import Op, Statement
from bridge.store.queue import Queue
from bridge.store.sqlite import SqliteEngine
from bridge.store.values import (
    ApprovalShown,
    Asked,
    Claim,
    Conclusion,
    DecisionMade,
    InputRequestShown,
    Outlook,
    StoredTurn,
)
from tests.store.steps import ALL, HERE, inbound

SHOWN_AT = 10

# waiting outcome, written after it was shown, sent again by a button, a press for it
TRUTH: dict[tuple[Outcome | None, bool, bool, bool], Relation] = {
    (None, False, False, False): Relation.NONE,
    (None, False, False, True): Relation.NONE,
    (None, False, True, False): Relation.NONE,
    (None, False, True, True): Relation.NONE,
    (None, True, False, False): Relation.NONE,
    (None, True, False, True): Relation.NONE,
    (None, True, True, False): Relation.NONE,
    (None, True, True, True): Relation.NONE,
    (Outcome.INPUT_REQUEST, False, False, False): Relation.HELD,
    (Outcome.INPUT_REQUEST, False, False, True): Relation.ANSWERS,
    (Outcome.INPUT_REQUEST, False, True, False): Relation.HELD,
    (Outcome.INPUT_REQUEST, False, True, True): Relation.ANSWERS,
    (Outcome.INPUT_REQUEST, True, False, False): Relation.ANSWERS,
    (Outcome.INPUT_REQUEST, True, False, True): Relation.ANSWERS,
    (Outcome.INPUT_REQUEST, True, True, False): Relation.HELD,
    (Outcome.INPUT_REQUEST, True, True, True): Relation.ANSWERS,
    (Outcome.APPROVAL, False, False, False): Relation.HELD,
    (Outcome.APPROVAL, False, False, True): Relation.ANSWERS,
    (Outcome.APPROVAL, False, True, False): Relation.HELD,
    (Outcome.APPROVAL, False, True, True): Relation.ANSWERS,
    (Outcome.APPROVAL, True, False, False): Relation.HELD,
    (Outcome.APPROVAL, True, False, True): Relation.ANSWERS,
    (Outcome.APPROVAL, True, True, False): Relation.HELD,
    (Outcome.APPROVAL, True, True, True): Relation.ANSWERS,
    (Outcome.UNCERTAIN, False, False, False): Relation.NONE,
    (Outcome.UNCERTAIN, False, False, True): Relation.NONE,
    (Outcome.UNCERTAIN, False, True, False): Relation.NONE,
    (Outcome.UNCERTAIN, False, True, True): Relation.NONE,
    (Outcome.UNCERTAIN, True, False, False): Relation.ABANDONS,
    (Outcome.UNCERTAIN, True, False, True): Relation.NONE,
    (Outcome.UNCERTAIN, True, True, False): Relation.NONE,
    (Outcome.UNCERTAIN, True, True, True): Relation.NONE,
}


def test_the_truth_table_has_every_case() -> None:
    waits = [None, *(outcome for outcome in Outcome if ENDINGS[outcome].state is TurnState.WAITING)]
    assert set(TRUTH) == set(product(waits, *[(False, True)] * 3))


@pytest.mark.parametrize("case", TRUTH, ids=str)
def test_what_a_message_is_to_the_turn_that_its_thread_waits_with(
    case: tuple[Outcome | None, bool, bool, bool],
) -> None:
    outcome, later, retry, chosen = case
    waiting = None if outcome is None else Waiting(outcome, SHOWN_AT)
    for position in (SHOWN_AT + 1, SHOWN_AT + 100) if later else (SHOWN_AT, SHOWN_AT - 1, 0):
        assert relation(waiting, position=position, retry=retry, chosen=chosen) is TRUTH[case]


NEXT = {
    (TurnState.RECEIVED, Event.WITHDRAWN): "cancelled",
    (TurnState.RECEIVED, Event.JOINED): "done",
    (TurnState.RECEIVED, Event.BEGUN): "asking",
    (TurnState.RECEIVED, Event.DELIVERY_BEGUN): "replying",
    (TurnState.ASKING, Event.CONCLUDED): "replying",
    (TurnState.REPLYING, Event.REFUSED): "failed",
    (TurnState.WAITING, Event.ANSWERED): "done",
    (TurnState.WAITING, Event.ABANDONED): "cancelled",
    (TurnState.WAITING, Event.RETRIED): "failed",
    (TurnState.FAILED, Event.RETRIED): "failed",
    (TurnState.FAILED, Event.REDELIVERED): "received",
}
DELIVERED = (TurnState.REPLYING, Event.DELIVERED)


@pytest.mark.parametrize("pair", list(product(TurnState, Event)), ids=lambda pair: f"{pair[0]}-{pair[1].name}")
def test_every_state_meets_every_event(pair: tuple[TurnState, Event]) -> None:
    if pair == DELIVERED:
        with pytest.raises(ImpossibleTransition):
            after(*pair)
        for outcome in Outcome:
            assert after(*pair, outcome) is ENDINGS[outcome].state
    elif pair in NEXT:
        assert after(*pair) == NEXT[pair]
        assert all(after(*pair, outcome) == NEXT[pair] for outcome in Outcome)
    else:
        for given in (None, *Outcome):
            with pytest.raises(ImpossibleTransition):
                after(*pair, given)


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_an_ending(outcome: Outcome) -> None:
    ending = ENDINGS[outcome]
    assert ending.state not in (*ACTIVE, TurnState.RECEIVED), "an end"
    offers = ending.retry is not Retry.NONE
    assert offers == (ending.state is TurnState.FAILED or outcome is Outcome.UNCERTAIN)


def test_outcomes_and_states_fit_their_columns() -> None:
    assert max(map(len, Outcome)) <= 32
    assert max(map(len, TurnState)) <= 16


def test_only_an_uncertain_question_may_be_asked_twice_without_a_failure() -> None:
    """After these the agent may have the question: what is tried again goes on from the checkpoint."""
    may_have_arrived = {Outcome.GAVE_UP, Outcome.RATE_LIMITED, Outcome.UNAVAILABLE, Outcome.TIMED_OUT}
    assert {outcome for outcome in Outcome if ENDINGS[outcome].retry is Retry.RESUME} == may_have_arrived


def test_the_drawing_shows_every_transition_and_nothing_else() -> None:
    lines = {line.strip() for line in drawing().splitlines()}
    wanted = {"stateDiagram-v2", "[*] --> received: stored", "done --> [*]", "cancelled --> [*]"}
    for (state, event), follows in TRANSITIONS.items():
        words = event.name.lower().replace("_", " ")
        ends = {ending.state for ending in ENDINGS.values()}
        targets = ends if (state, event) == DELIVERED else [follows]
        wanted |= {f"{state} --> {target}: {words}" for target in targets}
    assert lines == wanted


# --- random lives, in the store ---------------------------------------------------------------------------------------

ROWS = Statement(
    sa.text(
        "SELECT turn.id, turn.state, turn.position, turn.outcome, turn.answer, thread.state, thread.holds_until,"
        " thread.waiting_turn, thread.recheck_turn FROM turn JOIN thread ON thread.id = turn.thread_id"
    )
)
REACHABLE = {(state, target) for (state, _), target in NEXT.items()} | {
    (TurnState.REPLYING, ENDINGS[outcome].state) for outcome in Outcome
}


# The ones that lead furthest, more often.
OUTCOMES = st.sampled_from(
    [*Outcome, *[Outcome.INPUT_REQUEST, Outcome.APPROVAL, Outcome.UNCERTAIN, Outcome.ANSWERED] * 5]
)


class Lives(RuleBasedStateMachine):
    """People write, change their minds and press buttons; one replica works, crashes and goes on."""

    source: Path
    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        path = self.folder / "lives.db"
        for old in self.folder.glob("lives.db*"):
            old.unlink()
        shutil.copyfile(self.source, path)
        self.engine = self.do(self._open(str(path)))
        self.arrivals = Arrivals(self.engine)
        self.decisions = Decisions(self.engine)
        self.queue = Queue(self.engine, "r1")
        ids = count()
        self.patch = pytest.MonkeyPatch()
        for module in ("arrivals", "decisions"):
            self.patch.setattr(f"bridge.store.{module}.new_turn_id", lambda: f"{next(ids):016}")
        self.clock = 0  # positions, of people's messages and ours
        self.ours: set[int] = set()
        self.claim: Claim | None = None
        self.outlook: Outlook | None = None
        self.begun: StoredTurn | None = None
        self.concluded: Outcome | None = None
        self.known: dict[str, str] = {}
        self.asked: set[str] = set()

    async def _open(self, path: str) -> SqliteEngine:
        return SqliteEngine(path)

    def do(self, work: Awaitable[Any]) -> Any:
        async def main() -> Any:
            return await work

        return self.loop.run_until_complete(main())

    def teardown(self) -> None:
        self.do(self.engine.close())
        self.loop.close()
        self.patch.undo()

    def tick(self) -> int:
        self.clock += 1
        return self.clock

    def rows(self) -> list[tuple[Any, ...]]:
        [rows] = self.do(self.engine.run(Op(ROWS, {})))
        return list(rows)

    # --- people

    @rule()
    def write(self) -> None:
        assert self.do(self.arrivals.put(inbound(self.tick()), "a"))

    @rule(ago=st.integers(1, 4))
    def write_late(self, ago: int) -> None:
        """It comes after what was written later."""
        at = max(0, self.clock - ago)
        if at not in self.ours:  # no two messages of a place have one id
            self.do(self.arrivals.put(inbound(at), "a"))

    @rule(number=st.integers(1, 12), edits=st.booleans())
    def change_a_mind(self, number: int, edits: bool) -> None:
        key = f"100.0-{number}"
        if edits:
            self.do(self.arrivals.change_text(HERE, key, f"new words {self.clock}"))
        else:
            self.do(self.arrivals.withdraw(HERE, key))

    @rule(data=st.data(), what=st.sampled_from(["retry", "abandon", "choose", "decide"]))
    @precondition(lambda self: bool(self.known))
    def press(self, data: st.DataObject, what: str) -> None:
        offered = [turn for turn, state in self.known.items() if state in ("waiting", "failed")]
        turn = data.draw(st.sampled_from(sorted(offered or self.known)))
        ann = Person("U1", "Ann")
        press: dict[str, Callable[[], Awaitable[Decided]]] = {
            "retry": lambda: self.decisions.retry(HERE, turn),
            "abandon": lambda: self.decisions.abandon(HERE, turn),
            "choose": lambda: self.decisions.choose(HERE, turn, 0, ann),
            "decide": lambda: self.decisions.decide(HERE, turn, DecisionMade(approved=True), "Approved", ann),
        }
        self.do(press[what]())

    @rule()
    def time_passes(self) -> None:
        """Whatever waits for a decision has waited too long."""
        self.do(self.decisions.expire(10))

    # --- the runner

    @rule()
    @precondition(lambda self: self.claim is None)
    def take(self) -> None:
        for suspects in (False, True):
            claims = self.do(self.queue.claim(1, ALL, suspects=suspects))
            if claims:
                [self.claim] = claims
                return

    @rule()
    @precondition(lambda self: self.claim is not None and self.begun is None)
    def begin(self) -> None:
        assert self.claim is not None
        outlook: Outlook = self.do(self.queue.look(self.claim))
        if outlook.turn is None:
            if self.do(self.queue.settle(self.claim)):
                self.claim = None
            return
        turn = outlook.turn
        if turn.state is not TurnState.RECEIVED:  # taken up again
            self.begun, self.concluded = turn, turn.outcome
            return
        self._in_order(turn, outlook)
        settles, how = None, Event.ANSWERED
        if outlook.waiting is not None:
            is_to_it = relation(
                outlook.waiting.waiting,
                position=turn.position,
                retry=turn.retry_of is not None,
                chosen=turn.chosen == outlook.waiting.id,
            )
            assert is_to_it is not Relation.HELD, "it is asked once the open request is answered"
            if is_to_it is not Relation.NONE:
                settles = outlook.waiting
                how = Event.ABANDONED if is_to_it is Relation.ABANDONS else Event.ANSWERED
        self.do(self.queue.begin(self.claim, turn, Checkpoint("c", {}), settles=settles, how=how))
        self.begun, self.concluded = turn, None
        if turn.answer is not None:
            self.concluded = Outcome.ANSWERED
        else:
            assert turn.id not in self.asked, "asked once"
            self.asked.add(turn.id)

    def _in_order(self, turn: StoredTurn, outlook: Outlook) -> None:
        rows = self.rows()
        holds = rows[0][6] if rows[0][6] is not None else -1
        waiting = [position for _, state, position, *_ in rows if state == "received" and position > holds]
        assert turn.position == min(waiting)

    @rule(outcome=OUTCOMES, refused=st.sampled_from([False, False, False, True]))
    def work_off(self, outcome: Outcome, refused: bool) -> None:
        """A turn from where it stands to its end, without anything between."""
        if self.claim is None:
            self.take()
        if self.claim is not None and self.begun is None:
            self.begin()
        self.every_row_is_reachable()
        if self.begun is not None and self.concluded is None:
            self.conclude(outcome)
        self.every_row_is_reachable()
        if self.concluded is not None:
            self.end(refused)

    @rule(outcome=OUTCOMES)
    @precondition(lambda self: self.begun is not None and self.concluded is None)
    def conclude(self, outcome: Outcome) -> None:
        assert self.claim is not None
        assert self.begun is not None
        request: Asked | None = None
        if outcome is Outcome.INPUT_REQUEST:
            request = InputRequestShown("which?", ("a", "b"))
        elif outcome is Outcome.APPROVAL:
            request = ApprovalShown("wipe it", "", ("slack:U1",), ("Ann",), 0)
        self.do(self.queue.conclude(self.claim, self.begun.id, Conclusion(outcome, "so far", request)))
        self.concluded = outcome

    @rule(refused=st.booleans())
    @precondition(lambda self: self.concluded is not None)
    def end(self, refused: bool) -> None:
        assert self.claim is not None
        assert self.begun is not None
        assert self.concluded is not None
        event = Event.REFUSED if refused else Event.DELIVERED
        outcome = Outcome.UNDELIVERABLE if refused else self.concluded
        shown_at = self.tick()
        self.ours.add(shown_at)
        outlook = self.do(self.queue.end(self.claim, self.begun.id, event, outcome, shown_at=shown_at))
        self.begun = self.concluded = None
        if outlook is None:
            self.claim = None

    @rule(clean=st.booleans())
    @precondition(lambda self: self.claim is not None)
    def let_go(self, clean: bool) -> None:
        """A shutdown, or a crash: whoever claims next finds it as it stands."""
        if clean:
            self.do(self.queue.release([self.claim]))  # type: ignore[list-item]
        else:
            self.do(self.queue.free_all())
        self.claim = self.begun = self.concluded = None

    # --- what always holds

    @invariant()
    def every_row_is_reachable(self) -> None:
        """Each rule takes a turn one transition further at most."""
        for turn, state, *_ in self.rows():
            before = self.known.get(turn, "received")
            assert before == state or (before, state) in REACHABLE, (before, state)
            self.known[turn] = state

    @invariant()
    def one_turn_at_a_time(self) -> None:
        assert sum(state in ACTIVE for _, state, *_ in self.rows()) <= 1

    @invariant()
    def nothing_is_stranded(self) -> None:
        """A thread with something to do isn't idle, and one that waits knows with what."""
        for _, state, position, _, _, thread, holds, waiting, recheck in self.rows():
            runs = state in ACTIVE or (state == "received" and position > (-1 if holds is None else holds))
            assert not (thread == "idle" and (runs or recheck is not None))
            if holds is not None:
                assert self.known.get(waiting, "waiting") == "waiting", (
                    "nothing is held without a request that is open"
                )

    @invariant()
    def what_ended_has_an_outcome_that_says_so(self) -> None:
        for _, state, _, outcome, answer, *_ in self.rows():
            if state in ("waiting", "failed", "cancelled"):
                assert outcome is not None
            if state == "replying":
                assert answer is not None


@pytest.mark.slow
def test_whatever_happens_each_stored_turn_is_one_that_the_table_can_reach(
    migrated_sqlite: Path, tmp_path: Path
) -> None:
    machine = type("TheseLives", (Lives,), {"source": migrated_sqlite, "folder": tmp_path})
    checks = settings(
        max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(machine, settings=checks)
