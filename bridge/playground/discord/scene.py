"""Who and what there is in a Discord: setting it up, finding it, reading it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar, Unpack

from bridge.playground.discord import payloads, threads
from bridge.playground.discord.model import (
    NOTHING,
    Attachment,
    Channel,
    ChannelType,
    Guild,
    Message,
    Permission,
    Tag,
    User,
)
from bridge.playground.discord.sessions import Intent
from bridge.playground.discord.state import Settings, State

Ref = int | str
"""An id, or the name of what is meant."""

Thing = TypeVar("Thing", User, Channel)


class Scene(State):
    """Guilds, channels and people, found by id or name. It begins with one guild, or with none if `name`
    is empty.

    `rate` makes the rate limits so many times quicker, None turns them off, and `limits.rate` may be changed at
    any time; `clock` gives seconds since 1970;
    `message_content` says whether that privileged intent is switched on for the bot.
    """

    def __init__(
        self,
        *,
        name: str = "Playground",
        people: Iterable[str] = ("Ada Lovelace", "Grace Hopper"),
        channels: Iterable[str] = ("general", "random"),
        forums: Iterable[str] = ("help",),
        **settings: Unpack[Settings],
    ) -> None:
        super().__init__(**settings)
        for person in people:
            self.add_person(person)
        if name:
            guild = self.add_guild(name)
            for channel in channels:
                self.add_channel(guild, channel)
            for forum in forums:
                self.add_forum(guild, forum)

    # --- setting up ------------------------------------------------------------------------------------------

    def add_person(self, display_name: str, *, bot: bool = False) -> User:
        """Someone new, a member of every guild there is, named by their first name in lower case."""
        user = self._make_user(display_name.split()[0].lower(), display_name, bot=bot)
        for guild in self.guilds.values():
            guild.members[user.id] = self.clock()
            joined = payloads.member_json(self, guild, user) | {"guild_id": str(guild.id)}
            self.dispatch("GUILD_MEMBER_ADD", joined, intent=Intent.GUILD_MEMBERS, guild_id=guild.id)
        return user

    def add_guild(self, name: str, *, boost_tier: int = 0) -> Guild:
        """A guild with everyone in it, the bot too."""
        now = self.clock()
        guild = Guild(self.take_id(), name, self.owner.id, dict.fromkeys(self.users, now), boost_tier=boost_tier)
        self.take_id()  # the one above the guild's is that of the bot's role
        self.guilds[guild.id] = guild
        joined = payloads.guild_create_json(self, guild)
        del joined["unavailable"]  # that is said of guilds known from READY only
        self.dispatch("GUILD_CREATE", joined, intent=Intent.GUILDS, guild_id=guild.id)
        return guild

    def add_channel(self, guild: Guild, name: str, *, denied: Permission = NOTHING) -> Channel:
        """A text channel. `denied` is what the bot may not do there."""
        return self._add(guild, name, ChannelType.TEXT, denied)

    def add_forum(
        self, guild: Guild, name: str, *, tags: Iterable[str] = ("question", "bug"), require_tag: bool = False
    ) -> Channel:
        """A forum channel, whose posts may carry these tags."""
        forum = self._add(guild, name, ChannelType.FORUM, tags=tags)
        forum.require_tag = require_tag
        return forum

    def add_role(self, guild: Guild, name: str) -> int:
        """A role, by its id, that allows nothing more than everyone may."""
        role_id = self.take_id()
        guild.roles[role_id] = name
        role = payloads.role_json(role_id, name, NOTHING, 1)
        made = {"guild_id": str(guild.id), "role": role}
        self.dispatch("GUILD_ROLE_CREATE", made, intent=Intent.GUILDS, guild_id=guild.id)
        return role_id

    def give_role(self, guild: Guild, user: Ref, role_id: int) -> None:
        """A bot hears of it only with the intent for members."""
        member = self.person(user)
        guild.given.setdefault(member.id, set()).add(role_id)
        changed = payloads.member_json(self, guild, member) | {"guild_id": str(guild.id)}
        self.dispatch("GUILD_MEMBER_UPDATE", changed, intent=Intent.GUILD_MEMBERS, guild_id=guild.id)

    def leave_guild(self, guild: Guild, person: Ref) -> None:
        """A person leaves; the channel of direct messages with the bot stays."""
        user = self.person(person)
        del guild.members[user.id]
        guild.given.pop(user.id, None)
        left = {"guild_id": str(guild.id), "user": payloads.user_json(user)}
        self.dispatch("GUILD_MEMBER_REMOVE", left, intent=Intent.GUILD_MEMBERS, guild_id=guild.id)

    def kick_bot(self, guild: Guild) -> None:
        """Put the bot out of a guild."""
        guild.members.pop(self.bot.id, None)
        self.dispatch("GUILD_DELETE", {"id": str(guild.id)}, intent=Intent.GUILDS, guild_id=guild.id)

    def deny(self, channel: Ref, denied: Permission) -> None:
        """Set what the bot may not do in a channel; `Permission(0)` takes every ban away. A channel that it comes
        to see again brings its threads along."""
        place = self.place(channel)
        hidden = not self.bot_sees(place)
        place.denied = denied
        data = payloads.channel_json(self, place)
        self.dispatch("CHANNEL_UPDATE", data, intent=Intent.GUILDS, guild_id=place.guild_id)
        if hidden and self.bot_sees(place):
            threads.sync_list(self, place)

    @property
    def guild(self) -> Guild:
        """The first guild."""
        return next(iter(self.guilds.values()))

    @property
    def mention(self) -> str:
        """What mentions the bot in a message."""
        return f"<@{self.bot.id}>"

    def person(self, ref: Ref) -> User:
        return _find(self.users, ref)

    def place(self, ref: Ref) -> Channel:
        """A channel, thread or direct message."""
        return _find(self.channels, ref)

    def direct(self, user: Ref) -> Channel:
        """A person's direct messages with the bot."""
        return self.direct_channel(self.person(user).id)

    def typed(self, text: str) -> str:
        """What Discord makes of typed text: `@name` becomes a mention and `#name` a channel."""
        names = {user.name: f"<@{user.id}>" for user in self.users.values()}
        names |= {user.display_name.lower(): f"<@{user.id}>" for user in self.users.values()}
        rooms = {channel.name: f"<#{channel.id}>" for channel in self.channels.values() if channel.name}
        text = re.sub(r"(?<![\w<])@(\w+)", lambda found: names.get(found[1].lower(), found[0]), text)
        return re.sub(r"(?<![\w<])#([\w-]+)", lambda found: rooms.get(found[1].lower(), found[0]), text)

    # --- reading ---------------------------------------------------------------------------------------------

    def messages(self, channel: Ref, *, seen_by: Ref | None = None) -> list[Message]:
        """A channel's messages, oldest first; with `seen_by` also those that only this person sees."""
        place = self.place(channel)
        found = list(place.messages.values())
        if seen_by is not None:
            viewer = self.person(seen_by).id
            found += [
                message
                for message in self.ephemeral.values()
                if message.channel_id == place.id and message.seen_only_by == viewer
            ]
        return sorted(found, key=lambda message: message.id)

    def threads(self, channel: Ref) -> list[Channel]:
        """The threads of a channel or the posts of a forum, oldest first."""
        return sorted(self.threads_of(self.place(channel)), key=lambda thread: thread.id)

    def bytes_of(self, attachment: Attachment) -> bytes:
        """An attachment's content. Raises KeyError when it is no longer kept."""
        kept = self.files.read(attachment.id)
        if kept is None:
            raise KeyError(attachment.id)
        return kept[1]

    def url_of(self, attachment: Attachment) -> str:
        """Where an attachment can be fetched for a day."""
        return self.base_url + self.files.address(attachment)

    def _add(
        self, guild: Guild, name: str, kind: ChannelType, denied: Permission = NOTHING, tags: Iterable[str] = ()
    ) -> Channel:
        position = sum(channel.thread is None for channel in self.channels_of(guild))
        channel = Channel(
            self.take_id(),
            kind,
            name,
            guild.id,
            position=position,
            tags=[Tag(self.take_id(), tag) for tag in tags],
            denied=denied,
        )
        self.channels[channel.id] = channel
        self.announce_channel("CHANNEL_CREATE", channel)
        return channel


def _find(things: Mapping[int, Thing], ref: Ref) -> Thing:
    if isinstance(ref, int) or ref.isdigit():
        return things[int(ref)]
    for thing in things.values():
        if thing.name == ref:
            return thing
    raise KeyError(ref)
