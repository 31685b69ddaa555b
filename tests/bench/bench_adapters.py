"""What the adapters' streams cost: CPU for an answer in 200 chunks, as a ratio to bare httpx and httpx-sse.

    python tests/bench/bench_adapters.py [--json] [--only NAME]

The server is a process of its own, so that its work isn't counted. Each chunk is sent after a pause, so that it
arrives alone, as a model's words do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import httpx_sse

sys.path.insert(0, str(Path(__file__).parents[2]))

from adapters.a2a.agent import A2A, A2ASettings
from adapters.base import Agent, Done, Message, Text
from adapters.fifthelement import FifthElement, FifthElementSettings
from adapters.http.service import Service, create_client
from adapters.openai.agent import OpenAI
from adapters.openai.client import OpenAISettings

CHUNKS = 200
PAUSE = 0.0005  # seconds between two chunks
STREAMS = 15  # of each contender in a round
ROUNDS = 3  # the best counts
AT_ONCE = 100
EXCHANGES = 200
WORD = "word number {} "
FLOOR = "httpx + httpx-sse"


# --- the server, in a process of its own ------------------------------------------------------------------------


def chat() -> list[dict[str, Any]]:
    head = {"id": "chatcmpl_1", "object": "chat.completion.chunk", "created": 1, "model": "m"}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}]}

    return [*(chunk({"content": WORD.format(n)}) for n in range(CHUNKS)), chunk({}, "stop")]


def responses() -> list[dict[str, Any]]:
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    text = "".join(WORD.format(n) for n in range(CHUNKS))
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    begun = {"id": "resp_1", "object": "response", "status": "in_progress", "output": []}
    over = {**begun, "status": "completed", "output": [message]}
    events: list[dict[str, Any]] = [{"type": "response.created", "response": begun}]
    events += [
        {"type": "response.output_text.delta", **at, "delta": WORD.format(n), "logprobs": []}
        for n in range(CHUNKS)
    ]
    events.append({"type": "response.completed", "response": over})
    return [{**event, "sequence_number": n} for n, event in enumerate(events)]


def a2a() -> list[dict[str, Any]]:
    ids = {"taskId": "t1", "contextId": "c1"}
    task = {"id": "t1", "contextId": "c1", "status": {"state": "TASK_STATE_WORKING"}}
    results: list[dict[str, Any]] = [{"task": task}]
    for n in range(CHUNKS):
        artifact = {"artifactId": "a", "parts": [{"text": WORD.format(n)}]}
        results.append({"artifactUpdate": {**ids, "artifact": artifact, "append": n > 0}})
    results.append({"statusUpdate": {**ids, "status": {"state": "TASK_STATE_COMPLETED"}}})
    return [{"jsonrpc": "2.0", "id": "1", "result": result} for result in results]


def fifthelement() -> list[dict[str, Any]]:
    return [{"chunk": WORD.format(n)} for n in range(CHUNKS)]


def card(port: int) -> dict[str, Any]:
    interface = {"url": f"http://127.0.0.1:{port}/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    modes = {"defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"]}
    about = {"name": "bench", "description": "bench", "version": "1", "skills": []}
    return {**about, **modes, "supportedInterfaces": [interface], "capabilities": {"streaming": True}}


def server() -> None:
    def events(values: list[dict[str, Any]], *, done: bool) -> list[bytes]:
        data = [*map(json.dumps, values), *(["[DONE]"] if done else [])]
        return [f"data: {value}\n\n".encode() for value in data]

    streams = {
        "/v1/chat/completions": events(chat(), done=True),
        "/v1/responses": events(responses(), done=False),
        "/chat/bench": events(fifthelement(), done=True),
        "/a2a": events(a2a(), done=False),
    }

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("sockname")[1]
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                path = head.split(" ", 2)[1]
                length = re.search(r"(?i)content-length: *(\d+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
                if path not in streams:
                    body = json.dumps({"id": "conv_1"} if "conversations" in path else card(port)).encode()
                    begun = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
                    writer.write(begun.encode() + b"\r\n\r\n" + body)
                    if "connection: close" in head.lower():
                        writer.close()
                        return
                    continue
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                )
                for event in streams[path]:
                    writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
                    await asyncio.sleep(PAUSE)
                writer.write(b"0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def serve() -> None:
        listening = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1_000)
        print(listening.sockets[0].getsockname()[1], flush=True)
        await listening.serve_forever()

    asyncio.run(serve())


# --- the contenders ---------------------------------------------------------------------------------------------

Stream = Callable[[], Awaitable[int]]  # reads one answer to its end; how many pieces came


def by_httpx(client: httpx.AsyncClient, url: str) -> Stream:
    async def stream() -> int:
        async with httpx_sse.aconnect_sse(client, "POST", url, json={}) as source:
            return len([event async for event in source.aiter_sse()])

    return stream


def by_aiohttp(session: aiohttp.ClientSession, url: str) -> Stream:
    async def stream() -> int:
        async with session.post(url, json={}) as response:
            return len([line async for line in response.content if line.startswith(b"data:")])

    return stream


def by_service(client: httpx.AsyncClient, base: str) -> Stream:
    service = Service(client, base, name="bench", headers={})

    async def stream() -> int:
        async with service.stream("/v1/chat/completions", {}) as events:
            return len([event async for event in events])

    return stream


def by_agent(agent: Agent, conversation: str | None) -> Stream:
    async def stream() -> int:
        texts = 0
        async with aclosing(agent.ask(conversation, Message("turn-1", "Well?"))) as events:  # type: ignore[type-var]
            async for event in events:
                texts += isinstance(event, Text)
                ended = isinstance(event, Done)
        assert ended
        return texts

    return stream


async def cost(stream: Stream) -> float:
    """Seconds of CPU for one stream."""
    began = time.process_time()
    for _ in range(STREAMS):
        assert await stream() >= CHUNKS
    return (time.process_time() - began) / STREAMS


async def at_once(stream: Stream) -> tuple[float, float]:
    """CPU for one of many streams at once, and the seconds until all were read."""
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(stream() for _ in range(AT_ONCE)))
    return (time.process_time() - cpu) / AT_ONCE, time.perf_counter() - began


async def connection(client: httpx.AsyncClient, url: str) -> dict[str, float]:
    """CPU of a small exchange, with a new connection each time and with one that is used again."""

    async def exchange(**headers: str) -> float:
        began = time.process_time()
        for _ in range(EXCHANGES):
            (await client.get(url, headers=headers)).raise_for_status()
        return round((time.process_time() - began) / EXCHANGES * 1000, 2)

    await exchange()
    return {"cpu_ms_kept": await exchange(), "cpu_ms_new": await exchange(Connection="close")}


async def measure(base: str, only: str) -> dict[str, dict[str, float]]:
    chat_url = f"{base}/v1/chat/completions"
    async with httpx.AsyncClient() as bare, aiohttp.ClientSession() as session, create_client() as client:
        openai = {"base_url": f"{base}/v1", "api_key": "k", "model": "m"}

        def openai_agent(api: str) -> Agent:
            agent: Agent = OpenAI(OpenAISettings.model_validate({**openai, "api": api}), client)
            return agent

        fifth = {"base_url": base, "api_key": "k", "slug": "bench"}
        contenders = {
            FLOOR: by_httpx(bare, chat_url),
            "aiohttp": by_aiohttp(session, chat_url),
            "our client + httpx-sse": by_httpx(client, chat_url),
            "shared streams": by_service(client, base),
            "openai chat": by_agent(openai_agent("chat"), None),
            "openai responses": by_agent(openai_agent("responses"), "conv_1"),
            "fifthelement": by_agent(FifthElement(FifthElementSettings.model_validate(fifth), client), "c1"),
            "a2a": by_agent(A2A(A2ASettings.model_validate({"base_url": base}), client), None),
        }
        if only:
            contenders = {name: stream for name, stream in contenders.items() if only in name}
        for stream in contenders.values():
            await stream()  # connections, caches
        costs: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(ROUNDS):
            for name, stream in contenders.items():
                costs[name].append(await cost(stream))
        found = {name: {"cpu_ms": round(min(seen) * 1000, 2)} for name, seen in costs.items()}
        for name in {FLOOR, "shared streams", "openai chat"} & contenders.keys():
            cpu, seconds = await at_once(contenders[name])
            found[name] |= {"cpu_ms_at_once": round(cpu * 1000, 2), "seconds_at_once": round(seconds, 2)}
        if not only:
            found["exchange, httpx"] = await connection(bare, f"{base}/card")
            found["exchange, our client"] = await connection(client, f"{base}/card")
        if FLOOR in found:
            for name in contenders:
                values = found[name]
                values["ratio"] = round(values["cpu_ms"] / found[FLOOR]["cpu_ms"], 2)
        return found


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", default="", help="part of a contender's name")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--serve", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout
        port = int(await process.stdout.readline())
        found = await measure(f"http://127.0.0.1:{port}", options.only)
    finally:
        process.kill()
        await process.wait()
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for name, values in found.items():
        print(f"{name:24}" + "  ".join(f"{key} {value:8.2f}" for key, value in values.items()))


if __name__ == "__main__":
    if "--serve" in sys.argv:
        server()
    else:
        asyncio.run(main())
