"""The sign that the agent works: Slack's session status with its stop button, or the older status line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import structlog
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bridge.frontends.slack.errors import SDK_ERRORS, Failure
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Address

log = structlog.get_logger()

PATIENCE = 5.0  # seconds; a sign of life must not hold up the reply
PLAIN = "is working…"  # the status line follows the app's name
MAX_LABEL = 50  # characters; Slack shows one line of it
NO_STOP_BUTTON = "missing_agent_session_stopped_event_subscription"  # a warning: Slack shows no stop button

SESSION = "agents.sessions.setStatus"
LINE = "assistant.threads.setStatus"


class Signs:
    """The signs in one thread. No method raises."""

    def __init__(self, workspace: Workspace, address: Address) -> None:
        self._workspace = workspace
        self._address = address
        self._refused: set[str] = set()
        self._session = ""
        self._line = ""
        self._wanted: str | None = None
        self._calling = asyncio.Lock()
        self.stoppable = False  # Slack shows a stop button of its own

    async def show(self, label: str | None) -> None:
        """The newest label counts; calls under way are waited for, so that an end is never overtaken."""
        self._wanted = label
        async with self._calling:
            if self._wanted != label:
                return
            if label is None:
                self.stoppable = False
                self._workspace.busy.pop(self._address, None)
                await self._set_session("active")
                await self._set_line("")
                return
            self._workspace.busy[self._address] = self
            native = await self._set_session("processing")
            if self._wanted == label:
                await self._set_line(label[:MAX_LABEL] or ("" if native else PLAIN))

    async def _set_session(self, status: str) -> bool:
        """Whether the workspace has sessions."""
        if not self._may_call(SESSION):
            return False
        if status == self._session:
            return True
        answer = await self._call(
            SESSION,
            self._workspace.write.agents_sessions_setStatus(
                channel_id=self._address.channel, thread_ts=self._address.thread, status=status
            ),
        )
        if answer is None:
            return False
        self._session = status
        self.stoppable = status == "processing" and NO_STOP_BUTTON not in str(answer.get("warning", ""))
        return True

    async def _set_line(self, line: str) -> None:
        # Slack clears the line after 2 minutes and with each post, so a line is set again, an empty one isn't.
        if not (line or self._line) or not self._may_call(LINE):
            return
        answer = await self._call(
            LINE,
            self._workspace.write.assistant_threads_setStatus(
                channel_id=self._address.channel, thread_ts=self._address.thread, status=line
            ),
        )
        if answer is not None:
            self._line = line

    def _may_call(self, method: str) -> bool:
        return method not in self._refused and not self._workspace.refusals.has(method, self._address.channel)

    async def _call(self, method: str, call: Awaitable[AsyncSlackResponse]) -> AsyncSlackResponse | None:
        try:
            async with asyncio.timeout(PATIENCE):
                return await call
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            if failure.refused:
                self._refused.add(method)
                self._workspace.refusals.learn(failure, method, self._address.channel)
            log.info("slack.sign_refused", method=method, reason=failure.code or failure.detail)
            return None
