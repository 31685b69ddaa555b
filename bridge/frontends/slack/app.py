"""Serves one Slack workspace: connects, stays connected, and says how that goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.frontends.slack.connection import Socket
from bridge.frontends.slack.errors import SDK_ERRORS, WRONG_TOKEN, Failure
from bridge.frontends.slack.listeners import Listeners
from bridge.frontends.slack.manifest import EVENTS_PATH, missing_scopes
from bridge.frontends.slack.reading import Me
from bridge.frontends.slack.settings import SlackSettings
from bridge.frontends.slack.surface import SlackSurface
from bridge.frontends.slack.workspace import SDK_LOG, Workspace
from bridge.inbound import Address
from bridge.turns.inbox import Inbox
from bridge.turns.surface import ConfigurationError

log = structlog.get_logger()

FIRST_PAUSE = 1.0  # seconds after the first try that failed; doubled with each
CONNECT_WITHIN = 15.0  # seconds to open a socket and be greeted on it
LOOK_EVERY = 1.0  # seconds between two looks at the socket
GIVE_UP_AFTER = 30.0  # seconds that the SDK gets to mend a socket before it is thrown away
# A socket can answer pings and deliver nothing. Slack delivers an unacknowledged event for the last time 5 minutes
# after the first; a socket that was quiet for less than that is replaced, so that this one arrives on the new one.
QUIET_AFTER = 240.0
CHECK_EVERY = 60.0  # seconds between two looks at the bot token
LONGEST_PAUSE = 30.0  # seconds between two tries to reach Slack
MAX_REQUEST = 1024 * 1024  # bytes; Slack's events are a few KB

NOT_CONNECTED = "Slack: not connected yet"
NO_SOCKET = "Slack: the socket is down or delivers nothing"


class SlackFrontEnd:
    """Implements `bridge.turns.surface.FrontEnd`. `routes` are to be served; in mode "socket" there are none."""

    platform = "slack"

    def __init__(self, settings: SlackSettings, inbox: Inbox) -> None:
        self._settings = settings
        self._workspace = Workspace(settings)
        self._app = self._make_app(inbox)
        self._handler = AsyncSlackRequestHandler(self._app)
        self._trouble: str | None = NOT_CONNECTED
        self._token_trouble: str | None = None
        self.routes = [Route(EVENTS_PATH, self._receive, methods=["POST"])] if settings.mode == "http" else []

    async def serve(self) -> None:
        async with self._workspace.connections():
            try:
                await self._identify()
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._keep_checking(), name="slack.token")
                    if self._settings.mode == "socket":
                        group.create_task(self._stay_connected(), name="slack.socket")
                    else:
                        self._trouble = None
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None
            finally:
                self._trouble = NOT_CONNECTED
                await self._workspace.look_idle()

    def surface(self, address: Address, *, author: str) -> SlackSurface:
        return SlackSurface(self._workspace, address, author=author)

    def trouble(self) -> str | None:
        return self._trouble or self._token_trouble

    def _make_app(self, inbox: Inbox) -> AsyncApp:
        secret = self._settings.signing_secret

        async def authorize() -> AuthorizeResult:
            # Bolt asks by auth.test otherwise, and acknowledges an event although that was refused.
            me = self._workspace.me
            return AuthorizeResult(
                enterprise_id=None,
                team_id=me.team,
                bot_user_id=me.user,
                bot_id=me.bot,
                bot_token=self._workspace.token,
            )

        app = AsyncApp(
            name="threadbridge",
            logger=SDK_LOG,
            client=AsyncWebClient(base_url=self._settings.api_url, logger=SDK_LOG),
            signing_secret=secret.get_secret_value() if secret else "",
            authorize=authorize,
            process_before_response=True,  # acknowledge what is stored, not what has arrived
        )
        Listeners(inbox, self._workspace).listen(app)
        return app

    async def _receive(self, request: Request) -> Response:
        length = request.headers.get("content-length", "")
        if not length.isdigit() or int(length) > MAX_REQUEST:
            return Response(status_code=413)
        return await self._handler.handle(request)

    async def _identify(self) -> None:
        """Ask Slack who we are, for as long as it takes."""
        pause = FIRST_PAUSE
        while True:
            try:
                answer = await self._workspace.read.auth_test()
                break
            except SDK_ERRORS as error:
                failure = Failure.of(error)
                if failure.refused:
                    raise _wrong_bot_token(failure) from None
                self._trouble = f"Slack: auth.test: {failure.code or failure.status or failure.detail}"
                log.warning("slack.unreachable", reason=self._trouble, again_in=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        self._workspace.identify(Me(answer["team_id"], answer["user_id"], answer.get("bot_id") or ""))
        granted = next((value for name, value in answer.headers.items() if name.lower() == "x-oauth-scopes"), None)
        if granted is not None and (missing := missing_scopes(granted)):
            log.warning("slack.scopes_missing", scopes=missing, mend="reinstall the app with the current manifest")
        log.info("slack.identified", team=answer["team_id"], user=answer["user_id"])

    async def _keep_checking(self) -> None:
        """A socket lives on when the bot token is revoked, and nothing could be answered any more."""
        while True:
            await asyncio.sleep(CHECK_EVERY)
            try:
                await self._workspace.read.auth_test()
                self._token_trouble = None
            except SDK_ERRORS as error:
                failure = Failure.of(error)
                if failure.code in WRONG_TOKEN:
                    raise _wrong_bot_token(failure) from None
                self._token_trouble = f"Slack: auth.test: {failure.code or failure.status or failure.detail}"

    async def _stay_connected(self) -> None:
        """Hold a socket; the SDK renews it when Slack says so, and what the SDK can't mend is made anew."""
        pause = FIRST_PAUSE
        while True:
            async with self._socket() as socket:
                if await self._open(socket):
                    pause = FIRST_PAUSE
                    await self._watch(socket)
            self._trouble = NO_SOCKET
            log.warning("slack.socket_lost", again_in=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    @asynccontextmanager
    async def _socket(self) -> AsyncIterator[Socket]:
        app_token = self._settings.app_token
        assert app_token is not None  # noqa: S101 - the settings saw to it
        socket = Socket(self._app, app_token.get_secret_value(), self._workspace.read)
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
            if failure.refused and failure.code:  # without a code it isn't Slack that refuses
                raise ConfigurationError(
                    f"Slack refuses slack.app_token ({failure.code}): make an app-level token with the scope"
                    " connections:write, and turn Socket Mode on in the app's settings"
                ) from None
            log.warning("slack.not_connected", reason=failure.code or failure.status or failure.detail)
            return False
        self._trouble = None
        log.info("slack.connected")
        return True

    async def _watch(self, socket: Socket) -> None:
        """Return when the socket is dead beyond what the SDK mends."""
        served_at = time.monotonic()
        while time.monotonic() - served_at < GIVE_UP_AFTER:
            await asyncio.sleep(LOOK_EVERY)
            if not await socket.is_serving():
                self._trouble = NO_SOCKET
                continue
            served_at, self._trouble = time.monotonic(), None
            if time.monotonic() - socket.heard_at > QUIET_AFTER and not await self._renew(socket):
                return

    async def _renew(self, socket: Socket) -> bool:
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                await socket.renew()
        except SDK_ERRORS as error:
            log.warning("slack.not_renewed", reason=Failure.of(error).code)
            return False
        return True


def _wrong_bot_token(failure: Failure) -> ConfigurationError:
    said = failure.code or f"HTTP {failure.status}"
    return ConfigurationError(
        f"Slack refuses slack.bot_token ({said}): copy the Bot User OAuth Token from OAuth & Permissions in the"
        " app's settings, and check slack.api_url if it is set"
    )
