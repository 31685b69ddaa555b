"""A backend so cheap that it never bounds a measurement: scripted answers over a bare asyncio protocol.

It speaks what the contenders need of two services: Chat Completions below `/v1`, and conversations with a streamed
question below `/sema4ai`. A question that holds `number 17` is answered by `words_of(17, …)`, word by word.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

KEY = "sk_scripted"
MODEL = "scripted"
AGENT = "11111111-2222-4333-8444-555555555555"
PARAGRAPH = 50  # words
TOGETHER = 10  # words written in one round of the loop when the answer comes at full speed
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_NUMBER = re.compile(r"number (\d+)")
_CONVERSATION = re.compile(r"/conversations/([^/]+)/(\w[\w-]*)")


def first_word(number: int) -> str:
    return f"begin{number}."


def last_word(number: int) -> str:
    return f"end{number}."


def words_of(number: int, count: int) -> list[str]:
    """The deltas of an answer. Joined they are its text: paragraphs of plain words."""
    middle = [f"word{index}" for index in range(2, count)]
    words = [first_word(number), *middle, last_word(number)]
    last = len(words) - 1
    return [word + _after(index, last) for index, word in enumerate(words)]


def _after(index: int, last: int) -> str:
    if index == last:
        return ""
    return "\n\n" if index % PARAGRAPH == PARAGRAPH - 1 else " "


@dataclass(slots=True)
class Script:
    """How every answer goes: so many words, a pause (seconds) before each."""

    words: int = 200
    pause: float = 0.0


@dataclass(slots=True)
class ScriptedBackend:
    script: Script = field(default_factory=Script)
    asked: dict[int, int] = field(default_factory=dict)  # how often each number was asked
    conversations: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def take(self, question: str) -> list[str]:
        found = _NUMBER.search(question)
        number = int(found[1]) if found else 0
        self.asked[number] = self.asked.get(number, 0) + 1
        return words_of(number, self.script.words)


@asynccontextmanager
async def serve_scripted(backend: ScriptedBackend) -> AsyncIterator[str]:
    """Serve it in the running loop and yield its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(backend), sock=listener)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.close()


class _Connection(asyncio.Protocol):
    """One keep-alive connection, a request at a time."""

    def __init__(self, backend: ScriptedBackend) -> None:
        self._backend = backend
        self._received = b""
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, rest = self._received.partition(b"\r\n\r\n")
        if not blank:
            return
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        size = int(length[1]) if length else 0
        if len(rest) < size:
            return
        self._received = rest[size:]
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        self._answer(method, target.partition("?")[0], json.loads(rest[:size]) if size else {})

    def _answer(self, method: str, path: str, body: dict[str, Any]) -> None:
        if path == "/v1/chat/completions":
            self._chat(body)
        elif path == "/sema4ai/agents":
            self._json({"data": [{"id": AGENT, "name": "Scripted"}], "next": None})
        elif path.endswith("/conversations") and method == "POST":
            conversation = f"c-{len(self._backend.conversations)}"
            self._backend.conversations[conversation] = []
            self._json({"id": conversation, "name": body.get("name", ""), "agent_id": AGENT})
        elif found := _CONVERSATION.search(path):
            self._in_conversation(method, found[1], found[2], body)
        else:
            self._json({"detail": "Not Found"}, "404 Not Found")

    def _in_conversation(self, method: str, conversation: str, what: str, body: dict[str, Any]) -> None:
        said = self._backend.conversations[conversation]
        if method == "POST" and what == "stream":
            deltas = self._backend.take(body["content"])
            said.append({"id": f"m-{len(said)}", "role": "user", "content": body["content"]})

            def finish() -> bytes:
                said.append({"id": f"m-{len(said)}", "role": "agent", "content": "".join(deltas)})
                return b""

            self._stream([_event(json.dumps({"delta": delta})) for delta in deltas], finish)
        else:
            self._json({"data": said if what == "messages" else [], "next": None})

    def _chat(self, body: dict[str, Any]) -> None:
        content = body["messages"][-1]["content"]
        text = content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)
        deltas = self._backend.take(text)
        head = '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":0,"model":"scripted","choices":['

        def chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
            return _event(f"{head}{json.dumps(choice)}]}}")

        usage = '{"prompt_tokens":10,"completion_tokens":10,"total_tokens":20}'
        end = chunk({}, "stop") + _event(f'{head}],"usage":{usage}}}') + _event("[DONE]")
        self._stream([chunk({"content": delta}) for delta in deltas], lambda: end)

    def _stream(self, events: list[bytes], finish: Callable[[], bytes]) -> None:
        self._transport.write(_HEAD)
        pause, begun, sent = self._backend.script.pause, self._loop.time(), 0

        def go_on() -> None:
            nonlocal sent
            if self._transport.is_closing():
                return
            due = int((self._loop.time() - begun) / pause) if pause else sent + TOGETHER
            until = min(due, len(events))
            self._transport.write(b"".join(_chunk(event) for event in events[sent:until]))
            sent = until
            if sent == len(events):
                end = finish()
                self._transport.write((_chunk(end) if end else b"") + b"0\r\n\r\n")
            elif pause:
                self._loop.call_at(begun + (sent + 1) * pause, go_on)
            else:
                self._loop.call_soon(go_on)

        go_on()

    def _json(self, value: object, status: str = "200 OK") -> None:
        body = json.dumps(value).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


def _event(data: str) -> bytes:
    return f"data: {data}\n\n".encode()


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"
