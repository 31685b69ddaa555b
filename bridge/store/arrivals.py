"""What people send: stored once, changed or withdrawn until it is asked.

The port between the platforms and the database. Needs no claim: whatever changes a thread's state locks its row first,
so that a turn which arrives while its thread is released can't be stranded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bridge import tracing
from bridge.inbound import Address, Inbound, Platform, Seen
from bridge.store import statements as sql
from bridge.store.announcing import STOP, WORK, announcement
from bridge.store.audit import Deed, entry
from bridge.store.budgets import OverBudget, Quota, freed, left, spend, used_up
from bridge.store.engine import Engine, Fenced, Op
from bridge.store.seats import NO_LIMIT, give_seat
from bridge.store.tables import SECOND, now
from bridge.store.values import (
    MAX_NAME,
    Edit,
    files_json,
    key_digest,
    new_turn_id,
    roles_json,
    storable,
)

DISCORD_EPOCH = 1_420_070_400_000  # milliseconds since 1970, where its ids begin to count
SNOWFLAKE_BITS = 22  # of an id, below its time
REFUSED_FOR = 14 * 24 * 3600 * SECOND  # as far back as a catch-up may look


@dataclass(frozen=True, slots=True)
class Answering:
    """Who answers in a thread, and whose answer it waits for: the id of the person whom the agent asked back."""

    agent: str
    asked_back: str | None


class Arrivals:
    def __init__(self, engine: Engine, *, at_once: int = NO_LIMIT, restored_at: int = 0) -> None:
        """`at_once`: turns of one person, in all replicas together. `restored_at`: a stored time; what was written
        before isn't asked."""
        self._engine = engine
        self._at_once = at_once
        self._restored_at = restored_at

    async def put(
        self,
        inbound: Inbound,
        agent: str,
        *,
        announce: bool = False,
        quotas: Sequence[Quota] = (),
        frees: Sequence[Quota] = (),
    ) -> bool:
        """Store a turn, and its thread with `agent` if it is new. False if it is known already, or was refused.
        `announce`: tell other replicas, as this one has its hands full; `frees`: quotas that begin anew with it.

        :raises OverBudget: a quota is used up.
        """
        at = now()
        if _written_at(inbound, at) < self._restored_at:
            return False
        address = asdict(inbound.address)
        turn = new_turn_id()
        thread = address | {
            "direct": inbound.direct,
            "agent": agent,
            "ready_at": at,
            "person": inbound.person.id,
            "newest": inbound.message_id,
            "newest_position": inbound.position,
            "touched_at": at,
            "created_at": at,
        }
        values = _turn(turn, inbound, at)
        digests = _digests(inbound)
        try:
            _, stored, *_ = await self._engine.run(
                Op(sql.TOUCH_THREAD, thread | digests),
                Op(sql.PUT_TURN, address | values | digests),
                *spend(quotas, turn),
                *freed(frees),
                Op(sql.READY, address | {"at": at}),
                *give_seat(self._engine, inbound.person.id, self._at_once),
                *announcement(self._engine, WORK if announce else None),
            )
        except Fenced:
            keys = _keys(inbound)
            found = await self._engine.run(
                Op(sql.KNOWN_TURN, keys), *(Op(sql.REFUSED, {"key": key}) for key in digests.values())
            )
            if any(found):
                return False
            raise await self._over_budget(quotas) from None
        return bool(stored)

    async def refuse(self, inbound: Inbound) -> bool:
        """Remember that a message was refused, so that no catch-up asks it later. False if it is known already, as
        refused or as a turn."""
        at = now()
        keys = _keys(inbound)
        refused = {"key": _digests(inbound)["message_digest"], "at": at}
        *_, known, new = await self._engine.run(
            Op(sql.FORGET_REFUSED, {"since": at - REFUSED_FOR}),
            Op(sql.KNOWN_TURN, keys),
            Op(sql.REFUSE, refused),
        )
        return bool(new) and not known

    async def spent(self, quotas: Sequence[Quota]) -> OverBudget | None:
        """The quota that is free again last, if one is used up."""
        return await used_up(self._engine, quotas)

    async def left(self, quotas: Sequence[Quota]) -> Sequence[tuple[Quota, int]]:
        """Turns that may still be asked within each hour."""
        return await left(self._engine, quotas)

    async def answering(self, address: Address) -> Answering | None:
        """Who answers in a thread; None if the thread isn't known."""
        [found] = await self._engine.run(Op(sql.ANSWERING, asdict(address)))
        return Answering(*found[0]) if found else None

    async def asker(self, address: Address, turn_id: str) -> str | None:
        """The id of the person whose turn it is; None if it isn't this thread's."""
        [found] = await self._engine.run(Op(sql.ASKER, asdict(address) | {"turn_id": turn_id}))
        return str(found[0][0]) if found else None

    async def knows(self, address: Address) -> bool:
        [found] = await self._engine.run(Op(sql.KNOWS, asdict(address)))
        return bool(found)

    async def change_text(self, address: Address, message_id: str, text: str) -> Edit:
        """New words for a message. A turn that hasn't been asked yet is asked in them; of any other they are kept."""
        key, words = {"key": _message_key(address, message_id)}, storable(text)
        changed, found = await self._engine.run(Op(sql.CHANGE_TEXT, key | {"words": words}), Op(sql.EDITED, key))
        while found:
            [[revision, edited]] = found
            if (edited or "") == words:
                break
            values = key | {"words": words, "revised": revision}
            noted, found = await self._engine.run(Op(sql.NOTE_EDIT, values), Op(sql.EDITED, key))
            if noted:
                return Edit(bool(changed), str(noted[0][0]))
        return Edit(bool(changed))

    async def withdraw(self, address: Address, message_id: str) -> bool:
        """Cancel a turn that hasn't been asked yet."""
        key = {"key": _message_key(address, message_id)}
        [withdrawn] = await self._engine.run(Op(sql.WITHDRAW, key | {"at": now()}))
        return bool(withdrawn)

    async def active_turn(self, address: Address) -> str | None:
        """The id of the turn that is worked on in a thread."""
        place = asdict(address)
        active, next_turn = await self._engine.run(Op(sql.ACTIVE_TURN, place), Op(sql.NEXT_TURN, place))
        found = active or next_turn
        return str(found[0][0]) if found else None

    async def record_stop(self, turn: str, who: str = "") -> None:
        """A person pressed stop, by the audit log's `who` if that is known. Holds until the reply is delivered
        again."""
        audited = [entry(who, Deed.STOPPED, turn)] if who else []
        await self._engine.run(
            Op(sql.STOP, {"turn_id": turn}), *audited, *announcement(self._engine, f"{STOP}{turn}")
        )

    async def interrupt(self, inbound: Inbound) -> str | None:
        """Stop what the agent works on in a thread for the person who wrote this message, as long as it waits. The
        turn that is stopped."""
        values = asdict(inbound.address) | {
            "person": inbound.person.id,
            "position": inbound.position,
            "message_key": _keys(inbound)["message_key"],
        }
        [stopped] = await self._engine.run(Op(sql.INTERRUPT, values))
        for (turn,) in stopped:
            if told := announcement(self._engine, f"{STOP}{turn}"):
                await self._engine.run(*told)
            return str(turn)
        return None

    async def seen(self, platform: Platform, since: int, most: int) -> Sequence[Seen]:
        """Threads that people wrote in since then, most recent first."""
        values = {"platform": platform, "since": since, "most": most}
        [rows] = await self._engine.run(Op(sql.SEEN, values))
        return [Seen(Address(*place), newest, bool(direct)) for *place, newest, direct in rows]

    async def _over_budget(self, quotas: Sequence[Quota]) -> OverBudget:
        """Which quota fenced. It may be free again by now."""
        return await used_up(self._engine, quotas) or OverBudget(quotas[0], 0.0)


def _written_at(inbound: Inbound, at: int) -> int:
    """When a message was written, by its platform's clock, as a stored time. What is asked about one is asked now."""
    if inbound.asked_with:
        return at
    if inbound.address.platform == "slack":
        return inbound.position
    return ((inbound.position >> SNOWFLAKE_BITS) + DISCORD_EPOCH) * 1_000


def _message_key(address: Address, message_id: str) -> str:
    return f"{address.platform}:{address.workspace}:{address.channel}:{message_id}"


def _keys(inbound: Inbound) -> dict[str, str]:
    return {
        "event_key": f"{inbound.address.platform}:{inbound.event_id}",
        "message_key": _message_key(inbound.address, inbound.message_id)
        + (f":{inbound.asked_with}" if inbound.asked_with else ""),
    }


def _digests(inbound: Inbound) -> dict[str, str]:
    keys = _keys(inbound)
    return {
        "message_digest": key_digest(keys["message_key"]),
        "event_digest": key_digest(keys["event_key"]),
    }


def _turn(turn: str, inbound: Inbound, at: int) -> dict[str, object]:
    return {
        "id": turn,
        **_keys(inbound),
        "message_id": inbound.message_id,
        "position": inbound.position,
        "person": inbound.person.id,
        "person_name": storable(inbound.person.name[:MAX_NAME]),
        "person_workspace": inbound.person.workspace,
        "person_roles": roles_json(inbound.person.roles),
        "asked_by": None,
        "text": storable(inbound.text),
        "files": files_json(inbound.files),
        "heard": None,
        "direct": inbound.direct,
        "mid_thread": inbound.mid_thread,
        "received_at": at,
        "retry_of": None,
        "asked_as": None,
        "chosen": None,
        "start": None,
        "decision": None,
        "traceparent": tracing.traceparent(),
    }
