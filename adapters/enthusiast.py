"""Enthusiast (now Suvereo): a self-hosted agent over a data set, whose answers are polled for.

A question becomes a task. The task's state says when it ended, the conversation's history holds the answer: the
agent's rows with an id above the highest before the question. Old servers (to 1.2) and newer ones (1.4 on) name
the authors of rows differently and write the person's row at another moment; nothing here depends on which it is.

Whose agent answers is for the server's version: 1.0 and 1.1 have one, 1.2 wants its name, 1.3 and later its id.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import httpx
from pydantic import Field

from adapters.base import (
    AgentError,
    Attachment,
    Checkpoint,
    Done,
    Event,
    KeyedSettings,
    Message,
    NotFound,
    ProtocolError,
    Rejected,
    Row,
    RunFailed,
    Scalar,
    Status,
    Text,
    TimedOut,
    Unavailable,
    Uncertain,
)
from adapters.http.entries import Maybe, Odd, readable
from adapters.http.failures import NOT_TAKEN
from adapters.http.outgoing import words
from adapters.http.polling import poll
from adapters.http.service import Service, segment
from adapters.http.wire import Wire, message_in, parsed
from adapters.sentences import MISCONFIGURED, NO_FILES, SILENT
from adapters.text import one_line, safe_name, scrub, without_thoughts

ARRIVAL = 60.0  # seconds to look for a question of unknown fate: newer servers write it down with the answer
UPLOAD_DEADLINE = 300.0  # seconds for the server to read one file
HISTORY_EVERY = 4  # looks at a task between two at the history: an unknown task stays PENDING for ever
TAKEN = frozenset({"txt", "pdf", "jpg", "jpeg", "png"})  # endings of the files that the server reads
MAX_PAGES = 100  # of the list of conversations

_LOCKED = "conversation locked"
_NOT_SUPPORTED = "not supported"
_ENDED = frozenset({"SUCCESS", "FAILURE", "REVOKED"})
_EXCUSED = "the history holds a failure instead of an answer"
_GOOD, _BAD = 5, 1  # of the ratings, which go from 1 to 5
_NO_ANSWER = "The agent no longer knows that answer."
_UNREAD = "The agent couldn't read one of the files. Please try another form of it."


# --- what the server says, without I/O ----------------------------------------------------------------------

Author = Literal["person", "agent", "failure", "other"]

_AUTHORS: dict[str | None, Author] = {
    "human": "person",
    "user": "person",
    "ai": "agent",
    "agent": "agent",
    "system": "failure",  # the only system rows are the server's excuses
    "agent_error": "failure",
}


class HistoryRow(Wire):
    """A row of a conversation: its author stands in `type` (new servers) or `role` (old ones)."""

    id: int
    type: Maybe[str] = None
    role: Maybe[str] = None
    text: Maybe[str] = None

    @property
    def author(self) -> Author:
        return _AUTHORS.get(self.type or self.role, "other")

    @property
    def shown(self) -> str:
        return without_thoughts(self.text or "").strip()


def highest(rows: Sequence[HistoryRow]) -> int:
    return max((row.id for row in rows), default=0)


def answered_in(rows: Sequence[HistoryRow]) -> HistoryRow | None:
    """The last row of the agent's in the first turn of these: what follows is that of later questions."""
    found: HistoryRow | None = None
    asked = False
    for row in rows:
        if row.author == "person" and (asked or found):
            break
        asked = asked or row.author == "person"
        if row.author == "agent" and row.shown:
            found = row
    return found


def answer_in(rows: Sequence[HistoryRow]) -> str:
    return "\n\n".join(row.shown for row in rows if row.author == "agent" and row.shown)


class _Created(Wire):
    id: str = Field(min_length=1)


class _Taken(Wire):
    task_id: str = Field(min_length=1)


class _Task(Wire):
    state: str


class _UploadResult(Wire):
    status: str | None = None
    file_id: int | str | None = None
    error: str | None = None


class _Upload(Wire):
    status: str
    result: Maybe[_UploadResult] = None


class _Conversation(Wire):
    history: list[Any]


class _ListedAgent(Wire):
    id: int | None = None


class _Listed(_Created):
    agent: _ListedAgent | str | None = None  # old servers give a name or nothing


class _Page(Wire):
    results: list[Any]
    next: Maybe[str] = None


class _Agent(Wire):
    """An agent as the server lists it. Which of the fields there are depends on its version."""

    id: Maybe[int] = None
    name: str
    dataset: Maybe[int] = None
    deleted_at: Maybe[str] = None
    corrupted: Maybe[bool] = None

    @property
    def called(self) -> str:
        return f"{self.name!r}" if self.id is None else f"{self.id} {self.name!r}"


class _DataSet(Wire):
    id: int


@dataclass(slots=True)
class _Turn:
    """Where a turn stands: nothing asked yet ("begin"), on its way ("ask"), taken by the server ("wait")."""

    conversation: str  # "" while there is none
    step: str = "begin"
    mark: int = 0  # the highest row id before the question
    task: str | None = None

    @classmethod
    def of(cls, conversation: str | None, resume: Checkpoint | None) -> Self:
        if resume is None:
            return cls(conversation or "")
        step, mark, task = (resume.data.get(key) for key in ("step", "mark", "task"))
        known = resume.conversation or conversation or ""
        return cls(known, str(step or "begin"), int(mark or 0), None if task is None else str(task))

    def at(self, step: str) -> Checkpoint:
        self.step = step
        data: dict[str, Scalar] = {"step": step, "mark": self.mark}
        return Checkpoint(self.conversation or None, data if self.task is None else {**data, "task": self.task})


# --- the agent ----------------------------------------------------------------------------------------------


class EnthusiastSettings(KeyedSettings):
    """The ids are those of the server's own pages."""

    data_set_id: int = Field(description="The data set that is asked, by its number on the server's pages.")
    agent_id: int | None = Field(
        default=None, description="The agent, by its number on the server's pages; required by 1.3 and later."
    )
    agent: str = Field(default="", description="The agent's name; required by 1.2.")


class Enthusiast:
    """Answers in one piece. Takes files (txt, pdf, jpg, jpeg, png) and ratings. Keeps a history, lists
    conversations."""

    Settings = EnthusiastSettings

    def __init__(self, settings: EnthusiastSettings, client: httpx.AsyncClient) -> None:
        self._data_set = settings.data_set_id
        self._agent = settings.agent_id
        self._agent_name = settings.agent.strip()
        self._service = Service(
            client,
            settings.base_url,
            name="enthusiast",
            headers={"Authorization": f"Token {settings.api_key.get_secret_value()}"},
            secret=settings.api_key,
        )

    async def ask(
        self, conversation: str | None, message: Message, *, resume: Checkpoint | None = None
    ) -> AsyncIterator[Event]:
        turn = _Turn.of(conversation, resume)
        doubt: AgentError = Uncertain(f"enthusiast: no sign of the question in {turn.conversation}")
        fresh = False
        while turn.step == "begin":
            if not turn.conversation:
                turn.conversation, fresh = await self._create(), True
            yield turn.at("begin")
            turn.mark = 0 if fresh else highest(await self._earlier(turn.conversation))
            if message.attachments:
                yield Status("Uploading files")
            files = [await self._upload(turn.conversation, attachment) for attachment in message.attachments]
            yield turn.at("ask")
            try:
                turn.task = await self._question(turn.conversation, message, files)
            except Rejected as refused:
                if fresh or _LOCKED not in str(refused).lower():
                    raise
                yield Status("Beginning a new conversation")
                turn = _Turn("")
            except NOT_TAKEN:
                yield turn.at("begin")
                raise
            except (Uncertain, ProtocolError) as error:
                doubt = error  # the history tells
            else:
                yield turn.at("wait")

        if turn.task is None:
            await self._look_for_question(turn.conversation, turn.mark, doubt)
        yield Text(await self._answer(turn.conversation, turn.mark, turn.task))
        yield Done()

    async def history(self, conversation: str) -> Sequence[Row]:
        rows = await self._rows(conversation)
        return [Row(row.author, row.shown) for row in rows if row.author in {"person", "agent"} and row.shown]

    async def rate(self, conversation: str, checkpoint: Checkpoint, good: bool, words: str) -> None:
        """Without words those of an earlier rating stay: the server takes no empty ones."""
        mark = _Turn.of(conversation, checkpoint).mark
        row = answered_in(await self._rows(conversation, mark))
        if row is None:
            raise NotFound(f"enthusiast: no answer above {mark} in {conversation}", sentence=_NO_ANSWER)
        body: dict[str, Any] = {"rating": _GOOD if good else _BAD}
        if words.strip():
            body["feedback"] = scrub(words)
        path = f"/api/messages/{row.id}/feedback/"
        try:
            await self._service.request("PATCH", path, json=body, once=False)
        except NotFound as error:
            raise NotFound(str(error), sentence=_NO_ANSWER) from error

    async def conversations(self) -> Sequence[str]:
        found: list[str] = []
        for number in range(1, MAX_PAGES + 1):
            params = {"data_set_id": self._data_set, "page": number}
            listed = await self._service.get_json("/api/conversations", params=params)
            page = parsed(_Page, listed, "enthusiast conversations")
            rows = readable(_Listed, page.results, "enthusiast conversations")
            found += [listed.id for listed in rows if self._is_own(listed)]
            if not page.next:  # its address may be one that only the server knows, so the pages are counted
                break
        return found

    def accepts(self, name: str, media_type: str, size: int) -> str:  # noqa: ARG002 - it goes by the ending
        """By the list of the server that was seen."""
        ending = name.rpartition(".")[2].lower()
        return "" if ending in TAKEN else _not_taken(name)

    async def check(self) -> str:
        """The key, the data set, the agent, and which of its id and its name this server wants."""
        # an empty creation makes nothing: the refusal names what is missing
        try:
            reply = await self._service.request("POST", "/api/conversations", json={}, once=False, accept={400})
        except NotFound as error:
            raise NotFound(f"{error}: no Enthusiast at this base_url") from error
        wants_id = reply.status == 400 and "agent_id" in message_in(reply.content)
        reply = await self._service.request(
            "GET", "/api/agents", params={"dataset": self._data_set}, accept={400, 404}
        )
        if reply.status == 404:
            return await self._checked_without_agents()
        if reply.status == 400:
            raise NotFound(f"enthusiast: there is no data set {self._data_set}: {message_in(reply.content)}")
        agents = readable(_Agent, reply.json(), "enthusiast agents")
        listed = ", ".join(one_line(agent.called, 60) for agent in agents[:10]) or "none"
        there = f"data set {self._data_set} has these agents: {listed}"
        if wants_id and self._agent is None:
            raise Rejected(f"enthusiast: this server wants agent_id, and {there}")
        if not wants_id and not self._agent_name:
            raise Rejected(f"enthusiast: this server wants agent, the name, and {there}")
        own = [
            agent for agent in agents if (agent.id == self._agent if wants_id else agent.name == self._agent_name)
        ]
        if not own and wants_id:
            raise await self._not_there(there)
        if not own:
            raise NotFound(f"enthusiast: there is no agent {self._agent_name!r}, {there}")
        if own[0].deleted_at or own[0].corrupted:
            raise Rejected(f"enthusiast: agent {own[0].called} was deleted or is corrupted")
        return f"key accepted; agent {one_line(own[0].called, 60)} in data set {self._data_set}"

    async def _not_there(self, there: str) -> AgentError:
        """Why an id isn't among the data set's agents."""
        try:
            value = await self._service.get_json(f"/api/agents/{self._agent}")
        except NotFound:
            return NotFound(f"enthusiast: there is no agent {self._agent}, {there}")
        other = parsed(_Agent, value, "enthusiast agent")
        return Rejected(f"enthusiast: agent {other.called} belongs to data set {other.dataset}, and {there}")

    async def _checked_without_agents(self) -> str:
        """A server of before agents; it may not let everyone list the data sets."""
        reply = await self._service.request("GET", "/api/data_sets", accept={403, 404})
        if reply.status != 200:
            return "key accepted; this server has no agents, and its data sets can't be listed"
        value = reply.json()
        listed = readable(
            _DataSet, value.get("results") if isinstance(value, dict) else value, "enthusiast data sets"
        )
        if self._data_set not in {data_set.id for data_set in listed}:
            raise NotFound(f"enthusiast: there is no data set {self._data_set}")
        return f"key accepted; data set {self._data_set} on a server that has no agents"

    def _is_own(self, listed: _Listed) -> bool:
        """Whether a conversation is this agent's; old servers don't say whose it is."""
        agent = listed.agent.id if isinstance(listed.agent, _ListedAgent) else None
        return agent is None or self._agent is None or agent == self._agent

    async def _create(self) -> str:
        body: dict[str, Any] = {"data_set_id": self._data_set}
        if self._agent is not None:
            body["agent_id"] = self._agent
        if self._agent_name:
            body["agent"] = self._agent_name
        try:
            # an empty conversation left over does no harm, so this may be repeated
            created = await self._service.post_json("/api/conversations", body, once=False)
        except (NotFound, Rejected) as error:  # all of it is settings
            raise type(error)(str(error), sentence=MISCONFIGURED) from error
        return parsed(_Created, created, "enthusiast create").id

    async def _earlier(self, conversation: str) -> list[HistoryRow]:
        """The history before the question. Some servers answer 500 for a conversation that isn't there."""
        try:
            return await self._rows(conversation)
        except Unavailable:
            if conversation in await self.conversations():
                raise
            raise NotFound(f"enthusiast: no conversation {conversation}") from None

    async def _question(self, conversation: str, message: Message, files: Sequence[int | str]) -> str:
        body: dict[str, Any] = {"question_message": words(message), "data_set_id": self._data_set}
        if files:
            body["file_ids"] = list(files)
        path = f"/api/conversations/{segment(conversation)}"
        taken = await self._service.post_json(path, body, person=message.person)
        return parsed(_Taken, taken, "enthusiast question").task_id

    async def _upload(self, conversation: str, attachment: Attachment) -> int | str:
        """Send a file and wait until the server has read it; the id to ask with."""
        try:
            taken = await self._service.upload(f"/api/conversations/{segment(conversation)}/upload/", [attachment])
        except NotFound as error:  # the conversation was there a moment ago: a server of before uploads
            raise Rejected(str(error), sentence=NO_FILES) from error
        except Rejected as error:
            if _NOT_SUPPORTED not in str(error).lower():
                raise
            raise Rejected(str(error), sentence=_not_taken(attachment.name)) from error
        task = parsed(_Taken, taken, "enthusiast upload").task_id
        odd = Odd()
        try:
            async for _ in poll(deadline=UPLOAD_DEADLINE):
                with odd:
                    said = await self._service.get_json(f"/api/file-upload-status/{segment(task)}/")
                    upload = parsed(_Upload, said, "enthusiast upload status")
                    if upload.status in _ENDED:
                        return _file_id(upload)
        except TimedOut as error:
            raise Rejected(f"enthusiast upload: {error}", sentence=_UNREAD) from error
        raise AssertionError("unreachable")

    async def _look_for_question(self, conversation: str, mark: int, doubt: AgentError) -> None:
        """Return when the history shows that the question arrived, else raise the doubt."""
        try:
            async for look in poll(deadline=ARRIVAL):
                with look:
                    if any(row.author != "other" for row in await self._rows(conversation, mark)):
                        return
        except TimedOut:
            raise doubt from None

    async def _answer(self, conversation: str, mark: int, task: str | None) -> str:
        """Wait for the end. Without a task, or with one that the server forgot, the history decides."""
        before, looks = "", 0
        state, rows = "", list[HistoryRow]()
        async for look in poll():
            with look:
                state = await self._state(task) if task else ""
                looks += 1
                if state not in _ENDED and task and looks % HISTORY_EVERY:
                    continue
                rows = await self._rows(conversation, mark)
                if state in _ENDED or any(row.author == "failure" for row in rows):
                    break
                answer = answer_in(rows)
                if answer and answer == before:  # nothing was added between two looks
                    return answer
                before = answer
        if state != "SUCCESS":
            raise RunFailed(f"enthusiast: {f'the task ended in {state}' if state in _ENDED else _EXCUSED}")
        if not answer_in(rows):
            raise ProtocolError("enthusiast: a task that ended well without an answer", sentence=SILENT)
        return answer_in(rows)

    async def _state(self, task: str) -> str:
        # without the last slash it is a redirect
        said = await self._service.get_json(f"/api/task_status/{segment(task)}/")
        return parsed(_Task, said, "enthusiast task status").state

    async def _rows(self, conversation: str, mark: int = 0) -> list[HistoryRow]:
        """The history above `mark`, in order."""
        said = await self._service.get_json(f"/api/conversations/{segment(conversation)}")
        history = readable(
            HistoryRow, parsed(_Conversation, said, "enthusiast conversation").history, "enthusiast"
        )
        return sorted((row for row in history if row.id > mark), key=lambda row: row.id)


def _file_id(upload: _Upload) -> int | str:
    """The id of a file that was read. Raises `Rejected`: the task may end well and the reading not."""
    result = upload.result or _UploadResult()
    if upload.status != "SUCCESS" or result.status == "FAILURE" or result.file_id is None:
        reason = one_line(result.error or upload.status)
        raise Rejected(f"enthusiast upload: {reason}", sentence=_UNREAD)
    return result.file_id


def _not_taken(name: str) -> str:
    known = ", ".join(sorted(TAKEN))
    return f"The agent doesn't take files like {safe_name(name)}. It takes these: {known}."
