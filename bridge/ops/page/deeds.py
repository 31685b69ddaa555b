"""The few things that an operator does here: send a turn again, stop one. Each by the same steps as a person's press
or `threadbridge turns retry`, so that it is done once whoever else does it at the same time."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from bridge.ops.page.looks import in_time
from bridge.store.arrivals import Arrivals
from bridge.store.audit import PAGE
from bridge.store.decisions import Decided, Decisions
from bridge.store.watching import WatchedTurn

log = structlog.get_logger()


class Deeds:
    """Everything raises `Away`, and may be repeated. What became of it is a key of `words.SAID`."""

    def __init__(
        self, decisions: Decisions, arrivals: Arrivals, wake: Callable[[], None], stop_turn: Callable[[str], None]
    ) -> None:
        self._decisions = decisions
        self._arrivals = arrivals
        self._wake = wake
        self._stop_turn = stop_turn

    async def retry(self, turn: WatchedTurn) -> str:
        decided = await in_time(self._decisions.retry(turn.address, turn.id, who=PAGE))
        self._wake()
        log.info("operator sent a turn again", turn=turn.id, decision=decided.name.lower())
        match decided:
            case Decided.SENT:
                return "sent"
            case Decided.DELIVERING:
                return "delivering"
            case _:
                return "late"

    async def stop(self, turn: WatchedTurn) -> str:
        if await in_time(self._arrivals.active_turn(turn.address)) != turn.id:
            return "at_rest"
        self._stop_turn(turn.id)
        await in_time(self._arrivals.record_stop(turn.id, PAGE))
        log.info("operator stopped a turn", turn=turn.id)
        return "stopping"
