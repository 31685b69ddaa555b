"""Parrot, a service that does not exist: `POST /questions` takes a question, `GET /questions/{id}` answers it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx

from adapters.base import Checkpoint, Done, Event, KeyedSettings, Message, Rejected, Text, Uncertain
from adapters.http.failures import NOT_TAKEN
from adapters.http.polling import poll
from adapters.http.service import Service, segment
from adapters.http.wire import Wire, parsed
from adapters.sentences import NO_FILES
from adapters.text import without_thoughts


class ParrotSettings(KeyedSettings):
    voice: str = "plain"


class Question(Wire):
    id: str
    conversation: str
    state: str = "working"
    answer: str = ""


class Parrot:
    Settings = ParrotSettings

    def __init__(self, settings: ParrotSettings, client: httpx.AsyncClient) -> None:
        headers = {"Authorization": f"Bearer {settings.api_key.get_secret_value()}"}
        self._voice = settings.voice
        self._service = Service(client, settings.base_url, name="parrot", headers=headers, secret=settings.api_key)

    async def ask(
        self, conversation: str | None, message: Message, *, resume: Checkpoint | None = None
    ) -> AsyncIterator[Event]:
        data = resume.data if resume else {}
        question = data.get("question")
        if question is None:
            if data.get("asking"):
                raise Uncertain("parrot: stopped while the question was on its way")
            yield Checkpoint(conversation)
            if message.attachments:
                raise Rejected("parrot: no files", sentence=NO_FILES)
            yield Checkpoint(conversation, {"asking": True})
            body = {"text": message.text, "voice": self._voice, "conversation": conversation}
            try:
                answer = await self._service.post_json("/questions", body, person=message.person)
                taken = parsed(Question, answer, "parrot")
            except NOT_TAKEN:
                yield Checkpoint(conversation)
                raise
            conversation, question = taken.conversation, taken.id
            yield Checkpoint(conversation, {"question": question})
        path = f"/questions/{segment(str(question))}"
        async for look in poll():
            with look:
                known = parsed(Question, await self._service.get_json(path), "parrot")
                if known.state == "failed":
                    raise Rejected(f"parrot: question {question} failed")
                if known.state == "answered":
                    break
        yield Text(without_thoughts(known.answer))
        yield Done()
