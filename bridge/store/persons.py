"""What is kept of one person: which rows are theirs, and which of others name them.

Reads at leisure, by SQLModel, so that whatever its types do to a value is undone. What is personal in which column
stands in `bridge.store.personal`.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bridge.store import audit
from bridge.store.database import Database
from bridge.store.encryption import UNREADABLE
from bridge.store.speaking import person_target
from bridge.store.tables import Audit, Budget, Feedback, Thread, Turn

AT_ONCE = 500  # rows
WRITTEN = re.compile(r"(slack):(?:([TE][A-Z0-9]+):)?([UW][A-Z0-9]+)|(discord):(\d+)")


@dataclass(frozen=True, slots=True)
class Identity:
    """A person of a platform."""

    platform: str
    id: str
    workspace: str = ""  # Slack: only what is of this one; "": of all

    @property
    def key(self) -> str:
        return audit.person(self.platform, self.id)

    def __str__(self) -> str:
        return ":".join(part for part in (self.platform, self.workspace, self.id) if part)


def identity(text: str) -> Identity:
    """From `slack:U…`, `slack:T…:U…` or `discord:…`. Raises `ValueError`."""
    found = WRITTEN.fullmatch(text.strip())
    if found is None:
        raise ValueError('write a person as "slack:U…", "slack:T…:U…" (of one workspace) or "discord:…"')
    slack, team, user, discord, number = found.groups()
    return Identity(slack, user, team or "") if slack else Identity(discord, number)


@dataclass(frozen=True, slots=True)
class Conversation:
    """At an agent's service."""

    thread: int
    agent: str | None  # None: it isn't known any more who answered
    id: str
    turn: str | None = None  # that names it; None: the thread's row does
    ours_alone: bool = True  # nobody else asked in its thread


@dataclass(slots=True)
class Belongings:
    """What is kept of a person."""

    turns: list[tuple[Turn, Thread]] = field(default_factory=list)
    alone: list[Thread] = field(default_factory=list)  # threads in which nobody else asked
    shared: list[Thread] = field(default_factory=list)
    named_in: list[Turn] = field(default_factory=list)  # turns of others
    feedback: list[Feedback] = field(default_factory=list)  # on others' answers too
    budgets: list[Budget] = field(default_factory=list)
    audit: list[Audit] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        rows = (self.turns, self.alone, self.shared, self.named_in, self.feedback, self.budgets, self.audit)
        return any(rows)

    @property
    def unreadable(self) -> int:
        """How many of their turns can't be read: nobody can tell which conversations these name."""
        words = [(turn.text, turn.person_name, turn.start) for turn, _ in self.turns]
        return sum(UNREADABLE in one for one in words)

    @property
    def conversations(self) -> Sequence[Conversation]:
        """Each once, as the newest of its turns names it."""
        found: dict[tuple[int, str | None, str], Conversation] = {}
        alone = {thread.id for thread in self.alone}
        for thread in (*self.alone, *self.shared):
            if thread.conversation:
                known_as = (thread.id, thread.agent, thread.conversation)
                found[known_as] = Conversation(*known_as, ours_alone=thread.id in alone)
        for turn, thread in self.turns:
            for id_ in _conversations(turn):
                key = (thread.id, _agent(turn, thread), id_)
                found.setdefault(key, Conversation(*key, turn=turn.id, ours_alone=thread.id in alone))
        known = {(thread, id_) for thread, agent, id_ in found if agent is not None}
        return [one for one in found.values() if one.agent is not None or (one.thread, one.id) not in known]


async def belongings(database: Database, who: Identity) -> Belongings:
    found = Belongings()
    async with database.transaction() as session:
        threads: dict[int, Thread] = {}
        async for turn, thread in _rows(session, who, col(Turn.person) == who.id):
            _own(found, threads, turn, thread)
        telling = sa.or_(*(column.is_not(None) for column in _TELLING))
        async for turn, thread in _rows(session, who, telling, col(Turn.person) != who.id):
            if (turn.spoken or {}).get("place") == who.key:
                _own(found, threads, turn, thread)
            elif _names(turn, who):
                found.named_in.append(turn)
                found.names |= _names_given(turn, who)
        async for turn, _ in _rows(
            session, None, col(Turn.request).is_not(None), col(Thread.platform) != who.platform
        ):
            if _names(turn, who):
                found.named_in.append(turn)
        found.turns.sort(key=lambda one: one[0].received_at, reverse=True)
        async for turn, _ in _rows(session, who, col(Turn.settled).is_not(None), col(Turn.person) != who.id):
            if turn not in found.named_in and settled_without(turn.settled, found.names) != turn.settled:
                found.named_in.append(turn)
        mine = sa.or_(col(Thread.person) == who.id, col(Thread.channel) == person_target(who.id))
        query = select(Thread).where(col(Thread.platform) == who.platform, mine)
        if who.workspace:
            query = query.where(col(Thread.workspace) == who.workspace)
        threads |= {thread.id: thread for thread in (await session.exec(query)).all()}
        await _sort_threads(session, who, found, threads)
        await _add_spoken(session, found)
        await _read_rest(session, who, found)
        session.expunge_all()
    return found


_TELLING = (col(Turn.asked_by), col(Turn.request), col(Turn.spoken))


def _own(found: Belongings, threads: dict[int, Thread], turn: Turn, thread: Thread) -> None:
    found.turns.append((turn, thread))
    threads[thread.id] = thread
    if turn.person_name and turn.person_name != UNREADABLE:
        found.names.add(turn.person_name)


async def _rows(
    session: AsyncSession, who: Identity | None, *where: sa.ColumnElement[bool]
) -> AsyncIterator[tuple[Turn, Thread]]:
    """In bites. `who`: only of that one's platform and workspace."""
    query = select(Turn, Thread).join(Thread, col(Thread.id) == col(Turn.thread_id)).where(*where)
    if who is not None:
        query = query.where(col(Thread.platform) == who.platform)
    if who is not None and who.workspace:
        of_it = sa.or_(col(Thread.workspace) == who.workspace, col(Turn.person_workspace) == who.workspace)
        query = query.where(of_it)
    last = ""
    while True:
        bite = (await session.exec(query.where(col(Turn.id) > last).order_by(col(Turn.id)).limit(AT_ONCE))).all()
        for turn, thread in bite:
            yield turn, thread
            last = turn.id
        if len(bite) < AT_ONCE:
            return


async def _sort_threads(
    session: AsyncSession, who: Identity, found: Belongings, threads: dict[int, Thread]
) -> None:
    ids = sorted(threads)
    others: set[int] = set()
    for start in range(0, len(ids), AT_ONCE):
        query = select(col(Turn.thread_id)).distinct()
        query = query.where(
            col(Turn.thread_id).in_(ids[start : start + AT_ONCE]), col(Turn.person).not_in([who.id, ""])
        )
        others |= set((await session.exec(query)).all())
    for thread in threads.values():
        alone = not thread.several and thread.person in (who.id, "") and thread.id not in others
        (found.alone if alone else found.shared).append(thread)


async def _add_spoken(session: AsyncSession, found: Belongings) -> None:
    """What an agent said unasked, where nobody else could be meant."""
    known = {turn.id for turn, _ in found.turns}
    for start in range(0, len(found.alone), AT_ONCE):
        threads = {thread.id: thread for thread in found.alone[start : start + AT_ONCE]}
        query = select(Turn).where(col(Turn.thread_id).in_(threads), col(Turn.person) == "")
        for turn in (await session.exec(query)).all():
            if turn.id not in known:
                found.turns.append((turn, threads[turn.thread_id]))


async def _read_rest(session: AsyncSession, who: Identity, found: Belongings) -> None:
    words = select(Feedback).where(col(Feedback.person) == who.key)
    if who.workspace:
        words = (
            words.join(Turn, col(Turn.id) == col(Feedback.turn_id))
            .join(Thread, col(Thread.id) == col(Turn.thread_id))
            .where(col(Thread.workspace) == who.workspace)
        )
    found.feedback = list((await session.exec(words)).all())
    spent = select(Budget).where(col(Budget.scope) == f"person:{who.key}")
    found.budgets = list((await session.exec(spent)).all())
    found.audit = list((await session.exec(select(Audit).where(col(Audit.who) == who.key))).all())


def _names(turn: Turn, who: Identity) -> bool:
    """Whether a turn of somebody else names them by their id."""
    asked_by: dict[str, Any] = turn.asked_by or {}
    return asked_by.get("id") == who.id or who.key in (turn.request or {}).get("approvers", ())


def _names_given(turn: Turn, who: Identity) -> set[str]:
    asked_by: dict[str, Any] = turn.asked_by or {}
    return {asked_by["name"]} if asked_by.get("id") == who.id and asked_by.get("name") else set()


def settled_without(line: str | None, names: set[str]) -> str | None:
    """What stands in place of buttons, without who pressed: "Answered · Ann" becomes "Answered"."""
    if line is None or line == UNREADABLE or not any(name in line for name in names):
        return line
    return line.partition(" · ")[0] if " · " in line else "Settled"


def request_without(request: dict[str, Any] | None, who: Identity, names: set[str]) -> dict[str, Any] | None:
    """An approval without them among those who may decide."""
    if request is None or who.key not in request.get("approvers", ()):
        return request
    there = [one for one in request["approvers"] if one.startswith(f"{who.platform}:")]  # who have names
    shown = [name for index, name in enumerate(request["names"]) if there[index : index + 1] != [who.key]]
    return request | {
        "approvers": [one for one in request["approvers"] if one != who.key],
        "names": [name for name in shown if name not in names | {who.id}],
    }


def _agent(turn: Turn, thread: Thread) -> str | None:
    """Who was asked; of a turn from before that was written down only in the thread's present conversation."""
    if turn.agent is not None:
        return turn.agent
    begins = -1 if thread.begins_after is None else thread.begins_after
    return thread.agent if turn.position > begins else None


def _conversations(turn: Turn) -> Sequence[str]:
    start = json.loads(turn.start) if turn.start and turn.start != UNREADABLE else {}
    stood: list[dict[str, Any]] = [turn.checkpoint or {}, start]
    return [str(one["conversation"]) for one in stood if one.get("conversation")]


async def used_elsewhere(database: Database, found: Belongings) -> set[tuple[str, str]]:
    """Agents and conversations that other threads go on with, too: whoever has an agent speak may name one."""
    mine = {thread.id for thread in found.alone}
    wanted = {(one.agent, one.id) for one in found.conversations}
    async with database.transaction() as session:
        rows = await session.exec(select(Thread.id, Thread.agent, Thread.conversation))
        return {
            (agent, conversation)
            for id_, agent, conversation in rows
            if conversation is not None and id_ not in mine and (agent, conversation) in wanted
        }
