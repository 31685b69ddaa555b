"""What a failed try means, whether another may follow, and the tries themselves.

A request either may be repeated or it starts work (`once`). The second kind is sent again only when the backend
can't have begun on it: no connection came about, or it answered 408, 429 or 503. When nobody can tell, that is
`Uncertain`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import httpx
import stamina

from adapters.base import (
    AgentError,
    AuthenticationFailed,
    NotFound,
    ProtocolError,
    RateLimited,
    Rejected,
    TimedOut,
    Unavailable,
    Uncertain,
)
from adapters.http.wire import retry_after
from adapters.sentences import TOO_LARGE, WRONG_TYPE

ATTEMPTS = 4
RETRY_FOR = 45.0  # seconds after the first try, then none is begun
RETRY_FIRST, RETRY_MAX, RETRY_JITTER = 0.3, 5.0, 0.5  # seconds
MAX_RETRY_AFTER = 20.0  # seconds; a backend that wants more is for the caller to wait for

NOT_TAKEN = (Unavailable, RateLimited)  # what says so of a request that starts work

T = TypeVar("T")

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


class ServerFailed(Uncertain):
    """500 for a request that starts work: the backend had it and failed on it, and may have kept it."""

    sentence = "The agent ran into an error, and may or may not have worked on your message."


class WrongAddress(ProtocolError):
    """What is to be asked isn't an address that a request can be sent to, so nothing was."""


class Failed(Exception):
    """One try failed. `again`: whether another may follow, or after how many seconds."""

    def __init__(self, error: AgentError, *, again: bool | float = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.again = again


async def tries(send: Callable[[], Awaitable[T]]) -> T:
    """What `send` returns, after as many tries as its `Failed` allow. Raises the last one's `AgentError`."""
    try:
        async for attempt in stamina.retry_context(
            on=_again,
            attempts=ATTEMPTS,
            timeout=RETRY_FOR,
            wait_initial=RETRY_FIRST,
            wait_max=RETRY_MAX,
            wait_jitter=RETRY_JITTER,
        ):
            with attempt:
                return await send()
    except Failed as failed:
        raise failed.error from failed.__cause__
    raise AssertionError("unreachable")


def unanswered(error: httpx.HTTPError, detail: str, *, once: bool) -> Failed:
    """No answer came, or only a part of it. `detail` must hold no secret."""
    if isinstance(error, httpx.UnsupportedProtocol):
        return Failed(WrongAddress(detail))
    if isinstance(error, httpx.DecodingError):
        return Failed(ProtocolError(detail))
    if isinstance(error, _NOT_SENT):
        return Failed(Unavailable(detail), again=True)
    if once:
        return Failed(Uncertain(detail))
    if isinstance(error, httpx.TimeoutException):
        return Failed(TimedOut(detail), again=True)
    return Failed(Unavailable(detail), again=True)


def refused(status: int, headers: Mapping[str, str], detail: str, *, once: bool) -> Failed:
    """A whole answer came, with a bad status. `detail` must hold no secret."""
    failed = _refused(status, headers, detail, once=once)
    failed.error.status = status
    return failed


def _refused(status: int, headers: Mapping[str, str], detail: str, *, once: bool) -> Failed:
    wait = retry_after(headers)
    again: bool | float = True if wait is None else wait if wait <= MAX_RETRY_AFTER else False
    if status in {401, 403}:
        return Failed(AuthenticationFailed(detail))
    if status in {404, 410}:
        return Failed(NotFound(detail))
    if status == 413:
        return Failed(Rejected(detail, sentence=TOO_LARGE))
    if status == 415:
        return Failed(Rejected(detail, sentence=WRONG_TYPE))
    if status == 429:
        return Failed(RateLimited(detail, retry_after=wait), again=again)
    if status in {408, 503} or (status >= 500 and not once):
        return Failed(Unavailable(detail), again=again)
    if status >= 500:
        return Failed(ServerFailed(detail) if status == 500 else Uncertain(detail))
    if status >= 400:
        return Failed(Rejected(detail))
    return Failed(ProtocolError(detail))


def broken(error: httpx.HTTPError, called: str) -> AgentError:
    """An answer that had begun broke off."""
    detail = f"{called}: broke off, {type(error).__name__}"
    if isinstance(error, httpx.DecodingError):
        return ProtocolError(detail)
    return TimedOut(detail) if isinstance(error, httpx.TimeoutException) else Unavailable(detail)


def _again(error: Exception) -> bool | float:
    return error.again if isinstance(error, Failed) else False
