"""The commands that talk to one configured agent: ask it, and look at what its backend keeps."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

from adapters.base import Agent, AgentError, Deletes, Files, History, Lists
from bridge.cli.options import ConfigOption
from bridge.cli.output import aside, fail, fail_with, run, write
from bridge.printable import printable_line
from bridge.settings import AgentTable, Settings, SettingsError, load

MAX_QUESTION = 1024 * 1024  # bytes read from standard input

AgentArgument = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's name in the settings.")]
ConversationArgument = Annotated[str, typer.Argument(metavar="CONVERSATION", help="The conversation's id.")]


def ask(
    agent: AgentArgument,
    text: Annotated[
        str | None, typer.Argument(help="What to ask; - or nothing reads standard input.", show_default=False)
    ] = None,
    file: Annotated[list[Path] | None, typer.Option(help="A file to send along; may be given again.")] = None,
    conversation: Annotated[str | None, typer.Option(help="Go on in this conversation.")] = None,
    out: Annotated[Path, typer.Option(help="Where the agent's files are saved.")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line per event.")] = False,
    config: ConfigOption = None,
) -> None:
    """One turn from the terminal, streamed to standard output; the conversation's id goes to standard error."""
    from bridge.ops.logs import set_up_logs

    set_up_logs(level=logging.ERROR)  # what fails is said in a sentence
    settings = load(config)
    _table(settings, agent)
    question = _read_question() if text in (None, "-") else text
    run(_ask(settings, agent, question, file or [], conversation, out, as_json))


def _read_question() -> str:
    if sys.stdin is None or sys.stdin.isatty():
        fail("there is nothing to ask: give a text, or - and a text on standard input")
    data = sys.stdin.buffer.read(MAX_QUESTION + 1)
    if len(data) > MAX_QUESTION:
        fail(f"standard input holds more than {MAX_QUESTION} bytes; --file sends a file along")
    text = data.decode(errors="replace").strip()
    if not text:
        fail("standard input is empty, so there is nothing to ask")
    return text


async def _ask(
    settings: Settings, name: str, text: str, files: list[Path], conversation: str | None, out: Path, as_json: bool
) -> None:
    from bridge.cli.ask import Terminal

    async with _opened(settings, name) as agent:
        table = _table(settings, name)
        terminal = Terminal(agent, table.telling(name), out=out, as_json=as_json)
        try:
            await terminal.ask(text, files, conversation, table.deadline)
        except AgentError as error:
            fail_with(error)
        finally:
            if terminal.conversation:
                aside(f"conversation: {terminal.conversation}")


def files(
    agent: AgentArgument,
    conversation: ConversationArgument,
    download: Annotated[str | None, typer.Option(help="The name of a file to fetch.")] = None,
    out: Annotated[Path, typer.Option(help="Where it is saved.")] = Path(),
    config: ConfigOption = None,
) -> None:
    """List a conversation's files, or fetch one."""
    run(_files(load(config), agent, conversation, download, out))


async def _files(settings: Settings, name: str, conversation: str, download: str | None, out: Path) -> None:
    from bridge.cli.ask import save_file

    async with _opened(settings, name) as agent:
        if not isinstance(agent, Files):
            fail(f"the agent {name} has no files")
        listed = await agent.files(conversation)
        if download is None:
            for file in listed:
                size = "-" if file.size is None else str(file.size)
                write("\t".join([printable_line(file.name), size, printable_line(file.media_type)]))
            return
        found = next((file for file in reversed(listed) if file.name == download), None)
        if found is None:
            fail(f"the conversation has no file {download!r}")
        write(str(await save_file(agent, conversation, found.name, found.ref, out)))


def conversations(
    agent: AgentArgument,
    delete: Annotated[
        str | None, typer.Option(metavar="ID", help="Delete this conversation at the backend, for good.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """List the conversations that the agent's backend keeps, or delete one."""
    run(_conversations(load(config), agent, delete))


async def _conversations(settings: Settings, name: str, delete: str | None) -> None:
    async with _opened(settings, name) as agent:
        if delete is not None:
            if not isinstance(agent, Deletes):
                fail(f"the agent {name} can't delete conversations: {_kind(settings, name)} has no way to")
            await agent.delete(delete)
            aside(f"deleted: {delete}")
            return
        if not isinstance(agent, Lists):
            fail(f"the agent {name} can't list conversations: {_kind(settings, name)} has no way to")
        listed = await agent.conversations()
        for conversation in listed:
            write(printable_line(conversation))
        if not listed:
            aside(f"the agent {name} keeps no conversations")


def history(agent: AgentArgument, conversation: ConversationArgument, config: ConfigOption = None) -> None:
    """Print what a conversation holds at the agent's backend, oldest first."""
    run(_history(load(config), agent, conversation))


async def _history(settings: Settings, name: str, conversation: str) -> None:
    async with _opened(settings, name) as agent:
        if not isinstance(agent, History):
            fail(f"the agent {name} can't show what was said: {_kind(settings, name)} has no way to")
        rows = await agent.history(conversation)
        for row in rows:
            write(f"{row.role}:")
            write("\n".join(f"  {line}" for line in row.text.splitlines()))
        if not rows:
            aside("the conversation is empty")


@asynccontextmanager
async def _opened(settings: Settings, name: str) -> AsyncIterator[Agent]:
    """The agent of that name. An `AgentError` inside ends the command with its sentence."""
    from bridge.agents import open_agents

    async with open_agents({name: _table(settings, name)}) as agents:
        try:
            yield agents[name]
        except AgentError as error:
            fail_with(error)


def _table(settings: Settings, name: str) -> AgentTable:
    if name not in settings.agents:
        raise SettingsError(f"there is no [agents.{name}]; known are {', '.join(settings.agents) or 'none'}")
    return settings.agents[name]


def _kind(settings: Settings, name: str) -> str:
    return f"the kind {_table(settings, name).kind!r}"
