"""Forgets a person: at the agents that can delete a conversation, in the database, and in its files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from secrets import token_hex

from adapters.base import Agent, AgentError, Deletes, NotFound
from bridge.store.audit import Deed, entry, operator
from bridge.store.cleaning import clean
from bridge.store.database import Database, unserved
from bridge.store.engine import Engine
from bridge.store.forget import Forgetting, Forgotten
from bridge.store.persons import Belongings, Conversation, Identity, belongings, used_elsewhere
from bridge.turns.folder import remove_of_turns

PATIENCE = 20.0  # seconds that a running bridge gets to end their turns
DELETE_WITHIN = 30.0  # seconds for one conversation
ROUNDS = 3  # what somebody writes down meanwhile is removed as well
SHOWN = 20  # conversations that are named
UNREADABLE_TURNS = (
    "{count} of their turns couldn't be read, as a key isn't in data.keys: conversations at agents that only these"
    " named stay, and so may their name in turns of others"
)

# Opens the agents of these names, as far as the settings have them.
OpenAgents = Callable[[Sequence[str]], AbstractAsyncContextManager[Mapping[str, Agent]]]


@dataclass(slots=True)
class Report:
    """What became of it, in sentences."""

    known: bool = True
    forgotten: Forgotten = field(default_factory=Forgotten)
    deleted: int = 0  # conversations at agents
    notes: list[str] = field(default_factory=list)  # what stays for a reason
    remains: list[str] = field(default_factory=list)  # what another try may remove


async def forget(
    database: Database,
    who: Identity,
    open_agents: OpenAgents,
    *,
    rewrite: bool = False,
    patience: float = PATIENCE,
) -> Report:
    """Everything that is kept of a person. Raises `StoreUnavailable`; then it may be repeated, as always."""
    report = Report()
    found = await belongings(database, who)
    if not found:
        report.known = False
        if problem := await clean(database, rewrite=rewrite):  # an earlier try may have ended before it
            report.remains.append(problem)
        return report
    turns = {turn.id for turn, _ in found.turns}
    by = operator()
    if found.unreadable:
        _note(report, UNREADABLE_TURNS.format(count=found.unreadable))
    async with _somebody_serves(database) as served, database.prepared(f"forget-{token_hex(4)}") as engine:
        forgetting = Forgetting(database, engine, who)
        await forgetting.stop(found, patience if served else 0.0)
        found = await belongings(database, who)  # with what was written down meanwhile
        undeleted = await _delete(found, await used_elsewhere(database, found), open_agents, engine, by, report)
        for _ in range(ROUNDS):
            turns |= {turn.id for turn, _ in found.turns}
            done = await forgetting.remove(found, undeleted, by)
            _add(report.forgotten, done)
            found = await belongings(database, who)
            if not _is_left(found, undeleted):
                break
        else:
            report.remains.append("they wrote while they were forgotten, and that is kept")
    await asyncio.to_thread(remove_of_turns, turns)
    if problem := await clean(database, rewrite=rewrite):
        report.remains.append(problem)
    return report


async def _delete(
    found: Belongings,
    elsewhere: set[tuple[str, str]],
    open_agents: OpenAgents,
    engine: Engine,
    by: str,
    report: Report,
) -> Sequence[Conversation]:
    """Delete their conversations at the agents' services; those that are to be tried again."""
    wanted = []
    for one in found.conversations:
        if not one.ours_alone or (one.agent, one.id) in elsewhere:
            _note(report, f"conversation {one.id} of agent {one.agent or '?'} stays: others asked in it, too")
        elif one.agent is None:
            _note(report, f"conversation {one.id} stays: it isn't known any more which agent had it")
        else:
            wanted.append(one)
    undeleted = []
    async with open_agents(sorted({str(one.agent) for one in wanted})) as agents:
        for one in wanted:
            agent: object = agents.get(str(one.agent))
            problem = await _delete_one(agent, one)
            if problem is None:
                report.deleted += 1
                await engine.run(entry(by, Deed.DELETED, str(one.agent)))
            elif isinstance(agent, Deletes):
                undeleted.append(one)
                report.remains.append(f"conversation {one.id} of agent {one.agent}: {problem}")
            else:
                _note(report, f"conversation {one.id} of agent {one.agent} stays: {problem}")
    return undeleted


async def _delete_one(agent: object, one: Conversation) -> str | None:
    """Why it isn't deleted."""
    if agent is None:
        return "the settings have no such agent"
    if not isinstance(agent, Deletes):
        return "its service has no way to delete one"
    try:
        async with asyncio.timeout(DELETE_WITHIN):
            await agent.delete(one.id)
    except NotFound:
        return None  # by somebody else, or by an earlier try
    except AgentError as error:
        return f"it couldn't be deleted: {error.sentence}"
    except TimeoutError:
        return "it couldn't be deleted in time"
    return None


def _note(report: Report, note: str) -> None:
    if len(report.notes) < SHOWN:
        report.notes.append(note)


def _is_left(found: Belongings, undeleted: Sequence[Conversation]) -> bool:
    """More than the names of conversations that couldn't be deleted."""
    waiting = {one.thread for one in undeleted}
    emptied = {one.turn for one in undeleted}
    turns = [turn for turn, _ in found.turns if turn.id not in emptied]
    threads = [one for one in found.alone if one.id not in waiting]
    return bool(turns or threads or found.named_in or found.feedback)


def _add(total: Forgotten, more: Forgotten) -> None:
    for name in Forgotten.__slots__:
        setattr(total, name, getattr(total, name) + getattr(more, name))


@asynccontextmanager
async def _somebody_serves(database: Database) -> AsyncIterator[bool]:
    """Whether a bridge is running; where it isn't, on SQLite, none starts meanwhile."""
    if database.url.get_backend_name() != "sqlite":
        yield bool(await database.presence("forget").alive())
        return
    with unserved(database.url) as alone:
        yield not alone
