"""A token that is revoked while the bridge runs: it ends with one sentence, and loses nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bridge.app import serve
from bridge.frontends.slack import app as slack_app
from bridge.turns.surface import ConfigurationError
from tests.chaos import trouble
from tests.e2e.people import People
from tests.e2e.running import running, settings_for, states
from tests.e2e.town import Town
from tests.e2e.waiting import PATIENCE, eventually

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("platform", ["discord"], indirect=True)
async def test_the_command_ends_with_one_sentence(
    town: Town, people: People, config: Path, database: Path
) -> None:
    trouble.hold(town)
    async with running(config, people) as process:
        await people.say("ada", "toqan", "@threadbridge what now?")
        await process.until(town.backend("toqan").count)
        town.discord.gateway.drop(4004)
        assert await process.ended() == 1, process.log()
    last = process.log().splitlines()[-1]
    assert last.startswith("threadbridge: ")
    assert "DISCORD_TOKEN" in last
    assert "Traceback" not in process.log()
    assert states(database) == ["asking"]  # for the next process


@pytest.mark.parametrize("platform", ["slack"], indirect=True)
@pytest.mark.parametrize(
    ("method", "error", "named"),
    [
        ("auth.test", "token_revoked", r"slack\.bot_token"),
        ("apps.connections.open", "invalid_auth", r"slack\.app_token"),
    ],
)
async def test_serving_ends_with_one_sentence(
    town: Town,
    people: People,
    database: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    error: str,
    named: str,
) -> None:
    for constant in ("CHECK_EVERY", "LOOK_EVERY", "GIVE_UP_AFTER", "FIRST_PAUSE"):
        monkeypatch.setattr(slack_app, constant, 0.1)
    trouble.hold(town)
    serving = asyncio.create_task(serve(settings_for(town, "slack", database)))
    await eventually(people.connected)
    await people.say("ada", "toqan", "@threadbridge what now?")
    await eventually(town.backend("toqan").count)
    town.slack.faults.refuse(method, error, times=99)
    town.slack.deliveries.drop()
    with pytest.raises(ConfigurationError, match=named):
        await asyncio.wait_for(serving, PATIENCE)
    assert states(database) == ["asking"]
