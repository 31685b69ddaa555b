"""The rules of `adapters.http` for requests that a vendor's own library sends.

The library does its one try and raises what it likes; `reason` says what that means, in the terms of `Reason`.
Repeats, `Uncertain` and the mapping of statuses are then the same as for every other adapter.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import httpx
import stamina
from pydantic import SecretStr

from adapters import http
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
from adapters.text import one_line
from adapters.wire import retry_after

T = TypeVar("T")

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A whole answer with a bad status."""

    status: int
    headers: Mapping[str, str]
    message: str


Reason = httpx.HTTPError | Refusal | AgentError


class Library:
    """`reason` turns an exception of the library into a `Reason`, or None where it isn't one of the library's."""

    def __init__(self, name: str, secret: SecretStr | None, reason: Callable[[Exception], Reason | None]) -> None:
        self._name = name
        self._secret = secret.get_secret_value().strip() if secret else ""
        self._reason = reason

    async def call(self, what: str, send: Callable[[], Awaitable[T]], *, once: bool = False) -> T:
        """What `send` returns. `what` names the call in details. `once`: it starts work, and is repeated only if
        the backend can't have begun on it. Raises `AgentError`."""
        try:
            async for attempt in stamina.retry_context(
                on=_again,
                attempts=http.ATTEMPTS,
                timeout=http.RETRY_FOR,
                wait_initial=http.RETRY_FIRST,
                wait_max=http.RETRY_MAX,
                wait_jitter=http.RETRY_JITTER,
            ):
                with attempt:
                    try:
                        return await send()
                    except Exception as error:
                        raise self._failed(what, error, once) from error
        except _Failed as failed:
            raise failed.error from failed.__cause__
        raise AssertionError("unreachable")

    def error(self, what: str, error: Exception) -> AgentError:
        """What an exception means that came while an answer was read, so after the question arrived. Raises the
        exception itself if it isn't one of the library's."""
        return self._failed(what, error, once=False).error

    def _failed(self, what: str, error: Exception, once: bool) -> _Failed:
        if isinstance(error, UnicodeEncodeError):  # its text quotes the key
            return _Failed(AuthenticationFailed(self._detail(what, "no header carries the key's characters")))
        match self._reason(error):
            case None:
                raise error
            case AgentError() as known:
                return _Failed(type(known)(self._detail(what, str(known)), sentence=known.sentence))
            case Refusal() as refusal:
                return self._refused(what, refusal, once)
            case broken:
                return self._broken(what, broken, once)

    def _broken(self, what: str, error: httpx.HTTPError, once: bool) -> _Failed:
        detail = self._detail(what, f"{type(error).__name__} {error}")
        if isinstance(error, httpx.LocalProtocolError):  # so does this one's
            return _Failed(AuthenticationFailed(self._detail(what, "no header carries the key's characters")))
        if isinstance(error, httpx.UnsupportedProtocol | httpx.DecodingError):
            return _Failed(ProtocolError(detail))
        if isinstance(error, _NOT_SENT):
            return _Failed(Unavailable(detail), again=True)
        if once:
            return _Failed(Uncertain(detail))
        if isinstance(error, httpx.TimeoutException):
            return _Failed(TimedOut(detail), again=True)
        return _Failed(Unavailable(detail), again=True)

    def _refused(self, what: str, refusal: Refusal, once: bool) -> _Failed:
        status = refusal.status
        detail = self._detail(what, f"{status} {refusal.message}")
        wait = retry_after(refusal.headers)
        again: bool | float = True if wait is None else wait if wait <= http.MAX_RETRY_AFTER else False
        if status in {401, 403}:
            return _Failed(AuthenticationFailed(detail))
        if status in {404, 410}:
            return _Failed(NotFound(detail))
        if status == 413:
            return _Failed(Rejected(detail, sentence="That is too large for the agent."))
        if status == 415:
            return _Failed(Rejected(detail, sentence="The agent doesn't take files of that type."))
        if status == 429:
            return _Failed(RateLimited(detail, retry_after=wait), again=again)
        if status in {408, 503} or (status >= 500 and not once):
            return _Failed(Unavailable(detail), again=again)
        if status >= 500:
            return _Failed(http.ServerFailed(detail) if status == 500 else Uncertain(detail))
        if status >= 400:
            return _Failed(Rejected(detail))
        return _Failed(ProtocolError(detail))

    def _detail(self, what: str, text: str) -> str:
        if self._secret:
            text = text.replace(self._secret, "***")
        return one_line(f"{self._name} {what}: {text}")


class _Failed(Exception):
    """One try failed. `again`: whether another may follow, or after how many seconds."""

    def __init__(self, error: AgentError, *, again: bool | float = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.again = again


def _again(error: Exception) -> bool | float:
    return error.again if isinstance(error, _Failed) else False
