"""Who asks, as an agent is told: as much as its settings let through, and signed where they have a key. No I/O."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from pydantic import SecretStr

from adapters.base import Person
from adapters.text import scrub
from bridge import inbound
from bridge.inbound import Address

ISSUER = "threadbridge"
ALGORITHM = "HS256"
MIN_KEY = 32  # bytes; a shorter one than its hash could be guessed (RFC 7518, 3.2)
TOKEN_SECONDS = 600  # a question may wait for its files, or for the run before it

Level = Literal["full", "id", "none"]


@dataclass(frozen=True, slots=True)
class Telling:
    """What one agent is told of who asks, by its settings.

    `level` "id" is the default: without ids an agent can't tell people apart, but a name and an e-mail address say who
    somebody is outside of the workspace, too, and the agent may be somebody else's service.
    """

    agent: str  # the name in the settings: whom the token is for
    level: Level = "id"
    key: SecretStr | None = None

    @property
    def tells_all(self) -> bool:
        return self.level == "full"

    def person(self, who: Person, *, at: float | None = None) -> Person | None:
        """The person as the agent is told. `at`: when the token begins to hold, in Unix seconds; None is now."""
        if self.level == "none":
            return None
        return Person(
            platform=who.platform,
            id=who.id,
            name=who.name if self.tells_all else "",
            workspace=who.workspace,
            channel=who.channel,
            roles=who.roles,
            email=who.email if self.tells_all else "",
            token=self._signed(who, time.time() if at is None else at),
        )

    def _signed(self, who: Person, at: float) -> SecretStr | None:
        if self.key is None:
            return None
        import jwt  # a tenth of a command's start, and few settings have a key

        claims = {
            "iss": ISSUER,
            "sub": scrub(f"{who.platform}:{who.id}"),
            "aud": self.agent,
            "iat": int(at),
            "exp": int(at) + TOKEN_SECONDS,
            "platform": who.platform,
            "workspace": who.workspace,
            "channel": who.channel,
        }
        return SecretStr(jwt.encode(claims, self.key.get_secret_value(), ALGORITHM))


def from_platform(person: inbound.Person, address: Address, *, name: str, email: str = "") -> Person:
    """Who asks, with all that is known. The workspace is the person's own where that is another one than the
    thread's: who comes from outside isn't taken for one of us."""
    return Person(
        platform=address.platform,
        id=person.id,
        name=name,
        workspace=person.workspace or address.workspace,
        channel=address.channel,
        roles=person.roles,
        email=email,
    )
