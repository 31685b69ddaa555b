"""Polls, as far as a bot reads them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from bridge.playground.discord.model import Json
from bridge.playground.discord.snowflake import iso

# Discord's documented limits.
MAX_QUESTION = 300  # characters
MAX_ANSWER = 55
MAX_ANSWERS = 10
LASTS = 86_400.0  # seconds


@dataclass(frozen=True, slots=True)
class Poll:
    question: str
    answers: tuple[str, ...]
    votes: tuple[int, ...] = field(default=())

    def __post_init__(self) -> None:
        fits = len(self.question) <= MAX_QUESTION and all(len(answer) <= MAX_ANSWER for answer in self.answers)
        if not fits or not 1 <= len(self.answers) <= MAX_ANSWERS:
            raise ValueError("no poll that Discord would take")

    def as_json(self) -> Json:
        counts = [
            {"id": number, "count": count, "me_voted": False} for number, count in enumerate(self.votes, start=1)
        ]
        return {
            "question": {"text": self.question},
            "answers": [
                {"answer_id": number, "poll_media": {"text": answer}}
                for number, answer in enumerate(self.answers, start=1)
            ],
            "expiry": iso(time.time() + LASTS),
            "allow_multiselect": False,
            "layout_type": 1,
            "results": {"is_finalized": False, "answer_counts": counts},
        }
