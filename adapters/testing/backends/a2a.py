"""A simulated A2A agent: the official server, so that what it accepts and refuses is what real agents do, with the
playground's brain as the agent behind it.

Each JSON-RPC method is an operation of its own name (`SendStreamingMessage`, `GetTask`, …); `card` is the agent
card.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from functools import partial

from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes.jsonrpc_dispatcher import JsonRpcDispatcher
from a2a.server.routes.rest_routes import create_rest_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    Part,
    Task,
    TaskState,
    TaskStatus,
)
from google.protobuf.json_format import MessageToDict, ParseDict  # type: ignore[import-untyped]
from google.protobuf.struct_pb2 import Value  # type: ignore[import-untyped]
from sse_starlette.event import ensure_bytes
from sse_starlette.sse import EventSourceResponse
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from adapters.testing.backends.base import PACE, Backend, Handler, Run
from adapters.testing.backends.brain import Blob

CARD = "/.well-known/agent-card.json"
METHODS = ("SendMessage", "SendStreamingMessage", "GetTask", "ListTasks", "CancelTask", "SubscribeToTask")
TICK = 0.005  # seconds between two updates of an artifact, at least
MODES = ["text/plain", "text/markdown", "text/csv", "application/json", "image/png"]


class A2ABackend(Backend):
    """Serve `app`; the adapter's `base_url` is its address. `streams` is what the card says of streaming; `old`
    makes it speak protocol 0.3, `rest` HTTP+JSON instead of JSON-RPC. Call `aclose` when it is done."""

    def __init__(
        self,
        *,
        key: str = "sk_simulated",
        pace: float = PACE,
        streams: bool = True,
        old: bool = False,
        rest: bool = False,
    ) -> None:
        self.streams = streams
        self.old = old
        self.rest = rest
        self.card_url: str | None = None  # what the card says instead of the address it is served from
        self._handler = DefaultRequestHandler(
            _Brain(self), InMemoryTaskStore(), self._card("http://localhost/rpc")
        )
        self._dispatcher = JsonRpcDispatcher(self._handler, enable_v0_3_compat=old)
        self._operations: dict[str, Route] = {}
        super().__init__(key=key, pace=pace)

    async def aclose(self) -> None:
        """Stop the tasks that are still worked on."""
        await self._handler.aclose()

    def routes(self) -> list[Route]:
        routes = [self.operation("card", CARD, self._show_card)]
        if self.rest:
            for route in create_rest_routes(self._handler, path_prefix="/rpc"):
                if isinstance(route, Route) and (name := _PATHS.get(route.path)):
                    (method,) = (route.methods or set()) - {"HEAD"}
                    routes.append(self.operation(name, route.path, partial(_plain, route.endpoint), method))
            return routes
        for name in METHODS:
            dispatch = partial(_plain, self._dispatcher.handle_requests)
            self._operations[name] = self.operation(name, "/rpc", dispatch, "POST")
        return [*routes, Route("/rpc", self._rpc, methods=["POST"])]

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer {self.key}"

    async def _show_card(self, request: Request) -> Response:
        here = str(request.url).removesuffix(CARD)  # wherever this app is mounted
        return JSONResponse(MessageToDict(self._card(self.card_url or f"{here}/rpc")))

    async def _rpc(self, request: Request) -> Response:
        try:
            method = json.loads(await request.body())["method"]
        except (ValueError, KeyError, TypeError):
            method = ""
        operation = self._operations.get(_NEW_NAMES.get(method, method))
        if operation is None:
            return await self._dispatcher.handle_requests(request)
        response: Response = await operation.endpoint(request)
        return response

    def _card(self, url: str) -> AgentCard:
        return AgentCard(
            name="Simulated agent",
            description="Says what it was asked.",
            version="1",
            supported_interfaces=[
                AgentInterface(
                    url=url,
                    protocol_binding="HTTP+JSON" if self.rest else "JSONRPC",
                    protocol_version="0.3" if self.old else "1.0",
                )
            ],
            capabilities=AgentCapabilities(streaming=self.streams),
            default_input_modes=MODES,
            default_output_modes=MODES,
            skills=[AgentSkill(id="echo", name="Echo", description="Says what it was asked.", tags=["trial"])],
        )


_NEW_NAMES = {
    "message/send": "SendMessage",
    "message/stream": "SendStreamingMessage",
    "tasks/get": "GetTask",
    "tasks/cancel": "CancelTask",
    "tasks/resubscribe": "SubscribeToTask",
}


_PATHS = {
    "/rpc/message:send": "SendMessage",
    "/rpc/message:stream": "SendStreamingMessage",
    "/rpc/tasks": "ListTasks",
    "/rpc/tasks/{id}": "GetTask",
    "/rpc/tasks/{id}:cancel": "CancelTask",
    "/rpc/tasks/{id}:subscribe": "SubscribeToTask",
}


async def _plain(handler: Handler, request: Request) -> Response:
    """What the library's handler answers, its events as a plain stream that faults can be put into."""
    response = await handler(request)
    if isinstance(response, EventSourceResponse):
        return StreamingResponse(_encoded(response), media_type="text/event-stream")
    return response


async def _encoded(response: EventSourceResponse) -> AsyncIterator[bytes]:
    async for event in response.body_iterator:
        yield ensure_bytes(event, "\n")


class _Brain(AgentExecutor):
    """One run of the backend for each task."""

    def __init__(self, backend: A2ABackend) -> None:
        self._backend = backend
        self._asked: defaultdict[str, list[str]] = defaultdict(list)  # questions by context
        self._runs: dict[str, Run] = {}  # by task

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        task_id, context_id, message = str(context.task_id), str(context.context_id), context.message
        if message is None:
            raise ValueError("no message")
        updater = TaskUpdater(event_queue, task_id, context_id)
        text = context.get_user_input()
        files = [Blob(p.filename, p.media_type, p.raw) for p in message.parts if p.WhichOneof("content") == "raw"]
        asked = self._asked[context_id]
        run = self._backend.begin(context_id, text, files, list(asked))
        if not context.current_task:
            submitted = TaskStatus(state=TaskState.TASK_STATE_SUBMITTED)
            await event_queue.enqueue_event(
                Task(id=task_id, context_id=context_id, status=submitted, history=[message])
            )
        asked.append(text)
        self._runs[task_id] = run
        await updater.start_work(updater.new_agent_message([Part(text="Thinking it over")]))
        if run.plan.asks:
            run.aborted = True  # it ends here; the answer begins another
            await updater.requires_input(updater.new_agent_message([Part(text=run.plan.asks)]))
            return
        await self._work(run, updater)

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        task_id = str(context.task_id)
        if run := self._runs.get(task_id):
            run.aborted = True
        await TaskUpdater(event_queue, task_id, str(context.context_id)).cancel()

    async def _work(self, run: Run, updater: TaskUpdater) -> None:
        answer = f"answer-{updater.task_id}"
        sent = 0
        while not run.aborted:
            over, said = run.over, run.said
            if said > sent:
                piece = Part(text="".join(run.plan.pieces[sent:said]))
                await updater.add_artifact([piece], answer, name="answer", append=sent > 0, last_chunk=over)
                sent = said
            if over:
                break
            await asyncio.sleep(max(TICK, self._backend.pace))
        if run.plan.fails:
            trace = Part(text="Traceback (most recent call last): boom")
            await updater.failed(updater.new_agent_message([trace]))
            return
        if frame := run.plan.frame:
            data = ParseDict({"columns": list(frame.columns), "rows": [list(row) for row in frame.rows]}, Value())
            await updater.add_artifact([Part(data=data)], name=frame.name)
        for blob in run.plan.files:
            part = Part(raw=blob.content, filename=blob.name, media_type=blob.media_type)
            await updater.add_artifact([part], name=blob.name)
        await updater.complete()
