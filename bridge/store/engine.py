"""What the prepared statements run on: one narrow way, the same on both databases.

A unit of work is a list of statements that are carried out together or not at all. It goes to the database in one
piece, so that no transaction is ever open while a process, which may be frozen, has the word.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from bridge import metrics
from bridge.backoff import Backoff

Dialect = Literal["sqlite", "postgresql"]
Row = tuple[Any, ...]
Rows = Sequence[Row]

FIRST_PAUSE = 0.05  # seconds after the first failure
LONGEST_PAUSE = 1.0

_DIALECTS: Mapping[str, sa.Dialect] = {
    "sqlite": SQLiteDialect_pysqlite(paramstyle="named"),
    "postgresql": PGDialect_psycopg(),  # type: ignore[no-untyped-call]
}

T = TypeVar("T")
log = structlog.get_logger()


class Fenced(Exception):
    """Another replica owns the thread now: stop at once, write nothing, post nothing."""


class StoreUnavailable(Exception):
    """The database can't be reached, is locked or full. Nobody knows whether the work was done; it may be repeated.
    `str(error)` holds no parameters: they are what people wrote."""


class Statement:
    """A statement of SQLAlchemy Core, compiled once for each database and prepared by its driver.

    `fences`: where it finds no row, the whole unit of work is undone and raises `Fenced`.
    """

    def __init__(self, clause: sa.Executable, *, fences: bool = False) -> None:
        self.fences = fences
        self.reads = isinstance(clause, sa.Select | sa.CompoundSelect) and not fences
        self._clause = clause
        self._prepared: dict[str, tuple[str, Mapping[str, object]]] = {}

    def prepared(self, dialect: Dialect) -> tuple[str, Mapping[str, object]]:
        """The text, and the values of its own constants."""
        known = self._prepared.get(dialect)
        return self._prepare(dialect) if known is None else known

    def compiled(self, dialect: Dialect) -> sa.Compiled:
        """With what SQLAlchemy knows of its parameters and results."""
        assert isinstance(self._clause, sa.ClauseElement)  # noqa: S101  # every statement is one
        return self._clause.compile(dialect=_DIALECTS[dialect])

    def _prepare(self, dialect: Dialect) -> tuple[str, Mapping[str, object]]:
        compiled = self.compiled(dialect)
        text = str(compiled)
        if self.fences and dialect == "postgresql":
            # Nobody has to look at this result before the rest is sent: dividing by zero undoes all of it.
            text = f"WITH held AS ({text}) SELECT 1 / count(*) FROM held"  # noqa: S608  # ours
        constants = {name: value for name, value in compiled.params.items() if value is not None}
        self._prepared[dialect] = text, constants
        return text, constants


@dataclass(frozen=True, slots=True)
class Op:
    """One statement with its values."""

    statement: Statement
    values: Mapping[str, object]

    def prepared(self, dialect: Dialect) -> tuple[str, Mapping[str, object]]:
        text, constants = self.statement.prepared(dialect)
        return text, {**constants, **self.values} if constants else self.values


class Health:
    """Whether the database answers, for `/readyz` and for those who must catch up after an outage."""

    def __init__(self) -> None:
        self.lost_at: float | None = None  # monotonic
        self._recovered: list[Callable[[float], None]] = []

    def on_recovery(self, tell: Callable[[float], None]) -> None:
        """`tell` is called after an outage with its length in seconds."""
        self._recovered.append(tell)

    def lost(self) -> None:
        metrics.database_failures.inc()
        if self.lost_at is None:
            self.lost_at = time.monotonic()

    def works(self) -> None:
        if self.lost_at is not None:
            seconds, self.lost_at = time.monotonic() - self.lost_at, None
            log.info("database answers again", after=round(seconds, 1))
            for tell in self._recovered:
                tell(seconds)


class Engine(Protocol):
    dialect: Dialect
    health: Health

    async def run(self, *ops: Op) -> Sequence[Rows]:
        """Carry all of it out, or nothing; the rows of each statement. Not disturbed by cancellation: what was begun
        is finished.

        :raises Fenced: a fencing statement found no row.
        :raises StoreUnavailable: nobody knows whether it was done.
        """
        ...

    async def close(self) -> None: ...


async def persist(work: Callable[[], Awaitable[T]]) -> T:
    """Repeat a unit of work until the database has taken it, for as long as that takes. The work must come to the
    same when it is done twice. Raises what isn't an outage, `Fenced` above all."""
    backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
    while True:
        try:
            return await work()
        except StoreUnavailable as error:
            pause = backoff.pause()
            log.warning("database can't be reached", error=str(error), again_in=round(pause, 2))
            await asyncio.sleep(pause)
