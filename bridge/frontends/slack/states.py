"""The state of an installation's way through Slack: signed, bound to a browser, good for minutes. No I/O.

Nothing is stored for one until it comes back, so that whoever asks for many costs nothing; that it comes back once is
for the store to hold.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Callable
from secrets import token_urlsafe

LIFE = 600  # seconds
_PURPOSE = b"threadbridge slack installation"
_STATE = re.compile(r"([0-9]{1,12})\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})")
_BROWSER = re.compile(r"[A-Za-z0-9_-]{43}")


class States:
    """Signed by the app's client secret, which every replica has."""

    def __init__(self, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._key = hmac.digest(secret.encode(), _PURPOSE, hashlib.sha256)
        self._clock = clock

    def issue(self, browser: str) -> str:
        until, once = int(self._clock()) + LIFE, token_urlsafe(16)
        return f"{until}.{once}.{self._signature(until, once, browser)}"

    def until(self, state: str, browser: str) -> float | None:
        """When it ends, seconds since 1970; None of one that isn't ours, isn't this browser's or is too old."""
        found = _STATE.fullmatch(state)
        if found is None or not is_browser(browser):
            return None
        until = int(found[1])
        signed = hmac.compare_digest(self._signature(until, found[2], browser), found[3])
        return float(until) if signed and self._clock() < until else None

    def _signature(self, until: int, once: str, browser: str) -> str:
        signed = hmac.digest(self._key, f"{until}.{once}.{browser}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(signed).rstrip(b"=").decode("ascii")


def new_browser() -> str:
    """What a browser is known by, in a cookie."""
    return token_urlsafe(32)


def is_browser(cookie: str) -> bool:
    return _BROWSER.fullmatch(cookie) is not None
