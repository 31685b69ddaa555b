"""Writes a finished reply's text again, in the messages that it stands in."""

from __future__ import annotations

import structlog

from bridge.store.values import StoredTurn
from bridge.turns.parts import Parts
from bridge.turns.retry import PATIENCE, retry
from bridge.turns.surface import PartFull, PartKey, PartKind, Sending, Surface, SurfaceError
from bridge.turns.text import ReplyText

log = structlog.get_logger()


async def restate(surface: Surface, turn: StoredTurn, parts: Parts, *, patience: float = PATIENCE) -> None:
    """Of a turn whose answer is stored and whose parts are recorded. `patience`: seconds for each."""
    text = ReplyText(surface.style, parts.cuts)
    text.finish(turn.answer)
    for part in text.parts():
        key = PartKey(turn.id, PartKind.TEXT, part.index)
        shown = parts.get(key)
        if shown is None:
            continue
        message_id, words = shown.id, part.text

        async def write(key: PartKey = key, message_id: str = message_id, words: str = words) -> None:
            async with surface.slot(Sending.LAST):
                await surface.edit(key, message_id, words, shown=None, last=True)

        try:
            await retry(write, patience=patience)
        except (SurfaceError, PartFull) as error:
            log.warning("part can't be written again", part=part.index, error=str(error))
    log.info("reply written again", turn=turn.id, parts=len(parts))
