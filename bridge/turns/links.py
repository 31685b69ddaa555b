"""Links to files that are too large for a platform: signed, and good for hours. No I/O.

A link names a file as its agent's service does, so that any replica can serve it and nothing is kept for it. Whoever
holds a link can have the file: it is shown only to people who may see the file anyway.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import jwt
from pydantic import SecretStr

from adapters.text import scrub

AUDIENCE = "threadbridge-file"  # so that a token which is signed for something else is none
ALGORITHM = "HS256"
PATH = "/files/"
MAX_URL = 1_500  # characters: a message of Discord's has 2,000


@dataclass(frozen=True, slots=True)
class Linked:
    """A file at its agent's service, and who was given the link."""

    agent: str
    conversation: str
    ref: str
    name: str  # harmless
    person: str = ""  # as "slack:U…", for the log


class NoLink(Exception):
    """What was sent is no link of ours."""


class Expired(NoLink):
    """It was one."""


class Links:
    """`public_url` is where this bridge is reached from outside."""

    def __init__(
        self, public_url: str, key: SecretStr, hours: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._base = public_url.rstrip("/")
        self._key = key
        self._clock = clock
        self.hours = hours

    def url(self, linked: Linked) -> str | None:
        """None where the service's name for the file is too long for a link."""
        claims = {
            "aud": AUDIENCE,
            "exp": int(self._clock() + self.hours * 3600),
            "a": linked.agent,
            "c": scrub(linked.conversation),
            "r": scrub(linked.ref),
            "n": scrub(linked.name),
            "p": linked.person,
        }
        url = f"{self._base}{PATH}{jwt.encode(claims, self._key.get_secret_value(), ALGORITHM)}"
        return url if len(url) <= MAX_URL else None

    def read(self, token: str) -> Linked:
        """:raises NoLink: forged, cut off, signed with another key; `Expired` if its time is over."""
        try:
            claims = jwt.decode(
                token,
                self._key.get_secret_value(),
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                options={"require": ["exp", "aud"], "verify_exp": False},
            )
            linked = Linked(*(str(claims[name]) for name in "acrnp"))
            expires = float(claims["exp"])
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError):
            raise NoLink from None
        if expires < self._clock():
            raise Expired
        return linked

    def shown(self, linked: Linked) -> str | None:
        """The file's name and its link, for people, as Markdown; None where there is no link."""
        url = self.url(linked)
        name = linked.name.replace("`", "'")
        return None if url is None else f"`{name}`: [download it](<{url}>), for {self.hours:g} hours"
