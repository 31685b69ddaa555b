"""One turn at work: ask the agent, store the verdict, deliver the reply."""

from __future__ import annotations

import asyncio
import math
import mimetypes
import tempfile
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from adapters.base import (
    MAX_TABLE_ROWS,
    Agent,
    AgentError,
    Cancels,
    Checkpoint,
    Done,
    Event,
    Exchange,
    File,
    Files,
    InputRequest,
    Message,
    Scalar,
    Stateless,
    Status,
    Table,
    Text,
    TimedOut,
    Uncertain,
)
from adapters.text import safe_name
from bridge.render.tables import preview, to_csv
from bridge.store.arrivals import TAKEN_UP_AGAIN
from bridge.store.queue import Claim, Fenced, Queue, Verdict, Work
from bridge.store.rows import storable
from bridge.store.tables import Made, Turn, TurnState, now
from bridge.turns.prepare import prepare
from bridge.turns.reply import Reply
from bridge.turns.surface import Button, Refused, Surface, SurfaceError, Upload

MAX_ATTEMPTS = 10  # a turn that took the process down this often is not tried again
MAX_DELIVERIES = 2 * MAX_ATTEMPTS  # attempts; a reply that can't be delivered must not hold its thread for ever
MAX_ANSWER = 4_000_000  # characters; an agent that talks on is cut off
MAX_TELLS = 3  # of a stop to the agent: the next checkpoints may be from before the question is sent
MAX_MADE = 20  # files and tables of one turn
DOWNLOAD_SECONDS = 900.0  # one file from the agent
RESUMED_SECONDS = 60.0  # a turn taken up again after its deadline may still fetch an answer that is ready

EMPTY = "The agent sent an empty reply."
STOPPED = "Stopped."

log = structlog.get_logger()


class TurnJournal:
    """Where one turn's reply is written down: the queue, bound to the claim."""

    def __init__(self, queue: Queue, claim: Claim, turn: str) -> None:
        self.record: Any = partial(queue.record_part, claim, turn)
        self.forget = partial(queue.forget_part, claim, turn)


class TurnAtWork:
    """Works on one claimed turn. `stop` may be called at any time."""

    def __init__(
        self,
        queue: Queue,
        claim: Claim,
        work: Work,
        surface: Surface,
        agent: Agent,
        deadline: float,
        max_bytes: int,
    ) -> None:
        self._queue = queue
        self._claim = claim
        self._turn = turn = work.turn
        self._before = work
        self._conversation = work.conversation
        self._surface = surface
        self._agent = agent
        self._deadline = deadline
        self._max_bytes = max_bytes
        self._checkpoint = _checkpoint(turn)
        self._tells_left = MAX_TELLS
        self._stopped = asyncio.Event()
        if turn.stopped:
            self._stopped.set()

    def stop(self) -> None:
        """A person wants no more of this reply. What is shown stands; the agent is told if it can be."""
        self._stopped.set()

    async def work(self) -> None:
        """Take the turn to its end, from wherever it stands."""
        turn = self._turn
        try:
            if turn.state == TurnState.REPLYING and turn.attempts > MAX_DELIVERIES:
                raise SurfaceError(f"given up after {turn.attempts} attempts")
            with tempfile.TemporaryDirectory(prefix="threadbridge-") as folder:
                await self._work(Path(folder))
        except SurfaceError as error:
            log.error("reply can't be delivered", error=type(error).__name__, detail=str(error))
            failed = Verdict(TurnState.FAILED, type(error).__name__, turn.answer or "", detail=str(error))
            await self._queue.record_verdict(self._claim, turn.id, failed)
            turn.ends_as = failed.ends_as
            await self._surface.working(None)
        await self._queue.record_end(self._claim, turn.id, TurnState(turn.ends_as or TurnState.DONE))

    async def _work(self, folder: Path) -> None:
        turn = self._turn
        journal = TurnJournal(self._queue, self._claim, turn.id)
        async with Reply(
            self._surface,
            journal,
            turn=turn.id,
            asked=turn.message_id,
            rows=self._before.parts,
            known=set(self._before.posted),
        ) as reply:
            if turn.state == TurnState.ASKING:
                reply.working("")
                verdict = await self._ask(reply, folder)
                await self._queue.record_verdict(self._claim, turn.id, verdict)
                turn.answer, turn.notice = verdict.answer, verdict.notice
                turn.ends_as, turn.outcome = verdict.ends_as, verdict.outcome
            await self._deliver(reply, folder)
            self._log_end(reply)

    def _log_end(self, reply: Reply) -> None:
        seconds = (now() - (self._turn.asked_at or self._turn.received_at)).total_seconds()
        first = reply.first_words_after
        log.info(
            "turn ended",
            outcome=self._turn.outcome,
            seconds=round(seconds, 3),
            first_words=round(first, 3) if first is not None else None,
            parts=reply.part_count,
        )

    # --- ask --------------------------------------------------------------------------------------------

    async def _ask(self, reply: Reply, folder: Path) -> Verdict:
        if self._turn.attempts > MAX_ATTEMPTS:
            log.error("turn given up", attempts=self._turn.attempts)
            return Verdict(TurnState.FAILED, "gave up", reply.text_so_far, AgentError.sentence)
        made: list[Made] = []
        try:
            async with asyncio.timeout(self._seconds_left()):
                message, missing = await self._prepare(folder)
                if missing:
                    await reply.notice("r0", f"I couldn't read {', '.join(missing)}; the agent was told so.")
                if self._stopped.is_set() and self._checkpoint is None:
                    return Verdict(TurnState.CANCELLED, "stopped", notice=STOPPED)  # it was never asked
                return await self._listen(reply, message, made)
        except TimeoutError:
            return self._failed(reply, TimedOut(f"no answer within {self._deadline:g} s"), made)
        except AgentError as error:
            return self._failed(reply, error, made)
        except (Fenced, SurfaceError, SQLAlchemyError):
            raise
        except Exception as error:  # an adapter's bug is one turn's failure, with its traceback in the log
            log.exception("adapter broke")
            return self._failed(reply, AgentError(repr(error)), made)

    def _seconds_left(self) -> float:
        started = self._turn.asked_at or now()
        left = (started + timedelta(seconds=self._deadline) - now()).total_seconds()
        return max(left, RESUMED_SECONDS) if self._turn.attempts > 1 else left

    async def _prepare(self, folder: Path) -> tuple[Message, list[str]]:
        named = not self._turn.direct and self._before.people > 1
        history: tuple[Exchange, ...] = ()
        if isinstance(self._agent, Stateless):
            history = await self._queue.exchanges(self._claim.thread, self._agent.remembers)
        return await prepare(
            self._turn, self._surface, folder, named=named, max_bytes=self._max_bytes, history=history
        )

    async def _listen(self, reply: Reply, message: Message, made: list[Made]) -> Verdict:
        events = self._agent.ask(self._conversation, message, resume=self._checkpoint)
        stopping = asyncio.create_task(self._stop_when_told(reply), name=f"stop {self._turn.id}")
        try:
            return await self._hear(reply, events, made)
        finally:
            stopping.cancel()

    async def _hear(self, reply: Reply, events: AsyncIterator[Event], made: list[Made]) -> Verdict:
        whole: str | None = None
        async with aclosing(events) as events:  # type: ignore[type-var]  # an adapter's ask is a generator
            async for event in events:
                match event:
                    case Checkpoint():
                        self._checkpoint = event
                        self._conversation = event.conversation or self._conversation
                        await self._queue.record_checkpoint(self._claim, self._turn.id, event)
                        if self._stopped.is_set():
                            await self._tell_agent()
                    case Text(delta) if not self._stopped.is_set():
                        _check_length(len(delta) + reply.length)
                        reply.text(delta)
                    case Status(label) if not self._stopped.is_set():
                        reply.working(storable(label))
                    case File() | Table() if len(made) < MAX_MADE:
                        made.append(_made(self._turn.id, len(made), event))
                    case InputRequest() if not self._stopped.is_set():
                        asking = _ask_people(event, after=reply.text_so_far)
                        _check_length(len(asking) + reply.length)
                        reply.text(asking)
                        return Verdict(TurnState.WAITING, "question", reply.text_so_far, made=tuple(made))
                    case Done(text, usage):
                        _check_length(len(text or ""))
                        whole = text
                        log.info("agent done", usage=usage)
                    case _:
                        pass  # a stopped turn is read to its end, so that the next one finds the agent free
        if self._stopped.is_set():
            return Verdict(TurnState.CANCELLED, "stopped", reply.text_so_far, STOPPED)
        answer = reply.text_so_far if whole is None else whole
        notice = "" if answer.strip() or made else EMPTY
        return Verdict(TurnState.DONE, "done", answer, notice, made=tuple(made))

    async def _stop_when_told(self, reply: Reply) -> None:
        await self._stopped.wait()
        log.info("turn stopped by a person")
        reply.working(None)
        await self._tell_agent()
        with suppress(SurfaceError, SQLAlchemyError, Fenced):  # the delivery meets it again, and says so
            await reply.finish()

    async def _tell_agent(self) -> None:
        """Stop the turn at the agent, once it has a conversation to stop."""
        checkpoint = self._checkpoint
        if not isinstance(self._agent, Cancels) or not (
            checkpoint and checkpoint.conversation and self._tells_left
        ):
            return
        self._tells_left -= 1
        try:
            await self._agent.cancel(checkpoint.conversation, checkpoint)
        except AgentError as error:
            log.warning("agent can't be stopped", error=str(error))
        except Exception:  # an adapter's bug; the turn is read to its end instead
            log.exception("agent can't be stopped")

    def _failed(self, reply: Reply, error: AgentError, made: list[Made]) -> Verdict:
        kind = _kind(error)
        log.warning("agent failed", error=kind, detail=str(error))
        if self._stopped.is_set():
            return Verdict(TurnState.CANCELLED, "stopped", reply.text_so_far, STOPPED, str(error))
        ends_as = TurnState.WAITING if isinstance(error, Uncertain) else TurnState.FAILED
        return Verdict(ends_as, kind, reply.text_so_far, error.sentence, str(error), tuple(made))

    # --- deliver ----------------------------------------------------------------------------------------

    async def _deliver(self, reply: Reply, folder: Path) -> None:
        await reply.finish(self._turn.answer or "")
        refused: list[str] = []
        if reply.overflowed:
            path = folder / "answer.md"
            path.write_text(self._turn.answer or "", encoding="utf-8")
            await reply.upload("a0", Upload("answer.md", path, "text/markdown", path.stat().st_size))
        for made in await self._queue.made(self._turn.id):
            try:
                await self._deliver_made(reply, made, folder)
            except (AgentError, SurfaceError, TimeoutError) as error:
                log.warning("file left out", file=made.name, error=type(error).__name__, detail=str(error))
                refused.append(made.name)
            except (Fenced, SQLAlchemyError):
                raise
            except Exception:  # an adapter's bug costs the file, not the reply
                log.exception("file left out", file=made.name)
                refused.append(made.name)
        if refused:
            await reply.notice("r1", f"These could not be brought here: {', '.join(refused)}.")
        await self._surface.working(None)
        if self._turn.notice:  # last: its buttons count from the end of the turn on
            await reply.notice("n0", self._turn.notice, self._buttons())

    def _buttons(self) -> tuple[Button, ...]:
        match self._turn.outcome:
            case Uncertain.__name__:
                return (
                    Button("again", "Send it again", self._turn.id),
                    Button("leave", "Leave it", self._turn.id),
                )
            case outcome if outcome in TAKEN_UP_AGAIN:
                return (Button("again", "Try again", self._turn.id),)
            case _:
                return ()

    async def _deliver_made(self, reply: Reply, made: Made, folder: Path) -> None:
        part = f"{made.kind[0]}{made.index}"
        if reply.has(part):
            return
        name = safe_name(made.name)
        path = folder / f"{part}-{name}"
        if made.kind == "table":
            table = made.table or {"columns": [], "rows": []}
            path = path.with_suffix(".csv")
            path.write_bytes(to_csv(table["columns"], table["rows"]))
            upload = Upload(f"{Path(name).stem or 'table'}.csv", path, "text/csv", path.stat().st_size)
            text = preview(
                table["columns"], table["rows"], self._surface.style.dialect, title=made.name,
                truncated=bool(table.get("truncated")),
            )  # fmt: skip
            await reply.upload(part, upload, text)
            return
        async with asyncio.timeout(DOWNLOAD_SECONDS):
            await self._download(made, path)
        media_type = made.media_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
        await reply.upload(part, Upload(name, path, media_type, path.stat().st_size))

    async def _download(self, made: Made, path: Path) -> None:
        if not isinstance(self._agent, Files):
            raise AgentError("the agent yields files but can't give their bytes")
        limit = self._surface.style.max_file_bytes
        size = 0
        with path.open("wb") as out:
            async for chunk in self._agent.download(self._conversation or "", made.ref):
                size += len(chunk)
                if size > limit:
                    raise Refused(f"larger than the platform takes ({limit} bytes)")
                out.write(chunk)


def _checkpoint(turn: Turn) -> Checkpoint | None:
    stored = turn.checkpoint
    return Checkpoint(stored["conversation"], stored["data"]) if stored else None


def _made(turn: str, index: int, event: File | Table) -> Made:
    if isinstance(event, Table):
        table = {
            "columns": [storable(name) for name in event.columns],
            "rows": [[_cell(value) for value in row] for row in event.rows[:MAX_TABLE_ROWS]],
            "truncated": event.truncated or len(event.rows) > MAX_TABLE_ROWS,
        }
        name = storable(event.name)
        return Made(turn_id=turn, index=index, kind="table", name=name, media_type="text/csv", ref="", table=table)
    return Made(
        turn_id=turn,
        index=index,
        kind="file",
        name=storable(event.name),
        media_type=storable(event.media_type)[:255],
        ref=storable(event.ref),
        size=event.size,
    )


def _cell(value: Scalar) -> Scalar:
    if value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return storable(str(value))  # PostgreSQL's JSON has no NaN and no infinity


def _check_length(characters: int) -> None:
    if characters > MAX_ANSWER:
        raise AgentError(f"the answer is longer than {MAX_ANSWER} characters")


def _kind(error: AgentError) -> str:
    """The contract's name of an error, whatever an adapter derived from it."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == AgentError.__module__)


def _ask_people(question: InputRequest, *, after: str) -> str:
    choices = "".join(f"\n- {choice}" for choice in question.choices)
    return ("\n\n" if after.strip() else "") + question.text + (f"\n{choices}" if choices else "")
