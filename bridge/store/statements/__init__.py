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
    EDITED,
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
from bridge.store.statements.audit import (
    NAMED_NO_MORE,
    PUT_AUDIT,
    PUT_RESTORED,
    REMOVE_AUDIT,
    RESTORED_AT,
)
from bridge.store.statements.base import (
    TURN_COLUMNS,
    listed,
)
from bridge.store.statements.budgets import (
    FREE_BUDGET,
    SPEND,
    SPENT,
)
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
from bridge.store.statements.feedback import (
    ADD_WORDS,
    FEEDBACK_TOLD,
    RATE,
    RATED_TURN,
    TAKE_DUE_FEEDBACK,
)
from bridge.store.statements.marks import (
    IN_LINE,
    MARK,
    MARKED_NO_MORE,
    UNMARK,
)
from bridge.store.statements.parts import (
    ARTIFACTS,
    FORGET_PART,
    PARTS,
    PUT_ARTIFACT,
    PUT_PART,
    PUT_STEPS,
)
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
from bridge.store.statements.removal import (
    CHECKED_NO_MORE,
    CLEAR_FILES,
    CLEAR_PERSON,
    EMPTY_TURN,
    ENDED_BEFORE,
    ENDED_BETWEEN,
    LOCK_ENDED,
    LOCK_UNTOUCHED,
    OLD_FEEDBACK,
    REMOVE_ARTIFACTS,
    REMOVE_BUDGETS,
    REMOVE_FEEDBACK,
    REMOVE_PARTS,
    REMOVE_RATING,
    REMOVE_REFUSED,
    REMOVE_THREAD,
    REMOVE_TURN,
    REMOVED_COLUMNS,
    SEAT_ANEW,
    TAKE_AWAY,
    TURNS_OF_THREAD,
    UNTOUCHED,
)
from bridge.store.statements.replicas import (
    FREE,
    FREE_ALL,
    HELD_BY,
    OWNERS,
    PING,
    RECLAIM,
    RECLAIMED_AT_ONCE,
)
from bridge.store.statements.seats import (
    LOCK_SEATS,
    SEAT,
    WITHOUT_SEAT,
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
from bridge.store.statements.stopping import (
    ACTIVE_TURN,
    INTERRUPT,
    NEXT_TURN,
    OVERTAKEN,
    STOP,
    STOPPED,
)
from bridge.store.statements.waiting import (
    WAITING,
)
from bridge.store.statements.watching import (
    BUDGETS_SINCE,
    COUNT_IN_STATE,
    ENDED_COLUMNS,
    ENDED_SINCE,
    OLDEST_IN_STATE,
    REPLICAS,
    RUNNING_BY_OWNER,
    THREAD_ACTIVE,
    THREAD_DONE,
    THREAD_RECEIVED,
    THREAD_UNANSWERED,
    THREAD_WAITING,
    THREADS_NAMED,
    THREADS_OF_CHANNEL,
    WATCHED_IN_STATE,
    WATCHED_THREAD,
    WATCHED_THREAD_COLUMNS,
    WATCHED_THREADS,
    WATCHED_TURN,
    WATCHED_TURN_COLUMNS,
    WATCHED_TURNS,
    WRITTEN,
    WRITTEN_COLUMNS,
)

__all__ = [
    "ACTIVE_TURN", "ADD_WORDS", "ADVANCE_THREAD", "ANNOUNCE", "ANSWERING", "ARTIFACTS", "ARTIFACTS_OF_THREAD",
    "ASKER", "BEGIN", "BEGIN_ANEW", "BEGIN_OPENING", "BUDGETS_SINCE", "CHANGE_TEXT", "CHECKED_NO_MORE",
    "CHECKPOINT", "CLAIM", "CLAIM_COLUMNS", "CLAIM_SUSPECT", "CLEAR_FILES", "CLEAR_PERSON", "CONCLUDE",
    "COUNT_IN_STATE", "DECIDE", "DROP_OPENING", "EDITED", "EMPTY_TURN", "END", "ENDED_BEFORE", "ENDED_BETWEEN",
    "ENDED_COLUMNS", "ENDED_SINCE", "EXCHANGES", "EXPIRED", "FEEDBACK_TOLD", "FENCE", "FORGET_PART",
    "FORGET_REFUSED", "FREE", "FREE_ALL", "FREE_BUDGET", "GO_ON", "HELD_BY", "HOLD_BEFORE", "INTERRUPT",
    "IN_LINE", "JOIN", "KNOWN_TURN", "KNOWS", "LAST_ANSWERED", "LAST_UNANSWERED", "LEAVE_OPENING", "LOCK_ENDED",
    "LOCK_SEATS", "LOCK_THREAD", "LOCK_UNTOUCHED", "LOOK_ACTIVE", "LOOK_LINE", "LOOK_RUNNABLE", "LOOK_THREAD",
    "LOOK_WAITING", "MARK", "MARKED_NO_MORE", "MOVED_SPOKEN", "MOVE_SPOKEN", "NAMED_NO_MORE", "NEXT_TURN",
    "NOTE_EDIT", "OLDEST_IN_STATE", "OLD_FEEDBACK", "OVERTAKEN", "OVERVIEW", "OVERVIEW_COLUMNS", "OWNERS",
    "PARTS", "PING", "PUT_ARTIFACT", "PUT_AUDIT", "PUT_OPENED", "PUT_OPENING", "PUT_PART", "PUT_RESTORED",
    "PUT_SPOKEN", "PUT_SPOKEN_INTO", "PUT_STEPS", "PUT_TURN", "PUT_TURN_INTO", "QUEUED", "RATE", "RATED_TURN",
    "READY", "READY_THREAD", "READ_COLUMNS", "RECENT", "RECHECK", "RECHECKED", "RECLAIM", "RECLAIMED_AT_ONCE",
    "REFUSE", "REFUSED", "RELEASE", "REMOVED_COLUMNS", "REMOVE_ARTIFACTS", "REMOVE_AUDIT", "REMOVE_BUDGETS",
    "REMOVE_FEEDBACK", "REMOVE_PARTS", "REMOVE_RATING", "REMOVE_REFUSED", "REMOVE_THREAD", "REMOVE_TURN",
    "REPLICAS", "RESTORED_AT", "RUNNING_BY_OWNER", "SAID_BEFORE", "SAID_SINCE", "SEAT", "SEAT_ANEW", "SEEN",
    "SETTLE", "SETTLE_WAITING", "SPEND", "SPENT", "SPOKEN_BY_ID", "SPOKEN_BY_KEY", "SPOKEN_COLUMNS",
    "SPOKEN_GIVEN", "SPOKEN_THREAD", "SPOKEN_WAITING", "STILL_NEWEST", "STOP", "STOPPED", "SUPERSEDE",
    "SUSPECT", "TAKE_AWAY", "TAKE_DUE_FEEDBACK", "TAKE_FIRST", "TAKE_POSITION", "THREADS_NAMED",
    "THREADS_OF_CHANNEL", "THREAD_ACTIVE", "THREAD_DONE", "THREAD_RECEIVED", "THREAD_UNANSWERED",
    "THREAD_WAITING", "TOUCH_THREAD", "TURN", "TURNS_OF_THREAD", "TURN_COLUMNS", "TURN_GIVEN", "TURN_OF_THREAD",
    "UNMARK", "UNTOUCHED", "WAITING", "WAITS_NO_MORE", "WATCHED_IN_STATE", "WATCHED_THREAD", "WATCHED_THREADS",
    "WATCHED_THREAD_COLUMNS", "WATCHED_TURN", "WATCHED_TURNS", "WATCHED_TURN_COLUMNS", "WITHDRAW",
    "WITHOUT_SEAT", "WRITTEN", "WRITTEN_COLUMNS", "listed",
]  # fmt: skip
