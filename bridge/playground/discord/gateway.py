"""The gateway's websocket: identifying, resuming, heartbeats, compression."""

from __future__ import annotations

import asyncio
import json
from enum import IntEnum
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from adapters.testing.serving import hang_up
from bridge.playground.discord import payloads
from bridge.playground.discord.compression import choose_encoder
from bridge.playground.discord.model import Json
from bridge.playground.discord.rest import learn_base_url
from bridge.playground.discord.routes.about import gateway_url
from bridge.playground.discord.sessions import (
    ALL_INTENTS,
    HEARTBEAT,
    HEARTBEAT_ACK,
    HELLO,
    IDENTIFY,
    INVALID_SESSION,
    REQUEST_MEMBERS,
    RESUME,
    Intent,
    Session,
)
from bridge.playground.discord.snowflake import UNIQUE_BITS
from bridge.playground.discord.state import State

VERSIONS = ("9", "10")
MAX_WAITING = 10_000  # frames kept for a client that doesn't read; then its connection is closed
MAX_FRAMES = (120, 60.0)  # frames of a client in so many seconds (documented)
# No network is quicker, and discord.py notes a heartbeat's time only after it was sent: an acknowledgement that
# overtakes that looks to it like one of the heartbeat before.
ACKNOWLEDGED_AFTER = 0.02  # seconds
PATIENCE = 2.0  # heartbeats that may be missed before the connection counts as dead
MAX_CHUNK = 1000  # members of one GUILD_MEMBERS_CHUNK (documented)

IGNORED_OPS = (3, 4)  # presence and voice


class CloseCode(IntEnum):
    """Discord's documented reasons to close a connection."""

    UNKNOWN_OP = 4001
    DECODE_ERROR = 4002
    NOT_IDENTIFIED = 4003
    WRONG_TOKEN = 4004
    IDENTIFIED_TWICE = 4005
    TOO_FAST = 4008
    TIMED_OUT = 4009
    WRONG_SHARD = 4010
    SHARDS_REQUIRED = 4011
    WRONG_VERSION = 4012
    WRONG_INTENTS = 4013
    FORBIDDEN_INTENTS = 4014


class Refused(Exception):
    """The connection has to be closed with a code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Connection:
    """One websocket and the session that is on it."""

    def __init__(self, world: State, websocket: WebSocket) -> None:
        self._world = world
        self._websocket = websocket
        self._encoder = choose_encoder(websocket.query_params.get("compress"))
        self._outgoing: asyncio.Queue[Json | Refused] = asyncio.Queue(MAX_WAITING)
        self._session: Session | None = None
        self._came: list[float] = []
        self._closing = False
        self.silent = False

    def push(self, frame: Json | Refused) -> None:
        """Send a frame when its turn comes. A client that doesn't read loses its connection, not the frame."""
        try:
            self._outgoing.put_nowait(frame)
        except asyncio.QueueFull:
            self.cut()

    def close(self, code: int, reason: str = "") -> None:
        """Say goodbye when all that waits has been sent."""
        self.push(Refused(code, reason))

    def cut(self) -> None:
        """Break the connection without a goodbye."""
        hang_up(self._websocket.scope)

    async def serve(self) -> None:
        """Talk until either side closes."""
        world = self._world
        await self._websocket.accept()
        learn_base_url(world, self._websocket)
        world.gateway.links.add(self)
        self.push({"op": HELLO, "d": {"heartbeat_interval": int(world.times.heartbeat * 1000), "_trace": []}})
        try:
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(self._read())
                writing = tasks.create_task(self._write())
                await asyncio.wait((reading, writing), return_when=asyncio.FIRST_COMPLETED)
                reading.cancel()
                writing.cancel()
        finally:
            world.gateway.links.discard(self)
            if self._session is not None:
                world.gateway.leave(self._session, self)

    async def _write(self) -> None:
        while True:
            frame = await self._outgoing.get()
            try:
                if isinstance(frame, Refused):
                    self._closing = True
                    await self._websocket.close(frame.code, frame.reason)
                    return
                encoded = self._encoder.encode(frame)
                if isinstance(encoded, str):
                    await self._websocket.send_text(encoded)
                else:
                    await self._websocket.send_bytes(encoded)
            except (WebSocketDisconnect, RuntimeError):
                return

    async def _read(self) -> None:
        try:
            if self._websocket.query_params.get("v") not in VERSIONS:
                raise Refused(CloseCode.WRONG_VERSION, "Invalid API version.")
            while True:
                async with asyncio.timeout(self._world.times.heartbeat * PATIENCE):
                    received = await self._websocket.receive()
                if received["type"] == "websocket.disconnect":
                    self._went(received.get("code"))
                    return
                self._count()
                self._handle(_parse(received.get("text") or received.get("bytes") or b""))
        except TimeoutError:
            self.close(CloseCode.TIMED_OUT, "Session timed out.")
        except (TypeError, ValueError):
            self.close(CloseCode.DECODE_ERROR, "Error while decoding payload.")
        except Refused as refusal:
            self.close(refusal.code, refusal.reason)
        await asyncio.Event().wait()  # until the goodbye is written

    def _went(self, code: int | None) -> None:
        """The client closed. With one of these codes it doesn't mean to come back."""
        if code in (1000, 1001) and not self._closing and self._session is not None:
            self._world.gateway.forget(self._session)

    def _count(self) -> None:
        most, window = MAX_FRAMES
        now = self._world.clock()
        self._came = [*(at for at in self._came if now - at < window), now]
        if len(self._came) > most:
            raise Refused(CloseCode.TOO_FAST, "You are being rate limited.")

    def _handle(self, frame: Json) -> None:
        op = frame.get("op")
        data: Json = frame["d"] if isinstance(frame.get("d"), dict) else {}
        if op == HEARTBEAT:
            if not self.silent:
                loop = asyncio.get_running_loop()
                loop.call_later(ACKNOWLEDGED_AFTER, self.push, {"op": HEARTBEAT_ACK, "d": None})
        elif op == IDENTIFY:
            self._identify(data)
        elif op == RESUME:
            self._resume(data)
        elif op not in (REQUEST_MEMBERS, *IGNORED_OPS):
            raise Refused(CloseCode.UNKNOWN_OP, "Unknown opcode.")
        elif self._session is None:
            raise Refused(CloseCode.NOT_IDENTIFIED, "Not authenticated.")
        elif op == REQUEST_MEMBERS:
            self._send_members(self._session, data)

    def _identify(self, data: Json) -> None:
        world = self._world
        if self._session is not None:
            raise Refused(CloseCode.IDENTIFIED_TWICE, "Already authenticated.")
        if data.get("token") != world.token:
            raise Refused(CloseCode.WRONG_TOKEN, "Authentication failed.")
        intents, shard = self._intents(data), _shard(data)
        number, count = shard
        if count > 1 and world.limits.rate is not None:
            apart = world.times.between_starts / world.limits.rate
            if not world.gateway.take_slot(number % world.max_concurrency, apart):
                self.push({"op": INVALID_SESSION, "d": False})
                return
        heard = sum((guild.id >> UNIQUE_BITS) % count == number for guild in world.bot_guilds())
        if heard > world.guilds_a_shard:
            raise Refused(CloseCode.SHARDS_REQUIRED, "Sharding required.")
        if not world.gateway.count_start():
            world.token = f"{world.token}-reset"
            raise Refused(CloseCode.WRONG_TOKEN, "Authentication failed.")
        session = world.gateway.open(self, intents, shard)
        self._session = session
        guilds = [guild for guild in world.bot_guilds() if session.wants(None, guild.id)]
        session.dispatch(
            "READY",
            {
                "v": 10,
                "user": payloads.user_json(world.bot) | {"verified": True, "mfa_enabled": False, "flags": 0},
                "guilds": [{"id": str(guild.id), "unavailable": True} for guild in guilds],
                "session_id": session.id,
                "session_type": "normal",
                "resume_gateway_url": gateway_url(world),
                "shard": list(session.shard),
                "application": {
                    "id": str(world.application_id),
                    "flags": payloads.application_json(world)["flags"],
                },
                "private_channels": [],
                "relationships": [],
                "presences": [],
                "user_settings": {},
                "_trace": [],
            },
        )
        if session.intents & Intent.GUILDS:
            for guild in guilds:
                session.dispatch("GUILD_CREATE", payloads.guild_create_json(world, guild))

    def _intents(self, data: Json) -> Intent:
        wanted = data.get("intents")
        if not isinstance(wanted, int) or wanted & ~ALL_INTENTS:
            raise Refused(CloseCode.WRONG_INTENTS, "Invalid intent(s).")
        intents = Intent(wanted & int(~Intent(0)))
        forbidden = Intent(0)
        if not self._world.message_content:
            forbidden |= Intent.MESSAGE_CONTENT
        if not self._world.members_intent:
            forbidden |= Intent.GUILD_MEMBERS
        if intents & forbidden:
            raise Refused(CloseCode.FORBIDDEN_INTENTS, "Disallowed intent(s).")
        return intents

    def _resume(self, data: Json) -> None:
        if self._session is not None:
            raise Refused(CloseCode.IDENTIFIED_TWICE, "Already authenticated.")
        if data.get("token") != self._world.token:
            raise Refused(CloseCode.WRONG_TOKEN, "Authentication failed.")
        found = self._world.gateway.resume(self, str(data.get("session_id")), int(data.get("seq") or 0))
        if found is None:
            self.push({"op": INVALID_SESSION, "d": False})
            return
        self._session, missed = found
        for frame in missed:
            self.push(frame)
        self._session.dispatch("RESUMED", {"_trace": []})

    def _send_members(self, session: Session, data: Json) -> None:
        world = self._world
        guild = world.guilds.get(int(data.get("guild_id", 0)))
        if guild is None:
            return
        wanted = {int(user_id) for user_id in data.get("user_ids") or ()}
        query = str(data.get("query") or "").lower()
        found = [
            world.users[user_id]
            for user_id in guild.members
            if (not wanted or user_id in wanted) and world.users[user_id].name.lower().startswith(query)
        ]
        chunk: Json = {
            "guild_id": str(guild.id),
            "members": [payloads.member_json(world, guild, user) for user in found[:MAX_CHUNK]],
            "chunk_index": 0,
            "chunk_count": 1,
            "not_found": [str(user_id) for user_id in wanted - set(guild.members)],
        }
        if "nonce" in data:
            chunk["nonce"] = data["nonce"]
        session.dispatch("GUILD_MEMBERS_CHUNK", chunk)


def _parse(text: str | bytes) -> Json:
    try:
        frame: Any = json.loads(text)
    except ValueError:
        raise Refused(CloseCode.DECODE_ERROR, "Error while decoding payload.") from None
    if not isinstance(frame, dict):
        raise Refused(CloseCode.DECODE_ERROR, "Error while decoding payload.")
    return frame


def _shard(data: Json) -> tuple[int, int]:
    match data.get("shard", [0, 1]):
        case [int(number), int(count)] if 0 <= number < count:
            return number, count
    raise Refused(CloseCode.WRONG_SHARD, "Invalid shard.")
