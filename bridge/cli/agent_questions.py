"""What an agent is asked for: it follows from its adapter's `Settings`, a third party's too."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import get_args, get_origin

import typer
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from bridge.agents import load_adapter
from bridge.cli.questions import ask
from bridge.cli.settings_file import Line, Value
from bridge.settings import ENVIRONMENT

# A name that stands in an environment variable and in a table's header without quotes.
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
NAME_RULE = "Small letters and digits, in words with an underscore between them."

STANDS_IN = "to-be-set-by-environment"  # for a secret that wasn't given, while the rest is validated


def ask_name(kind: str) -> str:
    default = kind if NAME.fullmatch(kind) else "agent"
    while not NAME.fullmatch(answer := ask("A name for the agent", default)):
        typer.echo(NAME_RULE)
    return answer


def ask_agent(kind: str, name: str) -> list[Line]:
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
        question += f" (empty: {'' if field.is_required() else 'none, or '}from {variable_of(agent, name)})"
    default = values.get(name, None if field.is_required() else field.get_default(call_default_factory=True))
    shown = "" if hidden or default is None else str(default)
    while True:
        answer = ask(question, shown, hidden=hidden)
        if answer == shown and (hidden or not field.is_required()):
            return
        # Numbers and lists are typed as in TOML; a text that looks like one is still a text where that is wanted.
        candidates: list[Value] = [answer] if hidden else [*_literal(answer), answer]
        refusals = [refusal_of(model, name, candidate) for candidate in candidates]
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


def refusal_of(model: type[BaseModel], name: str, value: Value) -> str | None:
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


def variable_of(agent: str, name: str) -> str:
    return f"{ENVIRONMENT}AGENTS__{agent.upper()}__{name.upper()}"


def _line(agent: str, name: str, field: FieldInfo, values: Mapping[str, Value]) -> Line:
    if name in values:
        return Line(name, values[name])
    if _is_secret(field):
        variable = variable_of(agent, name)
        return Line(
            name, None, f"or set {variable}", active=False, variable=variable if field.is_required() else ""
        )
    default = field.get_default(call_default_factory=True)
    return Line(name, default if isinstance(default, str | bool | int | float) else None, active=False)
