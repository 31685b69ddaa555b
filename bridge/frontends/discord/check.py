"""Looks at the `[discord]` table from Discord's side: is the token good, where is the bot, what may it do there?

It signs in over HTTP only and reads; it doesn't connect to the gateway, so nobody sees it come online.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping

import discord
from discord.http import Route

from bridge.findings import Finding, fail, ok, warn
from bridge.frontends.discord.errors import SDK_ERRORS, UnknownAnswer, surface_error
from bridge.frontends.discord.invite import PERMISSIONS, intents, invite_link
from bridge.frontends.discord.settings import DiscordSettings
from bridge.turns.surface import Throttled, Unreachable

TOKEN = "discord.token"  # noqa: S105 - the name of the setting
LONGEST_WAIT = 30.0  # seconds; the least that discord.py takes. The caller's patience ends before
MAX_SERVERS = 10  # whose permissions are read, three requests each
MAX_CHANNELS = 20  # of the routes that are asked about
MAX_NAMED = 3  # channels named in one finding
VIEW = "View Channel"
PERMISSION_NAMES = {"read_messages": VIEW, "send_messages_in_threads": "Send Messages in Threads"}

FIX_TOKEN = "Make a new one at Bot > Reset Token in the Discord Developer Portal."  # noqa: S105
FIX_INTENT = (
    "Mentions and direct messages still work; for follow-ups in threads without a mention switch it on at"
    " Bot > Privileged Gateway Intents in the Discord Developer Portal."
)
FIX_HEARING = (
    "Switch it on at Bot > Privileged Gateway Intents in the Discord Developer Portal; without it Discord empties"
    " what doesn't mention the bot."
)
SERVERS = "access.servers"
FIX_PUBLIC = (
    "Name the servers that it is for in access.servers, or switch Public Bot off at Bot in the Discord Developer"
    " Portal."
)
FIX_ADDRESS = "Check this machine's network and discord.api_url."
FIX_PERMISSIONS = "Allow it to the bot's role in the channel's settings > Permissions."


async def check_discord(
    settings: DiscordSettings, channels: Mapping[str, str], *, lists_servers: bool, unmentioned: str = ""
) -> AsyncGenerator[Finding]:
    """`channels` are the ids that routes name, by their place in the settings; `lists_servers`: the settings say which
    servers are served; `unmentioned`: the setting by which messages are asked that don't mention the bot."""
    Route.BASE = settings.api_url  # discord.py has no other way to be pointed elsewhere
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # we never speak
    async with discord.Client(intents=intents(message_content=True), max_ratelimit_timeout=LONGEST_WAIT) as client:
        try:
            await client.login(settings.token.get_secret_value())
        except discord.LoginFailure:
            yield fail(TOKEN, "refused by Discord", FIX_TOKEN)
            return
        except SDK_ERRORS as error:
            yield _trouble(error)
            return
        yield ok(TOKEN, f"accepted as {client.user}")
        yield _message_content(client, unmentioned)
        if client.application and client.application.bot_public and not lists_servers:
            yield warn(SERVERS, "anyone may invite the bot, and it serves every server that it is in", FIX_PUBLIC)
        try:
            async for finding in _places(client, channels):
                yield finding
        except (*SDK_ERRORS, discord.ClientException) as error:
            found = f"servers and permissions aren't checked ({surface_error(error, 'servers')})"
            yield warn("discord", found, "Try again in a few minutes.")


def _message_content(client: discord.Client, unmentioned: str) -> Finding:
    application = client.application
    flags = application.flags if application else discord.ApplicationFlags()
    # The second is what apps in fewer than 100 servers get, without Discord's review.
    if flags.gateway_message_content or flags.gateway_message_content_limited:
        return ok("discord", "the Message Content intent is on")
    if unmentioned:
        return fail(unmentioned, "the Message Content intent is off, so nothing is heard there", FIX_HEARING)
    return warn("discord", "the Message Content intent is off", FIX_INTENT)


async def _places(client: discord.Client, channels: Mapping[str, str]) -> AsyncIterator[Finding]:
    """In which servers the bot is, what it lacks in their channels, and whether the routes' channels are there."""
    servers = [server async for server in client.fetch_guilds(limit=MAX_SERVERS + 1)]
    if not servers:
        link = invite_link(client.application_id) if client.application_id else "`threadbridge manifest discord`"
        yield fail("discord", "the bot is in no server", f"Invite it: {link}")
        return
    checked: dict[int, tuple[str, list[str]]] = {}
    for server in servers[:MAX_SERVERS]:
        lacking: dict[str, list[str]] = {}
        for channel, name, missing in await _server(client, server.id):
            checked[channel] = (name, missing)
            if VIEW not in missing:  # else it is private, and nobody asks the bot there
                for permission in missing:
                    lacking.setdefault(permission, []).append(name)
        for permission, names in lacking.items():
            yield warn(
                "discord", f"{server.name}: the bot lacks “{permission}” in {_named(names)}", FIX_PERMISSIONS
            )
        if not lacking:
            yield ok("discord", f"{server.name}: the bot may do what it needs in every channel that it sees")
    if len(servers) > MAX_SERVERS:
        yield ok("discord", f"the permissions in its other servers weren't looked at, only in {MAX_SERVERS}")
    for place, channel_id in list(channels.items())[:MAX_CHANNELS]:
        if int(channel_id) in checked:
            yield _routed(place, *checked[int(channel_id)])
        else:
            yield await _elsewhere(client, place, int(channel_id))


async def _server(client: discord.Client, server_id: int) -> list[tuple[int, str, list[str]]]:
    """The channels of a server that people write in: id, name, and what the bot may not do there."""
    server = await client.fetch_guild(server_id, with_counts=False)
    me = await server.fetch_member(client.user.id if client.user else 0)
    return [
        (channel.id, f"#{channel.name}", list(_missing(channel.permissions_for(me))))
        for channel in await server.fetch_channels()
        if isinstance(channel, discord.TextChannel | discord.ForumChannel)
    ]


def _missing(allowed: discord.Permissions) -> Iterator[str]:
    """What the bot may not do of what it needs, as Discord's own settings name it."""
    for name, needed in PERMISSIONS:
        if needed and not getattr(allowed, name):
            yield PERMISSION_NAMES.get(name, name.replace("_", " ").title())


def _routed(place: str, name: str, missing: Iterable[str]) -> Finding:
    if lacking := [f"“{permission}”" for permission in missing]:
        return fail(place, f"in {name} the bot lacks {', '.join(lacking)}", FIX_PERMISSIONS)
    return ok(place, f"{name}, and the bot may do there what it needs")


async def _elsewhere(client: discord.Client, place: str, channel_id: int) -> Finding:
    """A channel of a route that is in none of the servers that were looked at, or is no channel."""
    try:
        channel = await client.fetch_channel(channel_id)
    except (discord.NotFound, discord.Forbidden):
        found = f"Discord shows the bot no channel {channel_id}"
        return fail(place, found, "Check the id, and that the bot is in that server and sees the channel.")
    if isinstance(channel, discord.Thread):
        found = f"{channel_id} is a thread"
        return fail(place, found, f"A route names a thread's channel, which is {channel.parent_id} here.")
    return ok(place, f"#{getattr(channel, 'name', channel_id)} is there")


def _named(names: list[str]) -> str:
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def _trouble(error: Exception) -> Finding:
    trouble = surface_error(error, "login")
    if isinstance(trouble, Throttled):
        return warn(
            TOKEN, "not checked, because Discord limits how often that may be asked", "Wait a few minutes."
        )
    if isinstance(trouble, Unreachable) and not isinstance(trouble, UnknownAnswer):
        return fail(TOKEN, f"Discord can't be reached ({trouble})", FIX_ADDRESS)
    return fail(TOKEN, f"Discord answers with an error ({trouble})", FIX_ADDRESS)
