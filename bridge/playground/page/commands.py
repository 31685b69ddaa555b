"""What a person can type behind a slash, and how they give it, on either platform."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, TypedDict

from bridge.commands import COMMANDS, spoken
from bridge.playground.discord import DiscordWorld
from bridge.playground.discord.commands import ATTACHMENT, ON_MESSAGE, SLASH
from bridge.playground.discord.invocations import Interaction
from bridge.playground.discord.model import MessageFlag, User
from bridge.playground.page.dialogs import DialogView, Given, NamedFile, of_discord, of_slack
from bridge.playground.slack import NotAnswered, Person, SlackWorld

COMMAND = "/agent"  # the app's slash command on Slack, by default
ANSWER_WITHIN = 5.0  # seconds that the page waits for an answer, to count what it led to
ASKED, AGAIN = "Asked", "asked again"  # how the bridge says that a question went out


class CantDo(Exception):
    """What a person wanted can't be done. The text is for them."""


class ChoiceView(TypedDict):
    """Something that can be filled in for a command."""

    name: str
    help: str
    required: bool
    file: bool
    completes: bool


class CommandView(TypedDict):
    name: str
    usage: str
    help: str
    in_threads: bool
    options: list[ChoiceView]


class MenuView(TypedDict):
    """What a slash offers, and the menu of each message."""

    slash: str  # begins each command: "/", "/agent "
    in_threads: str  # and in a thread: Slack has no slash commands there, so it is a mention
    commands: list[CommandView]
    shortcuts: list[str]  # in the menu of a message, by what people read


@dataclass(frozen=True, slots=True)
class Used:
    """What came of a command or a form, as far as the page counts it."""

    dialog: DialogView | None = None
    written: int = 0
    repeated: int = 0


@dataclass(frozen=True, slots=True)
class Typed:
    """A command as a person gave it on the page."""

    channel: str
    thread: str
    name: str
    text: str = ""  # Slack's: all that follows
    options: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, NamedFile] = field(default_factory=dict)


class PageCommands(Protocol):
    """Of one platform. Everything raises `CantDo`."""

    def menu(self) -> MenuView: ...

    async def use(self, typed: Typed) -> Used: ...

    async def complete(self, typed: Typed, option: str) -> Sequence[str]:
        """What may be meant by what was typed into an option so far."""
        ...

    async def submit(self, dialog: str, given: Given) -> Used:
        """Send a form."""
        ...

    async def leave(self, dialog: str) -> None:
        """Close a form."""
        ...

    async def shortcut(self, message: str, name: str) -> Used:
        """Use something from the menu of a message."""
        ...


def is_command(text: str, mention: str) -> bool:
    """Whether a message in a thread is a command by mention, and no question."""
    stripped = text.strip()
    return stripped.startswith(mention) and spoken(stripped.removeprefix(mention)) is not None


class SlackCommands:
    shortcuts: Mapping[str, str]

    def __init__(self, world: SlackWorld, me: Person, shortcuts: Mapping[str, str]) -> None:
        self._world = world
        self._me = me
        self.shortcuts = shortcuts  # callback ids by what people read

    def menu(self) -> MenuView:
        commands: list[CommandView] = [
            {"name": one.name, "usage": one.usage, "help": one.help, "in_threads": one.spoken, "options": []}
            for one in COMMANDS
        ]
        mention = f"@{self._world.bot.name} "
        return {
            "slash": f"{COMMAND} ",
            "in_threads": mention,
            "commands": commands,
            "shortcuts": list(self.shortcuts),
        }

    async def use(self, typed: Typed) -> Used:
        text = f"{typed.name} {typed.text}".strip()
        try:
            answer = await self._world.command(self._me.id, typed.channel, COMMAND, self._world.typed(text))
        except NotAnswered:
            raise CantDo("The app didn't answer in time.") from None
        said = str(answer.get("text") or "")
        return Used(self.dialog(), written=said.startswith(ASKED), repeated=AGAIN in said)

    async def complete(self, typed: Typed, option: str) -> Sequence[str]:  # noqa: ARG002 - Slack has no such thing
        return ()

    async def submit(self, dialog: str, given: Given) -> Used:
        view = self._world.view_of(self._me.id)
        if view is None or view.id != dialog:
            raise CantDo("That form is no longer open.")
        values = given.values(of_slack(view.id, view.body)["fields"])
        try:
            answer = await self._world.view_submit(self._me.id, values)
        except ValueError as error:
            raise CantDo(f"Slack doesn't take that: {error}.") from None
        except NotAnswered:
            raise CantDo("The app didn't answer in time.") from None
        if errors := answer.get("errors"):
            raise CantDo(" ".join(map(str, errors.values())))
        return Used(self.dialog(), written=1)

    async def leave(self, dialog: str) -> None:
        view = self._world.view_of(self._me.id)
        if view is not None and view.id == dialog:
            await self._world.view_close(self._me.id)

    async def shortcut(self, message: str, name: str) -> Used:
        channel = next((one.id for one in self._world.channels.values() if message in one.messages), None)
        if name not in self.shortcuts or channel is None:
            raise CantDo("That message is no longer there.")
        try:
            await self._world.shortcut(self._me.id, self.shortcuts[name], channel=channel, ts=message)
        except NotAnswered:
            raise CantDo("The app didn't answer in time.") from None
        return Used(self.dialog())

    def dialog(self) -> DialogView | None:
        """The form that the person sees."""
        view = self._world.view_of(self._me.id)
        return None if view is None else of_slack(view.id, view.body)


class DiscordCommands:
    def __init__(self, world: DiscordWorld, me: User) -> None:
        self._world = world
        self._me = me
        self._open: dict[str, Interaction] = {}  # with a form that the person sees

    def menu(self) -> MenuView:
        registered = self._world.commands.get(0, [])
        commands: list[CommandView] = [
            {
                "name": one["name"],
                "usage": one["name"],
                "help": one["description"],
                "in_threads": True,
                "options": [_choice(option) for option in one.get("options") or ()],
            }
            for one in registered
            if one["type"] == SLASH
        ]
        shortcuts = [one["name"] for one in registered if one["type"] == ON_MESSAGE]
        return {"slash": "/", "in_threads": "/", "commands": commands, "shortcuts": shortcuts}

    async def use(self, typed: Typed) -> Used:
        place = typed.thread or typed.channel
        try:
            used = await self._world.command(self._me.id, place, typed.name, dict(typed.options), typed.files)
        except KeyError:
            raise CantDo("That channel is no longer there.") from None
        except (LookupError, ValueError) as error:
            raise CantDo(f"Discord doesn't take that: {error}.") from None
        return await self._came_of(used)

    async def complete(self, typed: Typed, option: str) -> Sequence[str]:
        place = typed.thread or typed.channel
        try:
            used = await self._world.autocomplete(
                self._me.id, place, typed.name, option, typed.options.get(option, "")
            )
        except (LookupError, ValueError):
            return ()
        await self._until(lambda: used.answered)
        return [str(one["value"]) for one in used.choices]

    async def submit(self, dialog: str, given: Given) -> Used:
        opened = self._open.get(dialog)
        if opened is None or opened.modal is None:
            raise CantDo("That form is no longer open.")
        fields = of_discord(opened.id, opened.modal)["fields"]
        values = given.values(fields)
        choices = {field["name"] for field in fields if field["kind"] == "choice"}
        try:
            used = await self._world.submit(
                opened, {name: [value] if name in choices else value for name, value in values.items()}
            )
        except ValueError as error:
            raise CantDo(f"Discord doesn't take that: {error}.") from None
        del self._open[dialog]
        return await self._came_of(used)

    async def leave(self, dialog: str) -> None:
        self._open.pop(dialog, None)

    async def shortcut(self, message: str, name: str) -> Used:
        try:
            used = await self._world.message_command(self._me.id, int(message), name)
        except (LookupError, ValueError):
            raise CantDo("That message is no longer there.") from None
        return await self._came_of(used)

    async def _came_of(self, used: Interaction) -> Used:
        """Once the bot has answered, or for as long as the page waits."""

        def answered() -> bool:
            message = self._world.ephemeral.get(used.original_id or 0)
            return used.modal is not None or (
                message is not None
                and not message.flags & MessageFlag.LOADING
                and bool(message.content or message.attachments)
            )

        await self._until(answered)
        if used.modal is not None:
            self._open[str(used.id)] = used
            return Used(of_discord(used.id, used.modal))
        message = self._world.ephemeral.get(used.original_id or 0)
        said = "" if message is None else message.content
        return Used(written=said.startswith(ASKED), repeated=AGAIN in said)

    async def _until(self, condition: Callable[[], bool]) -> None:
        with suppress(TimeoutError):
            await self._world.until(condition, ANSWER_WITHIN)


def _choice(option: Mapping[str, Any]) -> ChoiceView:
    return {
        "name": option["name"],
        "help": option["description"],
        "required": bool(option.get("required")),
        "file": option["type"] == ATTACHMENT,
        "completes": bool(option.get("autocomplete")),
    }
