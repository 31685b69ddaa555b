"""What Slack's SDK raises, told apart: a `Failure` for the code that falls back, a `SurfaceError` for the rest.

What isn't known, a code, a status or a shape, is `Unreachable`: the call is looked after and repeated. Only what
is listed here ends a reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError

from bridge.turns.surface import Gone, Refused, SurfaceError, Throttled, Unreachable


class NotSlacksAnswer(SlackClientError):
    """A proxy, a login page or a cut connection answered, not Slack: there is no JSON object."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.headers = headers


class Uninstalled(SlackClientError):
    """The app isn't in that workspace any more, or never was: no call is made."""

    def __init__(self) -> None:
        super().__init__(NOT_INSTALLED)


class NotReady(SlackClientError):
    """Nobody knows now with what token to call."""


# All that a call of the SDK can raise: its own errors, and the transport's as they are.
SDK_ERRORS = (SlackClientError, aiohttp.ClientError, TimeoutError, ConnectionError)

DEFAULT_RETRY_AFTER = 30.0  # seconds, for a 429 that doesn't say; Slack's limits are counted by the minute

NOT_INSTALLED = "app_not_installed"  # ours: Slack wasn't asked
PLACE_IS_GONE = frozenset({
    NOT_INSTALLED,
    "cannot_reply_to_message",
    "channel_is_archived",
    "channel_not_found",
    "is_archived",
    "not_in_channel",
    "team_access_not_granted",
    "team_not_found",
    "thread_not_found",
})  # fmt: skip
MESSAGE_IS_GONE = "message_not_found"
THROTTLED = frozenset({"message_limit_exceeded", "rate_limited", "ratelimited"})
# The bot token is no good, for now: an operator gives another one, and the reply that waits goes out with it.
TOKEN_IS_BAD = frozenset({"account_inactive", "invalid_auth", "not_authed", "token_expired", "token_revoked"})
WRONG_TOKEN = TOKEN_IS_BAD | {"not_allowed_token_type"}
PASSING = frozenset({
    "accesslimited",
    "external_channel_migrating",
    "fatal_error",
    "internal_error",
    "org_login_required",
    "request_timeout",
    "service_unavailable",
    "team_added_to_org",
    "update_failed",
})  # fmt: skip
# A method that this workspace, or this token, doesn't have.
NOT_IN_WORKSPACE = frozenset({
    "feature_not_enabled",
    "method_not_supported",
    "not_enabled",
    "missing_scope",
    "not_allowed_token_type",
    "team_not_supported",
    "unknown_method",
})  # fmt: skip
NOT_IN_CHANNEL = frozenset({
    "access_denied",
    "channel_type_not_supported",
    "ekm_access_denied",
    "messages_tab_disabled",
    "no_permission",
    "not_allowed",
    "not_supported_in_channel",
    "restricted_action",
    "restricted_action_non_threadable_channel",
    "restricted_action_read_only_channel",
    "restricted_action_thread_locked",
    "restricted_action_thread_only_channel",
})  # fmt: skip
BAD_CONTENT = frozenset({
    "attachment_payload_limit_exceeded",
    "cannot_provide_both_markdown_text_and_chunks",
    "invalid_arguments",
    "invalid_attachments",
    "invalid_blocks",
    "invalid_blocks_format",
    "invalid_chunks",
    "invalid_metadata_format",
    "invalid_metadata_schema",
    "markdown_text_conflict",
    "metadata_too_large",
    "msg_blocks_too_long",
    "msg_too_long",
    "no_text",
    "too_many_attachments",
})  # fmt: skip
BAD_FILE = frozenset({
    "blocked_file_type",
    "file_deleted",
    "file_not_found",
    "file_upload_size_restricted",
    "file_uploads_disabled",
    "file_uploads_except_images_disabled",
    "malware_detected",
    "slack_connect_blocked_file_type",
    "slack_connect_file_link_sharing_blocked",
    "slack_connect_file_upload_sharing_blocked",
    "storage_limit_reached",
})  # fmt: skip
REFUSED = NOT_IN_WORKSPACE | NOT_IN_CHANNEL | BAD_CONTENT | BAD_FILE


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed call. `code` is Slack's error code, or "" if there was no answer of Slack's."""

    code: str
    status: int | None = None  # None: no answer at all
    retry_after: float | None = None
    detail: str = ""

    @classmethod
    def of(cls, error: Exception) -> Failure:
        if isinstance(error, NotSlacksAnswer):
            return cls("", error.status, _retry_after(error.headers))
        if isinstance(error, Uninstalled):
            return cls(NOT_INSTALLED, 200)
        if not isinstance(error, SlackApiError):
            return cls("", detail=type(error).__name__)
        # Where the body wasn't JSON, the response is aiohttp's own.
        response = error.response
        status = getattr(response, "status_code", None) or getattr(response, "status", None)
        data = getattr(response, "data", None)
        body: Mapping[str, object] = data if isinstance(data, dict) else {}
        needed = f" (needs the scope {body['needed']})" if "needed" in body else ""
        code = body.get("error")
        return cls(
            code=code if isinstance(code, str) else "",
            status=status,
            retry_after=_retry_after(getattr(response, "headers", {})),
            detail=needed,
        )

    @property
    def kind(self) -> type[SurfaceError]:
        if self.status == 429 or self.code in THROTTLED:
            return Throttled
        if self.refused and (self.place_is_gone or self.code == MESSAGE_IS_GONE):
            return Gone
        return Refused if self.refused and self.code in REFUSED else Unreachable

    @property
    def refused(self) -> bool:
        """Slack itself said no, for whatever reason: the call had no effect, and another way may be tried."""
        if not self.code or self.status is None or self.status == 429 or self.status >= 500:
            return False
        return self.code not in THROTTLED | PASSING | TOKEN_IS_BAD

    @property
    def place_is_gone(self) -> bool:
        return self.code in PLACE_IS_GONE

    @property
    def reason(self) -> str:
        """In a few words, for the log and for `/readyz`."""
        return self.code or (f"HTTP {self.status}" if self.status else self.detail or "no answer")

    def surface_error(self, method: str) -> SurfaceError:
        said = self.code or (f"HTTP {self.status}" if self.status else "no answer")
        detail = f"{method}: {said} {self.detail}".rstrip()
        if self.kind is Throttled:
            return Throttled(detail, self.delay)
        return self.kind(detail)

    @property
    def delay(self) -> float:
        """Seconds that a 429 asks for."""
        return DEFAULT_RETRY_AFTER if self.retry_after is None else self.retry_after


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), None)
    try:
        return None if value is None else max(0.0, float(value))
    except ValueError:
        return None
