"""Application commands: what the bot may register, and what a person's use of one looks like."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from bridge.playground.discord.errors import ApiError, FormErrors
from bridge.playground.discord.model import Json

# Discord's documented limits.
MAX_COMMANDS = {1: 100, 2: 15, 3: 15}  # by type: slash, on a person, on a message
MAX_NAME = 32
MAX_DESCRIPTION = 100
MAX_OPTIONS = 25
MAX_CHOICES = 25

SLASH, ON_USER, ON_MESSAGE = 1, 2, 3
TO_SERVER, TO_PERSON = 0, 1  # where an app is installed
CONTEXTS = (0, 1, 2)  # a server, a direct message with the bot, any other
SUBCOMMAND, GROUP, STRING, INTEGER, BOOLEAN, USER, CHANNEL, ROLE, MENTIONABLE, NUMBER, ATTACHMENT = range(1, 12)

VALUES = tuple(range(STRING, ATTACHMENT + 1))
ALLOWED_AT = ((SUBCOMMAND, GROUP, *VALUES), (SUBCOMMAND, *VALUES), VALUES)  # option types by depth

_NAME = re.compile(r"[-_'\w]{1,32}")

OptionValue = str | int | float | bool


def check_commands(commands: object, *, user_installs: bool = True) -> list[Json]:
    """The commands of a bulk overwrite. Raises 50035 or 30032. `user_installs`: people may install the app for
    themselves."""
    errors = FormErrors()
    listed = errors.items("", commands, high=sum(MAX_COMMANDS.values())) or []
    for index, command in enumerate(listed):
        _check_command(command, str(index), errors)
        if not user_installs and TO_PERSON in (command.get("integration_types") or ()):
            errors.choice(f"{index}.integration_types", (TO_SERVER,))
    errors.raise_any()
    kinds = Counter(command.get("type", SLASH) for command in listed)
    for kind, count in kinds.items():
        if count > MAX_COMMANDS[kind]:
            raise ApiError(400, 30032, f"Maximum number of application commands reached ({MAX_COMMANDS[kind]})")
    names = Counter((command.get("type", SLASH), command["name"]) for command in listed)
    for index, command in enumerate(listed):
        if names[command.get("type", SLASH), command["name"]] > 1:
            errors.add(
                str(index),
                "APPLICATION_COMMANDS_DUPLICATE_NAME",
                "Application command names must be unique",
            )
    errors.raise_any()
    return listed


def _check_command(command: Json, path: str, errors: FormErrors) -> None:
    for name, known in (("integration_types", (TO_SERVER, TO_PERSON)), ("contexts", CONTEXTS)):
        if any(one not in known for one in command.get(name) or ()):
            errors.choice(f"{path}.{name}", known)
    kind = command.get("type", SLASH)
    if kind not in tuple(MAX_COMMANDS):
        errors.choice(f"{path}.type", tuple(MAX_COMMANDS))
        return
    if kind != SLASH:
        errors.text(f"{path}.name", command.get("name"), low=1, high=MAX_NAME)
        for name in ("description", "options"):
            if command.get(name):
                errors.add(
                    f"{path}.{name}", "APPLICATION_COMMAND_CONTEXT_MENU_FIELD", f"Context menus cannot have {name}"
                )
        return
    _check_name(command, path, errors)
    _check_options(command.get("options") or [], path, errors, depth=0)


def _check_name(thing: Json, path: str, errors: FormErrors) -> None:
    name = thing.get("name")
    if errors.text(f"{path}.name", name, low=1, high=MAX_NAME):
        text = str(name)
        if not _NAME.fullmatch(text) or text != text.lower():
            errors.add(f"{path}.name", "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")
    errors.text(f"{path}.description", thing.get("description"), low=1, high=MAX_DESCRIPTION)


def _check_options(options: list[Json], path: str, errors: FormErrors, *, depth: int) -> None:
    path = f"{path}.options"
    if errors.items(path, options, high=MAX_OPTIONS) is None:
        return
    optional_seen = False
    for index, option in enumerate(options):
        here = f"{path}.{index}"
        _check_name(option, here, errors)
        kind = option.get("type")
        allowed = ALLOWED_AT[depth]
        if kind not in allowed:
            errors.choice(f"{here}.type", allowed)
            continue
        if kind in (SUBCOMMAND, GROUP):
            _check_options(option.get("options") or [], here, errors, depth=depth + 1)
            continue
        if option.get("required") and optional_seen:
            errors.add(
                here,
                "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
                "Required options must be placed before non-required options",
            )
        optional_seen = optional_seen or not option.get("required")
        choices = option.get("choices") or []
        errors.items(f"{here}.choices", choices, high=MAX_CHOICES)
        if choices and option.get("autocomplete"):
            errors.add(
                here, "APPLICATION_COMMAND_AUTOCOMPLETE_CHOICES", "Choices and autocomplete exclude each other"
            )


def find_command(commands: list[Json], name: str, kind: int) -> tuple[Json, list[Json], list[Json]]:
    """A command by its full name (`agent upload` names a subcommand): itself, the subcommands on the way to the
    one that is meant, and the options that this one takes. Raises LookupError."""
    first, *rest = [name] if kind != SLASH else name.split()
    for command in commands:
        if command["name"] == first and command.get("type", SLASH) == kind:
            break
    else:
        raise LookupError(f"no such command: {name}")
    way: list[Json] = []
    options: list[Json] = command.get("options") or []
    for part in rest:
        steps = [item for item in options if item["name"] == part and item["type"] in (SUBCOMMAND, GROUP)]
        if not steps:
            raise LookupError(f"no such subcommand: {name}")
        step = steps[0]
        way.append(step)
        options = step.get("options") or []
    if any(item["type"] in (SUBCOMMAND, GROUP) for item in options):
        raise LookupError(f"a subcommand is missing: {name}")
    return command, way, options


def nest_options(
    way: list[Json], options: list[Json], values: Mapping[str, OptionValue], *, focused: str | None = None
) -> list[Json]:
    """The options as an interaction carries them. Raises ValueError for one that Discord's own form would not
    let through; `focused` names the one that is being typed."""
    known = {option["name"]: option for option in options}
    for name in values:
        if name not in known:
            raise ValueError(f"no such option: {name}")
    if focused is None:
        missing = [name for name, option in known.items() if option.get("required") and name not in values]
        if missing:
            raise ValueError(f"required: {', '.join(missing)}")
    filled: list[Json] = []
    for name, value in values.items():
        item: Json = {"name": name, "type": known[name]["type"], "value": value}
        if name == focused:
            item["focused"] = True
        else:
            _check_choice(known[name], value)
        filled.append(item)
    for step in reversed(way):
        filled = [{"name": step["name"], "type": step["type"], "options": filled}]
    return filled


def _check_choice(option: Json, value: OptionValue) -> None:
    choices = [choice["value"] for choice in option.get("choices") or []]
    if choices and value not in choices:
        raise ValueError(f"{option['name']} must be one of {choices}")
