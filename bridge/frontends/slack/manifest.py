"""The app's manifest: what to paste under "From a manifest" when the app is made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from bridge.commands import COMMANDS
from bridge.frontends.slack.about import shortcuts
from bridge.frontends.slack.settings import SlackSettings
from bridge.prompts import Prompt

EVENTS_PATH = "/slack/events"
NEW_APP = "https://api.slack.com/apps?new_app=1&manifest_json="
LINK_FITS = 8_000  # characters of an address that browsers and servers take for sure
INSTALL_PATH = "/slack/install"
REDIRECT_PATH = "/slack/oauth_redirect"

SCOPES = (
    "app_mentions:read",
    "assistant:write",
    "channels:history",
    "chat:write",
    "commands",
    "files:read",
    "files:write",
    "groups:history",
    "im:history",
    "im:write",
    "mpim:history",
    "reactions:write",
    "users:read",
)
EMAIL_SCOPE = "users:read.email"  # for `slack.emails` alone
REACTIONS_SCOPE = "reactions:read"  # for `slack.reactions.ask` alone, and so the event
REACTION = "reaction_added"
EVENTS = (
    "agent_session_stopped",
    "app_home_opened",
    "app_mention",
    "message.channels",
    "message.groups",
    "message.im",
    "message.mpim",
)

# For many workspaces: the app hears where it is no more.
LEAVING = ("app_uninstalled", "tokens_revoked")

PROMPTS = (
    Prompt(title="What can you do?", message="What can you do, and what do you need for it?"),
    Prompt(title="Ask about a file", message="I'll attach a file: what is in it?"),
)


def slack_manifest(
    settings: SlackSettings | None = None,
    *,
    name: str = "Agent",
    description: str = "An AI agent in your threads",
    public_url: str = "https://YOUR-HOST",
    prompts: Sequence[Prompt] = (),
) -> dict[str, Any]:
    """The manifest for these settings; without any, as before there are tokens, for mode "socket".

    `public_url` is where Slack reaches this process in mode "http". `prompts` are those of the agent that answers in
    direct messages; without any, two that suit every agent.
    """
    socket = settings is None or settings.mode == "socket"
    url = {} if socket else {"request_url": f"{public_url.rstrip('/')}{EVENTS_PATH}"}
    many = settings is not None and settings.serves_many
    command = {} if socket else {"url": url["request_url"]}
    return {
        "display_information": {"name": name, "description": description},
        "features": {
            "agent_view": {
                "agent_description": description,
                "suggested_prompts": [one.model_dump() for one in prompts or PROMPTS],
            },
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": name, "always_online": True},
            "shortcuts": shortcuts(),
            "slash_commands": [
                {
                    "command": "/agent" if settings is None else settings.command,
                    "description": "Ask the agent, stop it, begin anew, and more",
                    "usage_hint": " | ".join(one.usage for one in COMMANDS),
                    "should_escape": True,  # mentions come as ids, as in messages
                    **command,
                }
            ],
        },
        "oauth_config": {
            **({"redirect_urls": [f"{public_url.rstrip('/')}{REDIRECT_PATH}"]} if many else {}),
            "scopes": {"bot": scopes(settings)},
        },
        "settings": {
            "event_subscriptions": {**url, "bot_events": events(settings)},
            "interactivity": {"is_enabled": True, **url},
            "org_deploy_enabled": many and settings is not None and settings.org_install,
            "socket_mode_enabled": socket,
            "token_rotation_enabled": many and settings is not None and settings.token_rotation,
        },
    }


def manifest_link(manifest: Mapping[str, Any]) -> str:
    """Where Slack offers to make an app of this manifest; may be longer than `LINK_FITS`."""
    return NEW_APP + quote(json.dumps(manifest, ensure_ascii=False, separators=(",", ":")), safe="")


def scopes(settings: SlackSettings | None = None) -> list[str]:
    """What the app asks for with these settings."""
    wanted = list(SCOPES)
    if settings is not None and settings.emails:
        wanted.append(EMAIL_SCOPE)
    if settings is not None and settings.reactions.ask:
        wanted.append(REACTIONS_SCOPE)
    return wanted


def events(settings: SlackSettings | None = None) -> list[str]:
    """What the app is told of with these settings."""
    if settings is None:
        return list(EVENTS)
    leaving = LEAVING if settings.serves_many else ()
    return [*EVENTS, *([REACTION] if settings.reactions.ask else ()), *leaving]


def missing_scopes(granted: str, settings: SlackSettings | None = None) -> list[str]:
    """The scopes that a token lacks, by the `x-oauth-scopes` header of any answer to it."""
    held = {scope.strip() for scope in granted.split(",")}
    return [scope for scope in scopes(settings) if scope not in held]
