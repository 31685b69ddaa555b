"""The agent speaks first: posts the message that begins a thread, and has its turns go on in that thread.

A commit says that the message goes out next. Whoever takes the opening up after that looks for it before it posts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import structlog

from bridge.inbound import Address
from bridge.lifecycle import Event, Outcome, TurnState
from bridge.store.speaking import Opened
from bridge.store.tables import SECOND
from bridge.store.values import Outlook, PartRecord, StoredTurn
from bridge.turns.ask import MAX_ATTEMPTS
from bridge.turns.hold import Hold
from bridge.turns.parts import digest
from bridge.turns.retry import retry
from bridge.turns.surface import FrontEnd, Opening, PartKey, PartKind, Refused, SurfaceError, Unreachable
from bridge.turns.text import ReplyText

CLOCKS_DIFFER = 60.0  # seconds that this machine's may be ahead of the platform's
CATCH_UP_AFTER = 2.0  # seconds that the message stood there before its thread was known: people may have replied
REFUSED_BEFORE = "refused by the platform; the log has why"

log = structlog.get_logger()


async def open_thread(
    hold: Hold, turn: StoredTurn, front_end: FrontEnd, agent_for: Callable[[Address], str]
) -> Outlook | None:
    """What its opening has to do next; None once it is a thread. Raises `Fenced`."""
    if turn.state is not TurnState.RECEIVED:  # all but the end of it was written down
        return await _end(hold, turn, REFUSED_BEFORE)
    try:
        if turn.unreadable:
            raise Refused(turn.unreadable)
        if hold.claim.attempts > MAX_ATTEMPTS:
            raise Refused(f"given up after {hold.claim.attempts - 1} attempts")
        opened, posted_at = await _open(hold, turn, front_end, agent_for)
    except SurfaceError as error:
        return await _refused(hold, turn, f"{type(error).__name__}: {error}")
    await hold.opened(turn.id, opened)
    log.info("thread opened", channel=opened.address.channel, opened=opened.address.thread)
    if turn.begun_at is not None or time.monotonic() - posted_at > CATCH_UP_AFTER:
        await front_end.catch_up()
    return None


async def _open(
    hold: Hold, turn: StoredTurn, front_end: FrontEnd, agent_for: Callable[[Address], str]
) -> tuple[Opened, float]:
    target, outlook = hold.claim.address.channel, await hold.look()
    person = target.removeprefix("@") if target.startswith("@") else ""

    async def make() -> Opening:
        return front_end.opening("" if person else target, person, guard=hold.guard)

    opening = await retry(make)
    address = await retry(opening.locate)
    part: PartRecord | None = None
    posted_at = time.monotonic()
    if address is None:
        key = PartKey(turn.id, PartKind.TEXT)
        text, end = _first(turn, opening)
        root = await _posted(hold, turn, opening, key, text)
        posted_at = time.monotonic()
        part = PartRecord(key.kind, key.index, root, end, len(text), digest(text))
        address = await retry(partial(opening.open, root, _title(turn)))
        newest = root
    else:
        newest = opening.moment(turn.received_at / SECOND)
    agent = hold.claim.agent or agent_for(address)
    opened = Opened(address, agent, outlook.conversation, bool(person), newest, part)
    return opened, posted_at


async def _posted(hold: Hold, turn: StoredTurn, opening: Opening, key: PartKey, text: str) -> str:
    """The id of the first message, posted once whatever an earlier try did."""
    doubtful = turn.begun_at is not None
    if not doubtful:
        await hold.begin_opening(turn.id)
    since = turn.received_at / SECOND - CLOCKS_DIFFER

    async def attempt() -> str:
        nonlocal doubtful
        if doubtful and (found := await opening.find(key, text, since)) is not None:
            return found
        doubtful = False
        try:
            return await opening.post(key, text, _title(turn))
        except Unreachable:
            doubtful = True
            raise

    return await retry(attempt)


def _first(turn: StoredTurn, opening: Opening) -> tuple[str, int]:
    """The first part of what is said, and where it ends."""
    text = ReplyText(opening.style)
    text.finish(turn.answer)
    parts = text.parts()
    if not parts:
        raise Refused("nothing of it can be shown")
    return parts[0].text, parts[0].end


def _title(turn: StoredTurn) -> str:
    return turn.spoken.title if turn.spoken is not None else ""


async def _refused(hold: Hold, turn: StoredTurn, reason: str) -> Outlook | None:
    log.error("thread can't be opened", reason=reason)
    await hold.begin(turn, None, start=None, settles=None, how=Event.ANSWERED, line=None)
    return await _end(hold, turn, reason)


async def _end(hold: Hold, turn: StoredTurn, reason: str) -> Outlook | None:
    return await hold.end(
        turn.id, Event.REFUSED, Outcome.UNDELIVERABLE, detail=reason, last_part=None, shown_at=None
    )
