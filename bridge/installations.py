"""Where the app was installed, as values, and what a front end needs of whoever keeps them. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class Tokens:
    """With what the app speaks in a workspace."""

    access: SecretStr
    refresh: SecretStr | None = None  # good once, for the next tokens; None of a token that doesn't expire
    expires_at: float | None = None  # seconds since 1970


@dataclass(frozen=True, slots=True)
class Installation:
    """The app in one workspace, or in all of an organisation that it was put into (`org`)."""

    id: str  # of the workspace, or of the organisation
    name: str
    user: str  # the app's own, there
    bot: str
    app: str
    scopes: frozenset[str]
    tokens: Tokens | None  # None once it was uninstalled
    org: bool = False
    enterprise: str = ""  # the organisation that the workspace belongs to
    installed_by: str = ""
    version: int = 0  # grows with each change


class StoreAway(Exception):
    """The store can't be reached: nobody knows what is installed, or whether a change was kept."""


class Installations(Protocol):
    """What is installed, for all replicas. Every method raises `StoreAway`, and comes to the same when it is repeated;
    a change that takes a version does nothing, and says so, where there is another one by now."""

    async def changed(self, since: int) -> tuple[Sequence[Installation], int]:
        """What changed after a mark, removed ones too, and the next mark. The first is 0."""
        ...

    async def find(self, place: str) -> Installation | None:
        """That of a workspace or organisation; a removed one has no tokens."""
        ...

    async def put(self, installation: Installation) -> Installation:
        """Keep a new one, or in place of the one before."""
        ...

    async def remove(self, place: str, version: int) -> bool:
        """It was uninstalled: its tokens are forgotten."""
        ...

    async def claim_refresh(self, place: str, version: int, seconds: float) -> bool:
        """Whether this process may use the refresh token; nobody else may for so long."""
        ...

    async def refreshed(self, place: str, version: int, tokens: Tokens) -> Installation | None:
        """Keep new tokens; None where there are others by now."""
        ...

    async def spend_state(self, state: str, until: float) -> bool:
        """Whether a state wasn't used before. It is remembered until then, seconds since 1970."""
        ...
