"""Reactions of people with which they ask about a message: read it, and it is a question like others."""

from __future__ import annotations

from dataclasses import replace

import discord

from bridge.frontends.discord import messages
from bridge.frontends.discord.reading import Spot, begun_by
from bridge.inbound import Inbound, Person
from bridge.listening import Listening
from bridge.render.discord import DISCORD

VARIATION = "\ufe0f"  # some clients send it behind an emoji, some don't
ABOUT = "Please look at this message of {author}:"


def asks(event: discord.RawReactionActionEvent, emoji: str, me: discord.ClientUser) -> bool:
    """Whether somebody asks by this reaction. Those on what we wrote ourselves ask nothing."""
    given = event.emoji
    name = given.name if given.id is None else f"{given.name}:{given.id}"
    if not emoji or name.replace(VARIATION, "") != emoji.replace(VARIATION, ""):
        return False
    by_bot = event.user_id == me.id or (event.member is not None and event.member.bot)
    return not by_bot and event.message_author_id != me.id


def reacting(event: discord.RawReactionActionEvent) -> Person:
    return Person(str(event.user_id)) if event.member is None else messages.person(event.member)


def inbound(
    message: discord.Message,
    person: Person,
    spot: Spot,
    me: discord.ClientUser,
    listening: Listening,
    *,
    known: bool,
) -> Inbound:
    """`known`: the agent was called into the thread before."""
    asked = messages.inbound(
        message,
        me,
        begun_by(spot, message.id, listening) if spot.kind == "channel" else spot.address(spot.channel),
        mid_thread=spot.kind == "thread" and message.id != spot.channel and not known,
    )
    quoted = "\n".join(f"> {line}" for line in asked.text.splitlines())
    author = discord.utils.escape_markdown(DISCORD.escape(message.author.display_name))
    return replace(
        asked,
        event_id=f"reaction:{message.id}:{person.id}",
        position=discord.utils.time_snowflake(discord.utils.utcnow()),
        person=person,
        text=f"{ABOUT.format(author=author)}\n\n{quoted}".rstrip(),
        direct=spot.kind == "direct",
        asked_with=f"reaction:{person.id}",
    )
