"""What is personal in which column, and what becomes of it: the one list that `forget` and `export` are held to.

A column that isn't here fails `tests/store/test_personal.py`: whoever adds one decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Personal:
    """Says something of a person."""

    forgotten: str  # how


@dataclass(frozen=True, slots=True)
class NotPersonal:
    why: str


Column = Personal | NotPersonal

ROW = Personal("with its row")
STATE = NotPersonal("how far the work is")
ORDER = NotPersonal("where it stands in an order")
OURS = NotPersonal("an id of ours, made at random")
SETTING = NotPersonal("a name in the settings")
TIME = NotPersonal("a time of a row that goes, or of a thread of others")
OF_SHARDS = NotPersonal("of a connection to Discord")
PLACE = Personal("with its row; a thread in which others asked stays")

COLUMNS: Mapping[str, Mapping[str, Column]] = {
    "replica": dict.fromkeys(("id", "lock", "started_at", "heartbeat_at"), NotPersonal("of a process")),
    "thread": {
        "id": ORDER,
        "platform": NotPersonal("one of two"),
        **dict.fromkeys(("workspace", "channel", "thread", "direct"), PLACE),
        "agent": SETTING,
        "conversation": Personal("with its row, after the agent's service has deleted it, where it can"),
        **dict.fromkeys(("state", "owner", "token", "attempts", "ready_at"), STATE),
        "seat": Personal("emptied"),
        **dict.fromkeys(("waiting_turn", "waiting_shown", "holds_until", "recheck_turn"), STATE),
        "last_part": PLACE,
        **dict.fromkeys(("begins_after", "spoke_at", "newest_position"), ORDER),
        "person": Personal("emptied"),
        "several": STATE,
        "newest": PLACE,
        **dict.fromkeys(("touched_at", "created_at"), TIME),
    },
    "turn": {
        "id": OURS,
        "thread_id": ORDER,
        **dict.fromkeys(("event_key", "message_key"), Personal("with its row; for 14 days a digest stays")),
        "message_id": ROW,
        "position": ORDER,
        **dict.fromkeys(("person", "person_name", "person_workspace", "person_roles"), ROW),
        "asked_by": Personal("with its row; emptied in turns of others"),
        **dict.fromkeys(("text", "files", "heard", "edited"), ROW),
        **dict.fromkeys(("direct", "mid_thread", "revision", "state", "stopped", "marked"), STATE),
        **dict.fromkeys(("retry_of", "asked_as", "chosen", "settles", "joined_into", "superseded_by"), OURS),
        "spoken": ROW,
        "decision": ROW,
        **dict.fromkeys(("start", "checkpoint"), Personal("with its row, as the thread's conversation")),
        "answer": ROW,
        "request": Personal("with its row; in turns of others they no longer stand among who may decide"),
        "expires_at": TIME,
        "settled": Personal("with its row; without their name in turns of others"),
        **dict.fromkeys(("notice", "steps", "sources", "detail"), ROW),
        "outcome": STATE,
        "agent": SETTING,
        "traceparent": OURS,
        **dict.fromkeys(("received_at", "begun_at", "ended_at", "first_words"), TIME),
    },
    "budget": {
        "scope": ROW,
        **dict.fromkeys(("since", "used"), NotPersonal("a count of the row")),
    },
    "refused": {
        "message_key": NotPersonal("a digest, which names nobody, for 14 days"),
        "at": TIME,
    },
    "part": {
        "turn_id": OURS,
        **dict.fromkeys(("kind", "index", "ends", "shown"), STATE),
        **dict.fromkeys(("message_id", "digest"), ROW),
    },
    "artifact": {
        "turn_id": OURS,
        **dict.fromkeys(("index", "kind", "size"), STATE),
        **dict.fromkeys(("name", "media_type", "ref", "table"), ROW),
    },
    "feedback": {
        "turn_id": OURS,
        "person": ROW,
        "agent": SETTING,
        **dict.fromkeys(("good", "words"), ROW),
        **dict.fromkeys(("at", "due_at", "tries"), TIME),
    },
    "audit": {
        "id": ORDER,
        "at": TIME,
        "who": Personal('the line stays; "forgotten" stands in their place'),
        "what": NotPersonal("one of a list"),
        "about": NotPersonal("an id of ours, or a name in the settings"),
        "detail": NotPersonal("counts, names in the settings, and the address of who opened the operator's page"),
    },
    "installation": {
        **dict.fromkeys(
            ("user", "installed_by"), NotPersonal("of the app, and of who may say so for a workspace")
        ),
        **dict.fromkeys(
            (
                "id",
                "name",
                "bot",
                "app",
                "scopes",
                "access_token",
                "refresh_token",
                "expires_at",
                "org",
                "enterprise",
                "version",
                "changed_at",
                "refreshing_until",
            ),
            NotPersonal("of a workspace"),
        ),
    },
    "shard_plan": dict.fromkeys(("application", "count"), OF_SHARDS),
    "shard_server": dict.fromkeys(("application", "replica"), OF_SHARDS),
    "shard": dict.fromkeys(
        ("application", "number", "count", "owner", "token", "session", "sequence", "url", "intents", "heard_at"),
        OF_SHARDS,
    ),
    "shard_start": dict.fromkeys(("application", "bucket", "at"), OF_SHARDS),
    "spent_state": dict.fromkeys(("digest", "until"), NotPersonal("a digest of a number made at random")),
    "encryption_key": dict.fromkeys(("id", "since"), NotPersonal("of the whole database")),
    "restored": {"at": NotPersonal("a time of the whole database")},
}
