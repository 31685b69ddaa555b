"""The signs that the agent works: Slack's session status with its stop button and the thread's title, or the older
status line; and our own stop button where Slack has none. Nothing is shown that words would take the place of at
once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bridge.frontends.slack.blocks import button_blocks, fallback, status_line
from bridge.frontends.slack.errors import SDK_ERRORS, Failure
from bridge.frontends.slack.live import Place
from bridge.frontends.slack.workspace import thread_ts
from bridge.turns.surface import Button, Fenced

log = structlog.get_logger()

SIGN_AFTER = 0.25  # seconds without words
REARM_AFTER = 100.0  # seconds; Slack takes the status line away after 120
STOP_AFTER = 2.0  # seconds that a reply grows before it can be stopped by a button
PATIENCE = 5.0  # seconds; a sign of life must not hold up the reply
PLAIN = "is working…"  # the status line follows the app's name
NO_STOP_BUTTON = "missing_agent_session_stopped_event_subscription"  # a warning: Slack shows no stop button

SESSION = "agents.sessions.setStatus"
LINE = "assistant.threads.setStatus"
TITLE = "assistant.threads.setTitle"  # where there are no sessions
EPHEMERAL = "chat.postEphemeral"


class Signs:
    """The signs in one thread. No method raises."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._refused: set[str] = set()
        self._session = ""
        self._line = ""
        self._wanted: str | None = None
        self._calling = asyncio.Lock()
        self._sign = _Timer(self._show_wanted)
        self._again = _Timer(self._show_wanted)
        self._stop = _Timer(self._offer_stop)
        self._growing = False
        self._buttons: Sequence[Button] = ()
        self._offered = False
        self.stoppable = False  # Slack shows a stop button of its own
        self.title = ""  # of the thread, as long as Slack hasn't taken it
        self.waits = False  # the turn ends with a question to a person

    async def show(self, label: str | None) -> None:
        """Show a label unless words come first; None ends all signs. The newest counts."""
        self._wanted = label
        if label is not None:
            self._sign.start(SIGN_AFTER)
            return
        self.grows_no_more()
        self._cancel()
        async with self._calling:  # an end is never overtaken by what is under way
            self.stoppable = False
            self._place.workspace.busy.pop(self._place.address, None)
            suspended = self._place.workspace.suspended
            if self.waits:
                suspended[self._place.address] = await self._set_session("suspended")
            elif suspended.pop(self._place.address, False) or self._session == "processing" or self.title:
                await self._set_session("active")
            if self.title:
                await self._set_title()
            if self._line:
                await self._set_line("")

    def words_came(self, *, posted: bool) -> None:
        """Words say more than a sign. Slack takes its line away itself with each post."""
        self._sign.cancel()
        if posted:
            self._again.cancel()
            self._line = ""

    def grows(self, buttons: Sequence[Button], *, beside: bool) -> None:
        """A part grows that can be stopped by these buttons; `beside` where the part itself can't show them."""
        self._growing, self._buttons = True, buttons if beside else ()
        if buttons and not self._offered:
            self._stop.start(STOP_AFTER)

    def grows_no_more(self) -> None:
        self._growing = False
        self._stop.cancel()

    async def _show_wanted(self) -> None:
        async with self._calling:
            label = self._wanted
            if label is None:
                return
            self._place.workspace.busy[self._place.address] = self
            native = await self._set_session("processing")
            # An agent that says what it does isn't talked over.
            loading = () if label else self._place.workspace.settings.loading
            if line := status_line(label) or (PLAIN if loading or not native else ""):
                await self._set_line(line, loading)
            if self._line and self._wanted is not None:
                self._again.start(REARM_AFTER)

    async def _offer_stop(self) -> None:
        """Slack's own stop button, or ours: a stream shows buttons only once it has ended, so that the person gets
        them beside it."""
        async with self._calling:
            if not self._growing:
                return
            self._place.workspace.busy[self._place.address] = self
            await self._set_session("processing")
            if self.stoppable or self._offered or not self._buttons:
                return
            self._offered = True
            address = self._place.address
            await self._call(
                EPHEMERAL,
                self._place.client.chat_postEphemeral(
                    channel=address.channel,
                    thread_ts=thread_ts(address),
                    user=self._place.person.id,
                    text=fallback(self._buttons[0].label),
                    blocks=button_blocks(self._buttons),
                ),
            )

    async def _set_session(self, status: str) -> bool:
        """Whether the workspace has sessions."""
        if not self._may_call(SESSION):
            return False
        if status == self._session:
            return True
        address = self._place.address
        answer = await self._call(
            SESSION,
            self._place.client.agents_sessions_setStatus(
                channel_id=address.channel, thread_ts=address.thread, status=status, title=self.title or None
            ),
        )
        if answer is None:
            return False
        self._session, self.title = status, ""  # Slack takes a title once, for a session that it doesn't know yet
        self.stoppable = status == "processing" and NO_STOP_BUTTON not in str(answer.get("warning", ""))
        return True

    async def _set_title(self) -> None:
        address = self._place.address
        if not address.channel.startswith("D") or not self._may_call(TITLE):
            return
        titled = self._place.client.assistant_threads_setTitle(
            channel_id=address.channel, thread_ts=address.thread, title=self.title
        )
        if await self._call(TITLE, titled) is not None:
            self.title = ""

    async def _set_line(self, line: str, loading: Sequence[str] = ()) -> None:
        if not self._may_call(LINE):
            return
        address = self._place.address
        answer = await self._call(
            LINE,
            self._place.client.assistant_threads_setStatus(
                channel_id=address.channel,
                thread_ts=address.thread,
                status=line,
                loading_messages=[status_line(one) for one in loading] or None,
            ),
        )
        if answer is not None:
            self._line = line

    def _may_call(self, method: str) -> bool:
        address = self._place.address
        if address.is_flat:  # they are all of a thread
            return False
        return method not in self._refused and not self._place.workspace.refusals.has(method, address.channel)

    async def _call(self, method: str, call: Awaitable[AsyncSlackResponse]) -> AsyncSlackResponse | None:
        try:
            async with asyncio.timeout(PATIENCE):
                return await call
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            if failure.refused:
                self._refused.add(method)
                self._place.workspace.refusals.learn(failure, method, self._place.address.channel)
            log.info("slack.sign_refused", method=method, reason=failure.reason)
        except Fenced:  # whoever owns the thread now shows its own
            self._wanted = None
            self._cancel()
        return None

    def _cancel(self) -> None:
        for timer in (self._sign, self._again, self._stop):
            timer.cancel()


class _Timer:
    """Does something later, once; what it has begun goes on when it is cancelled."""

    def __init__(self, action: Callable[[], Awaitable[None]]) -> None:
        self._action = action
        self._handle: asyncio.TimerHandle | None = None
        self._task: asyncio.Future[None] | None = None  # the loop keeps no reference

    def start(self, seconds: float) -> None:
        """Does nothing if it is started and hasn't begun yet."""
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_later(seconds, self._begin)

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _begin(self) -> None:
        self._handle = None
        self._task = asyncio.ensure_future(self._action())
