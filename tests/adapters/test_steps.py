from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import Source, Step, StepState
from adapters.steps import (
    MAX_SOURCES,
    MAX_STEP_DETAIL,
    MAX_STEP_TITLE,
    MAX_STEPS,
    MAX_URL,
    Sources,
    Steps,
    humanized,
    sources_of,
)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("search_calendar", "Search calendar"),
        ("readMinutes", "Read minutes"),
        ("get-HTTPStatus_v2", "Get HTTP status v 2"),
        ("crystal_ball", "Crystal ball"),
        ("", "Using a tool"),
        ("___", "Using a tool"),
        ("größe_ändern", "Größe ändern"),
    ],
)
def test_a_tools_name_in_words(name: str, words: str) -> None:
    assert humanized(name) == words


@given(st.text())
def test_whatever_its_name_it_is_a_short_line(name: str) -> None:
    title = humanized(name)
    assert title
    assert title.isprintable()
    assert len(title) <= MAX_STEP_TITLE
    assert "_" not in title


def test_a_step_is_told_only_when_it_changed() -> None:
    steps = Steps()
    assert steps.tell(Step("1", "Search"))
    assert not steps.tell(Step("1", "Search"))
    [done] = steps.tell(Step("1", "Search", StepState.DONE, "the town"))
    assert not steps.tell(Step("1", "Search")), "a stream that is joined anew repeats itself"
    assert not steps.tell(Step("1", "Search", StepState.DONE)), "what was known is kept"
    assert done.detail == "the town"


def test_all_end_with_the_turn() -> None:
    steps = Steps()
    for number, state in enumerate(StepState):
        steps.tell(Step(str(number), "Search", state))
    assert [step.id for step in steps.end(StepState.FAILED)] == ["0", "1"]
    assert not steps.end()


def test_steps_are_bounded() -> None:
    steps = Steps()
    told = [steps.tell(Step(str(n), "x" * 1_000, detail="y\n" * 1_000)) for n in range(MAX_STEPS + 5)]
    assert sum(map(len, told)) == MAX_STEPS
    assert len(told[0][0].title) <= MAX_STEP_TITLE
    assert len(told[0][0].detail) <= MAX_STEP_DETAIL
    assert steps.tell(Step("0", "x", StepState.DONE)), "those that are known go on"


def test_each_page_has_one_number() -> None:
    sources = Sources()
    assert [sources.number(Source(url)) for url in ("a", "b", "a")] == [1, 2, 1]
    assert sources.number(Source("", "notes.txt")) == 3
    assert sources.number(Source("", "")) is None
    assert sources.number(Source("x" * (MAX_URL + 1))) is None
    assert len(sources_of(Source(str(n)) for n in range(MAX_SOURCES + 5))) == MAX_SOURCES
