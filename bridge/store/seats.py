"""A fair share: so many turns of one person are at work at once, in all replicas together; the rest waits its turn.

A thread with work is first `queued`, then gets a seat of the person whose turn is next, and is `ready`. The seat is
given up when the thread rests, or goes on with another person's turn.
"""

from __future__ import annotations

from collections.abc import Sequence

from bridge.store import statements as sql
from bridge.store.engine import Engine, Op
from bridge.store.tables import now

NO_LIMIT = 1_000_000  # turns of one person
NOBODY = ""  # whose turns are what an agent says unasked: no person's share, and bounded by its own queue


def give_seat(engine: Engine, person: str, at_once: int) -> Sequence[Op]:
    """The end of a unit of work that may have freed a seat or queued a thread. The last of its rows are the thread that
    got one, if any did."""
    most = NO_LIMIT if person == NOBODY else at_once
    seat = Op(sql.SEAT, {"seated": person, "at_once": most, "at": now()})
    return (seat,) if engine.dialect == "sqlite" else (Op(sql.LOCK_SEATS, {"seated": person}), seat)


async def fill_seats(engine: Engine, person: str, at_once: int) -> int:
    """Give a person's free seats to the threads that wait longest; how many got one. Whoever is in the middle of a
    unit of work of its own is passed over, and gives itself one at its end."""
    found = 0
    while found < at_once:
        *_, given = await engine.run(*give_seat(engine, person, at_once))
        if not given:
            break
        found += 1
    return found
