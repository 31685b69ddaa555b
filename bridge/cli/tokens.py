"""The platforms' tokens: where each stands and what it looks like, and what was pasted in place of it. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass

SLACK_APPS = "https://api.slack.com/apps"
DISCORD_APPS = "https://discord.com/developers/applications"


@dataclass(frozen=True, slots=True)
class Secret:
    """A token of a platform: its table and key, where it stands there and what it looks like, and the variable that
    can hold it."""

    table: str
    name: str
    shown_at: str
    looks: str
    variable: str

    def __str__(self) -> str:
        return f"{self.table}.{self.name}"


BOT_TOKEN = Secret(
    "slack",
    "bot_token",
    "OAuth & Permissions > Bot User OAuth Token",
    "xoxb-1234567890-1234567890-AbCdEf…, and it is there once the app is installed",
    "SLACK_BOT_TOKEN",
)
APP_TOKEN = Secret(
    "slack",
    "app_token",
    "Basic Information > App-Level Tokens > Generate Token and Scopes, with the scope connections:write",
    "xapp-1-A0123456789-1234567890-abcdef…",
    "SLACK_APP_TOKEN",
)
SIGNING_SECRET = Secret(
    "slack",
    "signing_secret",
    "Basic Information > App Credentials > Signing Secret > Show (the Client Secret above it looks just the same)",
    "32 digits and letters from a to f",
    "SLACK_SIGNING_SECRET",
)
DISCORD_TOKEN = Secret(
    "discord",
    "token",
    "Bot > Reset Token, which shows it once",
    "three pieces with dots between them, about 70 characters: MTIzNDU2Nzg5….GaBcDe.aBcDeF…",
    "DISCORD_TOKEN",
)
PAGES = {"slack": SLACK_APPS, "discord": DISCORD_APPS}

_QUOTES = "\"'`“”‘’„"
# What people have at hand on the same pages, by its looks. The first that fits; what fits none is for the platform
# to tell.
_KINDS = (
    (
        re.compile(r"xoxe\.xoxp-.*|xoxp-.*"),
        "user token",
        "a User OAuth Token, which acts as the person who made it",
    ),
    (re.compile(r"xoxe\.xoxb-.*|xoxb-.*"), "bot token", "Slack's Bot User OAuth Token"),
    (re.compile(r"xapp-.*"), "app token", "Slack's app-level token"),
    (re.compile(r"xoxe-.*"), "refresh token", "a refresh token, which only renews others"),
    (re.compile(r"xox[a-z]-.*"), "old token", "another of Slack's tokens"),
    (re.compile(r"https?://\S*"), "address", "an address"),
    (re.compile(r"A[A-Z0-9]{8,11}"), "App ID", "Slack's App ID"),
    (re.compile(r"\d{9,}\.\d{9,}"), "Client ID", "Slack's Client ID"),
    (re.compile(r"[\w-]{23,}\.[\w-]{6,7}\.[\w-]{27,}"), "discord token", "a Discord bot's token"),
    (re.compile(r"\d{15,20}"), "application id", "an Application ID, which names the app and opens nothing"),
    (re.compile(r"[0-9a-f]{64}"), "public key", "Discord's Public Key"),
    (re.compile(r"[0-9a-f]{32}"), "secret", "Slack's Signing Secret or Client Secret"),
    (re.compile(r"[\w-]{32}"), "client secret", "Discord's Client Secret, from the page OAuth2"),
    (re.compile(r"\w{24}"), "verification token", "Slack's Verification Token"),
)
_RIGHT = {
    BOT_TOKEN: {"bot token"},
    APP_TOKEN: {"app token"},
    SIGNING_SECRET: {"secret"},
    DISCORD_TOKEN: {"discord token"},
}
_SCHEMES = re.compile(r"(bot|bearer)\s+", re.IGNORECASE)


def mistaken(secret: Secret, pasted: str) -> str:
    """What was pasted in place of the token, in a sentence without it; "" where nothing tells."""
    if pasted[:1] in _QUOTES or pasted[-1:] in _QUOTES:
        return "That has quotes around it: paste what is between them."
    if _SCHEMES.match(pasted):
        return f"That begins with {pasted.split()[0]!r}, which belongs to a header: paste the token alone."
    if pasted.partition("=")[0].strip().upper() == secret.variable:
        return f"That begins with the variable's name: paste what follows {secret.variable}=."
    if any(letter.isspace() for letter in pasted):
        return f"That has a space or a line break within it, and {secret} has none: copy it anew."
    for shape, kind, name in _KINDS:
        if shape.fullmatch(pasted):
            if kind in _RIGHT[secret]:
                return ""
            return f"That looks like {name}. {secret} stands at {secret.shown_at}."
    return ""


def explained(secret: Secret) -> str:
    """Where the token is to be had and what it looks like, as it is told before the question."""
    return (
        f"\n{secret} stands at {PAGES[secret.table]}, in your app, under\n"
        f"  {secret.shown_at}.\n"
        f"  It looks like this: {secret.looks}"
    )
