"""Toqan: a question is posted, the answer polled for; files in and out.

A key is one agent. The first question makes the conversation. The history tells after a crash whether a later
question arrived: the person's row carries the id that the request got. A first question leaves no such trace.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import unquote

import httpx
from pydantic import AliasChoices, Field, SecretStr

from adapters.base import (
    AgentError,
    AuthenticationFailed,
    Checkpoint,
    Done,
    Event,
    File,
    KeyedSettings,
    Message,
    NotFound,
    ProtocolError,
    Rejected,
    Row,
    RunFailed,
    Text,
    TimedOut,
    Unavailable,
    Uncertain,
)
from adapters.http.entries import Maybe, Records, readable
from adapters.http.failures import NOT_TAKEN
from adapters.http.outgoing import words
from adapters.http.polling import poll, settling
from adapters.http.service import Service
from adapters.http.wire import Wire, message_in, parsed
from adapters.sentences import MISCONFIGURED, NO_FILE, SILENT
from adapters.text import safe_name, without_thoughts

AGENT = "Toqan"  # the author of the agent's rows
BODY_REFUSED = frozenset({400, 403, 411, 413, *range(500, 600)})  # by a proxy that takes no GET with a body
NOWHERE = "00000000-0000-0000-0000-000000000000"  # no conversation: only asked after by `check`
MAX_UPLOAD = 100_000_000  # bytes; the service refuses above "about 100 MB"
_TOO_LARGE = "That file is too large: the agent takes up to 100 MB."


class ToqanSettings(KeyedSettings):
    """`base_url` has a default; the key is `sk_…` and stands for one agent."""

    base_url: str = Field(default="https://api.toqan.ai/api", description="The address of the service's API.")
    api_key: SecretStr = Field(description="The agent's key, `sk_…`; it stands for one agent.")


class Toqan:
    """An agent of Toqan. Can list and fetch files and tell the history."""

    Settings = ToqanSettings

    def __init__(self, settings: ToqanSettings, client: httpx.AsyncClient) -> None:
        key = settings.api_key.get_secret_value().strip()
        self._service = Service(
            client, settings.base_url, name="toqan", headers={"X-Api-Key": key}, secret=settings.api_key
        )
        self._bodies: bool | None = None  # whether a GET may have a body, once an answer told

    async def ask(
        self, conversation: str | None, message: Message, *, resume: Checkpoint | None = None
    ) -> AsyncIterator[Event]:
        """Work on one turn. The answer comes in one piece."""
        data = resume.data if resume else {}
        conversation = (resume and resume.conversation) or conversation
        request = str(data.get("request", ""))
        if not request and "after" in data:  # it was left while it asked
            found = await self._arrived(conversation, str(data["after"])) if conversation else None
            if found is None:
                raise Uncertain("toqan: no sign of the question")
            request = found
        if not conversation or not request:
            yield Checkpoint(conversation)
            files = [await self._upload(message, n) for n in range(len(message.attachments))]
            rows = await self._rows(conversation) if conversation else []
            after = rows[-1].id if rows else ""
            yield Checkpoint(conversation, {"after": after})
            try:
                taken = await self._send(conversation, message, files, after)
            except NOT_TAKEN:
                yield Checkpoint(conversation)
                raise
            conversation, request = taken.conversation_id, taken.request_id
        yield Checkpoint(conversation, {"request": request})
        answer = await self._answer(conversation, request)
        text, made = without_thoughts(answer.text), _files(answer.attachments)
        if not text and not made:
            raise ProtocolError("toqan: a run that finished without an answer", sentence=SILENT)
        if text:
            yield Text(text)
        for file in made:
            yield file
        yield Done()

    def accepts(self, name: str, media_type: str, size: int) -> str:  # noqa: ARG002 - no kind is known to be refused
        """The service refuses what is very large."""
        return _TOO_LARGE if size > MAX_UPLOAD else ""

    async def check(self) -> str:
        """The key, by asking after a conversation that isn't there: whether it stands for the right agent can't
        be told."""
        reply = await self._service.request(
            "POST", "/find_conversation", json={"conversation_id": NOWHERE}, once=False, accept={400, 404, 422}
        )
        if reply.status == 404 and not message_in(reply.content):
            raise NotFound("toqan: 404 without a word; nothing of Toqan's is at this base_url")
        reply.json()
        return "key accepted; which agent it stands for can't be asked"

    async def files(self, conversation: str) -> Sequence[File]:
        """The files that the agent made, oldest first."""
        rows = await self._rows(conversation)
        return _files([a for row in rows if row.author_id == AGENT for a in row.attachments])

    async def download(self, conversation: str, ref: str) -> AsyncIterator[bytes]:
        """A file's bytes. Its name may have to be sent with its percent-escapes or without."""
        missing: AgentError | None = None
        for name in dict.fromkeys((ref, unquote(ref))):
            begun = False
            try:
                async for chunk in self._download({"conversation_id": conversation, "file_name": name}):
                    begun = True
                    yield chunk
            except (NotFound, Rejected) as error:
                if begun:
                    raise
                missing = error
            else:
                return
        raise NotFound(str(missing), sentence=NO_FILE) from missing

    async def history(self, conversation: str) -> Sequence[Row]:
        """What was said; of the agent's rows in a turn the last, which is its answer."""
        told: list[Row] = []
        for row in await self._rows(conversation):
            if row.author_id != AGENT:
                told.append(Row("person", row.text))
            elif told and told[-1].role == "agent":
                told[-1] = Row("agent", without_thoughts(row.text))
            else:
                told.append(Row("agent", without_thoughts(row.text)))
        return told

    async def _upload(self, message: Message, n: int) -> dict[str, str]:
        attachment = message.attachments[n]
        if attachment.size > MAX_UPLOAD:
            raise Rejected(f"toqan: an attachment of {attachment.size} bytes", sentence=_TOO_LARGE)
        taken = await self._service.upload("/upload_file", [attachment], method="PUT")
        return {"id": parsed(_Uploaded, taken, "toqan upload_file").id}

    async def _send(
        self, conversation: str | None, message: Message, files: list[dict[str, str]], after: str
    ) -> _Taken:
        body: dict[str, Any] = {"user_message": words(message)}
        if files:
            body["private_user_files"] = files
        if not conversation:
            try:
                taken = await self._service.post_json("/create_conversation", body, person=message.person)
            except NotFound as error:  # there is no conversation yet, so it is the address
                raise NotFound(str(error), sentence=MISCONFIGURED) from error
            return parsed(_Taken, taken, "toqan create")
        body["conversation_id"] = conversation
        try:
            taken = await self._service.post_json("/continue_conversation", body, person=message.person)
        except Uncertain:
            request = await self._found(conversation, after)
            if request is None:
                raise
            return _Taken(conversation_id=conversation, request_id=request)
        return parsed(_Taken, taken, "toqan continue")

    async def _found(self, conversation: str, after: str) -> str | None:
        """`_arrived`, where it is no matter why that can't be told."""
        try:
            return await self._arrived(conversation, after)
        except AgentError:
            return None

    async def _arrived(self, conversation: str, after: str) -> str | None:
        """The request's id, if the history has a question that is newer than row `after`."""
        try:
            async for look in settling():
                with look:
                    rows = await self._rows(conversation)
                    ids = [row.id for row in rows]
                    if after and after not in ids:
                        raise Uncertain("toqan: the history no longer holds the row before the question")
                    newer = rows[ids.index(after) + 1 :] if after else rows
                    asked = [row.id for row in newer if row.author_id != AGENT]
                    if asked:
                        return asked[0]
        except TimedOut:
            pass
        return None

    async def _answer(self, conversation: str, request: str) -> _Answer:
        """Polls for the answer; an unknown status means that it is still being worked on."""
        asked = {"conversation_id": conversation, "request_id": request}
        answer = _Answer()
        async for look in poll():
            with look:
                answer = parsed(_Answer, await self._get("/get_answer", asked), "toqan get_answer")
                if answer.status == "error":
                    raise RunFailed("toqan get_answer: the run ended in status error")
                if answer.status == "finished":
                    break
        if answer.text:
            return answer
        try:
            async for look in settling():
                with look:
                    final = await self._final_row(conversation, request)
                    if final and (final.text or final.attachments):
                        return final
        except TimedOut:
            pass
        return answer

    async def _final_row(self, conversation: str, request: str) -> _Answer | None:
        """The answer as the history has it: the agent's last row of that turn."""
        final: _Row | None = None
        mine = False
        for row in await self._rows(conversation):
            if row.author_id != AGENT:
                mine = row.id == request
            elif mine:
                final = row
        return _Answer(answer=final.message, attachments=final.attachments) if final else None

    async def _rows(self, conversation: str) -> list[_Row]:
        found = await self._service.post_json("/find_conversation", {"conversation_id": conversation}, once=False)
        return readable(_Row, found, "toqan find_conversation")

    async def _get(self, path: str, asked: dict[str, str]) -> Any:
        """The guide's GETs carry a body, most clients send a query: send both, or the query where it must be."""
        if self._bodies is False:
            return await self._service.get_json(path, params=asked)
        if self._bodies:
            return await self._service.get_json(path, params=asked, json=asked)
        reply = await self._service.request("GET", path, params=asked, json=asked, accept=BODY_REFUSED)
        if reply.status not in BODY_REFUSED:
            value = reply.json()
            self._bodies = True
            return value
        try:
            value = await self._service.get_json(path, params=asked)
        except (AuthenticationFailed, NotFound, Rejected) as error:
            if reply.status < 500:
                raise
            raise Unavailable(f"{reply.called}: {reply.status}, and by the query alone: {error}") from error
        self._bodies = False
        return value

    async def _download(self, asked: dict[str, str]) -> AsyncIterator[bytes]:
        begun = False
        if self._bodies is not False:
            try:
                async for chunk in self._service.download("/download_file", params=asked, json=asked):
                    begun = True
                    yield chunk
                return
            except (AuthenticationFailed, Rejected, Unavailable):
                if begun or self._bodies:
                    raise
        async for chunk in self._service.download("/download_file", params=asked):
            yield chunk


class _Uploaded(Wire):
    id: str = Field(validation_alias=AliasChoices("file_id", "id"), min_length=1)


class _Taken(Wire):
    conversation_id: str = Field(min_length=1)
    request_id: str = Field(min_length=1)


class _Attachment(Wire):
    name: Maybe[str] = None
    mime_type: Maybe[str] = None


class _Answer(Wire):
    status: str | None = None
    answer: str | None = None
    attachments: Records[_Attachment] = ()

    @property
    def text(self) -> str:
        return self.answer or ""


class _Row(Wire):
    id: str
    message: Maybe[str] = None
    author_id: Maybe[str] = None
    attachments: Records[_Attachment] = ()

    @property
    def text(self) -> str:
        return self.message or ""


def _files(attachments: Sequence[_Attachment]) -> list[File]:
    files = {
        a.name: File(safe_name(unquote(a.name)), a.name, a.mime_type or "application/octet-stream")
        for a in attachments
        if a.name
    }
    return list(files.values())
