"""`threadbridge init`: asks at the terminal, writes the settings file, and says what to do on the platforms.

What an agent is asked for follows from its adapter's `Settings`, so a third party's kinds are asked for as well.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import typer
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from bridge.agents import kinds, load_adapter
from bridge.frontends.discord.invite import PRIVILEGED_INTENTS, application_id, invite_link
from bridge.frontends.discord.settings import DiscordSettings
from bridge.frontends.slack.settings import SlackSettings
from bridge.settings import DEFAULT_FILE, ENVIRONMENT, AgentTable, SettingsError
from bridge.toml import Value, dumps, key

PLATFORMS = {"slack": ("slack",), "discord": ("discord",), "both": ("slack", "discord")}
FIRST_KIND = "echo"  # needs no service and no key

# A name that stands in an environment variable and in a table's header without quotes.
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

STANDS_IN = "to-be-set-by-environment"  # for a secret that wasn't given, while the rest is validated

HEADER = f"""\
# Settings of Threadbridge. They hold secrets: keep this file out of version control.
# Every key can be set by environment instead, and that wins: {ENVIRONMENT}HTTP__PORT=3001.
# `threadbridge doctor` tells whether all of it works.
"""
ROUTES = """\
# Another agent in one channel, by an [agents.…] table of its own. The first that matches answers.
# [[routes]]
# platform = "slack"
# channel = "C0123"
# agent = "support"
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One key of a table; None stands for a value that isn't known. What isn't `active` is written as a comment.
    `variable` names what must then be set in the environment instead."""

    name: str
    value: Value | None
    comment: str = ""
    active: bool = True
    variable: str = ""

    def __str__(self) -> str:
        value = "…" if self.value is None else dumps(self.value)
        note = f"  # {self.comment}" if self.comment else ""
        return f"{'' if self.active else '# '}{key(self.name)} = {value}{note}"


@dataclass(frozen=True, slots=True)
class Secret:
    """A token of a platform: its table and key, where the platform shows it, and the variable that can hold it."""

    table: str
    name: str
    shown_at: str
    variable: str

    def __str__(self) -> str:
        return f"{self.table}.{self.name}"


BOT_TOKEN = Secret("slack", "bot_token", "OAuth & Permissions > Bot User OAuth Token", "SLACK_BOT_TOKEN")
APP_TOKEN = Secret(
    "slack", "app_token", "Basic Information > App-Level Tokens, with connections:write", "SLACK_APP_TOKEN"
)
SIGNING_SECRET = Secret(
    "slack", "signing_secret", "Basic Information > App Credentials > Signing Secret", "SLACK_SIGNING_SECRET"
)
DISCORD_TOKEN = Secret("discord", "token", "Bot > Reset Token", "DISCORD_TOKEN")

DEADLINE = Line("deadline", AgentTable.model_fields["deadline"].default, "seconds a turn may take", active=False)


def set_up(file: Path) -> None:
    """Ask, write `file`, say what comes next. Raises `SettingsError`, and `typer.Abort` where the answers end too
    early; the file is then as it was."""
    if not file.absolute().parent.is_dir():
        raise SettingsError(f"{file}: the folder {file.parent} doesn't exist")
    if file.exists() and not typer.confirm(f"{file} is there already. Write it anew?"):
        typer.echo(f"{file} is left as it is.")
        return
    typer.echo("Tokens and keys aren't shown while you type. Leave one empty to set it by environment later.")
    platforms = PLATFORMS[_choose("Which platforms", list(PLATFORMS), "both")]
    tables: dict[str, list[Line]] = {}
    if "slack" in platforms:
        tables["slack"] = _ask_slack()
    if "discord" in platforms:
        tables["discord"] = [_ask_secret(DiscordSettings, DISCORD_TOKEN)]
    kind = _choose("Which kind of agent", kinds(), FIRST_KIND)
    name = _ask_name(kind)
    tables[f"agents.{name}"] = [Line("kind", kind), *_ask_agent(kind, name), DEADLINE]
    _write(file, _text(tables, name))
    typer.echo(f"\n{file} is written.\n")
    typer.echo("\n".join(_next_steps(file, tables)))


# --- questions -----------------------------------------------------------------------------------------------


def _ask(question: str, default: str = "", *, hidden: bool = False) -> str:
    while True:
        if not hidden:
            answer = str(typer.prompt(question, default=default, show_default=bool(default)))
        elif sys.stdin.isatty():
            answer = str(typer.prompt(question, default="", show_default=False, hide_input=True))
        else:  # a hidden prompt would look for a terminal elsewhere
            typer.echo(f"{question}: ")
            answer = sys.stdin.readline()
            if not answer:
                raise typer.Abort
        if _is_text(answer):
            return answer.strip()
        typer.echo("That isn't text in this terminal's encoding.")


def _choose(question: str, options: Sequence[str], default: str) -> str:
    while (answer := _ask(f"{question} ({', '.join(options)})", default)) not in options:
        typer.echo(f"{answer!r} is none of them.")
    return answer


def _ask_name(kind: str) -> str:
    default = kind if NAME.fullmatch(kind) else "agent"
    while not NAME.fullmatch(answer := _ask("A name for the agent", default)):
        typer.echo("Small letters and digits, in words with an underscore between them.")
    return answer


def _ask_secret(model: type[BaseModel], secret: Secret) -> Line:
    while True:
        answer = _ask(f"{secret}, at {secret.shown_at} (empty: from {secret.variable})", hidden=True)
        if not answer:
            comment = f"{secret.shown_at}; or set {secret.variable}"
            return Line(secret.name, None, comment, active=False, variable=secret.variable)
        if refusal := _refusal(model, secret.name, answer):
            typer.echo(refusal)
        else:
            return Line(secret.name, answer, secret.shown_at)


def _ask_slack() -> list[Line]:
    typer.echo("Slack by socket: this process calls Slack. By http: Slack calls it, at a public https address.")
    mode = _choose("Slack by", ["socket", "http"], "socket")
    comment = '"socket": this process calls Slack; "http": Slack calls it'
    second = APP_TOKEN if mode == "socket" else SIGNING_SECRET
    return [Line("mode", mode, comment), *(_ask_secret(SlackSettings, one) for one in (BOT_TOKEN, second))]


def _ask_agent(kind: str, name: str) -> list[Line]:
    """What the adapter requires and every secret; if that isn't enough for it, all the rest as well."""
    model = load_adapter(kind, f"agents.{name}").Settings
    values: dict[str, Value] = {}
    first = [one for one, field in model.model_fields.items() if field.is_required() or _is_secret(field)]
    for one in first:
        _ask_field(model, name, one, values)
    while refusal := _refused_whole(model, values):
        typer.echo(f"agents.{name}: {refusal}")
        for one in model.model_fields:
            if one not in first:
                _ask_field(model, name, one, values)
    return [_line(name, one, field, values) for one, field in model.model_fields.items()]


def _ask_field(model: type[BaseModel], agent: str, name: str, values: dict[str, Value]) -> None:
    """Put an answer into `values`; an empty one leaves a secret to the environment and the rest as it was."""
    field = model.model_fields[name]
    hidden = _is_secret(field)
    question = f"{name}, {field.description}" if field.description else name
    if hidden:
        question += f" (empty: {'' if field.is_required() else 'none, or '}from {_variable(agent, name)})"
    default = values.get(name, None if field.is_required() else field.get_default(call_default_factory=True))
    shown = "" if hidden or default is None else str(default)
    while True:
        answer = _ask(question, shown, hidden=hidden)
        if answer == shown and (hidden or not field.is_required()):
            return
        # Numbers and lists are typed as in TOML; a text that looks like one is still a text where that is wanted.
        candidates: list[Value] = [answer] if hidden else [*_literal(answer), answer]
        refusals = [_refusal(model, name, candidate) for candidate in candidates]
        if answer and None in refusals:
            values[name] = candidates[refusals.index(None)]
            return
        typer.echo(refusals[-1] if answer else "This can't be left empty.")


def _literal(text: str) -> Iterator[Value]:
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return
    if isinstance(value, bool | int | float | list | dict):
        yield value


def _refusal(model: type[BaseModel], name: str, value: Value) -> str | None:
    """What the model says against one key's value, whatever the others are."""
    try:
        model(**{name: value})
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            if problem["loc"][:1] == (name,):
                return str(problem["msg"])
    return None


def _refused_whole(model: type[BaseModel], values: Mapping[str, Value]) -> str | None:
    """What the model says against all of them together."""
    fields = model.model_fields.items()
    to_come = {one: STANDS_IN for one, field in fields if _is_secret(field) and field.is_required()}
    try:
        model(**{**to_come, **values})
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            if problem["loc"][:1] not in {(one,) for one in to_come}:
                return str(problem["msg"]).removeprefix("Value error, ")
    return None


def _is_secret(field: FieldInfo) -> bool:
    return SecretStr in (field.annotation, *get_args(field.annotation))


def _is_text(answer: str) -> bool:
    try:
        answer.encode()
    except UnicodeEncodeError:
        return False
    return True


# --- the file ------------------------------------------------------------------------------------------------


def _variable(agent: str, name: str) -> str:
    return f"{ENVIRONMENT}AGENTS__{agent.upper()}__{name.upper()}"


def _line(agent: str, name: str, field: FieldInfo, values: Mapping[str, Value]) -> Line:
    if name in values:
        return Line(name, values[name])
    if _is_secret(field):
        variable = _variable(agent, name)
        return Line(
            name, None, f"or set {variable}", active=False, variable=variable if field.is_required() else ""
        )
    default = field.get_default(call_default_factory=True)
    return Line(name, default if isinstance(default, str | bool | int | float) else None, active=False)


def _text(tables: Mapping[str, Sequence[Line]], agent: str) -> str:
    top = [
        Line("database_url", "sqlite:///threadbridge.db", "serves one process; postgresql://… several"),
        Line("default_agent", agent, "where no route matches"),
    ]
    parts = [HEADER, "\n".join(map(str, top))]
    parts += ["\n".join([f"[{name}]", *map(str, lines)]) for name, lines in tables.items()]
    return "\n\n".join([*(part.rstrip() for part in parts), ROUTES])


def _write(file: Path, text: str) -> None:
    """All or nothing, and readable by its owner alone."""
    try:
        descriptor, name = tempfile.mkstemp(dir=file.absolute().parent, prefix=f".{file.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as draft:
                draft.write(text)
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink()
            raise
    except OSError as error:
        raise SettingsError(f"{file} can't be written: {error.strerror}") from None


# --- what comes next -----------------------------------------------------------------------------------------

SLACK_STEPS = """Slack
  1. At https://api.slack.com/apps: Create New App > From a manifest, and paste what `{manifest}` prints{host}.
  2. Install the app. OAuth & Permissions then shows the Bot User OAuth Token (xoxb-…):
     bot_token under [slack], or SLACK_BOT_TOKEN.
  3. {second}
  4. In Slack, /invite the app into a channel and mention it, or write to it directly.
"""
SOCKET_STEP = """Basic Information > App-Level Tokens: make one with the scope connections:write (xapp-…):
     app_token under [slack], or SLACK_APP_TOKEN."""
HTTP_STEP = """Basic Information > App Credentials shows the Signing Secret:
     signing_secret under [slack], or SLACK_SIGNING_SECRET."""
DISCORD_STEPS = """Discord
  1. At https://discord.com/developers/applications: New Application. Bot > Reset Token shows the token:
     token under [discord], or DISCORD_TOKEN.
  2. Bot > Privileged Gateway Intents: switch on {intents}.
  3. Put the bot into a server by its invite link: {link}
"""


def _next_steps(file: Path, tables: Mapping[str, Sequence[Line]]) -> Iterator[str]:
    option = "" if file == Path(DEFAULT_FILE) else f" --config {shlex.quote(str(file))}"
    if "slack" in tables:
        socket = tables["slack"][0].value == "socket"
        yield SLACK_STEPS.format(
            manifest=f"threadbridge manifest slack{option}",
            host="" if socket else ",\n     with the address of this machine in place of YOUR-HOST",
            second=SOCKET_STEP if socket else HTTP_STEP,
        )
    if "discord" in tables:
        yield DISCORD_STEPS.format(
            intents=", ".join(PRIVILEGED_INTENTS),
            link=_invite(tables["discord"][0]) or f"`threadbridge manifest discord{option}` prints it.",
        )
    unset = [line.variable for lines in tables.values() for line in lines if line.variable]
    if unset:
        yield f"Still to be set, in {file} or in the environment: {', '.join(unset)}.\n"
    yield "Then:"
    yield f"  threadbridge doctor{option}   tells whether all of it works"
    yield f"  threadbridge run{option}      serves"


def _invite(token: Line) -> str | None:
    application = application_id(SecretStr(str(token.value)))
    return invite_link(application) if token.active and application is not None else None
