"""Where a contender is measured: one simulated platform without limits of rate, and the scripted backend."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.routing import Mount

from adapters.testing.serving import serve
from bridge.frontends.discord.settings import DiscordSettings
from bridge.frontends.slack.settings import SlackSettings
from bridge.playground import discord, slack
from bridge.settings import AgentTable, HttpSettings, Limits, Settings
from tests.bench.load import CHANNELS, Asker, DiscordAsker, SlackAsker
from tests.bench.scripted_backend import AGENT, KEY, MODEL, Script, ScriptedBackend, serve_scripted
from tests.bench.sightings import TimedDiscord, TimedSlack
from tests.e2e.running import as_toml

CONNECTS_WITHIN = 20.0  # seconds


@dataclass(frozen=True, slots=True)
class Place:
    url: str
    kind: str
    backend: ScriptedBackend
    backend_url: str
    world: TimedSlack | TimedDiscord
    asker: Asker

    @property
    def floor(self) -> str:
        """The module of the floor."""
        return "tests.bench.floor_slack" if isinstance(self.world, TimedSlack) else "tests.bench.floor_discord"

    def given(self, port: int) -> dict[str, Any]:
        """What the floor is told."""
        common = {
            "kind": self.kind,
            "backend": self.backend_url,
            "key": KEY,
            "agent": AGENT,
            "model": MODEL,
            "port": port,
        }
        if isinstance(self.world, TimedSlack):
            api = {"api_url": self._slack_api, "token": self.world.bot_token}
            return common | api | {"signing_secret": self.world.signing_secret}
        rest, gateway = self._discord
        return common | {"api_url": rest, "gateway_url": gateway, "token": self.world.token}

    def settings(self, database: Path, port: int) -> str:
        """The bridge's settings file."""
        base_url = f"{self.backend_url}/v1" if self.kind == "openai" else f"{self.backend_url}/sema4ai"
        own = {"model": MODEL, "api": "chat"} if self.kind == "openai" else {"agent_id": AGENT}
        agent: dict[str, Any] = {"kind": self.kind, "base_url": base_url, "api_key": KEY, **own}
        settings = Settings(
            database_url=SecretStr(f"sqlite:///{database}"),
            http=HttpSettings(port=port),
            limits=Limits(turns_at_once=20_000),  # few people ask for all of the load
            agents={"scripted": AgentTable(**agent)},
        )
        if isinstance(self.world, TimedSlack):
            table = SlackSettings(
                mode="http",
                bot_token=SecretStr(self.world.bot_token),
                signing_secret=SecretStr(self.world.signing_secret),
                api_url=self._slack_api,
            )
            return as_toml(settings.model_copy(update={"slack": table}))
        rest, gateway = self._discord
        token = SecretStr(self.world.token)
        return as_toml(
            settings.model_copy(
                update={"discord": DiscordSettings(token=token, api_url=rest, gateway_url=gateway)}
            )
        )

    async def connect(self, port: int) -> None:
        """Bring the platform's events to the contender."""
        if isinstance(self.world, TimedSlack):
            await self.world.connect_http(f"http://127.0.0.1:{port}/slack/events")
        else:
            world = self.world
            await world.until(lambda: world.gateway.connected, CONNECTS_WITHIN)

    @property
    def _slack_api(self) -> str:
        return f"{self.url}/slack/api/"

    @property
    def _discord(self) -> tuple[str, str]:
        return f"{self.url}/discord/api/v10", f"{self.url.replace('http', 'ws', 1)}/discord/gateway"


@asynccontextmanager
async def place_of(platform: str, kind: str, words: int, pause: float) -> AsyncIterator[Place]:
    backend = ScriptedBackend(Script(words, pause))
    world: TimedSlack | TimedDiscord
    if platform == "slack":
        world = TimedSlack(channels=CHANNELS, rate=None)
        asker: Asker = SlackAsker(world)
        app = Starlette(routes=[Mount("/slack", slack.create_app(world))])
    else:
        world = TimedDiscord(channels=CHANNELS, forums=(), rate=None)
        asker = DiscordAsker(world)
        app = Starlette(routes=[Mount("/discord", discord.create_app(world))])
    async with serve_scripted(backend) as backend_url, serve(app) as url:
        yield Place(url, kind, backend, backend_url, world, asker)
        if isinstance(world, TimedSlack):
            await world.aclose()
