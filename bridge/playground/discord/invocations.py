"""Interactions as the world keeps them: one for each command, button, menu or modal that a person used."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from bridge.playground.discord.model import Json

MAX_KEPT = 5_000  # interactions remembered; the oldest are forgotten first


class InteractionType(IntEnum):
    COMMAND = 2
    COMPONENT = 3
    AUTOCOMPLETE = 4
    MODAL = 5


class CallbackType(IntEnum):
    MESSAGE = 4
    DEFER = 5
    DEFER_UPDATE = 6
    UPDATE = 7
    AUTOCOMPLETE = 8
    MODAL = 9


@dataclass(slots=True)
class Interaction:
    """What a person did, and how the bot answered so far."""

    id: int
    type: InteractionType
    user_id: int
    channel_id: int
    created: float
    data: Json
    name: str | None = None  # of the command
    message_id: int | None = None  # that the component is on
    target_message_id: int | None = None  # that a context menu was opened on
    token: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    answer: CallbackType | None = None
    original_id: int | None = None  # the message that answers it
    followup_ids: list[int] = field(default_factory=list)
    ephemeral: bool = False  # as first answered
    modal: Json | None = None
    choices: list[Json] = field(default_factory=list)

    @property
    def answered(self) -> bool:
        return self.answer is not None


class Invocations:
    """The interactions by id and by token."""

    def __init__(self) -> None:
        self._by_id: dict[int, Interaction] = {}
        self._by_token: dict[str, Interaction] = {}

    def add(self, interaction: Interaction) -> None:
        self._by_id[interaction.id] = interaction
        self._by_token[interaction.token] = interaction
        if len(self._by_id) > MAX_KEPT:
            oldest = self._by_id.pop(next(iter(self._by_id)))
            del self._by_token[oldest.token]

    def get(self, interaction_id: int) -> Interaction | None:
        return self._by_id.get(interaction_id)

    def by_token(self, token: str) -> Interaction | None:
        return self._by_token.get(token)

    def __iter__(self) -> Iterator[Interaction]:
        return iter(list(self._by_id.values()))
