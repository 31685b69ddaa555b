"""Threads: from a message, on their own, or as a forum's posts."""

from __future__ import annotations

from bridge.playground.discord import payloads, posting
from bridge.playground.discord.errors import FormErrors, invalid_form, thread_exists
from bridge.playground.discord.model import (
    Change,
    Channel,
    ChannelType,
    Json,
    Message,
    MessageFlag,
    MessageType,
    Reference,
    Thread,
    User,
)
from bridge.playground.discord.sessions import Intent
from bridge.playground.discord.state import State

# Discord's documented limits.
MAX_NAME = 100
ARCHIVE_AFTER = (60, 1440, 4320, 10080)  # minutes
MAX_SLOW_MODE = 21_600  # seconds
MAX_TAGS = 5
DEFAULT_ARCHIVE = 4320


def check_thread(body: Json, errors: FormErrors, *, needed: bool = True) -> None:
    if needed or "name" in body:
        errors.text("name", body.get("name"), low=1, high=MAX_NAME)
    if body.get("auto_archive_duration") not in (None, *ARCHIVE_AFTER):
        errors.choice("auto_archive_duration", ARCHIVE_AFTER)
    errors.number("rate_limit_per_user", body.get("rate_limit_per_user"), high=MAX_SLOW_MODE)


def read_tags(forum: Channel, value: object) -> list[int]:
    """The tags of a post. Raises 50035 for one that the forum doesn't have, and for too many."""
    tags = value if isinstance(value, list) else []
    if len(tags) > MAX_TAGS:
        raise invalid_form("applied_tags", "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_TAGS} or fewer in length.")
    known = {str(tag.id): tag.id for tag in forum.tags}
    if any(str(tag) not in known for tag in tags):
        raise invalid_form("applied_tags", "BASE_TYPE_CHOICES", f"Value must be one of {tuple(known)}.")
    return [known[str(tag)] for tag in tags]


def open_on_message(
    state: State, channel: Channel, message: Message, owner: User, name: str, auto_archive: int = DEFAULT_ARCHIVE
) -> Channel:
    """A thread below a message; it has the message's id. Raises 160004 if there is one already."""
    if message.thread_id is not None:
        raise thread_exists()
    thread = _make(state, channel, message.id, ChannelType.PUBLIC_THREAD, owner, name, auto_archive)
    message.thread_id = thread.id
    message.flags |= MessageFlag.HAS_THREAD
    _announce_new(state, thread)
    posting.announce_change(state, channel, message)
    starter = Message(
        id=state.take_id(),
        channel_id=thread.id,
        author=owner,
        created=state.clock(),
        type=MessageType.THREAD_STARTER,
        reference=Reference(channel.id, message.id),
    )
    posting.add_message(state, thread, starter)
    return thread


def open_alone(
    state: State,
    channel: Channel,
    owner: User,
    name: str,
    auto_archive: int = DEFAULT_ARCHIVE,
    *,
    private: bool = False,
    invitable: bool = True,
) -> Channel:
    """A thread without a message to begin with. A public one is told of in its channel."""
    kind = ChannelType.PRIVATE_THREAD if private else ChannelType.PUBLIC_THREAD
    thread = _make(state, channel, state.take_id(), kind, owner, name, auto_archive)
    if thread.thread is not None:
        thread.thread.invitable = invitable
    _announce_new(state, thread)
    if not private:
        note = Message(
            id=state.take_id(),
            channel_id=channel.id,
            author=owner,
            created=state.clock(),
            type=MessageType.THREAD_CREATED,
            content=name,
            reference=Reference(thread.id, None),
        )
        posting.add_message(state, channel, note)
    return thread


def open_post(
    state: State, forum: Channel, first: Message, name: str, tags: list[int], auto_archive: int = DEFAULT_ARCHIVE
) -> Channel:
    """A forum's post: a thread that has its first message's id."""
    thread = _make(state, forum, first.id, ChannelType.PUBLIC_THREAD, first.author, name, auto_archive)
    if thread.thread is not None:
        thread.thread.tags = tags
    forum.last_message_id = thread.id
    first.channel_id = thread.id
    for attachment in first.attachments:
        attachment.channel_id = thread.id
    _announce_new(state, thread)
    posting.add_message(state, thread, first)
    return thread


def rename(state: State, thread: Channel, by: User, name: str) -> None:
    """Give a thread another name, which a line in it tells of."""
    if name == thread.name:
        return
    thread.name = name
    state.announce_channel("THREAD_UPDATE", thread)
    note = Message(
        id=state.take_id(),
        channel_id=thread.id,
        author=by,
        created=state.clock(),
        type=MessageType.CHANNEL_NAME_CHANGE,
        content=name,
    )
    posting.add_message(state, thread, note)


def sync_list(state: State, channel: Channel) -> None:
    """Tell the bot of the open threads of a channel that it has come to see."""
    found = [thread for thread in state.threads_of(channel) if thread.thread and not thread.thread.archived]
    mine = [thread for thread in found if thread.thread and state.bot.id in thread.thread.members]
    data: Json = {
        "guild_id": str(channel.guild_id),
        "channel_ids": [str(channel.id)],
        "threads": [payloads.channel_json(state, thread) for thread in found],
        "members": [payloads.thread_member_json(thread, state.bot.id) for thread in mine],
    }
    state.dispatch("THREAD_LIST_SYNC", data, intent=Intent.GUILDS, guild_id=channel.guild_id)


def delete(state: State, channel: Channel) -> None:
    """Take a channel or thread away, with the threads below it."""
    below = state.threads_of(channel)
    seen = state.bot_sees(channel)
    for gone in (channel, *below):
        state.channels.pop(gone.id, None)
    data: Json = {"id": str(channel.id), "type": int(channel.type), "guild_id": str(channel.guild_id)}
    event = "THREAD_DELETE"
    if channel.thread is not None:
        data["parent_id"] = str(channel.parent_id)
    else:
        event, data = "CHANNEL_DELETE", payloads.channel_json(state, channel)
    if seen:
        state.dispatch(event, data, intent=Intent.GUILDS, guild_id=channel.guild_id)
    state.notify(Change("thread" if channel.thread is not None else "channel", channel.id))


def _make(
    state: State, parent: Channel, thread_id: int, kind: ChannelType, owner: User, name: str, auto_archive: int
) -> Channel:
    now = state.clock()
    thread = Channel(
        id=thread_id,
        type=kind,
        name=name,
        guild_id=parent.guild_id,
        parent_id=parent.id,
        thread=Thread(
            owner_id=owner.id,
            created=now,
            auto_archive=auto_archive,
            archive_changed=now,
            members={owner.id: now},
        ),
    )
    state.channels[thread.id] = thread
    return thread


def _announce_new(state: State, thread: Channel) -> None:
    if state.bot_sees(thread):
        data = payloads.channel_json(state, thread) | {"newly_created": True}
        state.dispatch("THREAD_CREATE", data, intent=Intent.GUILDS, guild_id=thread.guild_id)
    state.notify(Change("thread", thread.id))
