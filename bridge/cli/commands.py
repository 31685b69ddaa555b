"""The command line. Each command is a few lines; what it does stands in the module it calls."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli import backends, data, workspaces
from bridge.cli.options import ConfigOption
from bridge.cli.output import aside, fail, in_sentences, write
from bridge.cli.output import run as run_to_end
from bridge.cli.workspaces import serves_many_workspaces
from bridge.extras import require
from bridge.lifecycle import TurnState
from bridge.printable import printable_json, printable_line
from bridge.settings import Settings, SettingsError, load, settings_path

if TYPE_CHECKING:
    from bridge.store.ledger import Ledger

DISTRIBUTION = "threadbridge"  # its version stands in pyproject.toml
PORTS = range(65_536)
MAX_LINE = 60  # characters of a question in the list of turns
# An app is made from its manifest, and has tokens only then.
NO_TOKENS_YET = {"SLACK_BOT_TOKEN": "xoxb-", "SLACK_APP_TOKEN": "xapp-", "SLACK_SIGNING_SECRET": "-"}

app = typer.Typer(
    name="threadbridge",
    help="Puts an AI agent into Slack and Discord threads.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
manifest = typer.Typer(help="What to enter on the platforms for these settings.", no_args_is_help=True)
turns = typer.Typer(help="What happened: the turns, newest first.")
db = typer.Typer(help="The database.", no_args_is_help=True)
app.add_typer(manifest, name="manifest")
app.add_typer(turns, name="turns")
app.add_typer(db, name="db")


def _show_version(wanted: bool) -> None:
    if wanted:
        write(version(DISTRIBUTION))
        raise typer.Exit


def main() -> None:
    """The `threadbridge` command."""
    in_sentences(app)


@app.callback()
def threadbridge(
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version and end.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Puts an AI agent into Slack and Discord threads."""


@app.command()
def run(config: ConfigOption = None) -> None:
    """Serve every platform that is configured."""
    settings = load(config)  # first: a mistake in them is said at once
    gc.disable()  # a sixth of the start, and what is imported is no garbage
    from bridge.app import serve
    from bridge.ops.logs import set_up_logs

    gc.freeze()
    gc.enable()
    set_up_logs(format=settings.logs.format, level=settings.logs.severity)
    run_to_end(serve(settings))


@app.command()
def demo(
    port: Annotated[int, typer.Option(help="The page's port on this machine.")] = 8080,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
    config: Annotated[
        Path | None,
        typer.Option(help="A settings file whose agents have channels of their own.", show_default=False),
    ] = None,
) -> None:
    """The playground: a simulated Slack and Discord, agents to talk to, and the real bridge between them.

    Needs the extra "demo" of the package.
    """
    if port not in PORTS:
        raise SettingsError(f"--port is {port}, but a port is a number from 0 to {PORTS[-1]}")
    require("demo", "the playground")
    from bridge.ops.logs import set_up_logs
    from bridge.playground.demo import run_demo

    set_up_logs()
    agents = load(config).agents if config is not None else {}
    run_to_end(run_demo(port, open_browser=browser, agents=agents))


@app.command()
def init(
    config: ConfigOption = None,
    offline: Annotated[bool, typer.Option("--offline", help="Don't try the tokens on the platforms.")] = False,
) -> None:
    """Say where the tokens are to be had, ask for them, try them, and write the settings file."""
    from bridge.cli.init import set_up

    try:
        set_up(settings_path(config), offline=offline)
    except typer.Abort:
        write("")  # the question's line
        fail("not all questions were answered, so nothing was written; `threadbridge init` asks at a terminal")


@app.command()
def add(
    url: Annotated[str, typer.Argument(help="Of an agent with an A2A card, or of a server of the OpenAI API.")],
    name: Annotated[str, typer.Option(help="The agent's name; made of what it calls itself if not given.")] = "",
    model: Annotated[str, typer.Option(help="Which of the server's models.")] = "",
    api_key_env: Annotated[
        str, typer.Option(metavar="VARIABLE", help="Where its key stands in the environment.")
    ] = "",
    config: ConfigOption = None,
) -> None:
    """Find out what answers at an address, and put it into the settings as an agent."""
    from bridge.cli.add import add_agent

    add_agent(settings_path(config), url, name=name, model=model, key_variable=api_key_env)


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list instead of lines.")] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="First mend on this machine what can be mended safely.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Check settings, database, tokens, scopes, intents and each agent; exit 1 if any fails."""
    from bridge.ops.logs import set_up_logs

    set_up_logs(level=logging.CRITICAL)
    logging.disable()  # what goes wrong is a finding
    run_to_end(_doctor(config, as_json=as_json, fix=fix))


async def _doctor(config: Path | None, *, as_json: bool, fix: bool) -> None:
    from bridge.findings import Mark
    from bridge.ops.doctor import examine
    from bridge.ops.mending import mend

    mended = await mend(config) if fix else []
    findings = [*mended, *await examine(config)]
    if as_json:
        write(printable_json([finding.as_object() for finding in findings], indent=2))
    else:
        for finding in findings:
            write(str(finding))
    if any(finding.mark is Mark.FAIL for finding in findings):
        raise SystemExit(1)


app.command()(backends.ask)
app.command()(backends.files)
app.command()(backends.conversations)
app.command()(backends.history)
app.command()(data.forget)
app.command()(data.export)
app.command()(data.audit)
db.command("backup")(data.back_up)
db.command("restored")(data.restored)
app.command()(workspaces.workspaces)


@manifest.command("slack")
def manifest_slack(
    config: ConfigOption = None,
    link: Annotated[bool, typer.Option("--link", help="A link that opens Slack's form with it instead.")] = False,
) -> None:
    """The Slack app manifest, to paste where a new app is made from a manifest."""
    from bridge.frontends.slack.manifest import LINK_FITS, manifest_link, slack_manifest

    settings = load(config, {**_without_tokens(config), "DISCORD_TOKEN": "-"})
    where = {"public_url": settings.http.public_url} if settings.http.public_url else {}
    made = slack_manifest(settings.slack, prompts=settings.default_prompts, **where)
    if not link:
        write(printable_json(made, indent=2))
        return
    address = manifest_link(made)
    write(address)
    if len(address) > LINK_FITS:
        aside(
            f"the link has {len(address):,} characters, more than some browsers take; otherwise paste the manifest"
        )


@manifest.command("discord")
def manifest_discord(config: ConfigOption = None) -> None:
    """The Discord invite link and the intents to switch on."""
    from bridge.frontends.discord.invite import PRIVILEGED_INTENTS, application_id, invite_link

    settings = load(config, _without_tokens(config))
    if settings.discord is None:
        raise SettingsError("there is no [discord] table with the bot's token, which names the application")
    application = application_id(settings.discord.token)
    if application is None:
        raise SettingsError("discord.token isn't a bot's token: its first third names the application")
    write(f"Invite link: {invite_link(application)}")
    write(f"Switch on under Bot > Privileged Gateway Intents: {', '.join(PRIVILEGED_INTENTS)}")


def _without_tokens(config: Path | None) -> dict[str, str]:
    """The environment with stand-ins for the tokens of Slack that the settings need."""
    environment = {**os.environ, **NO_TOKENS_YET}
    if serves_many_workspaces(config):
        del environment["SLACK_BOT_TOKEN"]
    return environment


@turns.callback(invoke_without_command=True)
def turns_list(
    context: typer.Context,
    state: Annotated[str | None, typer.Option(help="Only turns in this state.")] = None,
    thread: Annotated[str | None, typer.Option(help="Only turns of this thread (its id on the platform).")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    config: ConfigOption = None,
) -> None:
    """List turns, newest first."""
    if context.invoked_subcommand is None:
        run_to_end(_list_turns(load(config), state, thread, limit))


async def _list_turns(settings: Settings, state: str | None, thread: str | None, limit: int) -> None:
    states = [one.value for one in TurnState]
    if state is not None and state not in states:
        fail(f"--state is {state!r}; known are {', '.join(states)}")
    async with _ledger(settings) as ledger:
        records = await ledger.turns(state=state, thread=thread, limit=limit)
    for record in records:
        turn, place = record.turn, record.thread
        when = turn.received_at.isoformat(timespec="seconds")
        line = printable_line(turn.text)
        short = line if len(line) <= MAX_LINE else f"{line[: MAX_LINE - 1]}…"
        author = printable_line(turn.person_name) or turn.person
        columns = (turn.id, f"{turn.state:9}", when, f"{place.platform}:{place.channel}:{place.thread}",
                   place.agent, turn.outcome or "-", f"{author}: {short}")  # fmt: skip
        write("\t".join(columns))
    if not records:
        aside("no turn is stored yet" if state is None and thread is None else "no turn is like that")


@turns.command("show")
def turns_show(turn: str, config: ConfigOption = None) -> None:
    """Everything that is stored of one turn, as JSON."""
    run_to_end(_show_turn(load(config), turn))


async def _show_turn(settings: Settings, turn: str) -> None:
    async with _ledger(settings) as ledger:
        record = await ledger.turn(turn)
        if record is None:
            fail(f"there is no turn {turn}")
        shown = {
            "turn": record.turn.model_dump(mode="json"),
            "thread": record.thread.model_dump(mode="json"),
            "parts": [part.model_dump(mode="json") for part in record.parts],
            "artifacts": [one.model_dump(mode="json", exclude={"table"}) for one in record.artifacts],
        }
        write(printable_json(shown, indent=2))


@turns.command("retry")
def turns_retry(turn: str, config: ConfigOption = None) -> None:
    """Ask a failed or uncertain turn's question again, as a new turn in its thread."""
    run_to_end(_retry_turn(load(config), turn))


async def _retry_turn(settings: Settings, turn: str) -> None:
    async with _ledger(settings) as ledger:
        if not await ledger.retry(turn):
            fail(f"there is no turn {turn} that failed or waits, or it was sent again already")
        write("put in again")


@app.command()
def feedback(
    to_csv: Annotated[
        str | None, typer.Option("--csv", help="Write all of it to this file; - is standard output.")
    ] = None,
    agent: Annotated[str | None, typer.Option(help="Only of this agent's answers.")] = None,
    since: Annotated[float | None, typer.Option(min=0, max=36_500, help="Only of the last so many days.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000)] = 100_000,
    config: ConfigOption = None,
) -> None:
    """What people think of the answers, the newest word first."""
    run_to_end(_feedback(load(config), to_csv, agent, since, limit))


async def _feedback(
    settings: Settings, to_csv: str | None, agent: str | None, since: float | None, limit: int
) -> None:
    from bridge.cli.feedback import lines, save_csv, summary, write_csv

    after = None if since is None else datetime.now(UTC) - timedelta(days=since)
    async with _ledger(settings) as ledger:
        rated = await ledger.feedback(agent=agent, since=after, limit=limit)
    if to_csv == "-":
        write_csv(rated, sys.stdout)
    elif to_csv is not None:
        try:
            save_csv(rated, Path(to_csv))
        except OSError as error:
            fail(f"--csv: {to_csv} can't be written: {error.strerror}")
    else:
        for line in lines(rated):
            write(line)
    aside(summary(rated))


@asynccontextmanager
async def _ledger(settings: Settings) -> AsyncIterator[Ledger]:
    from bridge.store.database import open_database
    from bridge.store.ledger import Ledger

    url, encryption = settings.database_url.get_secret_value(), settings.data.encryption
    async with open_database(url, encryption=encryption) as database:
        current, newest = await database.revision()
        if current != newest:
            fail("the database isn't up to date; run `threadbridge db upgrade`")
        yield Ledger(database)


@db.command("upgrade")
def db_upgrade(config: ConfigOption = None) -> None:
    """Bring the database to the newest migration."""
    run_to_end(_upgrade(load(config)))


async def _upgrade(settings: Settings) -> None:
    from bridge.store.database import open_database

    async with open_database(settings.database_url.get_secret_value(), create=True) as database:
        await database.upgrade()
        current, _ = await database.revision()
        write(f"the database is at {current}")


@db.command("encrypt")
def db_encrypt(config: ConfigOption = None) -> None:
    """Rewrite all stored texts as the settings want them: encrypted by the first key, or clear. The bridge may run."""
    from bridge.cli.encrypt import encrypt_stored

    run_to_end(encrypt_stored(load(config)))


@db.command("revision")
def db_revision(message: Annotated[str, typer.Argument(help="What it is for, in a few words.")]) -> None:
    """For developers: draft the migration from the newest revision to what the tables are now."""
    from bridge.store.migrate import draft

    write(f"drafted {draft(message)}; read it before you commit it")
