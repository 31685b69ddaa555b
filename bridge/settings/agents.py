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

    kind: str = Field(description="Which kind of backend it is; the keys of each kind are below.")
    deadline: Annotated[float, Field(gt=0, le=86_400)] = Field(default=900, description="Seconds a turn may take.")
    access: AccessTable = Field(
        default=AccessTable(), description="Who may ask it, besides what the general table and the platform's say."
    )
    turns_per_hour: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Turns within an hour, of all people together. 0: no limit."
    )
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
    person: Level = Field(
        default="id",
        description="What the agent is told of who asks. `id`: ids of person, place and roles; `full`: the name as"
        " well, and with `slack.emails` the address; `none`: nothing.",
    )
    person_key: SecretStr | None = Field(
        default=None,
        description="Signs who asks, for a backend that verifies it: 32 bytes or more, as `openssl rand -hex 32`"
        " makes them. Give each agent its own.",
    )
    under_reply: tuple[UnderReply, ...] = Field(
        default=EVERYTHING,
        description="Buttons under an answer: to have it given again, thumbs, and the files where it got or made some.",
    )
    prompts: Annotated[list[Prompt], Field(max_length=MAX_PROMPTS)] = Field(
        default=[],
        description="Questions that Slack offers above the composer of the direct message: texts, or"
        ' `{ title = "…", message = "…" }`. The manifest has those of the default agent.',
    )
    approvers: tuple[str, ...] = Field(
        default=(),
        description='Who may decide what the agent wants leave for, where it names nobody: `["slack:U…", "discord:…"]`.'
        " Empty: whoever asked.",
    )

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

    agent: str = Field(description='An agent\'s name; `""`: nothing is answered there.')
    platform: Literal["slack", "discord"] | None = Field(default=None, description="Only there. Unset: on any.")
    workspace: str | None = Field(
        default=None, description="Only there: a Slack team's id, a Discord server's. Unset: in any."
    )
    channel: str | None = Field(
        default=None,
        description="Only there: a channel's id; for threads on Discord that of their channel. Unset: in any.",
    )
    choices: list[str] = Field(
        default_factory=list,
        description="Agents that people may choose there instead, by the command `agent`; each only by whoever may"
        " ask it.",
    )
    listen: Listen = Field(
        default="follow",
        description="`mention`: each message needs one; `follow`: follow-ups in a thread are free; `all`: every message"
        " of the channel or forum and of its threads. Direct messages are always asked.",
    )
    flat: bool = Field(
        default=False,
        description="Answers in the channel itself, which then is one conversation. A follow-up needs a mention there,"
        " or on Discord a reply to the bot, unless all is heard. What is asked in a thread is answered in it.",
    )
    bots: list[Annotated[str, Field(pattern="^[A-Za-z0-9]+$")]] = Field(
        default_factory=list,
        description="Bots that may ask, alerts say: on Slack by the id of bot, app or user, on Discord of user, webhook"
        " or application. Their messages in the channel need no mention unless `listen` is `mention`. Never more than"
        " 3 in a thread without a person in between, and 30 in a channel an hour.",
    )
    busy: Busy = Field(
        default="queue",
        description="What becomes of messages that come while the agent is at work. `queue`: each is asked in its turn;"
        " `steer`: those of one person in a row are asked together; `interrupt`: a new message of the same person"
        " stops what is under way for them, and is asked next in its turn.",
    )

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

    base_url: str = Field(
        description="The service's address, as in `https://api.openai.com/v1`. Voice notes are written down there,"
        " quoted and asked."
    )
    model: Annotated[str, Field(min_length=1)] = Field(
        description="Its model for speech, as in `gpt-4o-mini-transcribe`."
    )
    api_key: SecretStr | None = Field(default=None, description="Its key.")
    language: Annotated[str, Field(max_length=16)] = Field(
        default="",
        description="The language that people speak (ISO 639-1), as in `de`. Empty: the service finds out.",
    )

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, address: str) -> str:
        if not address.startswith(("http://", "https://")):
            raise ValueError('must be an address, as in "https://api.openai.com/v1"')
        return address
