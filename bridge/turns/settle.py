"""What a turn waited for is settled: its message says how, and has no buttons any more.

Whoever writes that may die before it is written: it belongs to the turn that settles, and is done again with it. So it
may be done any number of times.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from bridge.store.engine import Fenced, persist
from bridge.store.queue import Queue
from bridge.store.values import PartRecord, StoredTurn
from bridge.turns.requests import settled
from bridge.turns.retry import retry
from bridge.turns.surface import PartFull, PartKey, PartKind, Sending, Surface, SurfaceError

PATIENCE = 60.0  # seconds; what a message looks like holds no turn up for longer

log = structlog.get_logger()


async def show_settled(surface: Surface, queue: Queue, turn_id: str) -> None:
    """Of a turn that waited. Raises nothing of the platform's; `Fenced` is left to whoever works on the thread."""
    try:
        turn = await persist(lambda: queue.turn(turn_id))
        if turn is None or turn.settled is None or turn.unreadable:
            return
        records = await persist(lambda: queue.parts(turn_id))
        if (found := _look(surface, turn, records)) is None:
            return
        key, message_id, text = found

        async def write() -> None:
            async with surface.slot(Sending.LAST):
                await surface.edit(key, message_id, text, shown=None, last=True)

        await retry(write, patience=PATIENCE)
    except (SurfaceError, PartFull) as error:
        log.warning("buttons stay", turn=turn_id, error=str(error))
    except Fenced:
        log.info("buttons left to whoever owns the thread now", turn=turn_id)


def _look(surface: Surface, turn: StoredTurn, records: Sequence[PartRecord]) -> tuple[PartKey, str, str] | None:
    """The part that has the buttons, the message that it is, and its text without them."""
    ids = {(record.kind, record.index): record.message_id for record in records}
    if turn.request is None:
        line = surface.style.dialect.literal(turn.settled or "")
        key, text = PartKey(turn.id, PartKind.NOTICE), f"{turn.notice or ''}\n\n{line}".strip()
    else:
        index, text = settled(turn.request, surface.style, turn.settled or "")
        key = PartKey(turn.id, PartKind.REQUEST, index)
    message_id = ids.get((key.kind, key.index))
    return None if message_id is None or not text else (key, message_id, text)
