"""What replicas tell each other at once. SQLite serves one process, which has nobody to tell."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.store import statements as sql
from bridge.store.engine import Engine, Op

WORK = ""  # there is work
STOP = "stop:"  # and the turn's id: a person stopped it


def announcement(engine: Engine, payload: str | None) -> Sequence[Op]:
    """`payload`: what is announced with a unit of work; None for nothing."""
    if payload is None or engine.dialect == "sqlite":
        return ()
    return (Op(sql.ANNOUNCE, {"payload": payload}),)
