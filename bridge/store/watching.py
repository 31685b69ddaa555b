"""What an operator watches: turns, threads, replicas and budgets as they stand, in pages. Reads and changes nothing,
but that somebody read what people wrote, which `Watching.written` alone does, stands in the audit log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.inbound import Address
from bridge.store import statements as sql
from bridge.store.audit import Deed, entry
from bridge.store.budgets import HOUR
from bridge.store.engine import Engine, Op, Row, Rows
from bridge.store.statements.watching import WATCHED_THREAD_COLUMNS, WATCHED_TURN_COLUMNS
from bridge.store.tables import EVERY_POSITION, SECOND, now

PAGE = 50  # rows
OLDEST = 25  # turns in one state, where all that are under way are shown
COUNTED = 1_000  # turns in one state; more are "1000 or more"
ENDED = 20_000  # turns of the last hour that are drawn: over five a second
REPLICAS = 200
BUDGETS = 500  # that began last
AUDITED = 20  # lines of the audit log
LARGEST = 2**63 - 1
EVERY_ID = "~"  # above any turn's


@dataclass(frozen=True, slots=True)
class WatchedTurn:
    """A turn without its words. Times in microseconds since 1970; names and details are hostile input."""

    id: str
    thread_id: int
    person: str
    person_name: str
    state: str
    stopped: bool
    outcome: str | None
    superseded_by: str | None
    retry_of: str | None
    received_at: int
    begun_at: int | None
    ended_at: int | None
    first_words: int | None
    platform: str
    workspace: str
    channel: str
    thread: str
    agent: str
    owner: str | None
    detail: str | None
    position: int = 0  # of a thread's turns only

    @property
    def address(self) -> Address:
        return Address(self.platform, self.workspace, self.channel, self.thread)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class WatchedThread:
    id: int
    platform: str
    workspace: str
    channel: str
    thread: str
    direct: bool
    agent: str
    conversation: str | None
    state: str
    owner: str | None
    attempts: int
    waiting_turn: str | None
    several: bool
    touched_at: int
    created_at: int


@dataclass(frozen=True, slots=True)
class Written:
    """What people wrote and the agent answered."""

    text: str
    edited: str | None
    answer: str | None
    notice: str | None


@dataclass(frozen=True, slots=True)
class Ended:
    """A turn that ended lately."""

    ended_at: int
    state: str
    outcome: str | None
    received_at: int
    begun_at: int | None
    first_words: int | None
    agent: str


@dataclass(frozen=True, slots=True)
class WatchedReplica:
    id: str
    started_at: int
    silent: float  # seconds that its heartbeat is behind the newest of all
    threads: int  # that it works on


@dataclass(frozen=True, slots=True)
class Spent:
    """What was used of a budget in its hour, which ends in `seconds`."""

    scope: str
    used: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Audited:
    """A line of the audit log."""

    at: int
    who: str
    what: str
    about: str


@dataclass(frozen=True, slots=True)
class UnderWay:
    """What isn't over: how much there is of each state, at most `COUNTED`, and the first of them."""

    counts: Mapping[str, int]
    running: Sequence[WatchedTurn]  # oldest first, so with all
    queued: Sequence[WatchedTurn]
    waiting: Sequence[WatchedTurn]  # newest first: a person may never come back


@dataclass(frozen=True, slots=True)
class Cursor:
    """The row that a page of turns ended with."""

    at: int = LARGEST
    id: str = EVERY_ID
    position: int = EVERY_POSITION


class Watching:
    """Everything raises `StoreUnavailable`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def under_way(self) -> UnderWay:
        states = ("asking", "replying", "received", "waiting")
        asking, replying, received, waiting, *counts = await self._engine.run(
            *(Op(sql.OLDEST_IN_STATE, {"state": state, "most": OLDEST}) for state in states[:3]),
            Op(sql.WATCHED_IN_STATE, _after(Cursor(), OLDEST) | {"state": "waiting"}),
            *(Op(sql.COUNT_IN_STATE, {"state": state, "most": COUNTED}) for state in states),
        )
        running = sorted(_turns(asking) + _turns(replying), key=lambda turn: turn.begun_at or turn.received_at)
        found = {state: int(rows[0][0]) for state, rows in zip(states, counts, strict=True)}
        return UnderWay(found, running, _turns(received), _turns(waiting))

    async def turns(self, state: str | None, cursor: Cursor, most: int = PAGE) -> Sequence[WatchedTurn]:
        """Newest first."""
        values = _after(cursor, most)
        op = (
            Op(sql.WATCHED_TURNS, values) if state is None else Op(sql.WATCHED_IN_STATE, values | {"state": state})
        )
        [rows] = await self._engine.run(op)
        return _turns(rows)

    async def turn(self, turn: str) -> WatchedTurn | None:
        [rows] = await self._engine.run(Op(sql.WATCHED_TURN, {"turn_id": turn}))
        return _turns(rows)[0] if rows else None

    async def written(self, turn: str, who: str) -> Written | None:
        """`who` reads it, by the audit log."""
        rows, _ = await self._engine.run(Op(sql.WRITTEN, {"turn_id": turn}), entry(who, Deed.READ, turn))
        return Written(*rows[0]) if rows else None

    async def thread(self, thread: int) -> WatchedThread | None:
        [rows] = await self._engine.run(Op(sql.WATCHED_THREAD, {"thread_id": thread}))
        return _threads(rows)[0] if rows else None

    async def turns_of(self, thread: int, cursor: Cursor, most: int = PAGE) -> Sequence[WatchedTurn]:
        """Of one thread, newest first."""
        values = {"thread_id": thread, "until": cursor.position, "since": cursor.at} | {
            "before": cursor.id, "most": most,
        }  # fmt: skip
        kinds = (sql.THREAD_DONE, sql.THREAD_UNANSWERED, sql.THREAD_RECEIVED, sql.THREAD_ACTIVE)
        *some, waiting = await self._engine.run(
            *(Op(kind, values) for kind in kinds), Op(sql.THREAD_WAITING, {"thread_id": thread})
        )
        found = [turn for rows in some for turn in _turns(rows)]
        found += [turn for turn in _turns(waiting) if _key(turn) < (cursor.position, cursor.at, cursor.id)]
        return sorted({turn.id: turn for turn in found}.values(), key=_key, reverse=True)[:most]

    async def threads(
        self, platforms: Sequence[str], at: int, thread: int, most: int = PAGE
    ) -> Sequence[WatchedThread]:
        """Those that were written in last, before the thread `thread`, which was at `at`."""
        values = {"until": at, "before": thread, "most": most}
        some = await self._engine.run(
            *(Op(sql.WATCHED_THREADS, values | {"platform": platform}) for platform in platforms)
        )
        found = [thread for rows in some for thread in _threads(rows)]
        return sorted(found, key=lambda one: (one.touched_at, one.id), reverse=True)[:most]

    async def threads_of(
        self, channel: str | None, thread: str | None, before: int, most: int = PAGE
    ) -> Sequence[WatchedThread]:
        """Those of a channel, or of this id on their platform; with both given either counts. Newest first."""
        page = {"before": before, "most": most}
        ops = []
        if channel is not None:
            ops.append(Op(sql.THREADS_OF_CHANNEL, page | {"channel": channel}))
        if thread is not None:
            ops.append(Op(sql.THREADS_NAMED, page | {"thread": thread}))
        found = {one.id: one for rows in await self._engine.run(*ops) for one in _threads(rows)} if ops else {}
        return sorted(found.values(), key=lambda one: one.id, reverse=True)[:most]

    async def ended(self, seconds: float) -> Sequence[Ended]:
        """The turns that ended within so many seconds, newest first, at most `ENDED`."""
        since = now() - round(seconds * SECOND)
        [rows] = await self._engine.run(Op(sql.ENDED_SINCE, {"since": since, "most": ENDED}))
        return [Ended(*row) for row in rows]

    async def replicas(self) -> Sequence[WatchedReplica]:
        """None where one process serves SQLite."""
        rows, owners = await self._engine.run(Op(sql.REPLICAS, {"most": REPLICAS}), Op(sql.RUNNING_BY_OWNER, {}))
        newest = max((beat for _, _, beat in rows), default=0)
        threads: dict[str, int] = dict(owners)
        return [
            WatchedReplica(name, started, (newest - beat) / SECOND, threads.get(name, 0))
            for name, started, beat in rows
        ]

    async def budgets(self) -> Sequence[Spent]:
        """Those whose hour isn't over, the most used first, of the `BUDGETS` that began last."""
        at = now()
        [rows] = await self._engine.run(Op(sql.BUDGETS_SINCE, {"since": at - HOUR, "most": BUDGETS}))
        found = [Spent(scope, used, (since + HOUR - at) / SECOND) for scope, since, used in rows]
        return sorted(found, key=lambda one: one.used, reverse=True)

    async def audited(self) -> Sequence[Audited]:
        """What was done last, newest first."""
        [rows] = await self._engine.run(Op(sql.LAST_AUDITED, {"most": AUDITED}))
        return [Audited(*row) for row in rows]


def _after(cursor: Cursor, most: int) -> dict[str, object]:
    return {"until": cursor.at, "before": cursor.id, "most": most}


def _key(turn: WatchedTurn) -> tuple[int, int, str]:
    return turn.position, turn.received_at, turn.id


_TURN = (
    *WATCHED_TURN_COLUMNS, "platform", "workspace", "channel", "thread", "agent", "owner", "detail", "position",
)  # fmt: skip


def _turns(rows: Rows) -> list[WatchedTurn]:
    return [WatchedTurn(**_named(_TURN, row, "stopped")) for row in rows]


def _threads(rows: Rows) -> list[WatchedThread]:
    return [WatchedThread(**_named(WATCHED_THREAD_COLUMNS, row, "direct", "several")) for row in rows]


def _named(names: Sequence[str], row: Row, *truths: str) -> dict[str, Any]:
    """SQLite has numbers for what is true."""
    found = dict(zip(names, row, strict=False))
    return found | {name: bool(found[name]) for name in truths}
