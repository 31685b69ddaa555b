"""The table of Web API methods, and a call's arguments."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from bridge.playground.slack.errors import SlackError
from bridge.playground.slack.limits import Budget
from bridge.playground.slack.values import Channel, Json, Message
from bridge.playground.slack.world import SlackWorld

TokenKind = Literal["bot", "app", "none"]


class Arguments(dict[str, Any]):
    """Query, form and JSON arguments of a call, merged. Values of a query or a form are texts."""

    def need(self, name: str) -> str:
        """A required text."""
        value = self.get(name)
        if value is None or value == "":
            raise SlackError("invalid_arguments", f"missing required field: {name}")
        return str(value)

    def text(self, name: str) -> str | None:
        value = self.get(name)
        return None if value is None else str(value)

    def flag(self, name: str) -> bool | None:
        value = self.get(name)
        if value is None or isinstance(value, bool):
            return value
        return str(value).lower() in ("1", "true")

    def number(self, name: str, default: int, most: int) -> int:
        value = self.get(name)
        if value is None or value == "":
            return default
        try:
            number = int(value)
        except ValueError:
            raise SlackError("invalid_arguments", f"must be an integer: {name}") from None
        if number < 1:
            raise SlackError("invalid_limit")
        return min(number, most)

    def json(self, name: str, error: str) -> Any:
        """A list or an object, given as such or as a text of JSON; None if missing."""
        value = self.get(name)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise SlackError(error) from None


Handler = Callable[[SlackWorld, Arguments], Json]


@dataclass(frozen=True, slots=True)
class Method:
    name: str
    handler: Handler
    budget: Budget
    scopes: tuple[str, ...]  # one of them is needed
    needs: TokenKind


METHODS: dict[str, Method] = {}


def method(name: str, budget: Budget, *scopes: str, needs: TokenKind = "bot") -> Callable[[Handler], Handler]:
    """Enter a handler into the table."""

    def enter(handler: Handler) -> Handler:
        METHODS[name] = Method(name, handler, budget, scopes, needs)
        return handler

    return enter


def find_channel(world: SlackWorld, args: Arguments, name: str = "channel") -> Channel:
    """The channel of a call. Posting methods take a person's id too, and mean the direct message."""
    wanted = args.need(name)
    if wanted in world.people and wanted != world.bot.id:
        return world.direct(wanted)
    channel = world.channels.get(wanted)
    if channel is None or (channel.kind == "group" and world.bot.id not in channel.members):
        raise SlackError("channel_not_found")
    return channel


def joined_channel(world: SlackWorld, args: Arguments, name: str = "channel") -> Channel:
    """The channel of a call, which the app must be in."""
    channel = find_channel(world, args, name)
    if world.bot.id not in channel.members:
        raise SlackError("not_in_channel")
    if channel.is_archived:
        raise SlackError("is_archived")
    return channel


def find_message(channel: Channel, ts: str, error: str = "message_not_found") -> Message:
    message = channel.messages.get(ts)
    if message is None:
        raise SlackError(error)
    return message


def page(items: list[Any], args: Arguments, default: int, most: int) -> tuple[list[Any], str]:
    """One page of a listing and the cursor of the next, "" at the end."""
    limit = args.number("limit", default, most)
    cursor = args.text("cursor") or ""
    try:
        start = int(cursor.removeprefix("next:")) if cursor else 0
    except ValueError:
        raise SlackError("invalid_cursor") from None
    end = start + limit
    return items[start:end], f"next:{end}" if end < len(items) else ""
