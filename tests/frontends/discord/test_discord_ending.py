"""A connection to the gateway ends whenever it is told to."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import discord
import pytest
from discord.gateway import DiscordWebSocket

from bridge.frontends.discord.gateway import Gateway, Starts
from bridge.frontends.discord.settings import GATEWAY_URL
from bridge.sharding import Session


class Told:
    """Both who gives leave and who hears."""

    async def connect(self) -> None: ...

    async def begin(self, starts: Starts | None) -> None: ...

    def begun(self) -> None: ...

    def complete(self) -> None: ...

    def resumed(self) -> None: ...

    def lost(self, reason: str) -> None: ...

    def ours(self, channel: int, message_id: int, nonce: str | None) -> None: ...


async def test_who_is_told_to_end_as_the_connection_opens_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    opening, opens = asyncio.Event(), asyncio.Event()
    ws: Any = SimpleNamespace(session_id=None, poll_event=asyncio.Event().wait)

    async def from_client(*_: object, **__: object) -> Any:
        opening.set()
        await opens.wait()
        return ws

    monkeypatch.setattr(DiscordWebSocket, "from_client", from_client)
    client = discord.Client(intents=discord.Intents.none())
    session = Session("s1", 1, GATEWAY_URL, 0)
    task = asyncio.create_task(Gateway(client, GATEWAY_URL, Told(), Told(), session).run())
    await opening.wait()
    opens.set()
    task.cancel()
    await asyncio.wait([task], timeout=1.0)
    assert task.cancelled()
