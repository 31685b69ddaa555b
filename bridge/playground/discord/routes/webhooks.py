"""Answers to interactions, which carry their token in the path."""

from __future__ import annotations

from bridge.playground.discord import interactions, payloads
from bridge.playground.discord.errors import unknown_webhook
from bridge.playground.discord.invocations import Interaction
from bridge.playground.discord.limits import WEBHOOK
from bridge.playground.discord.model import Json
from bridge.playground.discord.rest import Asked, Routes
from bridge.playground.discord.state import State

routes = Routes()

_MESSAGE = "/webhooks/{application}/{token}/messages/{message}"


@routes.on("POST", "/interactions/{interaction}/{token}/callback", guarded=False)
def respond(state: State, asked: Asked) -> Json | None:
    answer = interactions.respond(state, asked.id("interaction"), asked.params["token"], asked.form, asked.files)
    return answer if asked.query.get("with_response") in ("1", "true") else None


@routes.on("POST", "/webhooks/{application}/{token}", guarded=False, bucket=WEBHOOK, major="token")
def follow_up(state: State, asked: Asked) -> Json:
    _interaction_of(state, asked)
    message = interactions.follow_up(state, asked.params["token"], asked.form, asked.files)
    return payloads.message_json(state, message)


@routes.on("GET", _MESSAGE, guarded=False, bucket=WEBHOOK, major="token")
def read(state: State, asked: Asked) -> Json:
    interaction = _interaction_of(state, asked)
    return payloads.message_json(state, interactions.find_message(state, interaction, asked.params["message"]))


@routes.on("PATCH", _MESSAGE, guarded=False, bucket=WEBHOOK, major="token")
def edit(state: State, asked: Asked) -> Json:
    interaction = _interaction_of(state, asked)
    message = interactions.find_message(state, interaction, asked.params["message"])
    interactions.edit(state, interaction, message, asked.form, asked.files)
    return payloads.message_json(state, message)


@routes.on("DELETE", _MESSAGE, guarded=False, bucket=WEBHOOK, major="token")
def delete(state: State, asked: Asked) -> None:
    interaction = _interaction_of(state, asked)
    message = interactions.find_message(state, interaction, asked.params["message"])
    interactions.delete(state, interaction, message)


def _interaction_of(state: State, asked: Asked) -> Interaction:
    if asked.id("application") != state.application_id:
        raise unknown_webhook()
    return interactions.find(state, asked.params["token"])
