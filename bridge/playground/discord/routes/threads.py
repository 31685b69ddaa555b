"""Threads: opening them, listing them, and who is in them."""

from __future__ import annotations

from bridge.playground.discord import membership, payloads, posting, threads
from bridge.playground.discord.errors import (
    ApiError,
    FormErrors,
    invalid_form,
    not_on_system_message,
    thread_archived,
    unknown_member,
    wrong_channel_type,
)
from bridge.playground.discord.forms import read_message
from bridge.playground.discord.limits import OPEN_THREAD
from bridge.playground.discord.model import Channel, ChannelType, Json, MessageType, Permission, Thread
from bridge.playground.discord.payloads import channel_json, file_limit_in, thread_member_json
from bridge.playground.discord.rest import Asked, Routes
from bridge.playground.discord.routes.about import guild_of
from bridge.playground.discord.routes.channels import channel_of
from bridge.playground.discord.state import State

routes = Routes()

PAGE = 50  # archived threads of a page


@routes.on("POST", "/channels/{channel}/messages/{message}/threads", bucket=OPEN_THREAD, status=201)
def open_on_message(state: State, asked: Asked) -> Json:
    channel = channel_of(state, asked)
    if channel.type is not ChannelType.TEXT:
        raise wrong_channel_type()
    message = state.message(channel, asked.id("message"))
    state.require(channel, Permission.CREATE_PUBLIC_THREADS)
    _check(asked.form)
    if message.type not in (MessageType.DEFAULT, MessageType.REPLY, MessageType.CHAT_INPUT_COMMAND):
        raise not_on_system_message()
    thread = threads.open_on_message(
        state, channel, message, state.bot, asked.form["name"], _auto_archive(asked.form)
    )
    return channel_json(state, thread)


@routes.on("POST", "/channels/{channel}/threads", bucket=OPEN_THREAD, status=201)
def open_alone(state: State, asked: Asked) -> Json:
    channel = channel_of(state, asked)
    if channel.type is ChannelType.FORUM:
        return _open_post(state, channel, asked)
    if channel.type is not ChannelType.TEXT:
        raise wrong_channel_type()
    _check(asked.form)
    kind = asked.form.get("type", int(ChannelType.PRIVATE_THREAD))
    if kind not in (ChannelType.PUBLIC_THREAD, ChannelType.PRIVATE_THREAD):
        raise invalid_form("type", "BASE_TYPE_CHOICES", "Value must be one of (11, 12).")
    private = kind == ChannelType.PRIVATE_THREAD
    needed = Permission.CREATE_PRIVATE_THREADS if private else Permission.CREATE_PUBLIC_THREADS
    state.require(channel, needed)
    thread = threads.open_alone(
        state,
        channel,
        state.bot,
        asked.form["name"],
        _auto_archive(asked.form),
        private=private,
        invitable=bool(asked.form.get("invitable", True)),
    )
    return channel_json(state, thread)


@routes.on("PUT", "/channels/{channel}/thread-members/{user}")
def add_member(state: State, asked: Asked) -> None:
    channel, thread = _thread_of(state, asked)
    if thread.archived:
        raise thread_archived()
    membership.join(state, channel, _member_id(state, asked))


@routes.on("DELETE", "/channels/{channel}/thread-members/{user}")
def remove_member(state: State, asked: Asked) -> None:
    channel, thread = _thread_of(state, asked)
    if thread.archived:
        raise thread_archived()
    member = _member_id(state, asked)
    if member != state.bot.id and thread.owner_id != state.bot.id:
        state.require(channel, Permission.MANAGE_THREADS)
    membership.leave(state, channel, member)


@routes.on("GET", "/channels/{channel}/thread-members")
def members(state: State, asked: Asked) -> list[Json]:
    channel, thread = _thread_of(state, asked)
    return [thread_member_json(channel, user_id) for user_id in thread.members]


@routes.on("GET", "/channels/{channel}/thread-members/{user}")
def member(state: State, asked: Asked) -> Json:
    channel, thread = _thread_of(state, asked)
    found = _member_id(state, asked)
    if found not in thread.members:
        raise unknown_member()
    return thread_member_json(channel, found)


@routes.on("GET", "/guilds/{guild}/threads/active")
def active(state: State, asked: Asked) -> Json:
    found = state.active_threads(guild_of(state, asked))
    return _listing(state, sorted(found, key=lambda thread: -thread.id))


@routes.on("GET", "/channels/{channel}/threads/archived/public")
def archived_public(state: State, asked: Asked) -> Json:
    return _archived(state, asked, ChannelType.PUBLIC_THREAD)


@routes.on("GET", "/channels/{channel}/threads/archived/private")
@routes.on("GET", "/channels/{channel}/users/@me/threads/archived/private")
def archived_private(state: State, asked: Asked) -> Json:
    return _archived(state, asked, ChannelType.PRIVATE_THREAD)


def _open_post(state: State, forum: Channel, asked: Asked) -> Json:
    state.require(forum, Permission.SEND_MESSAGES)
    _check(asked.form)
    tags = threads.read_tags(forum, asked.form.get("applied_tags"))
    if forum.require_tag and not tags:
        raise ApiError(400, 40067, "A tag is required to create a forum post in this channel")
    body = asked.form.get("message")
    if not isinstance(body, dict):
        raise invalid_form("message", "BASE_TYPE_REQUIRED", "This field is required")
    draft = read_message(body, asked.files, file_limit=file_limit_in(state, forum))
    first = posting.compose(state, forum, state.bot, draft)
    thread = threads.open_post(state, forum, first, asked.form["name"], tags, _auto_archive(asked.form))
    return channel_json(state, thread) | {"message": payloads.message_json(state, first)}


def _check(form: Json) -> None:
    errors = FormErrors()
    threads.check_thread(form, errors)
    errors.raise_any()


def _auto_archive(form: Json) -> int:
    return int(form.get("auto_archive_duration") or threads.DEFAULT_ARCHIVE)


def _thread_of(state: State, asked: Asked) -> tuple[Channel, Thread]:
    channel = channel_of(state, asked)
    if channel.thread is None:
        raise wrong_channel_type()
    return channel, channel.thread


def _member_id(state: State, asked: Asked) -> int:
    if asked.params["user"] == "@me":
        return state.bot.id
    if asked.id("user") not in state.users:
        raise unknown_member()
    return asked.id("user")


def _archived(state: State, asked: Asked, kind: ChannelType) -> Json:
    channel = channel_of(state, asked)
    limit = asked.limit(PAGE, 100)
    found = [
        thread
        for thread in state.threads_of(channel)
        if thread.thread is not None and thread.thread.archived and thread.type is kind and state.bot_sees(thread)
    ]
    found.sort(key=lambda thread: -(thread.thread.archive_changed if thread.thread else 0.0))
    return _listing(state, found[:limit]) | {"has_more": len(found) > limit}


def _listing(state: State, found: list[Channel]) -> Json:
    mine = [thread for thread in found if thread.thread is not None and state.bot.id in thread.thread.members]
    return {
        "threads": [channel_json(state, thread) for thread in found],
        "members": [thread_member_json(thread, state.bot.id) for thread in mine],
    }
