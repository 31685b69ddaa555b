"""What all surfaces of one workspace share: the clients, who we are, and what the workspace refuses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

import aiohttp
from slack_sdk.http_retry.async_handler import AsyncRetryHandler
from slack_sdk.http_retry.builtin_async_handlers import (
    AsyncConnectionErrorRetryHandler,
    AsyncServerErrorRetryHandler,
)
from slack_sdk.web.async_client import AsyncWebClient

from bridge.frontends.slack.errors import SDK_ERRORS, Failure
from bridge.frontends.slack.people import People
from bridge.frontends.slack.reading import Me, Payload
from bridge.frontends.slack.settings import SlackSettings
from bridge.inbound import Address
from bridge.turns.surface import Unreachable

# The SDK's own lines can hold what people wrote and the tickets of sockets. Ours say the same without.
SDK_LOG = logging.getLogger("threadbridge.slack.sdk")
SDK_LOG.setLevel(logging.CRITICAL)

TIMEOUT = aiohttp.ClientTimeout(total=30, connect=10)  # seconds; the SDK's own total, too
IDLE_WITHIN = 3.0  # seconds that the last signs may hold up the end
PAGE = 200  # messages; Slack gives fewer where it must
NOT_IN_WORKSPACE = frozenset({
    "access_denied",
    "feature_not_enabled",
    "method_not_supported",
    "missing_scope",
    "no_permission",
    "not_allowed",
    "not_allowed_token_type",
    "team_not_supported",
    "unknown_method",
})  # fmt: skip
NOT_IN_CHANNEL = frozenset({
    "channel_type_not_supported",
    "ekm_access_denied",
    "not_supported_in_channel",
    "restricted_action",
    "restricted_action_thread_only_channel",
})  # fmt: skip
MAX_REFUSALS = 1_000  # remembered; a workspace rarely has that many channels where a method is refused


class Refusals:
    """Methods that this workspace, or a channel of it, won't do: tried once in a process, not each time."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str]] = set()

    def learn(self, failure: Failure, method: str, channel: str) -> None:
        """Remember a refusal if it is for good; one of a thread or a text isn't."""
        if failure.code in NOT_IN_WORKSPACE:
            self._known.add((method, ""))
        elif failure.code in NOT_IN_CHANNEL and len(self._known) < MAX_REFUSALS:
            self._known.add((method, channel))

    def has(self, method: str, channel: str) -> bool:
        return (method, "") in self._known or (method, channel) in self._known


class Sign(Protocol):
    """Shows in a thread that the agent works; None ends it. Never raises."""

    async def show(self, label: str | None) -> None: ...


class Workspace:
    """`write` never repeats a call by itself: whether a post may be repeated is for the reply to find out.
    `read` does, because reading twice harms nobody. Neither sits out a 429: the reply's pacer does that."""

    def __init__(self, settings: SlackSettings) -> None:
        self.settings = settings
        self.write = self._client([])
        self.read = self._client([AsyncConnectionErrorRetryHandler(), AsyncServerErrorRetryHandler()])
        self.people = People(self.read)
        self.refusals = Refusals()
        self.busy: dict[Address, Sign] = {}  # the threads that are shown to be worked on
        self._me: Me | None = None

    @property
    def me(self) -> Me:
        """Raises `Unreachable` before `identify`."""
        if self._me is None:
            raise Unreachable("Slack wasn't asked yet who we are")
        return self._me

    def identify(self, me: Me) -> None:
        self._me = me

    @property
    def token(self) -> str:
        return self.settings.bot_token.get_secret_value()

    async def look_idle(self) -> None:
        """End the signs of the turns that were cut short. Whoever takes them up shows signs of its own."""
        with suppress(TimeoutError):
            async with asyncio.timeout(IDLE_WITHIN):
                await asyncio.gather(*(sign.show(None) for sign in list(self.busy.values())))

    @asynccontextmanager
    async def connections(self) -> AsyncIterator[None]:
        """Keep connections open between calls. Outside of the block each call makes its own."""
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
            self.write.session = self.read.session = session
            try:
                yield
            finally:
                self.write.session = self.read.session = None

    def _client(self, handlers: list[AsyncRetryHandler]) -> AsyncWebClient:
        return AsyncWebClient(
            token=self.token, base_url=self.settings.api_url, retry_handlers=handlers, logger=SDK_LOG
        )


async def replies(
    workspace: Workspace, channel: str, thread: str, *, pages: int, **window: Any
) -> AsyncIterator[Payload]:
    """The messages of a thread, oldest first, at most `pages` pages of them. Raises `SurfaceError`.

    A limit that is met after the first page ends the reading there: some apps get a page a minute.
    """
    cursor = None
    for page in range(pages):
        try:
            answer = await workspace.read.conversations_replies(
                channel=channel, ts=thread, limit=PAGE, cursor=cursor, include_all_metadata=True, **window
            )
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            if page and not failure.refused:
                return
            raise failure.surface_error("conversations.replies") from error
        for message in answer["messages"]:
            yield message
        cursor = (answer.get("response_metadata") or {}).get("next_cursor")
        if not cursor:
            return
