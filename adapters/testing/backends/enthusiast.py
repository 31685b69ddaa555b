"""A simulated Enthusiast: questions become tasks, answers stand in the history.

`form` says which server it is. "old" is that of the guide: rows have a `role`, the person's row is there at once,
and there are no agents and no uploads. "new" was seen: rows have a `type` and are written when the run ends, an
agent is required, and files are read by tasks of their own.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Literal

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from adapters.testing.backends.base import Backend, Run
from adapters.testing.backends.brain import Blob

Form = Literal["old", "new"]

DATA_SET = 3
AGENT = 7
SUPPORTED = (".txt", ".pdf", ".jpg", ".jpeg", ".png")
PAGE = 10  # conversations of a page
EXCUSE = "We couldn't process your request at this time"

_NAMES = {"old": {"person": "user", "agent": "agent", "failure": "agent_error"}}
_NAMES["new"] = {"person": "human", "agent": "ai", "failure": "system", "file": "file"}


@dataclass
class Turn:
    """A question, its run and its task."""

    text: str
    run: Run
    task: str
    written: bool = False  # its end stands in the history


@dataclass
class Conversation:
    id: int
    rows: list[dict[str, Any]] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    files: dict[int, Blob] = field(default_factory=dict)


class EnthusiastBackend(Backend):
    """`working`: the state of a task that isn't over. `forgets`: every task is unknown, so it stays PENDING for
    ever. `locked`: conversations that take no more questions. `unreadable`: uploads end well and yet fail."""

    def __init__(self, *, form: Form = "new", **options: Any) -> None:
        super().__init__(**options)
        self.form: Form = form
        self.working = "PENDING"
        self.forgets = False
        self.unreadable = False
        self.locked: set[str] = set()
        self._conversations: dict[int, Conversation] = {}
        self._tasks: dict[str, Turn | None] = {}  # None for a task that failed before it ran
        self._uploads: dict[str, int | None] = {}  # by task; None for a file that couldn't be read
        self._looked: set[str] = set()  # upload tasks whose state was asked for
        self._ids = itertools.count(1)

    def routes(self) -> list[Route]:
        conversation = "/api/conversations/{id:int}"
        return [
            self.operation("create", "/api/conversations", self._create, "POST"),
            self.operation("list", "/api/conversations", self._list),
            self.operation("question", conversation, self._question, "POST"),
            self.operation("history", conversation, self._history),
            self.operation("status redirect", "/api/task_status/{task}", self._slash),
            self.operation("status", "/api/task_status/{task}/", self._status),
            self.operation("upload", f"{conversation}/upload/", self._upload, "POST"),
            self.operation("upload status", "/api/file-upload-status/{task}/", self._upload_status),
        ]

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Token {self.key}"

    def refusal(self, status: int, message: str) -> Response:
        return JSONResponse({"detail": message}, status)

    async def _create(self, request: Request) -> Response:
        body = await self.body(request)
        needed, known = ("agent_id", AGENT) if self.form == "new" else ("data_set_id", DATA_SET)
        if not isinstance(body.get(needed), int):
            return JSONResponse({needed: ["This field is required."]}, 400)
        if body[needed] != known:
            raise HTTPException(404, "Agent not found.")
        conversation = Conversation(next(self._ids))
        self._conversations[conversation.id] = conversation
        return JSONResponse(self._shown(conversation), 201)

    async def _list(self, request: Request) -> Response:
        page = int(request.query_params.get("page", "1"))
        newest_first = sorted(self._conversations.values(), key=lambda found: -found.id)
        shown = newest_first[(page - 1) * PAGE : page * PAGE]
        if not shown and page > 1:
            raise HTTPException(404, "Invalid page.")
        more = len(newest_first) > page * PAGE
        results = [{k: v for k, v in self._shown(found).items() if k != "history"} for found in shown]
        after = f"http://inside.invalid:8000/api/conversations?page={page + 1}" if more else None
        return JSONResponse({"count": len(newest_first), "next": after, "previous": None, "results": results})

    async def _question(self, request: Request) -> Response:
        conversation = self._conversation(request)
        body = await self.body(request)
        text = body.get("question_message")
        if not isinstance(text, str) or not text.strip():
            return JSONResponse({"question_message": ["Query message cannot be blank."]}, 400)
        if str(conversation.id) in self.locked:
            raise HTTPException(400, "Conversation locked.")
        file_ids = body.get("file_ids", [])
        unknown = [number for number in file_ids if number not in conversation.files]
        if unknown:
            return JSONResponse({"file_ids": [f"They do not belong to the conversation: {unknown}"]}, 400)
        task = f"task-{next(self._ids)}"
        if body.get("data_set_id") != DATA_SET:
            self._tasks[task] = None
            return JSONResponse({"task_id": task}, 202)
        for _ in file_ids:
            self._write(conversation, "file", "")
        uploads = [conversation.files[number] for number in file_ids]
        run = self.begin(str(conversation.id), text, uploads, [turn.text for turn in conversation.turns])
        turn = Turn(text, run, task)
        conversation.turns.append(turn)
        self._tasks[task] = turn
        if self.form == "old":
            self._write(conversation, "person", text)
        return JSONResponse({"task_id": task, "streaming": False}, 202)

    async def _history(self, request: Request) -> Response:
        return JSONResponse(self._shown(self._conversation(request)))

    async def _slash(self, request: Request) -> Response:
        return RedirectResponse(f"{request.url.path}/", 301)

    async def _status(self, request: Request) -> Response:
        task = request.path_params["task"]
        if task not in self._tasks or self.forgets:
            return JSONResponse({"state": "PENDING"})
        turn = self._tasks[task]
        if turn is None or (turn.run.over and turn.run.plan.fails):
            return JSONResponse({"state": "FAILURE"})
        return JSONResponse({"state": "SUCCESS" if turn.run.over else self.working})

    async def _upload(self, request: Request) -> Response:
        if self.form == "old":
            raise HTTPException(404, "Not found.")
        conversation = self._conversation(request)
        [blob, *more] = await self.uploads(request, "file")
        if more:
            self.violations.append("several files in one upload")
        suffix = PurePath(blob.name).suffix.lower()
        if suffix not in SUPPORTED:
            message = f"File type {suffix} is not supported. Supported types: {', '.join(SUPPORTED)}"
            return JSONResponse({"error": message}, 400)
        task, number = f"upload-{next(self._ids)}", next(self._ids)
        if not self.unreadable:
            conversation.files[number] = blob
        self._uploads[task] = None if self.unreadable else number
        return JSONResponse({"task_id": task}, 202)

    async def _upload_status(self, request: Request) -> Response:
        task = request.path_params["task"]
        seen_before = task in self._looked
        self._looked.add(task)
        if task not in self._uploads or not seen_before:
            return JSONResponse({"task_id": task, "status": "PENDING"})
        number = self._uploads[task]
        result = (
            {"status": "SUCCESS", "file_id": number} if number else {"status": "FAILURE", "error": "no text in it"}
        )
        return JSONResponse({"task_id": task, "status": "SUCCESS", "result": result})

    def _conversation(self, request: Request) -> Conversation:
        conversation = self._conversations.get(request.path_params["id"])
        if conversation is None:
            raise HTTPException(404, "No Conversation matches the given query.")
        return conversation

    def _shown(self, conversation: Conversation) -> dict[str, Any]:
        """A conversation as the server gives it, with what has ended since written down."""
        for turn in conversation.turns:
            if turn.run.over and not turn.written:
                turn.written = True
                if self.form == "new":
                    self._write(conversation, "person", turn.text)
                failed = turn.run.plan.fails
                self._write(
                    conversation, "failure" if failed else "agent", EXCUSE if failed else turn.run.plan.text
                )
        shown = {"id": conversation.id, "started_at": "2026-11-20T12:00:00Z", "history": conversation.rows}
        return shown if self.form == "old" else {**shown, "agent": {"id": AGENT, "name": "Support"}}

    def _write(self, conversation: Conversation, author: str, text: str) -> None:
        key = "role" if self.form == "old" else "type"
        conversation.rows.append({"id": next(self._ids), "text": text, key: _NAMES[self.form][author]})
