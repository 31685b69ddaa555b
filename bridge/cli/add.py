"""`threadbridge add`: finds out what answers at an address, and writes it into the settings file as an agent."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

import httpx
import typer
from pydantic import SecretStr

from adapters.http.service import create_client
from bridge.cli.agent_questions import NAME, NAME_RULE, variable_of
from bridge.cli.output import fail, write
from bridge.cli.questions import ask, no_log, show
from bridge.cli.settings_file import Line, agents_in, header, read, with_agent
from bridge.cli.settings_file import write as write_file
from bridge.extras import require
from bridge.findings import Finding, Mark
from bridge.ops.check_agents import check_agent
from bridge.ops.discovery import Card, KeyRefused, KeyWanted, Models, address, discover
from bridge.ops.doctor import bounded
from bridge.settings import DEFAULT_FILE, AgentTable, SettingsError

KEY = "THREADBRIDGE_API_KEY"
NO_KEY = "none"  # what a server without keys is shown: the OpenAI library sends none without
MAX_NAME = 32  # characters of a name that is made of what the agent says of itself
MAX_LISTED = 40  # models that are shown to choose from
KEY_TRIES = 3


def add_agent(file: Path, url: str, *, name: str, model: str, key_variable: str) -> None:
    """Look, ask for what is missing, try it, write it. Raises `SettingsError`, and `typer.Abort` where the answers
    end too early; the file is then as it was."""
    base = address(url)
    there = _agents(file)
    if name:
        _refuse_name(name, there, file)
    key = _given_key(name, key_variable)
    with no_log():
        found, key = _found(base, key)
        kind = "a2a" if isinstance(found, Card) else "openai"
        require(kind, f"an agent at {base}")
        if key is not None and is_open(base):
            typer.echo(
                "Its key and what people write go there in the clear: the address has http:// and no https://."
            )
        name = name or _made_name(found)
        _refuse_name(name, there, file)
        lines = _lines(found, name, key, model)
        _try_and_write(file, name, lines)


def is_open(base: str) -> bool:
    """Whether what is sent there can be read on the way."""
    url = httpx.URL(base)
    if url.scheme == "https" or url.host == "localhost":
        return False
    try:
        return not ip_address(url.host).is_loopback
    except ValueError:  # a name
        return True


def _agents(file: Path) -> Sequence[str]:
    if not file.absolute().parent.is_dir():
        raise SettingsError(f"{file}: the folder {file.parent} doesn't exist")
    return agents_in(read(file), file) if file.exists() else []


def _refuse_name(name: str, there: Sequence[str], file: Path) -> None:
    if not NAME.fullmatch(name) or len(name) > MAX_NAME:
        raise SettingsError(f"--name: {name!r} can't name an agent. {NAME_RULE}")
    if name in there:
        raise SettingsError(f"{file} has an agent {name!r} already; --name gives this one another name")


# --- the key -------------------------------------------------------------------------------------------------


def _given_key(name: str, variable: str) -> SecretStr | None:
    """A key from the environment: the one that was named, the command's own, the agent's own."""
    if variable and not os.environ.get(variable):
        raise SettingsError(f"--api-key-env: {variable} isn't set")
    for one in (variable, KEY, variable_of(name, "api_key") if name else ""):
        if one and (value := os.environ.get(one, "").strip()):
            return SecretStr(value)
    return None


def _found(base: str, key: SecretStr | None) -> tuple[Card | Models, SecretStr | None]:
    for tried in range(KEY_TRIES + 1):
        try:
            found = asyncio.run(_look(base, key))
        except KeyRefused:
            typer.echo("That key was refused.")
        except KeyWanted:
            typer.echo(f"{base} wants a key.")
        else:
            if isinstance(found, Card) and found.wants_key and key is None:
                typer.echo("The agent's card says that it wants a key.")
                key = _asked_key()
            return found, key
        if tried < KEY_TRIES:
            key = _asked_key()
    raise SettingsError(f"{base} refuses the keys; nothing was written")


def _asked_key() -> SecretStr:
    try:
        while not (answer := ask("Its key (not shown)", hidden=True)):
            typer.echo("This can't be left empty.")
    except typer.Abort:
        raise SettingsError(f"it wants a key: set {KEY}, or name a variable by --api-key-env") from None
    return SecretStr(answer)


async def _look(base: str, key: SecretStr | None) -> Card | Models:
    async with create_client() as client:
        return await discover(base, key, client)


# --- what is written -----------------------------------------------------------------------------------------


def _made_name(found: Card | Models) -> str:
    """A name of what the agent calls itself, or of the host."""
    said = found.name if isinstance(found, Card) else httpx.URL(found.base_url).host
    words = re.findall(r"[a-z0-9]+", said.lower().removeprefix("api."))
    while words and not words[0][0].isalpha():
        words.pop(0)
    return "_".join(words)[:MAX_NAME].strip("_") or "agent"


def _lines(found: Card | Models, name: str, key: SecretStr | None, model: str) -> list[Line]:
    if isinstance(found, Card):
        if model:
            raise SettingsError("--model: an agent with a card has its own model")
        lines = [Line("kind", "a2a"), Line("base_url", found.base_url), *_key_line(name, key)]
        if key is not None and found.header.lower() != "authorization":
            lines.append(Line("header", found.header, "by its card"))
        return lines
    return [
        Line("kind", "openai"),
        Line("base_url", found.base_url),
        *(_key_line(name, key) or [Line("api_key", NO_KEY, "it wants none")]),
        Line("model", _chosen(found.names, model)),
        Line("api", found.api, '"responses": the server keeps conversations; "chat": every server has it'),
    ]


def _key_line(name: str, key: SecretStr | None) -> list[Line]:
    if key is None:
        return []
    variable = variable_of(name, "api_key")
    if os.environ.get(variable, "").strip() == key.get_secret_value():
        return [Line("api_key", None, f"{variable} is set", active=False)]
    return [Line("api_key", key.get_secret_value())]


def _chosen(names: Sequence[str], model: str) -> str:
    if model:
        if names and model not in names:
            raise SettingsError(f"--model: there is no {model!r}; there are {_some(names)}")
        return model
    if len(names) == 1:
        return names[0]
    try:
        if not names:
            typer.echo("The server lists no models.")
            while not (answer := ask("Which model")):
                typer.echo("This can't be left empty.")
            return answer
        for number, one in enumerate(names[:MAX_LISTED], start=1):
            typer.echo(f"  {number:2}  {one}")
        if len(names) > MAX_LISTED:
            typer.echo(f"  and {len(names) - MAX_LISTED} more")
        while (answer := _numbered(names, ask("Which model, by its number or name"))) not in names:
            typer.echo("That is none of them.")
        return answer
    except typer.Abort:
        raise SettingsError(f"--model says which of its models: {_some(names)}") from None


def _numbered(names: Sequence[str], answer: str) -> str:
    shown = min(len(names), MAX_LISTED)
    by_number = answer not in names and answer.isdecimal() and 0 < int(answer[:9]) <= shown
    return names[int(answer) - 1] if by_number else answer


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:MAX_LISTED]) + (", …" if len(names) > MAX_LISTED else "")


def _try_and_write(file: Path, name: str, lines: Sequence[Line]) -> None:
    values = {line.name: line.value for line in lines if line.active}
    variable = os.environ.get(variable_of(name, "api_key"))
    table = AgentTable.model_validate({**values, **({"api_key": variable} if variable else {})})
    findings = asyncio.run(_check(name, table))
    if any(finding.mark is Mark.FAIL for finding in findings):
        show(findings)
        fail("nothing was written")
    is_new = not file.exists()
    before = header() if is_new else read(file)  # once more: it may have been edited meanwhile
    if name in agents_in(before, file):
        raise SettingsError(f"{file} has an agent {name!r} by now; nothing was written")
    write_file(file, with_agent(before, name, lines, file))
    write(f"[agents.{name}] is written into {file}. What `threadbridge doctor` says of it:")
    show(findings)
    _say_what_next(file, name, is_new=is_new)


async def _check(name: str, table: AgentTable) -> list[Finding]:
    async with create_client() as client:
        return await bounded(f"agents.{name}", check_agent(name, table, client))


def _say_what_next(file: Path, name: str, *, is_new: bool) -> None:
    option = "" if file == Path(DEFAULT_FILE) else f" --config {shlex.quote(str(file))}"
    write(f"`threadbridge ask {name} hello{option}` asks it something.")
    if is_new:
        write(f"`threadbridge demo --config {shlex.quote(str(file))}` has it in a simulated Slack and Discord.")
        write(f"`threadbridge init{option}` puts a real Slack and Discord into the file: answer complete.")
    else:
        write(f'It answers where default_agent = "{name}" or a route says so; see `[[routes]]`.')
