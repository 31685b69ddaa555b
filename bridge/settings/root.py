"""The settings file as a whole, and what the other packages ask of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bridge.access import Access, AccessTable, TurnsPerHour
from bridge.frontends.discord.settings import DiscordSettings
from bridge.frontends.slack.settings import SlackSettings
from bridge.inbound import Address, Platform
from bridge.listening import USUAL, Busy, Listening
from bridge.prompts import Prompt
from bridge.settings.agents import AgentTable, Route, TranscriptionSettings
from bridge.settings.data import DataSettings
from bridge.settings.http import HttpSettings
from bridge.settings.limits import Limits
from bridge.settings.logs import LogSettings

ENVIRONMENT = "THREADBRIDGE_"


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT, env_nested_delimiter="__", extra="forbid")

    database_url: SecretStr = SecretStr("sqlite:///threadbridge.db")
    default_agent: str | None = None
    choices: list[str] = Field(default_factory=list)  # agents that people may choose where no route matches
    http: HttpSettings = HttpSettings()
    slack: SlackSettings | None = None
    discord: DiscordSettings | None = None
    agents: dict[Annotated[str, Field(max_length=64)], AgentTable] = Field(default_factory=dict)
    routes: list[Route] = Field(default_factory=list)
    limits: Limits = Limits()
    data: DataSettings = DataSettings()
    logs: LogSettings = LogSettings()
    access: AccessTable = AccessTable()
    transcription: TranscriptionSettings | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings  # the environment wins over the file

    @model_validator(mode="after")
    def _can_serve_many_workspaces(self) -> Settings:
        if self.slack is None or not self.slack.serves_many:
            return self
        if not self.data.keys:
            raise PydanticCustomError(
                "keys",
                "slack.client_id keeps tokens of workspaces, and they are stored encrypted only: set data.keys to"
                " a key, as `openssl rand -base64 32` makes one",
            )
        if not self.http.public_url:
            raise PydanticCustomError(
                "public_url",
                "slack.client_id needs http.public_url, where people's browsers reach /slack/install",
            )
        return self

    def agent_for(self, address: Address) -> str:
        """The agent of the first route that matches, else the default."""
        route = self._route(address)
        return route.agent if route is not None else self.default_agent or next(iter(self.agents))

    def listening_at(self, address: Address) -> Listening:
        """When the bot speaks there, and how."""
        route = self._route(address)
        return USUAL if route is None else route.listening

    def busy_at(self, address: Address) -> Busy:
        """What becomes of messages that come there while the agent is at work."""
        route = self._route(address)
        return "queue" if route is None else route.busy

    def trusted_bots(self, platform: Platform) -> frozenset[str]:
        """Bots that may ask somewhere on a platform."""
        return frozenset(bot for route in self.routes if route.platform in (None, platform) for bot in route.bots)

    @property
    def rules(self) -> Access:
        """Who may ask whom."""
        platforms = {"slack": self.slack, "discord": self.discord}
        return Access(
            general=self.access,
            platforms={name: table.access for name, table in platforms.items() if table is not None},
            agents={name: table.access for name, table in self.agents.items() if table.access != AccessTable()},
        )

    @property
    def turns_per_hour(self) -> TurnsPerHour:
        agents = {name: table.turns_per_hour for name, table in self.agents.items() if table.turns_per_hour}
        return TurnsPerHour(self.limits.turns_per_hour, self.limits.channel_turns_per_hour, agents)

    def prompts_at(self, address: Address) -> Sequence[Prompt]:
        """What the agent that answers there offers to be asked."""
        table = self.agents.get(self.agent_for(address))
        return () if table is None else table.prompts

    @property
    def default_prompts(self) -> Sequence[Prompt]:
        """Those of the agent that answers where no route says otherwise."""
        table = self.agents.get(self.default_agent or next(iter(self.agents), ""))
        return () if table is None else table.prompts

    def choices_at(self, address: Address) -> Sequence[str]:
        """The agents that a person may choose there, the one that answers by itself among them."""
        route = self._route(address)
        return list(dict.fromkeys([self.agent_for(address), *(self.choices if route is None else route.choices)]))

    def _route(self, address: Address) -> Route | None:
        """The first that matches."""
        return next((route for route in self.routes if route.matches(address)), None)
