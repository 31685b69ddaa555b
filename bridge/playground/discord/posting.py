"""What happens when a message is sent, edited, deleted or reacted to, whoever does it."""

from __future__ import annotations

from bridge.playground.discord import membership, payloads
from bridge.playground.discord.components import number, shown_text
from bridge.playground.discord.errors import (
    cannot_message_user,
    empty_message,
    invalid_form,
    missing_permissions,
    not_a_text_channel,
    not_on_system_message,
    not_your_message,
    thread_archived,
    thread_locked,
)
from bridge.playground.discord.forms import Draft
from bridge.playground.discord.limits import OLD
from bridge.playground.discord.mentions import find_mentions, find_unfurls
from bridge.playground.discord.model import (
    NO_FLAGS,
    Change,
    Channel,
    ChannelType,
    Json,
    Message,
    MessageFlag,
    MessageType,
    Permission,
    Ping,
    Reference,
    Unfurl,
    User,
)
from bridge.playground.discord.sessions import Intent, Session
from bridge.playground.discord.state import MAX_MESSAGES, State

PREVIEW = "link"  # the type of an embed that Discord made of an address
MAX_NONCES = 10_000  # enforced nonces remembered; the oldest are forgotten first


def send_as_bot(state: State, channel: Channel, draft: Draft) -> Message:
    """Send a message of the bot, or find the one that was sent with this nonce."""
    if channel.type is ChannelType.FORUM:
        raise not_a_text_channel()
    needed = Permission.SEND_MESSAGES if channel.thread is None else Permission.SEND_MESSAGES_IN_THREADS
    state.require(channel, needed)
    if not all(state.users[user_id].takes_direct for user_id in channel.recipients):
        raise cannot_message_user()
    if draft.uploads:
        state.require(channel, Permission.ATTACH_FILES)
    if draft.reply_to is not None:
        state.require(channel, Permission.READ_MESSAGE_HISTORY)
    already = _sent_with(state, draft)
    if already is not None:
        return already
    _open_for_bot(state, channel)
    message = compose(state, channel, state.bot, draft)
    add_message(state, channel, message)
    if draft.enforce_nonce and draft.nonce is not None:
        state.nonces[str(draft.nonce)] = (state.clock(), channel.id, message.id)
        if len(state.nonces) > MAX_NONCES:
            del state.nonces[next(iter(state.nonces))]
    return message


def compose(state: State, channel: Channel, author: User, draft: Draft, *, ephemeral: bool = False) -> Message:
    """Make a message of a draft; nobody sees it yet."""
    message = Message(
        id=state.take_id(),
        channel_id=channel.id,
        author=author,
        created=state.clock(),
        content=draft.content or "",
        embeds=draft.embeds or [],
        poll=draft.poll,
        components=number(draft.components or []),
        flags=draft.flags or NO_FLAGS,
        nonce=draft.nonce,
        tts=draft.tts,
    )
    if ephemeral:
        message.flags |= MessageFlag.EPHEMERAL
    if draft.reply_to is not None:
        if draft.reply_to in channel.messages:
            message.type = MessageType.REPLY
            message.reference = Reference(channel.id, draft.reply_to)
        elif draft.reply_must_exist:
            raise invalid_form("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
    message.attachments = [state.store_file(channel.id, item, ephemeral=ephemeral) for item in draft.uploads]
    address_people(state, channel, message, draft.allowed_mentions)
    return message


def address_people(state: State, channel: Channel, message: Message, allowed: Json | None) -> None:
    """Find whom the message mentions, and what else its text sets off."""
    text = f"{message.content}\n{shown_text(message.components)}"
    found = find_mentions(text, allowed)
    if message.author.id == state.bot.id and not state.permissions(channel) & Permission.MENTION_EVERYONE:
        found.everyone.clear()
        found.roles.clear()
    message.mentions = [user for user in found.users if user in state.users]
    message.mention_roles = found.roles
    message.mention_everyone = bool(found.everyone)
    replied = _replied_author(channel, message)
    pings_author = True if allowed is None else bool(allowed.get("replied_user"))
    if replied is not None and pings_author and replied not in message.mentions:
        message.mentions.append(replied)


def add_message(state: State, channel: Channel, message: Message) -> None:
    """Put the message into its channel and tell everyone."""
    channel.messages[message.id] = message
    if len(channel.messages) > MAX_MESSAGES:
        del channel.messages[next(iter(channel.messages))]
    channel.last_message_id = message.id
    if channel.thread is not None and message.type is not MessageType.THREAD_STARTER and message.id != channel.id:
        channel.thread.sent += 1
        if message.author.id not in channel.thread.members and message.webhook_id is None:
            membership.join(state, channel, message.author.id)
    _tell(state, channel, "MESSAGE_CREATE", message)
    state.notify(Change("posted", channel.id, message.id, message.author.id))
    note_pings(state, message)
    unfurl(state, channel, message)


def note_pings(state: State, message: Message) -> None:
    """Record whom a message of the bot notified. Only a new message does that, never an edit."""
    if message.author.id != state.bot.id:
        return
    targets = [str(user) for user in message.mentions if user != state.bot.id]
    targets += [f"@&{role}" for role in message.mention_roles]
    if message.mention_everyone:
        targets.append("@everyone")
    state.pings.extend(Ping(message.id, message.channel_id, target) for target in targets)


def unfurl(state: State, channel: Channel, message: Message) -> None:
    """Fetch previews of the addresses in a text that are new in it. As in Discord they come as an update of the
    message that is no edit."""
    mine = message.author.id == state.bot.id
    if message.flags & (MessageFlag.SUPPRESS_EMBEDS | MessageFlag.COMPONENTS_V2):
        return
    if mine and not state.permissions(channel) & Permission.EMBED_LINKS:
        return
    known = {embed.get("url") for embed in message.embeds}
    urls = [url for url in find_unfurls(message.content) if url not in known]
    if not urls:
        return
    if mine:
        state.unfurls.extend(Unfurl(message.id, channel.id, url) for url in urls)
    message.embeds = [*message.embeds, *({"type": PREVIEW, "url": url, "title": url} for url in urls)]
    announce_change(state, channel, message)


def edit_as_bot(state: State, channel: Channel, message: Message, draft: Draft) -> Message:
    """Edit a message of the bot's own."""
    state.require(channel)
    if message.author.id != state.bot.id:
        raise not_your_message()
    if message.type not in (
        MessageType.DEFAULT,
        MessageType.REPLY,
        MessageType.CHAT_INPUT_COMMAND,
        MessageType.CONTEXT_MENU_COMMAND,
    ):
        raise not_on_system_message()
    if channel.thread is not None and channel.thread.archived:
        raise thread_archived()
    if state.clock() - message.created > OLD:
        state.limits.take_old_edit(str(channel.id))
    apply_edit(state, channel, message, draft)
    return message


def apply_edit(state: State, channel: Channel, message: Message, draft: Draft) -> None:
    """Change a message as the draft says, and tell everyone who sees it. Raises 50006 if nothing would be left."""
    content = message.content if draft.content is None else draft.content
    own_embeds = [embed for embed in message.embeds if embed.get("type") != PREVIEW]
    embeds = own_embeds if draft.embeds is None else draft.embeds
    components = message.components if draft.components is None else number(draft.components)
    kept = [item for item in message.attachments if draft.kept is None or item.id in draft.kept]
    flags = _edited_flags(message, draft)
    shown = components if flags & MessageFlag.COMPONENTS_V2 else content or embeds or kept or draft.uploads
    if not shown:
        raise empty_message()
    if not flags & MessageFlag.SUPPRESS_EMBEDS:
        urls = find_unfurls(content)
        previews = [embed for embed in message.embeds if embed.get("type") == PREVIEW]
        embeds = [*embeds, *(preview for preview in previews if preview["url"] in urls)]
    ephemeral = payloads.is_ephemeral(message)
    message.content, message.embeds, message.components, message.flags = content, embeds, components, flags
    message.attachments = kept + [
        state.store_file(channel.id, item, ephemeral=ephemeral) for item in draft.uploads
    ]
    message.edited = state.clock()
    address_people(state, channel, message, draft.allowed_mentions)
    announce_change(state, channel, message)
    unfurl(state, channel, message)


def announce_change(state: State, channel: Channel, message: Message) -> None:
    """Tell of a message that is not as it was."""
    if payloads.is_ephemeral(message):
        state.notify(Change("ephemeral", channel.id, message.id, message.seen_only_by))
        return
    _tell(state, channel, "MESSAGE_UPDATE", message)
    state.notify(Change("changed", channel.id, message.id, message.author.id))


def delete_as_bot(state: State, channel: Channel, message: Message) -> None:
    state.require(channel)
    if message.author.id != state.bot.id and not state.permissions(channel) & Permission.MANAGE_MESSAGES:
        raise missing_permissions()
    if channel.thread is not None and channel.thread.archived:
        raise thread_archived()
    remove(state, channel, message)


def remove(state: State, channel: Channel, message: Message) -> None:
    """Take a message away and tell everyone."""
    channel.messages.pop(message.id, None)
    if channel.thread is not None and message.type is not MessageType.THREAD_STARTER:
        channel.thread.sent = max(channel.thread.sent - 1, 0)
    gone = {"id": str(message.id), "channel_id": str(channel.id)}
    if channel.guild_id is not None:
        gone["guild_id"] = str(channel.guild_id)
    if state.bot_sees(channel):
        state.dispatch("MESSAGE_DELETE", gone, intent=message_intent(channel), guild_id=channel.guild_id)
    state.notify(Change("deleted", channel.id, message.id))


def react(state: State, channel: Channel, message: Message, user: User, emoji: str) -> None:
    """Add a reaction; a second one by the same person changes nothing."""
    people = message.reactions.setdefault(emoji, [])
    if user.id in people:
        return
    people.append(user.id)
    _tell_reaction(state, "MESSAGE_REACTION_ADD", channel, message, user, emoji)


def unreact(state: State, channel: Channel, message: Message, user: User, emoji: str) -> None:
    people = message.reactions.get(emoji, [])
    if user.id not in people:
        return
    people.remove(user.id)
    if not people:
        del message.reactions[emoji]
    _tell_reaction(state, "MESSAGE_REACTION_REMOVE", channel, message, user, emoji)


def type_in(state: State, channel: Channel, user: User) -> None:
    """Show that someone is typing there."""
    event: Json = {"channel_id": str(channel.id), "user_id": str(user.id), "timestamp": int(state.clock())}
    if channel.guild_id is not None:
        guild = state.guilds[channel.guild_id]
        event |= {"guild_id": str(guild.id), "member": payloads.member_json(state, guild, user)}
    if state.bot_sees(channel):
        intent = Intent.DIRECT_TYPING if channel.guild_id is None else Intent.GUILD_TYPING
        state.dispatch("TYPING_START", event, intent=intent, guild_id=channel.guild_id)
    state.notify(Change("typing", channel.id, user_id=user.id))


def message_intent(channel: Channel) -> Intent:
    return Intent.DIRECT_MESSAGES if channel.guild_id is None else Intent.GUILD_MESSAGES


def _tell(state: State, channel: Channel, event: str, message: Message) -> None:
    def render(session: Session) -> Json:
        allowed = bool(session.intents & Intent.MESSAGE_CONTENT)
        new = event == "MESSAGE_CREATE"
        return payloads.message_json(state, message, content=allowed, gateway=True, fresh=new)

    if state.bot_sees(channel):
        state.dispatch(event, render, intent=message_intent(channel), guild_id=channel.guild_id)


def _tell_reaction(state: State, event: str, channel: Channel, message: Message, user: User, emoji: str) -> None:
    data: Json = {
        "user_id": str(user.id),
        "channel_id": str(channel.id),
        "message_id": str(message.id),
        "message_author_id": str(message.author.id),
        "emoji": {"id": None, "name": emoji},
        "burst": False,
        "type": 0,
    }
    if channel.guild_id is not None:
        guild = state.guilds[channel.guild_id]
        data["guild_id"] = str(guild.id)
        if event == "MESSAGE_REACTION_ADD":
            data["member"] = payloads.member_json(state, guild, user)
    if state.bot_sees(channel):
        intent = Intent.DIRECT_REACTIONS if channel.guild_id is None else Intent.GUILD_REACTIONS
        state.dispatch(event, data, intent=intent, guild_id=channel.guild_id)
    state.notify(Change("reaction", channel.id, message.id, user.id))


def _sent_with(state: State, draft: Draft) -> Message | None:
    if not draft.enforce_nonce or draft.nonce is None:
        return None
    sent = state.nonces.get(str(draft.nonce))
    if sent is None or state.clock() - sent[0] > state.times.nonce_lives:
        return None
    channel = state.channels.get(sent[1])
    return None if channel is None else channel.messages.get(sent[2])


def _open_for_bot(state: State, channel: Channel) -> None:
    """Refuse a thread that is locked; open one that is only archived."""
    thread = channel.thread
    if thread is None:
        return
    if thread.locked and not state.permissions(channel) & Permission.MANAGE_THREADS:
        raise thread_archived() if thread.archived else thread_locked()
    if thread.archived:
        membership.set_archived(state, channel, archived=False)


def _edited_flags(message: Message, draft: Draft) -> MessageFlag:
    if draft.flags is None:
        return message.flags
    # components v2 can be switched on but never off
    changeable = MessageFlag.SUPPRESS_EMBEDS | draft.flags & MessageFlag.COMPONENTS_V2
    return message.flags & ~changeable | draft.flags & changeable


def _replied_author(channel: Channel, message: Message) -> int | None:
    if message.reference is None or message.type is not MessageType.REPLY:
        return None
    original = channel.messages.get(message.reference.message_id or 0)
    return None if original is None else original.author.id
