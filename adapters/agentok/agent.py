"""Agentok Studio: runs of several agents, polled for, that may stop and ask a person.

The POST that asks doesn't return until the run ends, so it goes out in the background and is never repeated; the
chat's status and its message rows say how the run goes. A row of the person above the highest row before the
question says that it arrived; only what comes after that row belongs to this run.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal, Self

import httpx
from pydantic import Field, model_validator

from adapters.agentok.posting import Posting
from adapters.agentok.run import MAX_LINE, WAITING, ChatRow, Run, folded, highest, is_echo, read_rows
from adapters.agentok.steps import Work
from adapters.base import (
    Checkpoint,
    Done,
    Event,
    InputRequest,
    KeyedSettings,
    Message,
    NotFound,
    Person,
    ProtocolError,
    Rejected,
    Row,
    RunFailed,
    Scalar,
    StepState,
    Text,
    TimedOut,
    Uncertain,
)
from adapters.http import polling
from adapters.http.entries import Odd
from adapters.http.failures import NOT_TAKEN
from adapters.http.polling import Poll, poll
from adapters.http.service import ANSWER_TIMEOUT, READ_TIMEOUT, Reply, Service, segment
from adapters.http.wire import Wire, message_in, parsed
from adapters.sentences import MISCONFIGURED, NO_FILES, SILENT
from adapters.text import one_line

BUSY = 300.0  # seconds to wait for the end of an earlier run; a second question would kill it
QUIET = 20  # looks, about a minute, without a new row: then nothing stands behind an earlier run's "running"
OVER = 3  # looks without a new row after the POST returned: then nothing more comes
MAX_NAME = 60  # characters of a chat's name
MAX_FORGOTTEN = 1_000  # deleted chats that this side knows of

_ENDED = {  # what becomes of the steps that still run
    "finished": StepState.DONE,
    "waiting": StepState.DONE,
    "aborted": StepState.FAILED,
    "failed": StepState.FAILED,
}
_NO_ROUTE = "Not Found"
_BUSY = "The agent is still at work on an earlier message. Please try again later, or begin a new thread."
_STOPPED = "The agent was stopped before it had finished."
_TOO_LONG = "That answer is too long for the agent. Please shorten it."
_NOT_WAITING = "The agent no longer waits for that answer. Please ask again."


class _Chat(Wire):
    id: str = Field(min_length=1)


class _State(Wire):
    status: str | None = None


@dataclass(slots=True)
class _Turn:
    """Where a turn stands: nothing asked ("begin"), on its way ("ask", or "answer" to a question of the run's),
    taken ("wait"), or waiting for a person ("question")."""

    conversation: str  # "" while there is none
    step: str = "begin"
    mark: int = 0  # the highest row id before the question
    stale: bool = False  # the status was left by a dead run
    answers: bool = False  # a question of the run's

    @classmethod
    def of(cls, conversation: str | None, message: Message, resume: Checkpoint | None) -> Self:
        if resume is None:
            return cls(conversation or "")
        step, asked, mark, last = (resume.data.get(key) for key in ("step", "asked", "mark", "last"))
        stale, answers = bool(resume.data.get("stale")), bool(resume.data.get("answers"))
        known = resume.conversation or conversation or ""
        turn = cls(known, str(step or "begin"), int(mark or 0), stale, answers)
        if turn.step == "question" and asked == message.id:
            turn.step = "wait"
        elif turn.step == "question":
            turn.mark = int(last or 0)
        return turn

    def at(self, step: str) -> Checkpoint:
        self.step = step
        return Checkpoint(self.conversation or None, self._data())

    def waiting(self, last: int, asked: str | None) -> Checkpoint:
        """`last`: the run's highest row id so far; `asked`: the id of the message that led to its question."""
        self.step = "question"
        return Checkpoint(self.conversation, {**self._data(), "last": last, "asked": asked})

    def _data(self) -> dict[str, Scalar]:
        data: dict[str, Scalar] = {"step": self.step, "mark": self.mark}
        flags = {"stale": self.stale, "answers": self.answers}
        return data | {name: True for name, is_set in flags.items() if is_set}


# --- the agent ----------------------------------------------------------------------------------------------


class AgentokSettings(KeyedSettings):
    """What chats are made from: the kind, and the id of that kind."""

    from_type: Literal["flow", "project", "template"] = Field(
        default="flow", description="What chats are made from. The guide knows flows, the server the others."
    )
    from_flow: int | str | None = Field(default=None, description='The flow\'s id, for `from_type = "flow"`.')
    from_project: int | None = Field(default=None, description='The project\'s id, for `from_type = "project"`.')
    from_template: int | None = Field(
        default=None, description='The template\'s id, for `from_type = "template"`.'
    )

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
        new = turn.step == "begin"
        if new:
            made = not turn.conversation
            turn.conversation = turn.conversation or await self._create(message.text)
            yield turn.at("begin")
            turn.step = "send" if made else await self._make_ready(turn)
        run = Run(turn.mark, message.text, turn.step == "wait", stale=turn.stale, answers=turn.answers)
        async with Posting() as posting:
            if turn.step == "question":
                run.answers = turn.answers = True
                if len(folded(message.text).encode()) > MAX_LINE:
                    raise Rejected("agentok: an answer that is too long for a line", sentence=_TOO_LONG)
                yield turn.at("answer")
                try:
                    if await self._input(turn.conversation, message):
                        run.arrived = run.begun = True
                    elif new:  # the status was that of a run that is long dead
                        run.mark = turn.mark = highest(await self._rows(turn.conversation))
                        run.answers = turn.answers = False
                        turn.step = "send"
                    else:
                        raise Rejected("agentok: no run waits for the answer", sentence=_NOT_WAITING)
                except NOT_TAKEN:
                    yield turn.at("begin") if new else turn.waiting(turn.mark, None)
                    raise
                except (Uncertain, ProtocolError):
                    pass  # the rows tell
            if turn.step == "send":
                yield turn.at("ask")
                posting.start(self._post(turn.conversation, message))
            async with aclosing(self._follow(turn, run, posting)) as events:
                async for event in events:
                    if isinstance(event, InputRequest):
                        yield turn.waiting(run.last, message.id)
                    yield event

    def accepts(self, name: str, media_type: str, size: int) -> str:  # noqa: ARG002 - it takes none
        """The service has no way to send a file."""
        return NO_FILES

    async def check(self) -> str:
        """The address and the key. Whether what chats are made from exists shows with the first of them."""
        made = len(await self.conversations())
        kind = self._source["from_type"]
        return f"key accepted; chats of {kind} {self._source[f'from_{kind}']} so far: {made}"

    async def _follow(self, turn: _Turn, run: Run, posting: Posting) -> AsyncGenerator[Event, None]:
        """Watch the run to its end, or to its question."""
        quiet, work = 0, Work()
        if turn.step == "ask":
            await posting.pause(polling.FIRST)  # nothing is to be seen before it is sent
        async for look in Poll(sleep=posting.pause):
            try:
                if posting.returned():
                    run.arrived = run.begun = True
            except NOT_TAKEN:
                if not run.arrived:
                    yield turn.at("begin")
                raise
            seen: tuple[str | None, list[ChatRow]] | None = None
            with look:
                seen = await self._status(turn.conversation), await self._rows(turn.conversation)
            if seen is None:
                continue
            shown, last = run.said, run.last
            texts = run.look(*seen)
            if run.arrived and turn.step != "wait":
                yield turn.at("wait")
            for step in work.look(run.own(seen[1])):
                yield step
            for text in texts:
                yield Text(f"\n\n{text}" if shown else text)
                shown = True
            quiet = quiet + 1 if posting.over and run.last == last else 0
            if quiet >= OVER:
                run.end(posting.failed)
            if run.state != "waiting" or not posting.failed:  # a run that died asks nobody
                if run.state in _ENDED:
                    for step in work.end(_ENDED[run.state]):
                        yield step
                for event in (ending := _ending(run)):
                    yield event
                if ending:
                    return
            posting.check(run)

    async def _create(self, text: str) -> str:
        body = {"name": one_line(text, MAX_NAME) or "Conversation", **self._source}
        if self._source["from_type"] != "flow":
            body["user_id"] = ""  # the server wants the key and fills in the value
        try:
            # an empty chat left over does no harm, so this may be repeated
            created = await self._json("POST", "/chats", body, once=False)
        except (NotFound, Rejected) as error:  # all of it but the name is settings
            raise type(error)(str(error), sentence=MISCONFIGURED) from error
        return parsed(_Chat, created, "agentok create").id

    async def _make_ready(self, turn: _Turn) -> Literal["question", "send"]:
        """Wait for the end of an earlier run in the chat, and set the mark; whether the message is an answer to a
        question of that run's. A run that is dead may have left its status at "running" for ever."""
        odd, quiet = Odd(), 0
        try:
            async for _ in poll(deadline=BUSY):
                with odd:
                    status = await self._status(turn.conversation)
                    rows = await self._rows(turn.conversation)
                    quiet = quiet + 1 if highest(rows) == turn.mark else 0
                    turn.mark = highest(rows)
                    ended = bool(rows) and rows[-1].word == "COMPLETED"
                    turn.stale = status == "running" and (ended or quiet >= QUIET)
                    if turn.stale or status != "running":
                        return "question" if status == WAITING else "send"
        except TimedOut as error:
            raise Rejected(f"agentok: chat {turn.conversation} is still running", sentence=_BUSY) from error
        raise AssertionError("unreachable")

    async def _status(self, conversation: str) -> str | None:
        return parsed(_State, await self._json("GET", _chat(conversation)), "agentok chat").status

    async def _rows(self, conversation: str) -> list[ChatRow]:
        return read_rows(await self._json("GET", _chat(conversation, "/messages")))

    async def _post(self, conversation: str, message: Message) -> Any:
        path, body = _chat(conversation, "/messages"), _body(message.text)
        return await self._json("POST", path, body, timeout=ANSWER_TIMEOUT, person=message.person)

    async def _input(self, conversation: str, message: Message) -> bool:
        """Answer a question of the run's. False where no run waits: the server says so with a 200."""
        path, body = _chat(conversation, "/input"), _body(folded(message.text))
        said = await self._json("POST", path, body, person=message.person)
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
        if not isinstance(listed, list):
            raise ProtocolError("agentok: a list of chats that isn't one")
        own = [chat for chat in listed if isinstance(chat, dict) and chat.get("id") and self._is_own(chat)]
        own.sort(key=lambda chat: str(chat.get("created_at") or ""), reverse=True)
        return [str(chat["id"]) for chat in own if str(chat["id"]) not in self._forgotten]

    def _is_own(self, chat: Mapping[str, Any]) -> bool:
        return all(str(chat.get(key, value)) == str(value) for key, value in self._source.items())

    async def _json(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        once: bool | None = None,
        timeout: float = READ_TIMEOUT,
        person: Person | None = None,
    ) -> Any:
        return (await self._request(method, path, json, once=once, timeout=timeout, person=person)).json()

    async def _request(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        once: bool | None = None,
        accept: Collection[int] = (),
        timeout: float = READ_TIMEOUT,
        person: Person | None = None,
    ) -> Reply:
        """Under the prefix that the server knows: found out by the first answer that isn't the 404 of a router."""
        for prefix in ("/v1", "") if self._prefix is None else (self._prefix,):
            reply = await self._service.request(
                method,
                prefix + path,
                json=json,
                once=once,
                accept={404, *accept},
                timeout=timeout,
                person=person,
            )
            routed = reply.status != 404 or message_in(reply.content) != _NO_ROUTE
            if routed:
                self._prefix = prefix
            if reply.status != 404:
                return reply
            if routed:
                break
        if routed:
            raise NotFound(f"{reply.called}: 404")
        raise NotFound(f"{reply.called}: no such address, nor with the other prefix", sentence=MISCONFIGURED)


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
        case "aborted":
            raise Rejected(f"agentok: the run aborted: {one_line(run.reason)}", sentence=_STOPPED)
        case "failed":
            raise RunFailed(f"agentok: the run failed: {one_line(run.reason)}")
        case _:
            return ()


def _chat(conversation: str, rest: str = "") -> str:
    return f"/chats/{segment(conversation)}{rest}"


def _body(text: str) -> dict[str, str]:
    """The guide's form and the server's in one."""
    return {"message": text, "type": "user", "content": text}
