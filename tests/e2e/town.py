"""Everything that is simulated, on one port, without limits of rate: as the playground has it, less its page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.routing import Mount

from adapters.testing.backends import Simulated, simulated_backends
from adapters.testing.backends.base import Backend
from adapters.testing.serving import serve
from bridge.frontends.discord.settings import DiscordSettings
from bridge.frontends.slack.settings import SlackSettings
from bridge.playground import discord, slack
from bridge.settings import AgentTable, HttpSettings, Limits, Route, Settings

BACKENDS = ("toqan", "sema4ai", "enthusiast", "agentok", "fifthelement", "openai", "a2a")
AGENTS = ("general", *BACKENDS)  # each has the channel of its name on both platforms
PACE = 0.0005  # seconds from word to word
UNLIMITED = 10_000  # requests a second
RETRY_DELAYS = (0.0, 3.0, 10.0)  # seconds before Slack delivers an event again


@dataclass(frozen=True, slots=True)
class Town:
    url: str
    slack: slack.SlackWorld
    discord: discord.DiscordWorld
    simulated: Mapping[str, Simulated]

    def backend(self, agent: str) -> Backend:
        return self.simulated[agent].backend

    @property
    def backends(self) -> list[Backend]:
        return [one.backend for one in self.simulated.values()]

    def agent(self, kind: str) -> AgentTable:
        table = self.simulated[kind].table(f"{self.url}/agents/{kind}") if kind in self.simulated else {}
        return AgentTable(kind=kind, **table)

    def settings(self, database: Path) -> Settings:
        """Both platforms, and every agent in the channel of its name."""
        return Settings(
            database_url=SecretStr(f"sqlite:///{database}"),
            default_agent="general",
            http=HttpSettings(port=0),
            slack=SlackSettings(
                bot_token=SecretStr(self.slack.bot_token),
                app_token=SecretStr(self.slack.app_token),
                api_url=f"{self.url}/slack/api/",
            ),
            discord=DiscordSettings(
                token=SecretStr(self.discord.token),
                api_url=f"{self.url}/discord/api/v10",
                gateway_url=f"{self.url.replace('http', 'ws', 1)}/discord/gateway",
                requests_a_second=UNLIMITED,
            ),
            agents={"general": AgentTable(kind="echo"), **{kind: self.agent(kind) for kind in BACKENDS}},
            routes=[route for kind in BACKENDS for route in self._routes(kind)],
            limits=Limits(grace=0, turns_at_once=1_000),  # few people ask for all of a crowd
        )

    def _routes(self, kind: str) -> list[Route]:
        return [
            Route(platform="slack", channel=self.slack.channel(kind).id, agent=kind),
            Route(platform="discord", channel=str(self.discord.place(kind).id), agent=kind),
        ]


@asynccontextmanager
async def make_town() -> AsyncIterator[Town]:
    """At its end nobody was pinged, no link was unfolded, and no backend was asked while it was at work."""
    backends = simulated_backends()
    for one in backends.values():
        one.backend.pace = PACE
    slack_world = slack.SlackWorld(channels=AGENTS, rate=None, retry_delays=RETRY_DELAYS)
    discord_world = discord.DiscordWorld(channels=AGENTS, rate=None)
    app = Starlette(
        routes=[
            Mount("/slack", slack.create_app(slack_world)),
            Mount("/discord", discord.create_app(discord_world)),
            *(Mount(f"/agents/{kind}", one.backend.app) for kind, one in backends.items()),
        ]
    )
    async with serve(app) as url:
        yield Town(url, slack_world, discord_world, backends)
        await slack_world.aclose()
    assert [*slack_world.pings, *slack_world.unfurls] == []
    assert [*discord_world.pings, *discord_world.unfurls] == []
    assert {name: one.backend.violations for name, one in backends.items() if one.backend.violations} == {}
