"""What comes in from the platforms: stored first, then the runner is woken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TypeVar

import structlog

from bridge import metrics, tracing
from bridge.inbound import Address, Inbound, Person, Platform, RemoteFile, Seen
from bridge.lifecycle import Outcome, TurnState
from bridge.listening import BusyAt, ListeningAt, as_ever, in_line
from bridge.store import audit
from bridge.store.arrivals import Arrivals
from bridge.store.budgets import OverBudget, uncapped
from bridge.store.decisions import LEFT, Decided, Decisions
from bridge.store.engine import persist
from bridge.store.tables import SECOND, now
from bridge.store.values import ApprovalShown, DecisionMade
from bridge.turns.gate import Gate
from bridge.turns.inbox import Decision, Edit, Listing, NotAllowed, Order, Overloaded, Press
from bridge.turns.orders import Orders
from bridge.turns.progress import Progress
from bridge.turns.requests import in_words, line_of, who_may
from bridge.turns.shelf import Shelf
from bridge.turns.surface import Upload
from bridge.turns.under_reply import ACTIONS as UNDER_REPLY
from bridge.turns.under_reply import PressedUnderReply

CATCH_UP_THREADS = 1_000  # of one platform
WAITING = 10_000  # messages and decisions that wait for the database at once; some KB each

SENTENCES = {
    Decided.SENT: "It is being sent again.",
    Decided.DELIVERING: "I'm posting the answer again.",
    Decided.LEFT: "All right, I'll leave it.",
    Decided.CHOSEN: "",
    Decided.TOO_EARLY: "Just a moment: please press again.",
    Decided.TOO_LATE: "That was decided already.",
}
NO_WORDS = "Write your answer first."
ENDED = "That reply has ended already."
NOT_HERE = "I don't answer in this place. Ask me in a channel that I serve."

T = TypeVar("T")
log = structlog.get_logger()


class Intake:
    """The `Inbox` of the front ends."""

    def __init__(
        self,
        arrivals: Arrivals,
        decisions: Decisions,
        orders: Orders,
        shelf: Shelf,
        under_reply: PressedUnderReply,
        *,
        agent_for: Callable[[Address], str],
        listening_at: ListeningAt = as_ever,
        busy_at: BusyAt = in_line,
        gate: Gate,
        wake: Callable[[], None],
        stop_turn: Callable[[str], None],
        has_room: Callable[[str], bool],
        catch_up_hours: float,
    ) -> None:
        self._arrivals = arrivals
        self._decisions = decisions
        self._orders = orders
        self._shelf = shelf
        self._under_reply = under_reply
        self._agent_for = agent_for
        self._listening_at = listening_at
        self._busy_at = busy_at
        self._gate = gate
        self._wake = wake
        self._stop_turn = stop_turn
        self._has_room = has_room
        self._catch_up = round(catch_up_hours * 3600 * SECOND)
        self._waiting = 0

    async def take(self, inbound: Inbound) -> bool:
        with tracing.receiving("receive", {"messaging.system": inbound.address.platform}) as received:
            return await self._take(inbound, received)

    async def _take(self, inbound: Inbound, received: tracing.Received) -> bool:
        address, person = inbound.address, inbound.person
        agent, asked_back = await self._answering(address)
        announce = not self._has_room(agent)
        try:
            self._gate.admit(agent, address, person)
            quotas = self._gate.quotas(agent, address, person)
            frees = self._gate.freed(address, person) if self._listening_at(address).bots else ()
            if asked_back == person.id and not person.bot:  # a budget doesn't break off what is under way
                quotas = uncapped(quotas)
            received.storing()
            stored = await self._stored(
                lambda: self._arrivals.put(inbound, agent, announce=announce, quotas=quotas, frees=frees)
            )
            if stored:
                received.stored()
        except (NotAllowed, OverBudget) as refused:
            refusal = self._gate.refusal(refused)
            # Nobody is told twice, nor is it asked when a catch-up comes by it.
            if (refusal.sentence or person.bot) and not await self._stored(lambda: self._arrivals.refuse(inbound)):
                return False
            self._count(refused, address)
            log.info("not allowed", reason=refusal.reason, channel=address.channel, person=person.id)
            raise refusal from None
        if self._busy_at(address) == "interrupt":
            stopped = await self._stored(lambda: self._arrivals.interrupt(inbound))
            if stopped is not None:
                log.info("turn interrupted by its person", turn=stopped)
                self._stop_turn(stopped)
        if stored:
            metrics.turn_received(agent, address.platform)
        log.debug("message taken" if stored else "message known already", message=inbound.message_id)
        self._wake()  # also for what was known: a claim passes over a thread that is locked, as this one just was
        return stored

    async def admit(self, address: Address, person: Person) -> None:
        agent, _ = await self._answering(address)
        try:
            self._gate.admit(agent, address, person)
        except NotAllowed as refusal:
            raise NotAllowed(refusal.reason, refusal.sentence or NOT_HERE) from None
        quotas = self._gate.quotas(agent, address, person)
        over = await self._stored(lambda: self._arrivals.spent(quotas)) if quotas else None
        if over is not None:
            self._count(over, address)
            raise self._gate.refusal(over)

    async def may_order(self, order: Order) -> None:
        found = await self._found(order)
        agent, _ = await self._answering(found.address)
        self._gate.may_order(found, agent)

    async def knows(self, address: Address) -> bool:
        return await self._stored(lambda: self._arrivals.knows(address))

    async def edited(self, address: Address, message_id: str, text: str) -> Edit:
        edit = await self._stored(lambda: self._arrivals.change_text(address, message_id, text))
        if edit.changed:
            log.info("question changed before it was asked", message=message_id)
        elif edit.asked:
            log.info("question changed after it was asked", message=message_id, turn=edit.asked)
        return edit

    async def deleted(self, address: Address, message_id: str) -> None:
        if await self._stored(lambda: self._arrivals.withdraw(address, message_id)):
            agent, _ = await self._answering(address)
            metrics.turn_ended(agent, address.platform, TurnState.CANCELLED, Outcome.WITHDRAWN)
            log.info("question withdrawn before it was asked", message=message_id)

    async def stop(self, address: Address) -> None:
        turn = await self._stored(lambda: self._arrivals.active_turn(address))
        if turn is not None:
            await self._stop(turn, audit.SOMEBODY)

    async def ordered(self, order: Order) -> str:
        found = await self._found(order)
        if refusal := await self._check(found):
            return refusal
        try:
            who = audit.person(found.address.platform, found.person.id)
            about = {"messaging.system": order.address.platform, "threadbridge.command": order.name}
            with tracing.receiving("command", about):
                answer = await self._stored(
                    lambda: self._orders.carry_out(found, lambda turn: self._stop(turn, who))
                )
        except OverBudget as over:
            self._count(over, found.address)
            return self._gate.sentence(over)
        log.info("command", command=order.name, person=order.person.id)
        self._wake()
        return answer

    async def recent(self, platform: Platform, workspace: str, person: Person) -> Mapping[Address, str]:
        threads = await self._stored(lambda: self._shelf.recent(platform, workspace, person))
        allowed = {}
        for address, asked in threads.items():
            agent, _ = await self._answering(address)
            if self._gate.allows(agent, address, person):
                allowed[address] = asked
        return allowed

    async def refusal(self, address: Address, files: Sequence[RemoteFile]) -> str:
        usual = self._agent_for(address)
        return await self._stored(lambda: self._shelf.refusal(address, files, usual))

    async def files(self, order: Order) -> Listing:
        found = await self._found(order)
        if refusal := await self._check(found):
            return Listing(order.address, (), refusal)
        return await self._stored(lambda: self._shelf.listing(found))

    @asynccontextmanager
    async def download(self, order: Order, max_bytes: int, progress: Progress) -> AsyncIterator[Upload | str]:
        found = await self._found(order)
        if refusal := await self._check(found):
            yield refusal
            return
        async with self._shelf.fetched(found, max_bytes, progress) as file:
            yield file

    async def seen(self, platform: Platform) -> Sequence[Seen]:
        since = now() - self._catch_up
        return await self._stored(lambda: self._arrivals.seen(platform, since, CATCH_UP_THREADS))

    async def pressed(self, press: Press) -> Decision:
        about = {"messaging.system": press.address.platform, "threadbridge.action": press.action}
        try:
            with tracing.receiving("press", about):
                return await self._pressed(press)
        except NotAllowed as refusal:
            return Decision(refusal.sentence or NOT_HERE)

    async def _pressed(self, press: Press) -> Decision:
        address, person = press.address, press.person
        name = person.name or person.id
        agent, _ = await self._answering(address)
        asker = await self._stored(lambda: self._arrivals.asker(address, press.turn))
        self._gate.may_press(press, agent, asker)
        quotas = self._gate.quotas(agent, address, person)
        if press.action in ("choose", "answer") and asker == person.id:
            quotas = uncapped(quotas)
        line = f"Answered · {name}"
        settled = ""  # the turn's own message says it
        try:
            if press.action in UNDER_REPLY:
                decision = await self._stored(lambda: self._under_reply.decide(press, quotas))
                self._wake()
                return decision
            match press.action:
                case "stop":
                    return await self._pressed_stop(press)
                case "retry":
                    decided = await self._stored(
                        lambda: self._decisions.retry(address, press.turn, person, quotas=quotas)
                    )
                    settled = f"Sent again · {name}"
                case "abandon":
                    decided = await self._stored(
                        lambda: self._decisions.abandon(address, press.turn, f"{LEFT} · {name}")
                    )
                case "reask":
                    decided = await self._stored(
                        lambda: self._decisions.ask_edited(address, press.turn, quotas=quotas)
                    )
                    settled = f"Asked again · {name}"
                case "choose":
                    index = int(press.value) if press.value.isdecimal() else -1
                    decided = await self._stored(
                        lambda: self._decisions.choose(address, press.turn, index, person, line, quotas=quotas)
                    )
                case "answer":
                    if not press.value.strip():
                        return Decision(NO_WORDS)
                    decided = await self._stored(
                        lambda: self._decisions.answer(
                            address, press.turn, press.value, person, line, quotas=quotas
                        )
                    )
                case "approve" | "decline":
                    if refusal := await self._undecided(press, agent):
                        return Decision(refusal)
                    made = DecisionMade(press.action == "approve", press.value.strip())
                    decided = await self._stored(
                        lambda: self._decisions.decide(
                            address, press.turn, made, in_words(made), person, line_of(made, name)
                        )
                    )
        except OverBudget as over:
            self._count(over, address)
            return Decision(self._gate.sentence(over))
        self._wake()  # whatever was decided, as in `take`
        if decided in (Decided.TOO_LATE, Decided.TOO_EARLY):
            return Decision(SENTENCES[decided])
        if decided is Decided.LEFT:
            metrics.turn_ended(agent, address.platform, TurnState.CANCELLED, Outcome.ABANDONED)
        log.info("decided", decision=decided.name.lower(), turn=press.turn, person=person.id)
        return Decision(SENTENCES[decided], settled)

    async def refuses(self, press: Press) -> str:
        agent, _ = await self._answering(press.address)
        asker = await self._stored(lambda: self._arrivals.asker(press.address, press.turn))
        try:
            self._gate.may_press(press, agent, asker)
        except NotAllowed as refusal:
            return refusal.sentence or NOT_HERE
        return "" if press.action in UNDER_REPLY else await self._undecided(press, agent)

    async def _undecided(self, press: Press, agent: str) -> str:
        """Why a press settles nothing; "" if it may."""
        turn = await self._stored(lambda: self._decisions.waiting(press.address, press.turn))
        if turn is None or turn.settled is not None:
            return SENTENCES[Decided.TOO_LATE]
        if not isinstance(turn.request, ApprovalShown):
            return ""
        if self._gate.may_decide(turn.request, agent, press.address, press.person):
            return ""
        log.info("decision refused", turn=press.turn, person=press.person.id)
        return f"Nothing was decided. {who_may(turn.request)}"

    async def _answering(self, address: Address) -> tuple[str, str | None]:
        """Who answers in a thread: the agent that it was begun with, unless its place answers nothing now; and whom it
        asked back, as far as either matters."""
        routed = self._agent_for(address)
        if not routed or not self._gate.by_thread:
            return routed, None
        found = await self._stored(lambda: self._arrivals.answering(address))
        return (found.agent, found.asked_back) if found else (routed, None)

    async def _found(self, order: Order) -> Order:
        """With its thread, where it means the one that the person asked in last."""
        if order.address.thread:
            return order
        latest = await self._stored(lambda: self._orders.latest(order))
        return replace(order, address=latest or order.address)

    async def _check(self, order: Order) -> str:
        """Why a command isn't carried out; "" if it is."""
        try:
            await self.may_order(order)
        except NotAllowed as refusal:
            return refusal.sentence or NOT_HERE
        return ""

    def _count(self, refused: NotAllowed | OverBudget, address: Address) -> None:
        if isinstance(refused, OverBudget):
            metrics.over_budget(address.platform, refused.quota.of)

    async def _pressed_stop(self, press: Press) -> Decision:
        if await self._stored(lambda: self._arrivals.active_turn(press.address)) != press.turn:
            return Decision(ENDED)
        await self._stop(press.turn, audit.person(press.address.platform, press.person.id))
        return Decision()

    async def _stop(self, turn: str, who: str) -> None:
        self._stop_turn(turn)
        await self._stored(lambda: self._arrivals.record_stop(turn, who))

    async def _stored(self, work: Callable[[], Awaitable[T]]) -> T:
        with self._one_more():
            return await persist(work)

    @contextmanager
    def _one_more(self) -> Iterator[None]:
        if self._waiting >= WAITING:
            raise Overloaded(f"{WAITING} messages wait for the database")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
