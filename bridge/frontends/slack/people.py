"""What people are called, what they are to the workspace, and their e-mail addresses where the app may see them: asked
once by an id, remembered for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass, replace

import structlog
from cachetools import LRUCache
from slack_sdk.web.async_client import AsyncWebClient

from bridge.frontends.slack.client import required
from bridge.frontends.slack.content import Payload
from bridge.frontends.slack.errors import SDK_ERRORS, Failure
from bridge.inbound import Person, Standing

log = structlog.get_logger()

REMEMBERED = 10_000  # people; some 2 MB
REMEMBERED_FOR = 3600.0  # seconds: people rename themselves rarely
AT_ONCE = 50  # people asked for at the same time; whoever mentions more gets ids for the rest
PATIENCE = 1.5  # seconds: a question waits for it
ORGANISATION = "E"  # how the ids of organisations begin
MAX_EMAIL = 254  # characters of an address (RFC 5321)


@dataclass(frozen=True, slots=True)
class _About:
    name: str
    email: str
    team: str
    enterprise: str  # the organisation that `team` belongs to, "" of most
    standing: Standing  # in `team`
    until: float  # when it is to be asked for again


class People:
    """Resolves user ids to the names that people show. A name that can't be had is the id itself."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: MutableMapping[str, _About] = LRUCache(REMEMBERED)

    async def name(self, client: AsyncWebClient, user: str) -> str:
        """Asked by `client` where it isn't known. Raises nothing of Slack's."""
        about = await self._found(client, user)
        return about.name if about else user

    async def email(self, client: AsyncWebClient, user: str) -> str:
        """The same of the address; "" where there is none, and without the scope for it."""
        about = await self._found(client, user)
        return about.email if about else ""

    async def _found(self, client: AsyncWebClient, user: str) -> _About | None:
        try:
            return await self._about(client, user)
        except SDK_ERRORS as error:
            log.info("slack.name_unknown", user=user, reason=Failure.of(error).code)
            return self._known.get(user)  # what is old is better than nothing

    async def names(self, client: AsyncWebClient, users: Iterable[str]) -> dict[str, str]:
        """The names of several people, asked at the same time."""
        wanted = list(dict.fromkeys(users))
        asked = wanted[:AT_ONCE]
        found = await asyncio.gather(*(self.name(client, user) for user in asked))
        names = dict(zip(asked, found, strict=True))
        return {user: names.get(user, user) for user in wanted}

    async def identify(self, client: AsyncWebClient, person: Person, team: str) -> Person:
        """The person with a standing in the workspace, or organisation, `team`. Whoever Slack won't speak of is
        `UNKNOWN`. Raises a `SurfaceError` where Slack can't be asked now."""
        in_org = team.startswith(ORGANISATION)  # whose people are of any of its workspaces
        if not in_org and person.workspace not in ("", team):  # Slack Connect's events name the person's own team
            return replace(person, standing=Standing.STRANGER)
        try:
            about = await self._about(client, person.id)
        except SDK_ERRORS as error:
            failure, known = Failure.of(error), self._known.get(person.id)
            if known is None and not failure.refused:
                raise failure.surface_error("users.info") from error
            log.warning("slack.person_unknown", user=person.id, reason=failure.reason)
            about = known or _About(person.id, "", team, team, Standing.UNKNOWN, 0.0)
        theirs = about.enterprise if in_org else about.team
        ours = theirs == team or (theirs == "" and not in_org)
        return replace(person, standing=about.standing if ours else Standing.STRANGER)

    async def _about(self, client: AsyncWebClient, user: str) -> _About:
        known = self._known.get(user)
        if known and self._clock() < known.until:
            return known
        async with asyncio.timeout(PATIENCE):
            found = required(await client.users_info(user=user), "user")
        profile = found.get("profile") or {}
        name = str(profile.get("display_name") or profile.get("real_name") or found.get("real_name") or user)
        email = str(profile.get("email") or "")
        about = self._known[user] = _About(
            name=name,
            email=email if len(email) <= MAX_EMAIL else "",
            team=str(found.get("team_id") or ""),
            enterprise=str((found.get("enterprise_user") or {}).get("enterprise_id") or ""),
            standing=_standing(found),
            until=self._clock() + REMEMBERED_FOR,
        )
        return about


def _standing(user: Payload) -> Standing:
    if user.get("is_stranger"):
        return Standing.STRANGER
    guest = user.get("is_restricted") or user.get("is_ultra_restricted")
    return Standing.GUEST if guest else Standing.MEMBER
