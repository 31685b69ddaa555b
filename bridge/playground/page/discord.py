"""The simulated Discord as the page shows it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Literal

from adapters.testing.backends.transcription import recording, spoken_seconds
from bridge.playground.discord import Attachment, Change, Channel, ChannelType, DiscordWorld, Message
from bridge.playground.discord.components import STRING_SELECT, TEXT_FIELD
from bridge.playground.discord.invocations import Interaction
from bridge.playground.discord.model import MessageType
from bridge.playground.page.commands import DiscordCommands, is_command
from bridge.playground.page.first_words import are_first_words
from bridge.playground.page.markdown import small_print, to_html
from bridge.playground.page.previews import preview
from bridge.playground.page.reactions import ASKS, NAMES, reactions
from bridge.playground.page.rooms import DIRECT, OPENING, Room, Scene
from bridge.playground.page.tally import PartSeen, Replies, ReplyWatch
from bridge.playground.page.views import (
    AGAIN,
    ANSWERS,
    MAX_MESSAGES,
    MAX_THREADS,
    NOTICE,
    REGENERATE,
    WORDS,
    ButtonView,
    CantDo,
    ChangeView,
    ChannelView,
    FileView,
    FormView,
    MessageView,
    News,
    OpenedView,
    OptionView,
    ServerView,
)
from bridge.render.incoming import from_discord

THREADS = (ChannelType.PUBLIC_THREAD, ChannelType.PRIVATE_THREAD)
BUTTON = 2  # a component's type
STYLES: Mapping[int, Literal["primary", "danger"]] = {3: "primary", 4: "danger"}
ANSWER_WITHIN = 3.0  # seconds that the bot has
UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
_RELATIVE = re.compile(r"<t:(\d{1,12}):R>")
UNSEEN = (MessageType.THREAD_STARTER, MessageType.RECIPIENT_ADD)  # the page shows the first message itself
LINES = {
    MessageType.THREAD_CREATED: "started a thread:",
    MessageType.CHANNEL_NAME_CHANGE: "changed the thread's name:",
}
STOP = "threadbridge:stop"  # the button's id begins so while the bridge writes a message

TITLES = {"🔄": "Regenerate", "👍": "Good answer", "👎": "Bad answer", "📎": "Files"}


class DiscordView:
    platform = "discord"

    def __init__(self, world: DiscordWorld, me: str, rooms: Mapping[str, Room], default_agent: str) -> None:
        self._world = world
        self._me = world.person(me)
        self._rooms = rooms
        self._default_agent = default_agent
        self._direct = world.direct(me)
        self._watched = ReplyWatch()
        self._pressed: set[tuple[str, str]] = set()
        self.commands = DiscordCommands(world, self._me)
        self._open: Interaction | None = None  # opened the form that the person sees
        self.written = 0
        self.repeated = 0

    def server(self) -> ServerView:
        channels = [one for one in self._world.channels.values() if self._shows(one)]
        threads = sorted((one for one in channels if one.type in THREADS), key=lambda thread: thread.id)
        old = {thread.id for thread in threads[:-MAX_THREADS]}
        channels = [channel for channel in channels if channel.id not in old]
        messages = [
            message
            for channel in channels
            for message in self._world.messages(channel.id, seen_by=self._me.id)
            if message.type not in UNSEEN
        ]
        messages.sort(key=lambda message: message.id)
        return {
            "platform": self.platform,
            "name": self._world.guild.name,
            "me": self._me.display_name,
            "opens": str(self._world.place(OPENING.channel).id),
            "bot": self._world.bot.name.lower(),
            "app": self._world.bot.display_name,
            "channels": [self._channel(channel) for channel in channels],
            "messages": [self._message(message) for message in messages[-MAX_MESSAGES:]],
            "signs": [],
        }

    async def changes(self) -> AsyncIterator[News]:
        watch = self._world.watch()
        try:
            async for change in watch:
                news = self._news(change)
                if news is not None:
                    yield news
        finally:
            watch.close()

    def _news(self, change: Change) -> News | None:
        def say(**view: Any) -> ChangeView:
            return {"platform": self.platform, **view}  # type: ignore[typeddict-item]

        place, message_id = change.channel_id or 0, change.message_id
        match change.kind:
            case "lost":
                return News((self.platform, "server"), lambda: say(server=self.server()))
            case "thread" | "channel":
                channel = self._world.channels.get(place)
                if channel is None:  # deleted
                    return News((self.platform, "server"), lambda: say(server=self.server()))
                if self._shows(channel):
                    return News((self.platform, "channel", place), lambda: say(channel=self._channel(channel)))
            case "typing" if change.user_id == self._world.bot.id:
                sign = {"channel": str(place), "thread": "", "label": "is typing…", "stoppable": False}
                return News((self.platform, "sign", place), lambda: say(sign=sign))
            case "deleted":
                return News((self.platform, "message", message_id), lambda: say(deleted=str(message_id)))
            case "posted" | "changed" | "ephemeral" | "reaction":
                message = self._find(place, message_id)
                if message is not None and message.type not in UNSEEN:
                    return News(
                        (self.platform, "message", message_id), lambda: say(message=self._message(message))
                    )
        return None

    def replies(self, now: float) -> Replies:
        messages = [message for channel in self._world.channels.values() for message in channel.messages.values()]
        busy = {message.channel_id for message in messages if _growing(message)}
        parts = (
            PartSeen(message.channel_id, *key, (message.content, message.edited))
            for message in messages
            if message.author.id == self._world.bot.id
            and (key := _part_of(message)) is not None
            and not are_first_words(message.content)
        )
        return self._watched.look(parts, busy, now)

    def _shows(self, channel: Channel) -> bool:
        if channel.type is ChannelType.DIRECT:
            return channel is self._direct
        return channel.type is not ChannelType.FORUM

    def _find(self, channel: int, message_id: int | None) -> Message | None:
        messages = self._world.messages(channel, seen_by=self._me.id) if channel in self._world.channels else []
        return next((message for message in messages if message.id == message_id), None)

    def _channel(self, channel: Channel) -> ChannelView:
        home = self._world.channels.get(channel.parent_id or 0, channel)
        direct = channel.type is ChannelType.DIRECT
        room = DIRECT if direct else self._rooms[home.name]
        is_thread = channel.type in THREADS
        return {
            "id": str(channel.id),
            "name": self._world.bot.display_name if direct else channel.name,
            "kind": "direct" if direct else "thread" if is_thread else "channel",
            "parent": str(home.id) if is_thread else "",
            "agent": self._default_agent if direct else room.agent or home.name,
            "about": room.about,
            "prompts": list(room.prompts),
            "follow_ups": list(room.follow_ups),
            "free": room.free,
        }

    def _message(self, message: Message) -> MessageView:
        line = LINES.get(message.type)
        thread = message.thread_id
        if message.type is MessageType.THREAD_CREATED and message.reference is not None:
            thread = message.reference.channel_id
        said = _RELATIVE.sub(_from_now, message.content)
        text = f"{line} {message.content}" if line else from_discord(said, self._name_of)
        return {
            "id": str(message.id),
            "channel": str(message.channel_id),
            "thread": str(thread or ""),
            "author": {"name": message.author.display_name, "bot": message.author.bot},
            "html": small_print(to_html(text)),
            "at": message.created,
            "files": [self._file(attachment) for attachment in message.attachments],
            "steps": None,
            "buttons": list(_buttons(message.components)),
            "reactions": reactions(message.reactions),
            "growing": _growing(message),
            "only_you": message.seen_only_by is not None,
            "notice": (_part_of(message) or ("", ""))[1].startswith(NOTICE),
            "system": line is not None,
        }

    def _name_of(self, reference: str) -> str | None:
        number = int(reference) if reference.isdecimal() else 0
        if number in self._world.channels:
            return self._world.channels[number].name
        user = self._world.users.get(number)
        return user.display_name if user else None

    def _file(self, attachment: Attachment) -> FileView:
        try:
            shown = preview(attachment.name, attachment.media_type, self._world.bytes_of(attachment))
        except KeyError:  # no longer kept
            shown = None
        return {
            "name": attachment.name,
            "size": attachment.size,
            "url": f"file/discord/{attachment.channel_id}-{attachment.id}",
            "preview": shown,
        }

    async def say(self, channel: str, thread: str, text: str, files: Sequence[tuple[str, str, bytes]]) -> None:
        typed = self._world.typed(text)
        try:
            place = self._world.place(int(thread or channel))
            await self._world.say(self._me.id, place.id, typed, files)
        except KeyError:
            raise CantDo("That channel is no longer there.") from None
        except (ValueError, PermissionError) as error:
            raise CantDo(f"Discord refuses that: {error}.") from None
        self.written += self._is_for_bot(place, typed)

    async def speak(self, channel: str, thread: str, words: str) -> None:
        try:
            place = self._world.place(int(thread or channel))
            if not self._is_for_bot(place, ""):
                raise CantDo(
                    "A voice message has no words that mention the bot: speak in a thread or a direct message."
                )
            await self._world.speak(self._me.id, place.id, recording(words), spoken_seconds(words))
        except KeyError:
            raise CantDo("That channel is no longer there.") from None
        except (ValueError, PermissionError) as error:
            raise CantDo(f"Discord refuses that: {error}.") from None
        self.written += 1

    async def play(self, scene: Scene) -> None:
        await self._world.say(scene.person, scene.channel, self._world.typed(scene.text), scene.files)
        self.written += 1

    def _is_for_bot(self, place: Channel, typed: str) -> bool:
        if place.type is not ChannelType.TEXT and is_command(typed, self._world.mention):
            return False
        if self._world.mention in typed or place.type is ChannelType.DIRECT:
            return True
        ours = place.thread is not None and place.thread.owner_id == self._world.bot.id
        return ours and not typed.startswith("<@")

    async def press(self, message: str, button: str, value: str = "") -> OpenedView:
        try:
            interaction = await self._world.press(self._me.id, int(message), button, [value] if value else None)
        except (LookupError, ValueError):
            raise CantDo("That button is no longer there.") from None
        if (message, button) not in self._pressed:  # a second press has no effect
            self._pressed.add((message, button))
            self.repeated += AGAIN in button or (button.startswith(REGENERATE) and self._is_newest(int(message)))
            self.written += any(one in button for one in ANSWERS)
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                await self._world.until(lambda: interaction.answered)
        except TimeoutError:
            raise CantDo("The app didn't answer in time.") from None
        form = None if interaction.modal is None else self._form(interaction, interaction.modal)
        return {"form": form, "dialog": None}

    def _form(self, interaction: Interaction, modal: Mapping[str, Any]) -> FormView:
        """Raises `CantDo` for one that isn't a single text input."""
        [item, *more] = modal["components"]
        field = item.get("component") or {}
        if more or field.get("type") != TEXT_FIELD:
            raise CantDo("This page can't show that form.")
        self._open = interaction
        return {
            "id": str(interaction.id),
            "title": modal["title"],
            "send": "Submit",
            "label": item["label"],
            "optional": not field.get("required", True),
        }

    def _is_newest(self, message: int) -> bool:
        """Whether nobody has asked since in the thread of an answer."""
        place = next((one for one in self._world.channels.values() if message in one.messages), None)
        mine = (one for one in place.messages.values() if one.author.id == self._me.id) if place else ()
        return place is not None and not any(one.id > message for one in mine)

    async def react(self, message: str, emoji: str) -> None:
        number = int(message) if message.isdecimal() else 0
        place = next((one for one in self._world.channels.values() if number in one.messages), None)
        if place is None or emoji not in NAMES:
            raise CantDo("There is nothing to react to.")
        found = place.messages[number]
        if self._me.id in found.reactions.get(emoji, ()):
            raise CantDo("You reacted so already.")
        await self._world.react(self._me.id, place.id, number, emoji)
        self.written += emoji == ASKS and found.author.id != self._world.bot.id

    async def fill_in(self, form: str, words: str) -> None:
        opened = self._open
        if opened is None or opened.modal is None or str(opened.id) != form:
            raise CantDo("That form is no longer open.")
        field = opened.modal["components"][0]["component"]["custom_id"]
        try:
            await self._world.submit(opened, {field: words})
        except ValueError as error:
            raise CantDo(f"Discord doesn't take that: {error}.") from None
        self._open = None
        self.written += f":{WORDS}:" not in str(opened.modal["custom_id"])

    def file(self, file_id: str) -> tuple[str, str, bytes]:
        channel, _, wanted = file_id.partition("-")
        place = self._world.channels[int(channel) if channel.isdecimal() else 0]
        for message in self._world.messages(place.id, seen_by=self._me.id):
            for attachment in message.attachments:
                if str(attachment.id) == wanted:
                    return attachment.name, attachment.media_type, self._world.bytes_of(attachment)
        raise KeyError(file_id)


def _part_of(message: Message) -> tuple[str, str] | None:
    """The turn and the part that a message of the bridge says it is, by its nonce."""
    turn, dash, part = message.nonce.partition("-") if isinstance(message.nonce, str) else ("", "", "")
    return (turn, part) if dash else None


def _growing(message: Message) -> bool:
    return any(button["id"].startswith(STOP) for button in _buttons(message.components))


def _buttons(components: Sequence[Mapping[str, Any]]) -> Iterator[ButtonView]:
    for component in components:
        if component.get("type") == BUTTON and "custom_id" in component:
            picture = (component.get("emoji") or {}).get("name", "")
            shown: ButtonView = {"id": component["custom_id"], "label": component.get("label") or picture}
            if not component.get("label"):
                shown["title"] = TITLES.get(picture, picture)
            if component.get("style") in STYLES:
                shown["style"] = STYLES[component["style"]]
            yield shown
        elif component.get("type") == STRING_SELECT:
            options: list[OptionView] = [
                {"label": one["label"], "value": one["value"]} for one in component["options"]
            ]
            label = component.get("placeholder") or "Choose…"
            yield {"id": component["custom_id"], "label": label, "options": options}
        yield from _buttons(component.get("components", []))


def _from_now(found: re.Match[str]) -> str:
    """A time as Discord shows it that is told relatively."""
    seconds = int(found[1]) - time.time()
    unit, name = next((one for one in UNITS if abs(seconds) >= one[0]), UNITS[-1])
    count = max(1, round(abs(seconds) / unit))
    words = f"{count} {name}" if count == 1 else f"{count} {name}s"
    return f"in {words}" if seconds > 0 else f"{words} ago"
