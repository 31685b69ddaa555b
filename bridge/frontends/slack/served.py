"""One workspace as it is served: what hears it, what reads it again after an outage, and what answers its presses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from bridge.frontends.slack.catch_up import CatchUp
from bridge.frontends.slack.client import SDK_LOG
from bridge.frontends.slack.content import Payload
from bridge.frontends.slack.listeners import Listeners
from bridge.frontends.slack.prompts import PromptsAt
from bridge.frontends.slack.workspace import Workspace
from bridge.turns.inbox import Inbox


@dataclass(frozen=True, slots=True)
class Serving:
    """What is the same for every workspace."""

    inbox: Inbox
    prompts_at: PromptsAt
    catch_up_hours: float


class Served:
    """What comes of one workspace, and what is fetched of it."""

    def __init__(self, workspace: Workspace, serving: Serving) -> None:
        self.workspace = workspace
        self._listeners = Listeners(serving.inbox, workspace, self.missed, prompts_at=serving.prompts_at)
        self.catch_up = CatchUp(
            serving.inbox, workspace, self._listeners.hear, oldest=timedelta(hours=serving.catch_up_hours)
        )
        self._app = self._make_app()

    async def dispatch(self, body: Payload) -> BoltResponse:
        """What came is verified, by its signature or by its socket. An event needs no more than an
        acknowledgement; what is answered with more, bolt routes."""
        if body.get("type") != "event_callback":
            return await self._app.async_dispatch(AsyncBoltRequest(mode="socket_mode", body=dict(body)))
        try:
            await self._listeners.on_event(body)
        except Exception as error:
            return await self._listeners.on_error(error, body)
        return BoltResponse(status=200)

    def missed(self, ts: str) -> None:
        """What was written at this time wasn't stored, or from then on nothing was heard."""
        self.catch_up.missed(ts)

    def _make_app(self) -> AsyncApp:
        async def authorize() -> AuthorizeResult:
            # Bolt asks by auth.test otherwise, and acknowledges an event although that was refused.
            me = self.workspace.me
            return AuthorizeResult(
                enterprise_id=None,
                team_id=me.team,
                bot_user_id=me.user,
                bot_id=me.bot,
                bot_token=self.workspace.token,
            )

        app = AsyncApp(
            name="threadbridge",
            logger=SDK_LOG,
            client=AsyncWebClient(base_url=self.workspace.settings.api_url, logger=SDK_LOG),
            signing_secret="",
            authorize=authorize,
            process_before_response=True,  # acknowledge what is stored, not what has arrived
            # What our endpoint and `reading` do already, or nobody needs.
            request_verification_enabled=False,
            ssl_check_enabled=False,
            url_verification_enabled=False,
            ignoring_self_events_enabled=False,
            ignoring_self_assistant_message_events_enabled=False,
            attaching_function_token_enabled=False,
            attaching_conversation_kwargs_enabled=False,
        )
        self._listeners.listen(app)
        return app
