"""What both floors share: a backend's answer, piece by piece, by httpx and httpx-sse alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, TypedDict

import httpx
from httpx_sse import aconnect_sse


class Given(TypedDict):
    """What a floor is told, as JSON."""

    kind: str  # of the backend: openai or sema4ai
    backend: str  # its address
    key: str
    agent: str  # of sema4ai
    model: str  # of openai
    api_url: str
    gateway_url: str  # of Discord
    token: str
    signing_secret: str  # of Slack
    port: int


def make_client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=1_000), trust_env=False)


async def deltas(http: httpx.AsyncClient, given: Given, question: str) -> AsyncIterator[str]:
    headers = {"Authorization": f"Bearer {given['key']}"}
    if given["kind"] == "openai":
        url = f"{given['backend']}/v1/chat/completions"
        messages = [{"role": "user", "content": question}]
        body: dict[str, Any] = {"model": given["model"], "messages": messages, "stream": True}
    else:
        base = f"{given['backend']}/sema4ai/agents/{given['agent']}/conversations"
        made = await http.post(base, json={"name": question}, headers=headers)
        url = f"{base}/{made.json()['id']}/stream"
        body = {"content": question}
    async with aconnect_sse(http, "POST", url, json=body, headers=headers) as source:
        async for event in source.aiter_sse():
            if event.data == "[DONE]":
                return
            value = json.loads(event.data)
            if given["kind"] == "sema4ai":
                yield value["delta"]
            elif value["choices"]:
                yield value["choices"][0]["delta"].get("content") or ""
