"""The tokens of one installation, as Slack gives them, lets them expire and takes them back."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from bridge.playground.slack.errors import SlackError

ACTIVE = 2  # tokens of one installation that work at the same time (documented)


@dataclass(slots=True)
class Grant:
    token: str
    refresh: str = ""  # "" of a token that doesn't expire
    until: float = float("inf")


class Grants:
    """`revoked` is what Slack says of every token from then on."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._grants: list[Grant] = []
        self._given: set[str] = set()
        self.revoked = "invalid_auth"  # nothing was installed yet
        self.refreshed = 0  # times

    @property
    def active(self) -> bool:
        return bool(self._grants)

    @property
    def newest(self) -> Grant:
        return self._grants[-1]

    def issue(self, seconds: float | None) -> Grant:
        """A token, as a code or a refresh token is exchanged for. One that doesn't expire is the same each time."""
        if seconds is None and self._grants:
            return self._grants[-1]
        mark = secrets.token_hex(12)
        grant = Grant(f"xoxb-{mark}")
        if seconds is not None:
            grant = Grant(f"xoxe.xoxb-1-{mark}", f"xoxe-1-{secrets.token_hex(12)}", self._clock() + seconds)
        self._grants = [*self._grants, grant][-ACTIVE:]
        self._given.add(grant.token)
        return grant

    def refresh(self, token: str, seconds: float) -> Grant:
        """The refresh token is used up by it, the token beside stays good to its end."""
        found = next((one for one in self._grants if token and one.refresh == token), None)
        if found is None:
            raise SlackError("invalid_refresh_token")
        found.refresh = ""
        self.refreshed += 1
        return self.issue(seconds)

    def revoke(self, code: str) -> None:
        """All of them."""
        self._grants, self.revoked = [], code

    def trouble(self, token: str) -> str | None:
        """What Slack says of a token; None where it is good."""
        for grant in self._grants:
            if grant.token == token:
                return None if self._clock() < grant.until else "token_expired"
        if token not in self._given:
            return "invalid_auth"
        return "token_expired" if self._grants else self.revoked

    def has(self, token: str) -> bool:
        """Whether it was ever given."""
        return token in self._given

    def may_refresh(self, token: str) -> bool:
        return any(token and one.refresh == token for one in self._grants)
