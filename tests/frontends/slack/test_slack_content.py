"""Alerts say in blocks and attachments what a person would write as text."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.frontends.slack import content
from bridge.frontends.slack.content import words
from bridge.frontends.slack.surface import SlackSurface
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Address, Person
from bridge.playground.slack import SlackWorld
from bridge.render.incoming import from_slack
from tests.turns.world import unguarded


def section(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **more}


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def rich(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "rich_text", "elements": list(elements)}


def inline(*elements: dict[str, Any], kind: str = "rich_text_section", **more: Any) -> dict[str, Any]:
    return {"type": kind, "elements": list(elements), **more}


def text(words: str, **style: bool) -> dict[str, Any]:
    return {"type": "text", "text": words, **({"style": style} if style else {})}


@pytest.mark.parametrize(
    ("blocks", "read"),
    [
        ([section("*Disk full* on &lt;db1&gt;")], "*Disk full* on &lt;db1&gt;"),
        (
            [section("A", fields=[plain("Host\ndb1"), {"type": "mrkdwn", "text": "*Since* 9:00"}])],
            "A\nHost db1\n*Since* 9:00",
        ),
        ([{"type": "header", "text": plain("Alert & all")}], "*Alert &amp; all*"),
        ([{"type": "context", "elements": [plain("by Ann"), {"type": "image", "alt_text": "red"}]}], "by Ann red"),
        ([{"type": "divider"}, section("below")], "below"),
        ([{"type": "markdown", "text": "**a** < b"}], "**a** &lt; b"),
        (
            [{"type": "image", "alt_text": "CPU", "title": plain("CPU of db1"), "image_url": "https://x.example"}],
            "CPU of db1",
        ),
        ([{"type": "video", "title": plain("Demo"), "alt_text": "x"}], "Demo"),
        (
            [
                {
                    "type": "actions",
                    "elements": [
                        {"type": "button", "text": plain("Silence"), "url": "https://g.example/s?a=1&b=2"},
                        {"type": "button", "text": plain("Acknowledge"), "action_id": "ack"},
                    ],
                }
            ],
            "<https://g.example/s?a=1&amp;b=2|Silence>",
        ),
        (
            [
                rich(
                    inline(
                        text("Ask "),
                        {"type": "user", "user_id": "U1"},
                        text(" in "),
                        {"type": "channel", "channel_id": "C1"},
                        text(" "),
                        {"type": "emoji", "name": "fire"},
                    )
                )
            ],
            "Ask <@U1> in <#C1> :fire:",
        ),
        (
            [rich(inline(text("now ", bold=True), text("or never", italic=True), text("x<y", code=True)))],
            "*now* _or never_`x&lt;y`",
        ),
        (
            [
                rich(
                    inline(inline(text("one")), inline(text("two")), kind="rich_text_list", style="ordered"),
                    inline(inline(text("deep")), kind="rich_text_list", style="bullet", indent=1),
                )
            ],
            "1. one\n2. two\n    • deep",
        ),
        ([rich(inline(text("a\nb"), kind="rich_text_quote"))], "&gt; a\n&gt; b"),
        ([rich(inline(text("x = 1\ny"), kind="rich_text_preformatted"))], "```\nx = 1\ny\n```"),
        (
            [
                rich(
                    inline(
                        {"type": "link", "url": "https://x.example", "text": "a|b"},
                        {"type": "link", "url": "https://y.example"},
                    )
                )
            ],
            "<https://x.example|a¦b><https://y.example>",
        ),
        (
            [
                rich(
                    inline(
                        {"type": "broadcast", "range": "here"},
                        {"type": "date", "timestamp": 7, "fallback": "May 4"},
                        {"type": "usergroup", "usergroup_id": "S1"},
                        {"type": "color", "value": "#fff"},
                        {"type": "hologram", "text": "new"},
                    )
                )
            ],
            "@hereMay 4<!subteam^S1>#fffnew",
        ),
        (
            [
                {
                    "type": "table",
                    "rows": [
                        [{"type": "raw_text", "text": "Host"}, {"type": "raw_text", "text": "Load"}],
                        [
                            {"type": "rich_text", "elements": [inline(text("db1", bold=True))]},
                            {"type": "raw_number", "value": 0.9},
                        ],
                    ],
                }
            ],
            "Host | Load\n*db1* | 0.9",
        ),
        (
            [{"type": "card", "title": plain("A card"), "body": {"type": "mrkdwn", "text": "and its words"}}],
            "A card\nand its words",
        ),
        (
            [
                {
                    "type": "task_card",
                    "title": "Look",
                    "details": {"type": "rich_text", "elements": [inline(text("deep"))]},
                }
            ],
            "Look\ndeep",
        ),
        ([{"type": "never heard of", "stuff": [{"text": "inside"}]}], "inside"),
        ([], ""),
        ("nonsense", ""),
        (
            [
                None,
                7,
                {"type": "section"},
                {"type": "table", "rows": [7]},
                {"type": "rich_text", "elements": [None]},
            ],
            "",
        ),
    ],
)
def test_what_blocks_say(blocks: Any, read: str) -> None:
    assert words({"text": "", "blocks": blocks}) == read


@pytest.mark.parametrize(
    ("attachment", "read"),
    [
        (
            {
                "pretext": "Look:",
                "title": "Disk",
                "title_link": "https://x.example/1",
                "text": "full",
                "footer": "Mon",
            },
            "Look:\n<https://x.example/1|Disk>\nfull\nMon",
        ),
        (
            {"fields": [{"title": "Host", "value": "db1", "short": True}, {"value": "bare"}, {"title": "empty"}]},
            "Host: db1\nbare\nempty",
        ),
        ({"fallback": "[FIRING] disk"}, "[FIRING] disk"),
        ({"fallback": "not this", "text": "but this"}, "but this"),
        ({"author_name": "Ann", "blocks": [section("in a block")]}, "Ann\nin a block"),
        ({"blocks": [section("outer")], "attachments": [{"blocks": [section("inner")]}]}, "outer\ninner"),
        ({"from_url": "https://example.com", "text": "a link's preview"}, ""),
        ({"is_app_unfurl": True, "text": "an app's preview"}, ""),
        ({"is_share": True, "text": "one\ntwo"}, "&gt; one\n&gt; two"),
        (
            {"is_msg_unfurl": True, "message_blocks": [{"message": {"blocks": [section("forwarded alert")]}}]},
            "&gt; forwarded alert",
        ),
        ({"is_share": True, "attachments": [{"title": "nested", "text": "alert"}]}, "&gt; nested\n&gt; alert"),
        ({"is_share": True, "fallback": "[no preview]"}, "&gt; [no preview]"),
        ({"fields": "nonsense", "blocks": 7, "title": ["x"], "text": None}, ""),
    ],
)
def test_what_attachments_say(attachment: dict[str, Any], read: str) -> None:
    assert words({"text": "", "attachments": [attachment]}) == read


def test_a_persons_blocks_are_the_text_once_more() -> None:
    typed = {"text": "*hello*", "blocks": [rich(inline(text("hello", bold=True)))]}
    assert words(typed) == "*hello*"


@pytest.mark.parametrize(
    ("fallback", "read"), [("Disk full", "*Disk full*\non db1"), ("New alert", "New alert\n\n*Disk full*\non db1")]
)
def test_a_bots_text_is_often_only_what_its_notification_shows(fallback: str, read: str) -> None:
    blocks = [{"type": "header", "text": plain("Disk full")}, section("on db1")]
    assert words({"bot_id": "B1", "text": fallback, "blocks": blocks}) == read


PAGERDUTY = {
    "type": "message",
    "subtype": "bot_message",
    "bot_id": "BPD",
    "username": "PagerDuty",
    "text": "",
    "attachments": [
        {
            "color": "#b80908",
            "fallback": "Triggered #4242: High error rate on checkout",
            "blocks": [
                section(":large_red_circle: *<https://acme.example/incidents/Q1|#4242: High error rate>*"),
                {
                    "type": "section",
                    "fields": [
                        {"type": "mrkdwn", "text": "*Service:*\n<https://acme.example/services/P1|Checkout>"},
                        {"type": "mrkdwn", "text": "*Urgency:*\nHigh"},
                    ],
                },
                {"type": "context", "elements": [{"type": "mrkdwn", "text": "Assigned to Grace Hopper"}]},
                {
                    "type": "actions",
                    "elements": [{"type": "button", "action_id": "ack", "text": plain("Acknowledge")}],
                },
            ],
        }
    ],
}
GRAFANA = {
    "type": "message",
    "bot_id": "BGR",
    "username": "Grafana",
    "text": "",
    "attachments": [
        {
            "id": 1,
            "color": "D63232",
            "fallback": "[FIRING:1] DiskFull db1 (critical)",
            "title": "[FIRING:1] DiskFull db1 (critical)",
            "title_link": "https://grafana.example/alerting/list",
            "text": "**Firing**\n\nValue: B=97.3\nLabels:\n - alertname = DiskFull\n - instance = db1",
            "fields": [{"title": "Severity", "value": "critical", "short": True}],
            "footer": "Grafana v11",
            "ts": 1795280000,
        }
    ],
}


@pytest.mark.parametrize(
    ("alert", "read"),
    [
        (
            PAGERDUTY,
            ":large_red_circle: **[#4242: High error rate](https://acme.example/incidents/Q1)**\n"
            "**Service:** [Checkout](https://acme.example/services/P1)\n"
            "**Urgency:** High\n"
            "Assigned to Grace Hopper",
        ),
        (
            GRAFANA,
            "[\\[FIRING:1\\] DiskFull db1 (critical)](https://grafana.example/alerting/list)\n"
            "**Firing**\n\nValue: B=97.3\nLabels:\n - alertname = DiskFull\n - instance = db1\n"
            "Severity: critical\nGrafana v11",
        ),
    ],
    ids=["PagerDuty", "Grafana"],
)
def test_an_alert_as_the_agent_reads_it(alert: dict[str, Any], read: str) -> None:
    assert from_slack(words(alert), lambda _: None) == read


def test_what_has_no_end_is_read_to_a_bound() -> None:
    nested: dict[str, Any] = {"blocks": [section("deep")]}
    for _ in range(100):
        nested = {"text": "level", "attachments": [nested]}
    assert words({"text": "", "attachments": [nested]}).count("level") <= content.MAX_DEPTH + 1
    many = {"text": "", "blocks": [section("x" * 100)] * 10_000}
    assert len(words(many)) <= content.MAX_WORDS
    cell: dict[str, Any] = {"odd": "x"}
    for _ in range(100):
        cell = {"type": "unknown", "inside": [cell, cell]}
    assert words({"text": "", "blocks": [cell]}) == ""


async def test_an_alert_above_is_context_and_in_a_question_part_of_it(
    world: SlackWorld, workspace: Workspace
) -> None:
    root = await world.alert("general", attachments=GRAFANA["attachments"], username="Grafana")  # type: ignore[arg-type]
    asked = await world.say("ada", "general", f"{world.mention} what is this?", root)
    address = Address("slack", world.team_id, world.channel("general").id, root)
    surface = SlackSurface(workspace, address, person=Person(world.person("ada").id), guard=unguarded)
    (said,) = await surface.earlier(asked)
    assert said.author_name == "Grafana"
    assert "DiskFull db1" in said.text
    assert "Severity: critical" in said.text
