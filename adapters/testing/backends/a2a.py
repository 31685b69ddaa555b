"""A simulated A2A agent: the official server, so that what it accepts and refuses is what real agents do, with the
playground's brain as the agent behind it.

Each JSON-RPC method is an operation of its own name (`SendStreamingMessage`, `GetTask`, …); `card` is the agent
card.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

from a2a.compat.v0_3.conversions import to_compat_agent_card
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.context import ServerCallContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes.jsonrpc_dispatcher import JsonRpcDispatcher
from a2a.server.routes.rest_routes import create_rest_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentExtension,
    AgentInterface,
    AgentSkill,
    Message,
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

from adapters.a2a.extension import EXTENSION
from adapters.base import Decision
from adapters.testing.backends.base import PACE, Backend, Handler, Run
from adapters.testing.backends.brain import Blob

CARD = "/.well-known/agent-card.json"
METHODS = ("SendMessage", "SendStreamingMessage", "GetTask", "ListTasks", "CancelTask", "SubscribeToTask")
TICK = 0.001  # seconds between two updates of an artifact, at least
MODES = ["text/plain", "text/markdown", "text/csv", "application/json", "image/png"]


class A2ABackend(Backend):
    """Serve `app`; the adapter's `base_url` is its address. `streams` is what the card says of streaming; `old`
    makes it speak protocol 0.3, `rest` HTTP+JSON instead of JSON-RPC; with `stored_first` what a task that goes on
    sends begins with the task as it was stored, as the JavaScript library does it (1.0 by JSON-RPC only). Call
    `aclose` when it is done."""

    def __init__(
        self,
        *,
        key: str = "sk_simulated",
        pace: float = PACE,
        streams: bool = True,
        old: bool = False,
        rest: bool = False,
        stored_first: bool = False,
    ) -> None:
        self.streams = streams
        self.old = old
        self.rest = rest
        self.stored_first = stored_first
        self.card_url: str | None = None  # what the card says instead of the address it is served from
        self._tasks = InMemoryTaskStore()
        self._handler = DefaultRequestHandler(_Brain(self), self._tasks, self._card("http://localhost/rpc"))
        self._dispatcher = JsonRpcDispatcher(self._handler, enable_v0_3_compat=old)
        self._operations: dict[str, Route] = {}
        super().__init__(key=key, pace=pace)

    async def aclose(self) -> None:
        """Stop the tasks that are still worked on."""
        await self._handler.aclose()

    def routes(self) -> list[Route]:
        routes = [self.operation("card", CARD, self._show_card)]
        if self.rest:
            paths = _OLD_PATHS if self.old else _PATHS
            for route in create_rest_routes(self._handler, path_prefix="/rpc", enable_v0_3_compat=self.old):
                if isinstance(route, Route) and (name := paths.get(route.path)):
                    (method,) = (route.methods or set()) - {"HEAD"}
                    routes.append(self.operation(name, route.path, partial(_plain, route.endpoint), method))
            return routes
        for name in METHODS:
            self._operations[name] = self.operation(name, "/rpc", self._dispatch, "POST")
        return [*routes, Route("/rpc", self._rpc, methods=["POST"])]

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer {self.key}"

    async def person_fields(self, operation: str, request: Request) -> Mapping[str, Any]:
        if operation not in {"SendMessage", "SendStreamingMessage"}:
            return {}
        called = json.loads(await request.body())
        message = called.get("params", called).get("message") or called.get("request") or {}
        metadata: Mapping[str, Any] = message.get("metadata") or {}
        return metadata

    async def _show_card(self, request: Request) -> Response:
        here = str(request.url).removesuffix(CARD)  # wherever this app is mounted
        card = self._card(self.card_url or f"{here}/rpc")
        if self.old:
            return JSONResponse(
                to_compat_agent_card(card).model_dump(mode="json", by_alias=True, exclude_none=True)
            )
        return JSONResponse(MessageToDict(card))

    async def _rpc(self, request: Request) -> Response:
        try:
            method = json.loads(await request.body())["method"]
        except (ValueError, KeyError, TypeError):
            method = ""
        operation = self._operations.get(_OLD_METHODS.get(method, "") if self.old else method)
        if operation is None:
            return JSONResponse({"jsonrpc": "2.0", "id": None, "error": {"code": -32601, "message": "not found"}})
        response: Response = await operation.endpoint(request)
        return response

    async def _dispatch(self, request: Request) -> Response:
        called = json.loads(await request.body())
        stored = None
        if self.stored_first and called["method"] in {"SendMessage", "SendStreamingMessage"}:
            # authorized by the operation, so that nobody in particular asks here
            stored = await self._tasks.get(called["params"]["message"].get("taskId", ""), ServerCallContext())
        response = await _plain(self._dispatcher.handle_requests, request)
        if stored is None:
            return response
        first = {"jsonrpc": "2.0", "id": called["id"], "result": {"task": MessageToDict(stored)}}
        if not isinstance(response, StreamingResponse):
            return JSONResponse(first)
        return StreamingResponse(_after(first, response.body_iterator), media_type="text/event-stream")

    def _card(self, url: str) -> AgentCard:
        return AgentCard(
            name="Simulated agent",
            description="Says what it was asked.",
            version="1",
            supported_interfaces=[
                AgentInterface(
                    url=url,
                    protocol_binding="HTTP+JSON" if self.rest else "JSONRPC",
                    protocol_version="0.3.0" if self.old else "1.0",
                )
            ],
            capabilities=AgentCapabilities(
                streaming=self.streams, extensions=[AgentExtension(uri=EXTENSION, required=False)]
            ),
            default_input_modes=MODES,
            default_output_modes=MODES,
            skills=[AgentSkill(id="echo", name="Echo", description="Says what it was asked.", tags=["trial"])],
        )


_OLD_METHODS = {
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


_OLD_PATHS = {  # which has no list of tasks
    "/rpc/v1/message:send": "SendMessage",
    "/rpc/v1/message:stream": "SendStreamingMessage",
    "/rpc/v1/tasks/{id}": "GetTask",
    "/rpc/v1/tasks/{id}:cancel": "CancelTask",
    "/rpc/v1/tasks/{id}:subscribe": "SubscribeToTask",
}


async def _after(first: dict[str, Any], events: Any) -> AsyncIterator[bytes]:
    yield b"data: " + json.dumps(first).encode() + b"\n\n"
    async for event in events:
        yield event


async def _plain(handler: Handler, request: Request) -> Response:
    """What the library's handler answers, its events as a plain stream that faults can be put into."""
    response = await handler(request)
    if isinstance(response, EventSourceResponse):
        events = _encoded(response)
        first = asyncio.ensure_future(anext(events, b""))
        await asyncio.wait({first})  # only now the call has taken effect
        return StreamingResponse(_from(first, events), media_type="text/event-stream")
    return response


async def _encoded(response: EventSourceResponse) -> AsyncIterator[bytes]:
    async for event in response.body_iterator:
        yield ensure_bytes(event, "\n")


async def _from(first: asyncio.Future[bytes], events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield await first  # raises what broke it, in the stream as the library does
    async for event in events:
        yield event


class _Brain(AgentExecutor):
    """One run of the backend for each task."""

    def __init__(self, backend: A2ABackend) -> None:
        self._backend = backend
        self._asked: defaultdict[str, list[str]] = defaultdict(list)  # questions by context
        self._runs: dict[str, Run] = {}  # by task
        self._wants_leave: set[str] = set()  # tasks

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        task_id, context_id, message = str(context.task_id), str(context.context_id), context.message
        if message is None:
            raise ValueError("no message")
        updater = TaskUpdater(event_queue, task_id, context_id)
        text = context.get_user_input()
        files = [Blob(p.filename, p.media_type, p.raw) for p in message.parts if p.WhichOneof("content") == "raw"]
        asked = self._asked[context_id]
        # an agent uses an extension only with a client that said it understands it
        extended = EXTENSION in context.requested_extensions
        if task_id in self._wants_leave:
            self._wants_leave.remove(task_id)
            text = self._decide(message, text)
        run = self._backend.begin(context_id, text, files, list(asked))
        if not context.current_task:
            submitted = TaskStatus(state=TaskState.TASK_STATE_SUBMITTED)
            await event_queue.enqueue_event(
                Task(id=task_id, context_id=context_id, status=submitted, history=[message])
            )
        asked.append(text)
        self._runs[task_id] = run
        await updater.start_work(updater.new_agent_message([Part(text="Thinking it over")]))
        for number, work in enumerate(run.plan.steps):
            if number or not extended:
                said = updater.new_agent_message([Part(text=f"{work.tool.replace('_', ' ')}, {work.topic}")])
                await updater.start_work(said)
            else:
                for state in ("running", "done"):
                    step = {
                        "id": work.tool,
                        "title": work.tool.replace("_", " "),
                        "detail": work.topic,
                        "state": state,
                    }
                    said = updater.new_agent_message([Part(text="(a step)")], {EXTENSION: {"step": step}})
                    await updater.start_work(said)
        if run.plan.asks or run.plan.approves:
            run.aborted = True  # it ends here; the answer begins another
            metadata: dict[str, Any] = {}
            if run.plan.approves and extended:
                self._wants_leave.add(task_id)
                metadata = {EXTENSION: {"approval": {"title": "Send letters", "detail": "To **everybody**."}}}
            elif run.plan.choices and extended:
                metadata = {EXTENSION: {"choices": list(run.plan.choices)}}
            question = Part(text=run.plan.asks or "May I send letters?")
            await updater.requires_input(updater.new_agent_message([question], metadata))
            return
        await self._work(run, updater)

    def _decide(self, message: Message, text: str) -> str:
        """What became of the leave it asked for: words alone give none. What it says then."""
        value = MessageToDict(message.metadata).get(EXTENSION, {}).get("decision")
        if value is None:
            self._backend.decisions.append(Decision(False, text))
        elif EXTENSION not in message.extensions or not isinstance(value.get("approved"), bool):
            self._backend.violations.append(f"a decision that isn't one: {value!r}")
        else:
            self._backend.decisions.append(Decision(value["approved"], value.get("reason", "")))
        return text

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
                quoted = [{"url": one.url, "title": one.title} for one in run.plan.citations]
                metadata = {EXTENSION: {"sources": quoted}} if quoted and not sent else None
                await updater.add_artifact(
                    [piece], answer, name="answer", metadata=metadata, append=sent > 0, last_chunk=over
                )
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
        if (figures := run.plan.figures) and figures.measure is not None:
            name, values = figures.columns[figures.measure], figures.values()
            series = [{"name": name, "values": values}]
            chart = {"kind": "bar", "labels": [str(row[0]) for row in figures.rows], "series": series}
            await updater.add_artifact([Part(data=ParseDict(chart, Value()))], name="figures")
        for blob in run.plan.files:
            part = Part(raw=blob.content, filename=blob.name, media_type=blob.media_type)
            await updater.add_artifact([part], name=blob.name)
        await updater.complete()
