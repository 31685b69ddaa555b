"""A whole simulated surrounding, and the settings for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import tomlkit
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from adapters.base import Closes
from adapters.testing.backends import Simulated, simulated_backends
from adapters.testing.serving import serve
from bridge.frontends.slack.manifest import SCOPES
from bridge.playground import discord, slack


class Everything:
    """`tables` is what stands in the settings file: change it before `file` writes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.slack = slack.SlackWorld(rate=None)
        self.slack.scopes = set(SCOPES)
        self.discord = discord.DiscordWorld(rate=None)
        self.backends: Mapping[str, Simulated] = simulated_backends()
        self.tables: dict[str, Any] = {}

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Mount("/slack", slack.create_app(self.slack)),
                Mount("/discord", discord.create_app(self.discord)),
                *(Route(f"/{kind}{one.path}", _wants_a_key) for kind, one in self.backends.items()),
                *(Mount(f"/{kind}", one.backend.app) for kind, one in self.backends.items()),
            ]
        )

    def point_to(self, url: str) -> None:
        self.tables = {
            "database_url": f"sqlite:///{self.folder / 'threadbridge.db'}",
            "slack": {
                "bot_token": self.slack.bot_token,
                "app_token": self.slack.app_token,
                "api_url": f"{url}/slack/api/",
            },
            "discord": {
                "token": self.discord.token,
                "api_url": f"{url}/discord/api/v10",
                "gateway_url": f"{url.replace('http', 'ws')}/discord/gateway",
            },
            "agents": {kind: {"kind": kind, **one.table(f"{url}/{kind}")} for kind, one in self.backends.items()},
        }

    @property
    def secrets(self) -> list[str]:
        keys = [one.backend.key for one in self.backends.values()]
        return [*keys, self.slack.bot_token, self.slack.app_token, self.discord.token]

    def file(self) -> Path:
        file = self.folder / "settings.toml"
        file.write_text(tomlkit.dumps(self.tables), encoding="utf-8")
        file.chmod(0o600)
        return file


async def _wants_a_key(_request: Request) -> Response:
    """What an agent's base address answers: enough for who looks at the address alone."""
    return Response(status_code=401)


@asynccontextmanager
async def serve_everything(folder: Path) -> AsyncIterator[Everything]:
    everything = Everything(folder)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(everything.slack.aclose)
        for one in everything.backends.values():
            if isinstance(one.backend, Closes):
                stack.push_async_callback(one.backend.aclose)
        everything.point_to(await stack.enter_async_context(serve(everything.app)))
        yield everything
