"""What people wrote, read from Slack instead of heard."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bridge.frontends.slack.client import HISTORY, REPLIES, Client, required, unguarded
from bridge.frontends.slack.content import Payload
from bridge.frontends.slack.errors import SDK_ERRORS, Failure
from bridge.frontends.slack.reading import Heard, read_event
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Address

_TS = re.compile(r"[0-9]{1,12}\.[0-9]{1,6}")
PAGE = 200  # messages; Slack gives 15 to an app that is sold outside its Marketplace


@dataclass(frozen=True, slots=True)
class Page:
    """Messages as Slack gives them, and where the next ones are, "" where there are none."""

    messages: Sequence[Payload]
    cursor: str


class History:
    """Reads threads and channels. Every method makes one call, and raises `SurfaceError`."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.client: Client = workspace.client.guarded(unguarded)

    async def thread(self, address: Address, *, after: str = "") -> list[Heard]:
        """The first page of a thread's messages after one of them, oldest first."""
        page = await self.replies(address.channel, address.thread, after=after)
        return heard_in(page.messages, address.channel, self._workspace)

    async def replies(self, channel: str, thread: str, after: str = "", cursor: str = "") -> Page:
        try:
            answer = await self.client.conversations_replies(
                channel=channel, ts=thread, oldest=after or None, cursor=cursor or None, limit=PAGE
            )
            return _page(answer)
        except SDK_ERRORS as error:
            raise Failure.of(error).surface_error(REPLIES) from error

    async def channel(self, channel: str, after: str, cursor: str = "") -> Page:
        """Messages that aren't replies, newest first."""
        try:
            answer = await self.client.conversations_history(
                channel=channel, oldest=after, cursor=cursor or None, limit=PAGE
            )
            return _page(answer)
        except SDK_ERRORS as error:
            raise Failure.of(error).surface_error(HISTORY) from error


def heard_in(messages: Iterable[Payload], channel: str, workspace: Workspace) -> list[Heard]:
    """The messages of whoever may ask, oldest first, as if each had come as an event."""
    found = []
    for message in messages:
        event_id = f"read:{channel}:{message.get('ts')}"
        event = {"event_id": event_id, "event": {**message, "channel": channel}}
        reading = read_event(event, workspace.me, workspace.listening_at)
        if isinstance(reading, Heard):
            found.append(reading)
    return sorted(found, key=lambda one: one.position)


def timestamp(at: int) -> str:
    """The ts of a position."""
    return f"{at // 1_000_000}.{at % 1_000_000:06d}"


def _page(answer: AsyncSlackResponse) -> Page:
    messages = [one for one in required(answer, "messages") if _TS.fullmatch(str(one.get("ts")))]
    return Page(messages, str((answer.get("response_metadata") or {}).get("next_cursor") or ""))
