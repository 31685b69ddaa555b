"""The page's commands over its requests, with the real bridge in between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bridge.app import bridge
from bridge.commands import COMMANDS
from bridge.playground.demo import Playground, playground
from tests.e2e.waiting import eventually

FILES = {":file1": ("a.txt", b"buy milk", "text/plain")}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Playground]:
    async with (
        playground() as simulated,
        bridge(simulated.settings(tmp_path / "demo.db"), opened=simulated.in_process.update),
    ):
        for one in simulated.backends.values():
            one.backend.pace = 0.001
        await eventually(lambda: simulated.slack.deliveries.connections and simulated.discord.commands.get(0))
        yield simulated


@pytest.fixture
async def page(served: Playground) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=served.url, headers={"Origin": served.url}, trust_env=False) as client:
        yield client


async def sent(page: httpx.AsyncClient, path: str, *, files: Any = None, **fields: str) -> Any:
    """What the page is answered; a sentence where it can't be done."""
    answer = await page.post(f"/{path}", data=fields, files=files or {"": ("", b"")})
    return answer.json() if answer.content else None


@pytest.mark.parametrize("platform", ["slack", "discord"])
async def test_the_menu_is_the_table(page: httpx.AsyncClient, platform: str) -> None:
    menu = (await page.get(f"/commands/{platform}")).json()
    assert [one["name"] for one in menu["commands"]] == [one.name for one in COMMANDS]
    assert menu["slash"].startswith("/")
    assert menu["in_threads"] == {"slack": "@threadbridge ", "discord": "/"}[platform]
    if platform == "discord":
        [download] = [one for one in menu["commands"] if one["name"] == "download"]
        assert [(one["name"], one["completes"]) for one in download["options"]] == [
            ("name", True),
            ("columns", False),
            ("sort", False),
        ]


async def test_a_command_of_discords_with_a_file(served: Playground, page: httpx.AsyncClient) -> None:
    channel = str(served.discord.place("openai").id)
    said = await sent(page, "command/discord", files=FILES, channel=channel, thread="", name="upload")
    assert said == {"dialog": None}
    [thread] = await eventually(lambda: served.discord.threads("openai"))
    await eventually(lambda: any("buy milk" in one.content for one in served.discord.messages(str(thread.id))))
    typed = {"channel": channel, "thread": str(thread.id), "name": "download", "option": "name", ":name": ""}
    assert "choices" in await sent(page, "complete/discord", **typed)
    wrong = await sent(page, "command/discord", channel=channel, thread="", name="halp")
    assert "no such command" in wrong["error"]
    wrong = await sent(page, "command/discord", channel=channel, thread="", name="upload")
    assert "required: file1" in wrong["error"]


async def test_slacks_form_is_filled_in_and_sent(served: Playground, page: httpx.AsyncClient) -> None:
    channel = served.slack.channel("openai").id
    said = await sent(page, "command/slack", channel=channel, thread="", name="upload", text="what is it?")
    dialog = said["dialog"]
    assert [(one["name"], one["kind"], one["value"]) for one in dialog["fields"]] == [
        ("files", "files", ""),
        ("text", "text", "what is it?"),
        ("thread", "choice", f"{channel}:"),
    ]
    refused = await sent(page, "submit/slack", dialog=dialog["id"], text="what?")
    assert "files is required" in refused["error"]
    files = {"files": ("a.txt", b"buy milk", "text/plain")}
    done = await sent(page, "submit/slack", files=files, dialog=dialog["id"], text="what?", thread=f"{channel}:")
    assert done == {"dialog": None}
    [question] = [one for one in served.slack.messages(channel) if one.user == served.slack.bot.id]
    await eventually(lambda: any("buy milk" in one.shown for one in served.slack.thread(channel, question.ts)))
    assert "no longer open" in (await sent(page, "submit/slack", dialog=dialog["id"]))["error"]


async def test_a_form_that_is_left_is_gone(served: Playground, page: httpx.AsyncClient) -> None:
    channel = served.slack.channel("openai").id
    said = await sent(page, "command/slack", channel=channel, thread="", name="upload")
    await sent(page, "leave/slack", dialog=said["dialog"]["id"])
    assert served.slack.view_of("ada") is None
