"""Looks at the `[discord]` table from Discord's side: is the token good, and may the bot read what people write?

It logs in to the REST API and reads who it is; it doesn't connect to the gateway, so nobody sees it come online.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import discord
from discord.http import Route

from bridge.findings import Finding, fail, ok, warn
from bridge.frontends.discord.errors import SDK_ERRORS, surface_error
from bridge.frontends.discord.invite import intents
from bridge.frontends.discord.settings import DiscordSettings
from bridge.turns.surface import Throttled, Unreachable

TOKEN = "discord.token"  # noqa: S105 - the name of the setting
LONGEST_WAIT = 30.0  # seconds; the least that discord.py takes. The caller's patience ends before

MEND_TOKEN = "Make a new one at Bot > Reset Token in the Discord Developer Portal."  # noqa: S105
MEND_INTENT = (
    "Mentions and direct messages still work; for follow-ups in threads without a mention switch it on at"
    " Bot > Privileged Gateway Intents in the Discord Developer Portal."
)
MEND_ADDRESS = "Check this machine's network and discord.api_url."


async def check_discord(settings: DiscordSettings) -> AsyncGenerator[Finding]:
    Route.BASE = settings.api_url  # discord.py has no other way to be pointed elsewhere
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # we never speak
    async with discord.Client(intents=intents(message_content=True), max_ratelimit_timeout=LONGEST_WAIT) as client:
        try:
            await client.login(settings.token.get_secret_value())
        except discord.LoginFailure:
            yield fail(TOKEN, "refused by Discord", MEND_TOKEN)
        except SDK_ERRORS as error:
            yield _trouble(error)
        else:
            yield ok(TOKEN, f"accepted as {client.user}")
            yield _message_content(client)


def _message_content(client: discord.Client) -> Finding:
    application = client.application
    flags = application.flags if application else discord.ApplicationFlags()
    # The second is what apps in fewer than 100 servers get, without Discord's review.
    if flags.gateway_message_content or flags.gateway_message_content_limited:
        return ok("discord", "the Message Content intent is on")
    return warn("discord", "the Message Content intent is off", MEND_INTENT)


def _trouble(error: Exception) -> Finding:
    said = surface_error(error, "login")
    if isinstance(said, Throttled):
        return warn(
            TOKEN, "not checked, because Discord limits how often that may be asked", "Wait a few minutes."
        )
    if isinstance(said, Unreachable):
        return fail(TOKEN, f"Discord can't be reached ({said})", MEND_ADDRESS)
    return fail(TOKEN, f"Discord answers with an error ({said})", MEND_ADDRESS)
