"""Serves Slack in every workspace that installed the app, over one socket or one address."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping, Sequence

import structlog
from cachetools import TTLCache
from slack_bolt.request.internals import extract_enterprise_id, extract_is_enterprise_install, extract_team_id
from slack_bolt.response import BoltResponse

from bridge.backoff import Backoff
from bridge.frontends.slack.app import FIRST_PAUSE, LONGEST_PAUSE, SlackFrontEnd
from bridge.frontends.slack.content import Payload
from bridge.frontends.slack.errors import SDK_ERRORS, Failure
from bridge.frontends.slack.installed import Installed
from bridge.frontends.slack.installing import Installing
from bridge.frontends.slack.manifest import LEAVING
from bridge.frontends.slack.opening import SlackOpening
from bridge.frontends.slack.prompts import PromptsAt
from bridge.frontends.slack.settings import SlackSettings
from bridge.frontends.slack.surface import SlackSurface
from bridge.inbound import Address, Person, Seen
from bridge.installations import Installations, StoreAway
from bridge.listening import ListeningAt, as_ever
from bridge.turns.inbox import Inbox
from bridge.turns.surface import Gone, Guard, Unreachable

log = structlog.get_logger()

AT_ONCE = 5  # workspaces that are caught up with at the same time
TELL_EVERY = 600.0  # seconds between two log lines about a workspace that isn't installed
TOLD = 1_000  # such workspaces that are remembered
PLACE = ":"  # between a workspace and its channel, where whoever speaks first names both


class ManyWorkspaces(SlackFrontEnd):
    """Implements `bridge.turns.surface.FrontEnd`. `may_install` is told the id of a workspace or
    organisation."""

    def __init__(
        self,
        settings: SlackSettings,
        inbox: Inbox,
        kept: Installations,
        public_url: str,
        *,
        may_install: Callable[[str], bool] = lambda _: True,
        catch_up_hours: float = 24.0,
        prompts_at: PromptsAt = lambda _: (),
        listening_at: ListeningAt = as_ever,
    ) -> None:
        super().__init__(
            settings, inbox, catch_up_hours=catch_up_hours, prompts_at=prompts_at, listening_at=listening_at
        )
        self._installed = Installed(
            kept, settings, self._serving, self._workspace.client.connections, listening_at, self._came
        )
        installing = Installing(
            settings, kept, self._installed.put, self._workspace.client, public_url, may_install
        )
        self.routes += installing.routes
        self._missed_since = ""  # from this ts on nothing was heard anywhere
        self._reading_again = asyncio.Semaphore(AT_ONCE)
        self._coming: set[asyncio.Task[None]] = set()
        self._told: MutableMapping[str, bool] = TTLCache(TOLD, TELL_EVERY)  # that they aren't installed

    @property
    def installed(self) -> Installed:
        return self._installed

    async def _begin(self) -> Sequence[Seen]:
        pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            try:
                await self._installed.load()
                break
            except StoreAway as error:
                self._trouble = "Slack: it isn't known yet which workspaces there are"
                log.warning("slack.installations_unknown", reason=str(error))
                await asyncio.sleep(pauses.pause())
        self._installed.refresh_due()
        log.info("slack.serves", workspaces=len(self._installed.present))
        return await self._seen()

    def _keep(self, group: asyncio.TaskGroup) -> None:
        group.create_task(self._installed.keep(), name="slack.installations")

    async def _look_idle(self) -> None:
        for task in self._coming:
            task.cancel()
        await self._installed.look_idle()
        await self._installed.close()

    def surface(self, address: Address, *, person: Person, guard: Guard) -> SlackSurface:
        return SlackSurface(self._installed.workspace(address.workspace), address, person=person, guard=guard)

    # --- events -----------------------------------------------------------------------------------------------

    async def _dispatch(self, body: Payload) -> BoltResponse:
        told = dict(body)
        team, enterprise = extract_team_id(told) or "", extract_enterprise_id(told) or ""
        org = bool(extract_is_enterprise_install(told))
        event = str((body.get("event") or {}).get("type") or "")
        try:
            if event in LEAVING:
                for place in filter(None, (enterprise if org else team or enterprise,)):
                    await self._installed.look(place)
                return BoltResponse(status=200)
            served = await self._installed.serving(team, enterprise, org=org)
        except (StoreAway, *SDK_ERRORS) as error:  # not acknowledged, so Slack delivers it again
            reason = str(error) if isinstance(error, StoreAway) else Failure.of(error).reason
            log.error("slack.event_not_stored", event_id=body.get("event_id"), reason=reason)
            return BoltResponse(status=500)
        if served is None:
            place = team or enterprise
            if place not in self._told:
                self._told[place] = True
                log.warning("slack.not_installed", team=team, enterprise=enterprise, type=event)
            return BoltResponse(status=200)
        return await served.dispatch(body)

    # --- what was missed --------------------------------------------------------------------------------------

    async def catch_up(self, seen: Sequence[Seen] | None = None) -> None:
        known = await self._seen() if seen is None else seen
        missed = self._missed_since
        if known:  # else the store may be away, and the catch-up after that needs it
            self._missed_since = ""
        present = self._installed.present
        places = dict.fromkeys(one.address.workspace for one in known)
        await asyncio.gather(*(self._catch_up_in(place, known, missed) for place in places if place in present))

    async def _catch_up_in(self, place: str, seen: Sequence[Seen], missed: str = "") -> None:
        theirs = [one for one in seen if one.address.workspace == place]
        async with self._reading_again:
            served = self._installed.served(place)
            if missed:
                served.missed(missed)
            await served.catch_up.run(theirs)

    def _missed(self, ts: str) -> None:
        self._missed_since = self._missed_since or ts

    def _came(self, place: str) -> None:
        """Installed again: what was written while nobody could listen."""
        task = asyncio.create_task(self._catch_up_again(place), name=f"slack.catch_up {place}")
        self._coming.add(task)
        task.add_done_callback(self._coming.discard)

    async def _catch_up_again(self, place: str) -> None:
        await self._catch_up_in(place, await self._seen())

    # --- to speak first ---------------------------------------------------------------------------------------

    async def workspace(self, channel: str) -> str:
        return self._placed(channel)[0]

    def opening(self, channel: str, person: str, *, guard: Guard) -> SlackOpening:
        where, channel = self._placed(channel or person)
        workspace = self._installed.workspace(where)
        return SlackOpening(workspace, "" if person else channel, channel if person else "", guard=guard)

    def _placed(self, name: str) -> tuple[str, str]:
        """A workspace, and a channel or person there, by "T…:C…"; with one workspace by "C…" as well."""
        where, colon, inner = name.partition(PLACE)
        if colon:
            return where, inner
        present = list(self._installed.present)
        if len(present) == 1:
            return present[0], name
        if not present:
            raise Unreachable("no workspace has installed the app yet")
        raise Gone(f"{name} is in one of {len(present)} workspaces: it is to be named as T…:{name}")
