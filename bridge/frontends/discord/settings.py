"""The `[discord]` table of the settings."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bridge.access import AccessTable
from bridge.frontends.common.reactions import Reactions
from bridge.sharding import MAX_SHARDS

API_URL = "https://discord.com/api/v10"
REQUESTS_A_SECOND = 40  # of the 50 that Discord takes from a bot
MAX_UNICODE = 20  # code points of one emoji
_CUSTOM = re.compile(r"\w{2,32}:[0-9]{1,20}")
GATEWAY_URL = "wss://gateway.discord.gg/"


class DiscordReactions(Reactions):
    """Each the emoji itself, or a server's own one by name and id."""

    @field_validator("seen", "done", "ask")
    @classmethod
    def _is_an_emoji(cls, emoji: str) -> str:
        emoji = emoji.strip()
        known = _CUSTOM.fullmatch(emoji) or (len(emoji) <= MAX_UNICODE and not emoji.isascii())
        if emoji and not known:
            raise PydanticCustomError(
                "emoji", 'must be an emoji itself, as in "👀", or one of a server, as in "party:1234567890"'
            )
        return emoji


class DiscordSettings(BaseModel):
    """How to reach Discord. The two addresses are changed only to point it at something else, both together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token: SecretStr
    api_url: str = API_URL
    gateway_url: str = ""
    access: AccessTable = AccessTable()
    reactions: DiscordReactions = DiscordReactions()
    file_origins: tuple[str, ...] = ()
    """Where attachments may be fetched besides Discord's own hosts and `api_url`'s: of a compatible server."""
    requests_a_second: int = Field(default=REQUESTS_A_SECOND, ge=1)
    """Of the whole bot, other processes with its token included; Discord grants large bots more."""
    shards: int = Field(
        default=0,
        ge=0,
        le=MAX_SHARDS,
        description=(
            "Into how many parts Discord divides the bot's servers, each heard on a connection of its own; the replicas"
            " share them out. 0: as many as Discord recommends, which is one up to about a thousand servers."
        ),
    )
    notify_after: float = Field(default=0.0, ge=0.0)
    """Seconds after which whoever asked is told by a mention when the reply is complete; 0: never."""

    @field_validator("token")
    @classmethod
    def _is_bare(cls, token: SecretStr) -> SecretStr:
        value = token.get_secret_value().strip()
        if not value or any(letter.isspace() for letter in value):
            raise PydanticCustomError(
                "token",
                "the token is one word: copy it from Bot in the Discord Developer Portal",
            )
        return SecretStr(value)

    @field_validator("api_url")
    @classmethod
    def _is_web(cls, url: str) -> str:
        if not url.startswith(("https://", "http://")):
            raise PydanticCustomError("api_url", "the API's address begins with https:// or http://")
        return url.rstrip("/")

    @field_validator("gateway_url")
    @classmethod
    def _is_socket(cls, url: str) -> str:
        if url and not url.startswith(("wss://", "ws://")):
            raise PydanticCustomError("gateway_url", "the gateway's address begins with wss:// or ws://")
        return url

    @field_validator("file_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            parts = urlsplit(origin)
            if parts.scheme not in ("https", "http") or not parts.hostname or origin != f"{parts[0]}://{parts[1]}":
                raise PydanticCustomError(
                    "file_origins", "an origin is a scheme and a host, without a path: https://cdn.example.com"
                )
        return origins

    @model_validator(mode="after")
    def _points_to_one_place(self) -> DiscordSettings:
        # Otherwise a token meant for one would be sent to the other.
        if (self.api_url == API_URL) != (self.gateway_url in ("", GATEWAY_URL)):
            raise PydanticCustomError("gateway_url", "api_url and gateway_url must be changed together")
        return self
