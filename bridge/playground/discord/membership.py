"""Who is in a thread, and whether it is open."""

from __future__ import annotations

from bridge.playground.discord import payloads
from bridge.playground.discord.model import Channel, ChannelType, Json
from bridge.playground.discord.sessions import Intent
from bridge.playground.discord.state import State


def set_archived(state: State, thread: Channel, *, archived: bool, locked: bool | None = None) -> None:
    if thread.thread is None:
        return
    if thread.thread.archived != archived:
        thread.thread.archived = archived
        thread.thread.archive_changed = state.clock()
    if locked is not None:
        thread.thread.locked = locked
    state.announce_channel("THREAD_UPDATE", thread)


def join(state: State, thread: Channel, user_id: int) -> None:
    """Make someone a member. The bot hears of itself only, unless it may know of all members."""
    if thread.thread is None or user_id in thread.thread.members:
        return
    thread.thread.members[user_id] = state.clock()
    if user_id == state.bot.id and thread.type is ChannelType.PRIVATE_THREAD:
        state.announce_channel("THREAD_CREATE", thread)
    _tell_members(state, thread, user_id, joined=True)


def leave(state: State, thread: Channel, user_id: int) -> None:
    if thread.thread is None or user_id not in thread.thread.members:
        return
    del thread.thread.members[user_id]
    _tell_members(state, thread, user_id, joined=False)


def _tell_members(state: State, thread: Channel, user_id: int, *, joined: bool) -> None:
    if thread.thread is None or thread.guild_id is None:
        return
    event: Json = {
        "id": str(thread.id),
        "guild_id": str(thread.guild_id),
        "member_count": len(thread.thread.members),
    }
    if joined:
        member = payloads.thread_member_json(thread, user_id)
        person = payloads.member_json(state, state.guilds[thread.guild_id], state.users[user_id])
        event["added_members"] = [member | {"member": person, "presence": None}]
    else:
        event["removed_member_ids"] = [str(user_id)]
    intent = Intent.GUILDS if user_id == state.bot.id else Intent.GUILD_MEMBERS
    state.dispatch("THREAD_MEMBERS_UPDATE", event, intent=intent, guild_id=thread.guild_id)
