"""What a person does with somebody's message from its menu: ask about it, or add its files to a conversation.

Who installed the app for themselves has it everywhere, also where the bot is no member. There it can't write: the
question is asked in their direct messages with the bot, which is where the answer comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import discord
import structlog
from cachetools import LRUCache

from bridge.frontends.common.asking import Asking
from bridge.frontends.discord import messages
from bridge.frontends.discord.bringing import NOT_DONE
from bridge.frontends.discord.calls import Calls, unguarded
from bridge.frontends.discord.commands import Asked, Commands
from bridge.frontends.discord.errors import SDK_ERRORS, UNREADABLE
from bridge.frontends.discord.reading import Spot
from bridge.frontends.discord.rest import Json, Rest
from bridge.frontends.discord.telling import plain
from bridge.inbound import Address, Person, RemoteFile
from bridge.render.characters import boundary, repair
from bridge.turns.surface import SurfaceError

log = structlog.get_logger()

Menu = Literal["ask", "add"]

NAMES: Mapping[Menu, str] = {"ask": "Ask about this", "add": "Add files"}
ON_MESSAGE = 3  # the kind of a command in a message's menu
IN_SERVER, IN_DIRECT_MESSAGE, ELSEWHERE = 0, 1, 2  # contexts
TO_SERVER, TO_PERSON = 0, 1  # where an app is installed
PREFIX = "threadbridge-about"
TEXT, WHERE = "text", "where"  # the form's inputs
HERE, DIRECT = "here", "direct"  # places, beside the threads that the person asked in last

OPEN_WITHIN = 2.0  # seconds: Discord gives up on an interaction after 3
RECENT_WITHIN = 1.0
FORM_LIVES = 900.0  # seconds
REMEMBERED = 1_000  # messages that a form is open for, some KB each
MAX_THREADS = 20  # of the 25 options of a menu
MAX_LABEL = 100  # characters of an option
MAX_TYPED = 2_000  # characters

NO_FILES = "That message has no files."
OUT_OF_DATE = "This form is out of date. Open it again from the message's menu."
NOT_DIRECT = (
    "I'm not in this place, and can't write to you directly. Allow direct messages from me, then try again."
)


@dataclass(frozen=True, slots=True)
class Quoted:
    """Somebody's message, as far as a question about it needs it."""

    author: str
    text: str
    link: str
    files: tuple[RemoteFile, ...]


def payloads(*, for_people: bool) -> list[Json]:
    """The menus as Discord registers them. `for_people`: the app may be installed by a person for themselves."""
    return [
        {
            "name": name,
            "type": ON_MESSAGE,
            "contexts": [IN_SERVER, IN_DIRECT_MESSAGE, *([ELSEWHERE] if for_people else [])],
            "integration_types": [TO_SERVER, *([TO_PERSON] if for_people else [])],
        }
        for name in NAMES.values()
    ]


def question(words: str, quoted: Quoted) -> str:
    """What the agent is asked, as Markdown: the person's words, and the message below as a quote."""
    lines = [f"> {line}" for line in quoted.text.splitlines()]
    return "\n".join([words, "", f"About a message of {quoted.author} ({quoted.link}):", *lines]).strip()


class Menus:
    """`commands` takes what was asked."""

    def __init__(self, asking: Asking, calls: Calls, commands: Commands) -> None:
        self._asking = asking
        self._calls = calls
        self._commands = commands
        self._open: MutableMapping[str, Quoted] = LRUCache(REMEMBERED)  # by the form's id

    async def open(self, client: discord.Client, interaction: discord.Interaction) -> None:
        """Answer a menu with its form. Never raises."""
        data: Mapping[str, Any] = interaction.data or {}
        menu = next((one for one in get_args(Menu) if NAMES[one] == data.get("name")), None)
        try:
            quoted = _quoted(client, interaction, data)
            if menu is None or quoted is None:
                await _say(interaction, OUT_OF_DATE)
                return
            if menu == "add" and not quoted.files:
                await _say(interaction, NO_FILES)
                return
            form = f"{PREFIX}:{menu}:{interaction.id}"
            self._open[form] = quoted
            places = await self._places(interaction)
            async with asyncio.timeout(OPEN_WITHIN):
                await interaction.response.send_modal(_form(form, menu, places))
        except (*SDK_ERRORS, *UNREADABLE) as error:
            log.info("discord.form_not_opened", error=type(error).__name__)

    def is_menu(self, interaction: discord.Interaction) -> bool:
        """Whether a command was chosen in a message's menu."""
        data: Mapping[str, Any] = interaction.data or {}
        return data.get("type") == ON_MESSAGE

    def is_ours(self, interaction: discord.Interaction) -> bool:
        """Whether it is one of these forms, filled in."""
        data: Mapping[str, Any] = interaction.data or {}
        return str(data.get("custom_id")).startswith(f"{PREFIX}:")

    async def submitted(self, client: discord.Client, interaction: discord.Interaction) -> str:
        """What came of a form, as Markdown for the one person. Never raises."""
        data: Mapping[str, Any] = interaction.data or {}
        quoted = self._open.pop(str(data.get("custom_id")), None)
        if quoted is None:
            return OUT_OF_DATE
        given = _given(data)
        words = str(given.get(TEXT) or "").strip()
        person = messages.person(interaction.user)
        try:
            here = await self._spot(client, interaction, str(given.get(WHERE) or HERE), person)
            if here is None:
                return NOT_DIRECT
            if here.guild != interaction.guild_id:  # what the person is in a server counts nowhere else
                person = replace(person, roles=(), standing=None)
            asks = str(data.get("custom_id")).startswith(f"{PREFIX}:ask:")
            text = question(words, quoted) if asks else words
            return await self._commands.take(
                client, Asked(here, person, str(interaction.id), text, text, quoted.files)
            )
        except Exception as error:
            log.error("discord.question_not_taken", error=type(error).__name__)
            return NOT_DONE

    async def _spot(
        self, client: discord.Client, interaction: discord.Interaction, where: str, person: Person
    ) -> Spot | None:
        """Where the question is asked; None where nobody can be reached."""
        here = messages.spot(interaction.channel)
        if where == HERE and here is not None and _is_member(interaction):
            return here
        if where not in (HERE, DIRECT):
            guild, parent, thread = where.split("/")
            if not guild:
                return Spot("direct", None, int(thread))
            if parent == thread:  # a channel that is one conversation
                return Spot("channel", int(guild), int(thread))
            return Spot("thread", int(guild), int(thread), int(parent))
        try:
            channel = await Rest(client, self._calls, unguarded).direct_channel(person.id)
        except SurfaceError as error:
            log.info("discord.no_direct_messages", reason=str(error))
            return None
        return Spot("direct", None, channel)

    async def _places(self, interaction: discord.Interaction) -> Sequence[tuple[str, str]]:
        """Where a question may be asked: what people read, and what comes back."""
        here = messages.spot(interaction.channel)
        name = "In a thread here" if here and self._commands.begins_thread(here) else "Here"
        places = [(name, HERE)] if _is_member(interaction) else []
        places.append(("In a direct message with me", DIRECT))
        try:
            async with asyncio.timeout(RECENT_WITHIN):
                workspace, channel = str(interaction.guild_id or ""), str(interaction.channel_id or "")
                place = Address("discord", workspace, channel, "")
                recent = await self._asking.recent(place, messages.person(interaction.user))
        except Exception as error:
            log.info("discord.no_recent_threads", error=type(error).__name__)
            recent = {}
        return [*places, *((asked, _place(one)) for one, asked in list(recent.items())[:MAX_THREADS])]


def _place(address: Address) -> str:
    return f"{address.workspace}/{address.channel}/{address.thread}"


def _is_member(interaction: discord.Interaction) -> bool:
    """Whether the bot is where this is, and can write."""
    if interaction.guild_id is not None:
        return interaction.is_guild_integration()
    return interaction.context.dm_channel


def _quoted(client: discord.Client, interaction: discord.Interaction, data: Mapping[str, Any]) -> Quoted | None:
    """The message of a menu. It came along: where the bot is no member it can't be read again."""
    target = str(data.get("target_id"))
    raw = ((data.get("resolved") or {}).get("messages") or {}).get(target)
    channel, me = interaction.channel, client.user
    if raw is None or channel is None or me is None:
        return None
    message = discord.Message(state=client._connection, channel=channel, data=raw)  # type: ignore[arg-type]
    text = messages.text(message, me)
    return Quoted(message.author.display_name, text, message.jump_url, messages.files(message))


def _form(form: str, menu: Menu, places: Sequence[tuple[str, str]]) -> discord.ui.Modal:
    modal = discord.ui.Modal(title=NAMES[menu], custom_id=form, timeout=FORM_LIVES)
    asks = menu == "ask"
    words: discord.ui.TextInput[discord.ui.Modal] = discord.ui.TextInput(
        custom_id=TEXT, style=discord.TextStyle.paragraph, required=asks, max_length=MAX_TYPED
    )
    label = "What do you want to know?" if asks else "What should the agent do with them?"
    modal.add_item(discord.ui.Label(text=label, component=words))
    options = [
        discord.SelectOption(label=_label(name), value=value, default=index == 0)
        for index, (name, value) in enumerate(places)
    ]
    where: discord.ui.Select[discord.ui.Modal] = discord.ui.Select(custom_id=WHERE, options=options)
    modal.add_item(discord.ui.Label(text="Where to", component=where))
    return modal


def _label(text: str) -> str:
    line = " ".join(repair(text).split()) or "…"
    return line if len(line) <= MAX_LABEL else line[: boundary(line, MAX_LABEL - 1)].rstrip() + "…"


def _given(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was filled in, by the inputs' ids."""
    inner = [one.get("component") or {} for one in data.get("components") or ()]
    return {
        str(one.get("custom_id")): one["value"] if "value" in one else next(iter(one.get("values") or ()), None)
        for one in inner
    }


async def _say(interaction: discord.Interaction, sentence: str) -> None:
    await interaction.response.send_message(plain(sentence), ephemeral=True)
