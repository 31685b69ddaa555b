"""Slash commands: registered where Discord knows others, carried out, and answered to whoever used them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import discord
import structlog

from adapters.text import safe_name
from bridge.commands import COMMANDS, MAX_FILES, Command, CommandName, Option, named
from bridge.frontends.common.asking import Asking
from bridge.frontends.common.sizes import in_words
from bridge.frontends.discord.bringing import NOT_DONE, bring
from bridge.frontends.discord.calls import Calls, unguarded
from bridge.frontends.discord.errors import SDK_ERRORS, UNREADABLE, told_apart
from bridge.frontends.discord.files import shown_name
from bridge.frontends.discord.messages import UNKNOWN_MEDIA_TYPE, person, spot
from bridge.frontends.discord.reading import Spot, thread_name
from bridge.frontends.discord.rest import Json, Rest
from bridge.frontends.discord.telling import SILENT, SUPPRESS_EMBEDS, never_raises
from bridge.inbound import Inbound, Person, RemoteFile
from bridge.listening import ListeningAt, as_ever
from bridge.render.characters import boundary, repair
from bridge.render.discord import DISCORD
from bridge.render.incoming import from_discord
from bridge.render.markdown import Renderer
from bridge.render.measure import utf16
from bridge.render.selection import Selection
from bridge.turns.inbox import Inbox, Listing, NotAllowed, Order
from bridge.turns.surface import SurfaceError

log = structlog.get_logger()

ANSWER_WITHIN = 2.0  # seconds: Discord gives up on an interaction after 3
SLASH, TEXT, ATTACHMENT = 1, 3, 11  # kinds of commands and of options
IN_SERVER, IN_DIRECT_MESSAGE = 0, 1  # contexts
TO_SERVER = 0  # where an app is installed
MAX_ASKED = 6_000  # characters of an option, Discord's limit
MAX_QUOTED = 1_500  # UTF-16 units of a question that is shown; the agent gets all of it
MAX_NAMES = 300  # UTF-16 units of the names of files
MAX_LISTED = 25  # files in one answer
MAX_CHOICES = 25  # of a completion, and characters of one, Discord's limits
MAX_CHOICE = 100
MAX_ANSWER = 1_900  # UTF-16 units of a message, with room for the mark that something was cut

NOT_HERE = "I can't write here. Whoever runs this server may let me, or write to me in a direct message."
WRONG_PLACE = "Use it in a thread that I'm in, or in a direct message to me: it concerns one conversation."
NO_QUESTION = "Write your question into `text`."
UNKNOWN = "I don't know this command any more. Type `/help`."

# What Discord tells of a command, and whether two are the same.
_KEPT = ("name", "description", "type", "options", "contexts", "integration_types")
_KEPT_OF_OPTION = ("name", "description", "type", "required", "max_length", "autocomplete")


def payloads() -> list[Json]:
    """The commands as Discord registers them, for every server and for direct messages."""
    return [
        {
            "name": command.name,
            "description": command.help,
            "type": SLASH,
            "options": _options(command),
            "contexts": [IN_SERVER, IN_DIRECT_MESSAGE],
            "integration_types": [TO_SERVER],
        }
        for command in COMMANDS
    ]


def differ(registered: Sequence[Mapping[str, Any]], wanted: Sequence[Json]) -> bool:
    """Whether Discord knows other commands than those that are wanted. What it adds of its own doesn't count."""
    return sorted(map(_known, registered), key=str) != sorted(map(_known, wanted), key=str)


async def register(client: discord.Client, wanted: Sequence[Json]) -> bool:
    """Make Discord know these commands; nothing is written where it does. Raises a `SurfaceError`."""
    application = client.application_id
    assert application is not None, "no registration before the login"  # noqa: S101
    with told_apart("read commands"):
        known = await client.http.get_global_commands(application)
    if not differ(known, wanted):
        return False
    with told_apart("register commands"):
        await client.http.bulk_upsert_global_commands(application, list(wanted))
    return True


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that no message of the person's own shows."""

    here: Spot
    person: Person
    event: str  # the interaction's id
    shown: str  # as it is quoted for all
    text: str  # as the agent is asked
    files: tuple[RemoteFile, ...] = ()


class Commands:
    """`names` takes what the threads of questions will be called."""

    def __init__(
        self,
        inbox: Inbox,
        asking: Asking,
        calls: Calls,
        names: MutableMapping[int, str],
        listening_at: ListeningAt = as_ever,
    ) -> None:
        self._inbox = inbox
        self._asking = asking
        self._calls = calls
        self._names = names
        self._listening_at = listening_at

    def begins_thread(self, here: Spot) -> bool:
        """Whether a question that is asked there begins a thread."""
        return here.kind == "channel" and not self._listening_at(here.address(here.channel)).flat

    async def carry_out(self, client: discord.Client, interaction: discord.Interaction) -> str:
        """What came of a command, as Markdown. Never raises."""
        data: Mapping[str, Any] = interaction.data or {}
        command, here = named(str(data.get("name"))), spot(interaction.channel)
        given = {str(one.get("name")): one.get("value") for one in data.get("options") or ()}
        if command is None or here is None:
            return UNKNOWN
        if not command.anywhere and self.begins_thread(here):
            return WRONG_PLACE
        argument = "" if command.option is None else str(given.get(command.option.name) or "").strip()
        log.info("discord.command", command=command.name, channel=here.channel)
        try:
            match command.name:
                case "help":
                    return help_text()
                case "ask" if not argument:
                    return NO_QUESTION
                case "ask" | "upload":
                    return await self._ask(client, interaction, here, argument, _files(data))
                case "files":
                    return listed(await self._asking.files(_order("files", interaction, here)))
                case "download":
                    wanted = Selection(*(str(given.get(name) or "") for name in ("columns", "sort")))
                    order = replace(_order("download", interaction, here, argument), selection=wanted)
                    await bring(self._asking, interaction, order)
                    return ""
                case name:
                    return await self._asking.ordered(_order(name, interaction, here, argument))
        except Exception as error:
            log.error("discord.command_failed", command=command.name, error=type(error).__name__)
            return NOT_DONE

    async def complete(self, interaction: discord.Interaction) -> Sequence[str]:
        """The names of files that go with what was typed so far, those that begin with it first. Never raises."""
        data: Mapping[str, Any] = interaction.data or {}
        here = spot(interaction.channel)
        typed = next((str(one.get("value")) for one in data.get("options") or () if one.get("focused")), None)
        if here is None or self.begins_thread(here) or typed is None:
            return ()
        try:
            listing = await self._asking.files(_order("files", interaction, here))
        except Exception as error:
            log.error("discord.completion_failed", error=type(error).__name__)
            return ()
        part = typed.strip().casefold()
        # A choice that is longer can't be given back whole.
        names = [one.name for one in reversed(listing.files) if len(one.name) <= MAX_CHOICE]
        found = [name for name in names if part in name.casefold()]
        return sorted(found, key=lambda name: not name.casefold().startswith(part))[:MAX_CHOICES]

    async def list_files(self, order: Order) -> str:
        """The files of a conversation, as Markdown for one person. Never raises."""
        try:
            return listed(await self._asking.files(order))
        except Exception as error:
            log.error("discord.command_failed", command=order.name, error=type(error).__name__)
            return NOT_DONE

    async def _ask(
        self,
        client: discord.Client,
        interaction: discord.Interaction,
        here: Spot,
        question: str,
        files: Sequence[RemoteFile],
    ) -> str:
        text = from_discord(question, _nobody)
        return await self.take(
            client, Asked(here, person(interaction.user), str(interaction.id), question, text, tuple(files))
        )

    async def take(self, client: discord.Client, asked: Asked) -> str:
        """The question is shown for all: in a channel the thread of its answer hangs on it. What to tell the person.
        Raises what the inbox raises."""
        here, asker, files = asked.here, asked.person, asked.files
        begins, place = self.begins_thread(here), here.address(here.channel)
        if begins:
            place = replace(place, thread="")  # there is none yet
        if refusal := await self._asking.not_allowed(place, asker):
            return refusal
        if files and (refusal := await self._inbox.refusal(place, files)):
            return DISCORD.escape(discord.utils.escape_markdown(refusal))
        payload: Json = {
            "content": _quoted(asker.name, asked.shown, files),
            "flags": SUPPRESS_EMBEDS | SILENT,
            "nonce": asked.event,
            "enforce_nonce": True,
        }
        rest = Rest(client, self._calls, unguarded)
        try:
            sent = await rest.send(here.channel, payload)
        except SurfaceError as error:
            log.info("discord.question_not_shown", reason=str(error))
            return NOT_HERE
        message = int(sent.id)
        address = here.address(message if begins else here.channel)
        if begins:
            self._names[message] = thread_name(asked.text or _names(files), asker.name)
        known = here.kind != "thread" or await self._inbox.knows(address)
        inbound = Inbound(
            address=address,
            event_id=asked.event,
            message_id=sent.id,
            position=message,
            person=asker,
            text=asked.text,
            files=files,
            direct=here.kind == "direct",
            mid_thread=not known,
        )
        try:
            await self._asking.take(inbound)
        except NotAllowed as refused:  # a budget was used up just now
            await never_raises("take back", lambda: rest.delete(here.channel, message))
            return refused.sentence
        return f"Asked: https://discord.com/channels/{here.guild or '@me'}/{here.channel}/{message}"


def listed(listing: Listing) -> str:
    """The files of a conversation, as Markdown."""
    shown = listing.files[-MAX_LISTED:]
    left = len(listing.files) - len(shown)
    lines = [f"- {_code(one.name)} {in_words(one.size)}".rstrip() for one in shown]
    if left:
        lines.insert(0, f"{left} older ones, then:")
    return listing.sentence or "\n".join([*lines, "", "`/download` gives you one."])


async def offer(interaction: discord.Interaction, completing: asyncio.Task[Sequence[str]]) -> None:
    """What a person may mean, if that is known in time: a completion can't be deferred, and the next letter asks
    again."""
    await asyncio.wait([completing], timeout=ANSWER_WITHIN)
    names = completing.result() if completing.done() else ()
    try:
        await interaction.response.autocomplete(
            [discord.app_commands.Choice(name=name, value=name) for name in names]
        )
    except (*SDK_ERRORS, *UNREADABLE) as error:
        log.info("discord.interaction_unanswered", error=type(error).__name__)


async def acknowledge(interaction: discord.Interaction) -> None:
    """Defer at once what is answered with a file: that can only follow."""
    data: Mapping[str, Any] = interaction.data or {}
    if data.get("name") != "download":
        return
    try:
        await interaction.response.defer(ephemeral=True)
    except (*SDK_ERRORS, *UNREADABLE) as error:
        log.info("discord.interaction_unanswered", error=type(error).__name__)


async def answer(interaction: discord.Interaction, carrying_out: asyncio.Task[str]) -> None:
    """For the one person: at once, or deferred just before Discord gives up."""
    try:
        await asyncio.wait([carrying_out], timeout=ANSWER_WITHIN)
        if not carrying_out.done() and not interaction.response.is_done():
            await interaction.response.defer(ephemeral=True)
        sentence = shown(await carrying_out)
        if not sentence:  # a file was the answer
            return
        if interaction.response.is_done():
            await interaction.followup.send(sentence, ephemeral=True, suppress_embeds=True)
        else:
            await interaction.response.send_message(sentence, ephemeral=True, suppress_embeds=True)
    except (*SDK_ERRORS, *UNREADABLE) as error:
        log.info("discord.interaction_unanswered", error=type(error).__name__)


def _options(command: Command) -> list[Json]:
    files = [
        {"name": f"file{number}", "description": f"File {number}", "type": ATTACHMENT, "required": number == 1}
        for number in range(1, MAX_FILES + 1 if command.files else 1)
    ]
    option = command.option
    if option is None:
        return files
    return [*files[:1], _text_option(option), *files[1:], *map(_text_option, command.more)]


def _text_option(option: Option) -> Json:
    taken: Json = {"name": option.name, "description": option.help, "type": TEXT, "max_length": MAX_ASKED}
    if option.required:
        taken["required"] = True
    if option.file_name:
        taken["autocomplete"] = True
    return taken


def _known(command: Mapping[str, Any]) -> Json:
    kept = {name: command.get(name) or None for name in _KEPT}
    options = command.get("options") or ()
    return kept | {"options": [{name: option.get(name) or None for name in _KEPT_OF_OPTION} for option in options]}


def _order(name: CommandName, interaction: discord.Interaction, here: Spot, argument: str = "") -> Order:
    return Order(name, person(interaction.user), here.address(here.channel), argument)


def _code(name: str) -> str:
    shown = name.replace("`", "'")
    return f"`{shown}`"


def _files(data: Mapping[str, Any]) -> Sequence[RemoteFile]:
    """The files of a command, in the order of its options. Their addresses hold for a day, and can't be had anew."""
    resolved: Mapping[str, Mapping[str, Any]] = (data.get("resolved") or {}).get("attachments") or {}
    named = (str(one.get("value")) for one in data.get("options") or () if one.get("type") == ATTACHMENT)
    return [_file(resolved[number]) for number in named if number in resolved]


def _file(attachment: Mapping[str, Any]) -> RemoteFile:
    media_type = attachment.get("content_type")
    name = shown_name(_Attachment(str(attachment["filename"]), attachment.get("title"), media_type))
    return RemoteFile(
        id=str(attachment["id"]),
        name=name,
        media_type=media_type or UNKNOWN_MEDIA_TYPE,
        size=int(attachment["size"]),
        url=str(attachment["url"]),
    )


@dataclass(frozen=True, slots=True)
class _Attachment:
    filename: str
    title: str | None
    content_type: str | None


def _names(files: Sequence[RemoteFile]) -> str:
    return ", ".join(safe_name(file.name) for file in files)


def _quoted(name: str, question: str, files: Sequence[RemoteFile]) -> str:
    author = _harmless(name)
    does = f"sends {_cut(_harmless(_names(files)), MAX_NAMES)}" if files else "asks"
    lines = (f"> {line}" for line in _cut(repair(question), MAX_QUOTED).splitlines())
    return "\n".join([f"**{author} {does}{':' if question else ''}**", *lines])


def _harmless(text: str) -> str:
    return DISCORD.escape(discord.utils.escape_markdown(" ".join(repair(text).split())))


def shown(markdown: str) -> str:
    """An answer as Discord shows it, within a message's limit."""
    renderer = Renderer(DISCORD)
    return _cut(renderer.feed(markdown) + renderer.finish(), MAX_ANSWER)


def _cut(text: str, most: int) -> str:
    """At most so many UTF-16 units of a text, and a mark where it was cut."""
    if utf16(text) <= most:
        return text
    kept = text.encode("utf-16-le")[: 2 * most].decode("utf-16-le", "ignore")
    return kept[: boundary(kept, len(kept))].rstrip() + "…"


def help_text() -> str:
    """What can be typed."""
    lines = [f"`/{one.usage}` {one.help}." for one in COMMANDS]
    how = "Mention me in a channel, or write to me directly. In the thread of my answer just go on writing."
    return "\n".join([how, "", *lines, "", "In a thread a mention with the command alone does it, too."])


def _nobody(identity: str) -> str | None:  # noqa: ARG001
    """A command's text names people by id, and Discord doesn't say who they are."""
    return None
