"""Who is at the page: the token of the settings opens a session, which a signed cookie carries. No I/O.

The key is made of the token: every replica knows every session, a restart ends none, and a new token ends all.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass

from cachetools import TTLCache
from pydantic import SecretStr

LASTS = 8 * 3600  # seconds: a day's work
REMEMBERED = 1_000  # sessions that were ended before their time
FREE_TRIES = 5  # with a wrong token, from one address; then each costs a pause
LONGEST_PAUSE = 60.0  # seconds
FORGIVEN_AFTER = 900.0  # seconds without a try
WATCHED = 1_000  # addresses

_COOKIE = re.compile(r"([0-9]{10,12})\.([0-9a-f]{32})\.([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Session:
    id: str
    ends_at: int  # seconds since 1970


class Sessions:
    def __init__(self, token: SecretStr, clock: Callable[[], float] = time.time) -> None:
        self._token = token.get_secret_value().encode()
        self._key = hmac.digest(self._token, b"the operator's page of threadbridge", "sha256")
        self._clock = clock
        self._ended: MutableMapping[str, bool] = TTLCache(REMEMBERED, LASTS, clock)

    def is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token)

    def begin(self) -> str:
        """The cookie of a new session."""
        body = f"{round(self._clock()) + LASTS}.{secrets.token_hex(16)}"
        return f"{body}.{self._mac('session', body)}"

    def read(self, cookie: str) -> Session | None:
        """None for what isn't ours, is over or was ended."""
        found = _COOKIE.fullmatch(cookie)
        if found is None:
            return None
        ends, name, mac = found.groups()
        if not hmac.compare_digest(mac, self._mac("session", f"{ends}.{name}")):
            return None
        return None if self._clock() >= int(ends) or name in self._ended else Session(name, int(ends))

    def end(self, session: Session) -> None:
        self._ended[session.id] = True

    def proof(self, session: Session) -> str:
        """Stands in each form, so that no other page can send one."""
        return self._mac("form", session.id)

    def is_proof(self, session: Session, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.proof(session).encode())

    def _mac(self, use: str, text: str) -> str:
        return hmac.digest(self._key, f"{use}:{text}".encode(), "sha256").hex()


class Tries:
    """Slows down whoever guesses, by address. So many addresses are remembered as memory is given for."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: MutableMapping[str, tuple[int, float]] = TTLCache(WATCHED, FORGIVEN_AFTER, clock)

    def pause(self, address: str) -> float:
        """Seconds until the next try from there is looked at."""
        count, last = self._wrong.get(address, (0, 0.0))
        if count < FREE_TRIES:
            return 0.0
        pause = min(LONGEST_PAUSE, 2.0 ** (count - FREE_TRIES + 1))
        return max(0.0, last + pause - self._clock())

    def wrong(self, address: str) -> None:
        count, _ = self._wrong.get(address, (0, 0.0))
        self._wrong[address] = min(count + 1, FREE_TRIES + 10), self._clock()

    def right(self, address: str) -> None:
        self._wrong.pop(address, None)
