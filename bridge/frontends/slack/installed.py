"""The workspaces that the app is installed in: their tokens, kept fresh, and for each what serves it.

The store has the last word. What this process knows of it is looked up again every few seconds, before an event of an
unknown workspace is let go, and whenever Slack doesn't take a token.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, MutableMapping
from dataclasses import replace
from typing import Any
from weakref import WeakValueDictionary

import structlog
from cachetools import LRUCache, TTLCache
from pydantic import SecretStr

from bridge.backoff import Backoff
from bridge.frontends.slack.client import Budgets, Client, Connections, Login, required
from bridge.frontends.slack.errors import SDK_ERRORS, Failure, NotReady, NotSlacksAnswer, Uninstalled
from bridge.frontends.slack.reading import Me
from bridge.frontends.slack.served import Served, Serving
from bridge.frontends.slack.settings import SlackSettings
from bridge.frontends.slack.workspace import Refusals, Workspace
from bridge.installations import Installation, Installations, StoreAway, Tokens
from bridge.listening import ListeningAt
from bridge.turns.surface import Gone, SurfaceError, Unreachable

log = structlog.get_logger()

LOOK_EVERY = 5.0  # seconds between two looks at what other replicas changed
OPEN = 1_000  # workspaces whose listeners and caches are kept, those that were heard last
UNKNOWN_FOR = 5.0  # seconds in which the store isn't asked again for a workspace that it doesn't know
UNKNOWN = 10_000  # workspaces that are remembered as unknown
# Slack's tokens live for 12 hours. The one before stays good to its end, so this is the time to mend a failure in.
REFRESH_BEFORE = 2 * 3600.0
# A process that died with a refresh token in hand may have used it up; another one tries after this.
CLAIM_SECONDS = 60.0
AT_ONCE = 10  # tokens that are refreshed at the same time
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds between two tries to store new tokens
FINISH_WITHIN = 5.0  # seconds at the end for tokens that Slack gave and nobody stored yet
LONGEST_LIFE = 10 * 365 * 24 * 3600.0  # seconds of a token that can be meant

# What Slack says of the token of an app that was uninstalled. Anything else may pass.
UNINSTALLED = frozenset({"account_inactive", "token_revoked"})
EXPIRED = "token_expired"
# What Slack says of a refresh token that is used up, or of an installation that is gone.
NOT_REFRESHED = frozenset(
    {"invalid_refresh_token", "token_revoked", "account_inactive", "authorization_not_found"}
)


class InstalledLogin(Login):
    """The token of an installation as it is known now."""

    def __init__(self, place: str, installed: Installed) -> None:
        super().__init__()
        self.place = place
        self.installation: Installation | None = None
        self.is_known = False  # else the store is to be asked
        self._installed = installed

    @property
    def token(self) -> str:
        tokens = self.installation.tokens if self.installation else None
        return tokens.access.get_secret_value() if tokens else ""

    async def ready(self) -> None:
        if not self.is_known:
            try:
                await self._installed.find(self.place)
            except StoreAway:
                raise NotReady("the store can't be reached") from None
        if not self.token:
            raise Uninstalled

    def refused(self, code: str) -> None:
        self._installed.look_soon(self.place, code)

    def unknown(self) -> SurfaceError:
        if self.is_known:
            return Gone("the app isn't installed in this workspace")
        return Unreachable("the store wasn't asked yet whether the app is installed in this workspace")


class Installed:
    """All of them. `came` is called for one that was installed, again too, while this process runs."""

    def __init__(
        self,
        kept: Installations,
        settings: SlackSettings,
        serving: Serving,
        connections: Connections,
        listening_at: ListeningAt,
        came: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._kept = kept
        self._settings = settings
        self._serving = serving
        self._connections = connections
        self._listening_at = listening_at
        self._came = came
        self._clock = clock
        self._mark = 0
        self._loaded = False
        self._known: dict[str, Installation] = {}
        # Whoever holds one keeps it, so that there are never two of a workspace.
        self._workspaces: WeakValueDictionary[str, Workspace] = WeakValueDictionary()
        self._served: WeakValueDictionary[str, Served] = WeakValueDictionary()
        self._recent: MutableMapping[str, Served] = LRUCache(OPEN)
        self._unknown: MutableMapping[str, bool] = TTLCache(UNKNOWN, UNKNOWN_FOR, time.monotonic)
        self._looking: dict[str, asyncio.Task[None]] = {}
        self._refreshing: dict[str, asyncio.Task[None]] = {}
        self._used_up: dict[str, int] = {}  # versions whose refresh token Slack doesn't take
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._bare = Client(settings, Budgets(), None, connections)

    # --- what is installed ------------------------------------------------------------------------------------

    @property
    def present(self) -> Mapping[str, Installation]:
        """Those that aren't uninstalled, as far as this process knows."""
        return {place: one for place, one in self._known.items() if one.tokens is not None}

    async def load(self) -> None:
        """Look what changed since the last time. Raises `StoreAway`."""
        changed, self._mark = await self._kept.changed(self._mark)
        for one in changed:
            self._adopt(one)
        self._loaded = True

    async def find(self, place: str) -> Installation | None:
        """Ask the store. None of what isn't installed. Raises `StoreAway`."""
        found = await self._kept.find(place)
        if found is None:
            self._unknown[place] = True
            self._set_login(place, None)
            return None
        self._adopt(found)
        return found if found.tokens else None

    async def put(self, installation: Installation) -> None:
        """Keep a new one. Raises `StoreAway`."""
        kept = await self._kept.put(installation)
        self._unknown.pop(kept.id, None)
        self._adopt(kept)

    async def serving(self, team: str, enterprise: str, *, org: bool) -> Served | None:
        """What serves a workspace by its installation or that of its organisation; None where there is neither.
        Raises `StoreAway`."""
        for place in (enterprise, team) if org else (team, enterprise):
            if place and await self._is_present(place):
                return self.served(place)
        return None

    def served(self, place: str) -> Served:
        served = self._served.get(place)
        if served is None:
            served = self._served[place] = Served(self.workspace(place), self._serving)
        self._recent[place] = served
        return served

    def workspace(self, place: str) -> Workspace:
        """Also of one that isn't known: then its calls raise `Gone`, once the store was asked."""
        workspace = self._workspaces.get(place)
        if workspace is None:
            login = InstalledLogin(place, self)
            workspace = Workspace(
                self._settings, login=login, connections=self._connections, listening_at=self._listening_at
            )
            self._workspaces[place] = workspace
            if place in self._known:
                self._set_login(place, self._known[place])
            else:
                self._follow(self._ask_for(place), f"slack.find {place}")
        return workspace

    async def _is_present(self, place: str) -> bool:
        known = self._known.get(place)
        if known is not None and known.tokens is not None:
            return True
        if place in self._unknown:
            return False
        found = await self.find(place)
        if found is None:
            self._unknown[place] = True
        return found is not None

    async def _ask_for(self, place: str) -> None:
        try:
            await self.find(place)
        except StoreAway as error:  # whoever needs it asks again
            log.info("slack.installation_unknown", installation=place, reason=str(error))

    def _adopt(self, installation: Installation) -> None:
        """Unless something newer is known."""
        place, before = installation.id, self._known.get(installation.id)
        if before is not None and before.version >= installation.version:
            return
        self._known[place] = installation
        self._set_login(place, installation)
        if installation.tokens is None:
            log.info("slack.uninstalled", installation=place, name=installation.name)
        elif before is None or before.tokens is None:
            self._unknown.pop(place, None)
            if self._loaded:
                log.info("slack.installed", installation=place, name=installation.name)
                self._came(place)

    def _set_login(self, place: str, installation: Installation | None) -> None:
        workspace = self._workspaces.get(place)
        if workspace is None:
            return
        login = workspace.client.login
        assert isinstance(login, InstalledLogin)  # noqa: S101 - made above
        before, login.installation, login.is_known = login.installation, installation, True
        if installation is None or installation.tokens is None:
            return
        if before is None or before.scopes != installation.scopes or before.tokens is None:
            workspace.refusals = Refusals()  # what it may do has changed
        workspace.identify(
            Me(place, installation.user, installation.bot, installation.app), installation.scopes or None
        )

    # --- as time goes by --------------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Follow what other replicas do, and refresh tokens in time. Runs until it is cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self.load()
                self.refresh_due()
            except StoreAway as error:
                log.warning("slack.installations_unknown", reason=str(error))

    def refresh_due(self) -> None:
        """Begin to refresh what expires soon."""
        due = self._clock() + REFRESH_BEFORE
        for one in self.present.values():
            if one.tokens and one.tokens.expires_at is not None and one.tokens.expires_at < due:
                self._begin_refresh(one)

    async def close(self) -> None:
        """Let tokens that Slack gave be stored, and end the rest."""
        if self._refreshing:
            await asyncio.wait(self._refreshing.values(), timeout=FINISH_WITHIN)
        for task in [*self._refreshing.values(), *self._looking.values(), *self._tasks]:
            task.cancel()

    async def look_idle(self) -> None:
        await asyncio.gather(*(one.look_idle() for one in list(self._workspaces.values())))

    # --- is it still there? -----------------------------------------------------------------------------------

    def look_soon(self, place: str, code: str) -> None:
        """Slack doesn't take its token."""
        if place not in self._looking:
            log.info("slack.token_refused", installation=place, reason=code)
            task = asyncio.create_task(self._look(place), name=f"slack.look {place}")
            self._looking[place] = task
            task.add_done_callback(lambda _: self._looking.pop(place, None))

    async def _look(self, place: str) -> None:
        try:
            await self.look(place)
        except StoreAway as error:
            log.warning("slack.installation_unknown", installation=place, reason=str(error))
        except SDK_ERRORS as error:
            log.warning("slack.installation_unknown", installation=place, reason=Failure.of(error).reason)

    async def look(self, place: str) -> None:
        """Ask Slack whether the app is still installed there, and forget the tokens if it isn't. What says so may be
        late: a new installation answers for itself. Raises `StoreAway`, and what the SDK raises where Slack doesn't
        say."""
        known = self._known.get(place)
        found = await self.find(place)
        if found is None or found.tokens is None:
            return
        if known is not None and known.version != found.version:  # another replica has new tokens
            return
        client = Client(
            self._settings, Budgets(), Login(found.tokens.access.get_secret_value()), self._connections
        )
        try:
            await client.auth_test()
        except SDK_ERRORS as error:
            code = Failure.of(error).code
            if code == EXPIRED:
                self._begin_refresh(found)
            elif code not in UNINSTALLED:
                raise
            elif await self._kept.remove(place, found.version):
                self._adopt(replace(found, tokens=None, version=found.version + 1))

    # --- tokens that expire -----------------------------------------------------------------------------------

    def _begin_refresh(self, installation: Installation) -> None:
        place = installation.id
        if place in self._refreshing or self._used_up.get(place) == installation.version:
            return
        task = asyncio.create_task(self._refresh_in_turn(installation), name=f"slack.refresh {place}")
        self._refreshing[place] = task
        task.add_done_callback(lambda _: self._refreshing.pop(place, None))

    async def _refresh_in_turn(self, installation: Installation) -> None:
        async with self._slots:
            await self._refresh(installation)

    async def _refresh(self, installation: Installation) -> None:
        """By one process only: a refresh token is good once. New tokens are stored before they are used."""
        place, version, tokens = installation.id, installation.version, installation.tokens
        if tokens is None or tokens.refresh is None:
            return
        try:
            if not await self._kept.claim_refresh(place, version, CLAIM_SECONDS):
                await self.find(place)  # whoever refreshes it may be done
                return
            fresh = await self._fresh(tokens.refresh)
        except StoreAway as error:
            log.warning("slack.not_refreshed", installation=place, reason=str(error))
            return
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            if failure.code in NOT_REFRESHED:
                self._used_up[place] = version
                mend = "the app has to be installed there again, at /slack/install"
                log.error("slack.not_refreshed", installation=place, reason=failure.reason, mend=mend)
            else:  # the claim ends, and the same refresh token is tried again
                log.warning("slack.not_refreshed", installation=place, reason=failure.reason)
            return
        pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            try:
                kept = await self._kept.refreshed(place, version, fresh)
                break
            except StoreAway as error:
                log.error("slack.new_tokens_not_stored", installation=place, reason=str(error))
                await asyncio.sleep(pauses.pause())
        if kept is None:  # it was installed again meanwhile
            await self._ask_for(place)
        else:
            self._adopt(kept)
            log.info("slack.refreshed", installation=place)

    async def _fresh(self, refresh: SecretStr) -> Tokens:
        secret = self._settings.client_secret
        assert self._settings.client_id is not None  # noqa: S101 - the settings saw to it
        assert secret is not None  # noqa: S101
        answer = await self._bare.exchange(
            self._settings.client_id,
            secret.get_secret_value(),
            grant_type="refresh_token",
            refresh_token=refresh.get_secret_value(),
        )
        tokens = read_tokens(answer, self._clock())
        required(answer, "refresh_token")
        return tokens

    def _follow(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def read_tokens(answer: Any, at: float) -> Tokens:
    """The bot's tokens in an answer of `oauth.v2.access`. Raises `NotSlacksAnswer`."""
    access, refresh, seconds = (
        required(answer, "access_token"),
        answer.get("refresh_token"),
        answer.get("expires_in"),
    )
    if not isinstance(access, str) or not access.startswith(("xoxb-", "xoxe.xoxb-")):
        raise NotSlacksAnswer(200, {})
    if seconds is None:
        return Tokens(SecretStr(access))
    usual = (
        isinstance(seconds, int | float) and 0 < seconds < LONGEST_LIFE and isinstance(refresh, str) and refresh
    )
    if not usual:
        raise NotSlacksAnswer(200, {})
    return Tokens(SecretStr(access), SecretStr(str(refresh)), at + float(seconds))
