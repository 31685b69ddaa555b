"""A file that the platform doesn't take comes as a link in the thread, which anybody there can follow."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import discord
import httpx
import pytest
from pydantic import SecretStr

from bridge.frontends.slack import surface as slack_surface
from bridge.settings import HttpSettings
from tests.e2e.people import People, text_of
from tests.e2e.running import at_rest, serving, settings_for
from tests.e2e.town import Town
from tests.ports import free_port

SMALL = 10  # bytes that a platform takes here


async def test_it_is_linked_in_the_reply(
    town: Town, people: People, platform: str, database: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for style in ("STREAM_STYLE", "UPDATE_STYLE"):
        small = dataclasses.replace(getattr(slack_surface, style), max_file_bytes=SMALL)
        monkeypatch.setattr(slack_surface, style, small)
    monkeypatch.setattr(discord.Guild, "filesize_limit", SMALL)
    port = free_port()
    public_url = f"http://127.0.0.1:{port}"
    http = HttpSettings(port=port, public_url=public_url, link_key=SecretStr("k" * 32))
    settings = settings_for(town, platform, database).model_copy(update={"http": http})
    async with serving(settings, people):
        thread = await people.say("ada", "sema4ai", "@threadbridge write a report")
        assert await at_rest(database, 1) == ["done"]
        said = text_of(people.shown(thread))
        assert "`report.md`: [download it](" in said
        [url] = re.findall(rf"{public_url}/files/[\w.-]+", said)
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(url)
        assert answer.text.startswith("# Report")
    assert not [one for one in people.shown(thread) if one.files]
    assert people.harm() == []
