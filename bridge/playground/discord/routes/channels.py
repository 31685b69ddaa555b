"""Channels: reading, changing and deleting them, and typing in them."""

from __future__ import annotations

from bridge.playground.discord import membership, payloads, posting, threads
from bridge.playground.discord.errors import FormErrors, thread_archived, wrong_channel_type
from bridge.playground.discord.limits import CHANGE_CHANNEL, TYPING
from bridge.playground.discord.model import Channel, ChannelType, Json, Permission
from bridge.playground.discord.rest import Asked, Routes
from bridge.playground.discord.state import State

routes = Routes()

MAX_TOPIC = 1024  # characters (documented)


def channel_of(state: State, asked: Asked) -> Channel:
    """The channel that the path names. Raises 10003, or 50001 if the bot can't see it."""
    channel = state.channel(asked.id("channel"))
    state.require(channel)
    return channel


@routes.on("GET", "/channels/{channel}")
def read(state: State, asked: Asked) -> Json:
    return payloads.channel_json(state, channel_of(state, asked))


@routes.on("PATCH", "/channels/{channel}", bucket=CHANGE_CHANNEL)
def change(state: State, asked: Asked) -> Json:
    channel = channel_of(state, asked)
    if channel.type is ChannelType.DIRECT:
        raise wrong_channel_type()
    errors = FormErrors()
    threads.check_thread(asked.form, errors, needed=False)
    errors.text("topic", asked.form.get("topic"), high=MAX_TOPIC, needed=False)
    errors.raise_any()
    if channel.thread is None:
        _change_channel(state, channel, asked.form)
    else:
        _change_thread(state, channel, asked.form)
    return payloads.channel_json(state, channel)


@routes.on("DELETE", "/channels/{channel}", bucket=CHANGE_CHANNEL)
def delete(state: State, asked: Asked) -> Json:
    channel = channel_of(state, asked)
    if channel.type is ChannelType.DIRECT:
        return payloads.channel_json(state, channel)
    state.require(channel, Permission.MANAGE_CHANNELS if channel.thread is None else Permission.MANAGE_THREADS)
    gone = payloads.channel_json(state, channel)
    threads.delete(state, channel)
    return gone


@routes.on("POST", "/channels/{channel}/typing", bucket=TYPING)
def typing(state: State, asked: Asked) -> None:
    channel = channel_of(state, asked)
    state.require(
        channel, Permission.SEND_MESSAGES if channel.thread is None else Permission.SEND_MESSAGES_IN_THREADS
    )
    posting.type_in(state, channel, state.bot)


def _change_channel(state: State, channel: Channel, form: Json) -> None:
    state.require(channel, Permission.MANAGE_CHANNELS)
    channel.name = form.get("name", channel.name)
    channel.topic = form.get("topic", channel.topic)
    channel.slow_mode = form.get("rate_limit_per_user") or 0
    state.announce_channel("CHANNEL_UPDATE", channel)


def _change_thread(state: State, channel: Channel, form: Json) -> None:
    thread = channel.thread
    if thread is None:
        return
    if thread.owner_id != state.bot.id or form.get("locked") is not None:
        state.require(channel, Permission.MANAGE_THREADS)
    if thread.archived and form.get("archived") is not False:
        raise thread_archived()
    if form.get("auto_archive_duration") is not None:
        thread.auto_archive = form["auto_archive_duration"]
    if form.get("rate_limit_per_user") is not None:
        channel.slow_mode = form["rate_limit_per_user"]
    if form.get("applied_tags") is not None:
        thread.tags = threads.read_tags(state.channels[channel.parent_id or 0], form["applied_tags"])
    archived = thread.archived if form.get("archived") is None else bool(form["archived"])
    if "name" in form and form["name"] != channel.name:
        threads.rename(state, channel, state.bot, form["name"])
    membership.set_archived(state, channel, archived=archived, locked=form.get("locked"))
