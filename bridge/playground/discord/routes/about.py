"""Who the bot is, where its gateway is, and its guilds with their members."""

from __future__ import annotations

from bridge.playground.discord import payloads
from bridge.playground.discord.errors import unknown_guild, unknown_member, unknown_user
from bridge.playground.discord.model import Guild, Json
from bridge.playground.discord.rest import Asked, Routes, read_id
from bridge.playground.discord.sessions import MAX_STARTS
from bridge.playground.discord.state import State

routes = Routes()


def guild_of(state: State, asked: Asked) -> Guild:
    """The guild that the path names. Raises 10004."""
    guild = state.guilds.get(asked.id("guild"))
    if guild is None:
        raise unknown_guild()
    return guild


def gateway_url(state: State) -> str:
    return state.base_url.replace("http", "ws", 1) + "/gateway"


@routes.on("GET", "/users/@me")
def me(state: State, _: Asked) -> Json:
    return payloads.user_json(state.bot) | {"verified": True, "mfa_enabled": False, "email": None, "flags": 0}


@routes.on("GET", "/users/{user}")
def user(state: State, asked: Asked) -> Json:
    found = state.users.get(asked.id("user"))
    if found is None:
        raise unknown_user()
    return payloads.user_json(found)


@routes.on("GET", "/users/@me/guilds")
def my_guilds(state: State, asked: Asked) -> list[Json]:
    after, before = asked.query_id("after") or 0, asked.query_id("before")
    found = sorted((guild for guild in state.bot_guilds() if guild.id > after), key=lambda guild: guild.id)
    if before is not None:
        found = [guild for guild in found if guild.id < before]
    limit = asked.limit(200, 200)
    page = found[-limit:] if before is not None and not after else found[:limit]
    return [
        {
            "id": str(guild.id),
            "name": guild.name,
            "icon": None,
            "owner": False,
            "permissions": str(int(guild.bot_permissions)),
            "features": [],
        }
        for guild in page
    ]


@routes.on("POST", "/users/@me/channels")
def open_direct(state: State, asked: Asked) -> Json:
    person = state.users.get(read_id("recipient_id", asked.form.get("recipient_id")))
    if person is None or person.id == state.bot.id:
        raise unknown_user()
    return payloads.channel_json(state, state.direct_channel(person.id))


@routes.on("GET", "/gateway")
def gateway(state: State, _: Asked) -> Json:
    return {"url": gateway_url(state)}


@routes.on("GET", "/gateway/bot")
def gateway_bot(state: State, _: Asked) -> Json:
    gateway = state.gateway
    more_in = max(0, int((gateway.more_starts_at - state.clock()) * 1000))
    left = {
        "total": MAX_STARTS,
        "remaining": gateway.starts,
        "reset_after": more_in,
        "max_concurrency": state.max_concurrency,
    }
    return {"url": gateway_url(state), "shards": state.shards, "session_start_limit": left}


@routes.on("GET", "/guilds/{guild}")
def guild(state: State, asked: Asked) -> Json:
    return payloads.guild_json(state, guild_of(state, asked))


@routes.on("GET", "/guilds/{guild}/channels")
def guild_channels(state: State, asked: Asked) -> list[Json]:
    channels = state.channels_of(guild_of(state, asked))
    return [payloads.channel_json(state, channel) for channel in channels if channel.thread is None]


@routes.on("GET", "/guilds/{guild}/members")
def members(state: State, asked: Asked) -> list[Json]:
    found = guild_of(state, asked)
    after = asked.query_id("after") or 0
    people = [state.users[user_id] for user_id in sorted(found.members) if user_id > after][: asked.limit(1, 1000)]
    return [payloads.member_json(state, found, person) for person in people]


@routes.on("GET", "/guilds/{guild}/members/{user}")
def member(state: State, asked: Asked) -> Json:
    found = guild_of(state, asked)
    if asked.id("user") not in found.members:
        raise unknown_member()
    return payloads.member_json(state, found, state.users[asked.id("user")])


@routes.on("GET", "/guilds/{guild}/roles")
def roles(state: State, asked: Asked) -> list[Json]:
    listed: list[Json] = payloads.guild_json(state, guild_of(state, asked))["roles"]
    return listed
