"""The `[limits]` table of the settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    """Bounds of one process, and what people may ask of all processes together."""

    model_config = ConfigDict(extra="forbid")

    running_threads: Annotated[int, Field(ge=1, le=20_000)] = 2_000  # worked on at once
    attachment_bytes: Annotated[int, Field(ge=1)] = 100 * 1024 * 1024  # one file from a person
    quiet_after: Annotated[float, Field(gt=0, le=86_400)] = (
        120  # seconds without a word of the agent, until it is said
    )
    catch_up_hours: Annotated[float, Field(ge=0, le=24 * 14)] = 24  # how far back what was missed is fetched
    approval_hours: Annotated[float, Field(gt=0, le=24 * 90)] = 24  # that an approval waits at most
    grace: Annotated[float, Field(ge=0, le=600)] = 20  # seconds that running turns get at shutdown
    turns_per_hour: Annotated[int, Field(ge=0)] = 0  # of one person; 0: no limit
    channel_turns_per_hour: Annotated[int, Field(ge=0)] = 0  # 0: no limit
    turns_at_once: Annotated[int, Field(ge=1, le=20_000)] = 4  # of one person; the rest waits in the queue
