"""The `[logs]` table of the settings."""

from __future__ import annotations

import logging
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class LogSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        description="The least that is logged. No level shows what people wrote or agents answered.",
    )
    format: Literal["auto", "json", "text"] = Field(
        default="auto",
        description="Lines for people (`text`) or one JSON object a line (`json`);"
        " `auto` is text on a terminal and JSON otherwise.",
    )

    @property
    def severity(self) -> int:
        """As the standard library numbers levels."""
        return logging.getLevelNamesMapping()[self.level.upper()]
