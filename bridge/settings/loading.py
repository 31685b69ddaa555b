"""Reads `threadbridge.toml` and the environment; a mistake is one sentence that names its place."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from bridge.settings.root import ENVIRONMENT, Settings
from bridge.settings.wording import WORDING, SettingsError, meant, wording

DEFAULT_FILE = "threadbridge.toml"
# Names that the platforms' own guides use, and where they belong.
FAMILIAR = {
    "SLACK_BOT_TOKEN": ("slack", "bot_token"),
    "SLACK_CLIENT_ID": ("slack", "client_id"),
    "SLACK_CLIENT_SECRET": ("slack", "client_secret"),
    "SLACK_APP_TOKEN": ("slack", "app_token"),
    "SLACK_SIGNING_SECRET": ("slack", "signing_secret"),
    "DISCORD_TOKEN": ("discord", "token"),
    "DATABASE_URL": ("database_url",),
}


def settings_path(path: Path | None = None, environment: Mapping[str, str] = os.environ) -> Path:
    """The settings file, whether or not it is there: `path`, the environment's, or the usual one."""
    return path or Path(environment.get("THREADBRIDGE_CONFIG", DEFAULT_FILE))


def load(path: Path | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings. Raises `SettingsError`."""
    values, file = _given(path, environment)
    try:
        settings = Settings(**values)
    except ValidationError as error:
        source = str(file) if file.is_file() else "the environment"
        raise SettingsError("; ".join(_placed(error, source, environment))) from None
    if not settings.model_fields_set:
        raise SettingsError(
            f"there is no {DEFAULT_FILE} in {Path.cwd()}; `threadbridge init` writes one,"
            " and --config or THREADBRIDGE_CONFIG names another"
        )
    _check_agents(settings, str(file))
    return settings


def settings_given(path: Path | None, environment: Mapping[str, str]) -> dict[str, Any]:
    """What the file and the familiar variables say, unchecked. Raises `SettingsError`."""
    return _given(path, environment)[0]


def _given(path: Path | None, environment: Mapping[str, str]) -> tuple[dict[str, Any], Path]:
    named = path or (Path(environment["THREADBRIDGE_CONFIG"]) if "THREADBRIDGE_CONFIG" in environment else None)
    file = named or Path(DEFAULT_FILE)
    values: dict[str, Any] = {}
    if file.is_file():
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            raise SettingsError(f"{file} isn't UTF-8 text (byte {error.start})") from None
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{file} isn't valid TOML: {error}") from None
        except OSError as error:
            raise SettingsError(f"{file} can't be read: {error.strerror}") from None
    elif named is not None:
        raise SettingsError(f"{file} doesn't exist; `threadbridge init` writes one")
    for name, place in FAMILIAR.items():
        if environment.get(name):
            _set(values, place, environment[name])
    return values, file


def _set(values: dict[str, Any], place: tuple[str, ...], value: str) -> None:
    *tables, key = place
    for table in tables:
        values = values.setdefault(table, {})
    values[key] = value


def _check_agents(settings: Settings, file: str) -> None:
    names = sorted(settings.agents)
    wanted = [("default_agent", settings.default_agent)] if settings.default_agent else []
    wanted += [
        (f"routes[{index}].agent", route.agent) for index, route in enumerate(settings.routes) if route.agent
    ]
    wanted += [(f"choices[{index}]", name) for index, name in enumerate(settings.choices)]
    for index, route in enumerate(settings.routes):
        wanted += [(f"routes[{index}].choices[{at}]", name) for at, name in enumerate(route.choices)]
    for place, name in wanted:
        if name not in settings.agents:
            raise SettingsError(
                f"{file}: {place} names the agent {name!r}, but there is no [agents.{name}]{meant(name, names)}"
            )


def _placed(error: ValidationError, file: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Each mistake with where it was made: a variable of the environment or a key of the file."""
    variables = {name.upper(): name for name in environment}
    familiar = {place: name for name, place in FAMILIAR.items() if environment.get(name)}
    for problem in error.errors(include_input=False, include_url=False):
        steps = problem["loc"]
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")
        variable = variables.get(f"{ENVIRONMENT}{'__'.join(map(str, steps))}".upper())
        source = variable or familiar.get(tuple(map(str, steps))) or file
        match problem["type"]:
            case "extra_forbidden":
                yield f"{source}: unknown key {path}{meant(str(steps[-1]), _keys(steps[:-1]))}"
            case "missing":
                yield f"{source}: {path} is missing"
            case kind if kind in WORDING:
                yield f"{source}: {path} {wording(problem)}"
            case _:
                yield f"{source}: {path}: {wording(problem)}" if path else f"{source}: {wording(problem)}"


def _keys(place: tuple[int | str, ...]) -> list[str]:
    model: Any = Settings
    for step in place:
        if isinstance(step, int):  # of a list, whose items were stepped into already
            continue
        if not (isinstance(model, type) and issubclass(model, BaseModel)) or step not in model.model_fields:
            return []
        annotation = model.model_fields[str(step)].annotation
        options = getattr(annotation, "__args__", (annotation,))
        model = next((one for one in options if isinstance(one, type) and issubclass(one, BaseModel)), None)
    return sorted(model.model_fields) if model is not None else []
