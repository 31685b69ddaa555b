"""What the simulated Slack says no with."""

from __future__ import annotations

from typing import Any


class SlackError(Exception):
    """A refusal with HTTP status 200: `{"ok": false, "error": code, ...}`."""

    def __init__(self, code: str, *messages: str, **more: Any) -> None:
        super().__init__(code)
        self.code = code
        self.body: dict[str, Any] = {"ok": False, "error": code, **more}
        if messages:
            self.body["response_metadata"] = {"messages": [f"[ERROR] {message}" for message in messages]}


class TooManyRequests(Exception):
    """HTTP 429 with `Retry-After: retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"retry after {retry_after} s")
        self.retry_after = retry_after


class NotAnswered(Exception):
    """The app didn't acknowledge a person's command or click in time: Slack shows a warning sign."""
