"""`threadbridge demo`: the simulators and the page on one port, and the real bridge between them."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import webbrowser
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.routing import Mount

from adapters.base import Agent, Closes
from adapters.echo import Echo
from adapters.testing.backends import Simulated, simulated_backends
from adapters.testing.backends.transcription import MODEL, TranscriptionBackend
from adapters.testing.serving import serve
from bridge.app import bridge
from bridge.frontends.discord.settings import DiscordReactions, DiscordSettings
from bridge.frontends.slack.settings import SlackReactions, SlackSettings
from bridge.playground import discord, slack
from bridge.playground.page.alerts import DISCORD_WEBHOOK, SLACK_BOT, discord_alert, slack_alert
from bridge.playground.page.app import create_page
from bridge.playground.page.discord import DiscordView
from bridge.playground.page.first_words import FirstWords
from bridge.playground.page.reactions import ASKS, NAMES
from bridge.playground.page.rooms import ALERTS, BUSY, OPENING, ROOMS, TALK, WAYS, Scene, own_room
from bridge.playground.page.slack import SlackView
from bridge.playground.page.troubles import agent_troubles, discord_troubles, slack_troubles
from bridge.playground.page.views import PlatformView
from bridge.prompts import Prompt
from bridge.settings import AgentTable, HttpSettings, Limits, Route, Settings, SettingsError, TranscriptionSettings

ME = "ada"
DEFAULT_AGENT = "general"
PROMPTS = [
    Prompt(title="Suggest something", message="Please suggest something"),
    Prompt(title="A table and a file", message="Make a table 8 and a file numbers.csv"),
]
GRACE = 0.5  # seconds that running turns get when the demo ends; nothing of them is kept
RETRIES = (1.0, 5.0, 15.0)  # seconds; Slack's own delays of minutes would keep a visitor waiting


@dataclass(frozen=True, slots=True)
class Playground:
    """Everything that is simulated, and where it is served."""

    url: str
    slack: slack.SlackWorld
    discord: discord.DiscordWorld
    backends: Mapping[str, Simulated]
    in_process: dict[str, Agent]  # the bridge's own agents, once it has opened them
    own: Mapping[str, AgentTable]  # the visitor's agents, by the channel that each has
    ears: TranscriptionBackend = field(default_factory=TranscriptionBackend)  # writes voice notes down
    first_words: FirstWords = field(default_factory=FirstWords)

    def asked(self) -> int:
        """How many questions, and answers to their own, the agents have taken in all."""
        counted = sum(
            one.backend.count() + len(getattr(one.backend, "answers", ())) for one in self.backends.values()
        )
        return counted + sum(agent.asked for agent in self.in_process.values() if isinstance(agent, Echo))

    def settings(self, database: Path) -> Settings:
        """What points a bridge at all of it: one channel for each kind of agent, on both platforms."""
        agents = {DEFAULT_AGENT: AgentTable(kind="echo", prompts=PROMPTS)}
        for kind, one in self.backends.items():
            agents[kind] = AgentTable(kind=kind, **one.table(f"{self.url}/agents/{kind}"))
        agents |= self.own
        socket = self.url.replace("http", "ws", 1)
        return Settings(
            database_url=SecretStr(f"sqlite:///{database}"),
            default_agent=DEFAULT_AGENT,
            limits=Limits(grace=GRACE),
            http=HttpSettings(
                port=self.first_words.choose_port(),
                token=self.first_words.token,
                speak=[f"{platform}:{channel}" for platform, channel in self.channels(DEFAULT_AGENT)],
            ),
            slack=SlackSettings(
                bot_token=SecretStr(self.slack.bot_token),
                app_token=SecretStr(self.slack.app_token),
                api_url=f"{self.url}/slack/api/",
                prompts_title="Try asking",
                reactions=SlackReactions(seen=NAMES["👀"], done=NAMES["✅"], ask=NAMES[ASKS]),
                loading=["is looking around…", "is thinking it over…", "is finding the words…"],
            ),
            discord=DiscordSettings(
                token=SecretStr(self.discord.token),
                api_url=f"{self.url}/discord/api/v10",
                gateway_url=f"{socket}/discord/gateway",
                reactions=DiscordReactions(seen="👀", done="✅", ask=ASKS),
            ),
            transcription=TranscriptionSettings(
                base_url=f"{self.url}/ears/v1", api_key=SecretStr(self.ears.key), model=MODEL
            ),
            agents=agents,
            routes=[
                *self._ways(),
                *(route for name in agents if name != DEFAULT_AGENT for route in self._routes(name)),
            ],
        )

    def channels(self, name: str) -> Sequence[tuple[str, str]]:
        """The channels of a room: platform and id."""
        return ("slack", self.slack.channel(name).id), ("discord", str(self.discord.place(name).id))

    def _ways(self) -> list[Route]:
        """When and how the default agent speaks in the rooms for that."""
        ways: dict[str, dict[str, Any]] = {
            TALK: {"listen": "all", "flat": True},
            ALERTS: {"bots": [SLACK_BOT, str(DISCORD_WEBHOOK)]},
            BUSY: {"busy": "steer"},
        }
        found = []
        for name, way in ways.items():
            channels = self.channels(name)
            found += [
                Route.model_validate({"platform": platform, "channel": channel, "agent": DEFAULT_AGENT} | way)
                for platform, channel in channels
            ]
        return found

    def _routes(self, name: str) -> list[Route]:
        return [
            Route(platform="slack", channel=self.slack.channel(name).id, agent=name),
            Route(platform="discord", channel=str(self.discord.place(name).id), agent=name),
        ]


@asynccontextmanager
async def playground(
    port: int = 0, *, scene: Scene | None = None, agents: Mapping[str, AgentTable] | None = None, **speed: Any
) -> AsyncIterator[Playground]:
    """The simulators and the page; `agents` of the visitor have a channel each. `speed` goes to both platforms:
    `rate` scales their limits."""
    own = {name if name not in ROOMS | WAYS else f"my-{name}": table for name, table in (agents or {}).items()}
    rooms = ROOMS | WAYS | {name: own_room(table.kind) for name, table in own.items()}
    slack_world = slack.SlackWorld(channels=list(rooms), retry_delays=RETRIES, **speed)
    discord_world = discord.DiscordWorld(channels=list(rooms), forums=(), **speed)
    simulated = Playground("", slack_world, discord_world, simulated_backends(), {}, own)
    platforms: dict[str, PlatformView] = {
        "slack": SlackView(slack_world, ME, rooms, DEFAULT_AGENT),
        "discord": DiscordView(discord_world, ME, rooms, DEFAULT_AGENT),
    }
    first = {
        platform: simulated.first_words.in_channel(platform, channel, DEFAULT_AGENT)
        for platform, channel in simulated.channels(DEFAULT_AGENT)
    }
    troubles = {
        "slack": {"first": first["slack"], "alert": slack_alert(slack_world)} | slack_troubles(slack_world),
        "discord": {"first": first["discord"], "alert": discord_alert(discord_world)}
        | discord_troubles(discord_world),
        **{kind: agent_troubles(kind, one.backend) for kind, one in simulated.backends.items()},
    }
    over = asyncio.Event()
    app = Starlette(
        routes=[
            Mount("/slack", slack.create_app(slack_world)),
            Mount("/discord", discord.create_app(discord_world)),
            *(Mount(f"/agents/{kind}", one.backend.app) for kind, one in simulated.backends.items()),
            Mount("/ears", simulated.ears.app),
            Mount("/", create_page(platforms, troubles, simulated.asked, over, scene)),
        ]
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(slack_world.aclose)
        for one in simulated.backends.values():
            if isinstance(one.backend, Closes):
                stack.push_async_callback(one.backend.aclose)
        try:
            url = await stack.enter_async_context(serve(app, port=port))
        except OSError as error:
            raise SettingsError(f"--port {port}: {error.strerror}") from None
        stack.callback(over.set)
        yield replace(simulated, url=url)


async def run_demo(port: int, *, open_browser: bool, agents: Mapping[str, AgentTable] | None = None) -> None:
    """Serve until SIGINT or SIGTERM, the visitor's own `agents` too."""
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    with tempfile.TemporaryDirectory(prefix="threadbridge-demo-") as folder:
        async with (
            playground(port, scene=OPENING, agents=agents) as simulated,
            bridge(simulated.settings(Path(folder) / "demo.db"), opened=simulated.in_process.update) as bridging,
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
