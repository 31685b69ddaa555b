"""Whatever a person, a file or an agent is called: nothing that goes out to Slack mentions anyone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.frontends.slack import signs
from bridge.frontends.slack.blocks import outgoing, sentence_of
from bridge.frontends.slack.surface import SlackSurface
from bridge.playground.slack import SlackWorld
from bridge.playground.slack.checks import pings
from bridge.turns.surface import Button, PartKey, PartKind, Upload

TURN = "turn000000000001"
FORMS = [
    "<!channel>",
    "<!here>",
    "<!everyone>",
    "<!channel|channel>",
    "<!here|@here>",
    "<!subteam^S0SIM000001>",
    "<!subteam^S0SIM000001|@team>",
    "<@U0SIM000004>",
    "<@U0SIM000004|ada>",
    "<@W0SIM000004>",
    "@channel",
    "@here",
    "@everyone",
    "&lt;!channel&gt;",
    "&#60;!channel&#62;",
    "\\<!channel>",
    "`<!channel>`",
    "```\n<!channel>\n```",
]


def check(world: SlackWorld) -> None:
    assert world.pings == []
    for call in world.made_calls:
        assert pings(json.dumps(call.args)) == [], call.method


@pytest.mark.parametrize("form", FORMS)
async def test_no_way_out_mentions_anyone(
    world: SlackWorld,
    surface: SlackSurface,
    key: PartKey,
    root: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
) -> None:
    monkeypatch.setattr(signs, "SIGN_AFTER", 0.0)
    said = f"I couldn't read {form}.csv, {form}"
    await surface.working(said)
    await world.until(lambda: world.session("general", root).label)
    await surface.post(PartKey(TURN, PartKind.NOTICE), said, last=True, buttons=[Button("retry", form, TURN)])
    path = tmp_path / "file"
    path.write_bytes(b"x")
    await surface.upload(PartKey(TURN, PartKind.FILE), [Upload(f"{form}.csv", path, "text/csv", 1)], said)
    await surface.say_undeliverable(root, said)
    # An answer is rendered before it comes here; its code isn't changed by that.
    code = f"```\n{form.strip('`')}\n```"
    ts = await surface.post(key, code[:6], last=False)
    for end in range(7, len(code)):
        await surface.edit(key, ts, code[:end], shown=code[: end - 1], last=False)
    await surface.edit(key, ts, code, shown=code[:-1], last=True)
    await surface.edit(key, ts, code + " ", shown=None, last=True)
    await surface.working(None)
    check(world)
    assert world.message("general", ts).shown.replace("\u200b", "") == code + " "


@pytest.mark.parametrize("text", ["<!DOCTYPE html>", "#include <@x>", "a <b> & c", "<#C1> <!date^1^x|y>", "x < y"])
def test_code_that_mentions_nobody_stays_as_it_is(text: str) -> None:
    assert outgoing(text) == text


@pytest.mark.parametrize("form", FORMS)
def test_the_beginning_of_a_text_goes_out_the_same(form: str) -> None:
    whole = outgoing(form * 2)
    assert all(whole.startswith(outgoing((form * 2)[:end])) for end in range(len(form) * 2))


def test_a_notice_says_its_words() -> None:
    notice = PartKey(TURN, PartKind.NOTICE)
    assert (
        sentence_of(notice, "I couldn't read plan.csv; *try* again.") == "I couldn't read plan.csv; *try* again."
    )


@pytest.mark.parametrize(
    ("said", "goes_out"),
    [
        ("@here.csv", "@\u200bhere.csv"),
        ("<!channel>", "<\u200b!channel>"),
        ("&lt;!channel&gt;", "&lt;!channel&gt;"),  # how Slack wants it written where it is no mention
        ("[click](javascript:x)", "click (javascript:x)"),
    ],
)
def test_a_notice_is_rendered_like_an_answer(said: str, goes_out: str) -> None:
    assert sentence_of(PartKey(TURN, PartKind.NOTICE), said) == goes_out
    assert sentence_of(PartKey(TURN, PartKind.TEXT), said) == said  # which was rendered before
