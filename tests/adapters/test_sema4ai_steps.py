"""What Sema4.ai's messages and streams tell of an agent's actions, and its charts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.base import Chart, ChartKind, Series, Step, StepState
from adapters.sema4ai.charts import chart_of, charts_in
from adapters.sema4ai.steps import Work
from adapters.sema4ai.wire import Item, turn_in


def tool(name: str = "query_sales", **more: Any) -> dict[str, Any]:
    return {"kind": "tool_call", "name": name, "tool_call_id": "c1", "arguments_raw": "{}", **more}


def change(path: str, value: object, op: str = "replace") -> str:
    return json.dumps({"delta": {"op": op, "path": path, "value": value}})


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ({"status": "pending"}, StepState.PENDING),
        ({"status": "streaming"}, StepState.RUNNING),
        ({"status": "finished", "result": "x"}, StepState.DONE),
        ({"status": "failed", "error": "x"}, StepState.FAILED),
        ({"status": "finished", "error": "x"}, StepState.FAILED),
        ({}, StepState.RUNNING),
        ({"status": "what is new"}, StepState.RUNNING),
    ],
)
def test_an_action_is_a_step(told: dict[str, Any], state: StepState) -> None:
    [step] = Work().look([Item(role="agent", content=[tool(**told)])])
    assert step == Step("tool-c1", "Query sales", state)


def test_a_stream_tells_of_actions_where_it_says_what_changes() -> None:
    work = Work()
    steps = [
        step
        for data in (
            "plain words with a tool in them",
            '{"op"',
            change("/content/2", tool(status="running"), "add"),
            change("/content/2/result", "the password"),
            change("/content/3/status", "finished"),
            change("/content/2/status", "finished"),
        )
        for step in work.feed(data)
    ]
    assert [step.state for step in steps] == [StepState.RUNNING, StepState.DONE]
    assert list(work.look([Item(role="agent", content=[tool(status="finished")])])) == []


def test_what_else_stands_in_messages_is_no_step() -> None:
    parts = [{"kind": "thought", "text": "hm"}, {"kind": "tool_call"}, "text", 3, {"kind": "text", "text": "Hi"}]
    items = [
        Item(role="agent", content=parts),
        Item(role="user", content=[tool()]),
        Item(role="agent", content="Hi"),
    ]
    assert list(Work().look(items)) == []


def test_an_action_without_an_id_has_the_same_one_in_whatever_list() -> None:
    raw: list[dict[str, Any]] = [
        {"role": "user", "content": "q"},
        {"role": "agent", "content": [tool(tool_call_id=None)]},
    ]
    whole = turn_in({"messages": [{"role": "agent", "content": "before"}, *raw]})
    page = [Item(role=item["role"], content=item["content"]) for item in raw]
    assert [step.id for step in Work().look(whole)] == [step.id for step in Work().look(page)] == ["tool-0"]


# --- charts

ROWS = [{"month": "May", "n": 1, "team": "a"}, {"month": "June", "n": 2.5, "team": "a"}]
XY = {"x": {"field": "month", "type": "nominal"}, "y": {"field": "n", "type": "quantitative"}}


def spec(**more: Any) -> str:
    return json.dumps({"mark": "bar", "data": {"values": ROWS}, "encoding": XY, "title": "Sales", **more})


@pytest.mark.parametrize(
    ("raw", "chart"),
    [
        (spec(), Chart("Sales", ChartKind.BAR, ("May", "June"), (Series("n", (1.0, 2.5)),))),
        (
            spec(mark={"type": "line"}, title={"text": "T"}),
            Chart("T", ChartKind.LINE, ("May", "June"), (Series("n", (1.0, 2.5)),)),
        ),
        (
            spec(
                mark="area",
                title=None,
                encoding={**XY, "color": {"field": "team"}},
                data={"values": [*ROWS, {"month": "June", "n": "x", "team": "b"}]},
            ),
            Chart("chart", ChartKind.AREA, ("May", "June"), (Series("a", (1.0, 2.5)), Series("b", (None, None)))),
        ),
        (
            spec(encoding={"x": XY["y"], "y": XY["x"]}),
            Chart("Sales", ChartKind.BAR, ("May", "June"), (Series("n", (1.0, 2.5)),)),
        ),
        (
            spec(mark="arc", encoding={"theta": {"field": "n"}, "color": {"field": "month"}}),
            Chart("Sales", ChartKind.PIE, ("May", "June"), (Series("n", (1.0, 2.5)),)),
        ),
        (spec(encoding={**XY, "y": {"field": "n", "aggregate": "sum"}}), None),
        (spec(transform=[{"filter": "x"}]), None),
        (spec(data={"values": [*ROWS, ROWS[0]]}), None),
        (spec(data={"url": "https://a"}), None),
        (spec(mark="geoshape"), None),
        (spec(encoding=3), None),
        (json.dumps({"layer": []}), None),
        ("{", None),
        ("[]", None),
        (None, None),
    ],
)
def test_a_chart_whose_numbers_stand_in_it(raw: object, chart: Chart | None) -> None:
    assert chart_of(raw) == chart


def test_charts_are_the_agents_own() -> None:
    part = {"kind": "vega_chart", "chart_spec_raw": spec()}
    items = [
        Item(role="user", content=[part]),
        Item(role="agent", content=[part, 3]),
        Item(role="agent", content="x"),
    ]
    assert len(list(charts_in(items))) == 1
