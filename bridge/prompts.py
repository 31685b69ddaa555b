"""What is offered to people: questions that an agent is known to answer well, and buttons under an answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

UnderReply = Literal["again", "rate", "files"]
EVERYTHING: tuple[UnderReply, ...] = get_args(UnderReply)

MAX_PROMPTS = 4  # Slack's limit
MAX_TITLE = 75  # characters. Slack documents no limit; this is what its buttons take
MAX_MESSAGE = 1_000  # characters


class Prompt(BaseModel):
    """What a person is shown, and what is asked in their name when they choose it. A text is both."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: Annotated[str, Field(min_length=1, max_length=MAX_TITLE)] = Field(description="What a person is shown.")
    message: Annotated[str, Field(min_length=1, max_length=MAX_MESSAGE)] = Field(
        description="What is asked in their name when they choose it."
    )

    @model_validator(mode="before")
    @classmethod
    def _of_a_text(cls, given: Any) -> Any:
        return {"title": shortened(given, MAX_TITLE), "message": given} if isinstance(given, str) else given


def shortened(text: str, most: int) -> str:
    """In one line of at most `most` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"
