"""What to make of a message, decided on plain values: is it for the agent, and in which thread.

Where a mention stands in a channel, Discord makes the thread from that message and gives it the message's id, so
its address is known before the thread exists. Where no thread can be made (a voice channel's chat, missing
permission) the address is the same: there every message of ours is a reply to the first question, and a person who
replies to one of ours goes on in that conversation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from bridge.commands import Given, spoken
from bridge.inbound import Address
from bridge.listening import USUAL, Listening
from bridge.render.characters import boundary, repair
from bridge.render.discord import DISCORD
from bridge.turns.surface import Action, Button

Kind = Literal["direct", "thread", "channel"]

MAX_THREAD_NAME = 100  # characters, Discord's limit
NAMELESS = "Conversation"
CUSTOM_ID = "threadbridge"
VALUED: tuple[Action, ...] = ("choose", "rate")  # whose buttons have a value
SELECTED = "selected"  # stands in the name of a select for what is picked from it

_OPENING = re.compile(r"\s*<@([!&]?)(\d+)>")
_FIRST_MENTION = re.compile(r"\s*(?:<@[!&]?\d+>|@everyone\b|@here\b)")
# Control characters, and those that override the direction of what follows.
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Spot:
    """A channel that messages are in."""

    kind: Kind
    guild: int | None  # None in a direct message
    channel: int
    parent: int | None = None  # of a thread

    def address(self, thread: int) -> Address:
        channel = self.channel if self.parent is None else self.parent
        return Address("discord", str(self.guild or ""), str(channel), str(thread))


@dataclass(frozen=True, slots=True)
class Heard:
    """A message, as far as it matters for whether and where it is answered."""

    spot: Spot
    id: int
    content: str  # as Discord writes it: mentions are <@id>
    mentioned: bool  # the bot, or its role, by name
    has_files: bool = False
    reply: bool = False  # it replies to some message
    chain: int | None = None  # it replies to one of ours, which itself replies to this message
    has_cards: bool = False  # embeds or a poll, with words in them
    to_us: bool = False  # it replies to one of ours
    by_bot: bool = False  # one that may ask
    listening: Listening = USUAL  # of its channel

    @property
    def calls(self) -> bool:
        """Whether it is for the agent wherever in the channel it stands."""
        return self.mentioned or self.listening.hears_all


def follows(heard: Heard) -> Address | None:
    """The thread that this message goes on in, provided that the agent was called into it before."""
    if heard.listening.listen == "mention" and not heard.mentioned:
        return None
    match heard.spot.kind:
        case "thread":
            return heard.spot.address(heard.spot.channel)
        case "channel" if heard.listening.flat:
            return heard.spot.address(heard.spot.channel) if heard.to_us else None
        case "channel":
            return None if heard.chain is None else heard.spot.address(heard.chain)
        case "direct":
            return None


def begins(heard: Heard) -> Address | None:
    """The thread that this message calls the agent into."""
    match heard.spot.kind:
        case "direct":
            return heard.spot.address(heard.spot.channel)
        case "thread":
            return heard.spot.address(heard.spot.channel) if heard.calls else None
        case "channel":
            alerts = heard.by_bot and heard.listening.listen != "mention"  # it mentions nobody
            return begun_by(heard.spot, heard.id, heard.listening) if heard.calls or alerts else None


def begun_by(spot: Spot, message: int, listening: Listening) -> Address:
    """The thread of what is asked by a message in a channel."""
    return spot.address(spot.channel if listening.flat else message)


def places(spot: Spot, message: int, chain: int | None = None) -> tuple[Address, ...]:
    """Every thread that a message may have been a question in."""
    if spot.kind != "channel":
        return (spot.address(spot.channel),)
    own = spot.address(message)
    return (own,) if chain is None else (spot.address(chain), own)


def says_something(heard: Heard) -> bool:
    """False for a lone sticker, and for all that is hidden from a bot without the message content intent.
    A bare mention says "look at this"."""
    return heard.mentioned or heard.has_files or heard.has_cards or bool(heard.content.strip())


def command(heard: Heard, me: int, role: int | None) -> Given | None:
    """The command that a message is, by `bridge.commands.spoken`; None for a question. `role` is the one that Discord
    made for the bot."""
    opening = _OPENING.match(heard.content)
    if opening is None or not heard.mentioned or heard.by_bot:
        return None
    if heard.spot.kind == "channel" and not heard.listening.flat:
        return None
    if int(opening[2]) != (role if opening[1] == "&" else me) or heard.has_files or heard.has_cards:
        return None
    return spoken(heard.content[opening.end() :])


def is_aside(heard: Heard) -> bool:
    """It begins by mentioning someone else: people are talking to each other."""
    return not heard.calls and _FIRST_MENTION.match(heard.content) is not None


def has_context(heard: Heard) -> bool:
    """For a message that calls the agent: whether something was said before that it needs to know."""
    match heard.spot.kind:
        case "thread":
            return heard.id != heard.spot.channel  # the first message of a forum post has the post's id
        case "channel":
            return heard.reply
        case "direct":
            return False


def thread_name(text: str, author: str) -> str:
    """A name for the thread that a question opens: its first words, cut between words where that loses little.
    Nothing in it looks like a mention or turns the reading direction."""
    name = DISCORD.escape(_one_line(text) or _one_line(f"{NAMELESS} with {author}"))
    if len(name) <= MAX_THREAD_NAME:
        return name
    cut = name[: MAX_THREAD_NAME - 1]
    at_word = cut[: cut.rfind(" ")] if name[len(cut)] != " " and " " in cut else cut
    return (at_word if len(at_word) > MAX_THREAD_NAME // 2 else cut[: boundary(cut, len(cut))]).rstrip() + "…"


def _one_line(text: str) -> str:
    return " ".join(_INVISIBLE.sub(" ", repair(text)).split())


def custom_id(button: Button) -> str:
    """The name that a button has in a message, for every process that may hear of its click."""
    return f"{CUSTOM_ID}:{button.action}:{button.turn}:{button.value}"


def pressed(custom_id: str) -> tuple[Action, str, str] | None:
    """The action, turn and value of a button of ours; None for anything else."""
    parts = custom_id.split(":")
    if len(parts) != 4 or parts[0] != CUSTOM_ID or not parts[2]:
        return None
    for action in get_args(Action):
        if action == parts[1] and (action in VALUED) == bool(parts[3]):
            return action, parts[2], parts[3]
    return None


def picked(custom_id: str, values: Sequence[str]) -> tuple[Action, str, str] | None:
    """The same, where it is a select of ours from which something was picked."""
    if custom_id.endswith(f":{SELECTED}") and len(values) == 1:
        return pressed(custom_id.removesuffix(SELECTED) + values[0])
    return pressed(custom_id)
