"""A simulated fifthelement.ai: one endpoint, in one piece or streamed, within an hourly budget of requests.

`form` says how it streams. "doc" is the guide's: no blank line between events and no conversation id in them.
"standard" keeps to the standard of server-sent events and ends with an event that carries the id.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import AsyncIterator
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from adapters.testing.backends.base import Backend, Run

Form = Literal["doc", "standard"]

SLUG = "helpdesk"
ROOT = "/v1/api"
HOUR = 3600.0  # seconds
NAMES = {
    400: "BadRequestError",
    401: "UnauthorizedError",
    404: "NotFoundError",
    422: "BadRequestError",
    429: "RateLimitError",
    500: "InternalServerError",
}


class FifthElementBackend(Backend):
    """`budget`: requests left until `renewed` (a clock time; `reset_as` says how it is told). `streams`: how a
    stream request is answered; "json" in one piece, "mute" by a stream that ends at once, "open" by one that ends
    without its [DONE]. `refuses`: failures come with status 200."""

    def __init__(self, *, form: Form = "doc", budget: int = 1000, **options: Any) -> None:
        super().__init__(**options)
        self.form: Form = form
        self.budget = budget
        self.limit = budget
        self.renewed = time.time() + HOUR
        self.reset_as: Literal["moment", "seconds"] = "moment"
        self.streams: Literal["well", "json", "mute", "open"] = "well"
        self.refuses = False
        self._conversations: dict[str, list[str]] = {}
        self._ids = itertools.count(1)

    def routes(self) -> list[Route]:
        return [self.operation("chat", f"{ROOT}/chat/{{slug}}", self._chat, "POST")]

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer {self.key}"

    def refusal(self, status: int, message: str) -> Response:
        error = {"name": NAMES.get(status, "Error"), "message": message, "details": None}
        sent = 200 if self.refuses and status == 500 else status
        return JSONResponse({"data": None, "error": error}, sent, self._headers())

    async def _chat(self, request: Request) -> Response:
        if not self.budget and time.time() < self.renewed:
            self.violations.append("a request although none was left")
            return self.refusal(429, "Rate limit exceeded")
        self.budget = (self.budget or self.limit) - 1
        if request.path_params["slug"] != SLUG:
            return self.refusal(404, "Agent not found")
        body = await self.body(request)
        text, stream, conversation = body.get("message"), body.get("stream"), body.get("conversationId")
        if not isinstance(text, str) or not text or not isinstance(stream, bool):
            return self.refusal(400, "message and stream are required")
        if conversation is None:
            if stream:
                self.violations.append("a first turn that is streamed can't be continued")
            conversation = f"conv-{next(self._ids)}"
            self._conversations[conversation] = []
        if conversation not in self._conversations:
            return self.refusal(404, "Conversation not found")
        earlier = self._conversations[conversation]
        run = self.begin(conversation, text, [], list(earlier))
        earlier.append(text)
        if run.plan.fails:
            return self.refusal(500, "Traceback: the agent fell over")
        if stream and self.streams != "json":
            return StreamingResponse(
                self._events(conversation, run), headers=self._headers(), media_type="text/event-stream"
            )
        answer = "".join([piece async for piece in run.deltas()])
        metadata = {"model": "simulated", "tokens": len(answer.split())}
        data = {"response": answer, "conversationId": conversation, "metadata": metadata}
        return JSONResponse({"data": data, "error": None}, headers=self._headers())

    async def _events(self, conversation: str, run: Run) -> AsyncIterator[bytes]:
        if self.streams == "mute":
            return
        async for piece in run.deltas():
            yield self._event(json.dumps({"chunk": piece}, ensure_ascii=False))
        if self.form == "standard":
            yield self._event(json.dumps({"conversationId": conversation}))
        if self.streams != "open":
            yield self._event("[DONE]")

    def _event(self, data: str) -> bytes:
        return f"data: {data}\n{'' if self.form == 'doc' else chr(10)}".encode()

    def _headers(self) -> dict[str, str]:
        reset = self.renewed if self.reset_as == "moment" else self.renewed - time.time()
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.budget),
            "X-RateLimit-Reset": str(max(0, round(reset, 3))),
        }
