"""Settings from `threadbridge.toml` and the environment; a mistake is one sentence that names its place."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bridge.access import DENY, PERSON, Access, AccessTable
from bridge.frontends.discord.settings import DiscordSettings
from bridge.frontends.slack.settings import SlackSettings
from bridge.inbound import Address, Platform
from bridge.listening import USUAL, Busy, Listen, Listening
from bridge.prompts import MAX_PROMPTS, Prompt
from bridge.turns.gate import TurnsPerHour
from bridge.turns.links import Links
from bridge.turns.person import MIN_KEY, Level, Telling
from bridge.turns.under_reply import EVERYTHING, UnderReply

DEFAULT_FILE = "threadbridge.toml"
ENVIRONMENT = "THREADBRIDGE_"
LOCAL = frozenset({"127.0.0.1", "::1", "localhost"})  # where an address needs no TLS
# Names that the platforms' own guides use, and where they belong.
FAMILIAR = {
    "SLACK_BOT_TOKEN": ("slack", "bot_token"),
    "SLACK_APP_TOKEN": ("slack", "app_token"),
    "SLACK_SIGNING_SECRET": ("slack", "signing_secret"),
    "DISCORD_TOKEN": ("discord", "token"),
    "DATABASE_URL": ("database_url",),
}
# By pydantic's type of a mistake. What isn't here keeps pydantic's own words.
WORDING = {
    "less_than_equal": "must be {le} or less",
    "less_than": "must be less than {lt}",
    "greater_than_equal": "must be {ge} or more",
    "greater_than": "must be more than {gt}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text in quotes",
    "string_too_short": "must have {min_length} characters or more",
    "string_too_long": "must have {max_length} characters or less",
    "too_long": "may have {max_length} entries at most",
    "list_type": "must be a list, as in [1, 2]",
    "tuple_type": "must be a list, as in [1, 2]",
    "dict_type": "must be a table of keys and values",
    "model_type": "must be a table of keys and values",
    "model_attributes_type": "must be a table of keys and values",
}


MIN_TOKEN = 20  # characters
_HEADER = re.compile(r"[!-~]+")
_PLACE = re.compile(r"(?:slack:[A-Z0-9]{2,64}|discord:[0-9]{1,20})")


class SettingsError(Exception):
    """A wrong setting; `str(error)` is one sentence with its place and what to do."""


class HttpSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 3000
    token: SecretStr | None = None  # of agents and webhooks that speak first; without it none may
    speak: list[str] = Field(default_factory=list)  # where they may: "slack:C0123", "discord:1234", "slack:U07"
    hosts: list[str] = Field(
        default_factory=list
    )  # names of this machine that /mcp answers to, as in a Host header

    @field_validator("token")
    @classmethod
    def _is_long_enough(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and len(token.get_secret_value()) < MIN_TOKEN:
            raise ValueError(f"needs {MIN_TOKEN} characters or more, as `openssl rand -hex 32` makes them")
        if token is not None and not _HEADER.fullmatch(token.get_secret_value()):
            raise ValueError("may hold no spaces and no letters beyond ASCII, as it comes in a header")
        return token

    @field_validator("speak")
    @classmethod
    def _are_places(cls, places: list[str]) -> list[str]:
        for place in places:
            if not _PLACE.fullmatch(place):
                raise ValueError(
                    f'{place!r} is no place: write "slack:" or "discord:" and a channel\'s or person\'s id'
                )
        return places

    public_url: str = ""  # where people's browsers reach this process, through a proxy with TLS
    link_key: SecretStr | None = None  # signs links to files too large for a platform; without it there are none
    link_hours: Annotated[float, Field(gt=0, le=24 * 7)] = 24  # how long such a link is good

    @field_validator("public_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        parts = urlsplit(url)
        local = parts.scheme == "http" and parts.hostname in LOCAL
        if (url and not (parts.hostname and (parts.scheme == "https" or local))) or parts.query or parts.fragment:
            raise ValueError('must be an address as "https://bridge.example.com"')
        return url.rstrip("/")

    @field_validator("link_key")
    @classmethod
    def _is_key_long_enough(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and len(key.get_secret_value().encode()) < MIN_KEY:
            raise ValueError(f"needs {MIN_KEY} bytes or more, as `openssl rand -hex {MIN_KEY}` makes them")
        return key

    @model_validator(mode="after")
    def _can_be_reached(self) -> HttpSettings:
        if self.link_key is not None and not self.public_url:
            raise ValueError("link_key signs links, and they need public_url: where this process is reached")
        return self

    @property
    def links(self) -> Links | None:
        return None if self.link_key is None else Links(self.public_url, self.link_key, self.link_hours)


class AgentTable(BaseModel):
    """`[agents.NAME]`: what every kind shares. The rest belongs to the adapter and is checked by it."""

    model_config = ConfigDict(extra="allow")

    kind: str
    deadline: Annotated[float, Field(gt=0, le=86_400)] = 900  # seconds a turn may take
    access: AccessTable = AccessTable()
    turns_per_hour: Annotated[int, Field(ge=0)] = 0  # 0: no limit
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


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT, env_nested_delimiter="__", extra="forbid")

    database_url: SecretStr = SecretStr("sqlite:///threadbridge.db")
    default_agent: str | None = None
    choices: list[str] = Field(default_factory=list)  # agents that people may choose where no route matches
    http: HttpSettings = HttpSettings()
    slack: SlackSettings | None = None
    discord: DiscordSettings | None = None
    agents: dict[Annotated[str, Field(max_length=64)], AgentTable] = Field(default_factory=dict)
    routes: list[Route] = Field(default_factory=list)
    limits: Limits = Limits()
    access: AccessTable = AccessTable()
    transcription: TranscriptionSettings | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings  # the environment wins over the file

    def agent_for(self, address: Address) -> str:
        """The agent of the first route that matches, else the default."""
        route = self._route(address)
        return route.agent if route is not None else self.default_agent or next(iter(self.agents))

    def listening_at(self, address: Address) -> Listening:
        """When the bot speaks there, and how."""
        route = self._route(address)
        return USUAL if route is None else route.listening

    def busy_at(self, address: Address) -> Busy:
        """What becomes of messages that come there while the agent is at work."""
        route = self._route(address)
        return "queue" if route is None else route.busy

    def trusted_bots(self, platform: Platform) -> frozenset[str]:
        """Bots that may ask somewhere on a platform."""
        return frozenset(bot for route in self.routes if route.platform in (None, platform) for bot in route.bots)

    @property
    def rules(self) -> Access:
        """Who may ask whom."""
        platforms = {"slack": self.slack, "discord": self.discord}
        return Access(
            general=self.access,
            platforms={name: table.access for name, table in platforms.items() if table is not None},
            agents={name: table.access for name, table in self.agents.items() if table.access != AccessTable()},
        )

    @property
    def turns_per_hour(self) -> TurnsPerHour:
        agents = {name: table.turns_per_hour for name, table in self.agents.items() if table.turns_per_hour}
        return TurnsPerHour(self.limits.turns_per_hour, self.limits.channel_turns_per_hour, agents)

    def prompts_at(self, address: Address) -> Sequence[Prompt]:
        """What the agent that answers there offers to be asked."""
        table = self.agents.get(self.agent_for(address))
        return () if table is None else table.prompts

    @property
    def default_prompts(self) -> Sequence[Prompt]:
        """Those of the agent that answers where no route says otherwise."""
        table = self.agents.get(self.default_agent or next(iter(self.agents), ""))
        return () if table is None else table.prompts

    def choices_at(self, address: Address) -> Sequence[str]:
        """The agents that a person may choose there, the one that answers by itself among them."""
        route = self._route(address)
        return list(dict.fromkeys([self.agent_for(address), *(self.choices if route is None else route.choices)]))

    def _route(self, address: Address) -> Route | None:
        """The first that matches."""
        return next((route for route in self.routes if route.matches(address)), None)


def load(path: Path | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings. Raises `SettingsError`."""
    named = path or (Path(environment["THREADBRIDGE_CONFIG"]) if "THREADBRIDGE_CONFIG" in environment else None)
    file = named or Path(DEFAULT_FILE)
    values: dict[str, Any] = {}
    if file.is_file():
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            raise SettingsError(f"{file} isn't UTF-8 text (byte {error.start})") from None
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{file} isn't valid TOML: {error}") from None
        except OSError as error:
            raise SettingsError(f"{file} can't be read: {error.strerror}") from None
    elif named is not None:
        raise SettingsError(f"{file} doesn't exist; `threadbridge init` writes one")
    for name, place in FAMILIAR.items():
        if environment.get(name):
            _set(values, place, environment[name])
    try:
        settings = Settings(**values)
    except ValidationError as error:
        source = str(file) if file.is_file() else "the environment"
        raise SettingsError("; ".join(_placed(error, source, environment))) from None
    if not settings.model_fields_set:
        raise SettingsError(
            f"there is no {DEFAULT_FILE} in {Path.cwd()}; `threadbridge init` writes one,"
            " and --config or THREADBRIDGE_CONFIG names another"
        )
    _check_agents(settings, str(file))
    return settings


def sentences(error: ValidationError, place: str, known: Sequence[str] = ()) -> Iterator[str]:
    """What is wrong with the keys of one table, without their values. `known` are those that it may have."""
    for problem in error.errors(include_input=False, include_url=False):
        path = ".".join([place, *map(str, problem["loc"])])
        match problem["type"]:
            case "extra_forbidden":
                yield f"{path} is unknown{_meant(str(problem['loc'][-1]), known)}"
            case "missing":
                yield f"{path} is missing"
            case _:
                yield f"{path} {wording(problem)}" if problem["type"] in WORDING else f"{path}: {wording(problem)}"


def wording(problem: ErrorDetails) -> str:
    """What is wrong with a value, in a settings file's words and without the value."""
    if problem["type"] in WORDING:
        return WORDING[problem["type"]].format(**problem.get("ctx", {}))
    message = problem["msg"].removeprefix("Value error, ")
    return f"{message[:1].lower()}{message[1:]}"


def _set(values: dict[str, Any], place: tuple[str, ...], value: str) -> None:
    *tables, key = place
    for table in tables:
        values = values.setdefault(table, {})
    values[key] = value


def _check_agents(settings: Settings, file: str) -> None:
    names = sorted(settings.agents)
    wanted = [("default_agent", settings.default_agent)] if settings.default_agent else []
    wanted += [
        (f"routes[{index}].agent", route.agent) for index, route in enumerate(settings.routes) if route.agent
    ]
    wanted += [(f"choices[{index}]", name) for index, name in enumerate(settings.choices)]
    for index, route in enumerate(settings.routes):
        wanted += [(f"routes[{index}].choices[{at}]", name) for at, name in enumerate(route.choices)]
    for place, name in wanted:
        if name not in settings.agents:
            raise SettingsError(
                f"{file}: {place} names the agent {name!r}, but there is no [agents.{name}]{_meant(name, names)}"
            )


def _placed(error: ValidationError, file: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Each mistake with where it was made: a variable of the environment or a key of the file."""
    variables = {name.upper(): name for name in environment}
    familiar = {place: name for name, place in FAMILIAR.items() if environment.get(name)}
    for problem in error.errors(include_input=False, include_url=False):
        steps = problem["loc"]
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")
        variable = variables.get(f"{ENVIRONMENT}{'__'.join(map(str, steps))}".upper())
        source = variable or familiar.get(tuple(map(str, steps))) or file
        match problem["type"]:
            case "extra_forbidden":
                yield f"{source}: unknown key {path}{_meant(str(steps[-1]), _keys(steps[:-1]))}"
            case "missing":
                yield f"{source}: {path} is missing"
            case kind if kind in WORDING:
                yield f"{source}: {path} {wording(problem)}"
            case _:
                yield f"{source}: {path}: {wording(problem)}" if path else f"{source}: {wording(problem)}"


def _keys(place: tuple[int | str, ...]) -> list[str]:
    model: Any = Settings
    for step in place:
        if isinstance(step, int):  # of a list, whose items were stepped into already
            continue
        if not (isinstance(model, type) and issubclass(model, BaseModel)) or step not in model.model_fields:
            return []
        annotation = model.model_fields[str(step)].annotation
        options = getattr(annotation, "__args__", (annotation,))
        model = next((one for one in options if isinstance(one, type) and issubclass(one, BaseModel)), None)
    return sorted(model.model_fields) if model is not None else []


def _meant(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}" if known else ""
