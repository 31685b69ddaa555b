"""Tells agents' services what people think of their answers: once that is stored, beside all else, in few tries."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog

from adapters.base import Agent, AgentError, Rates
from bridge.store.engine import StoreUnavailable, persist
from bridge.store.feedback import DueFeedback, FeedbackStore

LOOK_AGAIN = 15.0  # seconds between two looks for what is to be told
AT_ONCE = 10  # of one look
TRIES = 5
PAUSE = 120.0  # seconds until the second try; the third waits twice as long, and so on
TELL_WITHIN = 10.0  # seconds for one; all of a look take less than the pause

log = structlog.get_logger()


class Ratings:
    """Any number of replicas may run one; each word is told by one of them at a time."""

    def __init__(self, feedback: FeedbackStore, agents: Mapping[str, Agent]) -> None:
        self._feedback = feedback
        self._agents = agents

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                more = await self.tell_some() >= AT_ONCE
            except StoreUnavailable as error:
                log.info("feedback waits for the database", error=str(error))
                more = False
            if not more:
                await asyncio.sleep(LOOK_AGAIN)

    async def tell_some(self) -> int:
        """Tell what is due now; how many that were. Raises `StoreUnavailable`."""
        due = await self._feedback.take_due(AT_ONCE, PAUSE)
        for one in due:
            if await self._told(one) or one.tries >= TRIES:
                await persist(lambda one=one: self._feedback.settle(one))  # type: ignore[misc]
        return len(due)

    async def _told(self, due: DueFeedback) -> bool:
        """Whether there is nothing left to try."""
        agent: object = None if due.agent is None else self._agents.get(due.agent)
        checkpoint = due.checkpoint
        if not isinstance(agent, Rates) or checkpoint is None or checkpoint.conversation is None:
            return True
        try:
            async with asyncio.timeout(TELL_WITHIN):
                await agent.rate(checkpoint.conversation, checkpoint, due.good, due.words)
        except (AgentError, TimeoutError) as error:
            log.warning("agent isn't told of feedback", turn=due.turn, tries=due.tries, error=type(error).__name__)
            return False
        except Exception:  # an adapter's bug; it may be told by the next version
            log.exception("agent isn't told of feedback", turn=due.turn, tries=due.tries)
            return False
        log.info("agent told of feedback", turn=due.turn, good=due.good)
        return True
