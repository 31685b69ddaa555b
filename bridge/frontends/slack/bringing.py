"""A file of a conversation, into the direct message of the one person who wants it.

There it is theirs alone, and can't be taken for a part of a reply. A message of ours above it shows how far a large
one is: unlike the answer to a command, it may be edited as often as we like.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

import structlog

from bridge.frontends.common.asking import Asking
from bridge.frontends.common.progress import bar
from bridge.frontends.slack.blocks import fallback, part_blocks
from bridge.frontends.slack.errors import SDK_ERRORS, Failure
from bridge.frontends.slack.files import Uploads
from bridge.frontends.slack.surface import MAX_FILE_BYTES
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Address
from bridge.render.markdown import Renderer
from bridge.render.slack import SLACK
from bridge.turns.inbox import Order
from bridge.turns.progress import Progress, watched
from bridge.turns.surface import PartKey, PartKind, SurfaceError

log = structlog.get_logger()

PATIENCE = 5.0  # seconds that a line may take to be shown
NOT_DONE = "That didn't work. Please try again."


class Bringing:
    """One file on its way to one person."""

    def __init__(self, asking: Asking, workspace: Workspace, order: Order) -> None:
        self._asking = asking
        self._workspace = workspace
        self._order = order
        self._progress = Progress()
        self._saying = asyncio.Lock()
        self._posted: tuple[str, str] | None = None  # our message: channel and ts

    async def run(self) -> None:
        """Never raises: what goes wrong is said in the same place."""
        try:
            sentence = await self._bring()
            if sentence:
                await self._say(sentence)
        except Exception as error:
            log.warning("slack.file_not_brought", error=type(error).__name__)
            await self._try_to_say(NOT_DONE)

    async def _bring(self) -> str:
        """Why it can't be had; "" otherwise."""
        progress = self._progress
        async with (
            watched(partial(bar, progress), self._try_to_say),
            self._asking.download(self._order, MAX_FILE_BYTES, progress) as found,
        ):
            if isinstance(found, str):
                return found
            progress.sends(found.size)
            line = f"From your conversation: `{SLACK.escape(found.name).replace('`', '')}`"
            channel, ts = self._posted or await self._say(line)
            there = Address("slack", self._workspace.me.team, channel, ts)
            uploads = Uploads(self._workspace, self._workspace.client, there)
            await uploads.send(PartKey("", PartKind.FILE), [found], "", progress)
        return line if self._progress.is_large else ""

    async def _say(self, markdown: str) -> tuple[str, str]:
        """Our message says this now. Raises one of `SDK_ERRORS`."""
        shown = rendered(markdown)
        message: Mapping[str, Any] = {"text": fallback(shown), "blocks": part_blocks(shown, ())}
        client = self._workspace.client
        async with self._saying:  # else there might be two of it
            if self._posted is not None:
                channel, ts = self._posted
                await client.chat_update(channel=channel, ts=ts, **message)
                return self._posted
            sent = await client.chat_postMessage(
                channel=self._order.person.id, unfurl_links=False, unfurl_media=False, **message
            )
            self._posted = str(sent["channel"]), str(sent["ts"])
            return self._posted

    async def _try_to_say(self, markdown: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._say(markdown)
        except (*SDK_ERRORS, SurfaceError, TimeoutError) as error:
            log.info("slack.not_said", reason=Failure.of(error).reason)


def rendered(markdown: str) -> str:
    """The bridge's own words as Slack shows them."""
    renderer = Renderer(SLACK)
    return renderer.feed(markdown) + renderer.finish()
