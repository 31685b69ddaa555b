"""People on either platform, in one shape: what they do, and what they see in a thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from bridge.playground.discord import DiscordWorld, MessageType
from bridge.playground.discord.model import Message as DiscordMessage
from bridge.playground.slack import SlackWorld
from bridge.playground.slack.checks import elements
from bridge.playground.slack.values import Message as SlackMessage
from bridge.render.measure import utf8, utf16
from tests.e2e.waiting import eventually

NamedFile = tuple[str, str, bytes]  # name, media type, content
DISCORD_STOP = "Stop"
VALUE = "="  # between a thumb's action and its value
DISCORD_FACES = {"🔄": "Regenerate", "👍": "Good answer", "👎": "Bad answer", "📎": "Files"}
SLACK_NAMES = {"👀": "eyes", "✅": "white_check_mark", "🤖": "robot_face"}


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread as people point at it. `first` is the message that it began with."""

    channel: str
    id: str
    first: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A message of the bot's, as people see it."""

    id: str
    text: str
    size: int  # in what the platform counts
    growing: bool
    files: Mapping[str, bytes] = field(default_factory=dict)
    buttons: Mapping[str, str] = field(default_factory=dict)  # what to press by label
    options: Mapping[str, tuple[str, str]] = field(
        default_factory=dict
    )  # what to pick by label: in which select, as


class People(Protocol):
    """Everyone in a workspace or server. A text's `@threadbridge` mentions the bot, `@grace` a person."""

    name: str
    limit: int  # of a message, as `Shown.size` counts

    async def say(self, who: str, channel: str, text: str, files: Sequence[NamedFile] = ()) -> Thread: ...

    async def reply(self, who: str, thread: Thread, text: str, files: Sequence[NamedFile] = ()) -> str: ...

    async def direct(self, who: str, text: str) -> Thread: ...

    async def talk_first(self, channel: str, lines: Sequence[tuple[str, str]]) -> Thread:
        """A thread among people, without the bot."""
        ...

    async def edit(self, who: str, thread: Thread, message: str, text: str) -> None: ...

    async def delete(self, who: str, thread: Thread, message: str) -> None: ...

    async def press(self, who: str, shown: Shown, label: str) -> None: ...

    async def react(self, who: str, thread: Thread, message: str, emoji: str) -> None: ...

    def reactions(self, thread: Thread, message: str) -> set[str]:
        """The bot's on a person's message."""
        ...

    async def pick(self, who: str, shown: Shown, label: str) -> None:
        """Choose in a select."""
        ...

    async def fill_in(self, who: str, shown: Shown, label: str, words: str) -> None:
        """Press a button that opens a form, and send the form."""
        ...

    def private(self, who: str) -> list[Shown]:
        """What the bot shows to one person alone."""
        ...

    async def stop(self, who: str, thread: Thread) -> None:
        """Press the stop button, wherever the platform shows it."""
        ...

    async def another_bot(self, thread: Thread, text: str) -> None: ...

    def named(self, who: str) -> str:
        """What the platform calls a person."""
        ...

    def shown(self, thread: Thread) -> list[Shown]:
        """The bot's messages in a thread, oldest first."""
        ...

    def connected(self) -> bool: ...

    def harm(self) -> list[Any]:
        """Whom the bot pinged, and which links the platform would have fetched."""
        ...


def text_of(shown: Sequence[Shown]) -> str:
    return "\n".join(message.text for message in shown)


class SlackPeople:
    name = "slack"
    limit = 12_000  # characters of a markdown block

    def __init__(self, world: SlackWorld) -> None:
        self.world = world

    async def say(self, who: str, channel: str, text: str, files: Sequence[NamedFile] = ()) -> Thread:
        place = self.world.channel(channel).id
        ts = await self.world.say(who, place, self.world.typed(text), files=files)
        return Thread(place, ts, ts)

    async def reply(self, who: str, thread: Thread, text: str, files: Sequence[NamedFile] = ()) -> str:
        return await self.world.say(who, thread.channel, self.world.typed(text), thread.id, files)

    async def direct(self, who: str, text: str) -> Thread:
        return await self.say(who, self.world.direct(who).id, text)

    async def talk_first(self, channel: str, lines: Sequence[tuple[str, str]]) -> Thread:
        (who, text), *rest = lines
        thread = await self.say(who, channel, text)
        for who, text in rest:
            await self.reply(who, thread, text)
        return thread

    async def edit(self, who: str, thread: Thread, message: str, text: str) -> None:
        await self.world.edit(who, thread.channel, message, self.world.typed(text))

    async def delete(self, who: str, thread: Thread, message: str) -> None:
        await self.world.delete(who, thread.channel, message)

    async def press(self, who: str, shown: Shown, label: str) -> None:
        action, _, value = shown.buttons[label].partition(VALUE)
        await self.world.press(who, shown.id, action, value=value or None)

    async def react(self, who: str, thread: Thread, message: str, emoji: str) -> None:
        await self.world.add_reaction(who, thread.channel, message, SLACK_NAMES[emoji])

    def reactions(self, thread: Thread, message: str) -> set[str]:
        given = self.world.message(thread.channel, message).reactions
        return {emoji for emoji, name in SLACK_NAMES.items() if self.world.bot.id in given.get(name, ())}

    async def pick(self, who: str, shown: Shown, label: str) -> None:
        select, value = shown.options[label]
        await self.world.press(who, shown.id, select, value=value)

    async def fill_in(self, who: str, shown: Shown, label: str, words: str) -> None:
        await self.press(who, shown, label)
        await self.world.view_submit(who, {"words": words or None})

    async def stop(self, who: str, thread: Thread) -> None:
        await self.world.until(lambda: self.world.session(thread.channel, thread.id).status == "processing")
        await self.world.stop_session(who, thread.channel, thread.id)

    async def another_bot(self, thread: Thread, text: str) -> None:
        bot = self.world.add_person("Butler Bot", is_bot=True)
        await self.world.say(bot.id, thread.channel, self.world.typed(text), thread.id)
        await self.world.webhook(thread.channel, self.world.typed(text), thread_ts=thread.id)

    def named(self, who: str) -> str:
        return self.world.person(who).name

    def shown(self, thread: Thread) -> list[Shown]:
        messages = self.world.thread(thread.channel, thread.id)
        return [self._shown(message) for message in messages if message.user == self.world.bot.id]

    def _shown(self, message: SlackMessage) -> Shown:
        inside = [one for block in message.blocks for one in elements(block)]
        pressable = [one for one in inside if one["type"] == "button"]
        rating = [one for one in inside if one["type"] == "feedback_buttons"]
        thumbs = [
            (one["action_id"], one[name]) for one in rating for name in ("positive_button", "negative_button")
        ]
        return Shown(
            message.ts,
            message.shown,
            utf8(message.shown),
            message.streaming == "in_progress",
            {file.name: file.content for file in message.files},
            {button["text"]["text"]: button["action_id"] for button in pressable}
            | {thumb["text"]["text"]: f"{action}{VALUE}{thumb['value']}" for action, thumb in thumbs},
            {
                option["text"]["text"]: (one["action_id"], option["value"])
                for one in inside
                for option in one.get("options", ())
            },
        )

    def private(self, who: str) -> list[Shown]:
        person = self.world.person(who).id
        return [self._shown(one) for one in self.world.ephemerals.values() if one.ephemeral_for == person]

    def connected(self) -> bool:
        return bool(self.world.deliveries.connections)

    def harm(self) -> list[Any]:
        return [*self.world.pings, *self.world.unfurls]


class DiscordPeople:
    name = "discord"
    limit = 2_000  # UTF-16 units

    def __init__(self, world: DiscordWorld) -> None:
        self.world = world

    async def say(self, who: str, channel: str, text: str, files: Sequence[NamedFile] = ()) -> Thread:
        place = str(self.world.place(channel).id)
        message = str(await self.world.say(who, place, self.world.typed(text), files))
        return Thread(place, message, message)

    async def reply(self, who: str, thread: Thread, text: str, files: Sequence[NamedFile] = ()) -> str:
        return str(await self.world.say(who, thread.id, self.world.typed(text), files))

    async def direct(self, who: str, text: str) -> Thread:
        place = str(self.world.direct(who).id)
        return Thread(place, place, str(await self.world.say(who, place, text)))

    async def talk_first(self, channel: str, lines: Sequence[tuple[str, str]]) -> Thread:
        (who, text), *rest = lines
        first = await self.say(who, channel, text)
        opened = await self.world.open_thread(who, first.channel, "Among people", on=int(first.id))
        thread = Thread(first.channel, str(opened), first.first)
        for who, text in rest:
            await self.reply(who, thread, text)
        return thread

    async def edit(self, who: str, thread: Thread, message: str, text: str) -> None:
        await self.world.edit(who, thread.id, int(message), self.world.typed(text))

    async def delete(self, who: str, thread: Thread, message: str) -> None:
        await self.world.delete(who, thread.id, int(message))

    async def press(self, who: str, shown: Shown, label: str) -> None:
        await self.world.press(who, int(shown.id), shown.buttons[label])

    async def react(self, who: str, thread: Thread, message: str, emoji: str) -> None:
        await self.world.react(who, self._place(thread, message), int(message), emoji)

    def reactions(self, thread: Thread, message: str) -> set[str]:
        place = self.world.place(self._place(thread, message))
        given = place.messages[int(message)].reactions
        return {emoji for emoji, people in given.items() if self.world.bot.id in people}

    def _place(self, thread: Thread, message: str) -> str:
        """The channel that a message of a thread is in."""
        return thread.channel if message == thread.id != thread.channel else thread.id

    async def pick(self, who: str, shown: Shown, label: str) -> None:
        select, value = shown.options[label]
        await self.world.press(who, int(shown.id), select, [value])

    async def fill_in(self, who: str, shown: Shown, label: str, words: str) -> None:
        interaction = await self.world.press(who, int(shown.id), shown.buttons[label])
        await eventually(lambda: interaction.answered)
        await self.world.submit(interaction, {"words": words})

    def private(self, who: str) -> list[Shown]:
        person = self.world.person(who).id
        return [self._shown(one) for one in self.world.ephemeral.values() if one.seen_only_by == person]

    async def stop(self, who: str, thread: Thread) -> None:
        [growing] = [message for message in self.shown(thread) if message.growing]
        await self.press(who, growing, DISCORD_STOP)

    async def another_bot(self, thread: Thread, text: str) -> None:
        bot = self.world.add_person("Butler Bot", bot=True)
        await self.world.say(bot.id, thread.id, self.world.typed(text))

    def named(self, who: str) -> str:
        return self.world.person(who).display_name

    def shown(self, thread: Thread) -> list[Shown]:
        if int(thread.id) not in self.world.channels:
            return []
        ordinary = (MessageType.DEFAULT, MessageType.REPLY)
        return [
            self._shown(message)
            for message in self.world.messages(thread.id)
            if message.author.id == self.world.bot.id and message.type in ordinary
        ]

    def _shown(self, message: DiscordMessage) -> Shown:
        inside = [one for row in message.components for one in row.get("components", ())]
        buttons = {_label(one): one["custom_id"] for one in inside if "label" in one or "emoji" in one}
        return Shown(
            str(message.id),
            message.content,
            utf16(message.content),
            DISCORD_STOP in buttons,
            {file.name: self.world.bytes_of(file) for file in message.attachments},
            buttons,
            {
                option["label"]: (one["custom_id"], option["value"])
                for one in inside
                for option in one.get("options", ())
            },
        )

    def connected(self) -> bool:
        return self.world.gateway.connected

    def harm(self) -> list[Any]:
        return [*self.world.pings, *self.world.unfurls]


def _label(button: Mapping[str, Any]) -> str:
    return str(button.get("label") or DISCORD_FACES[button["emoji"]["name"]])
