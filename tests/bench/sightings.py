"""When each reply's words became visible: the moment the simulated platform accepted the call that has them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable
from dataclasses import dataclass, field

from bridge.playground.discord import Call as DiscordCall
from bridge.playground.discord import Change as DiscordChange
from bridge.playground.discord import DiscordWorld
from bridge.playground.slack import Call as SlackCall
from bridge.playground.slack import Change as SlackChange
from bridge.playground.slack import SlackWorld
from tests.bench.scripted_backend import first_word, last_word, words_of
from tests.e2e.people import DISCORD_STOP


@dataclass(slots=True)
class Sighting:
    """One reply as a person sees it grow. Times are seconds after the question was written."""

    number: int
    asked_at: float
    first: float | None = None
    last: float | None = None
    texts: dict[Hashable, str] = field(default_factory=dict)  # by message
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def see(self, message: Hashable, text: str, *, growing: bool) -> None:
        now = time.monotonic() - self.asked_at
        self.texts[message] = text
        if self.first is None and first_word(self.number) in text:
            self.first = now
        if self.last is None and last_word(self.number) in text:
            self.last = now
        if self.last is not None and not growing:
            self.done.set()

    def whole(self, words: int) -> bool:
        """Whether the whole answer stands there, once."""
        return " ".join(self.texts.values()).split() == "".join(words_of(self.number, words)).split()


class Sightings:
    """The replies that are being waited for, by thread, and the calls that were made."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, Sighting] = {}
        self.calls = 0

    def expect(self, thread: Hashable, number: int, asked_at: float) -> Sighting:
        sighting = self._waiting[thread] = Sighting(number, asked_at)
        return sighting

    def see(self, thread: Hashable, message: Hashable, text: str, *, growing: bool) -> None:
        if sighting := self._waiting.get(thread):
            sighting.see(message, text, growing=growing)


class TimedSlack(SlackWorld):
    """A Slack that notes what became visible as it accepts the call."""

    sightings: Sightings

    def announce(self, change: SlackChange) -> None:
        message = change.message
        if message is not None and message.user == self.bot.id:
            growing = message.streaming == "in_progress"
            self.sightings.see((message.channel, message.root), message.ts, message.shown, growing=growing)
        super().announce(change)

    def record(self, call: SlackCall) -> None:
        self.sightings.calls += 1
        super().record(call)


class TimedDiscord(DiscordWorld):
    """A Discord that notes what became visible as it accepts the call."""

    sightings: Sightings

    def notify(self, change: DiscordChange) -> None:
        if change.user_id == self.bot.id and change.channel_id in self.channels and change.message_id is not None:
            message = self.channels[change.channel_id].messages.get(change.message_id)
            if message is not None and change.kind in ("posted", "changed"):
                buttons = [button for row in message.components for button in row.get("components", ())]
                growing = any(button.get("label") == DISCORD_STOP for button in buttons)
                self.sightings.see(message.channel_id, message.id, message.content, growing=growing)
        super().notify(change)

    def record(self, call: DiscordCall) -> None:
        self.sightings.calls += 1
        super().record(call)
