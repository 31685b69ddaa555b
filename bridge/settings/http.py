"""The `[http]` table of the settings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from bridge.turns.person import MIN_KEY

if TYPE_CHECKING:
    from bridge.turns.links import Links

LOCAL = frozenset({"127.0.0.1", "::1", "localhost"})  # where an address needs no TLS
MIN_TOKEN = 20  # characters
_HEADER = re.compile(r"[!-~]+")
_PLACE = re.compile(r"(?:slack:(?:[TE][A-Z0-9]{1,30}:)?[A-Z0-9]{2,64}|discord:[0-9]{1,20})")


class HttpSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    host: str = Field(
        default="127.0.0.1",
        description="The address that this process listens on: for Slack's events, health, metrics and all else below.",
    )
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=3000, description="Its port; 0 lets the system choose."
    )
    metrics_token: SecretStr | None = Field(
        default=None,
        description="Who has it may read `/metrics`, as a bearer token; without it anybody who reaches the port may.",
    )
    token: SecretStr | None = Field(
        default=None,
        description="Who has it may speak first, by `POST /threads` and `/mcp`: 20 characters or more. Without it"
        " nobody may.",
    )
    speak: list[str] = Field(
        default_factory=list,
        description='Where they may: channels, and people for direct messages, as in `["slack:C0123", "discord:1234",'
        ' "slack:U07"]`.',
    )
    hosts: list[str] = Field(
        default_factory=list,
        description="Names that `/mcp` answers to besides `host` and this machine's own, as a proxy passes them on.",
    )

    ops_token: SecretStr | None = Field(
        default=None,
        description="Opens the operator's page /ops/, 20 characters or more; without it there is no such page.",
    )
    ops_text: bool = Field(
        default=True,
        description="Whether a turn's page there can show what was written; nothing is shown before it is asked for.",
    )

    @field_validator("token", "metrics_token", "ops_token")
    @classmethod
    def _is_long_enough(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and len(token.get_secret_value()) < MIN_TOKEN:
            raise ValueError(f"needs {MIN_TOKEN} characters or more, as `openssl rand -hex 32` makes them")
        if token is not None and not _HEADER.fullmatch(token.get_secret_value()):
            raise ValueError("may hold no spaces and no letters beyond ASCII, as it comes in a header")
        return token

    @field_validator("speak")
    @classmethod
    def _are_places(cls, places: list[str]) -> list[str]:
        for place in places:
            if not _PLACE.fullmatch(place):
                raise ValueError(
                    f'{place!r} is no place: write "slack:" or "discord:" and a channel\'s or person\'s id'
                )
        return places

    public_url: str = Field(
        default="",
        description="Where people's browsers reach this process, `https://…`, through a proxy of yours with TLS.",
    )
    link_key: SecretStr | None = Field(
        default=None,
        description="Switches on links to files that are too large for a platform, and signs them: 32 bytes or more,"
        " the same for every process. Needs `public_url`.",
    )
    link_hours: Annotated[float, Field(gt=0, le=24 * 7)] = Field(
        default=24, description="How many hours such a link is good."
    )

    @field_validator("public_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        parts = urlsplit(url)
        local = parts.scheme == "http" and parts.hostname in LOCAL
        if (url and not (parts.hostname and (parts.scheme == "https" or local))) or parts.query or parts.fragment:
            raise ValueError('must be an address as "https://bridge.example.com"')
        return url.rstrip("/")

    @field_validator("link_key")
    @classmethod
    def _is_key_long_enough(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and len(key.get_secret_value().encode()) < MIN_KEY:
            raise ValueError(f"needs {MIN_KEY} bytes or more, as `openssl rand -hex {MIN_KEY}` makes them")
        return key

    @model_validator(mode="after")
    def _can_be_reached(self) -> HttpSettings:
        if self.link_key is not None and not self.public_url:
            raise ValueError("link_key signs links, and they need public_url: where this process is reached")
        return self

    @property
    def links(self) -> Links | None:
        if self.link_key is None:
            return None
        from bridge.turns.links import Links  # with what signs: a tenth of a command's start

        return Links(self.public_url, self.link_key, self.link_hours)
