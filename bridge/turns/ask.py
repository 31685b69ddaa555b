"""Asks the agent: from a stored turn to the conclusion that holds its whole reply."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import cast

import structlog

from adapters.base import (
    MAX_TABLE_ROWS,
    AgentError,
    Approval,
    AuthenticationFailed,
    Cancels,
    Chart,
    Checkpoint,
    Done,
    Event,
    Exchange,
    File,
    InputRequest,
    NotFound,
    ProtocolError,
    RateLimited,
    Rejected,
    RunFailed,
    Scalar,
    Source,
    Stateless,
    Status,
    Step,
    Table,
    Text,
    TimedOut,
    Unavailable,
    Uncertain,
    Usage,
)
from bridge import lifecycle, metrics, tracing
from bridge.inbound import Person
from bridge.lifecycle import Outcome, Relation
from bridge.render.data import Data
from bridge.store.decisions import LEFT
from bridge.store.engine import Fenced, persist
from bridge.store.queue import Changed
from bridge.store.tables import SECOND, now
from bridge.store.values import (
    ApprovalShown,
    ArtifactRecord,
    Asked,
    Conclusion,
    InputRequestShown,
    WaitingTurn,
    checkpoint_of,
    storable,
)
from bridge.turns.failing import logged
from bridge.turns.outages import NotAsked, Patience
from bridge.turns.prepare import PATIENCE, Prepared, prepare
from bridge.turns.reply import Reply
from bridge.turns.requests import approvers, meant
from bridge.turns.steps import Ending
from bridge.turns.surface import SurfaceError
from bridge.turns.voice import QUOTED, UNHEARD, Listened, listen, quoted, voice_notes, without_notes
from bridge.turns.work import Work

MAX_ATTEMPTS = 10  # without anything achieved; a turn that took the process down this often is not tried again
MAX_ANSWER = 4_000_000  # characters; an agent that talks on is cut off
MAX_TELLS = 3  # of a stop to the agent: the next checkpoints may be from before the question is sent
MAX_SAID = 5  # messages that the agent wrote unasked and is told of
MAX_RESOLVED = 10  # names of who may decide
MAX_ARTIFACTS = 20  # files and tables of one turn
RESUMED_SECONDS = 60.0  # a turn taken up again after its deadline may still fetch an answer that is ready

EMPTY = "The agent sent an empty reply."
STOPPED = "Stopped."
UNREACHED = "can't reach the agent, trying again…"
QUIET = "still waiting for the agent…"


class NoAgent(NotFound):
    """The thread's agent isn't in the settings any more."""


OUTCOMES: dict[type[AgentError], Outcome] = {
    NoAgent: Outcome.NO_AGENT,
    Uncertain: Outcome.UNCERTAIN,
    AuthenticationFailed: Outcome.AUTHENTICATION_FAILED,
    NotFound: Outcome.NOT_FOUND,
    RunFailed: Outcome.RUN_FAILED,
    Rejected: Outcome.REJECTED,
    RateLimited: Outcome.RATE_LIMITED,
    Unavailable: Outcome.UNAVAILABLE,
    TimedOut: Outcome.TIMED_OUT,
    ProtocolError: Outcome.PROTOCOL_ERROR,
}
log = structlog.get_logger()


class Asking:
    """One attempt at a turn's agent. `stop` may be called at any time. `settled` is told which turn this one has
    answered or abandoned, once that is stored."""

    def __init__(self, work: Work, reply: Reply, settled: Callable[[str], None]) -> None:
        self._work = work
        self._turn = work.turn
        self._reply = reply
        self._settled = settled
        self._begun = work.turn.state is not lifecycle.TurnState.RECEIVED
        self._conversation = work.outlook.conversation
        self._checkpoint = work.turn.checkpoint
        self._start = work.turn.start
        self._is_under_way = (
            self._checkpoint is not None or self._start is not None
        )  # the agent may have it already
        self._settles: WaitingTurn | None = None
        self._how = lifecycle.Event.ANSWERED
        self._prepared: Prepared | None = None
        self._artifacts: list[ArtifactRecord] = []
        self._tells_left = MAX_TELLS
        self._heard_at = 0.0
        self.suggestions: tuple[str, ...] = ()  # of the agent, what to ask next
        self._stopped = asyncio.Event()
        if work.turn.stopped:
            self._stopped.set()

    def stop(self) -> None:
        """A person wants no more of this reply. What is shown stands; the agent is told if it can be."""
        self._stopped.set()

    async def ask(self) -> Conclusion:
        """Raises `Changed` where the question was changed or withdrawn before it was sent, and `Fenced`."""
        if self._work.hold.claim.attempts > MAX_ATTEMPTS:
            log.error("turn given up", attempts=self._work.hold.claim.attempts)
            return Conclusion(Outcome.GAVE_UP, self._reply.so_far, notice=AgentError.sentence)
        self._relate()
        try:
            async with asyncio.timeout(self._seconds_left()):
                with self._reply.held():
                    self._prepared = await self._prepare()
                    await self._say_what_was_heard(self._prepared.unheard)
                if self._prepared.missing:
                    missing = ", ".join(self._prepared.missing)
                    with suppress(SurfaceError, TimeoutError):  # the question doesn't wait for it
                        async with asyncio.timeout(PATIENCE):
                            await self._reply.notice(1, f"I couldn't read {missing}; the agent was told so.")
                if self._stopped.is_set() and self._checkpoint is None:
                    return Conclusion(Outcome.STOPPED, notice=STOPPED)  # it was never asked
                return await self._listen(self._prepared)
        except TimeoutError:
            return self._failed(TimedOut(f"no answer within {self._work.limits.deadline:g} s"))
        except AgentError as error:
            return self._failed(error)
        except (Fenced, Changed):
            raise
        except Exception as error:  # an adapter's bug is one turn's failure, with its traceback in the log
            log.exception("adapter broke")
            return self._failed(AgentError(repr(error)))

    async def begin(self) -> None:
        """Store that the turn is begun, if nothing has been stored of it yet."""
        if not self._begun:
            await self._begin(self._checkpoint)  # one that is delivered again has one

    # --- what it is -----------------------------------------------------------------------------------------

    def _relate(self) -> None:
        """What this turn is to the one that its thread waits with."""
        waiting = self._work.outlook.waiting
        turn = self._turn
        if self._begun or waiting is None:
            return
        chosen = turn.chosen == waiting.id
        match lifecycle.relation(
            waiting.waiting, position=turn.position, retry=turn.retry_of is not None, chosen=chosen
        ):
            case Relation.ANSWERS:
                self._settles, self._how = waiting, lifecycle.Event.ANSWERED
                self._start = waiting.checkpoint
                if not chosen:
                    self._turn = replace(turn, text=meant(waiting.request, self._work.surface.style, turn.text))
            case Relation.ABANDONS:
                self._settles, self._how = waiting, lifecycle.Event.ABANDONED
            case Relation.NONE | Relation.HELD:
                return

    def _seconds_left(self) -> float:
        if self._turn.begun_at is None:
            return self._work.limits.deadline
        left = (self._turn.begun_at - now()) / SECOND + self._work.limits.deadline
        return max(left, RESUMED_SECONDS)

    async def _prepare(self) -> Prepared:
        history: tuple[Exchange, ...] = ()
        said: Sequence[str] = ()
        agent, turn = self._work.agent, self._turn
        if isinstance(agent, Stateless):
            most = agent.remembers
            history = await persist(lambda: self._work.hold.queue.exchanges(turn.thread, turn.position, most))
        elif self._work.outlook.spoke_at is not None:
            said = await persist(lambda: self._work.hold.queue.said_unknown(turn.thread, turn.position, MAX_SAID))
        listened = await self._listen_to_notes()
        prepared = await prepare(
            without_notes(turn) if listened.words or turn.heard else turn,
            self._work.surface,
            self._work.folder,
            several=self._work.outlook.several,
            max_bytes=self._work.limits.attachment_bytes,
            history=history,
            said=said,
            address=self._work.hold.claim.address,
            telling=self._work.telling,
            heard=listened.words,
            tell=self._reply.signs.working,
        )
        if listened.words:
            self._turn = replace(turn, heard=listened.words)
        return replace(prepared, unheard=listened.unheard)

    async def _listen_to_notes(self) -> Listened:
        """Once for each turn, whoever works on it: then `heard` is stored with it."""
        turn, hears = self._turn, self._work.hears
        if hears is None or self._begun or turn.heard is not None or not voice_notes(turn):
            return Listened()
        return await listen(turn, self._work.surface, self._work.folder, hears)

    async def _say_what_was_heard(self, unheard: Sequence[str]) -> None:
        """The words of a voice note, once they are stored: so nobody is asked others than those that stand here."""
        if self._turn.heard and self._turn.retry_of is None:
            await self.begin()
            said = quoted(self._turn.heard, self._work.surface.style.dialect)
        elif unheard:
            said = UNHEARD.format(names=", ".join(unheard))
        else:
            return
        with suppress(SurfaceError, TimeoutError):  # the question doesn't wait for it
            async with asyncio.timeout(PATIENCE):
                await self._reply.notice(QUOTED, said)

    # --- listening ------------------------------------------------------------------------------------------

    async def _listen(self, prepared: Prepared) -> Conclusion:
        stopping = asyncio.create_task(self._stop_when_told(), name=f"stop {self._turn.id}")
        quiet = asyncio.create_task(self._say_when_quiet(), name=f"quiet {self._turn.id}")
        try:
            return await self._wait_out_outages(prepared)
        finally:
            stopping.cancel()
            quiet.cancel()

    async def _wait_out_outages(self, prepared: Prepared) -> Conclusion:
        """An agent that can't be reached may be asked again as after a crash: from the last checkpoint, under the
        same id, nothing is asked twice."""
        breaker = self._work.breaker
        if not self._is_under_way and not breaker.admits():
            raise NotAsked("it has been out of reach for a while")
        patience = Patience(breaker)
        while True:
            before = self._checkpoint
            try:
                return await self._hear(prepared)
            except (Unavailable, RateLimited) as error:
                if self._stopped.is_set():
                    raise
                pause = patience.pause(error, under_way=self._is_under_way, progress=before != self._checkpoint)
                if pause is None:
                    raise
                tracing.unreached(type(error).__name__, pause)
                log.warning("agent can't be reached", **logged(error), again_in=round(pause, 1))
                metrics.agent_retried("turn")
                self._reply.signs.working(UNREACHED)
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._stopped.wait()
                self._artifacts.clear()
                self._reply.begin_anew()
            except Uncertain:
                breaker.failed()
                raise
            except (TimedOut, Fenced, Changed, TimeoutError):
                raise
            except AgentError:
                breaker.answered()
                raise

    async def _hear(self, prepared: Prepared) -> Conclusion:
        resume = self._checkpoint or checkpoint_of(self._start)
        events = self._work.agent.ask(self._conversation, prepared.message, resume=resume)
        reply = self._reply
        done = Done()
        began = self._heard_at = asyncio.get_running_loop().time()
        spoke = False
        async with aclosing(_generator(events)) as heard:
            async for event in heard:
                self._heard_at = asyncio.get_running_loop().time()
                if not isinstance(event, Checkpoint | Status):  # these an adapter may have by itself
                    self._work.breaker.answered()
                    self._is_under_way = True
                match event:
                    case Text(delta):
                        if not spoke:
                            spoke = True
                            tracing.first_words(self._heard_at - began)
                        if not self._stopped.is_set():
                            _check_length(len(delta) + reply.length)
                            reply.text(delta)
                    case Checkpoint():
                        await self._store(event)
                    case Status(label):
                        if not self._stopped.is_set():
                            reply.status(storable(label))
                    case Step():
                        if not self._stopped.is_set():
                            reply.step(event)
                    case File() | Table() | Chart():
                        if len(self._artifacts) < MAX_ARTIFACTS:
                            self._artifacts.append(_artifact(len(self._artifacts), event))
                    case InputRequest(text, choices):
                        if not self._stopped.is_set():
                            _check_length(len(text) + reply.length)
                            request = InputRequestShown(text, choices)
                            return self._concluded(Outcome.INPUT_REQUEST, reply.so_far, request=request)
                    case Approval():
                        _check_length(len(event.title) + len(event.detail) + reply.length)
                        return self._concluded(Outcome.APPROVAL, reply.so_far, request=await self._approval(event))
                    case Done():
                        _check_length(len(event.text or ""))
                        done, usage = event, event.usage or Usage()
                        log.debug("agent done", tokens_in=usage.input_tokens, tokens_out=usage.output_tokens)
                        tracing.usage(done.usage)
        if self._stopped.is_set():  # read to its end, so that the next turn finds the agent free
            return self._concluded(Outcome.STOPPED, reply.so_far, notice=STOPPED)
        answer = reply.so_far if done.text is None else done.text
        self.suggestions = done.suggestions
        notice = done.note or ("" if answer.strip() or self._artifacts else EMPTY)
        return self._concluded(Outcome.ANSWERED, answer, notice=notice, sources=done.sources)

    async def _approval(self, event: Approval) -> ApprovalShown:
        """Who stopped the turn wants no decision any more: then it is declined at once, which the agent is told."""
        work, turn = self._work, self._turn
        platform = work.hold.claim.address.platform
        asker = turn.asked_by or turn.person
        may = approvers(event.approvers, work.approvers, f"{platform}:{asker.id}")
        known = {f"{platform}:{person.id}": person for person in (asker, turn.person)}
        names: list[str] = []
        for one in [one for one in may if one.startswith(f"{platform}:")][:MAX_RESOLVED]:
            name, _ = await work.surface.resolve(known.get(one) or Person(one.partition(":")[2]), "")
            names.append(name)
        seconds = work.limits.approval_seconds
        if event.seconds is not None and event.seconds < seconds:  # also false for NaN
            seconds = max(0.0, event.seconds)
        until = now() + (0 if self._stopped.is_set() else round(seconds * SECOND))
        return ApprovalShown(event.title, event.detail, may, tuple(names), until)

    async def _store(self, checkpoint: Checkpoint) -> None:
        known, self._checkpoint = self._checkpoint, checkpoint
        self._conversation = checkpoint.conversation or self._conversation
        if self._begun:
            await self._work.hold.checkpoint(self._turn.id, checkpoint, progress=checkpoint != known)
        else:
            await self._begin(checkpoint)
        if self._stopped.is_set():
            await self._tell_agent()

    async def _begin(self, checkpoint: Checkpoint | None) -> None:
        turn = self._turn
        if self._prepared is not None:
            turn = replace(turn, person=self._prepared.person, text=self._prepared.text)
        answered = self._how is lifecycle.Event.ANSWERED
        settled = f"Answered · {turn.person.name or turn.person.id}" if answered else LEFT
        line = self._work.line
        await self._work.hold.begin(
            turn,
            checkpoint,
            start=self._start,
            settles=self._settles,
            how=self._how,
            line=settled,
            joined=line.joined,
        )
        self._begun = True
        if self._settles is not None:
            self._settled(self._settles.id)
        line.on_begun()
        newest = line.interrupted_after
        if newest is not None and await persist(lambda: self._work.hold.queue.overtaken(turn, newest)):
            self._stopped.set()  # its person wrote again while it was prepared

    # --- beside it ------------------------------------------------------------------------------------------

    async def _say_when_quiet(self) -> None:
        """An agent that died isn't waited for in silence."""
        loop = asyncio.get_running_loop()
        self._heard_at = loop.time()
        while (left := self._heard_at + self._work.limits.quiet_after - loop.time()) > 0:  # noqa: ASYNC110  # no event
            await asyncio.sleep(left)
        log.warning("agent is quiet", seconds=self._work.limits.quiet_after)
        if not self._stopped.is_set():
            self._reply.signs.working(QUIET)

    async def _stop_when_told(self) -> None:
        await self._stopped.wait()
        log.info("turn stopped by a person")
        self._reply.signs.working(None)
        self._reply.settle(Ending.STOPPED)
        await self._tell_agent()
        with suppress(SurfaceError, Fenced):  # the delivery meets it again, and says so
            await self._reply.finish()

    async def _tell_agent(self) -> None:
        """Stop the turn at the agent, once it has a conversation to stop."""
        checkpoint, agent = self._checkpoint, self._work.agent
        if not isinstance(agent, Cancels) or not (checkpoint and checkpoint.conversation and self._tells_left):
            return
        self._tells_left -= 1
        try:
            await agent.cancel(checkpoint.conversation, checkpoint)
        except AgentError as error:
            log.warning("agent can't be stopped", **logged(error))
        except Fenced:
            raise
        except Exception:  # an adapter's bug; the turn is read to its end instead
            log.exception("agent can't be stopped")

    # --- conclusions ----------------------------------------------------------------------------------------

    def _failed(self, error: AgentError) -> Conclusion:
        outcome = outcome_of(error)
        log.warning("agent failed", outcome=outcome, **logged(error))
        if self._stopped.is_set():
            return self._concluded(Outcome.STOPPED, self._reply.so_far, notice=STOPPED, detail=str(error))
        return self._concluded(outcome, self._reply.so_far, notice=error.sentence, detail=str(error))

    def _concluded(
        self,
        outcome: Outcome,
        answer: str,
        *,
        request: Asked | None = None,
        notice: str = "",
        detail: str = "",
        sources: tuple[Source, ...] = (),
    ) -> Conclusion:
        return Conclusion(outcome, answer, request, notice, detail, tuple(self._artifacts), sources)


def outcome_of(error: AgentError) -> Outcome:
    """The contract's kind of an error, whatever an adapter derived from it."""
    return next((OUTCOMES[kind] for kind in type(error).__mro__ if kind in OUTCOMES), Outcome.AGENT_ERROR)


def _generator(events: AsyncIterator[Event]) -> AsyncGenerator[Event]:
    return cast(AsyncGenerator[Event], events)  # an adapter's ask is a generator


def _artifact(index: int, event: File | Table | Chart) -> ArtifactRecord:
    name = storable(event.name)
    if isinstance(event, File):
        return ArtifactRecord(index, "file", name, event.media_type[:255], event.ref, event.size)
    data = Data.of(event)
    table = {
        "columns": [storable(name) for name in data.columns],
        "rows": [[_cell(value) for value in row] for row in data.rows[:MAX_TABLE_ROWS]],
        "truncated": data.truncated or len(data.rows) > MAX_TABLE_ROWS,
    }
    if data.chart is None:
        return ArtifactRecord(index, "table", name, "text/csv", table=table)
    return ArtifactRecord(index, "chart", name, "text/csv", table={**table, "chart": str(data.chart)})


def _cell(value: Scalar) -> Scalar:
    if value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return storable(str(value))  # JSON has no NaN and no infinity


def _check_length(characters: int) -> None:
    if characters > MAX_ANSWER:
        raise AgentError(f"the answer is longer than {MAX_ANSWER} characters")
