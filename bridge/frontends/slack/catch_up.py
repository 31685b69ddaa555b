"""Fetches what people wrote while nobody listened, and lets it in by the same way as what is heard.

Channel by channel, and in each in the order in which it was written: what is stored of a channel is then always
all up to its newest message, and a catch-up that is cut short goes on there. Slack's budgets are waited for: an
app that is sold outside the Marketplace gets 15 messages a minute, and catches up slowly.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial

import structlog

from bridge import metrics
from bridge.backoff import Backoff
from bridge.frontends.slack.client import HISTORY, REPLIES
from bridge.frontends.slack.content import Payload
from bridge.frontends.slack.history import History, Page, heard_in, timestamp
from bridge.frontends.slack.reading import Heard
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Seen, position
from bridge.turns.inbox import Inbox, Overloaded
from bridge.turns.surface import SurfaceError, Throttled, Unreachable

log = structlog.get_logger()

OVERLAP = (
    600  # seconds read again before the newest message: events come late, and are delivered again for 6 minutes
)
HISTORY_PAGES = 10  # of a channel
THREAD_PAGES = 5  # of a thread
CALLS = 1_000  # of one catch-up
MESSAGES = 2_000  # of one catch-up
TRIES = 5  # of one call
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds after a call, or a message that wasn't stored


class CatchUp:
    """One at a time. `hear` takes a message that was read, and says whether it is a new turn."""

    def __init__(
        self,
        inbox: Inbox,
        workspace: Workspace,
        hear: Callable[[Heard], Awaitable[bool]],
        *,
        oldest: timedelta = timedelta(hours=24),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._inbox = inbox
        self._workspace = workspace
        self._hear = hear
        self._oldest = oldest  # age of what is taken
        self._clock = clock
        self._history = History(workspace)
        self._running = asyncio.Lock()
        self._missed_from: int | None = None  # position of the first message that may be missing
        self._calls = 0
        self._taken = 0

    def missed(self, ts: str) -> None:
        """A message of this time wasn't stored, or from then on nothing was heard."""
        try:
            at = position(ts)
        except ValueError:
            return
        self._missed_from = at if self._missed_from is None else min(self._missed_from, at)

    async def run(self, seen: Sequence[Seen] | None = None) -> None:
        """`seen` is what was known before events began to flow again; without it, what is known now. Never
        raises."""
        async with self._running:
            self._calls = self._taken = 0
            missed_from, self._missed_from = self._missed_from, None
            try:
                await self._run(await self._inbox.seen("slack") if seen is None else seen, missed_from)
            except Exception:  # a reply mustn't fail for it; the next catch-up looks again
                log.exception("slack.catch_up_failed")
                if missed_from is not None:
                    self.missed(timestamp(missed_from))

    async def _run(self, seen: Sequence[Seen], missed_from: int | None) -> None:
        channels: dict[str, list[Seen]] = {}
        for one in seen:
            if one.address.workspace != self._workspace.me.team:
                continue
            channels.setdefault(one.address.channel, []).append(one)
        for channel, threads in channels.items():
            newest = max(position(one.newest) for one in threads)
            from_here = min(newest, newest if missed_from is None else missed_from) - OVERLAP * 1_000_000
            since = max(0, from_here, round((self._clock() - self._oldest.total_seconds()) * 1_000_000))
            for heard in await self._written_in(channel, threads, since):
                if self._taken >= MESSAGES:
                    log.warning("slack.catch_up_cut", channel=channel, messages=self._taken)
                    return
                self._taken += 1
                await self._take(heard)
        if seen:
            log.info("slack.caught_up", channels=len(channels), calls=self._calls, messages=self._taken)

    async def _written_in(self, channel: str, threads: Sequence[Seen], since: int) -> list[Heard]:
        """What people wrote in a channel and its threads since then, oldest first."""
        begun = {one.address.thread for one in threads if not one.address.is_flat}
        begin = min([since, *map(position, begun)]) - 1  # Slack leaves it out itself
        roots = await self._roots(channel, begin)
        found = {one.message_id: one for one in heard_in(roots.values(), channel, self._workspace)}
        touched = {ts for ts, root in roots.items() if _latest_reply(root) > since}
        unseen = begun - roots.keys()  # too old for the pages that were read
        for thread in sorted(touched | unseen, reverse=True):
            for one in await self._replies(channel, thread, since):
                found[one.message_id] = one
        missed = [one for one in found.values() if one.position > since and one.may_concern_us]
        return sorted(missed, key=lambda one: one.position)

    async def _roots(self, channel: str, begin: int) -> dict[str, Payload]:
        roots: dict[str, Payload] = {}
        cursor = ""
        for _ in range(HISTORY_PAGES):
            page = await self._call(HISTORY, partial(self._history.channel, channel, timestamp(begin), cursor))
            roots |= {str(message["ts"]): message for message in page.messages}
            cursor = page.cursor
            if not cursor:
                break
        return roots

    async def _replies(self, channel: str, thread: str, since: int) -> list[Heard]:
        messages: list[Payload] = []
        cursor = ""
        for _ in range(THREAD_PAGES):
            page = await self._call(
                REPLIES, partial(self._history.replies, channel, thread, timestamp(since), cursor)
            )
            messages += page.messages
            cursor = page.cursor
            if not cursor:
                break
        return heard_in(messages, channel, self._workspace)

    async def _call(self, method: str, call: Callable[[], Awaitable[Page]]) -> Page:
        """Wait for the budget, and be patient; where Slack says no, there is nothing to read."""
        budget = self._workspace.budgets.of(method)
        assert budget is not None  # noqa: S101 - both methods have one
        pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        for _ in range(TRIES):
            if self._calls >= CALLS:
                break
            self._calls += 1
            async with budget.slot(urgent=False):
                self._history.client.paid = method
                try:
                    return await call()
                except Throttled:
                    continue  # the budget knows how long
                except Unreachable as error:
                    reason = str(error)
                except SurfaceError as error:
                    log.warning("slack.not_caught_up", reason=str(error))
                    break
            log.info("slack.catch_up_waits", reason=reason)
            await asyncio.sleep(pauses.pause())
        return Page([], "")

    async def _take(self, heard: Heard) -> None:
        pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            try:
                new = await self._hear(heard)
                metrics.caught_up("slack", 1, int(new))
                return
            except Overloaded:
                await asyncio.sleep(pauses.pause())


def _latest_reply(root: Payload) -> int:
    try:
        return position(str(root.get("latest_reply") or "0"))
    except ValueError:
        return 0
