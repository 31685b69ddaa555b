"""Carries out the commands of people: a few words to each, for whoever gave it alone.

Given wrongly a command changes nothing, and its answer says what to do instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from adapters.base import Agent, AgentError, History, Row
from bridge import metrics
from bridge.inbound import Address
from bridge.lifecycle import ENDINGS, Outcome, Retry, ThreadState, TurnState
from bridge.render.characters import boundary
from bridge.store import audit
from bridge.store.budgets import Quota
from bridge.store.decisions import Decided
from bridge.store.desk import QUEUED, Desk, Overview
from bridge.store.tables import SECOND, now
from bridge.store.values import ApprovalShown, DecisionMade, StoredTurn
from bridge.turns.gate import NOT_YOURS, Gate
from bridge.turns.inbox import Order
from bridge.turns.requests import in_words, line_of, who_may

log = structlog.get_logger()

HISTORY_WITHIN = 8.0  # seconds that the agent's service gets to say what was said; then our own record serves
HISTORY_ROWS = 20  # looked at, from the end
HISTORY_SHOWN = 1_500  # characters in all: one message, on both platforms
ROW_SHOWN = 300  # characters of one row

NOWHERE = "I don't know a thread of yours here. Ask me something first, then I can do that in its thread."
UNKNOWN = "I'm not in this thread yet. Mention me with a question first."
NOTHING_RUNS = "Nothing is under way here, so there is nothing to stop."
STOPPING = "Stopping."
BUSY = "I'm still working on something here. Stop it first with `stop`, or wait until it is done."
ANEW = "A new conversation: your next message here begins it."
NOTHING_SAID = "Nothing was said in this conversation yet."
NOTHING_TO_RETRY = "There is nothing in this conversation yet that could be asked again."
AT_WORK = "I'm still working on it. Stop it first with `stop`, then it can be asked again."
ASKED_BACK = "The agent waits for your answer to its question: write it here, or begin anew with `new`."
UNDECIDED = "The agent waits for a decision: approve or decline it first, or decline it with `stop`."
DECIDED_ONCE = "The last thing here was a decision, and it was carried out. Ask your question again instead."
DECLINED = "Declined. The agent is told so."
STOPPED = "stopped"
AGAIN = "It is being asked again."
REDELIVERED = "I'm posting the answer again."
RESTING = "Nothing is under way here."
SHORT_OF_SEATS = "The next question waits until its author has fewer others under way elsewhere."
LEFT = {"person": "of yours", "channel": "in this channel", "agent": "to this agent"}


class Orders:
    """`choices` are the agents that may be chosen at a place, `doing` what an agent says of its work on a turn,
    `outage` the sentence of an agent that is out of reach."""

    def __init__(
        self,
        desk: Desk,
        agents: Mapping[str, Agent],
        gate: Gate,
        *,
        choices: Callable[[Address], Sequence[str]],
        doing: Callable[[str], str],
        outage: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self._desk = desk
        self._agents = agents
        self._gate = gate
        self._choices = choices
        self._doing = doing
        self._outage = outage

    async def latest(self, order: Order) -> Address | None:
        """The thread that a person asked in last, in the channel of a command. Raises `StoreUnavailable`."""
        return await self._desk.latest(order.address, order.person)

    async def carry_out(self, order: Order, stop: Callable[[str], Awaitable[None]]) -> str:
        """`stop` stops a turn wherever it runs. May be repeated.

        :raises OverBudget: nothing is changed.
        :raises StoreUnavailable:
        """
        address = order.address
        if not address.thread:
            return NOWHERE
        thread = await self._desk.overview(address)
        if thread is None:
            return UNKNOWN
        match order.name:
            case "stop":
                turn = await self._desk.arrivals.active_turn(address)
                if turn is None:
                    return await self._decline(thread, order, address)
                if not self._gate.decides(order, thread.agent, await self._desk.arrivals.asker(address, turn)):
                    return NOT_YOURS
                await stop(turn)
                return STOPPING
            case "new" if _wants_leave(thread):
                return UNDECIDED
            case "new":
                return await self._begin_anew(thread, order, thread.agent) or ANEW
            case "agent":
                return await self._choose(thread, order)
            case "history":
                return await self._history(thread)
            case "retry":
                return await self._retry(thread, order)
            case "status":
                return await self._status(thread, order)
            case "ask" | "upload" | "files" | "download" | "help":
                raise ValueError(f"{order.name} is the front ends' own")

    async def _decline(self, thread: Overview, order: Order, address: Address) -> str:
        """An approval that waits is declined by whoever may decide, or whose question led to it: the agent goes on."""
        turn = thread.waiting
        if turn is None or not isinstance(turn.request, ApprovalShown):
            return NOTHING_RUNS
        asked = (turn.asked_by or turn.person).id == order.person.id
        if not asked and not self._gate.may_decide(turn.request, thread.agent, address, order.person):
            return f"Nothing was decided. {who_may(turn.request)}"
        made = DecisionMade(approved=False, reason=STOPPED)
        line = line_of(made, order.person.name or order.person.id)
        decided = await self._desk.decisions.decide(address, turn.id, made, in_words(made), order.person, line)
        return DECLINED if decided is Decided.CHOSEN else NOTHING_RUNS

    # --- agent ----------------------------------------------------------------------------------------------

    async def _choose(self, thread: Overview, order: Order) -> str:
        place, name = order.address, order.argument
        allowed = [one for one in self._choices(place) if self._gate.allows(one, place, order.person)]
        others = ", ".join(f"`{one}`" for one in allowed if one != thread.agent)
        may = f"You may choose {others}." if others else "The settings allow no other agent here."
        if not name:
            return f"`{thread.agent}` answers here. {may}"
        if name == thread.agent:
            return f"`{name}` answers here already. {may}"
        if name not in allowed:
            return f"There is no agent of that name to choose here. {may}"
        if _wants_leave(thread):
            return UNDECIDED
        refusal = await self._begin_anew(thread, order, name)
        return refusal or f"`{name}` answers here from now on. {ANEW}"

    async def _begin_anew(self, thread: Overview, order: Order, agent: str) -> str:
        """Why it can't be; "" if it is done."""
        if thread.waiting is not None and not self._gate.decides(order, thread.agent, thread.waiting.person.id):
            return NOT_YOURS  # what it waits for would be abandoned
        who = audit.person(order.address.platform, order.person.id)
        if not await self._desk.begin_anew(thread, agent, order.person, who=who):
            return BUSY
        if thread.waiting_turn is not None:
            metrics.turn_ended(thread.agent, order.address.platform, TurnState.CANCELLED, Outcome.ABANDONED)
        return ""

    # --- history --------------------------------------------------------------------------------------------

    async def _history(self, thread: Overview) -> str:
        rows = await self._backend_rows(thread)
        if not rows:
            said = await self._desk.exchanges(thread.id, HISTORY_ROWS // 2)
            rows = [row for one in said for row in (Row("person", one.question), Row("agent", one.answer))]
        return _told(rows) if rows else NOTHING_SAID

    async def _backend_rows(self, thread: Overview) -> Sequence[Row]:
        """What the agent's service keeps of it; nothing if it can't say."""
        agent: object = self._agents.get(thread.agent)
        if thread.conversation is None or not isinstance(agent, History):
            return ()
        try:
            async with asyncio.timeout(HISTORY_WITHIN):
                return await agent.history(thread.conversation)
        except (AgentError, TimeoutError) as error:
            log.info("no history", agent=thread.agent, error=type(error).__name__)
        except Exception:  # an adapter's bug; our own record serves
            log.exception("no history", agent=thread.agent)
        return ()

    # --- retry ----------------------------------------------------------------------------------------------

    async def _retry(self, thread: Overview, order: Order) -> str:
        if thread.active is not None or thread.queued:
            return AT_WORK
        turn = thread.waiting or thread.last
        if turn is None:
            return NOTHING_TO_RETRY
        if turn.outcome is Outcome.INPUT_REQUEST and thread.waiting is not None:
            return ASKED_BACK
        if _wants_leave(thread):
            return UNDECIDED
        if turn.decision is not None and turn.state in (TurnState.DONE, TurnState.CANCELLED):
            return DECIDED_ONCE
        if not self._gate.decides(order, thread.agent, turn.person.id):
            return NOT_YOURS
        decisions = self._desk.decisions
        means = Retry.NONE if turn.outcome is None else ENDINGS[turn.outcome].retry
        again = decisions.ask_again if means is Retry.NONE else decisions.retry
        quotas = self._gate.quotas(thread.agent, order.address, order.person)
        person = None if order.person.id == turn.person.id else order.person
        decided = await again(order.address, turn.id, person, quotas=quotas)
        if decided is Decided.TOO_LATE:  # somebody else was quicker
            return AT_WORK
        return REDELIVERED if decided is Decided.DELIVERING else AGAIN

    # --- status ---------------------------------------------------------------------------------------------

    async def _status(self, thread: Overview, order: Order) -> str:
        quotas = self._gate.quotas(thread.agent, order.address, order.person)
        left = await self._desk.arrivals.left(quotas)
        queue = _queue(thread, order.person.id)
        outage = self._outage(thread.agent)
        answers = [f"`{thread.agent}` answers here.", *([outage] if outage else [])]
        return " ".join([*answers, self._work(thread), *queue, *_budget(left)])

    def _work(self, thread: Overview) -> str:
        turn = thread.active
        if turn is None:
            if _wants_leave(thread):
                return "It waits for a decision: somebody has to approve or decline what the agent wants to do."
            if thread.waiting is not None:
                return "It waits for you: for an answer, or for your decision whether to send it again."
            if thread.state is ThreadState.QUEUED:
                return SHORT_OF_SEATS
            return "A question is about to be asked." if thread.queued else RESTING
        label = " ".join(self._doing(turn.id).split())
        doing = f"It is at work ({label})" if label else "It is at work"
        return f"{doing}, for {_ago(turn)} so far."


def _wants_leave(thread: Overview) -> bool:
    return thread.waiting is not None and thread.waiting.outcome is Outcome.APPROVAL


def _queue(thread: Overview, person: str) -> Sequence[str]:
    if not thread.queued:
        return ()
    count = f"{QUEUED} or more" if len(thread.queued) >= QUEUED else str(len(thread.queued))
    waits = "1 message waits." if len(thread.queued) == 1 else f"{count} messages wait."
    if person not in thread.queued:
        return (waits,)
    return (waits, f"Yours is number {thread.queued.index(person) + 1}.")


def _budget(left: Sequence[tuple[Quota, int]]) -> Sequence[str]:
    if not left:
        return ()
    counts = ", ".join(f"{number} of {quota.allowed} questions {LEFT[quota.of]}" for quota, number in left)
    return (f"Left within the hour: {counts}.",)


def _ago(turn: StoredTurn) -> str:
    seconds = max(0, now() - (turn.begun_at or turn.received_at)) // SECOND
    if seconds < 60:
        return f"{seconds} s"
    minutes = seconds // 60
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _told(rows: Sequence[Row]) -> str:
    """The last rows that fit, oldest first."""
    lines: list[str] = []
    left = HISTORY_SHOWN
    for row in reversed(rows[-HISTORY_ROWS:]):
        line = f"**{'Asked' if row.role == 'person' else 'Answered'}:** {_cut(row.text)}"
        if len(line) > left:
            break
        left -= len(line)
        lines.insert(0, line)
    if len(lines) < len(rows):
        lines.insert(0, f"The last {len(lines)} of {len(rows)}:")
    return "\n\n".join(lines)


def _cut(text: str) -> str:
    """On one line, so that no heading, list or open fence spreads over what follows."""
    line = " ".join(text.replace("```", " ").split())
    return line if len(line) <= ROW_SHOWN else line[: boundary(line, ROW_SHOWN - 1)].rstrip() + "…"
