"""What is kept of a turn's steps, in which part each is shown, and what becomes of those that never ended."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import Source, Step, StepState
from bridge.lifecycle import Outcome
from bridge.turns.steps import (
    MAX_DETAIL,
    MAX_ID,
    MAX_SOURCES,
    MAX_STEPS,
    MAX_STORED,
    MAX_TITLE,
    Ending,
    Steps,
    bounded,
)
from bridge.turns.surface import NO_PROGRESS, Progress

RUNNING, DONE, FAILED, PENDING = StepState.RUNNING, StepState.DONE, StepState.FAILED, StepState.PENDING


def made(*steps: Step, phase: str = "") -> Steps:
    kept = Steps()
    if phase:
        kept.phase(phase)
    for step in steps:
        kept.add(step)
    return kept


def states(progress: Progress) -> list[tuple[str, StepState]]:
    return [(step.id, step.state) for step in progress.steps]


def test_steps_stand_in_the_order_in_which_they_began() -> None:
    steps = made(Step("a", "Search"), Step("b", "Read"), Step("a", "Search", DONE, "3 found"))
    assert steps.of(0).steps == (Step("a", "Search", DONE, "3 found"), Step("b", "Read"))
    assert steps.of(1) == NO_PROGRESS


def test_while_it_runs_the_title_names_the_phase() -> None:
    steps = made(Step("a", "Search", DONE))
    assert steps.of(0).phase == "Working"
    steps.phase("Reading  the\nweb")
    assert steps.of(0).phase == "Reading the web"


@pytest.mark.parametrize(
    ("outcome", "title", "ends"),
    [
        (Outcome.ANSWERED, "Done in 3 steps", [DONE, DONE, DONE]),
        (Outcome.INPUT_REQUEST, "Done in 3 steps", [DONE, DONE, DONE]),
        (Outcome.TIMED_OUT, "Failed after 3 steps", [DONE, FAILED, FAILED]),
        (Outcome.UNCERTAIN, "Failed after 3 steps", [DONE, FAILED, FAILED]),
        (Outcome.STOPPED, "Stopped after 3 steps", [DONE, FAILED, FAILED]),
    ],
)
def test_no_step_runs_on_after_the_end(outcome: Outcome, title: str, ends: list[StepState]) -> None:
    steps = made(Step("a", "1", DONE), Step("b", "2"), Step("c", "3", PENDING))
    steps.settle(Ending.of(outcome))
    progress = steps.of(0)
    assert progress.phase == title
    assert [step.state for step in progress.steps] == ends
    assert steps.line == NO_PROGRESS
    assert not steps.add(Step("d", "too late"))
    assert not steps.add(Step("b", "2", DONE))


def test_what_runs_goes_on_in_the_next_part_and_what_ended_stays() -> None:
    steps = made(Step("a", "1", DONE), Step("b", "2"))
    steps.close(0)
    steps.add(Step("c", "3"))
    assert steps.of(0) == Progress("Goes on below", (Step("a", "1", DONE), Step("b", "2", DONE, "goes on below")))
    assert states(steps.of(1)) == [("b", RUNNING), ("c", RUNNING)]
    steps.add(Step("b", "2", FAILED))
    assert states(steps.of(0)) == [("a", DONE), ("b", DONE)]
    assert states(steps.of(1)) == [("b", FAILED), ("c", RUNNING)]
    steps.settle(Ending.WHOLE)
    assert (steps.of(0).phase, steps.of(1).phase) == ("Goes on below", "Done in 3 steps")


def test_a_part_that_is_closed_with_all_of_its_steps_says_so() -> None:
    steps = made(Step("a", "1", DONE))
    steps.close(0)
    assert steps.of(0).phase == "Done: 1 step"
    assert steps.of(1) == NO_PROGRESS


def test_what_ended_is_not_taken_back_by_whoever_takes_the_turn_up() -> None:
    steps = made(Step("a", "1", DONE, "3 found"))
    again = Steps(steps.stored())
    assert not again.add(Step("a", "1"))
    assert not again.add(Step("a", "1", DONE, "3 found"))
    assert again.of(0).steps == steps.of(0).steps
    assert again.add(Step("a", "1", FAILED))
    again.close(0)
    assert not again.add(Step("a", "1", DONE)), "the part that shows it is finished"


def test_the_line_says_what_is_done_now() -> None:
    steps = made(phase="Looking around")
    assert steps.line == NO_PROGRESS, "a turn without steps has none"
    steps.add(Step("a", "Search the web"))
    steps.add(Step("b", "Read"))
    assert steps.line == Progress("Read")
    steps.add(Step("b", "Read", DONE))
    assert steps.line == Progress("Search the web")
    steps.add(Step("a", "Search the web", DONE))
    assert steps.line == Progress("Looking around")


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcdef"), st.text(max_size=20), st.sampled_from(StepState), st.text(max_size=20)
        ),
        max_size=20,
    ),
    st.integers(0, 3),
)
def test_what_is_stored_shows_the_same(events: list[tuple[str, str, StepState, str]], parts: int) -> None:
    steps = made(phase="phase")
    for number, (name, title, state, detail) in enumerate(events):
        steps.add(Step(name, title, state, detail, (Source("https://example.com", "Page"),)))
        if number % 5 == 4:
            steps.close(number // 5)
    steps.close(parts)
    again = Steps(steps.stored())
    for index in range(6):
        assert again.of(index) == steps.of(index)
    assert again.line == steps.line


def test_everything_is_bounded() -> None:
    sources = tuple(Source(f"https://example.com/{'x' * 200}/{number}", "t" * 500) for number in range(9))
    steps = made(
        *(Step(f"{number}-" + "i" * 500, "t\n" * 500, RUNNING, "ü " * 500, sources) for number in range(150))
    )
    progress = steps.of(0)
    assert len(progress.steps) == len(steps) == MAX_STEPS
    for step in progress.steps:
        assert len(step.id) <= MAX_ID
        assert len(step.title) <= MAX_TITLE
        assert len(step.detail) <= MAX_DETAIL
        assert len(step.sources) == MAX_SOURCES
        assert "\n" not in step.title + step.detail
    assert len({step.id for step in progress.steps}) == MAX_STEPS
    assert len(steps.stored()) <= MAX_STORED
    assert states(Steps(steps.stored()).of(0)) == states(progress)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "//example.com",
        "https://",
        "https://exa mple.com",
        "https://example.com/<!channel>",
        "https://[broken",
        "https://example.com/" + "x" * 400,
        "",
    ],
)
def test_only_web_addresses_are_sources(url: str) -> None:
    assert bounded(Step("a", "t", sources=(Source(url, "Page"),))).sources == ()


def test_a_source_does_not_claim_to_be_another() -> None:
    step = Step(
        "a", "t", sources=(Source("https://evil.example/x", "https://bank.com"), Source("http://a.example"))
    )
    assert [source.title for source in bounded(step).sources] == ["evil.example", "a.example"]


def test_text_that_no_database_takes() -> None:
    steps = made(Step("\0\ud800", "a\0b \ud83d", detail="\0"))
    json.loads(steps.stored().encode())
    assert "\0" not in steps.of(0).steps[0].title
