"""What the simulated Slack refuses about content, as tables."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.playground.slack.checks import (
    check_chunks,
    check_message,
    check_metadata,
    check_view,
    links,
    notifying,
    pings,
)
from bridge.playground.slack.errors import SlackError, TooManyRequests
from bridge.playground.slack.limits import Budget, Limiter
from bridge.playground.slack.shapes import as_mrkdwn

Json = dict[str, Any]


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def section(text: str) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def markdown(text: str) -> Json:
    return {"type": "markdown", "text": text}


def button(label: str = "Go", action: str = "go", **more: Any) -> Json:
    return {"type": "button", "text": plain(label), "action_id": action, **more}


def actions(*inside: Json) -> Json:
    return {"type": "actions", "elements": list(inside)}


def feedback() -> Json:
    return {
        "type": "feedback_buttons",
        "action_id": "feedback",
        "positive_button": {"text": plain("Good"), "value": "good"},
        "negative_button": {"text": plain("Bad"), "value": "bad"},
    }


def table(rows: int, columns: int) -> Json:
    return {"type": "table", "rows": [[{"type": "raw_text", "text": "x"}] * columns] * rows}


GOOD_BLOCKS = {
    "section at its limit": [section("x" * 3_000)],
    "markdown at its limit": [markdown("x" * 12_000)],
    "fifty dividers": [{"type": "divider"}] * 50,
    "buttons": [actions(button(), button(action="other", style="danger", value="v" * 2_000))],
    "feedback": [{"type": "context_actions", "elements": [feedback()]}],
    "largest table": [table(100, 20)],
    "a header, a context": [
        {"type": "header", "text": plain("x" * 150)},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "small"}]},
    ],
}

BAD_BLOCKS = {
    "section too long": ([section("x" * 3_001)], "/blocks/0/text/text"),
    "section empty": ([section("")], "/blocks/0/text/text"),
    "section without text": ([{"type": "section"}], "/blocks/0"),
    "markdown too long": ([markdown("x" * 12_001)], "/blocks/0/text"),
    "markdown too long in all": ([markdown("x" * 6_001), markdown("x" * 6_000)], "/blocks"),
    "too many blocks": ([{"type": "divider"}] * 51, "/blocks"),
    "unknown block": ([{"type": "carousel"}], "/blocks/0/type"),
    "input in a message": ([{"type": "input", "label": plain("x"), "element": button()}], "/blocks/0/type"),
    "label too long": ([actions(button("x" * 76))], "/blocks/0/elements/0/text/text"),
    "label in mrkdwn": (
        [actions({"type": "button", "text": {"type": "mrkdwn", "text": "x"}})],
        "/blocks/0/elements/0/text",
    ),
    "unknown style": ([actions(button(style="loud"))], "/blocks/0/elements/0/style"),
    "value too long": ([actions(button(value="v" * 2_001))], "/blocks/0/elements/0/value"),
    "too many buttons": ([actions(*[button(action=f"a{n}") for n in range(26)])], "/blocks/0/elements"),
    "no buttons": ([actions()], "/blocks/0/elements"),
    "same action twice": ([actions(button(), button())], "/blocks/0/elements"),
    "feedback in actions": ([actions(feedback())], "/blocks/0/elements/0/type"),
    "button in context_actions": (
        [{"type": "context_actions", "elements": [button()]}],
        "/blocks/0/elements/0/type",
    ),
    "too many context_actions": (
        [{"type": "context_actions", "elements": [feedback()] * 6}],
        "/blocks/0/elements",
    ),
    "table too long": ([table(101, 2)], "/blocks/0/rows"),
    "table too wide": ([table(2, 21)], "/blocks/0/rows/0"),
    "empty cell": ([{"type": "table", "rows": [[{"type": "raw_text", "text": ""}]]}], "/blocks/0/rows/0/0/text"),
    "two tables": ([table(1, 1), table(1, 1)], "/blocks"),
    "same block_id twice": ([{"type": "divider", "block_id": "b"}] * 2, "/blocks/1/block_id"),
}


@pytest.mark.parametrize("blocks", GOOD_BLOCKS.values(), ids=GOOD_BLOCKS.keys())
def test_takes_good_blocks(blocks: list[Json]) -> None:
    check_message(blocks)


@pytest.mark.parametrize(("blocks", "pointer"), BAD_BLOCKS.values(), ids=BAD_BLOCKS.keys())
def test_refuses_bad_blocks_and_says_where(blocks: list[Json], pointer: str) -> None:
    with pytest.raises(SlackError) as refusal:
        check_message(blocks)
    assert refusal.value.code == "invalid_blocks"
    assert any(f"[json-pointer:{pointer}]" in error for error in refusal.value.body["errors"])


def test_refuses_blocks_too_long_in_all() -> None:
    with pytest.raises(SlackError, match="msg_blocks_too_long"):
        check_message([section("x" * 3_000)] * 5)


@pytest.mark.parametrize("blocks", ["text", [1], {"type": "divider"}])
def test_refuses_what_is_no_list_of_blocks(blocks: Any) -> None:
    with pytest.raises(SlackError, match="invalid_blocks_format"):
        check_message(blocks)


def modal(**more: Any) -> Json:
    return {"type": "modal", "title": plain("Title"), "blocks": [{"type": "divider"}], **more}


def file_input(**more: Any) -> Json:
    return {"type": "input", "label": plain("Files"), "element": {"type": "file_input", "action_id": "f", **more}}


BAD_VIEWS = {
    "no type": {"blocks": []},
    "no title": {"type": "modal", "blocks": []},
    "title too long": modal(title=plain("x" * 25)),
    "input without submit": modal(blocks=[file_input()]),
    "metadata too long": modal(private_metadata="x" * 3_001),
    "callback_id too long": modal(callback_id="x" * 256),
    "too many files": modal(blocks=[file_input(max_files=11)], submit=plain("Send")),
    "table": modal(blocks=[table(1, 1)]),
    "too many blocks": modal(blocks=[{"type": "divider"}] * 101),
}


@pytest.mark.parametrize("view", BAD_VIEWS.values(), ids=BAD_VIEWS.keys())
def test_refuses_bad_views(view: Json) -> None:
    with pytest.raises(SlackError, match="invalid_arguments"):
        check_view(view)


def test_takes_a_modal_with_a_file_input() -> None:
    check_view(modal(blocks=[file_input(max_files=10)], submit=plain("Send")))


@pytest.mark.parametrize(
    "metadata", [None, "x", {}, {"event_type": ""}, {"event_type": "a"}, {"event_type": "a", "event_payload": 1}]
)
def test_refuses_bad_metadata(metadata: Any) -> None:
    with pytest.raises(SlackError, match="invalid_metadata_format"):
        check_metadata(metadata)


@pytest.mark.parametrize(
    "chunk",
    [
        {"type": "markdown_text"},
        {"type": "task_update", "id": "1", "title": "t", "status": "cancelled"},
        {"type": "task_update", "id": "1", "title": "t" * 257, "status": "complete"},
        {"type": "image", "url": "x"},
    ],
)
def test_refuses_bad_chunks(chunk: Json) -> None:
    with pytest.raises(SlackError, match="invalid_chunks"):
        check_chunks([chunk])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("hello <@U123>", ["<@U123>"]),
        ("<!channel> <!here|here> <!subteam^S1>", ["<!channel>", "<!here|here>", "<!subteam^S1>"]),
        ("&lt;!channel&gt; @channel <https://x.org|x> <#C1>", []),
    ],
)
def test_finds_what_pings(text: str, found: list[str]) -> None:
    assert pings(text) == found


def test_link_names_makes_a_plain_name_ping() -> None:
    assert pings("hi @channel", link_names=True) == ["@channel"]


def test_only_marked_up_text_and_mention_elements_ping() -> None:
    rich: Json = {
        "type": "rich_text",
        "elements": [
            {
                "type": "rich_text_section",
                "elements": [
                    {"type": "text", "text": "<!here>"},
                    {"type": "broadcast", "range": "channel"},
                    {"type": "user", "user_id": "U1"},
                ],
            }
        ],
    }
    blocks = [{"type": "header", "text": plain("<!here>")}, section("a"), rich]
    assert list(notifying(blocks)) == ["a", "<!channel>", "<@U1>"]


def test_finds_links_outside_code() -> None:
    text = "see https://a.org/x and <https://b.org|b>, not `https://c.org` nor ```\nhttps://d.org\n```"
    assert links(text) == ["https://a.org/x", "https://b.org"]


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("**bold** and [a](https://a.org)", "*bold* and <https://a.org|a>"),
        ("## Head\n- one\n  * two", "Head\n• one\n  • two"),
        ("plain\n\ntext", "plain\n\ntext"),
    ],
)
def test_makes_slacks_text_of_markdown(markdown: str, text: str) -> None:
    assert as_mrkdwn(markdown) == text


@given(
    st.lists(st.floats(0, 30), max_size=60),
    st.integers(1, 5),
    st.sampled_from([20, 60]),
)
def test_no_more_calls_pass_than_the_budget_allows(pauses: list[float], burst: int, per_minute: int) -> None:
    now = 1_000.0
    limiter = Limiter(lambda: now, 1.0)
    passed: list[float] = []
    for pause in pauses:
        now += pause
        try:
            limiter.spend("m", Budget(per_minute, burst), "")
        except TooManyRequests as limit:
            now += limit.retry_after
            limiter.spend("m", Budget(per_minute, burst), "")
        passed.append(now)
    every = 60 / per_minute
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            assert last - first + 1 <= burst + (passed[last] - passed[first]) / every + 1e-6
