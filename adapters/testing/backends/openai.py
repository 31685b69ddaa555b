"""A simulated server of the OpenAI API: Responses with conversations, files, containers, and Chat Completions.

What it refuses follows the API reference: unknown parameters, parts and models, a conversation together with a
previous response, a background response that isn't stored, and a second question while one is worked on.

`lacks` names what the server doesn't have, as servers of other makers do: "conversations", "files", "background",
"streams", "usage" (of a chat's stream), "models", "person" (fields that say who asks), "summaries" (of thoughts).
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from adapters.base import Decision
from adapters.testing.backends.base import PACE, REMEMBERED, Backend, Run
from adapters.testing.backends.brain import INTERNAL, Blob, Plan
from adapters.testing.backends.openai_wire import (
    chat_chunks,
    chat_content,
    chat_extras,
    check_person,
    check_tools,
    citations_of,
    from_data_url,
    inlined_blob,
    is_decision,
    said_in,
    worked,
)

MODEL = "simulated-1"
MCP_SERVER = {
    "label": "post",
    "url": "https://mcp.example/post",
}  # of the adapter's settings: its calls want leave
IMAGE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"not much of a picture").decode()
_PARAMETERS = {
    "background",
    "conversation",
    "input",
    "instructions",
    "max_output_tokens",
    "metadata",
    "model",
    "previous_response_id",
    "reasoning",
    "safety_identifier",
    "store",
    "stream",
    "temperature",
    "tools",
    "truncation",
}
_CHAT_PARAMETERS = {
    "max_completion_tokens",
    "messages",
    "model",
    "reasoning_effort",
    "stream",
    "stream_options",
    "temperature",
    "user",
}
_PERSON_FIELDS = ("user", "safety_identifier", "metadata")
_CODES = {401: "invalid_api_key", 404: "not_found", 409: "conversation_locked"}


@dataclass
class Conversation:
    """Items, oldest first."""

    items: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Answer:
    """A response: what it was asked and the run that answers."""

    id: str
    run: Run
    asked: dict[str, Any]  # the input item
    conversation: str | None
    previous: str | None
    background: bool
    images: int
    streamed: bool
    container: str
    summarizes: bool = False
    request: str = ""  # the id of the call that wants leave
    decided: bool = False

    @property
    def status(self) -> str:
        if self.request:
            return "completed"
        if self.run.aborted:
            return "cancelled"
        if not self.run.over:
            return "in_progress"
        return "failed" if self.run.plan.fails else "completed"


class OpenAIBackend(Backend):
    """Serve `app`; the adapter's `base_url` is its address with `/v1`."""

    def __init__(self, *, key: str = "sk-simulated", pace: float = PACE, lacks: Collection[str] = ()) -> None:
        self.lacks = lacks
        self.asked: list[dict[str, Any]] = []  # the bodies of the questions
        self._ids = count(1)
        self._conversations: dict[str, Conversation] = {}
        self._answers: dict[str, Answer] = {}
        self._files: dict[str, Blob] = {}
        self._made: dict[tuple[str, str], Blob] = {}  # by container and file
        super().__init__(key=key, pace=pace)

    def routes(self) -> list[Route]:
        routes = [
            self.operation("ask", "/v1/responses", self._ask, "POST"),
            self.operation("read", "/v1/responses/{id}", self._read),
            self.operation("cancel", "/v1/responses/{id}/cancel", self._cancel, "POST"),
            self.operation("delete response", "/v1/responses/{id}", self._delete_response, "DELETE"),
            self.operation("inputs", "/v1/responses/{id}/input_items", self._inputs),
            self.operation("made file", "/v1/containers/{container}/files/{file}/content", self._content),
            self.operation("chat", "/v1/chat/completions", self._chat, "POST"),
        ]
        if "models" not in self.lacks:
            routes += [
                self.operation("models", "/v1/models", self._models),
                self.operation("model", "/v1/models/{id:path}", self._model),
            ]
        if "files" not in self.lacks:
            routes.append(self.operation("upload", "/v1/files", self._upload, "POST"))
        if "conversations" not in self.lacks:
            routes += [
                self.operation("begin", "/v1/conversations", self._begin, "POST"),
                self.operation("delete", "/v1/conversations/{id}", self._delete, "DELETE"),
                self.operation("items", "/v1/conversations/{id}/items", self._items),
                self.operation("item", "/v1/conversations/{id}/items/{item}", self._item),
            ]
        return routes

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer {self.key}"

    def refusal(self, status: int, message: str) -> Response:
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": _CODES.get(status)}
        return JSONResponse({"error": error}, status)

    async def person_fields(self, operation: str, request: Request) -> Mapping[str, Any]:
        if operation not in {"ask", "chat"}:
            return {}
        asked = await self.body(request)
        return {name: asked[name] for name in _PERSON_FIELDS if name in asked}

    # --- models

    async def _models(self, _: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    async def _model(self, request: Request) -> Response:
        self._check_model({"model": request.path_params["id"]})
        return JSONResponse({"id": MODEL, "object": "model"})

    # --- conversations and files

    async def _begin(self, _: Request) -> Response:
        conversation = self._new("conv")
        self._conversations[conversation] = Conversation()
        return JSONResponse({"id": conversation, "object": "conversation", "created_at": 0, "metadata": {}})

    async def _delete(self, request: Request) -> Response:
        conversation = request.path_params["id"]
        self._conversation(conversation)
        del self._conversations[conversation]
        return JSONResponse({"id": conversation, "object": "conversation.deleted", "deleted": True})

    async def _items(self, request: Request) -> Response:
        return self._page(request, self._conversation(request.path_params["id"]).items)

    async def _item(self, request: Request) -> Response:
        for item in self._conversation(request.path_params["id"]).items:
            if item["id"] == request.path_params["item"]:
                return JSONResponse(item)
        raise HTTPException(404, "no such item")

    async def _upload(self, request: Request) -> Response:
        (blob,) = await self.uploads(request, "file")
        form = await request.form()
        if form.get("purpose") not in {"user_data", "vision", "assistants", "batch", "fine-tune", "evals"}:
            raise HTTPException(400, "purpose is required")
        file = self._new("file")
        self._files[file] = blob
        return JSONResponse({"id": file, "object": "file", "bytes": len(blob.content), "filename": blob.name})

    async def _content(self, request: Request) -> Response:
        blob = self._made.get((request.path_params["container"], request.path_params["file"]))
        if blob is None:
            raise HTTPException(404, "no such file")
        return Response(blob.content, media_type="application/binary")

    # --- responses

    async def _ask(self, request: Request) -> Response:
        asked = await self.body(request)
        self.asked = [*self.asked[-REMEMBERED:], asked]
        if unknown := asked.keys() - _PARAMETERS:
            raise HTTPException(400, f"Unknown parameter: '{min(unknown)}'.")
        if "person" in self.lacks and (refused := asked.keys() & set(_PERSON_FIELDS)):
            raise HTTPException(422, f"{min(refused)}: extra fields are not permitted")
        check_person(asked)
        self._check_model(asked)
        check_tools(asked)
        self._check_reasoning(asked)
        conversation, previous = asked.get("conversation"), asked.get("previous_response_id")
        if conversation and previous:
            raise HTTPException(400, "conversation and previous_response_id exclude each other")
        if asked.get("background") and "background" in self.lacks:
            raise HTTPException(400, "background isn't supported")
        if asked.get("background") and not asked.get("store", True):
            raise HTTPException(400, "a background response must be stored")
        earlier = self._earlier(conversation, previous)
        response = self._new("resp")
        home = conversation or (self._first(previous) if previous else response)
        running = self.run_of(home)
        if running and not running.over and conversation:
            self.violations.append(f"{home}: asked {asked['input']!r} while still at work")
            raise HTTPException(409, "Another process is currently operating on this conversation.")
        if is_decision(asked.get("input")):
            run, item = self._decide(asked["input"], conversation, previous)
            self._runs[home] = run
            text = ""
        else:
            text, uploads, item = self._input(asked.get("input"))
            run = self.begin(home, text, uploads, earlier)
        answer = Answer(
            response,
            run,
            item,
            conversation,
            previous,
            bool(asked.get("background")),
            images=int(bool(re.search(r"\bimage\b", text.lower()))),
            streamed=bool(asked.get("stream")) and "streams" not in self.lacks,
            container=self._new("cntr"),
            summarizes="summary" in (asked.get("reasoning") or {}),
        )
        wants_leave = any(tool.get("require_approval") == "always" for tool in asked.get("tools") or ())
        if run.plan.approves and wants_leave:
            answer.request, run.aborted = self._new("mcpr"), True  # it ends here; the decision begins another
        self._answers[response] = answer
        if answer.streamed:
            return self._stream(answer, after=-1)
        return JSONResponse(self._whole(answer))

    def _decide(
        self, said: list[dict[str, Any]], conversation: str | None, previous: str | None
    ) -> tuple[Run, dict[str, Any]]:
        """Go on with what leave was asked for. Refuses what doesn't answer an open request of this conversation."""
        [item] = said
        if item.keys() - {"type", "approval_request_id", "approve", "reason"} or not isinstance(
            item.get("approve"), bool
        ):
            raise HTTPException(400, "Invalid mcp_approval_response")
        reason = item.get("reason") or ""
        for answer in self._answers.values():
            here = answer.conversation == conversation if conversation else answer.id == previous
            if here and answer.request and answer.request == item.get("approval_request_id"):
                break
        else:
            raise HTTPException(400, f"No approval request '{item.get('approval_request_id')}' was found.")
        if answer.decided or not isinstance(reason, str):
            raise HTTPException(400, "That approval request was answered.")
        answer.decided = True
        self.decisions.append(Decision(item["approve"], reason))
        words = "I sent the letters." if item["approve"] else "I sent nothing."
        plan = Plan(f"{answer.run.plan.text}\n\n{words}")
        return Run(plan, self.pace, held=self.hold), {"id": self._new("mcpr"), **item}

    async def _read(self, request: Request) -> Response:
        answer = self._answer(request)
        if request.query_params.get("stream") != "true":
            return JSONResponse(self._whole(answer))
        if not (answer.background and answer.streamed):
            raise HTTPException(400, "only background responses that were streamed can be streamed again")
        return self._stream(answer, after=int(request.query_params.get("starting_after", -1)))

    async def _cancel(self, request: Request) -> Response:
        answer = self._answer(request)
        if not answer.background:
            raise HTTPException(400, "only background responses can be cancelled")
        if not answer.run.over:
            answer.run.aborted = True
        return JSONResponse(self._whole(answer))

    async def _delete_response(self, request: Request) -> Response:
        answer = self._answer(request)
        del self._answers[answer.id]
        return JSONResponse({"id": answer.id, "object": "response", "deleted": True})

    async def _inputs(self, request: Request) -> Response:
        answer = self._answer(request)
        chain = [answer]
        while chain[-1].previous in self._answers:
            chain.append(self._answers[str(chain[-1].previous)])
        items = [item for link in chain[:0:-1] for item in (link.asked, *self._output(link))]
        return self._page(request, [*items, answer.asked])

    def _stream(self, answer: Answer, after: int) -> Response:
        async def events() -> AsyncIterator[bytes]:
            number = 0
            async for event in self._events(answer):
                if number > after:
                    data = json.dumps({**event, "sequence_number": number})
                    yield f"event: {event['type']}\ndata: {data}\n\n".encode()
                number += 1

        return StreamingResponse(events(), media_type="text/event-stream")

    async def _events(self, answer: Answer) -> AsyncIterator[dict[str, Any]]:
        yield {"type": "response.created", "response": self._whole(answer, "in_progress")}
        yield {"type": "response.in_progress", "response": self._whole(answer, "in_progress")}
        work = [*self._work(answer), *self._pictures(answer)]
        for index, item in enumerate(work):
            for event in worked(item, index):
                yield event
        if answer.request:
            yield {"type": "response.completed", "response": self._whole(answer)}
            return
        at = {"item_id": f"msg_{answer.id}", "output_index": len(work), "content_index": 0}
        message = {
            "id": at["item_id"],
            "type": "message",
            "role": "assistant",
            "status": "in_progress",
            "content": [],
        }
        yield {"type": "response.output_item.added", "output_index": len(work), "item": message}
        part = {"type": "output_text", "text": "", "annotations": []}
        yield {"type": "response.content_part.added", **at, "part": part}
        async for piece in answer.run.deltas():
            yield {"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []}
        whole = self._whole(answer)
        if answer.status == "completed":
            yield {"type": "response.output_text.done", **at, "text": answer.run.plan.text, "logprobs": []}
        yield {"type": f"response.{answer.status}", "response": whole}

    def _whole(self, answer: Answer, status: str | None = None) -> dict[str, Any]:
        self._settle(answer)
        status = status or answer.status
        plan = answer.run.plan
        error = {"code": "server_error", "message": "Traceback (most recent call last): boom"}
        usage = {"input_tokens": 10, "output_tokens": len(plan.pieces), "total_tokens": 10 + len(plan.pieces)}
        return {
            "id": answer.id,
            "object": "response",
            "created_at": int(time.time()),
            "status": status,
            "background": answer.background,
            "error": error if status == "failed" else None,
            "model": MODEL,
            "output": self._output(answer) if status == "completed" else [],
            "previous_response_id": answer.previous,
            "conversation": {"id": answer.conversation} if answer.conversation else None,
            "usage": usage if status == "completed" else None,
        }

    def _output(self, answer: Answer) -> list[dict[str, Any]]:
        if answer.request:
            return list(self._work(answer))
        notes = citations_of(answer.run.plan)
        for number, blob in enumerate(answer.run.plan.files):
            file = f"cfile_{answer.id}_{number}"
            self._made[answer.container, file] = blob
            note = {"type": "container_file_citation", "container_id": answer.container, "file_id": file}
            notes.append({**note, "filename": blob.name, "start_index": 0, "end_index": 0})
        part = {"type": "output_text", "text": answer.run.plan.text, "annotations": notes, "logprobs": []}
        message = {"id": f"msg_{answer.id}", "type": "message", "role": "assistant", "status": "completed"}
        return [*self._work(answer), *self._pictures(answer), {**message, "content": [part]}]

    def _work(self, answer: Answer) -> Iterator[dict[str, Any]]:
        """What comes before the answer: thoughts in summary, calls of tools, a call that wants leave."""
        if answer.summarizes:
            texts = ("**Looking at the question**\n\nIt is about the town.", "No headline here.")
            summary = [{"type": "summary_text", "text": text} for text in texts]
            yield {"id": f"rs_{answer.id}", "type": "reasoning", "summary": summary}
        for number, work in enumerate(answer.run.plan.steps):
            call = {"id": f"call_{answer.id}_{number}", "status": "completed"}
            if not number:
                action = {
                    "type": "search",
                    "query": work.topic,
                    "sources": [{"type": "url", "url": "https://a.example"}],
                }
                yield {**call, "type": "web_search_call", "action": action}
            else:
                told = {"name": work.tool, "server_label": "town", "arguments": json.dumps({"key": INTERNAL})}
                yield {**call, "type": "mcp_call", **told, "output": INTERNAL, "error": None}
        if answer.request:
            told = {"name": answer.run.plan.approves, "server_label": "post", "arguments": '{"to": "everybody"}'}
            yield {"id": answer.request, "type": "mcp_approval_request", **told}

    def _pictures(self, answer: Answer) -> Iterator[dict[str, Any]]:
        for number in range(answer.images):
            call = {"id": f"ig_{answer.id}_{number}", "type": "image_generation_call", "status": "completed"}
            yield {**call, "result": IMAGE}

    def _settle(self, answer: Answer) -> None:
        """Items are added to the conversation once the response is complete."""
        held = self._conversations.get(answer.conversation or "")
        if held is not None and answer.status == "completed" and not answer.run.settled:
            answer.run.settled = True
            held.items += [answer.asked, *self._output(answer)]

    # --- chat completions

    async def _chat(self, request: Request) -> Response:
        asked = await self.body(request)
        self.asked = [*self.asked[-REMEMBERED:], asked]
        if unknown := asked.keys() - _CHAT_PARAMETERS:
            raise HTTPException(400, f"Unknown parameter: '{min(unknown)}'.")
        if "usage" in self.lacks and "stream_options" in asked:
            raise HTTPException(400, "stream_options: extra fields are not permitted")
        if "person" in self.lacks and "user" in asked:
            raise HTTPException(422, "user: extra fields are not permitted")
        self._check_model(asked)
        said = [message for message in asked.get("messages") or () if message.get("role") == "user"]
        if not said:
            raise HTTPException(400, "messages must hold a user's")
        text, uploads = chat_content(said[-1]["content"])
        completion = self._new("chatcmpl")
        run = self.begin(completion, text, uploads, [chat_content(message["content"])[0] for message in said[:-1]])
        if run.plan.fails:
            raise HTTPException(400, "Traceback (most recent call last): boom")
        usage = {"prompt_tokens": 10, "completion_tokens": len(run.plan.pieces), "total_tokens": 0}
        head = {"id": completion, "created": 0, "model": MODEL}
        if asked.get("stream") and "streams" not in self.lacks:
            wants_usage = (asked.get("stream_options") or {}).get("include_usage")
            chunks = chat_chunks({**head, "object": "chat.completion.chunk"}, run, usage if wants_usage else None)
            return StreamingResponse(chunks, media_type="text/event-stream")
        message = {"role": "assistant", "content": run.plan.text, "refusal": None, **chat_extras(run.plan)}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        return JSONResponse({**head, "object": "chat.completion", "choices": [choice], "usage": usage})

    # --- what they share

    def _new(self, kind: str) -> str:
        return f"{kind}_{next(self._ids):08x}"

    def _conversation(self, conversation: str) -> Conversation:
        for answer in self._answers.values():
            self._settle(answer)
        if conversation not in self._conversations:
            raise HTTPException(404, f"Conversation with id '{conversation}' not found.")
        return self._conversations[conversation]

    def _answer(self, request: Request) -> Answer:
        try:
            return self._answers[request.path_params["id"]]
        except KeyError:
            raise HTTPException(404, "Response not found.") from None

    def _check_model(self, asked: dict[str, Any]) -> None:
        if asked.get("model") != MODEL:
            raise HTTPException(404, f"The model '{asked.get('model')}' does not exist.")

    def _check_reasoning(self, asked: dict[str, Any]) -> None:
        reasoning = asked.get("reasoning") or {}
        if unknown := reasoning.keys() - {"effort", "summary"}:
            raise HTTPException(400, f"Unknown parameter: 'reasoning.{min(unknown)}'.")
        if reasoning.get("summary", "auto") not in {"auto", "concise", "detailed"}:
            raise HTTPException(400, "Invalid value: 'reasoning.summary'.")
        if "summary" in reasoning and "summaries" in self.lacks:
            raise HTTPException(400, "Your organization must be verified to generate reasoning summaries.")

    def _first(self, response: str) -> str:
        while (answer := self._answers.get(response)) and answer.previous:
            response = answer.previous
        return response

    def _earlier(self, conversation: str | None, previous: str | None) -> list[str]:
        if conversation:
            items = self._conversation(conversation).items
            return [said_in(item) for item in items if item.get("role") == "user"]
        earlier: list[str] = []
        while previous:
            if previous not in self._answers:
                raise HTTPException(404, f"Previous response with id '{previous}' not found.")
            if "content" in self._answers[previous].asked:
                earlier.append(said_in(self._answers[previous].asked))
            previous = self._answers[previous].previous
        return earlier[::-1]

    def _input(self, asked: object) -> tuple[str, list[Blob], dict[str, Any]]:
        """The text, the files and the item of a question."""
        if not isinstance(asked, list) or len(asked) != 1 or asked[0].get("role") != "user":
            raise HTTPException(400, "input must be one message of the user")
        texts: list[str] = []
        uploads: list[Blob] = []
        for part in asked[0]["content"]:
            match part:
                case {"type": "input_text", "text": str(text)}:
                    texts.append(text)
                case {"type": "input_file" | "input_image", "file_id": str(file)}:
                    if file not in self._files:
                        raise HTTPException(404, f"File '{file}' not found.")
                    uploads.append(self._files[file])
                case {"type": "input_file", "filename": str(name), "file_data": str(data)}:
                    uploads.append(from_data_url(name, data))
                case {"type": "input_image", "image_url": str(data)}:
                    uploads.append(from_data_url("image", data))
                case _:
                    raise HTTPException(400, f"Invalid value: {part.get('type')!r}.")
        question, *inlined = texts or [""]
        item = {"id": self._new("msg"), "type": "message", "status": "completed", **asked[0]}
        return question, [*uploads, *map(inlined_blob, inlined)], item

    def _page(self, request: Request, items: list[dict[str, Any]]) -> Response:
        limit = int(request.query_params.get("limit", 20))
        if not 1 <= limit <= 100:
            raise HTTPException(400, "limit must be between 1 and 100")
        if request.query_params.get("order", "desc") == "desc":
            items = items[::-1]
        if after := request.query_params.get("after"):
            items = items[[item["id"] for item in items].index(after) + 1 :]
        page = items[:limit]
        ids = (
            {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
        )
        return JSONResponse({"object": "list", "data": page, "has_more": len(items) > limit, **ids})
