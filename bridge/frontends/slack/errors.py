"""What Slack's SDK raises, told apart: a `Failure` for the code that falls back, a `SurfaceError` for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError

from bridge.turns.surface import Gone, Refused, SurfaceError, Throttled, Unreachable

# All that a call of the SDK can raise: its own errors, and the transport's as they are.
SDK_ERRORS = (SlackClientError, aiohttp.ClientError, TimeoutError, ConnectionError)

DEFAULT_RETRY_AFTER = 30.0  # seconds, for a 429 that doesn't say; Slack's limits are counted by the minute

GONE = frozenset({
    "account_inactive",
    "cannot_reply_to_message",
    "channel_is_archived",
    "channel_not_found",
    "invalid_auth",
    "is_archived",
    "message_not_found",
    "not_authed",
    "not_in_channel",
    "team_access_not_granted",
    "team_not_found",
    "thread_not_found",
    "token_expired",
    "token_revoked",
})  # fmt: skip
THROTTLED = frozenset({"message_limit_exceeded", "rate_limited", "ratelimited"})
UNREACHABLE = frozenset({
    "fatal_error",
    "internal_error",
    "request_timeout",
    "service_unavailable",
    "team_added_to_org",
})  # fmt: skip
WRONG_TOKEN = frozenset({
    "account_inactive",
    "invalid_auth",
    "not_allowed_token_type",
    "not_authed",
    "token_expired",
    "token_revoked",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed call. `code` is Slack's error code, or "" if there was no answer of Slack's."""

    code: str
    status: int | None = None  # None: no answer at all
    retry_after: float | None = None
    detail: str = ""

    @classmethod
    def of(cls, error: Exception) -> Failure:
        if not isinstance(error, SlackApiError):
            return cls("", detail=type(error).__name__)
        # Where the body wasn't JSON, the response is aiohttp's own, or its data is text.
        response = error.response
        status = getattr(response, "status_code", None) or getattr(response, "status", None)
        data = getattr(response, "data", None)
        body: Mapping[str, object] = data if isinstance(data, dict) else {}
        needed = f" (needs the scope {body['needed']})" if "needed" in body else ""
        return cls(
            code=str(body.get("error", "")),
            status=status,
            retry_after=_retry_after(getattr(response, "headers", {})),
            detail=needed,
        )

    @property
    def kind(self) -> type[SurfaceError]:
        if self.status == 429 or self.code in THROTTLED:
            return Throttled
        if self.status is None or self.status >= 500 or self.code in UNREACHABLE:
            return Unreachable
        if self.code in GONE:
            return Gone
        return Refused

    @property
    def refused(self) -> bool:
        """Slack answered no: the call had no effect, and its repeat will have none."""
        return self.kind in (Gone, Refused)

    def surface_error(self, method: str) -> SurfaceError:
        said = self.code or (f"HTTP {self.status}" if self.status else "no answer")
        detail = f"{method}: {said} {self.detail}".rstrip()
        if self.kind is Throttled:
            return Throttled(detail, DEFAULT_RETRY_AFTER if self.retry_after is None else self.retry_after)
        return self.kind(detail)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), None)
    try:
        return None if value is None else max(0.0, float(value))
    except ValueError:
        return None
