"""Writes a finished reply's text again, in the messages that it stands in."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from bridge.lifecycle import Outcome
from bridge.render.footnotes import footnotes, linked
from bridge.store.values import StoredTurn
from bridge.turns.parts import Parts
from bridge.turns.retry import PATIENCE, retry
from bridge.turns.steps import Ending, Steps
from bridge.turns.surface import (
    NO_PROGRESS,
    Button,
    PartFull,
    PartKey,
    PartKind,
    Progress,
    Sending,
    Surface,
    SurfaceError,
)
from bridge.turns.text import ReplyText

log = structlog.get_logger()


async def restate(
    surface: Surface,
    turn: StoredTurn,
    parts: Parts,
    under: Sequence[Button] = (),
    *,
    patience: float = PATIENCE,
) -> None:
    """Of a turn whose answer is stored and whose parts are recorded. `under` are the buttons of its last part;
    `patience`: seconds for each."""
    text = ReplyText(surface.style, parts.cuts)
    below = footnotes(turn.sources, surface.style.dialect)
    text.finish(None if turn.answer is None else linked(turn.answer, turn.sources), below)
    words = [part.text for part in text.parts()]
    steps = Steps(turn.steps)
    steps.settle(Ending.of(turn.outcome or Outcome.ANSWERED))
    for index in range(parts.text_count):
        key = PartKey(turn.id, PartKind.TEXT, index)
        shown = parts.get(key)
        said = words[index] if index < len(words) else ""
        progress = steps.of(index) if surface.style.cards else NO_PROGRESS
        buttons = under if index + 1 == len(words) else ()
        if shown is None or not (said or progress):
            continue

        async def write(
            key: PartKey = key,
            message_id: str = shown.id,
            said: str = said,
            progress: Progress = progress,
            buttons: Sequence[Button] = buttons,
        ) -> None:
            async with surface.slot(Sending.LAST):
                await surface.edit(
                    key, message_id, said, shown=None, last=True, buttons=buttons, progress=progress
                )

        try:
            await retry(write, patience=patience)
        except (SurfaceError, PartFull) as error:
            log.warning("part can't be written again", part=index, error=str(error))
    log.info("reply written again", turn=turn.id, parts=len(parts))
