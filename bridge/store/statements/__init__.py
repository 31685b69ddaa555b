"""The prepared statements: what a turn costs. Each finds its rows by an index, whatever the age of the thread and the
size of the tables; `tests/store/test_plans.py` asks both databases how.

States stand in them as literals, because a partial index serves only a query that names its condition.

One module for each subject; all are used from here, as `sql.NAME`.
"""

from __future__ import annotations

from bridge.store.statements.arrivals import (
    ANNOUNCE,
    ANSWERING,
    ASKER,
    CHANGE_TEXT,
    FORGET_REFUSED,
    KNOWN_TURN,
    KNOWS,
    LOCK_THREAD,
    NOTE_EDIT,
    PUT_TURN,
    PUT_TURN_INTO,
    READY,
    READY_THREAD,
    REFUSE,
    REFUSED,
    SEEN,
    TOUCH_THREAD,
    TURN_GIVEN,
    WITHDRAW,
)
from bridge.store.statements.base import TURN_COLUMNS
from bridge.store.statements.budgets import FREE_BUDGET, SPEND, SPENT
from bridge.store.statements.claims import (
    CLAIM,
    CLAIM_COLUMNS,
    CLAIM_SUSPECT,
    FENCE,
    GO_ON,
    LOOK_ACTIVE,
    LOOK_LINE,
    LOOK_RUNNABLE,
    LOOK_THREAD,
    LOOK_WAITING,
    RECHECK,
    RECHECKED,
    RELEASE,
    SUSPECT,
    TURN,
)
from bridge.store.statements.decisions import (
    DECIDE,
    EXPIRED,
    HOLD_BEFORE,
    SETTLE,
    STILL_NEWEST,
    SUPERSEDE,
    TURN_OF_THREAD,
    WAITS_NO_MORE,
)
from bridge.store.statements.desk import (
    ARTIFACTS_OF_THREAD,
    BEGIN_ANEW,
    LAST_ANSWERED,
    LAST_UNANSWERED,
    OVERVIEW,
    OVERVIEW_COLUMNS,
    QUEUED,
    RECENT,
)
from bridge.store.statements.feedback import ADD_WORDS, FEEDBACK_TOLD, RATE, RATED_TURN, TAKE_DUE_FEEDBACK
from bridge.store.statements.marks import MARK, MARKED_NO_MORE, UNMARK
from bridge.store.statements.parts import ARTIFACTS, FORGET_PART, PARTS, PUT_ARTIFACT, PUT_PART, PUT_STEPS
from bridge.store.statements.progress import (
    ADVANCE_THREAD,
    BEGIN,
    CHECKPOINT,
    CONCLUDE,
    END,
    EXCHANGES,
    JOIN,
    SETTLE_WAITING,
)
from bridge.store.statements.replicas import FREE, FREE_ALL, HELD_BY, OWNERS, PING, RECLAIM, RECLAIMED_AT_ONCE
from bridge.store.statements.seats import LOCK_SEATS, SEAT, WITHOUT_SEAT
from bridge.store.statements.shards import (
    AGREE,
    CLAIM_SHARD,
    DROP_SHARDS,
    FORGET_SERVERS,
    GIVE_SHARD_BACK,
    HOLD_SHARD,
    KEEP_SHARD,
    PLANNED,
    PUT_SHARD,
    SERVE_NO_SHARDS,
    SERVE_SHARDS,
    SERVERS,
    SHARDS,
    START_SLOT,
    STILL_AGREED,
)
from bridge.store.statements.speaking import (
    BEGIN_OPENING,
    DROP_OPENING,
    LEAVE_OPENING,
    MOVE_SPOKEN,
    MOVED_SPOKEN,
    PUT_OPENED,
    PUT_OPENING,
    PUT_SPOKEN,
    PUT_SPOKEN_INTO,
    READ_COLUMNS,
    SAID_BEFORE,
    SAID_SINCE,
    SPOKEN_BY_ID,
    SPOKEN_BY_KEY,
    SPOKEN_COLUMNS,
    SPOKEN_GIVEN,
    SPOKEN_THREAD,
    SPOKEN_WAITING,
    TAKE_FIRST,
    TAKE_POSITION,
)
from bridge.store.statements.stopping import ACTIVE_TURN, INTERRUPT, NEXT_TURN, OVERTAKEN, STOP, STOPPED

__all__ = [
    "ACTIVE_TURN", "ADD_WORDS", "ADVANCE_THREAD", "AGREE", "ANNOUNCE", "ANSWERING", "ARTIFACTS",
    "ARTIFACTS_OF_THREAD", "ASKER", "BEGIN", "BEGIN_ANEW", "BEGIN_OPENING", "CHANGE_TEXT", "CHECKPOINT", "CLAIM",
    "CLAIM_COLUMNS", "CLAIM_SHARD", "CLAIM_SUSPECT", "CONCLUDE", "DECIDE", "DROP_OPENING", "DROP_SHARDS", "END",
    "EXCHANGES", "EXPIRED", "FEEDBACK_TOLD", "FENCE", "FORGET_PART", "FORGET_REFUSED", "FORGET_SERVERS", "FREE",
    "FREE_ALL", "FREE_BUDGET", "GIVE_SHARD_BACK", "GO_ON", "HELD_BY", "HOLD_BEFORE", "HOLD_SHARD", "INTERRUPT",
    "JOIN", "KEEP_SHARD", "KNOWN_TURN", "KNOWS", "LAST_ANSWERED", "LAST_UNANSWERED", "LEAVE_OPENING", "LOCK_SEATS",
    "LOCK_THREAD", "LOOK_ACTIVE", "LOOK_LINE", "LOOK_RUNNABLE", "LOOK_THREAD", "LOOK_WAITING", "MARK",
    "MARKED_NO_MORE", "MOVED_SPOKEN", "MOVE_SPOKEN", "NEXT_TURN", "NOTE_EDIT", "OVERTAKEN", "OVERVIEW",
    "OVERVIEW_COLUMNS", "OWNERS", "PARTS", "PING", "PLANNED", "PUT_ARTIFACT", "PUT_OPENED", "PUT_OPENING",
    "PUT_PART", "PUT_SHARD", "PUT_SPOKEN", "PUT_SPOKEN_INTO", "PUT_STEPS", "PUT_TURN", "PUT_TURN_INTO", "QUEUED",
    "RATE", "RATED_TURN", "READY", "READY_THREAD", "READ_COLUMNS", "RECENT", "RECHECK", "RECHECKED", "RECLAIM",
    "RECLAIMED_AT_ONCE", "REFUSE", "REFUSED", "RELEASE", "SAID_BEFORE", "SAID_SINCE", "SEAT", "SEEN", "SERVERS",
    "SERVE_NO_SHARDS", "SERVE_SHARDS", "SETTLE", "SETTLE_WAITING", "SHARDS", "SPEND", "SPENT", "SPOKEN_BY_ID",
    "SPOKEN_BY_KEY", "SPOKEN_COLUMNS", "SPOKEN_GIVEN", "SPOKEN_THREAD", "SPOKEN_WAITING", "START_SLOT",
    "STILL_AGREED", "STILL_NEWEST", "STOP", "STOPPED", "SUPERSEDE", "SUSPECT", "TAKE_DUE_FEEDBACK", "TAKE_FIRST",
    "TAKE_POSITION", "TOUCH_THREAD", "TURN", "TURN_COLUMNS", "TURN_GIVEN", "TURN_OF_THREAD", "UNMARK",
    "WAITS_NO_MORE", "WITHDRAW", "WITHOUT_SEAT",
]  # fmt: skip
