"""An alert of a monitoring service, which a route of the playground trusts: the page has it arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bridge.playground.discord import DiscordWorld
from bridge.playground.page.rooms import ALERTS
from bridge.playground.page.troubles import Trouble
from bridge.playground.slack import SlackWorld

SLACK_BOT = "B0ALERTS"
DISCORD_WEBHOOK = 1_100_000_000_000_000_001
TITLE = "Disk almost full on db-2"
TEXT = "91 % used, 4 GB left. Growing since 14:05."


def slack_alert(world: SlackWorld) -> Trouble:
    said = {"color": "#c0392b", "title": TITLE, "text": TEXT, "fallback": TITLE}
    return _trouble(lambda: world.alert(ALERTS, attachments=[said], bot_id=SLACK_BOT))


def discord_alert(world: DiscordWorld) -> Trouble:
    said = {"type": "rich", "title": TITLE, "description": TEXT}
    return _trouble(lambda: world.alert(ALERTS, embeds=[said], webhook_id=DISCORD_WEBHOOK))


def _trouble(arrive: Callable[[], Awaitable[object]]) -> Trouble:
    arriving: set[asyncio.Future[object]] = set()  # the loop keeps no reference

    def cause() -> None:
        task = asyncio.ensure_future(arrive())
        arriving.add(task)
        task.add_done_callback(arriving.discard)

    return Trouble(
        "An alert arrives",
        f"A monitoring service writes into #{ALERTS}. Its bot is trusted there, so the agent takes it up in a thread.",
        cause,
    )
