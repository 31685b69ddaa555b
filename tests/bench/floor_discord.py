"""The floor on Discord: the least program that shows a growing answer in a thread by edits, one a second.

python -m tests.bench.floor_discord JSON      (`Given`)
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import discord
import uvicorn
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route as DiscordRoute
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.bench.floor_backend import Given, deltas, make_client

EVERY = 1.0  # seconds between two edits
MAX_NAME = 100  # of a thread


def make_client_of(given: Given) -> discord.Client:
    DiscordRoute.BASE = given["api_url"]
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(given["gateway_url"])
    http = make_client()
    intents = discord.Intents.default()
    intents.message_content = True
    client = discord.Client(intents=intents, allowed_mentions=discord.AllowedMentions.none())

    @client.event
    async def on_message(message: discord.Message) -> None:
        if message.author == client.user or client.user not in message.mentions:
            return
        thread = await message.create_thread(name=message.content[:MAX_NAME])
        reply: discord.Message | None = None
        text, shown, sent_at = "", "", 0.0
        async for delta in deltas(http, given, message.content):
            text += delta
            if not text.strip() or time.monotonic() - sent_at < EVERY:
                continue
            if reply is None:
                reply = await thread.send(text)
            else:
                await reply.edit(content=text)
            shown, sent_at = text, time.monotonic()
        if reply is not None and shown != text:
            await reply.edit(content=text)

    return client


async def serve(given: Given) -> None:
    client = make_client_of(given)

    async def ready(_: Request) -> Response:
        return PlainTextResponse("ready")

    app = Starlette(routes=[Route("/readyz", ready)])
    config = uvicorn.Config(app, host="127.0.0.1", port=given["port"], log_level="warning", ws="none")
    async with client:
        running = asyncio.create_task(client.start(given["token"]))
        await uvicorn.Server(config).serve()
        running.cancel()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.argv[1])))
