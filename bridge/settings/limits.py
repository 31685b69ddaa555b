"""The `[limits]` table of the settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    """Bounds of one process, and what people may ask of all processes together."""

    model_config = ConfigDict(extra="forbid")

    running_threads: Annotated[int, Field(ge=1, le=20_000)] = Field(
        default=2_000, description="Threads that one process works on at once; the others wait."
    )
    attachment_bytes: Annotated[int, Field(ge=1)] = Field(
        default=100 * 1024 * 1024, description="The size of one file from a person, in bytes (100 MB)."
    )
    quiet_after: Annotated[float, Field(gt=0, le=86_400)] = Field(
        default=120, description="Seconds without a word of the agent, until the person is told so."
    )
    catch_up_hours: Annotated[float, Field(ge=0, le=24 * 14)] = Field(
        default=24, description="How far back threads are looked into for what was missed, in hours."
    )
    approval_hours: Annotated[float, Field(gt=0, le=24 * 90)] = Field(
        default=24, description="How long an approval waits at most, in hours; then it is declined."
    )
    grace: Annotated[float, Field(ge=0, le=600)] = Field(
        default=20, description="Seconds that running turns get at shutdown."
    )
    turns_per_hour: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Turns of one person within an hour. 0: no limit."
    )
    channel_turns_per_hour: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Turns in one channel within an hour. 0: no limit."
    )
    turns_at_once: Annotated[int, Field(ge=1, le=20_000)] = Field(
        default=4, description="Turns of one person at once, in all processes together; the rest waits."
    )
