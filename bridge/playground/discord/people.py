"""What a person's interaction looks like when it reaches the bot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bridge.playground.discord import payloads
from bridge.playground.discord.commands import CHANNEL, MENTIONABLE, USER, OptionValue
from bridge.playground.discord.invocations import Interaction, InteractionType
from bridge.playground.discord.model import ORDINARY, Attachment, Channel, Json, Message
from bridge.playground.discord.state import State


def send_interaction(state: State, interaction: Interaction, message: Message | None = None) -> Interaction:
    """Keep the interaction and tell the bot of it."""
    state.invocations.add(interaction)
    channel = state.channel(interaction.channel_id)
    state.dispatch("INTERACTION_CREATE", interaction_json(state, interaction, message), guild_id=channel.guild_id)
    return interaction


def interaction_json(state: State, interaction: Interaction, message: Message | None) -> Json:
    channel = state.channel(interaction.channel_id)
    user = state.users[interaction.user_id]
    fields: Json = {
        "id": str(interaction.id),
        "application_id": str(state.application_id),
        "type": int(interaction.type),
        "token": interaction.token,
        "version": 1,
        "data": interaction.data,
        "channel_id": str(channel.id),
        "channel": payloads.channel_json(state, channel) | {"permissions": str(int(ORDINARY))},
        "app_permissions": str(int(state.permissions(channel))),
        "locale": "en-US",
        "entitlements": [],
        "authorizing_integration_owners": _owners(state, interaction, channel),
        "context": 0 if channel.guild_id is not None else 1,
        "attachment_size_limit": payloads.file_limit_in(state, channel),
    }
    if message is not None:
        fields["message"] = payloads.message_json(state, message, gateway=True)
    if channel.guild_id is None:
        fields["user"] = payloads.user_json(user)
        return fields
    guild = state.guilds[channel.guild_id]
    return fields | {
        "guild_id": str(guild.id),
        "guild": {"id": str(guild.id), "locale": "en-US", "features": []},
        "guild_locale": "en-US",
        "member": payloads.member_json(state, guild, user) | {"permissions": str(int(ORDINARY))},
    }


def bot_is_in(state: State, channel: Channel) -> bool:
    """Whether the app is installed there, as a bot. Elsewhere a person may have installed it for themselves."""
    return channel.guild_id is None or state.bot.id in state.guilds[channel.guild_id].members


def _owners(state: State, interaction: Interaction, channel: Channel) -> Json:
    if bot_is_in(state, channel):
        return {"0": str(channel.guild_id or 0)}
    return {"1": str(interaction.user_id)}


def new_interaction(
    state: State, kind: InteractionType, user_id: int, channel: Channel, data: Json, *, name: str | None = None
) -> Interaction:
    return Interaction(
        id=state.take_id(),
        type=kind,
        user_id=user_id,
        channel_id=channel.id,
        created=state.clock(),
        data=data,
        name=name,
    )


def resolve_options(
    state: State,
    channel: Channel,
    takes: list[Json],
    values: Mapping[str, OptionValue],
    attachments: Iterable[Attachment],
) -> Json:
    """The people, channels and files that the values of a command's options name."""
    kinds = {option["name"]: option["type"] for option in takes}
    by_kind: dict[int, list[int]] = {}
    for name, value in values.items():
        if kinds.get(name) in (USER, MENTIONABLE, CHANNEL):
            by_kind.setdefault(kinds[name], []).append(int(value))
    users = by_kind.get(USER, []) + by_kind.get(MENTIONABLE, [])
    return resolved(state, channel, users=users, channels=by_kind.get(CHANNEL, []), attachments=attachments)


def resolved(
    state: State,
    channel: Channel,
    *,
    users: Iterable[int] = (),
    channels: Iterable[int] = (),
    messages: Iterable[Message] = (),
    attachments: Iterable[Attachment] = (),
) -> Json:
    """The objects that an interaction's data names by id."""
    found: Json = {}
    guild = state.guilds.get(channel.guild_id or 0)
    for user_id in users:
        user = state.users[user_id]
        found.setdefault("users", {})[str(user_id)] = payloads.user_json(user)
        if guild is not None and user_id in guild.members:
            member = payloads.member_json(state, guild, user, with_user=False) | {
                "permissions": str(int(ORDINARY))
            }
            found.setdefault("members", {})[str(user_id)] = member
    for channel_id in channels:
        there = payloads.channel_json(state, state.channel(channel_id)) | {"permissions": str(int(ORDINARY))}
        found.setdefault("channels", {})[str(channel_id)] = there
    for message in messages:
        found.setdefault("messages", {})[str(message.id)] = payloads.message_json(state, message)
    for attachment in attachments:
        shown = payloads.attachment_json(state, attachment)
        found.setdefault("attachments", {})[str(attachment.id)] = shown
    return found
