"""`threadbridge init`: says where each token is to be had, asks for it, tries it, and writes the settings file.

What an agent is asked for follows from its adapter's `Settings`, so a third party's kinds are asked for as well.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import shlex
import sys
import tomllib
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, get_args, get_origin
from urllib.parse import quote

import typer
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from bridge.agents import kinds, load_adapter
from bridge.cli.settings_file import Line, Value, text_of, write
from bridge.findings import Finding, Mark
from bridge.frontends.discord.check import check_discord
from bridge.frontends.discord.invite import PRIVILEGED_INTENTS, application_id, invite_link
from bridge.frontends.discord.settings import DiscordSettings
from bridge.frontends.slack.check import check_slack
from bridge.frontends.slack.manifest import slack_manifest
from bridge.frontends.slack.settings import SlackSettings
from bridge.ops.doctor import bounded, examine
from bridge.settings import DEFAULT_FILE, ENVIRONMENT, AgentTable, SettingsError, sentences

PLATFORMS = {"slack": ("slack",), "discord": ("discord",), "both": ("slack", "discord")}
FIRST_KIND = "echo"  # needs no service and no key

# A name that stands in an environment variable and in a table's header without quotes.
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

M = TypeVar("M", bound=BaseModel)

STANDS_IN = "to-be-set-by-environment"  # for a secret that wasn't given, while the rest is validated


@dataclass(frozen=True, slots=True)
class Secret:
    """A token of a platform: its table and key, how to get it, and the variable that can hold it."""

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

MANIFEST_LINK = "https://api.slack.com/apps?new_app=1&manifest_json="
SLACK_FIRST = """
Slack: make the app and have its tokens at hand.
  1. This link makes the app from its manifest, once you have chosen the workspace:
     {link}
  2. Install App puts it into the workspace.
"""
HOST_FIRST = """\
     In the manifest, put the public address of this machine in place of YOUR-HOST.
"""
DISCORD_FIRST = """
Discord: make the bot and have its token at hand.
  1. At https://discord.com/developers/applications: New Application.
  2. Bot > Privileged Gateway Intents: switch on {intents}.
  3. Bot > Reset Token shows the token, once.
"""

DEADLINE = Line("deadline", AgentTable.model_fields["deadline"].default, "seconds a turn may take", active=False)


def set_up(file: Path, *, offline: bool = False) -> None:
    """Ask, try what is answered unless `offline`, write `file`, say what comes next. Raises `SettingsError`, and
    `typer.Abort` where the answers end too early; the file is then as it was."""
    if not file.absolute().parent.is_dir():
        raise SettingsError(f"{file}: the folder {file.parent} doesn't exist")
    if file.exists() and not typer.confirm(f"{file} is there already. Write it anew?"):
        typer.echo(f"{file} is left as it is.")
        return
    with _quiet():
        _set_up(file, offline=offline)


@contextmanager
def _quiet() -> Iterator[None]:
    """What goes wrong is a finding, and no line of the log between the questions."""
    before = logging.root.manager.disable
    logging.disable()
    try:
        yield
    finally:
        logging.disable(before)


def _set_up(file: Path, *, offline: bool) -> None:
    typer.echo("Tokens and keys aren't shown while you type. Leave one empty to set it by environment later.")
    platforms = PLATFORMS[_choose("Which platforms", list(PLATFORMS), "both")]
    tables: dict[str, list[Line]] = {}
    if "slack" in platforms:
        tables["slack"] = _ask_slack(offline=offline)
    if "discord" in platforms:
        tables["discord"] = _ask_discord(offline=offline)
    kind = _choose("Which kind of agent", kinds(), FIRST_KIND)
    name = _ask_name(kind)
    agent = [Line("kind", kind), *_ask_agent(kind, name), DEADLINE]
    top = [
        Line("database_url", "sqlite:///threadbridge.db", "serves one process; postgresql://… several"),
        Line("default_agent", name, "where no route matches"),
    ]
    write(file, text_of(top, tables, name, agent))
    typer.echo(f"\n{file} is written.\n")
    unset = [line.variable for lines in [*tables.values(), agent] for line in lines if line.variable]
    if not unset and not offline:
        typer.echo("What `threadbridge doctor` says of it:")
        _show(asyncio.run(examine(file)))
        typer.echo("")
    typer.echo("\n".join(_next_steps(file, tables, unset)))


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


def _ask_slack(*, offline: bool) -> list[Line]:
    typer.echo("\nSlack by socket: this process calls Slack. By http: Slack calls it, at a public https address.")
    mode = _choose("Slack by", ["socket", "http"], "socket")
    second = APP_TOKEN if mode == "socket" else SIGNING_SECRET
    stand_ins = {"bot_token": "xoxb-", second.name: "xapp-"}
    manifest = slack_manifest(SlackSettings.model_validate({"mode": mode, **stand_ins}))
    typer.echo(
        SLACK_FIRST.format(link=MANIFEST_LINK + quote(json.dumps(manifest, separators=(",", ":")), safe=""))
    )
    if mode == "http":
        typer.echo(HOST_FIRST)

    def ask() -> list[Line]:
        comment = '"socket": this process calls Slack; "http": Slack calls it'
        return [Line("mode", mode, comment), *(_ask_secret(SlackSettings, one) for one in (BOT_TOKEN, second))]

    def check(values: Mapping[str, Value]) -> AsyncGenerator[Finding]:
        return check_slack(_with_environment("slack", values, SlackSettings), {})

    return _tried(ask, None if offline else check)


def _ask_discord(*, offline: bool) -> list[Line]:
    typer.echo(DISCORD_FIRST.format(intents=", ".join(PRIVILEGED_INTENTS)))

    def check(values: Mapping[str, Value]) -> AsyncGenerator[Finding]:
        settings = _with_environment("discord", values, DiscordSettings)
        return check_discord(settings, {}, lists_servers=bool(settings.access.servers))

    return _tried(
        lambda: [_ask_secret(DiscordSettings, DISCORD_TOKEN), _ask_servers()], None if offline else check
    )


def _ask_servers() -> Line:
    """A bot that anyone may invite would serve whoever does."""
    comment = "by their ids; empty: every server that it is in"
    while True:
        answer = _ask("discord.access.servers, ids of the servers that it is for (empty: every one that it is in)")
        servers = answer.replace(",", " ").split()
        if not servers:
            return Line("access", {"servers": []}, comment, active=False)
        if wrong := [one for one in servers if not one.isdecimal()]:
            typer.echo(
                f"{wrong[0]!r} isn't an id: Settings > Advanced > Developer Mode, then right-click the server."
            )
        else:
            return Line("access", {"servers": servers}, comment)


def _tried(
    ask: Callable[[], list[Line]], check: Callable[[Mapping[str, Value]], AsyncGenerator[Finding]] | None
) -> list[Line]:
    """What was answered, tried on the platform and asked for again while it fails and the person wants to."""
    while True:
        lines = ask()
        if check is None or any(line.variable for line in lines):
            return lines
        values = {line.name: line.value for line in lines if line.value is not None}
        found = asyncio.run(bounded("settings", check(values)))
        _show(found)
        if all(finding.mark is not Mark.FAIL for finding in found) or not typer.confirm("Enter it again?"):
            return lines


def _with_environment(table: str, values: Mapping[str, Value], model: type[M]) -> M:
    """A platform's settings as `run` will have them, an address from the environment too."""
    variables = {f"{ENVIRONMENT}{table}__{name}".upper(): name for name in model.model_fields}
    given = {name: os.environ[variable] for variable, name in variables.items() if variable in os.environ}
    try:
        return model.model_validate({**values, **given})
    except ValidationError as error:
        raise SettingsError("; ".join(sentences(error, table))) from None


def _show(findings: Sequence[Finding]) -> None:
    for finding in findings:
        typer.echo(f"  {finding}")


def _ask_agent(kind: str, name: str) -> list[Line]:
    """What the adapter requires and every secret; if that isn't enough for it, the rest as well, save tables."""
    model = load_adapter(kind, f"agents.{name}").Settings
    values: dict[str, Value] = {}
    first = [one for one, field in model.model_fields.items() if field.is_required() or _is_secret(field)]
    for one in first:
        _ask_field(model, name, one, values)
    while refusal := _refused_whole(model, values):
        typer.echo(f"agents.{name}: {refusal}")
        for one, field in model.model_fields.items():
            if one not in first and not _is_table(field):
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
    """Whether it is one secret; a table of them, such as headers, is for whoever writes it into the file."""
    return not _is_table(field) and SecretStr in (field.annotation, *get_args(field.annotation))


def _is_table(field: FieldInfo) -> bool:
    held = [get_origin(one) or one for one in (field.annotation, *get_args(field.annotation))]
    return any(isinstance(one, type) and issubclass(one, Mapping) for one in held)


def _is_text(answer: str) -> bool:
    try:
        answer.encode()
    except UnicodeEncodeError:
        return False
    return True


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


# --- what comes next -----------------------------------------------------------------------------------------


def _next_steps(file: Path, tables: Mapping[str, Sequence[Line]], unset: Sequence[str]) -> Iterator[str]:
    option = "" if file == Path(DEFAULT_FILE) else f" --config {shlex.quote(str(file))}"
    if unset:
        yield f"Still to be set, in {file} or in the environment: {', '.join(unset)}."
    yield f"`threadbridge doctor{option}` tells whether all of it works, `threadbridge run{option}` serves."
    if "slack" in tables:
        yield "In Slack, /invite the app into a channel and mention it, or write to it directly."
    if "discord" in tables:
        link = _invite(tables["discord"][0]) or f"`threadbridge manifest discord{option}` prints the link."
        yield f"Into a Discord server it comes by its invite link: {link}"


def _invite(token: Line) -> str | None:
    application = application_id(SecretStr(str(token.value)))
    return invite_link(application) if token.active and application is not None else None
