"""The parts of the documents that are made from the code: `python -m tests.docs.reference` writes them anew."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from typer.core import TyperArgument, TyperGroup, TyperOption

from adapters.base import AgentSettings
from bridge.access import AccessTable
from bridge.cli.commands import app
from bridge.prompts import Prompt
from bridge.settings import ENVIRONMENT, Settings
from bridge.settings.loading import FAMILIAR

ROOT = Path(__file__).parents[2]
DOCS = ROOT / ".github" / "docs"
BEGIN, END = "<!-- made from the code: begin -->", "<!-- made from the code: end -->"
EVERYWHERE = "The settings file; threadbridge.toml if not given."  # said once, above
METAVARS = {int: "N", float: "N", Path: "PATH", list[Path]: "PATH"}
SECTIONS = {  # in the order of the page; "": what belongs to no table
    "": "The top of the file",
    "http": "`[http]`",
    "slack": "`[slack]`",
    "discord": "`[discord]`",
    "agents": "`[agents.NAME]`",
    "routes": "`[[routes]]`",
    "access": "`[access]`",
    "limits": "`[limits]`",
}
ACCESS = (
    "The same keys stand in `[slack.access]`, `[discord.access]` and `[agents.NAME.access]`, for one platform or one"
    " agent. [How they work together](who-may.md)."
)
ROUTES = 'In the environment all of them are one list: `THREADBRIDGE_ROUTES=\'[{"agent": "…"}]\'`.'


def settings() -> str:
    """Each key of the settings, a table of it for each of theirs."""
    fields = {name: _table(info.annotation) for name, info in Settings.model_fields.items()}
    tables = {name: model for name, model in fields.items() if model is not None}
    order = [*SECTIONS, *(name for name in tables if name not in SECTIONS)]
    parts = []
    for name in order:
        title = SECTIONS.get(name, f"`[{name}]`")
        if name == "":
            rows = _rows(Settings, leave_out=set(tables))
        else:
            rows = _rows(tables[name], *(("agents", "NAME") if name == "agents" else (name,)))
        more = {"access": ACCESS, "routes": ROUTES}.get(name)
        parts.append("\n".join([f"### {title}", "", *([more, ""] if more else []), *_drawn(rows)]))
    parts.append("## Kinds of agents\n\nThe keys of `[agents.NAME]` that belong to its `kind`.")
    parts += [
        "\n".join([f"### `{kind}`", "", *_drawn(_rows(model, "agents", "NAME"))])
        for kind, model in _kinds().items()
    ]
    return "\n\n".join(parts)


def commands() -> str:
    """Each command of the terminal with what it takes."""
    return "\n\n".join(_command(path, command) for path, command in _leaves(typer.main.get_command(app)))


def rewritten(page: str, made: str) -> str:
    """A page with what is made between its two marks. Raises `ValueError` if they aren't there."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{BEGIN} and {END} mark the place; they are missing")
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"


PAGES = {"settings.md": settings, "commands.md": commands}


def main() -> None:
    for name, make in PAGES.items():
        path = DOCS / name
        path.write_text(rewritten(path.read_text(encoding="utf-8"), make()), encoding="utf-8")


def models() -> Iterator[tuple[str, type[BaseModel]]]:
    """Every table that a settings file can have, with a name for it."""
    seen: set[type[BaseModel]] = set()
    waiting: list[tuple[str, type[BaseModel]]] = [("settings", Settings), *_kinds().items()]
    while waiting:
        place, model = waiting.pop()
        if model in seen:
            continue
        seen.add(model)
        yield place, model
        for name, info in model.model_fields.items():
            if (inner := _table(info.annotation)) is not None:
                waiting.append((f"{place}.{name}", inner))


def _kinds() -> Mapping[str, type[AgentSettings]]:
    """The settings of each adapter of this project, by kind."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = {}
    for kind, place in project["entry-points"]["threadbridge.adapters"].items():
        module, _, name = place.partition(":")
        found[kind] = getattr(import_module(module), name).Settings
    return dict(sorted(found.items()))


def _table(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds: itself, or None, or many of them."""
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((found for one in getattr(annotation, "__args__", ()) if (found := _table(one)) is not None), None)


def _rows(model: type[BaseModel], *place: str, leave_out: set[str] | None = None) -> Iterator[tuple[str, ...]]:
    schema = model.model_json_schema()
    for name, info in model.model_fields.items():
        if leave_out and name in leave_out:
            continue
        inner, about = _table(info.annotation), str(info.description)
        if inner is AccessTable:
            yield f"`{name}`", "a table", f"{about} The keys of [`[access]`](#access)."
            continue
        if inner is not None and inner is not Prompt:  # a table within: its keys one by one
            yield f"`{name}`", "a table" if inner is info.annotation else "a list of tables", about
            yield from ((f"`{name}.{key[1:]}", *rest) for key, *rest in _rows(inner, *place, name))
            continue
        key = "<br>".join([f"`{name}`", *_variables((*place, name))])
        shape = _shape(schema["properties"][name], schema)
        yield key, f"{shape}<br>{'required' if info.is_required() else _default(info)}", about


def _variables(place: tuple[str, ...]) -> list[str]:
    """What sets a key in the environment, beginning with the name that its platform's guides use."""
    if place[0] == "routes" or place[-2:-1] == ("mcp",):
        return []
    ours = ENVIRONMENT + "__".join(part.upper() for part in place)
    return [f"`{name}`" for name in (*(known for known, at in FAMILIAR.items() if at == place), ours)]


def _default(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True)
    plain = value.get_secret_value() if isinstance(value, SecretStr) else value
    if plain is None:
        return "unset"
    return f"`{json.dumps(plain, ensure_ascii=False)}`" if plain != "" else "empty"


def _shape(field: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    if "$ref" in field:
        return _shape(schema["$defs"][field["$ref"].rpartition("/")[2]], schema)
    if "anyOf" in field:
        return " or ".join(_shape(one, schema) for one in field["anyOf"] if one.get("type") != "null")
    if "enum" in field:
        return " · ".join(f"`{one}`" for one in field["enum"])
    match field.get("type"):
        case "array":
            most = f", at most {field['maxItems']}" if "maxItems" in field else ""
            return f"a list of {_several(_shape(field['items'], schema))}{most}"
        case "boolean":
            return "`true` · `false`"
        case "integer" | "number" as kind:
            return ("a whole number" if kind == "integer" else "a number") + _range(field)
        case "string" if field.get("format") == "password":
            return "a secret"
        case "string":
            most = f" of at most {field['maxLength']:,} characters" if "maxLength" in field else ""
            like = f" like `{field['pattern']}`" if "pattern" in field else ""
            return f"text{most}{like}"
    return "a table"


def _several(shape: str) -> str:
    words = {"text": "texts", "a secret": "secrets", "a table": "tables"}
    return next((shape.replace(one, many, 1) for one, many in words.items() if shape.startswith(one)), shape)


def _range(field: Mapping[str, Any]) -> str:
    above = field.get("exclusiveMinimum")
    least, most = field.get("minimum"), field.get("maximum")
    if above is not None:
        return f" above {above:,}" + (f", at most {most:,}" if most is not None else "")
    if least is not None and most is not None:
        return f", {least:,} to {most:,}"
    return f", {least:,} or more" if least is not None else ""


def _drawn(rows: Iterator[tuple[str, ...]]) -> list[str]:
    return [
        "| key, and in the environment | takes, and its default | meaning |",
        "|---|---|---|",
        *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows),
    ]


def _leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """What can be typed: the commands of a group, and a group itself where it does something alone."""
    if not isinstance(command, TyperGroup) or (path and command.invoke_without_command):
        yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from _leaves(inner, (*path, name))


def _command(path: tuple[str, ...], command: Any) -> str:
    taken = [one for one in command.params if isinstance(one, TyperArgument)]
    options = [one for one in command.params if isinstance(one, TyperOption) and one.help != EVERYWHERE]
    names = [str(one.metavar or one.name).upper() for one in taken]
    line = [name if one.required else f"[{name}]" for one, name in zip(taken, names, strict=True)]
    typed = " ".join(["threadbridge", *path, *line, *(["[OPTIONS]"] if options else [])])
    about = " ".join((command.callback.__doc__ or "").split())
    lines = [f"- `{name}`: {one.help}" for one, name in zip(taken, names, strict=True) if one.help]
    lines += [_option(one) for one in options]
    return "\n".join(
        [f"### `{' '.join(path)}`", "", "```sh", typed, "```", "", about, *(["", *lines] if lines else [])]
    )


def _option(option: TyperOption) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    value = "" if option.is_flag else f" {METAVARS.get(option.type_descriptor.annotation, 'TEXT')}"
    default = "" if option.is_flag or option.default is None else f"`{option.default}` by default."
    return f"- `{names}{value}`: {' '.join([one for one in (option.help or '', default) if one])}"


if __name__ == "__main__":
    main()
