"""A simulated Sema4.ai Agent API v2: conversations, a synchronous and a streamed question, files, data frames.

What the guide leaves open can be set: the form of a stream's deltas, of lists and of contents.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from adapters.testing.backends.base import Backend, Run
from adapters.testing.backends.brain import INTERNAL, Blob, Frame, Plan

AGENT_ID = "3f1c6a52-0b7e-4a53-9c55-1d2f6b9d8a10"
AGENT_NAME = "Analyst"
THINKING = "Let me look into that."  # the first of the messages of a turn, before the agent uses a tool
PAGE = 50  # items of a page

Deltas = Literal["raw", "string", "delta", "content", "text", "chunk", "patch"]
Whole = Literal["conversation", "messages", "message"]


@dataclass
class Item:
    """A message."""

    id: str
    role: Literal["user", "agent"]
    text: str
    before: list[dict[str, Any]] = field(default_factory=list)  # parts besides the text
    after: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Conversation:
    """What was said and made in it."""

    id: str
    name: str
    items: list[Item] = field(default_factory=list)
    files: list[tuple[str, Blob]] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    new: list[Blob] = field(default_factory=list)  # uploaded since the last question
    run: Run | None = None


class Sema4aiBackend(Backend):
    """`deltas`: the form of a stream's deltas. `whole`: what the synchronous call returns. `parts`: contents are
    lists of parts, thoughts among them. `bare`: lists come without pages; else a page holds `page` items, and with
    `links` the mark of the next is an address. `has_frames`: the tenant has data frames at all. `snowflake`: it
    is hosted there, where the key goes into the header in another form. `grows`: messages are written down while
    the agent talks, not when it has finished."""

    def __init__(self, *, deltas: Deltas = "raw", whole: Whole = "conversation", **options: Any) -> None:
        self.deltas: Deltas = deltas
        self.whole: Whole = whole
        self.parts = True
        self.bare = False
        self.links = False
        self.page = PAGE
        self.has_frames = True
        self.snowflake = False
        self.grows = False
        self._conversations: dict[str, Conversation] = {}
        self._ids = itertools.count(1)
        super().__init__(**options)

    def routes(self) -> list[Route]:
        base = f"/agents/{AGENT_ID}/conversations"
        one = f"{base}/{{cid}}"
        return [
            self.operation("agents", "/agents", self._agents),
            self.operation("list", base, self._list),
            self.operation("create", base, self._create, "POST"),
            self.operation("delete", one, self._delete, "DELETE"),
            self.operation("messages", f"{one}/messages", self._messages),
            self.operation("ask", f"{one}/messages", self._ask, "POST"),
            self.operation("stream", f"{one}/stream", self._stream, "POST"),
            self.operation("files", f"{one}/files", self._files),
            self.operation("upload", f"{one}/files", self._upload, "POST"),
            self.operation("download", f"{one}/files/download/", self._download),
            self.operation("frames", f"{one}/data-frames", self._frames),
            self.operation("frame", f"{one}/data-frames/{{name:path}}", self._frame),
        ]

    def authorized(self, request: Request) -> bool:
        wanted = f'Snowflake Token="{self.key}"' if self.snowflake else f"Bearer {self.key}"
        return request.headers.get("authorization") == wanted

    def refusal(self, status: int, message: str) -> Response:
        if status == 401:
            return JSONResponse({"error": {"code": "unauthorized", "message": message}}, status)
        return JSONResponse({"detail": message}, status)

    async def _agents(self, request: Request) -> Response:
        others = [{"id": f"00000000-0000-0000-0000-00000000000{n}", "name": f"Other {n}"} for n in range(3)]
        return self._page(request, [*others, {"id": AGENT_ID, "name": AGENT_NAME}])

    async def _list(self, request: Request) -> Response:
        newest = reversed(self._conversations.values())
        return self._page(request, [{"id": c.id, "name": c.name, "agent_id": AGENT_ID} for c in newest])

    async def _create(self, request: Request) -> Response:
        name = (await self.body(request)).get("name")
        if not isinstance(name, str) or not name:
            raise HTTPException(422, "name is required")
        conversation = Conversation(f"c-{next(self._ids)}", name)
        self._conversations[conversation.id] = conversation
        return JSONResponse({"id": conversation.id, "name": name, "agent_id": AGENT_ID}, 201)

    async def _delete(self, request: Request) -> Response:
        del self._conversations[self._conversation(request).id]
        return Response(status_code=204)

    async def _messages(self, request: Request) -> Response:
        conversation = self._conversation(request)
        items = list(conversation.items)
        run = conversation.run
        if self.grows and run and run.said and not run.settled:
            items.append(Item("m-growing", "agent", "".join(run.plan.pieces[: run.said])))
        return self._page(request, [self._as_json(item) for item in items])

    async def _ask(self, request: Request) -> Response:
        conversation = self._conversation(request)
        run = await self._take(request, conversation)
        async for _ in run.deltas():
            pass
        self._settle(conversation)
        if run.plan.fails:
            raise HTTPException(500, "Traceback: the agent fell over")
        items = [self._as_json(item) for item in conversation.items]
        if self.whole == "conversation":
            return JSONResponse({"id": conversation.id, "name": conversation.name, "messages": items})
        return JSONResponse({"data": items, "next": None} if self.whole == "messages" else items[-1])

    async def _stream(self, request: Request) -> Response:
        if "text/event-stream" not in request.headers.get("accept", ""):
            raise HTTPException(406, "this call streams events")
        conversation = self._conversation(request)
        run = await self._take(request, conversation)
        return StreamingResponse(self._events(conversation, run), media_type="text/event-stream")

    async def _files(self, request: Request) -> Response:
        files = self._conversation(request).files
        return self._page(
            request,
            [
                {"file_id": f"f{n}", "file_ref": ref, "mime_type": blob.media_type, "file_size": len(blob.content)}
                for n, (ref, blob) in enumerate(files)
            ],
        )

    async def _upload(self, request: Request) -> Response:
        conversation = self._conversation(request)
        blobs = await self.uploads(request, "files")
        for blob in blobs:
            self._store(conversation, blob)
        names = {blob.name for blob in blobs}
        conversation.new = [blob for blob in conversation.new if blob.name not in names] + blobs
        return JSONResponse([{"file_ref": blob.name} for blob in blobs], 201)

    async def _download(self, request: Request) -> Response:
        wanted = request.query_params.get("file_ref")
        for ref, blob in self._conversation(request).files:
            if ref == wanted:
                return Response(blob.content, media_type=blob.media_type)
        raise HTTPException(404, "File not found")

    async def _frames(self, request: Request) -> Response:
        if not self.has_frames:
            raise HTTPException(404, "Not Found")
        samples = int(request.query_params.get("num_samples", "0"))
        return self._page(
            request,
            [
                {
                    "name": frame.name,
                    "num_rows": len(frame.rows),
                    "num_columns": len(frame.columns),
                    "column_headers": frame.columns,
                    "sample_rows": frame.rows[:samples],
                }
                for frame in self._conversation(request).frames
            ],
        )

    async def _frame(self, request: Request) -> Response:
        asked = request.query_params
        for frame in self._conversation(request).frames:
            if frame.name == request.path_params["name"]:
                offset, limit = int(asked.get("offset", "0")), int(asked.get("limit", "10"))
                rows = frame.rows[offset : offset + limit]
                if asked.get("output_format", "json") != "json":
                    raise HTTPException(422, "output_format")
                return JSONResponse([dict(zip(frame.columns, row, strict=True)) for row in rows])
        raise HTTPException(404, "Data frame not found")

    async def _take(self, request: Request, conversation: Conversation) -> Run:
        text = (await self.body(request)).get("content")
        if not isinstance(text, str) or not text:
            raise HTTPException(422, "content is required")
        earlier = [item.text for item in conversation.items if item.role == "user"]
        conversation.run = self.begin(conversation.id, text, conversation.new, earlier)
        conversation.new = []
        conversation.items.append(Item(f"m-{next(self._ids)}", "user", text))
        return conversation.run

    async def _events(self, conversation: Conversation, run: Run) -> AsyncIterator[bytes]:
        if self.deltas == "patch":
            yield _event(json.dumps({"op": "add", "path": "/content/0", "value": {"kind": "thought", "text": ""}}))
            yield _event(_patch("/content/0/text", "not for people"))
            yield _event(json.dumps({"op": "add", "path": "/content/1", "value": {"kind": "text", "text": ""}}))
            for number, tool in enumerate(_tools(conversation, run.plan), 2):
                path, begun = f"/content/{number}", {**tool, "status": "running", "result": None}
                yield _event(json.dumps({"op": "add", "path": path, "value": begun}))
                for key in ("status", "result"):
                    change = {"op": "replace", "path": f"{path}/{key}", "value": tool[key]}
                    yield _event(json.dumps({"delta": change}))
        async for piece in run.deltas():
            yield _event(self._delta(piece))
        self._settle(conversation)
        if run.plan.fails:
            yield b"event: error\n" + _event(json.dumps({"error": {"message": "Traceback: the agent fell over"}}))
        await asyncio.sleep(0)

    def _delta(self, piece: str) -> str:
        if self.deltas == "raw":
            return piece
        if self.deltas == "string":
            return json.dumps(piece)
        if self.deltas == "patch":
            return _patch("/content/1/text", piece)
        return json.dumps({self.deltas: piece})

    def _settle(self, conversation: Conversation) -> None:
        """Once a run is over, what it said and made is in the conversation."""
        run = conversation.run
        if run is None or not run.over or run.settled:
            return
        run.settled = True
        if run.plan.fails:
            return
        tools = list(_tools(conversation, run.plan))
        conversation.items.append(Item(f"m-{next(self._ids)}", "agent", THINKING, after=tools))
        conversation.items.append(Item(f"m-{next(self._ids)}", "agent", run.plan.text, _charts(run.plan)))
        for blob in run.plan.files:
            self._store(conversation, blob)
        if run.plan.frame:
            others = [frame for frame in conversation.frames if frame.name != run.plan.frame.name]
            conversation.frames = [*others, run.plan.frame]

    def _store(self, conversation: Conversation, blob: Blob) -> None:
        conversation.files = [(ref, old) for ref, old in conversation.files if ref != blob.name]
        conversation.files.append((blob.name, blob))

    def _as_json(self, item: Item) -> dict[str, Any]:
        content: Any = item.text
        if self.parts and item.role == "agent":
            tool = {"kind": "tool_use", "name": "sql", "text": "select 1"}
            text = {"kind": "text", "text": item.text}
            thought = {"kind": "thought", "text": "not for people"}
            ordered = [thought, text, tool] if item.text == THINKING else [thought, tool, text]
            content = [*item.before, *ordered, *item.after]
        return {"id": item.id, "role": item.role, "content": content}

    def _page(self, request: Request, items: Sequence[Any]) -> Response:
        if self.bare:
            return JSONResponse(list(items))
        begin = int(request.query_params.get("next", "0"))
        end = begin + self.page
        more = end < len(items)
        link = f"{request.url}{'&' if request.url.query else '?'}next={end}" if self.links else str(end)
        return JSONResponse({"data": list(items[begin:end]), "next": link if more else None, "has_more": more})

    def _conversation(self, request: Request) -> Conversation:
        try:
            conversation = self._conversations[request.path_params["cid"]]
        except KeyError:
            raise HTTPException(404, "Conversation not found") from None
        self._settle(conversation)
        return conversation


def _tools(conversation: Conversation, plan: Plan) -> Iterator[dict[str, Any]]:
    turn = sum(item.role == "user" for item in conversation.items)
    for number, work in enumerate(plan.steps):
        yield {
            "kind": "tool_call",
            "name": work.tool,
            "tool_call_id": f"call-{conversation.id}-{turn}-{number}",
            "arguments_raw": json.dumps({"key": INTERNAL}),
            "sub_type": "action-external",
            "status": "finished",
            "result": INTERNAL,
            "error": None,
        }


def _charts(plan: Plan) -> list[dict[str, Any]]:
    figures = plan.figures
    if figures is None or figures.measure is None:
        return []
    spec = {
        "title": "Figures",
        "mark": {"type": "bar"},
        "data": {"values": [dict(zip(figures.columns, row, strict=True)) for row in figures.rows]},
        "encoding": {
            "x": {"field": figures.columns[0], "type": "nominal"},
            "y": {"field": figures.columns[figures.measure], "type": "quantitative"},
        },
    }
    part = {"kind": "vega_chart", "chart_spec_raw": json.dumps(spec), "sub_type": "vega-lite", "completed": True}
    return [part]


def _event(data: str) -> bytes:
    return "".join(f"data: {line}\n" for line in data.split("\n")).encode("utf-8", "replace") + b"\n"


def _patch(path: str, value: str) -> str:
    return json.dumps({"delta": {"op": "concat_string", "path": path, "value": value}})
