"""The objects of the API, built from the model."""

from __future__ import annotations

import base64
import copy
from typing import TYPE_CHECKING

from bridge.playground.discord.components import ATTACHMENT_SCHEME, media_of
from bridge.playground.discord.files import file_limit
from bridge.playground.discord.model import (
    NOTHING,
    ORDINARY,
    Attachment,
    Channel,
    ChannelType,
    Guild,
    Invocation,
    Json,
    Message,
    MessageFlag,
    MessageType,
    Reference,
    Tag,
    Thread,
    User,
)
from bridge.playground.discord.snowflake import iso

if TYPE_CHECKING:
    from bridge.playground.discord.state import State

HAS_MEMBERS = 1 << 15  # flags of an application in fewer than 100 guilds
HAS_MESSAGE_CONTENT = 1 << 19


def user_json(user: User) -> Json:
    return {
        "id": str(user.id),
        "username": user.name,
        "discriminator": "0",
        "global_name": user.display_name,
        "avatar": None,
        "bot": user.bot,
        "public_flags": 0,
    }


def member_json(state: State, guild: Guild, user: User, *, with_user: bool = True) -> Json:
    member: Json = {
        "nick": None,
        "avatar": None,
        "roles": [str(role_id) for role_id in _roles_of(state, guild, user)],
        "joined_at": iso(guild.members[user.id]),
        "premium_since": None,
        "deaf": False,
        "mute": False,
        "flags": 0,
        "pending": False,
        "communication_disabled_until": None,
    }
    if with_user:
        member["user"] = user_json(user)
    return member


def application_json(state: State) -> Json:
    flags = HAS_MESSAGE_CONTENT if state.message_content else 0
    if state.members_intent:
        flags |= HAS_MEMBERS
    return {
        "id": str(state.application_id),
        "name": state.bot.display_name,
        "icon": None,
        "description": "",
        "bot_public": state.bot_public,
        "bot_require_code_grant": False,
        "owner": user_json(state.owner),
        "team": None,
        "verify_key": "0" * 64,
        "flags": flags,
        "redirect_uris": [],
        "approximate_guild_count": len(state.guilds),
        "bot": user_json(state.bot),
        "integration_types_config": {"0": {}, "1": {}} if state.user_installs else {"0": {}},
    }


def _roles_of(state: State, guild: Guild, user: User) -> list[int]:
    """@everyone is never named."""
    return [guild.bot_role_id] if user.id == state.bot.id else sorted(guild.given.get(user.id, ()))


def role_json(role_id: int, name: str, permissions: int, position: int, *, bot_id: int | None = None) -> Json:
    role: Json = {
        "id": str(role_id),
        "name": name,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "icon": None,
        "unicode_emoji": None,
        "position": position,
        "permissions": str(int(permissions)),
        "managed": bot_id is not None,
        "mentionable": False,
        "flags": 0,
    }
    if bot_id is not None:
        role["tags"] = {"bot_id": str(bot_id)}
    return role


def guild_json(state: State, guild: Guild) -> Json:
    """A guild as REST gives it."""
    return {
        "id": str(guild.id),
        "name": guild.name,
        "icon": None,
        "splash": None,
        "discovery_splash": None,
        "banner": None,
        "description": None,
        "owner_id": str(guild.owner_id),
        "afk_channel_id": None,
        "afk_timeout": 300,
        "verification_level": 0,
        "default_message_notifications": 0,
        "explicit_content_filter": 0,
        "roles": [
            role_json(guild.id, "@everyone", ORDINARY & guild.bot_permissions, 0),
            role_json(guild.bot_role_id, state.bot.name, guild.bot_permissions, 1, bot_id=state.bot.id),
            *(role_json(role_id, name, NOTHING, 1) for role_id, name in guild.roles.items()),
        ],
        "emojis": [],
        "stickers": [],
        "features": [],
        "mfa_level": 0,
        "application_id": None,
        "system_channel_id": None,
        "system_channel_flags": 0,
        "rules_channel_id": None,
        "public_updates_channel_id": None,
        "safety_alerts_channel_id": None,
        "vanity_url_code": None,
        "premium_tier": guild.boost_tier,
        "premium_subscription_count": 0,
        "premium_progress_bar_enabled": False,
        "preferred_locale": "en-US",
        "nsfw_level": 0,
        "max_members": 500_000,
        "approximate_member_count": len(guild.members),
    }


def guild_create_json(state: State, guild: Guild) -> Json:
    """A guild as the gateway gives it after READY."""
    channels = state.channels_of(guild)
    return guild_json(state, guild) | {
        "joined_at": iso(guild.members[state.bot.id]),
        "large": False,
        "unavailable": False,
        "member_count": len(guild.members),
        "members": [member_json(state, guild, state.users[user_id]) for user_id in guild.members],
        "channels": [channel_json(state, channel) for channel in channels if channel.thread is None],
        "threads": [channel_json(state, thread) for thread in state.active_threads(guild)],
        "voice_states": [],
        "presences": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }


def channel_json(state: State, channel: Channel) -> Json:
    base: Json = {
        "id": str(channel.id),
        "type": int(channel.type),
        "last_message_id": _id(channel.last_message_id),
        "flags": 0,
    }
    if channel.type is ChannelType.DIRECT:
        people = [state.users[user_id] for user_id in channel.recipients]
        return base | {"recipients": [user_json(user) for user in people]}
    base |= {
        "guild_id": _id(channel.guild_id),
        "name": channel.name,
        "parent_id": _id(channel.parent_id),
        "rate_limit_per_user": channel.slow_mode,
    }
    if channel.thread is not None:
        return base | _thread_fields(state, channel, channel.thread)
    base |= {
        "position": channel.position,
        "topic": channel.topic,
        "nsfw": False,
        "permission_overwrites": [],
        "default_auto_archive_duration": None,
    }
    if channel.denied:
        base["permission_overwrites"] = [
            {"id": str(state.bot.id), "type": 1, "allow": "0", "deny": str(int(channel.denied))}
        ]
    if channel.type is ChannelType.FORUM:
        base |= {
            "available_tags": [_tag_json(tag) for tag in channel.tags],
            "default_reaction_emoji": None,
            "default_sort_order": None,
            "default_forum_layout": 0,
            "flags": 1 << 4 if channel.require_tag else 0,
        }
    return base


def thread_member_json(thread: Channel, user_id: int) -> Json:
    joined = thread.thread.members[user_id] if thread.thread else 0.0
    return {"id": str(thread.id), "user_id": str(user_id), "join_timestamp": iso(joined), "flags": 1}


def _thread_fields(state: State, channel: Channel, thread: Thread) -> Json:
    fields: Json = {
        "owner_id": str(thread.owner_id),
        "message_count": thread.sent,
        "member_count": len(thread.members),
        "total_message_sent": thread.sent,
        "applied_tags": [str(tag) for tag in thread.tags],
        "thread_metadata": {
            "archived": thread.archived,
            "auto_archive_duration": thread.auto_archive,
            "archive_timestamp": iso(thread.archive_changed),
            "locked": thread.locked,
            "create_timestamp": iso(thread.created),
        },
    }
    if channel.type is ChannelType.PRIVATE_THREAD:
        fields["thread_metadata"]["invitable"] = thread.invitable
    if state.bot.id in thread.members:
        fields["member"] = thread_member_json(channel, state.bot.id)
    return fields


def attachment_json(state: State, attachment: Attachment) -> Json:
    address = state.base_url + state.files.address(attachment)
    fields: Json = {
        "id": str(attachment.id),
        "filename": attachment.name,
        "size": attachment.size,
        "url": address,
        "proxy_url": address,
        "content_type": attachment.media_type,
    }
    if attachment.title is not None:
        fields["title"] = attachment.title
    if attachment.description is not None:
        fields["description"] = attachment.description
    if attachment.seconds is not None:
        fields |= {"duration_secs": attachment.seconds, "waveform": base64.b64encode(bytes(64)).decode()}
    if attachment.ephemeral:
        fields["ephemeral"] = True
    return fields


def message_json(
    state: State,
    message: Message,
    *,
    content: bool = True,
    gateway: bool = False,
    fresh: bool = False,
    nested: bool = False,
) -> Json:
    """A message as the bot gets it. Without `content` it is emptied, unless it is the bot's to read anyway; the
    nonce is only in the answer to its sending and in MESSAGE_CREATE, which are `fresh`."""
    channel = state.channels.get(message.channel_id)
    readable = content or state.may_always_read(message)
    fields: Json = {
        "id": str(message.id),
        "channel_id": str(message.channel_id),
        "type": int(message.type),
        "author": user_json(message.author),
        "content": message.content if readable else "",
        "timestamp": iso(message.created),
        "edited_timestamp": None if message.edited is None else iso(message.edited),
        "tts": message.tts,
        "mention_everyone": message.mention_everyone,
        "mentions": [user_json(state.users[user_id]) for user_id in message.mentions],
        "mention_roles": [str(role_id) for role_id in message.mention_roles],
        "attachments": [attachment_json(state, item) for item in message.attachments] if readable else [],
        "embeds": message.embeds if readable else [],
        "components": components_json(state, message) if readable else [],
        "pinned": False,
        "flags": int(message.flags),
    }
    if message.webhook_id is not None:
        fields["webhook_id"] = str(message.webhook_id)
    if message.nonce is not None and fresh:
        fields["nonce"] = message.nonce
    if message.poll is not None and readable:
        fields["poll"] = message.poll
    if message.reactions:
        fields["reactions"] = [_reaction_json(state, *item) for item in message.reactions.items()]
    if message.reference is not None:
        fields |= _reference_fields(state, message, message.reference, content=content, nested=nested)
    if message.invocation is not None:
        fields |= _invocation_fields(state, message.invocation)
    if message.thread_id in state.channels:
        fields["thread"] = channel_json(state, state.channels[message.thread_id])
    if gateway and channel is not None and channel.guild_id is not None:
        guild = state.guilds[channel.guild_id]
        fields["guild_id"] = str(guild.id)
        if message.author.id in guild.members:
            fields["member"] = member_json(state, guild, message.author, with_user=False)
    return fields


def components_json(state: State, message: Message) -> list[Json]:
    """The components, with the addresses of the attachments that they show."""
    shown = copy.deepcopy(message.components)
    by_name = {attachment.name: attachment for attachment in message.attachments}
    for media in media_of(shown):
        attachment = by_name.get(str(media["url"]).removeprefix(ATTACHMENT_SCHEME))
        if attachment is not None:
            address = state.base_url + state.files.address(attachment)
            media |= {
                "url": address,
                "proxy_url": address,
                "attachment_id": str(attachment.id),
                "content_type": attachment.media_type,
                "loading_state": 2,
                "placeholder": "",
            }
    return shown


def _reaction_json(state: State, emoji: str, people: list[int]) -> Json:
    return {
        "emoji": {"id": None, "name": emoji},
        "count": len(people),
        "count_details": {"burst": 0, "normal": len(people)},
        "me": state.bot.id in people,
        "me_burst": False,
        "burst_colors": [],
    }


def _reference_fields(
    state: State, message: Message, reference: Reference, *, content: bool, nested: bool
) -> Json:
    there = state.channels.get(reference.channel_id)
    pointer: Json = {"type": 0, "channel_id": str(reference.channel_id)}
    if reference.message_id is not None:
        pointer["message_id"] = str(reference.message_id)
    if there is not None and there.guild_id is not None:
        pointer["guild_id"] = str(there.guild_id)
    fields: Json = {"message_reference": pointer}
    if not nested and message.type in (MessageType.REPLY, MessageType.THREAD_STARTER):
        original = there.messages.get(reference.message_id or 0) if there else None
        fields["referenced_message"] = (
            None if original is None else message_json(state, original, content=content, nested=True)
        )
    return fields


def _invocation_fields(state: State, invocation: Invocation) -> Json:
    user = user_json(state.users[invocation.user_id])
    metadata: Json = {
        "id": str(invocation.id),
        "type": invocation.type,
        "user": user,
        "authorizing_integration_owners": {},
    }
    fields: Json = {"interaction_metadata": metadata, "application_id": str(state.application_id)}
    fields["webhook_id"] = str(state.application_id)
    if invocation.target_message_id is not None:
        metadata["target_message_id"] = str(invocation.target_message_id)
    if invocation.name is not None:
        metadata["name"] = invocation.name
        fields["interaction"] = {"id": str(invocation.id), "type": 2, "name": invocation.name, "user": user}
    return fields


def file_limit_in(state: State, channel: Channel) -> int:
    """Bytes that one file may have in this channel."""
    guild = state.guilds.get(channel.guild_id or 0)
    return file_limit(guild.boost_tier if guild else 0)


def is_ephemeral(message: Message) -> bool:
    return bool(message.flags & MessageFlag.EPHEMERAL)


def _tag_json(tag: Tag) -> Json:
    return {"id": str(tag.id), "name": tag.name, "moderated": False, "emoji_id": None, "emoji_name": None}


def _id(value: int | None) -> str | None:
    return None if value is None else str(value)
