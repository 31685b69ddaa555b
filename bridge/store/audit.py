"""The audit log: who did what. It holds no text that people or agents wrote."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from enum import StrEnum

from bridge.store import statements as sql
from bridge.store.engine import Engine, Op
from bridge.store.tables import as_json, now

MAX_WHO = 160  # characters
BRIDGE = "bridge"  # nobody in particular: a rule of the settings
SOMEBODY = "somebody in the thread"  # where the platform doesn't tell who
OPERATORS_PAGE = "operator's page"  # whoever has its token
FORGOTTEN = "forgotten"  # stands where a person stood

Detail = Mapping[str, str | int | None]


class Deed(StrEnum):
    """What is written down."""

    STOPPED = "turn stopped"
    RETRIED = "turn retried"
    APPROVED = "approved"
    DECLINED = "declined"
    NEW = "conversation begun anew"
    AGENT = "agent changed"
    FORGOT = "person forgotten"
    EXPORTED = "person exported"
    DELETED = "conversation deleted at the agent"
    SWEPT = "old data removed"
    BACKED_UP = "database backed up"
    RESTORED = "database restored"
    SIGNED_IN = "signed in"
    READ = "turn's text read"
    INSTALLED = "Slack app installed"
    UNINSTALLED = "Slack app uninstalled"


def entry(who: str, what: str, about: str = "", detail: Detail | None = None) -> Op:
    """To be carried out in the unit of work that it tells of. `who`: by `person`, `operator`, or `BRIDGE`."""
    return Op(
        sql.PUT_AUDIT,
        {
            "audited_at": now(),
            "who": who[:MAX_WHO],
            "what": str(what),
            "about": about,
            "audit_detail": None if detail is None else as_json(dict(detail)),
        },
    )


async def record(engine: Engine, who: str, what: str, about: str = "", detail: Detail | None = None) -> None:
    """Of what is no unit of work of the database. Raises `StoreUnavailable`."""
    await engine.run(entry(who, what, about, detail))


def person(platform: str, person_id: str) -> str:
    return f"{platform}:{person_id}"


def operator() -> str:
    """Whoever runs this command, by the account's name on this machine."""
    try:
        return f"operator:{getpass.getuser()}"
    except (OSError, KeyError):  # an account without a name, as in a container
        return "operator"
