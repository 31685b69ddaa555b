"""What an operator needs to put the bot into a server: the link, the permissions it asks for, the intents."""

from __future__ import annotations

import base64
import binascii

import discord
from pydantic import SecretStr

PERMISSIONS = discord.Permissions(
    view_channel=True,
    send_messages=True,
    create_public_threads=True,
    send_messages_in_threads=True,
    read_message_history=True,  # context, and finding a part after a broken connection
    attach_files=True,
    add_reactions=True,  # on a question that has to wait
)

# Switched on at Bot > Privileged Gateway Intents in the Developer Portal.
PRIVILEGED_INTENTS = ("Message Content",)


def application_id(token: SecretStr) -> int | None:
    """The application that a bot's token belongs to, read from its first third; None if it can't be."""
    head = token.get_secret_value().partition(".")[0]
    try:
        return int(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (binascii.Error, ValueError):
        return None


def invite_link(application: int) -> str:
    """The address that puts the bot into a server, with no more permissions than it uses."""
    return discord.utils.oauth_url(application, permissions=PERMISSIONS, scopes=("bot", "applications.commands"))


def intents(*, message_content: bool, reactions: bool = False) -> discord.Intents:
    """The gateway events we ask for. Without `message_content`, which is privileged, only direct messages,
    mentions and our own messages have a text."""
    return discord.Intents(
        guilds=True,
        guild_messages=True,
        dm_messages=True,
        guild_reactions=reactions,
        dm_reactions=reactions,
        message_content=message_content,
    )
