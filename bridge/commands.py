"""What people can type besides questions: one table, which feeds both platforms, the help text and the manifests.

By slash a command is its name, on Slack after the app's one slash command. In a thread it may also be a mention of the
bot. So that no ordinary question is taken for one, such a mention says nothing else: it begins with the bot's name,
then comes the command's, then no more than the one word that a few commands take, and what has the form of an option
(`sort=-total`); a file's name has an ending. `@bot stop` and `@bot download a.csv` are commands; `@bot stop the server`
and `@bot download everything` are questions, and so is any mention with a file or outside of a thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

CommandName = Literal[
    "ask", "upload", "files", "download", "new", "agent", "history", "stop", "retry", "status", "help"
]


MAX_FILES = 10  # of one upload: Slack's limit of an input, and room among the 25 options of a Discord command


@dataclass(frozen=True, slots=True)
class Option:
    """What may follow a command's name."""

    name: str
    help: str
    required: bool = False
    one_word: bool = False  # by mention: more would be a question
    file_name: bool = False  # Discord offers those there are while a person types; by mention it has an ending


@dataclass(frozen=True, slots=True)
class Command:
    name: CommandName
    help: str  # at most 100 characters, Discord's limit
    option: Option | None = None
    more: tuple[Option, ...] = ()  # further ones, none of them required; typed as `name=value`
    anywhere: bool = False  # in a channel as well; the others concern one thread
    spoken: bool = True  # by mention in a thread, too
    files: bool = False  # takes up to `MAX_FILES` files

    @property
    def usage(self) -> str:
        """How it is typed: `agent [name]`."""
        if self.option is None:
            return self.name
        shown = self.option.name if self.option.required else f"[{self.option.name}]"
        return " ".join([self.name, shown, *(f"[{option.name}=]" for option in self.more)])


COMMANDS = (
    Command(
        "ask",
        "Ask the agent. In a channel this opens a thread",
        Option("text", "The question", required=True),
        anywhere=True,
        spoken=False,  # a mention with words behind it asks anyway
    ),
    Command(
        "upload",
        "Send files to the agent. In a channel this opens a thread",
        Option("text", "What to do with them"),
        anywhere=True,
        files=True,
    ),
    Command("files", "List the files of this conversation"),
    Command(
        "download",
        "Get a file of this conversation",
        Option("name", "The file's name", required=True, one_word=True, file_name=True),
        more=(
            Option("columns", "Of a table: the columns that you want, as month,total"),
            Option("sort", "Of a table: the columns to sort its rows by, as -total,month"),
        ),
    ),
    Command("new", "Begin a new conversation here: the agent forgets what was said"),
    Command("agent", "Show who answers here, or choose another agent", Option("name", "The agent", one_word=True)),
    Command("history", "Show what was said in this conversation"),
    Command("stop", "Stop the reply that is under way"),
    Command("retry", "Ask the last question once more"),
    Command("status", "Show what the agent is doing, since when, and what waits"),
    Command("help", "Show what can be typed", anywhere=True),
)


@dataclass(frozen=True, slots=True)
class Given:
    """A command as a person gave it."""

    command: Command
    argument: str = ""


def named(name: str) -> Command | None:
    return next((command for command in COMMANDS if command.name == name.lower()), None)


def typed(text: str) -> Given | str:
    """What follows Slack's slash command; the first word, if it is no command. Nothing at all asks for help."""
    first, _, rest = (text.strip() or "help").partition(" ")
    command = named(first)
    return first if command is None else Given(command, rest.strip())


def spoken(words: str) -> Given | None:
    """The command that a mention is, by the words behind the bot's name; None for a question."""
    first, *rest = words.split() or [""]
    command = named(first)
    if command is None or not command.spoken:
        return None
    takes = 1 if command.option is not None and command.option.one_word else 0
    argument, more = rest[:takes], rest[takes:]
    if not all(word.lower().startswith(tuple(f"{option.name}=" for option in command.more)) for word in more):
        return None
    if command.option is not None and command.option.file_name and not _is_file_name(argument):
        return None
    return Given(command, " ".join(rest))


def _is_file_name(words: Sequence[str]) -> bool:
    return len(words) == 1 and "." in words[0][1:-1]
