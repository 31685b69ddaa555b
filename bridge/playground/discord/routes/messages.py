"""Messages: listing, sending, editing, deleting, and reactions to them."""

from __future__ import annotations

from urllib.parse import unquote

from bridge.playground.discord import payloads, posting
from bridge.playground.discord.errors import (
    ApiError,
    invalid_form,
    not_a_text_channel,
    thread_archived,
    unknown_emoji,
    wrong_channel_type,
)
from bridge.playground.discord.forms import read_message
from bridge.playground.discord.limits import DELETE, EDIT, REACT, SEND
from bridge.playground.discord.model import Channel, ChannelType, Json, Message, Permission
from bridge.playground.discord.payloads import file_limit_in
from bridge.playground.discord.rest import Asked, Routes
from bridge.playground.discord.routes.channels import channel_of
from bridge.playground.discord.state import State

routes = Routes()

MAX_PAGE = 100  # messages of a page (documented)
MAX_BULK = 100  # messages deleted at once (documented)
MAX_REACTIONS = 20  # different ones on a message (documented)


def message_of(state: State, asked: Asked) -> tuple[Channel, Message]:
    """The message that the path names. Raises 10003, 50001 or 10008."""
    channel = channel_of(state, asked)
    return channel, state.message(channel, asked.id("message"))


@routes.on("GET", "/channels/{channel}/messages")
def listed(state: State, asked: Asked) -> list[Json]:
    channel = channel_of(state, asked)
    if channel.type is ChannelType.FORUM:
        raise not_a_text_channel()
    limit = asked.limit(50, MAX_PAGE)
    if not state.permissions(channel) & Permission.READ_MESSAGE_HISTORY:
        return []
    page = _page(list(channel.messages.values()), asked, limit)
    return [_shown(state, message) for message in reversed(page)]


@routes.on("GET", "/channels/{channel}/messages/{message}")
def read(state: State, asked: Asked) -> Json:
    channel, message = message_of(state, asked)
    state.require(channel, Permission.READ_MESSAGE_HISTORY)
    return _shown(state, message)


@routes.on("POST", "/channels/{channel}/messages", bucket=SEND)
def send(state: State, asked: Asked) -> Json:
    channel = channel_of(state, asked)
    draft = read_message(asked.form, asked.files, file_limit=file_limit_in(state, channel))
    return payloads.message_json(state, posting.send_as_bot(state, channel, draft), fresh=True)


@routes.on("PATCH", "/channels/{channel}/messages/{message}", bucket=EDIT)
def edit(state: State, asked: Asked) -> Json:
    channel, message = message_of(state, asked)
    limit = file_limit_in(state, channel)
    draft = read_message(asked.form, asked.files, file_limit=limit, editing=message)
    return payloads.message_json(state, posting.edit_as_bot(state, channel, message, draft))


@routes.on("DELETE", "/channels/{channel}/messages/{message}", bucket=DELETE)
def delete(state: State, asked: Asked) -> None:
    posting.delete_as_bot(state, *message_of(state, asked))


@routes.on("POST", "/channels/{channel}/messages/bulk-delete", bucket=DELETE)
def bulk_delete(state: State, asked: Asked) -> None:
    channel = channel_of(state, asked)
    if channel.guild_id is None:
        raise wrong_channel_type()
    state.require(channel, Permission.MANAGE_MESSAGES)
    ids = asked.form.get("messages") or []
    if not 2 <= len(ids) <= MAX_BULK:
        raise invalid_form("messages", "BASE_TYPE_BAD_LENGTH", f"Must be between 2 and {MAX_BULK} in length.")
    for message_id in map(int, ids):
        if message_id in channel.messages:
            posting.remove(state, channel, channel.messages[message_id])


@routes.on("PUT", "/channels/{channel}/messages/{message}/reactions/{emoji}/@me", bucket=REACT)
def react(state: State, asked: Asked) -> None:
    channel, message = message_of(state, asked)
    state.require(channel, Permission.READ_MESSAGE_HISTORY)
    emoji = _emoji(asked)
    if channel.thread is not None and channel.thread.archived:
        raise thread_archived()
    if emoji not in message.reactions:
        state.require(channel, Permission.ADD_REACTIONS)
        if len(message.reactions) >= MAX_REACTIONS:
            raise ApiError(400, 30010, f"Maximum number of reactions reached ({MAX_REACTIONS})")
    posting.react(state, channel, message, state.bot, emoji)


@routes.on("DELETE", "/channels/{channel}/messages/{message}/reactions/{emoji}/@me", bucket=REACT)
def unreact(state: State, asked: Asked) -> None:
    channel, message = message_of(state, asked)
    posting.unreact(state, channel, message, state.bot, _emoji(asked))


@routes.on("DELETE", "/channels/{channel}/messages/{message}/reactions/{emoji}/{user}", bucket=REACT)
def unreact_other(state: State, asked: Asked) -> None:
    channel, message = message_of(state, asked)
    state.require(channel, Permission.MANAGE_MESSAGES)
    posting.unreact(state, channel, message, state.users[asked.id("user")], _emoji(asked))


@routes.on("GET", "/channels/{channel}/messages/{message}/reactions/{emoji}")
def reacted(state: State, asked: Asked) -> list[Json]:
    _, message = message_of(state, asked)
    people = message.reactions.get(_emoji(asked), [])[: asked.limit(25, 100)]
    return [payloads.user_json(state.users[user_id]) for user_id in people]


def _shown(state: State, message: Message) -> Json:
    return payloads.message_json(state, message, content=state.message_content)


def _page(messages: list[Message], asked: Asked, limit: int) -> list[Message]:
    """A page of the messages, oldest first."""
    before, after, around = (asked.query_id(name) for name in ("before", "after", "around"))
    if around is not None:
        earlier = [message for message in messages if message.id < around]
        later = [message for message in messages if message.id >= around]
        half = limit // 2
        return earlier[len(earlier) - half if half < len(earlier) else 0 :] + later[: limit - half]
    if after is not None:
        return [message for message in messages if message.id > after][:limit]
    if before is not None:
        messages = [message for message in messages if message.id < before]
    return messages[-limit:]


def _emoji(asked: Asked) -> str:
    emoji = unquote(asked.params["emoji"])
    if not emoji or (emoji.isascii() and ":" not in emoji):
        raise unknown_emoji()
    return emoji
