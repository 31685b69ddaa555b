"""What a chaos run sees: every call of every replica, every visible change, and finished replies that changed."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from bridge.playground.discord import Change as DiscordChange
from bridge.playground.discord import DiscordWorld
from bridge.playground.slack import Change as SlackChange
from bridge.playground.slack import Envelope, SlackWorld
from tests.chaos.judge import Changed
from tests.chaos.words import Word, words_in
from tests.e2e.people import DISCORD_STOP

# Whose request is being answered. Each replica reaches the simulators below a path of its own.
_caller: ContextVar[int | None] = ContextVar("caller", default=None)


@dataclass(frozen=True, slots=True)
class Seen:
    """A call of a replica, or what became visible by one. `place` is a thread, or what was called."""

    at: float
    replica: int | None
    place: str


@dataclass(frozen=True, slots=True)
class _Message:
    words: tuple[Word, ...]
    growing: bool
    finished: bool = False


class Eyes:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.calls: list[Seen] = []
        self.changes: list[Seen] = []
        self.changed: list[Changed] = []
        self.ended: set[str] = set()  # messages the last word of whose reply was seen
        self.last: dict[str, int | None] = {}  # which replica last changed a thread
        self._threads: defaultdict[str, dict[str, _Message]] = defaultdict(dict)

    def call(self, replica: int, what: str) -> None:
        self.calls.append(Seen(self._clock(), replica, what))

    def see(self, thread: str, message: str, text: str, *, growing: bool) -> None:
        """A message of the bot was posted or changed."""
        self.changes.append(Seen(self._clock(), _caller.get(), thread))
        self.last[thread] = _caller.get()
        there = self._threads[thread]
        words, before = tuple(words_in(text)), there.get(message)
        self.ended |= {word.token for word in words if word.last}
        if before is not None and before.finished:
            if (words, growing) != (before.words, False):
                self._note(thread, before, f"{len(before.words)} words, then {len(words)}")
                there[message] = _Message(words, growing)
            return
        there[message] = _Message(words, growing)
        for token in {word.token for word in words}:
            self._finish(there, token)

    def gone(self, thread: str, message: str) -> None:
        """A message of the bot was deleted."""
        before = self._threads[thread].pop(message, None)
        if before is not None and before.finished:
            self._note(thread, before, "deleted")

    def _finish(self, there: dict[str, _Message], token: str) -> None:
        """Once its last word stands there and nothing grows, a reply must not change any more."""
        of_token = {key: one for key, one in there.items() if any(word.token == token for word in one.words)}
        ended = any(word.last for one in of_token.values() for word in one.words if word.token == token)
        if ended and not any(one.growing for one in of_token.values()):
            for key, one in of_token.items():
                there[key] = _Message(one.words, growing=False, finished=True)

    def _note(self, thread: str, before: _Message, detail: str) -> None:
        self.changed.append(Changed(before.words[0].token, thread, f"{detail}, by replica {_caller.get()}"))


def called_by(replica: int, app: ASGIApp, eyes: Eyes) -> ASGIApp:
    """`app` as this replica reaches it."""

    async def noted(scope: Scope, receive: Receive, send: Send) -> None:
        _caller.set(replica)
        if scope["type"] == "http":
            eyes.call(replica, scope["path"].partition(f"/r{replica}/")[2])
        await app(scope, receive, send)

    return noted


class WatchedSlack(SlackWorld):
    eyes: Eyes

    def announce(self, change: SlackChange) -> None:
        message = change.message
        if message is not None and message.user == self.bot.id and change.kind != "ephemeral":
            thread = slack_thread(message.channel, message.root)
            if change.kind == "deleted":
                self.eyes.gone(thread, message.ts)
            elif change.kind in ("posted", "streamed", "changed"):
                growing = message.streaming == "in_progress"
                self.eyes.see(thread, message.ts, message.shown, growing=growing)
        super().announce(change)

    async def deliver(
        self, user: str, channel: str, text: str, thread_ts: str | None
    ) -> tuple[str, list[Envelope]]:
        """Let a person write; with the message come the events by which the app hears of it."""
        ts = await self.say(user, channel, text, thread_ts)
        # One for the message, perhaps one more as it mentions the app; others may have written meanwhile.
        return ts, [one for one in self.deliveries.envelopes if one.event.get("ts") == ts]


class WatchedDiscord(DiscordWorld):
    eyes: Eyes

    def notify(self, change: DiscordChange) -> None:
        if change.channel_id is not None and change.message_id is not None:
            thread, place = discord_thread(change.channel_id), self.channels.get(change.channel_id)
            message = place.messages.get(change.message_id) if place is not None else None
            if change.kind == "deleted":
                self.eyes.gone(thread, str(change.message_id))
            elif change.kind in ("posted", "changed") and message is not None and message.author.id == self.bot.id:
                labels = [one.get("label") for row in message.components for one in row.get("components", ())]
                self.eyes.see(thread, str(message.id), message.content, growing=DISCORD_STOP in labels)
        super().notify(change)


def slack_thread(channel: str, root: str) -> str:
    return f"slack/{channel}/{root}"


def discord_thread(channel: int | str) -> str:
    return f"discord/{channel}"
