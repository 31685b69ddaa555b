"""A Discord to develop against: guilds in memory that the unmodified discord.py connects to by its address.

world = DiscordWorld()
async with serve(create_app(world)) as url:
    discord.http.Route.BASE = f"{url}/api/v10"
    discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(f"{url.replace('http', 'ws')}/gateway")
    ...
    await world.until(lambda: world.gateway.connected)
    message_id = await world.say("ada", "general", f"{world.mention} hello")
"""

from bridge.playground.discord.app import create_app
from bridge.playground.discord.errors import ApiError
from bridge.playground.discord.feed import Watch
from bridge.playground.discord.invocations import CallbackType, Interaction
from bridge.playground.discord.model import (
    Attachment,
    Call,
    Change,
    Channel,
    ChannelType,
    Guild,
    Message,
    MessageFlag,
    MessageType,
    Permission,
    Ping,
    Unfurl,
    User,
)
from bridge.playground.discord.polls import Poll
from bridge.playground.discord.state import Times
from bridge.playground.discord.world import DiscordWorld

__all__ = [
    "ApiError",
    "Attachment",
    "Call",
    "CallbackType",
    "Change",
    "Channel",
    "ChannelType",
    "DiscordWorld",
    "Guild",
    "Interaction",
    "Message",
    "MessageFlag",
    "MessageType",
    "Permission",
    "Ping",
    "Poll",
    "Times",
    "Unfurl",
    "User",
    "Watch",
    "create_app",
]
