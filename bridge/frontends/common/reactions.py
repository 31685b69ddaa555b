"""Reactions that mean something, by setting: of ours on questions, and of people, who ask with one."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

MAX_EMOJI = 100  # characters of a name


class Reactions(BaseModel):
    """Each an emoji as the platform names it; "" for none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seen: str = ""  # on a question that is worked on
    done: str = ""  # instead, once its answer stands
    ask: str = ""  # of a person, on anybody's message: what about this?
