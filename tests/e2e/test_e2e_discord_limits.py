"""The demo as it is shown, with Discord's limits as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.app import bridge
from bridge.playground.demo import playground
from tests.e2e.people import DiscordPeople
from tests.e2e.running import at_rest
from tests.e2e.waiting import eventually
from tests.frontends.discord.running import waits_for_windows


async def test_five_mentions_in_one_discord_channel_wait_for_no_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = waits_for_windows(monkeypatch)
    database = tmp_path / "demo.db"
    async with playground() as simulated, bridge(simulated.settings(database)):
        world = simulated.discord
        people = DiscordPeople(world)
        await eventually(people.connected)
        for number in range(5):
            thread = await people.say("ada", "general", f"@threadbridge number {number}")
            await eventually(
                lambda thread=thread: (shown := people.shown(thread)) and not shown[-1].growing  # type: ignore[misc]
            )
        assert await at_rest(database, 5) == ["done"] * 5
        assert len(world.threads("general")) == 5
        assert waits == []
        assert not [call for call in world.calls() if call.status == 429]
