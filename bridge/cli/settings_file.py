"""The settings file: how `threadbridge init` writes a new one, with what isn't set in it as comments, and how it and
`threadbridge add` put something into one that is there, whose comments and order stay."""

from __future__ import annotations

import os
import stat
import tempfile
import tomllib
from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
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


def read(file: Path) -> str:
    """What stands in a settings file, which is TOML. Raises `SettingsError`."""
    try:
        text = file.read_bytes().decode()
        tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file} isn't UTF-8 text (byte {error.start})") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file} isn't valid TOML: {error}") from None
    except OSError as error:
        raise SettingsError(f"{file} can't be read: {error.strerror}") from None
    return text


def agents_in(text: str, file: Path) -> Sequence[str]:
    """The names of the agents. Raises `SettingsError`."""
    agents = tomllib.loads(text).get("agents", {})
    if not isinstance(agents, dict):
        raise SettingsError(f"{file}: agents must be tables, as in [agents.support]")
    return list(agents)


def with_platforms(text: str, platforms: Mapping[str, Sequence[Line]], file: Path) -> str:
    """The same file with what was answered for the platforms: a key that is there gets its new value, and what was
    left empty stays as it was. Raises `SettingsError` where that can't be put into it."""
    try:
        document = tomlkit.parse(text)
        for platform, lines in platforms.items():
            if platform not in document:
                document.add(tomlkit.nl())
                document.add(platform, _table(lines))
                continue
            for line in lines:
                if line.active and line.value is not None:
                    _set(document[platform], line.name, line.value)
        new = tomlkit.dumps(document)
        given = tomllib.loads(new)
    except (TOMLKitError, tomllib.TOMLDecodeError, TypeError, ValueError):
        raise SettingsError(f"{file}: nothing can be put into {' or '.join(platforms)} as it is written") from None
    if any(not isinstance(given.get(platform), dict) for platform in platforms):
        raise SettingsError(f"{file}: {' and '.join(platforms)} must be tables")
    return new


def with_agent(text: str, name: str, agent: Sequence[Line], file: Path) -> str:
    """The same file, letter for letter, and below it the agent's table. Raises `SettingsError` where the file is
    written in a way that takes none."""
    agents = tomlkit.table(is_super_table=True)
    agents.add(name, _table(agent))
    document = tomlkit.document()
    document.add("agents", agents)
    break_ = "\r\n" if "\r\n" in text else "\n"
    added = tomlkit.dumps(document).rstrip().replace("\n", break_)
    kept = text if not text or text.endswith("\n") else text + break_
    new = f"{kept}{break_ if kept else ''}{added}{break_}"
    before, wanted = tomllib.loads(text), tomllib.loads(added)
    wanted = {**before, "agents": {**before.get("agents", {}), **wanted["agents"]}}
    with suppress(tomllib.TOMLDecodeError):
        if tomllib.loads(new) == wanted:
            return new
    raise SettingsError(
        f"{file}: agents stands within braces, where none can be added; write it as tables: [agents.NAME]"
    )


def header() -> str:
    """How a new file begins."""
    return "".join(f"# {line}\n" for line in HEADER.splitlines())


def write(file: Path, text: str) -> None:
    """All or nothing, and readable by its owner alone; or as it was, where it is there already and shut to others."""
    file = file.resolve()  # what a link leads to, and not the link
    try:
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as draft:
                draft.write(text)
                _as_it_was(file, draft.fileno())
                draft.flush()
                os.fsync(draft.fileno())
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink()
            raise
    except OSError as error:
        raise SettingsError(f"{file} can't be written: {error.strerror}") from None


def _as_it_was(file: Path, draft: int) -> None:
    """A service's account may own it, or be of its group, and read it by that."""
    if not hasattr(os, "fchown") or not file.exists():
        return
    before = file.stat()
    mode = stat.S_IMODE(before.st_mode)
    with suppress(PermissionError):  # it stays ours
        os.fchown(draft, before.st_uid, before.st_gid)
        if not mode & 0o137:  # no more than its owner writing and its group reading
            os.fchmod(draft, mode | 0o600)


def _set(table: Any, name: str, value: Value) -> None:
    """A value in place of the one that is there; of a table only the keys that are given."""
    if isinstance(value, Mapping) and isinstance(table.get(name), MutableMapping):
        for inner, one in value.items():
            _set(table[name], inner, one)
        return
    table[name] = _item(value)


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
