"""What discord.py raises, told apart as a `SurfaceError`: by Discord's error code first, else by the status."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import aiohttp
import discord

from bridge.turns.surface import Gone, PartFull, Refused, SurfaceError, Throttled, Unreachable

# All that a call of the SDK can raise: its own errors, and the transport's as they are. aiohttp raises a
# RuntimeError where the client is closed under a call.
SDK_ERRORS = (
    discord.HTTPException,
    discord.RateLimited,
    aiohttp.ClientError,
    OSError,
    RuntimeError,
    TimeoutError,
)

DEFAULT_RETRY_AFTER = 30.0  # seconds, for a 429 that doesn't say; the shortest that discord.py lets us give up at

# Discord's JSON error codes.
UNKNOWN_CHANNEL = 10003
UNKNOWN_MESSAGE = 10008
ARCHIVED = 50083
THREAD_EXISTS = 160004
THREAD_LOCKED = 160005

BY_CODE: Mapping[int, type[SurfaceError]] = {
    UNKNOWN_CHANNEL: Gone,
    10004: Gone,  # unknown guild
    UNKNOWN_MESSAGE: Gone,
    30046: PartFull,  # too many edits of a message that is over an hour old
    40005: Refused,  # the request is too large
    50001: Gone,  # missing access
    50006: Refused,  # an empty message
    50007: Gone,  # this person takes no direct messages
    50013: Gone,  # missing permissions
    50035: Refused,  # invalid form body: too long, a wrong type
    ARCHIVED: Gone,  # and it could not be opened again
    THREAD_LOCKED: Gone,
    200000: Refused,  # blocked by AutoMod
    200001: Refused,  # the title was blocked by AutoMod
}
BY_STATUS: Mapping[int, type[SurfaceError]] = {
    # The token was changed: the gateway says so too, and a process with the new one goes on.
    401: Unreachable,
    403: Gone,
    404: Gone,
    408: Unreachable,
    429: Throttled,
}


def kind(status: int, code: int) -> type[SurfaceError]:
    """What an answer of Discord's means for the reply."""
    if status >= 500:
        return Unreachable
    if status == 429 and code not in BY_CODE:
        return Throttled
    return BY_CODE.get(code) or BY_STATUS.get(status) or Refused


def surface_error(error: Exception, call: str) -> SurfaceError:
    """The `SurfaceError` for one of `SDK_ERRORS`. Holds neither text of people nor addresses."""
    if isinstance(error, discord.RateLimited):
        return Throttled(f"{call}: over the rate limit", error.retry_after)
    if not isinstance(error, discord.HTTPException):
        return Unreachable(f"{call}: {type(error).__name__}")
    meaning = kind(error.status, error.code)
    detail = f"{call}: HTTP {error.status}, code {error.code}"
    if meaning is Throttled:
        return Throttled(detail, _retry_after(error.response.headers))
    return meaning(detail)


@contextmanager
def told_apart(call: str) -> Iterator[None]:
    """Raises what the SDK raises inside as a `SurfaceError`. `call` names what was tried, for the log."""
    try:
        yield
    except SDK_ERRORS as error:
        raise surface_error(error, call) from error


def _retry_after(headers: Mapping[str, str]) -> float:
    try:
        return max(0.0, float(headers["Retry-After"]))
    except (KeyError, ValueError):
        return DEFAULT_RETRY_AFTER
