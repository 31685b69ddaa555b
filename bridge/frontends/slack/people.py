"""What people are called, and their e-mail addresses where the app may see them: asked once by an id, remembered for a
while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass

import structlog
from cachetools import LRUCache
from slack_sdk.web.async_client import AsyncWebClient

from bridge.frontends.slack.client import required
from bridge.frontends.slack.errors import SDK_ERRORS, Failure

log = structlog.get_logger()

REMEMBERED = 10_000  # people; some 2 MB
REMEMBERED_FOR = 3600.0  # seconds: people rename themselves rarely
AT_ONCE = 50  # people asked for at the same time; whoever mentions more gets ids for the rest
PATIENCE = 1.5  # seconds: a question waits for it
MAX_EMAIL = 254  # characters of an address (RFC 5321)


@dataclass(frozen=True, slots=True)
class Profile:
    """What Slack tells of someone. `email` is "" without the scope for it."""

    name: str
    email: str = ""


class People:
    """Resolves user ids to the names that people show. A name that can't be had is the id itself."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._profiles: MutableMapping[str, tuple[Profile, float]] = LRUCache(REMEMBERED)  # until when it is fresh

    async def name(self, client: AsyncWebClient, user: str) -> str:
        """Asked by `client` where it isn't known. Raises nothing of Slack's."""
        return (await self._profile(client, user)).name

    async def email(self, client: AsyncWebClient, user: str) -> str:
        """The same of the address; "" where there is none."""
        return (await self._profile(client, user)).email

    async def _profile(self, client: AsyncWebClient, user: str) -> Profile:
        known = self._profiles.get(user)
        if known and self._clock() < known[1]:
            return known[0]
        try:
            async with asyncio.timeout(PATIENCE):
                found = required(await client.users_info(user=user), "user")
        except SDK_ERRORS as error:
            log.info("slack.name_unknown", user=user, reason=Failure.of(error).code)
            return known[0] if known else Profile(user)  # an old name is better than none
        profile = found.get("profile") or {}
        name = str(profile.get("display_name") or profile.get("real_name") or found.get("real_name") or user)
        email = str(profile.get("email") or "")
        told = Profile(name, email if len(email) <= MAX_EMAIL else "")
        self._profiles[user] = told, self._clock() + REMEMBERED_FOR
        return told

    async def names(self, client: AsyncWebClient, users: Iterable[str]) -> dict[str, str]:
        """The names of several people, asked at the same time."""
        wanted = list(dict.fromkeys(users))
        asked = wanted[:AT_ONCE]
        found = await asyncio.gather(*(self.name(client, user) for user in asked))
        names = dict(zip(asked, found, strict=True))
        return {user: names.get(user, user) for user in wanted}
