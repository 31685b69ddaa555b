"""Slack's budgets are the workspace's: replies that grow at the same time share them, and only wait."""

from __future__ import annotations

import asyncio
import dataclasses
import re

import pytest

from bridge.frontends.slack import surface as surface_module
from bridge.frontends.slack.surface import SlackSurface
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Address
from bridge.playground.slack import SlackWorld
from bridge.turns.reply import Reply

REPLIES = 5
FASTER = 30  # times Slack's rates, and as much faster the replies
WORDS = 3_000  # of a reply: three parts
AT_ONCE = 30  # words in one delta


class NoJournal:
    async def record(self, name: str, **values: object) -> None: ...

    async def forget(self, name: str) -> None: ...


def words_of(number: int) -> list[str]:
    return [f"{number}w{word}." for word in range(WORDS)]


async def say(surface: SlackSurface, number: int, root: str) -> None:
    words = words_of(number)
    turn = f"turn{number:012}"
    async with (
        asyncio.timeout(60),
        Reply(surface, NoJournal(), turn=turn, asked=root, rows={}, known=set()) as reply,
    ):
        for begin in range(0, WORDS, AT_ONCE):
            reply.text(" ".join(words[begin : begin + AT_ONCE]) + ("\n\n" if begin % 10 else " "))
            await asyncio.sleep(1 / FASTER)
        await reply.finish()


@pytest.mark.slow
async def test_long_replies_at_once_are_delayed_and_nothing_else(
    world: SlackWorld, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    brisk = dataclasses.replace(surface_module.STREAM_STYLE, interval=surface_module.APPEND_INTERVAL / FASTER)
    monkeypatch.setattr(surface_module, "STREAM_STYLE", brisk)
    channel = world.channel("general").id
    author = world.person("ada").id
    roots = [await world.say("ada", channel, f"{world.mention} tell {number}") for number in range(REPLIES)]
    world.limiter.scale = FASTER

    surfaces = [
        SlackSurface(workspace, Address("slack", world.team_id, channel, root), author=author) for root in roots
    ]
    await asyncio.gather(*(say(surface, number, roots[number]) for number, surface in enumerate(surfaces)))

    appends = world.calls("chat.appendStream")
    refused = [call for call in appends if call.error == "ratelimited"]
    assert refused, "the budget was never met"
    assert len(refused) < len(appends) / 2
    for number, root in enumerate(roots):
        shown = world.thread(channel, root)[1:]
        assert len(shown) >= 3
        assert not any(message.streaming == "in_progress" for message in shown)
        text = " ".join(message.shown for message in shown)
        assert re.findall(r"\S+", text) == words_of(number)
