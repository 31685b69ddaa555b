"""What is kept too long is removed, in bites: each finds its rows by an index, and none touches a turn that is worked
on or waits.

A turn leaves the digests of its keys behind for as long as a platform or a catch-up may bring its message again, so
that it isn't asked a second time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from adapters.base import Checkpoint
from bridge.store import statements as sql
from bridge.store.arrivals import REFUSED_FOR
from bridge.store.audit import BRIDGE, Deed, entry
from bridge.store.budgets import HOUR
from bridge.store.engine import Engine, Fenced, Op, Row
from bridge.store.tables import now
from bridge.store.values import checkpoint_json, key_digest

BITE = 50  # turns, threads or words on answers in one step
PLATFORMS = ("slack", "discord")

NEVER = timedelta()


@dataclass(frozen=True, slots=True)
class Keep:
    """How long; `NEVER` removes nothing."""

    threads: timedelta = NEVER
    turns: timedelta = NEVER
    files: timedelta = NEVER
    feedback: timedelta = NEVER
    audit: timedelta = NEVER


@dataclass(slots=True)
class Removed:
    """How much a sweep removed."""

    threads: int = 0
    turns: int = 0
    files: int = 0  # turns whose files were
    feedback: int = 0
    audit: int = 0

    def __bool__(self) -> bool:
        return any((self.threads, self.turns, self.files, self.feedback, self.audit))


class Retention:
    """Any number of replicas may sweep at once. Everything raises `StoreUnavailable`, and may be repeated."""

    def __init__(self, engine: Engine, keep: Keep) -> None:
        self._engine = engine
        self._keep = keep
        self._files_until = 0, ""  # when the last turn ended whose files were removed, and its id

    async def sweep(self, pause: Callable[[], Awaitable[None]]) -> Removed:
        """Remove what is too old now. `pause` is awaited between two bites."""
        removed = Removed()
        for step in (self._threads, self._turns, self._files, self._feedback, self._audit):
            while await step(removed) >= BITE:
                await pause()
        at = now()
        used_up = Op(sql.REMOVE_BUDGETS, {"before": at - HOUR})
        ops = [used_up, Op(sql.REMOVE_REFUSED, {"before": at - REFUSED_FOR})]
        if removed:
            counts = {name: getattr(removed, name) for name in Removed.__slots__ if getattr(removed, name)}
            ops.append(entry(BRIDGE, Deed.SWEPT, detail=counts))
        await self._engine.run(*ops)
        return removed

    async def _threads(self, removed: Removed) -> int:
        if not (before := _before(self._keep.threads)):
            return 0
        bite = 0
        for platform in PLATFORMS:
            values = {"platform": platform, "before": before, "most": BITE}
            [found] = await self._engine.run(Op(sql.UNTOUCHED, values))
            for (thread,) in found:
                if await self._remove_thread(thread, before, removed):
                    removed.threads += 1
                    bite += 1
        return bite

    async def _remove_thread(self, thread: int, before: int, removed: Removed) -> bool:
        lock = Op(sql.LOCK_UNTOUCHED, {"thread_id": thread, "before": before})
        try:
            while True:
                of_thread = {"thread_id": thread, "most": BITE}
                [turns] = await self._engine.run(Op(sql.TURNS_OF_THREAD, of_thread))
                if not turns:
                    await self._engine.run(lock, Op(sql.REMOVE_THREAD, {"thread_id": thread}))
                    return True
                await self._engine.run(lock, *(op for turn in turns for op in remove_turn(turn)))
                removed.turns += len(turns)
        except Fenced:  # somebody wrote there again just now
            return False

    async def _turns(self, removed: Removed) -> int:
        if not (before := _before(self._keep.turns)):
            return 0
        values = {"before": before, "spoken_before": now() - REFUSED_FOR, "most": BITE}
        [turns] = await self._engine.run(Op(sql.ENDED_BEFORE, values))
        for turn in turns:
            removed.turns += await self._unless_taken_up(turn, *remove_turn(turn))
        return len(turns)

    async def _files(self, removed: Removed) -> int:
        if not (before := _before(self._keep.files)):
            return 0
        since, last = self._files_until
        values = {"since": since, "turn_id": last, "before": before, "most": BITE}
        [turns] = await self._engine.run(Op(sql.ENDED_BETWEEN, values))
        for turn in turns:
            removed.files += await self._clear_files(str(turn[0]))
        if turns:
            self._files_until = int(turns[-1][-1]), str(turns[-1][0])
        return len(turns)

    async def _clear_files(self, turn: str) -> bool:
        of_turn = {"turn_id": turn}
        try:
            _, artifacts, files = await self._engine.run(
                Op(sql.LOCK_ENDED, of_turn),
                Op(sql.REMOVE_ARTIFACTS, of_turn),
                Op(sql.CLEAR_FILES, of_turn),
            )
        except Fenced:
            return False
        return bool(artifacts or files)

    async def _feedback(self, removed: Removed) -> int:
        if not (before := _before(self._keep.feedback)):
            return 0
        [found] = await self._engine.run(Op(sql.OLD_FEEDBACK, {"before": before, "most": BITE}))
        if found:
            words = [Op(sql.REMOVE_RATING, {"turn_id": turn, "rater": rater}) for turn, rater in found]
            await self._engine.run(*words)
        removed.feedback += len(found)
        return len(found)

    async def _audit(self, removed: Removed) -> int:
        if not (before := _before(self._keep.audit)):
            return 0
        [found] = await self._engine.run(Op(sql.REMOVE_AUDIT, {"before": before, "most": BITE}))
        removed.audit += len(found)
        return len(found)

    async def _unless_taken_up(self, turn: Row, *ops: Op) -> bool:
        """False where a person had it delivered again meanwhile."""
        try:
            await self._engine.run(Op(sql.LOCK_ENDED, {"turn_id": turn[0]}), *ops)
        except Fenced:
            return False
        return True


def remove_turn(turn: Row, *, leaves: str | None = None) -> Sequence[Op]:
    """A turn with all that hangs on it, by `REMOVED_COLUMNS`. `leaves`: a conversation at its agent that it names, and
    that could not be deleted: then its row stays, with nothing else in it."""
    turn_id, message_key, event_key, ended_at = turn
    of_turn = {"turn_id": turn_id}
    at = now()
    old = ended_at is not None and ended_at < at - REFUSED_FOR  # nobody brings its message any more
    keys = () if old else (message_key, event_key)
    hangs_on_it = (sql.LOCK_REMOVED, sql.REMOVE_PARTS, sql.REMOVE_ARTIFACTS, sql.REMOVE_FEEDBACK)
    return [
        *(Op(sql.REFUSE, {"key": key_digest(key), "at": at}) for key in keys),
        *(Op(statement, of_turn) for statement in hangs_on_it),
        _empty(turn_id, leaves, at) if leaves is not None else Op(sql.REMOVE_TURN, of_turn),
    ]


def _empty(turn: str, conversation: str, at: int) -> Op:
    stands = checkpoint_json(Checkpoint(conversation, {}))
    return Op(sql.EMPTY_TURN, {"turn_id": turn, "stands": stands, "at": at})


def _before(keep: timedelta) -> int:
    """The stored time before which things are too old; 0 where nothing is."""
    return 0 if keep == NEVER else now() - round(keep.total_seconds() * 1_000_000)
