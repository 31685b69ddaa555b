"""Who serves which shard of Discord's gateway. Implements `bridge.sharding.ShardDesk`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from bridge.sharding import Claimed, Held, Session, Sharing
from bridge.store import statements as sql
from bridge.store.engine import Engine, Fenced, Op, persist
from bridge.store.tables import SECOND, now

RESUMABLE_FOR = 180 * SECOND  # Discord keeps a session for some minutes; a refused try costs little


class Shards:
    def __init__(self, engine: Engine, replica: str) -> None:
        self.replica = replica
        self._engine = engine

    async def agree(self, application: str, count: int, *, exact: bool) -> int:
        while True:
            wanted: Mapping[str, object] = {"application": application, "count": count, "exact": exact}
            ((agreed,),), *_ = await persist(partial(self._engine.run, Op(sql.AGREE, wanted)))
            this = {"application": application, "count": agreed}
            try:
                await self._engine.run(
                    Op(sql.STILL_AGREED, this),
                    Op(sql.DROP_SHARDS, this),
                    Op(sql.FORGET_SERVERS, this | {"replica": self.replica}),  # they died without a word
                    *(Op(sql.PUT_SHARD, this | {"number": number}) for number in range(agreed)),
                )
            except Fenced:  # another replica has just asked for another count
                count, exact = agreed, False
                continue
            return int(agreed)

    async def look(self, application: str) -> Sharing:
        me = {"application": application, "replica": self.replica}
        _, ((count,),), servers = await self._engine.run(
            Op(sql.SERVE_SHARDS, me), Op(sql.PLANNED, {"application": application}), Op(sql.SERVERS, me)
        )
        (rows,) = await self._engine.run(Op(sql.SHARDS, {"application": application, "count": count}))
        shards = [Held(number, owner, token) for number, owner, token in rows]
        return Sharing(count, [replica for (replica,) in servers], shards)

    async def claim(self, application: str, count: int, shard: Held) -> Claimed | None:
        values = {"application": application, "count": count, "number": shard.number, "token": shard.token}
        (rows,) = await self._engine.run(Op(sql.CLAIM_SHARD, values | {"replica": self.replica}))
        if not rows:
            return None
        token, session, sequence, url, intents, heard_at = rows[0]
        alive = session is not None and now() - heard_at < RESUMABLE_FOR
        return Claimed(shard.number, token, Session(session, sequence, url, intents) if alive else None)

    async def keep(self, application: str, shard: Claimed, session: Session | None) -> bool:
        ours = self._ours(application, shard)
        op = Op(sql.HOLD_SHARD, ours) if session is None else Op(sql.KEEP_SHARD, ours | _values(session))
        (rows,) = await self._engine.run(op)
        return bool(rows)

    async def give_back(self, application: str, shard: Claimed, session: Session | None) -> None:
        ours = self._ours(application, shard)
        kept = () if session is None else (Op(sql.KEEP_SHARD, ours | _values(session)),)
        await self._engine.run(*kept, Op(sql.GIVE_SHARD_BACK, ours))

    async def leave(self, application: str) -> None:
        me = {"application": application, "replica": self.replica}
        await self._engine.run(Op(sql.SERVE_NO_SHARDS, me), Op(sql.FORGET_SERVERS, me))

    async def start_in(self, application: str, bucket: int, apart: float) -> float:
        at = now()
        values = {"application": application, "bucket": bucket, "at": at, "apart": round(apart * SECOND)}
        (((slot,),),) = await self._engine.run(Op(sql.START_SLOT, values))
        return float(max(0, slot - at) / SECOND)

    def _ours(self, application: str, shard: Claimed) -> dict[str, object]:
        return {
            "application": application,
            "number": shard.number,
            "replica": self.replica,
            "token": shard.token,
        }


def _values(session: Session) -> dict[str, object]:
    return {
        "session": session.id,
        "sequence": session.sequence,
        "url": session.url,
        "intents": session.intents,
        "at": now(),
    }
