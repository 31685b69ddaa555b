"""Writes a finished reply's text again, in the messages that it stands in."""

from __future__ import annotations

import structlog

from bridge.render.footnotes import footnotes, linked
from bridge.store.values import StoredTurn
from bridge.turns.parts import Parts
from bridge.turns.retry import retry
from bridge.turns.surface import PartFull, PartKey, PartKind, Sending, Surface, SurfaceError
from bridge.turns.text import ReplyText

log = structlog.get_logger()


async def restate(surface: Surface, turn: StoredTurn, parts: Parts) -> None:
    """Of a turn whose answer is stored and whose parts are recorded."""
    text = ReplyText(surface.style, parts.cuts)
    below = footnotes(turn.sources, surface.style.dialect)
    text.finish(None if turn.answer is None else linked(turn.answer, turn.sources), below)
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
            await retry(write)
        except (SurfaceError, PartFull) as error:
            log.warning("part can't be written again", part=part.index, error=str(error))
    log.info("reply written again", turn=turn.id, parts=len(parts))
