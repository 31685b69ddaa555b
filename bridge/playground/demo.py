"""`threadbridge demo`: the simulators and the page on one port, and the real bridge between them."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import webbrowser
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.routing import Mount

from bridge.frontends.discord.settings import DiscordSettings
from bridge.frontends.slack.settings import SlackSettings
from bridge.playground import discord, slack
from bridge.playground.backends import Simulated, simulated_backends
from bridge.playground.page.app import page_routes
from bridge.playground.page.discord import DiscordView
from bridge.playground.page.slack import SlackView
from bridge.playground.page.views import PlatformView
from bridge.playground.serving import serve
from bridge.settings import AgentTable, HttpSettings, Route, Settings, SettingsError
from bridge.wiring import bridge

ME = "ada"
HINTS = {
    "general": "the echo agent: says back what it hears, and makes what you tell it to",
    "toqan": "Toqan: polled, files in and out",
    "sema4ai": "Sema4.ai: streamed, files and tables",
    "enthusiast": "Enthusiast: polled, takes files",
    "agentok": "Agentok Studio: asks back; say “ask me”",
    "fifthelement": "fifthelement.ai: streamed",
    "openai": "any OpenAI-like server: streamed",
    "a2a": "any Agent2Agent server: streamed",
}


@dataclass(frozen=True, slots=True)
class Playground:
    """Everything that is simulated, and where it is served."""

    url: str
    slack: slack.SlackWorld
    discord: discord.DiscordWorld
    backends: Mapping[str, Simulated]

    def settings(self, database: Path) -> Settings:
        """What points a bridge at all of it: one channel for each kind of agent, on both platforms."""
        agents = {"general": AgentTable(kind="echo")}
        for kind, one in self.backends.items():
            agents[kind] = AgentTable(kind=kind, **one.table(f"{self.url}/agents/{kind}"))
        socket = self.url.replace("http", "ws", 1)
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
                gateway_url=f"{socket}/discord/gateway",
            ),
            agents=agents,
            routes=[route for kind in self.backends for route in self._routes(kind)],
        )

    def _routes(self, kind: str) -> list[Route]:
        return [
            Route(platform="slack", channel=self.slack.channel(kind).id, agent=kind),
            Route(platform="discord", channel=str(self.discord.place(kind).id), agent=kind),
        ]


@asynccontextmanager
async def playground(port: int = 0, **speed: Any) -> AsyncIterator[Playground]:
    """The simulators and the page. `speed` goes to both platforms: `rate` scales their limits."""
    backends = simulated_backends()
    slack_world = slack.SlackWorld(channels=list(HINTS), **speed)
    discord_world = discord.DiscordWorld(channels=list(HINTS), forums=(), **speed)
    views: dict[str, PlatformView] = {
        "slack": SlackView(slack_world, ME, HINTS),
        "discord": DiscordView(discord_world, ME, HINTS),
    }
    app = Starlette(
        routes=[
            Mount("/slack", slack.create_app(slack_world)),
            Mount("/discord", discord.create_app(discord_world)),
            *(Mount(f"/agents/{kind}", one.backend.app) for kind, one in backends.items()),
            *page_routes(views),
        ]
    )
    try:
        async with serve(app, port=port) as url:
            yield Playground(url, slack_world, discord_world, backends)
    except OSError as error:
        raise SettingsError(f"--port {port}: {error.strerror}") from None


async def run_demo(port: int, *, open_browser: bool) -> None:
    """Serve until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    with tempfile.TemporaryDirectory(prefix="threadbridge-demo-") as folder:
        async with (
            playground(port) as simulated,
            bridge(simulated.settings(Path(folder) / "demo.db")) as bridging,
        ):
            print(f"The playground is at {simulated.url}/  (Ctrl-C ends it)", flush=True)
            if open_browser:
                webbrowser.open(simulated.url)
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait([*bridging, stopping], return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            for task in bridging:
                if task.done():
                    task.result()
