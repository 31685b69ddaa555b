"""The rules of `adapters.http.failures` for requests that a vendor's own library sends.

The library does its one try and raises what it likes; `reason` says what that means, in the terms of `Reason`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import httpx
from pydantic import SecretStr

from adapters.base import AgentError, AuthenticationFailed
from adapters.http.failures import Failed, refused, tries, unanswered
from adapters.http.secret import without
from adapters.http.tracing import at_home
from adapters.text import one_line

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A whole answer with a bad status."""

    status: int
    headers: Mapping[str, str]
    message: str


Reason = httpx.HTTPError | Refusal | AgentError


class Library:
    """`reason` turns an exception of the library into a `Reason`, or None where it isn't one of the library's. `home`:
    the agent's own addresses, which alone are told of the current trace."""

    def __init__(
        self,
        name: str,
        secret: SecretStr | None,
        reason: Callable[[Exception], Reason | None],
        *,
        home: Sequence[str],
    ) -> None:
        self._name = name
        self._secret = secret
        self._reason = reason
        self._home = home

    async def call(self, what: str, send: Callable[[], Awaitable[T]], *, once: bool = False) -> T:
        """What `send` returns. `what` names the call in details. `once`: it starts work, and is repeated only if
        the backend can't have begun on it. Raises `AgentError`."""

        async def attempt() -> T:
            try:
                return await self.once(send)
            except Exception as error:
                raise self._failed(what, error, once) from error

        return await tries(attempt)

    async def once(self, send: Callable[[], Awaitable[T]]) -> T:
        """What `send` returns, by a single try. Raises what the library raises."""
        with at_home(*self._home):
            return await send()

    def error(self, what: str, error: Exception, *, once: bool) -> AgentError:
        """What an exception means that came while an answer was read. Raises the exception itself if it isn't one
        of the library's."""
        return self._failed(what, error, once).error

    def _failed(self, what: str, error: Exception, once: bool) -> Failed:
        reason = error if isinstance(error, UnicodeEncodeError) else self._reason(error)
        match reason:
            case None:
                raise error
            case UnicodeEncodeError() | httpx.LocalProtocolError():  # their text quotes the key
                return Failed(AuthenticationFailed(self._detail(what, "no header carries the key's characters")))
            case AgentError():
                return Failed(type(reason)(self._detail(what, str(reason)), sentence=reason.sentence))
            case Refusal():
                detail = self._detail(what, f"{reason.status} {reason.message}")
                return refused(reason.status, reason.headers, detail, once=once)
            case broken:
                return unanswered(broken, self._detail(what, f"{type(broken).__name__} {broken}"), once=once)

    def _detail(self, what: str, text: str) -> str:
        return one_line(f"{self._name} {what}: {without(text, self._secret)}")
