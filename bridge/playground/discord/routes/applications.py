"""The application itself and the commands it registers."""

from __future__ import annotations

from bridge.playground.discord import payloads
from bridge.playground.discord.commands import SLASH, check_commands
from bridge.playground.discord.errors import unknown_application, unknown_command, unknown_guild
from bridge.playground.discord.model import Json
from bridge.playground.discord.rest import Asked, Routes
from bridge.playground.discord.state import State

routes = Routes()

EVERYWHERE = 0  # the key of commands that belong to no guild


@routes.on("GET", "/applications/@me")
@routes.on("GET", "/oauth2/applications/@me")
def about(state: State, _: Asked) -> Json:
    return payloads.application_json(state)


@routes.on("GET", "/applications/{application}/commands")
@routes.on("GET", "/applications/{application}/guilds/{guild}/commands")
def listed(state: State, asked: Asked) -> list[Json]:
    return state.commands.get(_scope(state, asked), [])


@routes.on("PUT", "/applications/{application}/commands")
@routes.on("PUT", "/applications/{application}/guilds/{guild}/commands")
def overwrite(state: State, asked: Asked) -> list[Json]:
    scope = _scope(state, asked)
    before = state.commands.get(scope, [])
    commands = check_commands(asked.body, user_installs=state.user_installs)
    state.commands[scope] = [_register(state, scope, command, before) for command in commands]
    return state.commands[scope]


@routes.on("POST", "/applications/{application}/commands", status=201)
@routes.on("POST", "/applications/{application}/guilds/{guild}/commands", status=201)
def create(state: State, asked: Asked) -> Json:
    scope = _scope(state, asked)
    before = state.commands.get(scope, [])
    kind = asked.form.get("type", SLASH)
    others = [item for item in before if (item["name"], item["type"]) != (asked.form.get("name"), kind)]
    check_commands([*others, asked.form], user_installs=state.user_installs)
    command = _register(state, scope, asked.form, before)
    state.commands[scope] = [*others, command]
    return command


@routes.on("DELETE", "/applications/{application}/commands/{command}")
@routes.on("DELETE", "/applications/{application}/guilds/{guild}/commands/{command}")
def delete(state: State, asked: Asked) -> None:
    scope = _scope(state, asked)
    before = state.commands.get(scope, [])
    state.commands[scope] = [command for command in before if command["id"] != asked.params["command"]]
    if len(state.commands[scope]) == len(before):
        raise unknown_command()


def _scope(state: State, asked: Asked) -> int:
    if asked.id("application") != state.application_id:
        raise unknown_application()
    if "guild" not in asked.params:
        return EVERYWHERE
    if asked.id("guild") not in state.guilds:
        raise unknown_guild()
    return asked.id("guild")


def _register(state: State, scope: int, command: Json, before: list[Json]) -> Json:
    """The command as Discord keeps it. One that was there by this name keeps its id."""
    kind = command.get("type", SLASH)
    same = next((item for item in before if (item["name"], item["type"]) == (command["name"], kind)), None)
    kept: Json = {
        "default_member_permissions": None,
        "nsfw": False,
        "contexts": None,
        "integration_types": [0],
        "name_localizations": None,
        "description_localizations": None,
        "options": [],
        **command,
        "id": same["id"] if same else str(state.take_id()),
        "application_id": str(state.application_id),
        "version": str(state.take_id()),
        "type": kind,
        "description": command.get("description") or "",
    }
    if scope != EVERYWHERE:
        kept["guild_id"] = str(scope)
    return kept
