"""The real discord.py, pointed at the simulated Discord."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import pytest
import yarl

with warnings.catch_warnings():
    # discord.py imports audioop, which Python 3.13 leaves out; from there on it brings a replacement.
    warnings.filterwarnings("ignore", "'audioop' is deprecated", DeprecationWarning)
    import discord
    from discord import app_commands

from adapters.testing.serving import serve
from bridge.playground.discord import DiscordWorld, create_app
from tests.e2e.waiting import PATIENCE

__all__ = ["Bot", "app_commands", "discord", "intents", "running", "served"]

T = TypeVar("T")


class Bot(discord.Client):
    """Notes what it hears."""

    def __init__(self, intents: discord.Intents, *, heartbeat_timeout: float = 60.0) -> None:
        super().__init__(intents=intents, guild_ready_timeout=0.02, heartbeat_timeout=heartbeat_timeout)
        self.tree = app_commands.CommandTree(self)
        self.heard: list[discord.Message] = []
        self.edits: list[discord.RawMessageUpdateEvent] = []
        self.deletions: list[int] = []
        self.new_threads: list[discord.Thread] = []
        self.reactions: list[discord.RawReactionActionEvent] = []
        self.typed: list[int] = []
        self.events: list[str] = []
        self._stirred = asyncio.Event()

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Without the five seconds that the client takes before it identifies anew."""

    async def on_message(self, message: discord.Message) -> None:
        self._note(self.heard, message)

    async def on_raw_message_edit(self, event: discord.RawMessageUpdateEvent) -> None:
        self._note(self.edits, event)

    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        self._note(self.deletions, event.message_id)

    async def on_thread_create(self, thread: discord.Thread) -> None:
        self._note(self.new_threads, thread)

    async def on_raw_reaction_add(self, event: discord.RawReactionActionEvent) -> None:
        self._note(self.reactions, event)

    async def on_raw_typing(self, event: discord.RawTypingEvent) -> None:
        self._note(self.typed, event.user_id)

    async def on_socket_event_type(self, event: str) -> None:
        self._note(self.events, event)

    async def on_ready(self) -> None:
        self._note(self.events, "ready")

    async def until(self, condition: Callable[[], T | None]) -> T:
        """What `condition` gives as soon as it is true; it is looked at after each event."""
        async with asyncio.timeout(PATIENCE):
            while not (value := condition()):
                self._stirred.clear()
                await self._stirred.wait()
        return value

    @property
    def texts(self) -> list[str]:
        return [message.content for message in self.heard]

    async def hears(self, text: str) -> discord.Message:
        """The first message with this text."""
        return await self.until(lambda: discord.utils.get(self.heard, content=text))

    def room(self, name: str) -> discord.TextChannel:
        channel = discord.utils.get(self.get_all_channels(), name=name)
        assert isinstance(channel, discord.TextChannel)
        return channel

    def forum(self, name: str) -> discord.ForumChannel:
        channel = discord.utils.get(self.get_all_channels(), name=name)
        assert isinstance(channel, discord.ForumChannel)
        return channel

    def _note(self, notes: list[T], note: T) -> None:
        notes.append(note)
        self._stirred.set()


def intents(*, content: bool = True, members: bool = False) -> discord.Intents:
    wanted = discord.Intents.default()
    wanted.message_content = content
    wanted.members = members
    return wanted


@asynccontextmanager
async def served(world: DiscordWorld) -> AsyncIterator[str]:
    """The world on a port of its own, with discord.py's addresses set to it."""
    async with serve(create_app(world)) as url:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(discord.http.Route, "BASE", f"{url}/api/v10")
            gateway = yarl.URL(f"{url.replace('http', 'ws', 1)}/gateway")
            patch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", gateway)
            yield url


@asynccontextmanager
async def running(world: DiscordWorld, bot: Bot | None = None) -> AsyncIterator[Bot]:
    """A bot that is ready, in a world that is served."""
    bot = bot or Bot(intents())
    async with served(world):
        task = asyncio.create_task(bot.start(world.token))
        try:
            await bot.until(lambda: "ready" in bot.events)
            yield bot
        finally:
            await bot.close()
            with suppress(asyncio.CancelledError):
                await task
