"""Names of people, from their ids: asked once, remembered for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, MutableMapping

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


class People:
    """Resolves user ids to the names that people show. A name that can't be had is the id itself."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._names: MutableMapping[str, tuple[str, float]] = LRUCache(REMEMBERED)  # until when it is fresh

    async def name(self, client: AsyncWebClient, user: str) -> str:
        """Asked by `client` where it isn't known. Raises nothing of Slack's."""
        known = self._names.get(user)
        if known and self._clock() < known[1]:
            return known[0]
        try:
            async with asyncio.timeout(PATIENCE):
                found = required(await client.users_info(user=user), "user")
        except SDK_ERRORS as error:
            log.info("slack.name_unknown", user=user, reason=Failure.of(error).code)
            return known[0] if known else user  # an old name is better than none
        profile = found.get("profile") or {}
        name = str(profile.get("display_name") or profile.get("real_name") or found.get("real_name") or user)
        self._names[user] = name, self._clock() + REMEMBERED_FOR
        return name

    async def names(self, client: AsyncWebClient, users: Iterable[str]) -> dict[str, str]:
        """The names of several people, asked at the same time."""
        wanted = list(dict.fromkeys(users))
        asked = wanted[:AT_ONCE]
        found = await asyncio.gather(*(self.name(client, user) for user in asked))
        names = dict(zip(asked, found, strict=True))
        return {user: names.get(user, user) for user in wanted}
