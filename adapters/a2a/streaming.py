"""The streams of JSON-RPC 1.0, read by the shared decoder: bounded, and at a third less CPU than by the library.

Whatever isn't a piece of text in an artifact, nearly all that is sent, is left to the library.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any
from uuid import uuid4

from a2a.client import A2AClientError, ClientCallContext
from a2a.client.transports.http_helpers import get_http_args, handle_http_exceptions
from a2a.client.transports.jsonrpc import JsonRpcTransport
from a2a.types import (
    Artifact,
    Part,
    SendMessageRequest,
    StreamResponse,
    SubscribeToTaskRequest,
    TaskArtifactUpdateEvent,
)
from a2a.utils.proto_utils import parse_lenient
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]

from adapters.http.service import media_type
from adapters.http.sse import EventDecoder

MAX_EVENT = 64 * 2**20  # characters; a task holds its files

_HEADERS = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
_UPDATE = {"taskId", "contextId", "artifact", "append", "lastChunk"}
_ARTIFACT = {"artifactId", "name", "parts"}


class StreamedJsonRpc(JsonRpcTransport):
    async def send_message_streaming(
        self, request: SendMessageRequest, *, context: ClientCallContext | None = None
    ) -> AsyncGenerator[StreamResponse]:
        async for update in self._updates("SendStreamingMessage", request, context):
            yield update

    async def subscribe(
        self, request: SubscribeToTaskRequest, *, context: ClientCallContext | None = None
    ) -> AsyncGenerator[StreamResponse]:
        async for update in self._updates("SubscribeToTask", request, context):
            yield update

    async def _updates(
        self, method: str, request: Any, context: ClientCallContext | None
    ) -> AsyncGenerator[StreamResponse]:
        called = {"jsonrpc": "2.0", "id": str(uuid4()), "method": method, "params": MessageToDict(request)}
        options = get_http_args(context)
        headers = _HEADERS | options.pop("headers", {})
        with handle_http_exceptions():
            async with self.httpx_client.stream(
                "POST", self.url, json=called, headers=headers, **options
            ) as response:
                if not response.is_success:
                    await response.aread()
                    response.raise_for_status()
                if media_type(response) != "text/event-stream":
                    yield self._update((await response.aread()).decode("utf-8", "replace"))
                    return
                decoder = EventDecoder(max_event=MAX_EVENT)
                async for chunk in response.aiter_bytes():
                    for event in decoder.feed(chunk):
                        yield self._update(event.data, failed=event.event == "error")
                for event in decoder.end():
                    yield self._update(event.data)

    def _update(self, data: str, *, failed: bool = False) -> StreamResponse:
        value = json.loads(data)
        if failed and not (isinstance(value, dict) and value.get("error")):
            raise A2AClientError("an error without a word")
        if isinstance(value, dict) and not value.get("error") and (told := text_update(value.get("result"))):
            return told
        return parse_lenient(self._check_jsonrpc_response(value)["result"], StreamResponse())


def text_update(result: object) -> StreamResponse | None:
    """The update, if it is one of an artifact's text. What is odd about it is for the library to refuse."""
    update = result.get("artifactUpdate") if isinstance(result, dict) and len(result) == 1 else None
    artifact = update.get("artifact") if isinstance(update, dict) else None
    parts = artifact.get("parts") if isinstance(artifact, dict) else None
    if not (isinstance(update, dict) and isinstance(artifact, dict) and isinstance(parts, list)):
        return None
    texts = [part["text"] for part in parts if isinstance(part, dict) and part.keys() == {"text"}]
    if len(texts) < len(parts) or not (artifact.keys() <= _ARTIFACT and update.keys() <= _UPDATE):
        return None
    try:
        return StreamResponse(
            artifact_update=TaskArtifactUpdateEvent(
                task_id=update.get("taskId", ""),
                context_id=update.get("contextId", ""),
                append=update.get("append", False),
                last_chunk=update.get("lastChunk", False),
                artifact=Artifact(
                    artifact_id=artifact.get("artifactId", ""),
                    name=artifact.get("name", ""),
                    parts=[Part(text=text) for text in texts],
                ),
            )
        )
    except (TypeError, ValueError):
        return None
