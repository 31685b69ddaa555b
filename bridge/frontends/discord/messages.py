"""discord.py's messages as the values that the rest works with."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import discord

from bridge.commands import Given
from bridge.frontends.discord import reading
from bridge.frontends.discord.cards import embed_text, poll_text, post_text
from bridge.frontends.discord.files import FileId, shown_name
from bridge.frontends.discord.reading import Heard, Spot, pressed
from bridge.inbound import Address, ContextMessage, Inbound, Person, RemoteFile, Standing
from bridge.listening import USUAL, Listening
from bridge.render.incoming import from_discord

ORDINARY = (discord.MessageType.default, discord.MessageType.reply)
UNKNOWN_MEDIA_TYPE = "application/octet-stream"


def is_from_person(message: discord.Message) -> bool:
    """An ordinary message or reply of a person: no bot, no webhook, no notice of Discord's own."""
    return not message.author.bot and message.webhook_id is None and message.type in ORDINARY


def may_ask(message: discord.Message, bots: Collection[str], client: discord.Client) -> bool:
    """Whether a person wrote it, or one of these bots, by the id of its user, webhook or application; nothing is that
    is ours."""
    if is_from_person(message):
        return True
    app = message.application_id
    ours = message.author == client.user or (app is not None and app == client.application_id)
    ids = {str(one) for one in (message.author.id, message.webhook_id, app) if one is not None}
    return message.type in ORDINARY and not ours and not ids.isdisjoint(bots)


def may_be_part(message: discord.Message) -> bool:
    """Whether a message of ours can be a part of a reply; what a person asked by command stands there in ours, too."""
    return message.type in ORDINARY and not message.flags.silent


def spot(channel: object) -> Spot | None:
    """Where a channel is; None if discord.py knows no more of it than its id."""
    match channel:
        case discord.DMChannel() | discord.PartialMessageable(guild_id=None):
            return Spot("direct", None, channel.id)
        case discord.Thread():
            return Spot("thread", channel.guild.id, channel.id, channel.parent_id)
        case discord.abc.GuildChannel():
            return Spot("channel", channel.guild.id, channel.id)
    return None


def heard(message: discord.Message, spot: Spot, me: discord.ClientUser, listening: Listening) -> Heard:
    """What decides whether and where a message is answered."""
    replied = message.reference.resolved if message.reference else None
    own = replied if isinstance(replied, discord.Message) and replied.author.id == me.id else None
    return Heard(
        spot=spot,
        id=message.id,
        content="\n".join(_contents(message)),
        has_cards=bool(_cards(message)),
        mentioned=_mentions(message, me),
        has_files=bool(files(message)),
        reply=message.type is discord.MessageType.reply,
        chain=own.reference.message_id if own and own.reference else None,
        to_us=own is not None,
        by_bot=not is_from_person(message),
        listening=USUAL if spot.kind == "direct" else listening,
    )


def command(message: discord.Message, heard: Heard, me: discord.ClientUser) -> Given | None:
    """The command that a person gave by mentioning the bot; None for a question."""
    role = _own_role(message)
    return reading.command(heard, me.id, role.id if role else None)


def inbound(message: discord.Message, me: discord.ClientUser, address: Address, *, mid_thread: bool) -> Inbound:
    """The turn that a message is. Discord has no ids of deliveries: the message's own serves."""
    return Inbound(
        address=address,
        event_id=str(message.id),
        message_id=str(message.id),
        position=message.id,
        person=person(message.author),
        text=text(message, me),
        files=files(message),
        direct=not address.workspace,
        mid_thread=mid_thread,
    )


def person(user: discord.User | discord.Member) -> Person:
    """Who wrote or pressed, as far as the event says: roles are known of a server's member only."""
    if user.bot:
        return Person(str(user.id), user.display_name, bot=True)
    if not isinstance(user, discord.Member):
        return Person(str(user.id), user.display_name)
    return Person(str(user.id), user.display_name, roles=role_ids(user), standing=Standing.MEMBER)


def role_ids(member: discord.Member) -> tuple[str, ...]:
    return tuple(str(role.id) for role in member.roles if not role.is_default())


def said(message: discord.Message, me: discord.ClientUser) -> ContextMessage | None:
    """A message as context: None for our own, for Discord's own, and for what says nothing. Other bots' count,
    embeds too, as they are often what the question is about."""
    if message.author.id == me.id or message.type not in ORDINARY:
        return None
    words = text(message, me)
    attached = files(message)
    if not words and not attached:
        return None
    return ContextMessage(message.author.display_name, words, attached)


def text(message: discord.Message, me: discord.ClientUser) -> str:
    """The message's words as Markdown, with names for mentions and without those of the bot itself; with what its
    embeds and its poll say, and what a forum post is called."""
    names = {str(user.id): user.display_name for user in message.mentions}
    names |= {str(role.id): role.name for role in message.role_mentions}
    names |= {str(channel.id): channel.name for channel in message.channel_mentions}
    names[str(me.id)] = ""
    if role := _own_role(message):
        names[str(role.id)] = ""
    words = from_discord("\n".join(_contents(message)), names.get)
    cards = (from_discord(card, names.get) for card in _cards(message))
    return "\n\n".join(filter(None, (post_text(message), words, *cards)))


def files(message: discord.Message) -> tuple[RemoteFile, ...]:
    return tuple(
        RemoteFile(
            id=str(FileId(message.channel.id, message.id, attachment.id)),
            name=shown_name(attachment),
            media_type=attachment.content_type or UNKNOWN_MEDIA_TYPE,
            size=attachment.size,
            url=attachment.url,
            seconds=attachment.duration or 0.0 if attachment.is_voice_message() else None,
        )
        for attachment in attachments(message)
    )


def _contents(message: discord.Message) -> Iterable[str]:
    """A forwarded message has no words of its own: they are in its snapshots."""
    return filter(None, (message.content, *(snapshot.content for snapshot in message.message_snapshots)))


def stops(message: discord.Message, turn: str) -> bool:
    """Whether a message has a button that stops this turn: then it is a part of it that grows."""
    rows = (row for row in message.components if isinstance(row, discord.ActionRow))
    buttons = (child for row in rows for child in row.children if isinstance(child, discord.Button))
    return any(pressed(button.custom_id or "") == ("stop", turn, "") for button in buttons)


def attachments(message: discord.Message) -> Iterable[discord.Attachment]:
    """Those of the message, and of what it forwards."""
    yield from message.attachments
    for snapshot in message.message_snapshots:
        yield from snapshot.attachments


def _cards(message: discord.Message) -> list[str]:
    """What the message, and what it forwards, says outside its content."""
    embeds = [*message.embeds, *(embed for snapshot in message.message_snapshots for embed in snapshot.embeds)]
    said = [embed_text(embed) for embed in embeds]
    if message.poll is not None:
        said.append(poll_text(message.poll))
    return [words for words in said if words]


def _mentions(message: discord.Message, me: discord.ClientUser) -> bool:
    """Whether the bot is mentioned in words: the ping of a reply doesn't count, nor a mention in a code block."""
    if me.id in message.raw_mentions and any(user.id == me.id for user in message.mentions):
        return True
    role = _own_role(message)
    return role is not None and role in message.role_mentions


def _own_role(message: discord.Message) -> discord.Role | None:
    """The role that Discord made for the bot: people who type its name often pick this one."""
    return message.guild.self_role if message.guild else None
