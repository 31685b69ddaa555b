"""The simulated Slack as the page shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

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
from bridge.playground.slack import Change, Channel, Message, SlackWorld, StoredFile
from bridge.render.incoming import from_slack


class SlackView:
    platform = "slack"

    def __init__(self, world: SlackWorld, me: str, hints: Mapping[str, str]) -> None:
        self._world = world
        self._me = me
        self._hints = hints

    def server(self) -> ServerView:
        self._world.direct(self._me)
        channels = list(self._world.channels.values())
        return {
            "platform": self.platform,
            "name": self._world.name,
            "me": self._world.person(self._me).real_name,
            "bot": self._world.bot.name,
            "channels": [self._channel(channel) for channel in channels],
            "messages": [
                self._message(message)
                for channel in channels
                for message in self._world.messages(channel.id)[-MAX_MESSAGES:]
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
        if change.kind == "lost":
            return {"platform": self.platform, "server": self.server()}
        if change.session is not None:
            session = change.session
            labels = (session.label, "is thinking…" if session.status == "processing" else "")
            label = next((one for one in labels if one), "")
            sign: SignView = {"channel": session.channel, "thread": session.thread_ts, "label": label}
            return {"platform": self.platform, "sign": sign}
        if change.message is None:
            return None
        if change.kind == "deleted":
            return {"platform": self.platform, "deleted": change.message.ts}
        return {"platform": self.platform, "message": self._message(change.message)}

    def _channel(self, channel: Channel) -> ChannelView:
        name = self._world.bot.real_name if channel.is_direct else channel.name
        hint = self._hints.get(channel.name, "") if not channel.is_direct else "Just write: no mention needed here"
        return {
            "id": channel.id,
            "name": name,
            "kind": "direct" if channel.is_direct else "channel",
            "parent": "",
            "hint": hint,
        }

    def _message(self, message: Message) -> MessageView:
        person = self._world.people.get(message.user)
        return {
            "id": message.ts,
            "channel": message.channel,
            "thread": message.thread_ts or message.ts,
            "author": {
                "name": message.username or (person.real_name if person else "Someone"),
                "bot": person is None or person.is_bot,
            },
            "html": to_html(self._markdown(message)),
            "at": float(message.ts),
            "files": [_file(file) for file in message.files],
            "buttons": [button for block in message.blocks for button in _buttons(block)],
            "growing": message.streaming == "in_progress",
            "only_you": message.ephemeral_for is not None,
        }

    def _markdown(self, message: Message) -> str:
        """Streams and markdown blocks are standard Markdown already; all else is Slack's own."""
        if message.markdown or any(block.get("type") == "markdown" for block in message.blocks):
            return message.shown
        return from_slack(message.shown, self._name_of)

    def _name_of(self, reference: str) -> str | None:
        person = self._world.people.get(reference)
        return person.real_name if person else None

    async def say(self, channel: str, thread: str, text: str, files: Sequence[tuple[str, str, bytes]]) -> None:
        await self._world.say(self._me, channel, self._world.typed(text), thread or None, files)

    async def press(self, message: str, button: str) -> None:
        await self._world.press(self._me, message, button)

    def file(self, file_id: str) -> tuple[str, str, bytes]:
        file = self._world.files[file_id]
        return file.name, file.media_type, file.content


def _file(file: StoredFile) -> FileView:
    return {
        "name": file.name,
        "size": len(file.content),
        "url": f"file/slack/{file.id}",
        "image": file.media_type.startswith("image/"),
    }


def _buttons(block: Mapping[str, Any]) -> list[ButtonView]:
    if block.get("type") not in ("actions", "context_actions"):
        return []
    return [
        {"id": element["action_id"], "label": element["text"]["text"]}
        for element in block["elements"]
        if element["type"] == "button"
    ]
