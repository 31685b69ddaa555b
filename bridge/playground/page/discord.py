"""The simulated Discord as the page shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bridge.playground.discord import Attachment, Change, Channel, ChannelType, DiscordWorld, Message
from bridge.playground.page.views import (
    MAX_MESSAGES,
    ButtonView,
    ChangeView,
    ChannelView,
    FileView,
    MessageView,
    ServerView,
    SignView,
    to_html,
)
from bridge.render.incoming import from_discord

THREADS = (ChannelType.PUBLIC_THREAD, ChannelType.PRIVATE_THREAD)


class DiscordView:
    platform = "discord"

    def __init__(self, world: DiscordWorld, me: str, hints: Mapping[str, str]) -> None:
        self._world = world
        self._me = me
        self._hints = hints

    def server(self) -> ServerView:
        self._world.direct(self._me)
        channels = [channel for channel in self._world.channels.values() if channel.type != ChannelType.FORUM]
        return {
            "platform": self.platform,
            "name": self._world.guild.name,
            "me": self._world.person(self._me).display_name,
            "bot": self._world.bot.name,
            "channels": [self._channel(channel) for channel in channels],
            "messages": [
                self._message(message)
                for channel in channels
                for message in self._world.messages(channel.id, seen_by=self._me)[-MAX_MESSAGES:]
            ],
        }

    async def changes(self, send: Callable[[ChangeView], None]) -> None:
        watch = self._world.watch()
        try:
            async for change in watch:
                view = self._change(change)
                if view is not None:
                    send(view)
        finally:
            watch.close()

    def _change(self, change: Change) -> ChangeView | None:
        match change.kind:
            case "lost" | "thread" | "channel":
                return {"platform": self.platform, "server": self.server()}
            case "typing" if change.user_id == self._world.bot.id:
                sign: SignView = {"channel": str(change.channel_id), "thread": "", "label": "is typing…"}
                return {"platform": self.platform, "sign": sign}
            case "deleted":
                return {"platform": self.platform, "deleted": str(change.message_id)}
            case "posted" | "changed" | "ephemeral":
                message = self._find(change)
                return {"platform": self.platform, "message": self._message(message)} if message else None
        return None

    def _find(self, change: Change) -> Message | None:
        messages = self._world.messages(change.channel_id or 0, seen_by=self._me)
        return next((message for message in messages if message.id == change.message_id), None)

    def _channel(self, channel: Channel) -> ChannelView:
        if channel.type == ChannelType.DIRECT:
            name, kind = self._world.bot.display_name, "direct"
        else:
            name, kind = channel.name, "thread" if channel.type in THREADS else "channel"
        hint = "Just write: no mention needed here" if kind != "channel" else self._hints.get(channel.name, "")
        return {
            "id": str(channel.id),
            "name": name,
            "kind": kind,  # type: ignore[typeddict-item]
            "parent": str(channel.parent_id or "") if kind == "thread" else "",
            "hint": hint,
        }

    def _message(self, message: Message) -> MessageView:
        return {
            "id": str(message.id),
            "channel": str(message.channel_id),
            "thread": str(message.thread_id or ""),
            "author": {"name": message.author.display_name, "bot": message.author.bot},
            "html": to_html(from_discord(message.content, self._name_of)),
            "at": message.created,
            "files": [self._file(attachment) for attachment in message.attachments],
            "buttons": list(_buttons(message.components)),
            "growing": any(
                button["id"].startswith("threadbridge:stop") for button in _buttons(message.components)
            ),
            "only_you": message.seen_only_by is not None,
        }

    def _name_of(self, reference: str) -> str | None:
        digits = reference.strip("@!&#")
        user = self._world.users.get(int(digits)) if digits.isdecimal() else None
        return user.display_name if user else None

    def _file(self, attachment: Attachment) -> FileView:
        return {
            "name": attachment.name,
            "size": attachment.size,
            "url": f"file/discord/{attachment.channel_id}-{attachment.id}",
            "image": attachment.media_type.startswith("image/"),
        }

    async def say(self, channel: str, thread: str, text: str, files: Sequence[tuple[str, str, bytes]]) -> None:
        await self._world.say(self._me, int(thread or channel), self._world.typed(text), files)

    async def press(self, message: str, button: str) -> None:
        await self._world.press(self._me, int(message), button)

    def file(self, file_id: str) -> tuple[str, str, bytes]:
        channel, _, wanted = file_id.partition("-")
        for message in self._world.messages(int(channel), seen_by=self._me):
            for attachment in message.attachments:
                if str(attachment.id) == wanted:
                    return attachment.name, attachment.media_type, self._world.bytes_of(attachment)
        raise KeyError(file_id)


def _buttons(components: Sequence[Mapping[str, Any]]) -> Iterator[ButtonView]:
    for component in components:
        if component.get("type") == 2 and "custom_id" in component:
            yield {"id": component["custom_id"], "label": component.get("label", "")}
        yield from _buttons(component.get("components", []))
