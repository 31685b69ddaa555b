"""The `[slack]` table of the settings."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, SecretStr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bridge.access import AccessTable
from bridge.frontends.common.reactions import MAX_EMOJI, Reactions

MAX_PROMPTS_TITLE = 100  # characters; Slack documents no limit
_EMOJI = re.compile(rf"[\w+'-]{{1,{MAX_EMOJI}}}")
MAX_LOADING = 10  # Slack's limit
LoadingMessage = Annotated[str, Field(min_length=1, max_length=50)]  # Slack shows one line


class SlackReactions(Reactions):
    """By Slack's names of emoji, as in "eyes"."""

    @field_validator("seen", "done", "ask")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        bare = name.strip().strip(":")
        if bare and not _EMOJI.fullmatch(bare):
            raise PydanticCustomError("emoji", 'must be the name of an emoji as Slack has it, as in "eyes"')
        return bare


class SlackSettings(BaseModel):
    """How to reach Slack: over a socket that this process opens, or by requests that Slack sends to it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["socket", "http"] = "socket"
    bot_token: SecretStr | None = Field(
        default=None, description="The Bot User OAuth Token of one workspace; without it client_id serves many."
    )
    client_id: Annotated[str, Field(pattern=r"^[0-9]{1,32}\.[0-9]{1,32}$")] | None = Field(
        default=None,
        description="With client_secret: many workspaces, each of which installs the app by itself at /slack/install.",
    )
    client_secret: SecretStr | None = Field(
        default=None, description="The Client Secret under Basic Information in the app's settings."
    )
    token_rotation: bool = Field(
        default=False,
        description="Whether the manifest turns token rotation on, which Slack never turns off again.",
    )
    org_install: bool = Field(
        default=False, description="Whether the manifest lets a whole Enterprise organisation install the app."
    )
    app_token: SecretStr | None = None  # for mode "socket"
    signing_secret: SecretStr | None = None  # for mode "http"
    api_url: str = "https://slack.com/api/"
    emails: bool = False  # an agent that is told all of who asks is told the address, too: another scope
    prompts_title: Annotated[str, Field(max_length=MAX_PROMPTS_TITLE)] = ""  # above an agent's prompts
    # Slack shows them in turn as long as the agent says nothing of its work.
    loading: Annotated[list[LoadingMessage], Field(max_length=MAX_LOADING)] = []
    command: Annotated[str, Field(pattern=r"^/[a-z0-9_-]{1,31}$")] = "/agent"  # Slack takes 32 characters
    access: AccessTable = AccessTable()
    reactions: SlackReactions = SlackReactions()

    @field_validator("bot_token")
    @classmethod
    def _is_bot_token(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and not token.get_secret_value().startswith(("xoxb-", "xoxe.xoxb-")):
            raise PydanticCustomError(
                "bot_token",
                'the bot token begins with "xoxb-": copy it from OAuth & Permissions in the app\'s settings',
            )
        return token

    @field_validator("app_token")
    @classmethod
    def _is_app_token(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and not token.get_secret_value().startswith("xapp-"):
            raise PydanticCustomError(
                "app_token",
                'the app-level token begins with "xapp-": make one with the scope connections:write'
                " under Basic Information in the app's settings",
            )
        return token

    @field_validator("api_url")
    @classmethod
    def _ends_with_slash(cls, url: str) -> str:
        HttpUrl(url)
        return url if url.endswith("/") else f"{url}/"

    @model_validator(mode="after")
    def _serves_one_or_many(self) -> SlackSettings:
        secret = self.client_secret is not None and self.client_secret.get_secret_value() != ""
        if self.client_id is None and not secret and self.bot_token is None:
            raise PydanticCustomError(
                "bot_token", "one workspace needs bot_token; client_id and client_secret serve many"
            )
        if (self.client_id is None) == secret:
            raise PydanticCustomError("client_id", "client_id and client_secret belong together: set both or none")
        if secret and self.bot_token is not None:
            raise PydanticCustomError(
                "bot_token",
                "bot_token serves one workspace and client_id many: leave bot_token away, and install the app"
                " there as everywhere else, at /slack/install",
            )
        return self

    @property
    def serves_many(self) -> bool:
        return self.client_id is not None

    @model_validator(mode="after")
    def _has_what_its_mode_needs(self) -> SlackSettings:
        if self.mode == "socket" and self.app_token is None:
            raise PydanticCustomError("app_token", 'mode "socket" needs app_token as well')
        # An empty secret would make every forged signature a valid one.
        if self.mode == "http" and not (self.signing_secret and self.signing_secret.get_secret_value()):
            raise PydanticCustomError("signing_secret", 'mode "http" needs signing_secret as well')
        return self
