"""One turn at work: ask the agent, store the conclusion, deliver the reply, end the turn."""

from __future__ import annotations

import asyncio

import structlog
from opentelemetry.trace import SpanKind

from bridge import metrics, tracing
from bridge.lifecycle import ENDINGS, Outcome, TurnState
from bridge.store.engine import persist
from bridge.store.tables import SECOND, now
from bridge.store.values import ApprovalShown, Conclusion, Outlook, StoredTurn
from bridge.turns.ask import MAX_ATTEMPTS, Asking
from bridge.turns.deliver import Delivered, deliver, undeliverable
from bridge.turns.parts import Parts
from bridge.turns.reactions import Marking
from bridge.turns.reply import Reply
from bridge.turns.settle import show_settled
from bridge.turns.steps import Steps
from bridge.turns.surface import Suggests, Titles
from bridge.turns.work import Work

UNREADABLE = (
    "I can't read what is stored of this thread any more, so I can't go on here. Please tell whoever runs this bot;"
    " a new thread works."
)

log = structlog.get_logger()


class TurnAtWork:
    """Works on one turn of a claimed thread. `stop` may be called at any time."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._asking: Asking | None = None
        self._delivering: Reply | None = None
        self._reply_shown: Reply | None = None
        self._stopped = work.turn.stopped
        self._marking = Marking(work.surface, work.turn)
        self._settling: asyncio.Task[None] | None = None
        self._began_at = now()

    @property
    def doing(self) -> str:
        """What the agent said last of its work; "" if nothing."""
        return "" if self._reply_shown is None else self._reply_shown.signs.label

    def stop(self) -> None:
        self._stopped = True
        if self._delivering is not None:
            self._delivering.curtail()
        elif self._asking is not None:
            self._asking.stop()

    async def run(self) -> Outlook | None:
        """Take the turn to its end, from wherever it stands. What the thread has to do next; None when it is given
        back. Raises `Changed` where the question was changed before it was sent, and `Fenced`."""
        self._marking.seen()
        try:
            async with await self._reply() as reply:
                self._reply_shown = reply
                reply.on_stop(self.stop)
                if self._work.turn.settles is not None:
                    self._settle(self._work.turn.settles)
                delivered = await self._deliver(reply)
                if self._settling is not None:
                    await self._settling
                ending = asyncio.create_task(self._wind_up(delivered), name="signs")
                try:
                    outlook = await self._end(reply, delivered)
                finally:
                    await asyncio.wait([ending])
                return outlook
        finally:
            self._marking.close()
            if self._settling is not None:
                self._settling.cancel()
            await self._work.folder.remove()

    async def _wind_up(self, delivered: Delivered) -> None:
        surface = self._work.surface
        await asyncio.gather(surface.working(None), self._marking.ended(delivered.outcome))
        suggestions = () if self._asking is None else self._asking.suggestions
        if suggestions and delivered.outcome is Outcome.ANSWERED and isinstance(surface, Suggests):
            await surface.suggest(suggestions)

    def _settle(self, turn: str) -> None:
        """Beside the agent's work: the message of what this turn answers or abandons loses its buttons."""
        settling = show_settled(self._work.another_surface(), self._work.hold.queue, turn)
        self._settling = asyncio.create_task(settling, name=f"settle {turn}")

    async def _deliver(self, reply: Reply) -> Delivered:
        if reason := self._unreadable():
            # Nothing is stored but how it ended: with the key back, all of it can be had again.
            log.error("turn can't be read", turn=self._work.turn.id, reason=reason)
            return await self._bring(reply, Conclusion(Outcome.UNREADABLE, notice=UNREADABLE, detail=reason))
        conclusion = stored_conclusion(self._work.turn)
        if conclusion is None:
            return await self._bring(reply, await self._ask(reply))
        if self._work.turn.state is TurnState.RECEIVED:  # the stored reply is delivered again
            await Asking(self._work, reply, self._settle).begin()
        attempts = self._work.hold.claim.attempts
        if attempts > MAX_ATTEMPTS:
            return await undeliverable(self._work, f"given up after {attempts - 1} attempts")
        return await self._bring(reply, conclusion)

    def _unreadable(self) -> str:
        """Why this turn can't be read, or the one that its thread waits with; "" if nothing is wrong."""
        waiting = self._work.outlook.waiting
        return self._work.turn.unreadable or ("" if waiting is None else waiting.unreadable)

    async def _bring(self, reply: Reply, conclusion: Conclusion) -> Delivered:
        """Deliver, as far as the person wants it."""
        if self._stopped and conclusion.outcome is not Outcome.STOPPED:  # else it holds no more than was wanted
            reply.curtail()
        self._delivering = reply
        with tracing.span("deliver") as span:
            delivered = await deliver(self._work, reply, conclusion)
            span.set_attributes(
                {"threadbridge.outcome": delivered.outcome, "threadbridge.parts": reply.part_count}
            )
            return delivered

    async def _reply(self) -> Reply:
        turn, hold = self._work.turn, self._work.hold
        resumed = turn.begun_at is not None
        # What is spoken may have opened the thread: its first part stands, and nothing has to be looked for.
        known = resumed or turn.spoken is not None
        records = await persist(lambda: hold.queue.parts(turn.id)) if known else ()
        return Reply(
            self._work.surface,
            hold,
            Parts(turn.id, records, resumed=resumed or hold.claim.attempts > 1),
            turn=turn.id,
            asked=turn.message_id,
            last_part=self._work.outlook.last_part,
            steps=Steps(turn.steps),
        )

    async def _ask(self, reply: Reply) -> Conclusion:
        self._asking = Asking(self._work, reply, self._settle)
        if self._stopped:
            self._asking.stop()
        surface = self._work.surface
        if self._work.outlook.last_part is None and isinstance(surface, Titles):
            surface.title(self._work.turn.text)
        reply.signs.working("")
        conclusion = await self._traced(self._asking)
        await self._asking.begin()
        await self._work.hold.conclude(self._work.turn.id, conclusion)
        return conclusion

    async def _traced(self, asking: Asking) -> Conclusion:
        work, claim = self._work, self._work.hold.claim
        waiting = work.outlook.waiting
        links = tracing.links(
            *(one.traceparent for one in work.line.joined), waiting.traceparent if waiting else None
        )
        known = work.outlook.conversation is not None
        about = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": claim.agent,
            "threadbridge.turn": work.turn.id,
            "gen_ai.provider.name": work.kind,
            "threadbridge.conversation": "known" if known else "new",
        }
        with tracing.span(f"invoke_agent {claim.agent}", about, kind=SpanKind.CLIENT, links=links) as span:
            conclusion = await asking.ask()
            span.set_attribute("threadbridge.outcome", conclusion.outcome)
            if ENDINGS[conclusion.outcome].state is TurnState.FAILED:
                tracing.failed(span, conclusion.outcome)
            return conclusion

    async def _end(self, reply: Reply, delivered: Delivered) -> Outlook | None:
        turn = self._work.turn
        first = reply.first_words_after
        outlook = await self._work.hold.end(
            turn.id,
            delivered.event,
            delivered.outcome,
            detail=delivered.detail,
            last_part=reply.last_part,
            shown_at=delivered.shown_at,
            first_words=first if turn.begun_at is None else None,
        )
        self._measure(first)
        log.info(
            "turn ended",
            outcome=delivered.outcome,
            seconds=round((now() - (turn.begun_at or turn.received_at)) / SECOND, 3),
            first_words=round(first, 3) if first is not None else None,
            parts=reply.part_count,
        )
        return outlook

    def _measure(self, first_words: float | None) -> None:
        """What a person waited for. Not where nothing was asked: what is delivered again was stored long before."""
        if self._asking is None:
            return
        place = self._work.hold.claim.agent, self._work.hold.claim.address.platform
        waited = (self._began_at - self._work.turn.received_at) / SECOND
        metrics.turn_waited(*place, waited)
        whole = (now() - self._work.turn.received_at) / SECOND
        metrics.turn_lasted(*place, whole, None if first_words is None else waited + first_words)


def stored_conclusion(turn: StoredTurn) -> Conclusion | None:
    """What asking led to, if it has ended: no agent is needed then."""
    if turn.answer is None or turn.state is TurnState.ASKING:
        return None
    # Delivered again, it is what it was to be: an outcome stood there until the platform refused the reply.
    outcome = turn.outcome or _was_to_be(turn)
    return Conclusion(
        outcome, turn.answer, turn.request, turn.notice or "", turn.detail or "", sources=turn.sources
    )


def _was_to_be(turn: StoredTurn) -> Outcome:
    if turn.request is None:
        return Outcome.ANSWERED
    return Outcome.APPROVAL if isinstance(turn.request, ApprovalShown) else Outcome.INPUT_REQUEST
