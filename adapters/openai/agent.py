"""Any server of the OpenAI API, by the Responses API, where the server keeps the conversation, or by Chat
Completions, where we do."""

from __future__ import annotations

import httpx

from adapters.openai.chat import ChatCompletions
from adapters.openai.client import OpenAISettings
from adapters.openai.responses import BackgroundResponses, Responses


class OpenAI:
    """The adapter of kind `openai`. What it makes can differ in its capabilities, so it makes one of three agents:
    only `ChatCompletions` is `Stateless`, only `BackgroundResponses` `Cancels`."""

    Settings = OpenAISettings

    def __new__(  # type: ignore[misc]
        cls, settings: OpenAISettings, client: httpx.AsyncClient
    ) -> Responses | ChatCompletions:
        if settings.api == "chat":
            return ChatCompletions(settings, client)
        return (BackgroundResponses if settings.background else Responses)(settings, client)
