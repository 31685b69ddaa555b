"""A simulated Enthusiast: questions become tasks, answers stand in the history.

`version` says which server it is. Rows of "1.0" and "1.2" have a `role`, and the person's row is there at once.
"1.0" has no agents; "1.2" wants the agent's name, and falls over a creation without one and over a conversation
that it doesn't know. "1.4" wants the agent's id; its rows have a `type` and are written when the run ends, and
files are read by tasks of their own.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Literal

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from adapters.testing.backends.base import Backend, Run
from adapters.testing.backends.brain import Blob

Version = Literal["1.0", "1.2", "1.4"]

DATA_SET = 3
OTHER_DATA_SET = 4
AGENT = 7
AGENT_NAME = "Support"
SUPPORTED = (".txt", ".pdf", ".jpg", ".jpeg", ".png")
PAGE = 10  # conversations of a page
EXCUSE = "We couldn't process your request at this time"

_ROLES = {"person": "user", "agent": "agent", "failure": "agent_error"}
_TYPES = {"person": "human", "agent": "ai", "failure": "system", "file": "file"}
_AGENTS = (
    {"id": AGENT, "name": AGENT_NAME, "dataset": DATA_SET, "deleted_at": None, "corrupted": False},
    {"id": 8, "name": "Retired", "dataset": DATA_SET, "deleted_at": "2026-11-01T12:00:00Z", "corrupted": False},
    {"id": 9, "name": "Sales", "dataset": OTHER_DATA_SET, "deleted_at": None, "corrupted": False},
)


@dataclass
class Turn:
    """A question, its run and its task."""

    text: str
    run: Run
    task: str
    written: bool = False  # its end stands in the history
    row: int = 0  # that of its answer


@dataclass
class Conversation:
    id: int
    rows: list[dict[str, Any]] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    files: dict[int, Blob] = field(default_factory=dict)


class EnthusiastBackend(Backend):
    """`working`: the state of a task that isn't over. `forgets`: every task is unknown, so it stays PENDING for
    ever. `locked`: conversations that take no more questions. `unreadable`: uploads end well and yet fail."""

    def __init__(self, *, version: Version = "1.4", **options: Any) -> None:
        super().__init__(**options)
        self.version: Version = version
        self.old = version != "1.4"
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
            self.operation("feedback", "/api/messages/{id:int}/feedback/", self._feedback, "PATCH"),
            self.operation("data sets", "/api/data_sets", self._data_sets),
            self.operation("agents", "/api/agents", self._agents),
            self.operation("agent", "/api/agents/{id:int}", self._agent),
        ]

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Token {self.key}"

    def refusal(self, status: int, message: str) -> Response:
        return JSONResponse({"detail": message}, status)

    async def _create(self, request: Request) -> Response:
        body = await self.body(request)
        if self.old and not isinstance(body.get("data_set_id"), int):
            return JSONResponse({"data_set_id": ["This field is required."]}, 400)
        if self.version == "1.4" and not isinstance(body.get("agent_id"), int):
            return JSONResponse({"agent_id": ["This field is required."]}, 400)
        if self.version == "1.2" and not body.get("agent"):
            return HTMLResponse("<h1>Server Error (500)</h1>", 500)
        if self.old and body["data_set_id"] not in {DATA_SET, OTHER_DATA_SET}:
            raise HTTPException(404, "No DataSet matches the given query.")
        if self.version == "1.2" and body["agent"] not in {agent["name"] for agent in _AGENTS}:
            raise HTTPException(404, "Agent not found.")
        if self.version == "1.4" and body["agent_id"] not in {agent["id"] for agent in _AGENTS}:
            raise HTTPException(404, "Agent not found.")
        conversation = Conversation(next(self._ids))
        self._conversations[conversation.id] = conversation
        return JSONResponse(self._shown(conversation), 201)

    async def _data_sets(self, _: Request) -> Response:
        results = [{"id": number, "name": f"Catalogue {number}"} for number in (DATA_SET, OTHER_DATA_SET)]
        return JSONResponse({"count": len(results), "next": None, "previous": None, "results": results})

    async def _agents(self, request: Request) -> Response:
        if self.version == "1.0":
            raise HTTPException(404, "Not found.")
        wanted = request.query_params.get("dataset")
        if wanted not in {str(DATA_SET), str(OTHER_DATA_SET)}:
            message = "Select a valid choice. That choice is not one of the available choices."
            return JSONResponse({"dataset": [message]}, 400)
        return JSONResponse([agent for agent in _AGENTS if str(agent["dataset"]) == wanted])

    async def _agent(self, request: Request) -> Response:
        for agent in _AGENTS:
            if agent["id"] == request.path_params["id"]:
                return JSONResponse(agent)
        raise HTTPException(404, "No Agent matches the given query.")

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
        if self.old:
            self._write(conversation, "person", text)
        return JSONResponse({"task_id": task, "streaming": False}, 202)

    async def _history(self, request: Request) -> Response:
        if self.version == "1.2" and request.path_params["id"] not in self._conversations:
            return HTMLResponse("<h1>Server Error (500)</h1>", 500)
        return JSONResponse(self._shown(self._conversation(request)))

    async def _slash(self, request: Request) -> Response:
        return RedirectResponse(f"{request.url.path}/", 301)

    async def _status(self, request: Request) -> Response:
        task = request.path_params["task"]
        if task not in self._tasks or self.forgets:
            return JSONResponse({"state": "PENDING"})
        turn = self._tasks[task]
        over = turn is not None and turn.run.over  # read once: it may end between two looks
        if turn is None or (over and turn.run.plan.fails):
            return JSONResponse({"state": "FAILURE"})
        return JSONResponse({"state": "SUCCESS" if over else self.working})

    async def _upload(self, request: Request) -> Response:
        if self.old:
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

    async def _feedback(self, request: Request) -> Response:
        body = await self.body(request)
        turns = [turn for held in self._conversations.values() for turn in held.turns]
        turn = next((turn for turn in turns if turn.row and turn.row == request.path_params["id"]), None)
        if turn is None:
            return JSONResponse({"error": "Message not found."}, 404)
        rating, feedback = body.get("rating"), body.get("feedback")
        if "rating" in body and not (isinstance(rating, int) and 1 <= rating <= 5):
            return JSONResponse({"rating": ["Ensure this value is less than or equal to 5."]}, 400)
        if "feedback" in body and not (isinstance(feedback, str) and feedback.strip()):
            return JSONResponse({"feedback": ["Feedback cannot be blank."]}, 400)
        before = self.ratings.get(turn.text, (False, ""))
        self.ratings[turn.text] = (before[0] if rating is None else rating > 3, feedback or before[1])
        return JSONResponse({"rating": rating, "feedback": feedback})

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
                if not self.old:
                    self._write(conversation, "person", turn.text)
                failed = turn.run.plan.fails
                text = EXCUSE if failed else turn.run.plan.text
                turn.row = self._write(conversation, "failure" if failed else "agent", text)
        shown = {"id": conversation.id, "started_at": "2026-11-20T12:00:00Z", "history": conversation.rows}
        return shown if self.old else {**shown, "agent": {"id": AGENT, "name": AGENT_NAME}}

    def _write(self, conversation: Conversation, author: str, text: str) -> int:
        """The id of the new row."""
        key, number = "role" if self.old else "type", next(self._ids)
        conversation.rows.append({"id": number, "text": text, key: (_ROLES if self.old else _TYPES)[author]})
        return number
