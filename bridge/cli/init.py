"""`threadbridge init`: explains each token, asks for it, tries it, and writes the settings file."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
import tomllib
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import typer
from pydantic import BaseModel, SecretStr, ValidationError

from bridge.agents import kinds
from bridge.cli import unit_file
from bridge.cli.agent_questions import ask_agent, ask_name, refusal_of
from bridge.cli.questions import ask, choose, no_log, show
from bridge.cli.settings_file import Line, Value, agents_in, read, text_of, with_agent, with_platforms, write
from bridge.cli.tokens import APP_TOKEN, BOT_TOKEN, DISCORD_TOKEN, SIGNING_SECRET, Secret, explained, mistaken
from bridge.findings import Finding, Mark
from bridge.frontends.discord.check import check_discord
from bridge.frontends.discord.invite import PRIVILEGED_INTENTS, application_id, invite_link
from bridge.frontends.discord.settings import DiscordSettings
from bridge.frontends.slack.check import check_slack
from bridge.frontends.slack.manifest import manifest_link, slack_manifest
from bridge.frontends.slack.settings import SlackSettings
from bridge.ops.doctor import bounded, examine
from bridge.settings import DEFAULT_FILE, ENVIRONMENT, AgentTable, SettingsError, sentences

PLATFORMS = {"slack": ("slack",), "discord": ("discord",), "both": ("slack", "discord")}
FIRST_KIND = "echo"  # needs no service and no key
LEAVE, COMPLETE, ANEW = "leave", "complete", "anew"
OLD = ".old"  # what a file is kept as that is written anew

M = TypeVar("M", bound=BaseModel)
Check = Callable[[Mapping[str, Value]], AsyncGenerator[Finding]]

SLACK_FIRST = """
Slack: make the app.
  1. This link opens Slack's page for a new app, filled in. Choose the workspace, Next, Create:
     {link}
  2. Install App > Install to Workspace > Allow."""
HOST_FIRST = """\
     In the manifest, put the public address of this machine in place of YOUR-HOST."""
DISCORD_FIRST = """
Discord: make the bot.
  1. At https://discord.com/developers/applications: New Application, a name, Create.
  2. Bot > Privileged Gateway Intents: switch on {intents}, Save Changes."""
INVITE = """
Put the bot into a server by its invite link, if it isn't in one yet:
  {link}"""

DEADLINE = Line("deadline", AgentTable.model_fields["deadline"].default, "seconds a turn may take", active=False)


def set_up(file: Path, *, offline: bool = False) -> None:
    """Ask, try what is answered unless `offline`, write `file`, say what comes next. Raises `SettingsError`, and
    `typer.Abort` where the answers end too early; the file is then as it was."""
    if not file.absolute().parent.is_dir():
        raise SettingsError(f"{file}: the folder {file.parent} doesn't exist")
    how = ANEW
    if file.exists():
        typer.echo(
            f"{file} is there already. complete: put platforms into it, all else stays. anew: write another."
        )
        how = choose("What about it", [LEAVE, COMPLETE, ANEW], LEAVE)
    if how == LEAVE:
        typer.echo(f"{file} is left as it is. `threadbridge add URL` puts an agent into it.")
        return
    with no_log():
        _set_up(file, complete=how == COMPLETE, offline=offline)


def _set_up(file: Path, *, complete: bool, offline: bool) -> None:
    before = read(file) if complete else ""
    named = agents_in(before, file)
    slack = tomllib.loads(before).get("slack")
    serves_many = isinstance(slack, dict) and bool(slack.get("client_id"))
    typer.echo("Tokens and keys aren't shown while you type. Leave one empty to set it by environment later.")
    platforms = PLATFORMS[choose("Which platforms", list(PLATFORMS), "both")]
    if serves_many and "slack" in platforms:
        raise SettingsError(f"{file}: [slack] serves many workspaces by client_id, so it takes no bot_token")
    tables: dict[str, list[Line]] = {}
    if "slack" in platforms:
        tables["slack"] = _ask_slack(offline=offline)
    if "discord" in platforms:
        tables["discord"] = _ask_discord(offline=offline)
    name, agent = "", list[Line]()
    if not named:
        kind = choose("Which kind of agent", kinds(), FIRST_KIND)
        name = ask_name(kind)
        agent = [Line("kind", kind), *ask_agent(kind, name), DEADLINE]
    if complete:
        text = with_platforms(before, tables, file)
        text = with_agent(text, name, agent, file) if agent else text
    else:
        top = [
            Line("database_url", "sqlite:///threadbridge.db", "serves one process; postgresql://… several"),
            Line("default_agent", name, "where no route matches"),
        ]
        text = text_of(top, tables, name, agent)
        _keep_old(file)
    write(file, text)
    typer.echo(f"\n{file} is written.\n")
    unset = list(_unset(tables, agent, before))
    if not unset and not offline:
        typer.echo("What `threadbridge doctor` says of it:")
        show(asyncio.run(examine(file)))
        typer.echo("")
    _offer_unit(file)
    typer.echo("\n".join(_next_steps(file, tables, unset)))


def _keep_old(file: Path) -> None:
    if file.exists():
        old = file.with_name(f"{file.name}{OLD}")
        write(old, file.read_bytes().decode(errors="replace"))
        typer.echo(f"\nThe file that was there is now {old}; it may hold secrets.")


def _unset(tables: Mapping[str, Sequence[Line]], agent: Sequence[Line], before: str) -> Iterator[str]:
    """The variables of what wasn't given, and didn't stand in the file before."""
    there = tomllib.loads(before)
    for table, lines in [*tables.items(), ("", agent)]:
        yield from (line.variable for line in lines if line.variable and line.name not in there.get(table, {}))


# --- the platforms' tokens -----------------------------------------------------------------------------------


def _ask_secret(model: type[BaseModel], secret: Secret, given: str = "") -> Line:
    """`given` is what was answered before, which an empty answer keeps."""
    typer.echo(explained(secret))
    empty = "the same once more" if given else f"from {secret.variable}"
    while True:
        answer = ask(f"{secret} (empty: {empty})", hidden=True) or given
        if not answer:
            comment = f"{secret.shown_at}; or set {secret.variable}"
            return Line(secret.name, None, comment, active=False, variable=secret.variable)
        if refusal := mistaken(secret, answer) or refusal_of(model, secret.name, answer):
            typer.echo(refusal)
        else:
            return Line(secret.name, answer, secret.shown_at)


def _ask_slack(*, offline: bool) -> list[Line]:
    typer.echo("\nSlack by socket: this process calls Slack. By http: Slack calls it, at a public https address.")
    mode = choose("Slack by", ["socket", "http"], "socket")
    second = APP_TOKEN if mode == "socket" else SIGNING_SECRET
    stand_ins = {"bot_token": "xoxb-", second.name: "xapp-"}
    manifest = slack_manifest(SlackSettings.model_validate({"mode": mode, **stand_ins}))
    typer.echo(SLACK_FIRST.format(link=manifest_link(manifest)))
    if mode == "http":
        typer.echo(HOST_FIRST)

    def check(values: Mapping[str, Value]) -> AsyncGenerator[Finding]:
        return check_slack(_with_environment("slack", {"mode": mode, **values}, SlackSettings), {})

    comment = '"socket": this process calls Slack; "http": Slack calls it'
    secrets = {secret: _ask_secret(SlackSettings, secret) for secret in (BOT_TOKEN, second)}
    return [Line("mode", mode, comment), *_tried(SlackSettings, secrets, None if offline else check)]


def _ask_discord(*, offline: bool) -> list[Line]:
    typer.echo(DISCORD_FIRST.format(intents=", ".join(PRIVILEGED_INTENTS)))

    def check(values: Mapping[str, Value]) -> AsyncGenerator[Finding]:
        # Whom it serves is asked next.
        return check_discord(_with_environment("discord", values, DiscordSettings), {}, lists_servers=True)

    token = _ask_secret(DiscordSettings, DISCORD_TOKEN)
    if link := _invite(token):
        typer.echo(INVITE.format(link=link))
    tokens = _tried(DiscordSettings, {DISCORD_TOKEN: token}, None if offline else check)
    return [*tokens, _ask_servers()]


def _ask_servers() -> Line:
    """A bot that anyone may invite would serve whoever does."""
    comment = "by their ids; empty: every server that it is in"
    typer.echo(
        "\nA server's id: in Discord, Settings > Advanced > Developer Mode, then right-click it > Copy Server ID."
    )
    while True:
        answer = ask("discord.access.servers, ids of the servers that it is for (empty: every one that it is in)")
        servers = answer.replace(",", " ").split()
        if not servers:
            return Line("access", {"servers": []}, comment, active=False)
        if wrong := [one for one in servers if not one.isdecimal()]:
            typer.echo(f"{wrong[0]!r} isn't an id, which is digits alone.")
        else:
            return Line("access", {"servers": servers}, comment)


def _tried(model: type[BaseModel], secrets: dict[Secret, Line], check: Check | None) -> list[Line]:
    """What was answered, tried on the platform; again while something fails and the person wants to, who is asked
    anew for what was refused."""
    while check is not None and all(line.active for line in secrets.values()):
        values = {line.name: line.value for line in secrets.values() if line.value is not None}
        found = asyncio.run(bounded("settings", check(values)))
        show(found)
        failed = {finding.place for finding in found if finding.mark is Mark.FAIL}
        if not failed or not typer.confirm("Try again, once that is mended?", default=True):
            break
        for secret, line in secrets.items():
            if str(secret) in failed:
                secrets[secret] = _ask_secret(model, secret, str(line.value))
    return list(secrets.values())


def _with_environment(table: str, values: Mapping[str, Value], model: type[M]) -> M:
    """A platform's settings as `run` will have them, an address from the environment too."""
    variables = {f"{ENVIRONMENT}{table}__{name}".upper(): name for name in model.model_fields}
    given = {name: os.environ[variable] for variable, name in variables.items() if variable in os.environ}
    try:
        return model.model_validate({**values, **given})
    except ValidationError as error:
        raise SettingsError("; ".join(sentences(error, table))) from None


# --- what comes next -----------------------------------------------------------------------------------------


def _offer_unit(file: Path) -> None:
    if not sys.platform.startswith("linux"):
        return
    try:
        wanted = typer.confirm("Write a systemd unit, which starts the bot with this machine?", default=False)
    except typer.Abort:  # the settings are written: whoever answers no more, wants no more
        typer.echo("")
        return
    if not wanted:
        return
    unit = Path(unit_file.NAME)
    if unit.exists() and not typer.confirm(f"{unit} is there already. Write it anew?"):
        return
    command = unit_file.command_for_service()
    unit.write_text(unit_file.text_for(file, command), encoding="utf-8")
    typer.echo(f"\n{unit} is written. To install it:\n{unit_file.how_to_install(unit, command)}")
    typer.echo("A database with a relative path, as SQLite's by itself, lies in /var/lib/threadbridge then.\n")


def _next_steps(file: Path, tables: Mapping[str, Sequence[Line]], unset: Sequence[str]) -> Iterator[str]:
    option = "" if file == Path(DEFAULT_FILE) else f" --config {shlex.quote(str(file))}"
    if unset:
        yield f"Still to be set, in {file} or in the environment: {', '.join(unset)}."
    yield f"`threadbridge doctor{option}` tells whether all of it works, `threadbridge run{option}` serves."
    yield f"`threadbridge add URL{option}` puts another agent into the settings."
    if "slack" in tables:
        yield "In Slack, /invite the app into a channel and mention it, or write to it directly."
    if "discord" in tables:
        link = _invite(tables["discord"][0]) or f"`threadbridge manifest discord{option}` prints the link."
        yield f"Into a Discord server it comes by its invite link: {link}"


def _invite(token: Line) -> str | None:
    application = application_id(SecretStr(str(token.value)))
    return invite_link(application) if token.active and application is not None else None
