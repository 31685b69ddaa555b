"""The world of a chaos run: both simulated platforms with their limits, every backend, and for each replica of the
bridge a path of its own by which it reaches them, so that each call tells whose it is."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.routing import Mount

from adapters.testing.backends import Simulated, simulated_backends
from adapters.testing.backends.base import Backend
from adapters.testing.backends.brain import Blob, Plan
from adapters.testing.serving import serve
from bridge.playground import discord, slack
from bridge.settings import HttpSettings, Settings
from tests.chaos.plan import PEOPLE
from tests.chaos.watching import Eyes, WatchedDiscord, WatchedSlack, called_by
from tests.chaos.words import asked_in, think
from tests.e2e.town import AGENTS, Town

PACE = 0.01  # seconds from word to word
RETRY_DELAYS = (0.0, 5.0, 20.0)  # seconds before Slack delivers again; its own are 0, 60 and 300


@dataclass(slots=True)
class Clock:
    """The platforms' clock, seconds since 1970; `behind` so many."""

    behind: float = 0.0

    def __call__(self) -> float:
        return time.time() - self.behind


@dataclass(frozen=True, slots=True)
class World:
    url: str
    slack: WatchedSlack
    discord: WatchedDiscord
    simulated: Mapping[str, Simulated]
    eyes: Eyes
    questions: list[str]  # the tokens that backends were asked, in order
    clock: Clock

    def backend(self, agent: str) -> Backend:
        return self.simulated[agent].backend

    def settings(self, replica: int, database_url: str, port: int) -> Settings:
        """Both platforms and every agent, as this replica reaches them."""
        town = Town(f"{self.url}/r{replica}", self.slack, self.discord, self.simulated)
        changes = {"database_url": SecretStr(database_url), "http": HttpSettings(port=port)}
        return town.settings(Path("unused")).model_copy(update=changes)


@asynccontextmanager
async def make_world(
    replicas: int, rate: float | None, rooms: Sequence[str] = (), behind: float = 0.0
) -> AsyncIterator[World]:
    """`rate` scales the platforms' limits; None turns them off. `rooms`: channels besides those of the agents.
    `behind`: seconds by which the platforms' clock is late."""
    eyes, questions, clock = Eyes(), list[str](), Clock(behind)
    channels = (*AGENTS, *rooms)

    def take(text: str, uploads: Sequence[Blob], earlier: Sequence[str]) -> Plan:
        questions.extend(asked_in(text))
        return think(text, uploads, earlier)

    backends = simulated_backends()
    for one in backends.values():
        one.backend.pace = PACE
        one.backend.think = take
    slack_world = WatchedSlack(people=PEOPLE, channels=channels, rate=rate, clock=clock, retry_delays=RETRY_DELAYS)
    discord_world = WatchedDiscord(people=PEOPLE, channels=channels, forums=(), rate=rate, clock=clock)
    slack_world.eyes = discord_world.eyes = eyes
    app = Starlette(
        routes=[
            Mount("/slack", slack.create_app(slack_world)),
            Mount("/discord", discord.create_app(discord_world)),
            *(Mount(f"/agents/{kind}", one.backend.app) for kind, one in backends.items()),
        ]
    )
    served = Starlette(
        routes=[Mount(f"/r{replica}", called_by(replica, app, eyes)) for replica in range(replicas)]
    )
    async with serve(served) as url:
        yield World(url, slack_world, discord_world, backends, eyes, questions, clock)
        await slack_world.aclose()
