"""What an A2A agent tells of its work, and what our extension of the protocol adds."""

from __future__ import annotations

from typing import Any

import pytest
from a2a.types import Message as A2AMessage
from a2a.types import StreamResponse
from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]

from adapters.a2a.extension import EXTENSION, MAX_CHOICES, approval_in, chart_of, choices_in, sources_in, step_in
from adapters.a2a.reader import Reader
from adapters.base import (
    Approval,
    Chart,
    ChartKind,
    Event,
    InputRequest,
    RunFailed,
    Series,
    Source,
    Status,
    Step,
    StepState,
)
from tests.adapters.test_a2a import artifact, read, sent, task


def working(text: str, message_id: str = "m", **more: Any) -> StreamResponse:
    message = {"messageId": message_id, "role": "ROLE_AGENT", "parts": [{"text": text}], **more}
    return status("WORKING", message)


def status(state: str, message: dict[str, Any] | None = None) -> StreamResponse:
    value: dict[str, Any] = {"state": f"TASK_STATE_{state}"} | ({"message": message} if message else {})
    return sent(statusUpdate={"taskId": "t1", "contextId": "c1", "status": value})


def told(reader: Reader, *updates: StreamResponse) -> list[Event]:
    events = [event for update in updates for event in reader.feed(update)]
    return [event for event in events if isinstance(event, Step | Status)]


def message(**extra: Any) -> A2AMessage:
    value = {"messageId": "m", "role": "ROLE_AGENT", "parts": [{"text": "Well?"}], "metadata": {EXTENSION: extra}}
    made: A2AMessage = ParseDict(value, A2AMessage())
    return made


def test_a_line_is_a_step_that_ends_with_the_next() -> None:
    events = told(Reader(None), working("Looking up rates", "m1"), working("Adding up", "m2"), status("COMPLETED"))
    assert events == [
        Step("said-m1", "Looking up rates"),
        Step("said-m1", "Looking up rates", StepState.DONE),
        Step("said-m2", "Adding up"),
        Step("said-m2", "Adding up", StepState.DONE),
    ]


@pytest.mark.parametrize("text", ["x" * 200, "first\nsecond"])
def test_more_than_a_line_is_no_name_of_a_step(text: str) -> None:
    [event] = told(Reader(None), working(text))
    assert isinstance(event, Status)


def test_data_in_a_status_is_no_word_for_people() -> None:
    data = {"messageId": "m", "role": "ROLE_AGENT", "parts": [{"data": {"password": "hunter2"}}]}
    assert told(Reader(None), status("WORKING", data)) == []


def test_a_message_that_is_repeated_is_one_step() -> None:
    events = told(Reader(None), working("Looking", "m1"), working("Looking", "m1"), working("Looking up", "m1"))
    assert events == [Step("said-m1", "Looking"), Step("said-m1", "Looking up")]


def test_what_still_runs_when_the_task_fails_has_failed() -> None:
    reader = Reader(None)
    told(reader, working("Looking"), working("x", metadata={EXTENSION: {"step": {"id": "a", "title": "A"}}}))
    list(reader.feed(status("FAILED")))
    events: list[Event] = []
    rest = reader.rest()
    events.append(next(rest))
    with pytest.raises(RunFailed):
        next(rest)
    assert [event.state for event in events if isinstance(event, Step)] == [StepState.FAILED]


def test_a_task_that_is_looked_at_has_the_same_steps() -> None:
    own = {EXTENSION: {"step": {"id": "s", "title": "Search", "state": "failed", "detail": "the town"}}}
    said = [
        {"messageId": "q0", "role": "ROLE_USER", "parts": [{"text": "Before"}]},
        {"messageId": "m0", "role": "ROLE_AGENT", "parts": [{"text": "An earlier turn's"}]},
        {"messageId": "q1", "role": "ROLE_USER", "parts": [{"text": "Now"}]},
        {"messageId": "m1", "role": "ROLE_AGENT", "parts": [{"text": "Looking up"}]},
        {"messageId": "m2", "role": "ROLE_AGENT", "parts": [{"text": "(a step)"}], "metadata": own},
    ]
    now = {
        "state": "TASK_STATE_WORKING",
        "message": {"messageId": "m3", "role": "ROLE_AGENT", "parts": [{"text": "Adding"}]},
    }
    whole = sent(task={"id": "t1", "contextId": "c1", "status": now, "history": said})
    reader = Reader(None)
    assert told(reader, whole) == [
        Step("said-m1", "Looking up", StepState.DONE),
        Step("own-s", "Search", StepState.FAILED, "the town"),
        Step("said-m3", "Adding"),
    ]
    assert told(reader, whole) == []


async def test_an_artifact_may_name_a_step() -> None:
    named = artifact("a", {"text": "Hi"})
    named.artifact_update.artifact.metadata.update({EXTENSION: {"step": {"id": "w", "title": "Writing"}}})
    heard = await read(named, status("COMPLETED"))
    assert heard.steps == {"own-w": Step("own-w", "Writing", StepState.DONE)}


@pytest.mark.parametrize("odd", [None, 3, {}, {"id": 3}, {"id": ""}, {"title": "x"}, []])
def test_an_odd_step_is_left_out(odd: object) -> None:
    assert step_in(message(step=odd)) is None


def test_a_step_is_read_as_far_as_it_goes() -> None:
    step = step_in(message(step={"id": "a", "state": "what is new", "sources": [{"url": "u"}, 3, {"title": "x"}]}))
    assert step == Step("own-a", "Working", sources=(Source("u"),))


@pytest.mark.parametrize("odd", [None, 3, [], {}, {"title": {}}, {"approvers": 3, "seconds": -1}])
def test_an_odd_approval_is_one_all_the_same(odd: object) -> None:
    assert approval_in(message(approval=odd), "May I?") == Approval("May I?", "May I?")


def test_an_approval_says_who_and_until_when() -> None:
    value = {"title": "Send", "detail": "To **all**.", "approvers": ["slack:U1", 3], "seconds": 60}
    assert approval_in(message(approval=value), "x") == Approval("Send", "To **all**.", ("slack:U1",), 60.0)


@pytest.mark.parametrize("state", ["INPUT_REQUIRED", "AUTH_REQUIRED"])
async def test_a_task_that_waits_for_leave(state: str) -> None:
    asks = {
        "messageId": "m",
        "role": "ROLE_AGENT",
        "parts": [{"text": "May I?"}],
        "metadata": {EXTENSION: {"approval": {"title": "Send"}}},
    }
    heard = await read(status(state, asks))
    assert heard.events[-1] == Approval("Send", "May I?")
    del asks["metadata"]
    assert (await read(status(state, asks))).events[-1] == InputRequest("May I?")


def test_choices_that_would_be_cut_are_left_out() -> None:
    given = ["yes", " no ", "yes", 3, "", "x" * 200, *map(str, range(50))]
    choices = choices_in(message(choices=given))
    assert choices[:2] == ("yes", "no")
    assert len(choices) == MAX_CHOICES
    assert choices_in(message(choices="yes")) == ()


def test_sources_are_read_as_far_as_they_go() -> None:
    assert sources_in(message(sources=[{"url": "u", "title": "T"}, {"url": 3}, "odd"])) == (Source("u", "T"),)
    assert sources_in(message(sources=3)) == ()


@pytest.mark.parametrize(
    ("data", "chart"),
    [
        (
            {"kind": "bar", "labels": ["a", 2], "series": [{"name": "n", "values": [1, 2.5]}]},
            Chart("c", ChartKind.BAR, ("a", "2"), (Series("n", (1.0, 2.5)),)),
        ),
        (
            {"kind": "radar", "labels": ["a", "b"], "series": [{"values": [True, "x"]}, {"values": [1]}, 3]},
            Chart("c", ChartKind.LINE, ("a", "b"), (Series("value", (None, None)),)),
        ),
        ({"labels": ["a"], "series": []}, None),
        ({"labels": [], "series": [{"values": []}]}, None),
        ({"labels": ["a"], "series": [{"values": [1, 2]}]}, None),
        ([1], None),
    ],
)
def test_data_of_labels_and_series_is_a_chart(data: object, chart: Chart | None) -> None:
    assert chart_of("c", data) == chart


async def test_a_chart_is_shown_once() -> None:
    data = {"kind": "pie", "labels": ["a", "b"], "series": [{"name": "n", "values": [1, 2]}]}
    heard = await read(artifact("a", {"data": data}), status("COMPLETED"))
    assert [chart.kind for chart in heard.charts] == [ChartKind.PIE]
    assert heard.text == ""
    assert not heard.tables
    assert (await read(task("COMPLETED", {"artifactId": "a", "parts": [{"data": data}]}))).charts == heard.charts
