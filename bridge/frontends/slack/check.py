"""Looks at the `[slack]` table from Slack's side: are the tokens good, and do they allow what the app does?

Two methods are called, neither of which anybody in the workspace notices.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from bridge.findings import Finding, fail, ok, warn
from bridge.frontends.slack.errors import SDK_ERRORS, Failure
from bridge.frontends.slack.manifest import EVENTS_PATH, SCOPES, missing_scopes
from bridge.frontends.slack.settings import SlackSettings
from bridge.frontends.slack.workspace import Workspace
from bridge.turns.surface import Throttled, Unreachable

BOT_TOKEN = "slack.bot_token"  # noqa: S105 - the name of the setting
APP_TOKEN = "slack.app_token"  # noqa: S105
SIGNING_SECRET = "slack.signing_secret"  # noqa: S105

MEND_BOT_TOKEN = "Copy the Bot User OAuth Token from OAuth & Permissions in the app's settings."  # noqa: S105
MEND_APP_TOKEN = (
    "Make an app-level token with the scope connections:write under Basic Information in the app's settings,"  # noqa: S105
    " and turn Socket Mode on."
)
MEND_SCOPES = "Give the app the manifest that `threadbridge manifest slack` prints, and reinstall it."


async def check_slack(settings: SlackSettings) -> AsyncGenerator[Finding]:
    workspace = Workspace(settings)
    async with workspace.connections():
        try:
            about = await workspace.read.auth_test()
        except SDK_ERRORS as error:
            yield _refusal(BOT_TOKEN, Failure.of(error), MEND_BOT_TOKEN)
        else:
            yield ok(BOT_TOKEN, f"accepted as {about.get('user')} in the workspace {about.get('team')}")
            yield _scopes(about.headers)
        if settings.mode == "http":
            yield ok(
                SIGNING_SECRET,
                "set; Slack tells whether it is right when it verifies the Request URL that ends in"
                f" {EVENTS_PATH}, under Event Subscriptions",
            )
        elif settings.app_token is not None:
            try:
                await workspace.read.apps_connections_open(app_token=settings.app_token.get_secret_value())
            except SDK_ERRORS as error:
                yield _refusal(APP_TOKEN, Failure.of(error), MEND_APP_TOKEN)
            else:
                yield ok(APP_TOKEN, "accepted, and Socket Mode is on")


def _scopes(headers: Any) -> Finding:
    granted = next((value for name, value in headers.items() if name.lower() == "x-oauth-scopes"), None)
    if granted is None:
        return warn(BOT_TOKEN, "Slack doesn't say which scopes it has", "Check slack.api_url if it is set.")
    if missing := missing_scopes(granted):
        return fail(BOT_TOKEN, f"lacks the scopes {', '.join(missing)}", MEND_SCOPES)
    return ok(BOT_TOKEN, f"has all {len(SCOPES)} scopes of the manifest")


def _refusal(place: str, failure: Failure, mend: str) -> Finding:
    said = failure.code or (f"HTTP {failure.status}" if failure.status else failure.detail)
    if failure.kind is Throttled:
        return warn(place, "not checked, because Slack limits how often that may be asked", "Wait a minute.")
    if failure.kind is Unreachable:
        return fail(place, f"Slack can't be reached ({said})", "Check this machine's network and slack.api_url.")
    if not failure.code:
        return fail(place, f"the answer isn't Slack's ({said})", "Check slack.api_url.")
    return fail(place, f"refused by Slack ({said})", mend)
