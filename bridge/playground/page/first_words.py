"""An agent that speaks first: the page has it do so as any script would, by the bridge's own `POST /threads`."""

from __future__ import annotations

import asyncio
import socket
from secrets import token_hex

import httpx
import structlog
from pydantic import SecretStr

from bridge.playground.page.troubles import Trouble

TITLE = "Good morning"
GREETING = f"**{TITLE}.**"
TEXT = f"{GREETING} Two of yesterday's questions are still open. Shall I go through them with you?"
PATIENCE = 10.0  # seconds for an answer of the bridge

log = structlog.get_logger()


def are_first_words(text: str) -> bool:
    """Whether nobody asked for a message of the bridge's: it counts as no reply."""
    return text.startswith(GREETING)


class FirstWords:
    """Says them. The bridge's port is chosen before the bridge is there, so that the page knows it."""

    def __init__(self) -> None:
        self.token = SecretStr(token_hex(16))
        self.port = 0
        self._saying: set[asyncio.Task[None]] = set()  # the loop keeps no reference

    def choose_port(self) -> int:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        return self.port

    def in_channel(self, platform: str, channel: str, name: str) -> Trouble:
        def cause() -> None:
            task = asyncio.create_task(self._say(platform, channel), name="first words")
            self._saying.add(task)
            task.add_done_callback(self._saying.discard)

        return Trouble(
            "The agent speaks first",
            f"A script tells the bridge to open a thread in #{name}. What you reply there goes to the agent.",
            cause,
        )

    async def _say(self, platform: str, channel: str) -> None:
        said = {"platform": platform, "channel": channel, "text": TEXT, "title": TITLE}
        headers = {
            "Authorization": f"Bearer {self.token.get_secret_value()}",
            "Idempotency-Key": f"page-{token_hex(8)}",
        }
        try:
            async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as client:
                answer = await client.post(f"http://127.0.0.1:{self.port}/threads", json=said, headers=headers)
                answer.raise_for_status()
        except httpx.HTTPError as error:
            log.warning("the agent could not speak first", error=type(error).__name__)
