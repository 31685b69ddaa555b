"""Names of people, from their ids: asked once, remembered for a while."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bridge.frontends.slack.errors import SDK_ERRORS, Failure

log = structlog.get_logger()

REMEMBERED = 10_000  # people; some 2 MB
REMEMBERED_FOR = 3600.0  # seconds: people rename themselves rarely
AT_ONCE = 50  # people asked for at the same time; whoever mentions more gets ids for the rest
PATIENCE = 1.5  # seconds: Slack wants events acknowledged within 3


class People:
    """Resolves user ids to the names that people show. A name that can't be had is the id itself."""

    def __init__(self, client: AsyncWebClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._names: OrderedDict[str, tuple[str, float]] = OrderedDict()

    async def name(self, user: str) -> str:
        known = self._names.get(user)
        if known and self._clock() < known[1]:
            self._names.move_to_end(user)
            return known[0]
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await self._client.users_info(user=user)
        except SDK_ERRORS as error:
            log.info("slack.name_unknown", user=user, reason=Failure.of(error).code)
            return known[0] if known else user
        profile = answer["user"].get("profile", {})
        name = profile.get("display_name") or profile.get("real_name") or answer["user"].get("real_name") or user
        self._names[user] = (name, self._clock() + REMEMBERED_FOR)
        self._names.move_to_end(user)
        if len(self._names) > REMEMBERED:
            self._names.popitem(last=False)
        return str(name)

    async def names(self, users: Iterable[str]) -> dict[str, str]:
        """The names of several people, asked at the same time."""
        wanted = list(dict.fromkeys(users))
        asked = wanted[:AT_ONCE]
        names = dict(zip(asked, await asyncio.gather(*map(self.name, asked)), strict=True))
        return {user: names.get(user, user) for user in wanted}
