"""Reactions that mean something, by setting: of ours on questions, and of people, who ask with one."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

MAX_EMOJI = 100  # characters of a name


class Reactions(BaseModel):
    """Each an emoji as the platform names it; "" for none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seen: str = Field(default="", description="On a question that is worked on. Empty, here and below: none.")
    done: str = Field(default="", description="Instead of it, once the answer stands.")
    ask: str = Field(
        default="",
        description="Of a person, on anybody's message: asks about it. On Slack the manifest then asks for the scope"
        " `reactions:read`: install the app again.",
    )
