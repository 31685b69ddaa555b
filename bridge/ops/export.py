"""Exports what is kept of a person: of the database, and what the agents' services show of their conversations."""

from __future__ import annotations

import asyncio
from secrets import token_hex
from typing import Any

from adapters.base import AgentError, History
from bridge.ops.forget import OpenAgents
from bridge.store.audit import Deed, operator, record
from bridge.store.database import Database
from bridge.store.export import export
from bridge.store.persons import Conversation, Identity, belongings, used_elsewhere

READ_WITHIN = 60.0  # seconds for one conversation


async def export_person(database: Database, who: Identity, open_agents: OpenAgents) -> dict[str, Any] | None:
    """None of somebody of whom nothing is kept."""
    found = await belongings(database, who)
    if not found:
        return None
    exported = await export(database, who, found)
    elsewhere = await used_elsewhere(database, found)
    names = sorted({one.agent for one in found.conversations if one.agent and one.ours_alone})
    told = []
    async with open_agents(names) as agents:
        for one in found.conversations:
            kept: dict[str, Any] = {"agent": one.agent, "conversation": one.id, "thread": one.thread}
            if not one.ours_alone or (one.agent, one.id) in elsewhere:
                kept |= {"conversation": None, "history": None, "why_not": "others asked in it, too"}
            else:
                kept |= await _history(agents.get(one.agent or ""), one)
            told.append(kept)
    async with database.prepared(f"export-{token_hex(4)}") as engine:
        await record(engine, operator(), Deed.EXPORTED, who.platform, {"turns": len(found.turns)})
    return exported | {"conversations": told}


async def _history(agent: object, one: Conversation) -> dict[str, Any]:
    if not isinstance(agent, History):
        return {"history": None, "why_not": "the agent isn't in the settings, or its service shows no history"}
    try:
        async with asyncio.timeout(READ_WITHIN):
            rows = await agent.history(one.id)
    except AgentError as error:
        return {"history": None, "why_not": error.sentence}
    except TimeoutError:
        return {"history": None, "why_not": "the agent's service didn't answer in time"}
    return {"history": [{"role": row.role, "text": row.text} for row in rows], "why_not": None}
