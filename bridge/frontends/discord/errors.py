"""What discord.py raises, told apart as a `SurfaceError`: by Discord's error code first, else by the status."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import aiohttp
import discord

from bridge.frontends.discord.calls import retry_after
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
# What it raises where an answer isn't what Discord documents: JSON that is none, a field that is missing.
UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, discord.InvalidData)

DEFAULT_RETRY_AFTER = 30.0  # seconds, for a 429 that doesn't say


class UnknownAnswer(Unreachable):
    """Not a success, and no refusal that is documented: perhaps not even Discord's. The same call may be repeated,
    a few times."""


# Discord's JSON error codes.
UNKNOWN_CHANNEL = 10003
UNKNOWN_MESSAGE = 10008
MISSING_ACCESS = 50001
MISSING_PERMISSIONS = 50013
ARCHIVED = 50083
THREAD_EXISTS = 160004
THREAD_LOCKED = 160005
TITLE_BLOCKED = 200001

BY_CODE: Mapping[int, type[SurfaceError]] = {
    UNKNOWN_CHANNEL: Gone,
    10004: Gone,  # unknown guild
    UNKNOWN_MESSAGE: Gone,
    10007: Gone,  # unknown member
    10013: Gone,  # unknown user
    20009: Refused,  # explicit content
    20016: Throttled,  # slow mode
    20022: Throttled,  # announcements may be edited so often
    20028: Throttled,  # the channel's writes
    20029: Throttled,  # the server's writes
    30010: Refused,  # reactions of one message
    30033: Refused,  # members of one thread
    30046: PartFull,  # too many edits of a message that is over an hour old
    40003: Throttled,  # direct messages are opened too fast
    40004: Unreachable,  # sending is switched off for a while
    40005: Refused,  # the request is too large
    40006: Unreachable,  # a feature is switched off for a while
    40333: Unreachable,  # blocked on the way, by Cloudflare
    MISSING_ACCESS: Gone,
    50005: Gone,  # someone else's message
    50006: Refused,  # an empty message
    50007: Gone,  # this person takes no direct messages
    50008: Gone,  # a channel without messages
    50009: Gone,  # the channel's verification level
    MISSING_PERMISSIONS: Gone,
    50021: Refused,  # a system message
    50024: Refused,  # not in a channel of this type
    50035: Refused,  # invalid form body: too long, a wrong type
    50055: Gone,  # invalid guild
    50068: Refused,  # invalid message type
    ARCHIVED: Gone,  # and it could not be opened again
    50278: Gone,  # no server in common with this person
    90001: Refused,  # the reaction is blocked
    130000: Unreachable,  # overloaded
    160002: Gone,  # a reply without the right to read
    THREAD_EXISTS: Refused,
    THREAD_LOCKED: Gone,
    160006: Refused,  # too many open threads
    200000: Refused,  # blocked by AutoMod
    TITLE_BLOCKED: Refused,  # the title was blocked by AutoMod
    240000: Refused,  # a harmful link
}
BY_STATUS: Mapping[int, type[SurfaceError]] = {
    # The token was changed: the gateway says so too, and a process with the new one goes on.
    401: Unreachable,
    408: Unreachable,
    413: Refused,  # said by what stands before Discord
    429: Throttled,
}


def kind(status: int, code: int) -> type[SurfaceError]:
    """What an answer of Discord's means for the reply."""
    if status >= 500:
        return Unreachable
    return BY_CODE.get(code) or BY_STATUS.get(status) or UnknownAnswer


def surface_error(error: Exception, call: str) -> SurfaceError:
    """The `SurfaceError` for one of `SDK_ERRORS`. Holds neither text of people nor addresses."""
    if isinstance(error, discord.RateLimited):
        return Throttled(f"{call}: over the rate limit", error.retry_after)
    if not isinstance(error, discord.HTTPException):
        return Unreachable(f"{call}: {type(error).__name__}")
    meaning = kind(error.status, error.code)
    detail = f"{call}: HTTP {error.status}, code {error.code}"
    if meaning is Throttled:
        return Throttled(detail, retry_after(error.response.headers.get("Retry-After"), DEFAULT_RETRY_AFTER))
    return meaning(detail)


@contextmanager
def told_apart(call: str) -> Iterator[None]:
    """Raises what the SDK raises inside as a `SurfaceError`. `call` names what was tried, for the log."""
    try:
        yield
    except SDK_ERRORS as error:
        raise surface_error(error, call) from error
    except UNREADABLE as error:
        raise UnknownAnswer(f"{call}: an answer that can't be read ({type(error).__name__})") from error


def code_of(error: SurfaceError) -> int:
    """Discord's own code of what became this error, 0 if it gave none."""
    return error.__cause__.code if isinstance(error.__cause__, discord.HTTPException) else 0
