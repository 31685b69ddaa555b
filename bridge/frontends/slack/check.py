"""Looks at the `[slack]` table from Slack's side: are the tokens good, and do they allow what the app does?

Only methods that nobody in the workspace notices are called.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from bridge.findings import Finding, fail, ok, warn
from bridge.frontends.slack.errors import SDK_ERRORS, WRONG_TOKEN, Failure
from bridge.frontends.slack.home import NOT_ENABLED
from bridge.frontends.slack.manifest import EVENTS_PATH, INSTALL_PATH, missing_scopes, scopes
from bridge.frontends.slack.settings import SlackSettings
from bridge.frontends.slack.workspace import Workspace
from bridge.turns.surface import Throttled

BOT_TOKEN = "slack.bot_token"  # noqa: S105 - the name of the setting
APP_TOKEN = "slack.app_token"  # noqa: S105
CLIENT = "slack.client_id"
HOME = "slack"
SIGNING_SECRET = "slack.signing_secret"  # noqa: S105

FIX_BOT_TOKEN = "Copy the Bot User OAuth Token from OAuth & Permissions in the app's settings."  # noqa: S105
FIX_APP_TOKEN = (
    "Make an app-level token with the scope connections:write under Basic Information in the app's settings,"  # noqa: S105
    " and turn Socket Mode on."
)
FIX_CLIENT = "Copy Client ID and Client Secret from Basic Information in the app's settings."
# What Slack says of a code that it didn't give, to an app that it knows.
WRONG_CODE = frozenset({"invalid_code", "bad_redirect_uri"})
FIX_SCOPES = "Give the app the manifest that `threadbridge manifest slack` prints, and reinstall it."
FIX_MANIFEST = "Give the app the manifest that `threadbridge manifest slack` prints."
FIX_CHANNEL = "Check the id; into a private channel the app must be invited first."
FIX_NOT_IN_CHANNEL = "Type /invite and the app's name there, or nobody can mention it."

MAX_CHANNELS = 20  # that are asked about; Slack's tier 3 allows 50 calls a minute


async def check_slack(settings: SlackSettings, channels: Mapping[str, str]) -> AsyncGenerator[Finding]:
    """`channels` are the ids that routes name, by their place in the settings."""
    workspace = Workspace(settings)
    async with workspace.connections():
        if settings.serves_many:
            yield await _credentials(workspace, settings)
        else:
            async for finding in _bot_token(workspace, settings, channels):
                yield finding
        if settings.mode == "http":
            yield ok(
                SIGNING_SECRET,
                "set; Slack tells whether it is right when it verifies the Request URL that ends in"
                f" {EVENTS_PATH}, under Event Subscriptions",
            )
        elif settings.app_token is not None:
            try:
                await workspace.client.apps_connections_open(app_token=settings.app_token.get_secret_value())
            except SDK_ERRORS as error:
                yield _refusal(APP_TOKEN, Failure.of(error), FIX_APP_TOKEN)
            else:
                yield ok(APP_TOKEN, "accepted, and Socket Mode is on")


async def _credentials(workspace: Workspace, settings: SlackSettings) -> Finding:
    """A code that Slack never gave: it looks at who asks first."""
    secret = "" if settings.client_secret is None else settings.client_secret.get_secret_value()
    try:
        await workspace.client.exchange(settings.client_id or "", secret, code="threadbridge-doctor")
    except SDK_ERRORS as error:
        failure = Failure.of(error)
        if failure.code not in WRONG_CODE:
            return _refusal(CLIENT, failure, FIX_CLIENT)
    return ok(
        CLIENT, f"accepted; workspaces install the app at {INSTALL_PATH}: `threadbridge workspaces` lists them"
    )


async def _bot_token(
    workspace: Workspace, settings: SlackSettings, channels: Mapping[str, str]
) -> AsyncIterator[Finding]:
    try:
        about = await workspace.client.auth_test()
    except SDK_ERRORS as error:
        yield _refusal(BOT_TOKEN, Failure.of(error), FIX_BOT_TOKEN)
    else:
        yield ok(BOT_TOKEN, f"accepted as {about.get('user')} in the workspace {about.get('team')}")
        yield _scopes(about.headers, settings)
        if finding := await _home(workspace, str(about.get("user_id") or "")):
            yield finding
        async for finding in _channels(workspace, channels):
            yield finding


async def _home(workspace: Workspace, bot: str) -> Finding | None:
    """Whether the app has a Home tab, by the bot's own, which nobody sees. Nothing is said where that can't be told."""
    try:
        await workspace.client.views_publish(user_id=bot, view={"type": "home", "blocks": []})
    except SDK_ERRORS as error:
        if Failure.of(error).code == NOT_ENABLED:
            return warn(HOME, "the app has no Home tab, where people find their conversations", FIX_MANIFEST)
    return None


async def _channels(workspace: Workspace, channels: Mapping[str, str]) -> AsyncIterator[Finding]:
    for place, channel in list(channels.items())[:MAX_CHANNELS]:
        try:  # not conversations.info: its scopes are for nothing else, so the manifest hasn't them
            await workspace.client.conversations_history(channel=channel, limit=1)
        except SDK_ERRORS as error:
            yield _no_channel(place, channel, Failure.of(error))
        else:
            yield ok(place, f"the app is in {channel} and can read it")
    if len(channels) > MAX_CHANNELS:
        yield ok("routes", f"only the first {MAX_CHANNELS} of {len(channels)} channels on Slack were looked at")


def _no_channel(place: str, channel: str, failure: Failure) -> Finding:
    match failure.code:
        case "channel_not_found":
            return fail(place, f"Slack shows the app no channel {channel}", FIX_CHANNEL)
        case "not_in_channel":
            return warn(place, f"the app isn't in {channel}", FIX_NOT_IN_CHANNEL)
        case "missing_scope":
            return warn(place, f"{channel} isn't checked, because the app lacks a scope for it", FIX_SCOPES)
        case code:
            reason = code or failure.detail or "no answer of Slack"
            return warn(place, f"{channel} isn't checked ({reason})", "Try again later.")


def _scopes(headers: Any, settings: SlackSettings) -> Finding:
    granted = next((value for name, value in headers.items() if name.lower() == "x-oauth-scopes"), None)
    if granted is None:
        return warn(BOT_TOKEN, "Slack doesn't say which scopes it has", "Check slack.api_url if it is set.")
    if missing := missing_scopes(granted, settings):
        return fail(BOT_TOKEN, f"lacks the scopes {', '.join(missing)}", FIX_SCOPES)
    return ok(BOT_TOKEN, f"has all {len(scopes(settings))} scopes of the manifest")


def _refusal(place: str, failure: Failure, fix: str) -> Finding:
    if failure.kind is Throttled:
        return warn(place, "not checked, because Slack limits how often that may be asked", "Wait a minute.")
    if failure.code in WRONG_TOKEN or failure.refused:
        return fail(place, f"refused by Slack ({failure.reason})", fix)
    if failure.status and failure.status < 500 and not failure.code:
        return fail(place, f"the answer isn't Slack's ({failure.reason})", "Check slack.api_url.")
    return fail(
        place, f"Slack can't be reached ({failure.reason})", "Check this machine's network and slack.api_url."
    )
