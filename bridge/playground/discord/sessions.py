"""The gateway's memory: who is identified with which intents, and what each was sent, so that it can resume."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Protocol

from bridge.playground.discord.model import Json
from bridge.playground.discord.snowflake import UNIQUE_BITS, Clock

MAX_REPLAY = 1_000  # events kept for a resume; Discord doesn't say how many it keeps
MAX_SESSIONS = 100  # the oldest is forgotten first
MAX_STARTS = 1_000  # sessions that may be begun in a day (documented); one more resets the token
DAY = 86_400.0  # seconds
MAX_GUILDS = 2_500  # that one shard may hear (documented)
RESUME_WITHIN = 180.0  # seconds that a session outlives its connection; seen, not documented


class Intent(IntFlag):
    GUILDS = 1 << 0
    GUILD_MEMBERS = 1 << 1
    GUILD_PRESENCES = 1 << 8
    GUILD_MESSAGES = 1 << 9
    GUILD_REACTIONS = 1 << 10
    GUILD_TYPING = 1 << 11
    DIRECT_MESSAGES = 1 << 12
    DIRECT_REACTIONS = 1 << 13
    DIRECT_TYPING = 1 << 14
    MESSAGE_CONTENT = 1 << 15


ALL_INTENTS = (1 << 26) - 1

DISPATCH, HEARTBEAT, IDENTIFY, RESUME, RECONNECT = 0, 1, 2, 6, 7
REQUEST_MEMBERS, INVALID_SESSION, HELLO, HEARTBEAT_ACK = 8, 9, 10, 11


class Link(Protocol):
    """The connection that a session is on."""

    silent: bool

    def push(self, frame: Json) -> None: ...

    def close(self, code: int, reason: str = "") -> None: ...

    def cut(self) -> None: ...


@dataclass(slots=True)
class Session:
    """A client that identified. It goes on without a connection for a while."""

    intents: Intent
    shard: tuple[int, int]
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    sequence: int = 0
    link: Link | None = None
    left: float | None = None  # when its connection was lost
    sent: deque[Json] = field(default_factory=lambda: deque(maxlen=MAX_REPLAY))

    def wants(self, intent: Intent | None, guild_id: int | None) -> bool:
        if intent is not None and not self.intents & intent:
            return False
        number, count = self.shard
        return number == (0 if guild_id is None else (guild_id >> UNIQUE_BITS) % count)

    def dispatch(self, event: str, data: Json) -> None:
        self.sequence += 1
        frame = {"op": DISPATCH, "s": self.sequence, "t": event, "d": data}
        self.sent.append(frame)
        self.deliver(frame)

    def deliver(self, frame: Json) -> None:
        if self.link is not None and not self.link.silent:
            self.link.push(frame)

    def missed_since(self, sequence: int) -> list[Json] | None:
        """What was sent after that number, or None when it is no longer known."""
        if sequence > self.sequence:
            return None
        oldest = self.sent[0]["s"] if self.sent else self.sequence + 1
        if sequence < oldest - 1:
            return None
        return [frame for frame in self.sent if frame["s"] > sequence]


class Gateway:
    """Every session of the bot, and the troubles a gateway can make. The troubles hit the connections of now;
    a client that connects again is served well."""

    def __init__(self, clock: Clock, stir: Callable[[], None]) -> None:
        self._clock = clock
        self._stir = stir
        self.sessions: dict[str, Session] = {}
        self.links: set[Link] = set()
        self.identified = 0  # how often a client identified, and resumed, since the world began
        self.resumed = 0
        self.starts = MAX_STARTS  # sessions that may still be begun
        self.more_starts_at = clock() + DAY
        self._refuse_resumes = 0
        self._begun: dict[int, float] = {}  # when a session of each bucket was begun last

    @property
    def connected(self) -> bool:
        """Whether a client is identified and on line."""
        return any(session.link is not None for session in self.sessions.values())

    def dispatch(
        self, event: str, data: Callable[[Session], Json], *, intent: Intent | None, guild_id: int | None
    ) -> None:
        """Send an event to every session that asked for its kind, as each may see it."""
        for session in list(self.sessions.values()):
            if session.wants(intent, guild_id):
                session.dispatch(event, data(session))

    def drop(self, code: int | None = None) -> None:
        """Close every connection with this code, or without any, as a broken network does."""
        for link in list(self.links):
            if code is None:
                link.cut()
            else:
                link.close(code)

    def go_silent(self) -> None:
        """Keep the connections, but send nothing more on them: no event, no heartbeat's acknowledgement."""
        for link in self.links:
            link.silent = True

    def ask_to_reconnect(self) -> None:
        """Send op 7."""
        for link in list(self.links):
            link.push({"op": RECONNECT, "d": None})

    def invalidate(self, *, resumable: bool = False) -> None:
        """Send op 9. Sessions that aren't resumable are forgotten, with all that they still had to get."""
        for session in list(self.sessions.values()):
            if session.link is not None:
                session.link.push({"op": INVALID_SESSION, "d": resumable})
            if not resumable:
                self.forget(session)

    def refuse_resumes(self, times: int = 1) -> None:
        """Answer the next attempts to resume with op 9."""
        self._refuse_resumes = times

    def repeat_last(self) -> None:
        """Deliver each session's last event once more."""
        for session in self.sessions.values():
            if session.sent:
                session.deliver(session.sent[-1])

    def count_start(self) -> bool:
        """Whether one more session may be begun. Who begins too many loses the token."""
        if self._clock() >= self.more_starts_at:
            self.starts, self.more_starts_at = MAX_STARTS, self._clock() + DAY
        self.starts -= 1
        return self.starts >= 0

    def take_slot(self, bucket: int, apart: float) -> bool:
        """Whether a session of this bucket may begin, so many seconds after the one before."""
        now = self._clock()
        if now - self._begun.get(bucket, -apart) < apart:
            return False
        self._begun[bucket] = now
        return True

    def open(self, link: Link, intents: Intent, shard: tuple[int, int]) -> Session:
        """A client identified."""
        while len(self.sessions) >= MAX_SESSIONS:
            self.forget(next(iter(self.sessions.values())))
        session = Session(intents, shard)
        self.sessions[session.id] = session
        self._attach(session, link)
        self.identified += 1
        return session

    def resume(self, link: Link, session_id: str, sequence: int) -> tuple[Session, list[Json]] | None:
        """A client comes back: its session and what it missed, or None when it must identify anew."""
        if self._refuse_resumes:
            self._refuse_resumes -= 1
            return None
        session = self.sessions.get(session_id)
        if session is None:
            return None
        gone_too_long = session.left is not None and self._clock() - session.left > RESUME_WITHIN
        missed = session.missed_since(sequence)
        if gone_too_long or missed is None:
            self.forget(session)
            return None
        if session.link is not None and session.link is not link:
            session.link.close(4000, "Resumed elsewhere")
        self._attach(session, link)
        self.resumed += 1
        return session, missed

    def leave(self, session: Session, link: Link) -> None:
        """The connection is gone; the session waits to be resumed."""
        if session.link is link:
            session.link = None
            session.left = self._clock()
        self._stir()

    def forget(self, session: Session) -> None:
        self.sessions.pop(session.id, None)
        session.link = None

    def _attach(self, session: Session, link: Link) -> None:
        session.link = link
        session.left = None
        self._stir()
