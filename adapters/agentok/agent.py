"""Agentok Studio: runs of several agents, polled for, that may stop and ask a person.

The POST that asks doesn't return until the run ends, so it goes out in the background and is never repeated; the
chat's status and its message rows say how the run goes. A row of the person above the highest row before the
question says that it arrived; only what comes after that row belongs to this run.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Coroutine, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal, Self

import httpx
from pydantic import Field, model_validator

from adapters.agentok.run import WAITING, ChatRow, Run, highest, is_echo, read_rows
from adapters.base import (
    AgentError,
    Checkpoint,
    Done,
    Event,
    InputRequest,
    KeyedSettings,
    Message,
    NotFound,
    ProtocolError,
    Rejected,
    Row,
    Scalar,
    Text,
    TimedOut,
    Uncertain,
)
from adapters.http.failures import NOT_TAKEN
from adapters.http.polling import Poll, poll
from adapters.http.service import ANSWER_TIMEOUT, READ_TIMEOUT, Reply, Service, segment
from adapters.http.wire import Wire, message_in, parsed
from adapters.sentences import NO_FILES, SILENT
from adapters.text import one_line

ARRIVAL = 10.0  # seconds that a question of unknown fate is looked for; the server writes it down first of all
BUSY = 300.0  # seconds to wait for the end of an earlier run; a second question would kill it
MAX_NAME = 60  # characters of a chat's name
MAX_FORGOTTEN = 1_000  # deleted chats that this side knows of

_NO_ROUTE = "Not Found"
_BUSY = "The agent is still at work on an earlier message. Please try again later, or begin a new thread."
_STOPPED = "The agent was stopped before it had finished."
_NOT_WAITING = "The agent no longer waits for that answer. Please ask again."


class _Chat(Wire):
    id: str = Field(min_length=1)
    status: str | None = None


@dataclass(slots=True)
class _Turn:
    """Where a turn stands: nothing asked ("begin"), on its way ("ask", or "answer" to a question of the run's),
    taken ("wait"), or waiting for a person ("question")."""

    conversation: str  # "" while there is none
    step: str = "begin"
    mark: int = 0  # the highest row id before the question

    @classmethod
    def of(cls, conversation: str | None, message: Message, resume: Checkpoint | None) -> Self:
        if resume is None:
            return cls(conversation or "")
        step, asked, mark, last = (resume.data.get(key) for key in ("step", "asked", "mark", "last"))
        turn = cls(resume.conversation or conversation or "", str(step or "begin"), int(mark or 0))
        if turn.step == "question" and asked == message.id:
            turn.step = "wait"
        elif turn.step == "question":
            turn.mark = int(last or 0)
        return turn

    def at(self, step: str) -> Checkpoint:
        self.step = step
        return Checkpoint(self.conversation or None, {"step": step, "mark": self.mark})

    def waiting(self, last: int, asked: str | None) -> Checkpoint:
        """`last`: the run's highest row id so far; `asked`: the id of the message that led to its question."""
        data: dict[str, Scalar] = {"step": "question", "mark": self.mark, "last": last, "asked": asked}
        return Checkpoint(self.conversation, data)


# --- the agent ----------------------------------------------------------------------------------------------


class AgentokSettings(KeyedSettings):
    """What chats are made from: the kind, and the id of that kind."""

    from_type: Literal["flow", "project", "template"] = "flow"  # the guide knows flows, the server the others
    from_flow: int | str | None = None
    from_project: int | None = None
    from_template: int | None = None

    @model_validator(mode="after")
    def _has_its_id(self) -> Self:
        if self.source is None:
            raise ValueError(f"from_type {self.from_type!r} needs from_{self.from_type}")
        return self

    @property
    def source(self) -> int | str | None:
        """The id of what a chat is made from."""
        ids = {"flow": self.from_flow, "project": self.from_project, "template": self.from_template}
        return ids[self.from_type]


class Agentok:
    """Shows each agent's words as they are written down. May ask back; a run can be stopped."""

    Settings = AgentokSettings

    def __init__(self, settings: AgentokSettings, client: httpx.AsyncClient) -> None:
        self._source = {"from_type": settings.from_type, f"from_{settings.from_type}": settings.source}
        self._prefix: str | None = None  # "/v1" or "", once an answer told
        self._forgotten: OrderedDict[str, None] = OrderedDict()
        self._service = Service(
            client,
            settings.base_url.rstrip("/").removesuffix("/v1"),
            name="agentok",
            headers={"X-API-KEY": settings.api_key.get_secret_value()},
            secret=settings.api_key,
        )

    async def ask(
        self, conversation: str | None, message: Message, *, resume: Checkpoint | None = None
    ) -> AsyncIterator[Event]:
        if message.attachments:
            raise Rejected("agentok: takes no files", sentence=NO_FILES)
        turn = _Turn.of(conversation, message, resume)
        if turn.conversation in self._forgotten:
            raise NotFound(f"agentok: chat {turn.conversation} was deleted")
        fresh = turn.step == "begin"
        if fresh:
            turn.conversation = turn.conversation or await self._create(message.text)
            yield turn.at("begin")
            waits = await self._until_idle(turn.conversation) == WAITING
            turn.mark = highest(await self._rows(turn.conversation))
            turn.step = "question" if waits else "send"
        run = Run(turn.mark, message.text, arrived=turn.step == "wait")
        async with _Posting() as posting:
            if turn.step == "question":
                yield turn.at("answer")
                try:
                    if await self._input(turn.conversation, message.text):
                        run.arrived = run.begun = True
                    elif fresh:  # the status was that of a run that is long dead
                        run.mark = turn.mark = highest(await self._rows(turn.conversation))
                        turn.step = "send"
                    else:
                        raise Rejected("agentok: no run waits for the answer", sentence=_NOT_WAITING)
                except NOT_TAKEN:
                    yield turn.at("begin") if fresh else turn.waiting(turn.mark, None)
                    raise
                except (Uncertain, ProtocolError):
                    pass  # the rows tell
            if turn.step == "send":
                yield turn.at("ask")
                posting.start(self._post(turn.conversation, message.text))
            async with aclosing(self._follow(turn, run, posting)) as events:
                async for event in events:
                    if isinstance(event, InputRequest):
                        yield turn.waiting(run.last, message.id)
                    yield event

    async def _follow(self, turn: _Turn, run: Run, posting: _Posting) -> AsyncGenerator[Event, None]:
        """Watch the run to its end, or to its question."""
        async for look in Poll(sleep=posting.pause):
            try:
                if posting.returned():
                    run.arrived = run.begun = True
            except NOT_TAKEN:
                if not run.arrived:
                    yield turn.at("begin")
                raise
            with look:
                status = await self._status(turn.conversation)
                shown = run.said
                texts = run.look(status, await self._rows(turn.conversation))
                if run.arrived and turn.step != "wait":
                    yield turn.at("wait")
                for text in texts:
                    yield Text(f"\n\n{text}" if shown else text)
                    shown = True
                if ending := _ending(run):
                    for event in ending:
                        yield event
                    return
                posting.check(run)

    async def _create(self, text: str) -> str:
        body = {"name": one_line(text, MAX_NAME) or "Conversation", **self._source}
        if self._source["from_type"] != "flow":
            body["user_id"] = ""  # the server wants the key and fills in the value
        # an empty chat left over does no harm, so this may be repeated
        created = await self._json("POST", "/chats", body, once=False)
        return parsed(_Chat, created, "agentok create").id

    async def _until_idle(self, conversation: str) -> str | None:
        """Wait for the end of an earlier run; the status then."""
        try:
            async for look in poll(deadline=BUSY):
                with look:
                    status = await self._status(conversation)
                    if status != "running":
                        return status
        except TimedOut as error:
            raise Rejected(f"agentok: chat {conversation} is still running", sentence=_BUSY) from error
        raise AssertionError("unreachable")

    async def _status(self, conversation: str) -> str | None:
        return parsed(_Chat, await self._json("GET", _chat(conversation)), "agentok chat").status

    async def _rows(self, conversation: str) -> list[ChatRow]:
        return read_rows(await self._json("GET", _chat(conversation, "/messages")))

    async def _post(self, conversation: str, text: str) -> Any:
        return await self._json("POST", _chat(conversation, "/messages"), _body(text), timeout=ANSWER_TIMEOUT)

    async def _input(self, conversation: str, text: str) -> bool:
        """Answer a question of the run's. False where no run waits: the server says so with a 200."""
        said = await self._json("POST", _chat(conversation, "/input"), _body(text))
        return not (isinstance(said, dict) and said.get("error"))

    async def cancel(self, conversation: str, checkpoint: Checkpoint) -> None:  # noqa: ARG002
        # a 200 with an error says that nothing runs any more, which is as good
        await self._json("POST", _chat(conversation, "/abort"), once=False)

    async def delete(self, conversation: str) -> None:
        """Where the server has no way to, the chat is forgotten on this side only."""
        await self._request("DELETE", _chat(conversation), accept={405})
        self._forgotten[conversation] = None
        while len(self._forgotten) > MAX_FORGOTTEN:
            self._forgotten.popitem(last=False)

    async def history(self, conversation: str) -> Sequence[Row]:
        found: list[Row] = []
        for row in await self._rows(conversation):
            after_question = found and found[-1].role == "person"
            if row.kind not in {"person", "agent"} or not row.text:
                continue
            if not (after_question and is_echo(row, found[-1].text)):
                found.append(Row(row.kind, row.text))
        return found

    async def conversations(self) -> Sequence[str]:
        listed = await self._json("GET", "/chats")
        if not isinstance(listed, list) or not all(isinstance(chat, dict) and "id" in chat for chat in listed):
            raise ProtocolError("agentok: a list of chats that isn't one")
        own = [chat for chat in listed if self._is_own(chat)]
        own.sort(key=lambda chat: str(chat.get("created_at") or ""), reverse=True)
        return [str(chat["id"]) for chat in own if str(chat["id"]) not in self._forgotten]

    def _is_own(self, chat: Mapping[str, Any]) -> bool:
        return all(str(chat.get(key, value)) == str(value) for key, value in self._source.items())

    async def _json(
        self, method: str, path: str, json: Any = None, *, once: bool | None = None, timeout: float = READ_TIMEOUT
    ) -> Any:
        return (await self._request(method, path, json, once=once, timeout=timeout)).json()

    async def _request(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        once: bool | None = None,
        accept: Collection[int] = (),
        timeout: float = READ_TIMEOUT,
    ) -> Reply:
        """Under the prefix that the server knows: found out by the first answer that isn't the 404 of a router."""
        for prefix in ("/v1", "") if self._prefix is None else (self._prefix,):
            reply = await self._service.request(
                method, prefix + path, json=json, once=once, accept={404, *accept}, timeout=timeout
            )
            routed = reply.status != 404 or message_in(reply.content) != _NO_ROUTE
            if routed:
                self._prefix = prefix
            if reply.status != 404:
                return reply
            if routed:
                break
        raise NotFound(f"{reply.called}: 404")


def _ending(run: Run) -> Sequence[Event]:
    """What follows the texts of a run that works no more; nothing while it does. Raises what it failed of."""
    match run.state:
        case "finished" if run.said:
            return (Done(),)
        case "finished" if rest := run.rest():
            return Text(rest), Done()
        case "finished":
            raise ProtocolError("agentok: a run that ended well without a word", sentence=SILENT)
        case "waiting":
            return (InputRequest(run.question),)
        case "aborted" | "failed":
            sentence = _STOPPED if run.state == "aborted" else None
            raise Rejected(f"agentok: the run {run.state}: {one_line(run.reason)}", sentence=sentence)
        case _:
            return ()


def _chat(conversation: str, rest: str = "") -> str:
    return f"/chats/{segment(conversation)}{rest}"


def _body(text: str) -> dict[str, str]:
    """The guide's form and the server's in one."""
    return {"message": text, "type": "user", "content": text}


class _Posting:
    """The POST that asks, in the background: it returns when the run ends. Leaving the block drops its connection,
    which leaves the run going."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._error: AgentError | None = None
        self._doubtful_since: float | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            if not self._task.cancelled():
                self._task.exception()  # seen, so that nobody warns of it

    def start(self, post: Coroutine[Any, Any, Any]) -> None:
        self._task = asyncio.create_task(post)

    async def pause(self, seconds: float) -> None:
        """A pause between two looks, cut short when the POST returns."""
        if self._task is None or self._task.done():
            await asyncio.sleep(seconds)
        else:
            await asyncio.wait({self._task}, timeout=seconds)

    def returned(self) -> bool:
        """Whether it returned as it does at the end of a run, with `null`. Raises the server's refusal; an answer
        that was lost or odd is no refusal."""
        if self._task is None or not self._task.done() or self._error is not None:
            return False
        try:
            return self._task.result() is None
        except (Uncertain, ProtocolError) as error:
            self._error = error
            return False

    def check(self, run: Run) -> None:
        """Raise what went wrong when, without a POST under way, nothing shows for `ARRIVAL` that the question
        arrived, or nothing that its run began after a POST that failed."""
        under_way = self._task is not None and self._error is None
        if run.begun or under_way or (run.arrived and self._error is None):
            return
        now = asyncio.get_running_loop().time()
        if self._doubtful_since is None:
            self._doubtful_since = now
        elif now - self._doubtful_since > ARRIVAL:
            if run.arrived:
                raise Rejected(f"agentok: taken, but never begun: {self._error}")
            raise self._error or Uncertain("agentok: no sign of the question")
