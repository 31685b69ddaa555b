"""A simulated Toqan: create or continue, poll for the answer, files in and out.

`gets` says how its GET calls take their arguments: from a JSON body as the guide has it, from the query string, or
from either. What a service behind a strict proxy does to a GET with a body, "query" does too: it refuses.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from adapters.testing.backends.base import Backend, Run
from adapters.testing.backends.brain import Blob

MAX_FILE = 100 * 2**20  # bytes; larger uploads are refused
THINKING = "Let me look into that."  # the first of the rows that an agent writes in a turn

Gets = Literal["either", "body", "query"]


@dataclass
class Turn:
    """A question and its run."""

    request_id: str
    text: str
    run: Run
    timestamp: int


@dataclass
class Conversation:
    """The turns, oldest first."""

    id: str
    turns: list[Turn] = field(default_factory=list)


class ToqanBackend(Backend):
    """`gets`: see the module. `working`: the status of a run that isn't over. `blank`: a finished answer is empty
    and stands in the history only."""

    def __init__(self, *, gets: Gets = "either", **options: Any) -> None:
        self.gets: Gets = gets
        self.working = "in_progress"
        self.blank = False
        self._conversations: dict[str, Conversation] = {}
        self._files: dict[str, Blob] = {}
        self._ids = itertools.count(1)
        super().__init__(**options)

    def routes(self) -> list[Route]:
        return [
            self.operation("create", "/create_conversation", self._create, "POST"),
            self.operation("continue", "/continue_conversation", self._continue, "POST"),
            self.operation("answer", "/get_answer", self._answer),
            self.operation("history", "/find_conversation", self._find, "POST"),
            self.operation("upload", "/upload_file", self._upload, "PUT"),
            self.operation("download", "/download_file", self._download),
        ]

    def authorized(self, request: Request) -> bool:
        return request.headers.get("x-api-key") == self.key

    async def _create(self, request: Request) -> Response:
        conversation = Conversation(f"conv-{next(self._ids)}")
        taken = self._take(conversation, await self.body(request))
        self._conversations[conversation.id] = conversation
        return taken

    async def _continue(self, request: Request) -> Response:
        body = await self.body(request)
        return self._take(self._conversation(body.get("conversation_id")), body)

    def _take(self, conversation: Conversation, body: dict[str, Any]) -> Response:
        text = body.get("user_message")
        if not isinstance(text, str) or not text:
            raise HTTPException(400, "user_message is required")
        listed = body.get("private_user_files") or []
        try:
            uploads = [self._files[file["id"]] for file in listed]
        except (KeyError, TypeError):
            raise HTTPException(400, "private_user_files names an unknown file") from None
        run = self.begin(conversation.id, text, uploads, [turn.text for turn in conversation.turns])
        turn = Turn(f"req-{next(self._ids)}", text, run, next(self._ids))
        conversation.turns.append(turn)
        return JSONResponse({"conversation_id": conversation.id, "request_id": turn.request_id})

    async def _answer(self, request: Request) -> Response:
        asked = await self._arguments(request)
        conversation = self._conversation(asked.get("conversation_id"))
        turn = next((t for t in conversation.turns if t.request_id == asked.get("request_id")), None)
        if turn is None:
            raise HTTPException(404, "Request not found")
        answer: dict[str, Any] = {"status": self.working, "answer": "", "timestamp": turn.timestamp}
        over = turn.run.over  # read once: it may end between two looks
        if over and turn.run.plan.fails:
            answer |= {"status": "error", "answer": "Traceback: the agent fell over"}
        elif over:
            answer |= {"status": "finished", "answer": "" if self.blank else turn.run.plan.text}
            if turn.run.plan.files and not self.blank:
                answer["attachments"] = _attachments(turn)
        return JSONResponse(answer)

    async def _find(self, request: Request) -> Response:
        conversation = self._conversation((await self.body(request)).get("conversation_id"))
        rows: list[dict[str, Any]] = []
        for turn in conversation.turns:
            row = {"type": "message", "timestamp": turn.timestamp}
            rows.append({**row, "id": turn.request_id, "message": turn.text, "author_id": "user-1"})
            rows.append({**row, "id": f"{turn.request_id}-a", "message": THINKING, "author_id": "Toqan"})
            if turn.run.over and not turn.run.plan.fails:
                last = {**row, "id": f"{turn.request_id}-b", "message": turn.run.plan.text, "author_id": "Toqan"}
                rows.append({**last, "attachments": _attachments(turn)} if turn.run.plan.files else last)
        return JSONResponse(rows)

    async def _upload(self, request: Request) -> Response:
        [blob, *more] = await self.uploads(request, "file")
        if more:
            raise HTTPException(400, "one file at a time")
        if len(blob.content) > MAX_FILE:
            raise HTTPException(413, "File too large")
        file_id = f"file-{next(self._ids)}"
        self._files[file_id] = blob
        return JSONResponse({"file_id": file_id})

    async def _download(self, request: Request) -> Response:
        asked = await self._arguments(request)
        conversation = self._conversation(asked.get("conversation_id"))
        for turn in conversation.turns:
            for blob in turn.run.plan.files if turn.run.over else ():
                if blob.name == asked.get("file_name"):
                    return Response(blob.content, media_type=blob.media_type)
        raise HTTPException(404, "File not found")

    async def _arguments(self, request: Request) -> dict[str, Any]:
        sent = await request.body()
        if self.gets == "query" and sent:
            raise HTTPException(400, "a GET has no body")
        if self.gets == "body" or (self.gets == "either" and sent):
            return await self.body(request)
        return dict(request.query_params)

    def _conversation(self, conversation_id: Any) -> Conversation:
        try:
            return self._conversations[conversation_id]
        except (KeyError, TypeError):
            raise HTTPException(404, "Conversation not found") from None


def _attachments(turn: Turn) -> list[dict[str, str]]:
    return [{"name": quote(blob.name, safe=""), "mime_type": blob.media_type} for blob in turn.run.plan.files]
