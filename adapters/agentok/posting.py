"""The POST that asks an Agentok chat: it is held until the run ends, so it goes out in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Self

from adapters.agentok.run import Run
from adapters.base import AgentError, ProtocolError, RunFailed, Uncertain
from adapters.http.failures import ServerFailed

ARRIVAL = 10.0  # seconds that a question of unknown fate is looked for; the server writes it down first of all
SENDING = 1.0  # seconds that it takes to send the question, at most
BEGINNING = 60.0  # seconds that a question which arrived may take to begin once its connection is lost


class Posting:
    """Leaving the block drops its connection, which leaves the run going."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._error: AgentError | None = None
        self._doubtful_since: float | None = None
        self._until = 0.0
        self.over = False  # it returned, well or with a whole 500: nothing more comes

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, _kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if self._task is not None:
            if isinstance(error, AgentError):  # a look failed: what was just begun to be sent is sent all the same
                await asyncio.wait({self._task}, timeout=self._until - asyncio.get_running_loop().time())
            self._task.cancel()
            await asyncio.wait({self._task})
            if not self._task.cancelled():
                self._task.exception()  # seen, so that nobody warns of it

    def start(self, post: Coroutine[Any, Any, Any]) -> None:
        self._task = asyncio.create_task(post)
        self._until = asyncio.get_running_loop().time() + SENDING

    async def pause(self, seconds: float) -> None:
        """A pause between two looks, cut short when the POST returns."""
        if self._task is None or self._task.done():
            await asyncio.sleep(seconds)
        else:
            await asyncio.wait({self._task}, timeout=seconds)

    @property
    def failed(self) -> str | None:
        """What the server said when the run died in it."""
        return str(self._error) if isinstance(self._error, ServerFailed) else None

    def returned(self) -> bool:
        """Whether it returned as it does at the end of a run, with `null`. Raises the server's refusal; an answer
        that was lost or odd is no refusal."""
        if self._task is None or not self._task.done() or self._error is not None:
            return False
        try:
            well = self._task.result() is None
        except (Uncertain, ProtocolError) as error:
            self._error = error
            well = False
        self.over = well or self.failed is not None
        return well

    def check(self, run: Run) -> None:
        """Raise what went wrong when, without a POST under way, nothing shows for `ARRIVAL` that the question
        arrived, or for `BEGINNING` that its run began after a POST whose answer was lost."""
        under_way = self._task is not None and self._error is None
        if run.begun or under_way or (run.arrived and self._error is None):
            return
        now = asyncio.get_running_loop().time()
        if self._doubtful_since is None:
            self._doubtful_since = now
        elif run.arrived and now - self._doubtful_since > BEGINNING:
            raise RunFailed(f"agentok: taken, but never begun: {self._error}")
        elif not run.arrived and now - self._doubtful_since > ARRIVAL:
            raise self._error or Uncertain("agentok: no sign of the question")
