"""The command line. Each command is a few lines; what it does stands in the module it calls."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from adapters.base import AgentError
from bridge.settings import DEFAULT_FILE, Settings, SettingsError, load
from bridge.store.database import DatabaseError, open_database
from bridge.store.ledger import Ledger
from bridge.store.tables import TurnState
from bridge.turns.surface import ConfigurationError

MAX_LINE = 60  # characters of a question in the list of turns
# An app is made from its manifest, and has tokens only then.
NO_TOKENS_YET = {"SLACK_BOT_TOKEN": "xoxb-", "SLACK_APP_TOKEN": "xapp-", "SLACK_SIGNING_SECRET": "-"}

app = typer.Typer(
    name="threadbridge",
    help="Puts an AI agent into Slack and Discord threads.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
manifest = typer.Typer(help="What to enter on the platforms for these settings.", no_args_is_help=True)
turns = typer.Typer(help="What happened: the turns, newest first.")
db = typer.Typer(help="The database.", no_args_is_help=True)
app.add_typer(manifest, name="manifest")
app.add_typer(turns, name="turns")
app.add_typer(db, name="db")

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="The settings file; threadbridge.toml if not given.", show_default=False),
]


def main() -> None:
    """The `threadbridge` command: what goes wrong is one sentence on standard error, and exit code 1."""
    try:
        app()
    except (SettingsError, DatabaseError, ConfigurationError) as error:
        _fail(str(error))


def _fail(sentence: str) -> NoReturn:
    print(f"threadbridge: {sentence}", file=sys.stderr)
    raise SystemExit(1)


def _run(main: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(main)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


@app.command()
def run(config: ConfigOption = None) -> None:
    """Serve every platform that is configured."""
    from bridge.app import serve
    from bridge.ops.logs import set_up_logs

    settings = load(config)
    set_up_logs()
    _run(serve(settings))


@app.command()
def demo(
    port: Annotated[int, typer.Option(help="The page's port on this machine.")] = 8080,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
) -> None:
    """The playground: a simulated Slack and Discord, agents to talk to, and the real bridge between them."""
    from bridge.ops.logs import set_up_logs
    from bridge.playground.demo import run_demo

    set_up_logs()
    _run(run_demo(port, open_browser=browser))


@app.command()
def init(config: ConfigOption = None) -> None:
    """Ask a few questions, write the settings file, and say what to do on the platforms."""
    from bridge.cli.init import set_up

    try:
        set_up(config or Path(os.environ.get("THREADBRIDGE_CONFIG", DEFAULT_FILE)))
    except typer.Abort:
        print()  # the question's line
        _fail("not all questions were answered, so nothing was written; `threadbridge init` asks at a terminal")


@app.command()
def doctor(config: ConfigOption = None) -> None:
    """Check settings, database, tokens, scopes, intents and each agent; exit 1 if any fails."""
    from bridge.ops.logs import set_up_logs

    set_up_logs(level=logging.CRITICAL)
    logging.disable()  # what goes wrong is a finding
    _run(_doctor(config))


async def _doctor(config: Path | None) -> None:
    from bridge.findings import Mark
    from bridge.ops.doctor import examine

    findings = await examine(config)
    for finding in findings:
        print(finding)
    if any(finding.mark is Mark.FAIL for finding in findings):
        raise SystemExit(1)


@app.command()
def ask(
    agent: Annotated[str, typer.Argument(help="The agent's name in the settings.")],
    text: Annotated[str, typer.Argument(help="What to ask.")],
    file: Annotated[list[Path] | None, typer.Option(help="A file to send along; may be given again.")] = None,
    conversation: Annotated[str | None, typer.Option(help="Go on in this conversation.")] = None,
    out: Annotated[Path, typer.Option(help="Where the agent's files are saved.")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line per event.")] = False,
    config: ConfigOption = None,
) -> None:
    """One turn from the terminal, streamed to standard output; the conversation's id goes to standard error."""
    from bridge.ops.logs import set_up_logs

    set_up_logs(level=logging.ERROR)  # what fails is said in a sentence
    _run(_ask(load(config), agent, text, file or [], conversation, out, as_json))


async def _ask(
    settings: Settings, name: str, text: str, files: list[Path], conversation: str | None, out: Path, as_json: bool
) -> None:
    from bridge.agents import open_agents
    from bridge.cli.ask import Terminal

    table = _agent_table(settings, name)
    async with open_agents({name: table}) as agents:
        terminal = Terminal(agents[name], out=out, as_json=as_json)
        try:
            await terminal.ask(text, files, conversation, table.deadline)
        except AgentError as error:
            _fail(f"{error.sentence}\nthreadbridge: detail: {error}")
        finally:
            if terminal.conversation:
                print(f"conversation: {terminal.conversation}", file=sys.stderr)


def _agent_table(settings: Settings, name: str) -> Any:
    if name not in settings.agents:
        raise SettingsError(f"there is no [agents.{name}]; known are {', '.join(settings.agents) or 'none'}")
    return settings.agents[name]


@app.command()
def files(
    agent: Annotated[str, typer.Argument(help="The agent's name in the settings.")],
    conversation: Annotated[str, typer.Argument(help="The conversation's id.")],
    download: Annotated[str | None, typer.Option(help="The name of a file to fetch.")] = None,
    out: Annotated[Path, typer.Option(help="Where it is saved.")] = Path(),
    config: ConfigOption = None,
) -> None:
    """List a conversation's files, or fetch one."""
    _run(_files(load(config), agent, conversation, download, out))


async def _files(settings: Settings, name: str, conversation: str, download: str | None, out: Path) -> None:
    from adapters.base import Files
    from bridge.agents import open_agents
    from bridge.cli.ask import save_file

    async with open_agents({name: _agent_table(settings, name)}) as agents:
        agent = agents[name]
        if not isinstance(agent, Files):
            _fail(f"the agent {name} has no files")
        try:
            listed = await agent.files(conversation)
            if download is None:
                for file in listed:
                    print(f"{file.name}\t{file.size if file.size is not None else '-'}\t{file.media_type}")
                return
            found = next((file for file in reversed(listed) if file.name == download), None)
            if found is None:
                _fail(f"the conversation has no file {download!r}")
            print(await save_file(agent, conversation, found.name, found.ref, out))
        except AgentError as error:
            _fail(f"{error.sentence}\nthreadbridge: detail: {error}")


@manifest.command("slack")
def manifest_slack(config: ConfigOption = None) -> None:
    """The Slack app manifest, to paste where a new app is made from a manifest."""
    from bridge.frontends.slack.manifest import slack_manifest

    settings = load(config, {**os.environ, **NO_TOKENS_YET, "DISCORD_TOKEN": "-"})
    print(json.dumps(slack_manifest(settings.slack), indent=2))


@manifest.command("discord")
def manifest_discord(config: ConfigOption = None) -> None:
    """The Discord invite link and the intents to switch on."""
    from bridge.frontends.discord.invite import PRIVILEGED_INTENTS, application_id, invite_link

    settings = load(config, {**os.environ, **NO_TOKENS_YET})
    if settings.discord is None:
        raise SettingsError("there is no [discord] table with the bot's token, which names the application")
    application = application_id(settings.discord.token)
    if application is None:
        raise SettingsError("discord.token isn't a bot's token: its first third names the application")
    print(f"Invite link: {invite_link(application)}")
    print(f"Switch on under Bot > Privileged Gateway Intents: {', '.join(PRIVILEGED_INTENTS)}")


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
        _run(_list_turns(load(config), state, thread, limit))


async def _list_turns(settings: Settings, state: str | None, thread: str | None, limit: int) -> None:
    states = [one.value for one in TurnState]
    if state is not None and state not in states:
        _fail(f"--state is {state!r}; known are {', '.join(states)}")
    async with _ledger(settings) as ledger:
        for record in await ledger.turns(state=state, thread=thread, limit=limit):
            turn, place = record.turn, record.thread
            when = turn.received_at.isoformat(timespec="seconds")
            line = " ".join(turn.text.split())
            short = line if len(line) <= MAX_LINE else f"{line[: MAX_LINE - 1]}…"
            columns = (turn.id, f"{turn.state:9}", when, f"{place.platform}:{place.channel}:{place.thread}",
                       place.agent, turn.outcome or "-", f"{turn.author_name}: {short}")  # fmt: skip
            print("\t".join(columns))


@turns.command("show")
def turns_show(turn: str, config: ConfigOption = None) -> None:
    """Everything that is stored of one turn, as JSON."""
    _run(_show_turn(load(config), turn))


async def _show_turn(settings: Settings, turn: str) -> None:
    async with _ledger(settings) as ledger:
        record = await ledger.turn(turn)
        if record is None:
            _fail(f"there is no turn {turn}")
        shown = {
            "turn": record.turn.model_dump(mode="json"),
            "thread": record.thread.model_dump(mode="json"),
            "parts": [part.model_dump(mode="json") for part in record.parts],
            "made": [made.model_dump(mode="json", exclude={"table"}) for made in record.made],
        }
        print(json.dumps(shown, indent=2, ensure_ascii=False))


@turns.command("retry")
def turns_retry(turn: str, config: ConfigOption = None) -> None:
    """Ask a failed or uncertain turn's question again, as a new turn in its thread."""
    _run(_retry_turn(load(config), turn))


async def _retry_turn(settings: Settings, turn: str) -> None:
    async with _ledger(settings) as ledger:
        if not await ledger.retry(turn):
            _fail(f"there is no turn {turn} that failed or waits, or it was sent again already")
        print("put in again")


@asynccontextmanager
async def _ledger(settings: Settings) -> AsyncIterator[Ledger]:
    async with open_database(settings.database_url.get_secret_value()) as database:
        current, newest = await database.revision()
        if current != newest:
            _fail("the database isn't up to date; run `threadbridge db upgrade`")
        yield Ledger(database)


@db.command("upgrade")
def db_upgrade(config: ConfigOption = None) -> None:
    """Bring the database to the newest migration."""
    _run(_upgrade(load(config)))


async def _upgrade(settings: Settings) -> None:
    async with open_database(settings.database_url.get_secret_value(), create=True) as database:
        await database.upgrade()
        current, _ = await database.revision()
        print(f"the database is at {current}")
