"""Serves Slack, here one workspace: connects, stays connected, and says how that goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_slack_response import AsyncSlackResponse
from starlette.routing import Route

from bridge.backoff import Backoff
from bridge.frontends.slack.connection import Socket
from bridge.frontends.slack.content import Payload
from bridge.frontends.slack.errors import NOT_IN_CHANNEL, SDK_ERRORS, WRONG_TOKEN, Failure, NotSlacksAnswer
from bridge.frontends.slack.http import Endpoint
from bridge.frontends.slack.manifest import EVENTS_PATH, missing_scopes
from bridge.frontends.slack.opening import SlackOpening
from bridge.frontends.slack.prompts import PromptsAt
from bridge.frontends.slack.reading import Me
from bridge.frontends.slack.served import Served, Serving
from bridge.frontends.slack.settings import SlackSettings
from bridge.frontends.slack.surface import SlackSurface
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Address, Person, Seen
from bridge.listening import ListeningAt, as_ever
from bridge.turns.inbox import Inbox
from bridge.turns.surface import ConfigurationError, Guard

log = structlog.get_logger()

FIRST_PAUSE = 1.0  # seconds after the first try that failed; about doubled with each
CONNECT_WITHIN = 15.0  # seconds to open a socket and be greeted on it
LOOK_EVERY = 1.0  # seconds between two looks at the socket
GIVE_UP_AFTER = 30.0  # seconds that the SDK gets to mend a socket before it is thrown away
# A socket can answer pings and deliver nothing. Slack delivers an unacknowledged event for the last time 5 minutes
# after the first; a socket that was quiet for less than that is replaced, so that this one arrives on the new one.
QUIET_AFTER = 240.0
LOST_TOO_LONG = 240.0  # seconds without a socket after which some events won't be delivered again
CHECK_EVERY = 60.0  # seconds between two looks at the bot token
LONGEST_PAUSE = 30.0  # seconds between two tries to reach Slack
REFUSED_TIMES = 3  # one after the other, until a token counts as refused
# What apps.connections.open says to a token that can't open a socket.
WRONG_APP_TOKEN = WRONG_TOKEN | NOT_IN_CHANNEL | {"forbidden_team", "missing_scope"}

NOT_CONNECTED = "Slack: not connected yet"
NO_SOCKET = "Slack: the socket is down or delivers nothing"


class SlackFrontEnd:
    """Implements `bridge.turns.surface.FrontEnd`. `routes` are to be served; in mode "socket" there are none."""

    platform = "slack"

    def __init__(
        self,
        settings: SlackSettings,
        inbox: Inbox,
        *,
        catch_up_hours: float = 24.0,
        prompts_at: PromptsAt = lambda _: (),
        listening_at: ListeningAt = as_ever,
    ) -> None:
        self._settings = settings
        self._inbox = inbox
        self._serving = Serving(inbox, prompts_at, catch_up_hours)
        self._workspace = Workspace(settings, listening_at=listening_at)
        self._served = Served(self._workspace, self._serving)
        self._trouble: str | None = NOT_CONNECTED
        self._token_trouble: str | None = None
        self._refusals = 0  # of the app token, one after the other
        self._flowed_at: float | None = None  # when events certainly came the last time, in seconds since 1970
        secret = settings.signing_secret
        self.routes: list[Route] = []
        if settings.mode == "http" and secret is not None:
            endpoint = Endpoint(self._dispatch, secret.get_secret_value())
            self.routes.append(Route(EVENTS_PATH, endpoint.receive, methods=["POST"]))

    async def serve(self) -> None:
        async with self._workspace.connections():
            try:
                seen = await self._begin()
                async with asyncio.TaskGroup() as group:
                    self._keep(group)
                    if self._settings.mode == "socket":
                        group.create_task(self._stay_connected(group, seen), name="slack.socket")
                    else:
                        self._trouble = None
                        group.create_task(self.catch_up(seen), name="slack.catch_up")
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None
            finally:
                self._trouble = NOT_CONNECTED
                await self._look_idle()

    async def _begin(self) -> Sequence[Seen]:
        """Find out who we are, and what was seen before the first event, which would be the newest."""
        answer = await self._identify()
        seen = await self._seen()
        self._know(answer, await self._app_id(str(answer.get("bot_id") or "")))
        return seen

    def _keep(self, group: asyncio.TaskGroup) -> None:
        group.create_task(self._keep_checking(), name="slack.token")

    async def _look_idle(self) -> None:
        await self._workspace.look_idle()

    def surface(self, address: Address, *, person: Person, guard: Guard) -> SlackSurface:
        return SlackSurface(self._workspace, address, person=person, guard=guard)

    async def workspace(self, channel: str) -> str:  # noqa: ARG002  # all are in the one that is served
        return self._workspace.me.team

    def opening(self, channel: str, person: str, *, guard: Guard) -> SlackOpening:
        return SlackOpening(self._workspace, channel, person, guard=guard)

    async def catch_up(self, seen: Sequence[Seen] | None = None) -> None:
        """`seen` is what was known before events began to flow; without it, what is known now."""
        if self._workspace.identified:  # else serving begins with it
            await self._served.catch_up.run(seen)

    def trouble(self) -> str | None:
        return self._trouble or self._token_trouble

    async def _dispatch(self, body: Payload) -> BoltResponse:
        return await self._served.dispatch(body)

    def _missed(self, ts: str) -> None:
        self._served.missed(ts)

    async def _seen(self) -> Sequence[Seen]:
        try:
            return await self._inbox.seen("slack")
        except Exception:  # without it there is no catch-up now, but events can be served
            log.exception("slack.catch_up_failed")
            return ()

    async def _identify(self) -> AsyncSlackResponse:
        """Ask Slack who we are, for as long as it takes. A token that stays refused is for the operator to
        mend."""
        pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        refusals = 0
        while True:
            try:
                return await self._who_we_are()
            except SDK_ERRORS as error:
                failure = Failure.of(error)
                refusals = refusals + 1 if failure.code in WRONG_TOKEN else 0
                if refusals >= REFUSED_TIMES:
                    raise _wrong_bot_token(failure) from None
                hint = "" if failure.code else "; is slack.api_url right?"
                self._trouble = f"Slack: auth.test: {failure.reason}{hint}"
                pause = pauses.pause()
                log.warning("slack.unreachable", reason=self._trouble, again_in=round(pause, 1))
            await asyncio.sleep(pause)

    async def _who_we_are(self) -> AsyncSlackResponse:
        answer = await self._workspace.client.auth_test()
        if not (answer.get("team_id") and answer.get("user_id")):
            raise NotSlacksAnswer(200, {})
        return answer

    async def _app_id(self, bot: str) -> str:
        try:
            found = (await self._workspace.client.bots_info(bot=bot)).get("bot") or {}
        except SDK_ERRORS as error:
            log.info("slack.app_unknown", reason=Failure.of(error).reason)
            return ""
        return str(found.get("app_id") or "")

    def _know(self, answer: AsyncSlackResponse, app: str) -> None:
        granted = _granted(answer)
        me = Me(str(answer["team_id"]), str(answer["user_id"]), str(answer.get("bot_id") or ""), app)
        self._workspace.identify(me, granted)
        if granted is not None and (missing := missing_scopes(",".join(granted), self._settings)):
            log.warning("slack.scopes_missing", scopes=missing, mend="reinstall the app with the current manifest")
        log.info("slack.identified", team=me.team, user=me.user)

    async def _keep_checking(self) -> None:
        """A socket lives on when the bot token is revoked, and nothing could be answered any more. Replies wait
        then; who starts the process with a new token delivers them."""
        refusals = 0
        while True:
            await asyncio.sleep(FIRST_PAUSE if refusals else CHECK_EVERY)
            try:
                self._workspace.scopes = _granted(await self._who_we_are())  # a new installation may change them
                self._token_trouble, refusals = None, 0
            except SDK_ERRORS as error:
                failure = Failure.of(error)
                refusals = refusals + 1 if failure.code in WRONG_TOKEN else 0
                if refusals >= REFUSED_TIMES:
                    raise _wrong_bot_token(failure) from None
                self._token_trouble = f"Slack: auth.test: {failure.reason}"

    async def _stay_connected(self, group: asyncio.TaskGroup, seen: Sequence[Seen]) -> None:
        """Hold a socket; the SDK renews it when Slack says so, and what the SDK can't mend is made anew."""
        pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        first: Sequence[Seen] | None = seen
        while True:
            async with self._socket() as socket:
                if await self._open(socket):
                    pauses.reset()
                    if first is not None:
                        group.create_task(self.catch_up(first), name="slack.catch_up")
                        first = None
                    await self._watch(socket, group)
            self._trouble = NO_SOCKET
            pause = pauses.pause()
            log.warning("slack.socket_lost", again_in=round(pause, 1))
            await asyncio.sleep(pause)

    def _flows(self, group: asyncio.TaskGroup) -> None:
        """Events come. What was written while they didn't, for too long, isn't delivered any more."""
        now, before = time.time(), self._flowed_at
        self._trouble, self._flowed_at = None, now
        if before is not None and now - before > LOST_TOO_LONG:
            self._missed(f"{before:.6f}")
            group.create_task(self.catch_up(), name="slack.catch_up")

    @asynccontextmanager
    async def _socket(self) -> AsyncIterator[Socket]:
        app_token = self._settings.app_token
        assert app_token is not None  # noqa: S101 - the settings saw to it
        socket = Socket(self._dispatch, app_token.get_secret_value(), self._workspace.client)
        try:
            yield socket
        finally:
            await socket.finish()

    async def _open(self, socket: Socket) -> bool:
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                await socket.open()
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            self._refusals = self._refusals + 1 if failure.code in WRONG_APP_TOKEN else 0
            if self._refusals >= REFUSED_TIMES:
                raise ConfigurationError(
                    f"Slack refuses slack.app_token ({failure.code}): make an app-level token with the scope"
                    " connections:write, and turn Socket Mode on in the app's settings"
                ) from None
            self._trouble = f"Slack: apps.connections.open: {failure.reason}"
            log.warning("slack.not_connected", reason=failure.reason)
            return False
        self._refusals = 0
        log.info("slack.connected")
        return True

    async def _watch(self, socket: Socket, group: asyncio.TaskGroup) -> None:
        """Return when the socket is dead beyond what the SDK mends."""
        self._flows(group)
        served_at = time.monotonic()
        while time.monotonic() - served_at < GIVE_UP_AFTER:
            await asyncio.sleep(LOOK_EVERY)
            if not await socket.is_serving():
                self._trouble = NO_SOCKET
                continue
            self._flows(group)
            served_at = time.monotonic()
            if time.monotonic() - socket.heard_at > QUIET_AFTER and not await self._renew(socket):
                return

    async def _renew(self, socket: Socket) -> bool:
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                await socket.renew()
        except SDK_ERRORS as error:
            log.warning("slack.not_renewed", reason=Failure.of(error).reason)
            return False
        return True


def _granted(answer: AsyncSlackResponse) -> frozenset[str] | None:
    granted = next((value for name, value in answer.headers.items() if name.lower() == "x-oauth-scopes"), None)
    return None if granted is None else frozenset(one.strip() for one in granted.split(","))


def _wrong_bot_token(failure: Failure) -> ConfigurationError:
    return ConfigurationError(
        f"Slack refuses slack.bot_token ({failure.reason}): copy the Bot User OAuth Token from"
        " OAuth & Permissions in the app's settings, and check slack.api_url if it is set"
    )
