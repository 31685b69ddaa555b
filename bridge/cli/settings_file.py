"""The settings file that `threadbridge init` writes, with what isn't set in it as comments."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tomlkit
from tomlkit.items import Item, Table

from bridge.settings import ENVIRONMENT, SettingsError

Value = str | bool | int | float | Sequence["Value"] | Mapping[str, "Value"]

HEADER = f"""\
Settings of Threadbridge. They hold secrets: keep this file out of version control.
Every key can be set by environment instead, and that wins: {ENVIRONMENT}HTTP__PORT=3001.
`threadbridge doctor` tells whether all of it works."""
ROUTES = """\
Another agent in one channel, by an [agents.…] table of its own. The first that matches answers.
[[routes]]
platform = "slack"
channel = "C0123"
agent = "support\""""


@dataclass(frozen=True, slots=True)
class Line:
    """One key of a table; None stands for a value that isn't known. What isn't `active` is written as a comment.
    `variable` names what must then be set in the environment instead."""

    name: str
    value: Value | None
    comment: str = ""
    active: bool = True
    variable: str = ""


def text_of(top: Sequence[Line], platforms: Mapping[str, Sequence[Line]], name: str, agent: Sequence[Line]) -> str:
    """The whole file, with a table for each platform and one agent of that name."""
    document = tomlkit.document()
    for line in HEADER.splitlines():
        document.add(tomlkit.comment(line))
    document.add(tomlkit.nl())
    for one in top:
        _put(document, one)
    for platform, table in platforms.items():
        document.add(tomlkit.nl())
        document.add(platform, _table(table))
    agents = tomlkit.table(is_super_table=True)
    agents.add(name, _table(agent))
    document.add(tomlkit.nl())
    document.add("agents", agents)
    routes = "".join(f"# {line}\n" for line in ROUTES.splitlines())
    return f"{tomlkit.dumps(document).rstrip()}\n\n{routes}"


def write(file: Path, text: str) -> None:
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


def _table(lines: Sequence[Line]) -> Table:
    table = tomlkit.table()
    for line in lines:
        _put(table, line)
    return table


def _put(table: Table | tomlkit.TOMLDocument, line: Line) -> None:
    if line.active and line.value is not None:
        item = _item(line.value)
        if line.comment:
            item.comment(line.comment)
        table.add(line.name, item)
        return
    value = "…" if line.value is None else _item(line.value).as_string()
    note = f"  # {line.comment}" if line.comment else ""
    table.add(tomlkit.comment(f"{tomlkit.key(line.name).as_string()} = {value}{note}"))


def _item(value: Value) -> Item:
    """A value on one line, whatever it holds."""
    if isinstance(value, Mapping):
        table = tomlkit.inline_table()
        for name, one in value.items():
            table.add(name, _item(one))
        return table
    if isinstance(value, Sequence) and not isinstance(value, str):
        array = tomlkit.array()
        for one in value:
            array.append(_item(one))
        return array
    return tomlkit.item(value)
