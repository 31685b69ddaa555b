"""The few things that an operator does here: send a turn again, stop one. Each by the same steps as a person's press
or `threadbridge turns retry`, so that it is done once whoever else does it at the same time."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from bridge.ops.page.looks import Away, in_time
from bridge.store.arrivals import Arrivals
from bridge.store.audit import OPERATORS_PAGE, Deed, record
from bridge.store.decisions import Decided, Decisions
from bridge.store.engine import Engine
from bridge.store.watching import WatchedTurn

log = structlog.get_logger()


class Deeds:
    """Everything raises `Away`, and may be repeated. What became of it is a key of `words.SAID`."""

    def __init__(
        self,
        engine: Engine,
        decisions: Decisions,
        arrivals: Arrivals,
        wake: Callable[[], None],
        stop_turn: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._decisions = decisions
        self._arrivals = arrivals
        self._wake = wake
        self._stop_turn = stop_turn

    async def signed_in(self, address: str) -> None:
        """Is no unit of work: while the database is away the page is needed most, and the log alone has it."""
        log.info("operator signed in", address=address)
        try:
            await in_time(record(self._engine, OPERATORS_PAGE, Deed.SIGNED_IN, detail={"address": address}))
        except Away:
            log.warning("sign-in not in the audit log", address=address)

    async def retry(self, turn: WatchedTurn) -> str:
        decided = await in_time(self._decisions.retry(turn.address, turn.id, who=OPERATORS_PAGE))
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
        await in_time(self._arrivals.record_stop(turn.id, OPERATORS_PAGE))
        log.info("operator stopped a turn", turn=turn.id)
        return "stopping"
