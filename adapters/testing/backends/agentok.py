"""A simulated Agentok Studio: chats, runs that may ask a person, message rows in no order.

`server` says which it is. "guide" is that of the guide: chats of flows, plain rows, and DELETE. The other two were
observed: chats of projects or templates, control rows, an echo, tool rows and a summary, and no DELETE. The one of
2024 sets a chat's status to "running" when the run begins; the one of 2026-07 does so at once, and leaves it there
for ever when the run dies in the server. `prefix`: what every path begins with. All hold the POST that asks until
the run ends, answer it with 500 where the run dies, and give a person's answer to the run line by line.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from adapters.testing.backends.base import Backend, Run
from adapters.testing.backends.brain import INTERNAL, Plan

Server = Literal["guide", "2024", "2026-07"]

SOURCE = 12  # the flow's, the project's and the template's id
LOOK = 0.001  # seconds between two looks of a held request at its run
FAILURE = "openai.AuthenticationError: Traceback (most recent call last)"
FIRST_WORDS = "I begin with the first step."
WAITING = "wait_for_human_input"


@dataclass
class Chat:
    id: int
    made: dict[str, Any]
    status: str | None
    rows: list[dict[str, Any]] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    run: Run | None = None
    ended: bool = True  # the end of the run is written down

    @property
    def live(self) -> bool:
        """Whether a run is at work or waits."""
        return self.run is not None and not self.ended


class AgentokBackend(Backend):
    """`may_start`: while it is clear, a question is written down and its run doesn't begin. `dies`: runs die in
    the server, "unbegun" or "begun" with their first words written. `asks_more`: what runs ask besides, one after
    another. `answers`: the lines that runs got by /input."""

    def __init__(self, *, server: Server = "2026-07", prefix: str = "/v1", **options: Any) -> None:
        self.server: Server = server
        self.guided = server == "guide"
        self.prefix = prefix
        super().__init__(**options)
        self.may_start = asyncio.Event()
        self.may_start.set()
        self.dies: Literal["", "unbegun", "begun"] = ""
        self.asks_more: list[str] = []
        self.answers: list[str] = []
        self._chats: dict[int, Chat] = {}
        self._ids = itertools.count(1)

    @property
    def kinds(self) -> tuple[str, ...]:
        """What chats can be made from."""
        return ("flow",) if self.guided else ("project", "template")

    def routes(self) -> list[Route]:
        chats = f"{self.prefix}/chats"
        chat = f"{chats}/{{id:int}}"
        routes = [
            self.operation("create", chats, self._create, "POST"),
            self.operation("list", chats, self._list),
            self.operation("status", chat, self._status),
            self.operation("messages", f"{chat}/messages", self._messages),
            self.operation("question", f"{chat}/messages", self._question, "POST"),
            self.operation("input", f"{chat}/input", self._input, "POST"),
            self.operation("abort", f"{chat}/abort", self._abort, "POST"),
        ]
        return [*routes, self.operation("delete", chat, self._delete, "DELETE")] if self.guided else routes

    def authorized(self, request: Request) -> bool:
        if "authorization" in request.headers and "x-api-key" not in request.headers:
            raise HTTPException(500, "Internal Server Error")
        return request.headers.get("x-api-key") == self.key

    def refusal(self, status: int, message: str) -> Response:
        if status == 500:
            return PlainTextResponse(message, 500)
        return JSONResponse({"detail": message}, status)

    def forget_runs(self) -> None:
        """What a restart of the server does: the runs are gone, their chats keep their status."""
        for chat in self._chats.values():
            chat.run, chat.ended = None, True

    async def _create(self, request: Request) -> Response:
        body = await self.body(request)
        kind = body.get("from_type")
        if kind not in self.kinds or not isinstance(body.get("name"), str):
            raise HTTPException(422, f"from_type must be one of {self.kinds}, name a string")
        source = body.get(f"from_{kind}")
        if not self.guided and not (isinstance(source, int) and isinstance(body.get("user_id"), str)):
            raise HTTPException(422, "the source must be an integer, user_id a string")
        if str(source) != str(SOURCE):
            raise HTTPException(400, "Failed to create chat")
        made = {"name": body["name"], "from_type": kind, f"from_{kind}": source}
        chat = Chat(next(self._ids), made, "ready" if self.guided else None)
        self._chats[chat.id] = chat
        return JSONResponse(self._shown(chat))

    async def _list(self, _: Request) -> Response:
        return JSONResponse([self._shown(chat) for chat in self._chats.values()])

    async def _status(self, request: Request) -> Response:
        return JSONResponse(self._shown(self._chat(request)))

    async def _messages(self, request: Request) -> Response:
        chat = self._chat(request)
        self._settle(chat)
        return JSONResponse([*chat.rows[1::2], *chat.rows[::2]])

    async def _question(self, request: Request) -> Response:
        chat = self._chat(request)
        text = await self._text(request)
        if chat.status == WAITING and chat.live:
            self.violations.append(f"{chat.id}: asked {text!r} while a person's answer was awaited")
        if chat.live:
            self._end(chat, "aborted", "TERMINATED")
        self._write(chat, "user", text)
        if self.server == "2026-07":
            chat.status = "running"
        if self.dies == "unbegun":
            raise HTTPException(500, "Internal Server Error")
        await self.may_start.wait()
        chat.run = run = self.begin(str(chat.id), text, [], list(chat.questions))
        chat.questions.append(text)
        chat.ended, chat.status = False, "running"
        self._control(chat, "RUNNING")
        if not self.guided:
            self._write(chat, "assistant", f'"{text}"', sender="User", receiver="Assistant")
            call = {"tool_info": {"type": "suggested_tool_call", "tool": "calendar"}}
            self._write(chat, "assistant", "calendar.today()", metadata=call)
            for number, work in enumerate(run.plan.steps):
                joins = {"meta": f"call_{chat.id}_{len(chat.questions)}_{number}"}
                told = {"type": "suggested_tool_call", "tool": work.tool, "arguments": {"key": INTERNAL}, **joins}
                nodes = {"sender": "Research_assistant", "receiver": "Tool_executor"}
                self._write(chat, "assistant", "", metadata={"tool_info": told}, **nodes)
                answer = {"type": "tool_response", **joins}
                nodes = {"sender": "Tool_executor", "receiver": "Research_assistant"}
                self._write(chat, "assistant", INTERNAL, metadata={"tool_info": answer}, **nodes)
        if run.plan.asks:
            self._ask(chat, run.plan.asks)
        if self.dies == "begun":
            self._write(chat, "assistant", FIRST_WORDS)
            chat.run, chat.ended = None, True
            raise HTTPException(500, "Internal Server Error")
        number = len(chat.questions)
        while chat.live and len(chat.questions) == number:
            await asyncio.sleep(LOOK)
            self._settle(chat)
        return JSONResponse(None)

    async def _input(self, request: Request) -> Response:
        chat = self._chat(request)
        text = await self._text(request)
        self._write(chat, "user", text)
        if not chat.live or chat.run is None:
            return JSONResponse({"error": f"No assistant found with that chat ID. {chat.id}"})
        for line in text.split("\n"):
            if chat.status != WAITING:
                self.violations.append(f"{chat.id}: input {line!r} that nobody waited for")
            self._answered(chat, chat.run, line)
        return JSONResponse({"detail": "Input sent to assistant."})

    def _answered(self, chat: Chat, run: Run, line: str) -> None:
        self.answers.append(line)
        self._control(chat, "RECEIVED_HUMAN_INPUT")
        if not self.guided:
            self._write(chat, "assistant", "Thank you.", sender="Assistant", receiver="User")
            self._write(chat, "assistant", line, sender="User", receiver="Assistant")
        plan = Plan(f"{run.plan.text}\n\nYou said: “{line}”.", fails=run.plan.fails)
        chat.run = self._runs[str(chat.id)] = Run(plan, self.pace, held=self.hold)
        chat.status = "running"
        if self.asks_more:
            self._ask(chat, self.asks_more.pop(0))

    def _ask(self, chat: Chat, question: str) -> None:
        self._write(chat, "assistant", f"__STATUS_WAIT_FOR_HUMAN_INPUT__ {question}")
        chat.status = WAITING

    async def _abort(self, request: Request) -> Response:
        chat = self._chat(request)
        self._settle(chat)
        if not chat.live:
            return JSONResponse({"error": f"No assistant found with that chat ID. {chat.id}"})
        self._end(chat, "aborted", "TERMINATED")
        return JSONResponse({"detail": f"Assistant for chat {chat.id} terminated gracefully."})

    async def _delete(self, request: Request) -> Response:
        del self._chats[self._chat(request).id]
        return JSONResponse({"message": "Chat deleted"})

    async def _text(self, request: Request) -> str:
        body = await self.body(request)
        wanted = body.get("message" if self.guided else "content")
        if not isinstance(wanted, str) or not (self.guided or body.get("type") in {"user", "assistant"}):
            raise HTTPException(422, "Field required")
        return wanted

    def _chat(self, request: Request) -> Chat:
        chat = self._chats.get(request.path_params["id"])
        if chat is None:
            raise HTTPException(404, "Chat not found")
        return chat

    def _shown(self, chat: Chat) -> dict[str, Any]:
        self._settle(chat)
        made_at = f"2026-11-20T12:00:00.{chat.id:06}Z"
        return {"id": chat.id, **chat.made, "status": chat.status, "created_at": made_at, "updated_at": made_at}

    def _settle(self, chat: Chat) -> None:
        """Write down the end of a run that is over."""
        run = chat.run
        if run is None or chat.ended or chat.status == WAITING or not run.over:
            return
        if run.plan.fails:
            self._end(chat, "error" if self.guided else "failed", f"1: {FAILURE}")
            return
        self._write(chat, "assistant", run.plan.text, sender="Assistant", receiver="User")
        if not self.guided:
            self._write(chat, "summary", run.plan.text)
        self._end(chat, "completed", "DONE")

    def _end(self, chat: Chat, status: str, word: str) -> None:
        if chat.run is not None:
            chat.run.aborted = True
        chat.ended, chat.status = True, status
        self._control(chat, "COMPLETED", word)

    def _control(self, chat: Chat, word: str, rest: str = "") -> None:
        if not self.guided:
            self._write(chat, "assistant", f"__STATUS_{word}__ {rest}".rstrip())

    def _write(self, chat: Chat, kind: str, content: str, **more: Any) -> None:
        chat.rows.append({"id": next(self._ids), "chat_id": chat.id, "type": kind, "content": content, **more})
