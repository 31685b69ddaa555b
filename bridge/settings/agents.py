"""The tables of the agents: `[agents.NAME]`, `[[routes]]`, and `[transcription]`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from bridge.access import DENY, PERSON, AccessTable
from bridge.inbound import Address
from bridge.listening import Busy, Listen, Listening
from bridge.prompts import EVERYTHING, MAX_PROMPTS, Prompt, UnderReply
from bridge.turns.person import MIN_KEY, Level, Telling


class AgentTable(BaseModel):
    """`[agents.NAME]`: what every kind shares. The rest belongs to the adapter and is checked by it."""

    model_config = ConfigDict(extra="allow")

    kind: str
    deadline: Annotated[float, Field(gt=0, le=86_400)] = 900  # seconds a turn may take
    access: AccessTable = AccessTable()
    turns_per_hour: Annotated[int, Field(ge=0)] = 0  # 0: no limit
    turns_at_once: Annotated[int, Field(ge=0, le=20_000)] = Field(
        default=0,
        description="Turns that each process works on with this agent at once; the rest waits, and shows it."
        " 0: no limit.",
    )
    breaker_seconds: Annotated[float, Field(ge=0, le=86_400)] = Field(
        default=45,
        description="Seconds that every request to this agent fails until a new question is answered at once by a"
        " sentence, until the agent answers again. 0: each question waits by itself.",
    )
    person: Level = "id"  # what the agent is told of who asks: see `Telling`
    person_key: SecretStr | None = None  # signs it
    under_reply: tuple[UnderReply, ...] = EVERYTHING  # buttons of an answer
    prompts: Annotated[list[Prompt], Field(max_length=MAX_PROMPTS)] = []  # offered where nothing was said yet
    # Who may decide what the agent wants leave for, where it names nobody; empty: whoever asked.
    approvers: tuple[str, ...] = ()

    @field_validator("approvers")
    @classmethod
    def _are_people(cls, approvers: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [one for one in approvers if one.startswith(DENY) or not PERSON.fullmatch(one)]:
            raise ValueError(f'{wrong[0]!r} isn\'t a person: write "slack:U…" or "discord:…"')
        return approvers

    @field_validator("person_key")
    @classmethod
    def _is_long_enough(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and len(key.get_secret_value().encode()) < MIN_KEY:
            raise ValueError(f"needs {MIN_KEY} bytes or more, as `openssl rand -hex {MIN_KEY}` makes them")
        return key

    @model_validator(mode="after")
    def _has_somebody_to_sign(self) -> AgentTable:
        if self.person_key is not None and self.person == "none":
            raise ValueError('person_key signs who asks, and with person = "none" nobody is told of')
        return self

    def telling(self, name: str) -> Telling:
        """`name`: the agent's."""
        return Telling(name, self.person, self.person_key)

    @property
    def rest(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class Route(BaseModel):
    """Which agent answers where. A key that isn't given matches everything, and the agent "" answers nothing."""

    model_config = ConfigDict(extra="forbid")

    agent: str
    platform: Literal["slack", "discord"] | None = None
    workspace: str | None = None
    channel: str | None = None
    choices: list[str] = Field(default_factory=list)  # agents that people may choose there instead, by `agent`
    listen: Listen = "follow"  # mention: each time · follow: follow-ups are free · all: every message
    flat: bool = False  # answered in the channel itself, which is one conversation
    bots: list[Annotated[str, Field(pattern="^[A-Za-z0-9]+$")]] = Field(default_factory=list)  # that may ask
    busy: Busy = "queue"  # what becomes of messages that come while the agent is at work

    @property
    def listening(self) -> Listening:
        return Listening(self.listen, self.flat, frozenset(self.bots))

    def matches(self, address: Address) -> bool:
        return all(
            wanted is None or wanted == actual
            for wanted, actual in (
                (self.platform, address.platform),
                (self.workspace, address.workspace),
                (self.channel, address.channel),
            )
        )


class TranscriptionSettings(BaseModel):
    """A service with OpenAI's `/audio/transcriptions`, for voice notes."""

    model_config = ConfigDict(extra="forbid")

    base_url: str
    model: Annotated[str, Field(min_length=1)]
    api_key: SecretStr | None = None
    language: Annotated[str, Field(max_length=16)] = ""  # ISO 639-1, as in "de"; "": the service finds out

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, address: str) -> str:
        if not address.startswith(("http://", "https://")):
            raise ValueError('must be an address, as in "https://api.openai.com/v1"')
        return address
