"""Rate limits: windows that begin with their first request, and the headers that tell the client about them."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

from bridge.playground.discord.errors import ApiError
from bridge.playground.discord.snowflake import Clock

MAX_WINDOWS = 5_000  # windows kept at once; the oldest go first


@dataclass(frozen=True, slots=True)
class Bucket:
    """So many requests in so many seconds, for each channel, webhook or whatever its routes name."""

    name: str
    limit: int
    window: float


# Discord publishes none of these numbers; they are what its headers have been seen to say.
SEND = Bucket("send", 5, 5.0)
EDIT = Bucket("edit", 5, 5.0)
DELETE = Bucket("delete", 5, 1.0)
TYPING = Bucket("typing", 5, 5.0)
REACT = Bucket("react", 1, 0.25)
OPEN_THREAD = Bucket("open-thread", 50, 300.0)
CHANGE_CHANNEL = Bucket("change-channel", 10, 15.0)
WEBHOOK = Bucket("webhook", 5, 2.0)
EVERYTHING = Bucket("everything", 50, 1.0)  # documented: 50 requests a second, for the whole bot
OLD_EDIT = Bucket("old-edit", 3, 60.0)  # code 30046; the true number is secret and small
OLD = 3600.0  # seconds after which a message is old


@dataclass(slots=True)
class _Window:
    used: int
    ends: float


class Limits:
    """Counts requests. With a `rate` of 100 every window is a hundred times shorter; None turns limits off."""

    def __init__(self, clock: Clock, rate: float | None = 1.0) -> None:
        self._clock = clock
        self.rate = rate
        self._windows: dict[str, _Window] = {}

    def take(self, bucket: Bucket, major: str) -> dict[str, str]:
        """Count one request. Returns the answer's headers; raises 429 when the window is used up."""
        if self.rate is None:
            return {}
        window = self._window(bucket, major)
        left = window.ends - self._clock()
        headers = {
            "X-RateLimit-Limit": str(bucket.limit),
            "X-RateLimit-Remaining": str(max(bucket.limit - window.used - 1, 0)),
            "X-RateLimit-Reset": f"{window.ends:.3f}",
            "X-RateLimit-Reset-After": f"{math.ceil(left * 1000) / 1000:.3f}",
            "X-RateLimit-Bucket": hashlib.md5(bucket.name.encode()).hexdigest(),
        }
        if window.used >= bucket.limit:
            raise too_many_requests(left, headers=headers)
        window.used += 1
        return headers

    def take_global(self) -> None:
        """Count one request of the whole bot; raises 429 when it made too many in this second."""
        if self.rate is None:
            return
        window = self._window(EVERYTHING, "")
        if window.used >= EVERYTHING.limit:
            raise too_many_requests(window.ends - self._clock(), everywhere=True)
        window.used += 1

    def take_old_edit(self, channel: str) -> None:
        """Count an edit of a message that is over an hour old; raises code 30046 when there were too many."""
        if self.rate is None:
            return
        window = self._window(OLD_EDIT, channel)
        if window.used >= OLD_EDIT.limit:
            raise too_many_requests(
                window.ends - self._clock(),
                code=30046,
                message="Maximum number of edits to messages older than 1 hour reached. Try again later.",
            )
        window.used += 1

    def _window(self, bucket: Bucket, major: str) -> _Window:
        key = f"{bucket.name}:{major}"
        now = self._clock()
        window = self._windows.pop(key, None)
        if window is None or window.ends <= now:
            window = _Window(0, now + bucket.window / (self.rate or 1.0))
        self._windows[key] = window
        if len(self._windows) > MAX_WINDOWS:
            del self._windows[next(iter(self._windows))]
        return window


def too_many_requests(
    retry_after: float,
    *,
    everywhere: bool = False,
    code: int = 0,
    message: str = "You are being rate limited.",
    headers: dict[str, str] | None = None,
) -> ApiError:
    """A 429. `Via` tells the SDKs that it comes from Discord itself and not from a ban further out."""
    shown = {**(headers or {}), "Retry-After": str(math.ceil(retry_after)), "Via": "1.1 simulator"}
    shown["X-RateLimit-Scope"] = "global" if everywhere else "user"
    if everywhere:
        shown["X-RateLimit-Global"] = "true"
    extra = {"retry_after": math.ceil(max(retry_after, 0.001) * 1000) / 1000, "global": everywhere}
    return ApiError(429, code, message, extra=extra, headers=shown)
