"""What both ways of the package share: settings, the official client, its errors, files in a request."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from functools import partial
from typing import Any, Literal, Self, cast

import httpx
import openai
from pydantic import Field, SecretStr, model_validator

from adapters.base import (
    AgentSettings,
    Attachment,
    NotFound,
    ProtocolError,
    RateLimited,
    Rejected,
    RunFailed,
)
from adapters.http import service as http
from adapters.http.library import Library, Reason, Refusal
from adapters.http.outgoing import inline
from adapters.http.sse import EventDecoder
from adapters.sentences import MISCONFIGURED, USED_UP
from adapters.text import one_line, safe_name

MAX_NAMED = 10  # models that are named where the one in the settings is none of them
MAX_EVENT = 32 * 2**20  # characters; the event that ends a response holds the images it made
_TEXTUAL = {"application/json", "application/xml", "application/x-yaml", "application/yaml", "application/toml"}
_GONE = {"previous_response_not_found", "conversation_not_found"}
_USED_UP = "insufficient_quota"
_REFUSES = re.compile(r"extra|unknown|unrecogni[sz]ed|unsupported|unexpected|not (permitted|allowed|supported)")
_NAMES_PERSON = re.compile(r"safety_identifier|metadata|['\"`.]user['\"`]|: user\b|\buser:")
_LACKS = {404, 405, 501}  # how servers refuse a path of the API that they don't have


class McpServer(AgentSettings):
    """A server of tools that the API calls by itself."""

    label: str = Field(description="Its name, for the model and in approvals.")
    url: str = Field(description="Its address.")
    token: SecretStr | None = Field(default=None, description="What the API shows it, as `Authorization`.")
    approval: bool = Field(default=True, description="Whether each call is asked leave for.")


class OpenAISettings(AgentSettings):
    base_url: str = Field(
        default="https://api.openai.com/v1", description="The address of OpenAI's API, or of a server like it."
    )
    api_key: SecretStr = Field(description="Its key; any text for a local server that wants none.")
    model: str = Field(description="The model, by the server's name for it.")
    api: Literal["responses", "chat"] = Field(
        default="responses",
        description="Which API is spoken. `responses` can be taken up after a crash, gives files and can be stopped;"
        " most other servers know `chat` only.",
    )
    instructions: str | None = Field(default=None, description="What the model is told before each question.")
    tools: tuple[Literal["web_search", "code_interpreter", "image_generation"], ...] = Field(
        default=(), description="What the server runs by itself. `responses` only."
    )
    mcp: tuple[McpServer, ...] = Field(
        default=(), description="Servers of tools that the API calls by itself. `responses` only."
    )
    background: bool = Field(
        default=True,
        description="Whether the answer goes on while nobody listens; off for a server that refuses it. `responses`"
        " only.",
    )
    remembers: int = Field(
        default=50, ge=0, le=1_000, description="Earlier exchanges that go along with a question. `chat` only."
    )
    person_fields: bool = Field(
        default=True,
        description="Whether who asks goes along as `user` or `safety_identifier`, with `responses` as `metadata`, too."
        " Off for a server that refuses these and doesn't name them: then by headers alone.",
    )
    effort: str | None = Field(
        default=None, description="Of a reasoning model: `low`, `high`, and what else the server knows."
    )
    temperature: float | None = Field(default=None, ge=0, le=2, description="Unset: the server's.")
    max_tokens: int | None = Field(
        default=None, ge=1, description="The most that an answer takes. Unset: the server's."
    )
    headers: dict[str, SecretStr] = Field(
        default_factory=dict, description="Headers of every request, besides the key's."
    )
    query: dict[str, str] = Field(
        default_factory=dict, description="Parameters of every address, as Azure's `api-version`."
    )

    @model_validator(mode="after")
    def _tools_need_responses(self) -> Self:
        if (self.tools or self.mcp) and self.api == "chat":
            raise ValueError('tools and mcp need api = "responses"')
        return self


def create(settings: OpenAISettings, client: httpx.AsyncClient) -> tuple[openai.AsyncOpenAI, Library]:
    """The official client on top of the shared one, without repeats of its own, and what repeats instead."""
    api = openai.AsyncOpenAI(
        api_key=settings.api_key.get_secret_value().strip(),
        base_url=settings.base_url,
        max_retries=0,
        timeout=cast(Any, httpx.Timeout(http.READ_TIMEOUT, connect=http.CONNECT_TIMEOUT, pool=http.POOL_TIMEOUT)),
        http_client=cast(Any, client),  # typed for httpx2, which it prefers; it takes httpx as well
        default_headers={name: value.get_secret_value() for name, value in settings.headers.items()},
        default_query=settings.query,
    )
    return api, Library("openai", settings.api_key, reason, home=[settings.base_url])


async def check(api: openai.AsyncOpenAI, library: Library, model: str) -> str:
    """Whether key and model are known, as far as the server tells."""
    with suppress(NotFound, Rejected):  # an id with a slash is no path everywhere
        found: object = await library.call("GET /models/…", partial(api.models.retrieve, model))
        if getattr(found, "id", None):
            return f"the key is taken, and there is a model {model!r}"
    try:
        page: object = await library.call("GET /models", api.models.list)
    except (NotFound, Rejected):
        return "the server answers; it lists no models, so neither key nor model could be checked"
    listed = getattr(page, "data", None)
    if not isinstance(listed, list):
        raise ProtocolError(
            "openai GET /models: not a list of models; is `base_url` right?", sentence=MISCONFIGURED
        )
    names = [str(getattr(entry, "id", "")) for entry in listed]
    if model in names:
        return f"the key is taken, and there is a model {model!r}"
    some = ", ".join(names[:MAX_NAMED]) + (", …" if len(names) > MAX_NAMED else "")
    raise NotFound(one_line(f"openai: no model {model!r}; there are: {some or 'none'}"), sentence=MISCONFIGURED)


async def open_stream(
    stack: AsyncExitStack,
    library: Library,
    what: str,
    send: Callable[[], AbstractAsyncContextManager[Any]],
    *,
    once: bool,
) -> http.Stream:
    """The events of an answer. The library's own reader knows no bound and takes any content type for events."""
    response = await library.call(what, lambda: stack.enter_async_context(send()), once=once)
    return http.Stream(response.http_response, f"openai {what}", EventDecoder(max_event=MAX_EVENT), once=once)


def refuses_person(error: Rejected) -> bool:
    """Whether the server doesn't take the fields that say who asks."""
    said = str(error).lower()
    return not isinstance(error, RunFailed) and bool(_REFUSES.search(said) and _NAMES_PERSON.search(said))


def refuses_summary(error: Rejected) -> bool:
    """Whether the server gives no summaries of what it thinks: not of this model, or not to this account."""
    return not isinstance(error, RunFailed) and "summar" in str(error).lower()


def reason(error: Exception) -> Reason | None:
    """What an exception of the library means."""
    if isinstance(error, openai.APIStatusError):
        detail = f"{error.status_code} {error.message}"
        if error.code == "model_not_found":
            return NotFound(detail, sentence=MISCONFIGURED)
        if error.code in _GONE or error.status_code in _LACKS:
            return NotFound(detail)
        if _USED_UP in {error.code, error.type}:  # a 429 that no repeat helps
            return RateLimited(detail, sentence=USED_UP)
        return Refusal(error.status_code, error.response.headers, error.message)
    if isinstance(error, openai.APIConnectionError) and isinstance(error.__cause__, httpx.HTTPError):
        return error.__cause__
    if isinstance(error, openai.APIError):  # an error inside a stream
        return RunFailed(f"{error.code} {error.message}")
    if isinstance(error, ValueError | LookupError | TypeError | AttributeError):  # no JSON, or of another shape
        return ProtocolError(f"an answer that can't be read: {error}")
    return None


def is_text(attachment: Attachment) -> bool:
    return attachment.media_type.startswith("text/") or attachment.media_type in _TEXTUAL


def is_image(attachment: Attachment) -> bool:
    return attachment.media_type.startswith("image/")


def as_text(attachment: Attachment) -> str:
    """A text file as a fenced block of the question."""
    text = inline(attachment).decode(errors="replace").removeprefix("\ufeff")
    fence = "```"
    while fence in text:
        fence += "`"
    return f"File `{safe_name(attachment.name)}`:\n{fence}\n{text}\n{fence}"


def as_data_url(attachment: Attachment) -> str:
    return f"data:{attachment.media_type};base64,{base64.b64encode(inline(attachment)).decode()}"
