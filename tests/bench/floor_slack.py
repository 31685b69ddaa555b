"""The floor on Slack: the least program that streams a backend's answer into a thread. No store, no retries.

python -m tests.bench.floor_slack JSON      (`Given`)
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import httpx
import uvicorn
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.bench.floor_backend import Given, deltas, make_client

EVERY = 1.0  # seconds between two appends


def make_app(given: Given, http: httpx.AsyncClient) -> AsyncApp:
    client = AsyncWebClient(token=given["token"], base_url=given["api_url"])
    app = AsyncApp(client=client, signing_secret=given["signing_secret"])

    @app.event("app_mention")
    async def answer(event: dict[str, Any], client: AsyncWebClient) -> None:
        channel, thread = event["channel"], event.get("thread_ts") or event["ts"]
        stream, waiting, sent_at = "", "", 0.0
        async for delta in deltas(http, given, event["text"]):
            waiting += delta
            if not waiting or time.monotonic() - sent_at < EVERY:
                continue
            if stream:
                await client.chat_appendStream(channel=channel, ts=stream, markdown_text=waiting)
            else:
                started = await client.chat_startStream(
                    channel=channel,
                    thread_ts=thread,
                    recipient_user_id=event["user"],
                    recipient_team_id=event.get("team"),
                    markdown_text=waiting,
                )
                stream = started["ts"]
            waiting, sent_at = "", time.monotonic()
        await client.chat_stopStream(channel=channel, ts=stream, markdown_text=waiting or None)

    @app.event("message")
    async def ignore() -> None:
        pass

    return app


def main() -> None:
    given: Given = json.loads(sys.argv[1])
    handler = AsyncSlackRequestHandler(make_app(given, make_client()))

    async def events(request: Request) -> Response:
        return await handler.handle(request)

    async def ready(_: Request) -> Response:
        return PlainTextResponse("ready")

    routes = [Route("/slack/events", events, methods=["POST"]), Route("/readyz", ready)]
    uvicorn.run(Starlette(routes=routes), host="127.0.0.1", port=given["port"], log_level="warning", ws="none")


if __name__ == "__main__":
    main()
