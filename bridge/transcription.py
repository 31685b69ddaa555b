"""Speech as text, by any service that has OpenAI's `/audio/transcriptions`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx

from adapters.base import (
    AgentError,
    Attachment,
    AuthenticationFailed,
    NotFound,
    ProtocolError,
    Rejected,
    TimedOut,
    Unavailable,
)
from adapters.http.failures import WrongAddress
from adapters.http.service import Service, create_client
from bridge import tracing
from bridge.findings import Finding, fail, ok, warn
from bridge.settings import TranscriptionSettings

MAX_WORDS = 100_000  # characters of one recording
SILENCE = 150.0  # seconds until it answers: half an hour of speech takes a while
PLACE = "transcription"


class Transcription:
    """Implements `bridge.turns.voice.Hears`."""

    def __init__(self, settings: TranscriptionSettings, client: httpx.AsyncClient) -> None:
        key = settings.api_key
        headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key is not None else {}
        self._settings = settings
        self._service = Service(client, settings.base_url, name=PLACE, headers=headers, secret=key, home=())

    async def words(self, recording: Attachment) -> str:
        """Costs as much as it is asked, so it is sent again only where the service can't have begun on it."""
        settings = self._settings
        fields = {"model": settings.model, "response_format": "json"}
        if settings.language:
            fields["language"] = settings.language
        answer = await self._service.upload(
            "/audio/transcriptions", [recording], data=fields, once=True, timeout=SILENCE
        )
        text = answer.get("text") if isinstance(answer, dict) else None
        if not isinstance(text, str):
            raise ProtocolError(f"{PLACE}: an answer without a text")
        return text[:MAX_WORDS]

    async def models(self) -> list[str]:
        """The names of the service's models; costs nothing."""
        answer = await self._service.get_json("/models")
        listed = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(listed, list):
            raise ProtocolError(f"{PLACE}: an answer without a list of models")
        return [str(one.get("id")) for one in listed if isinstance(one, dict)]


@asynccontextmanager
async def open_transcription(
    settings: TranscriptionSettings | None, *, guard: Callable[[], Awaitable[None]]
) -> AsyncIterator[Transcription | None]:
    """None where nothing is configured. `guard` is awaited before each request."""

    async def look(_: httpx.Request) -> None:
        await guard()

    if settings is None:
        yield None
        return
    async with create_client(tracer=tracing.tracer()) as client:
        client.event_hooks = {"request": [look], "response": []}
        yield Transcription(settings, client)


async def check_transcription(
    settings: TranscriptionSettings, client: httpx.AsyncClient
) -> AsyncGenerator[Finding]:
    """Whether the address and the key are right, found out by the list of models: nothing is transcribed."""
    try:
        models = await Transcription(settings, client).models()
    except AuthenticationFailed as error:
        yield fail(PLACE, f"the key was refused ({error})", f"Set {PLACE}.api_key to one that is valid there.")
    except (Unavailable, TimedOut) as error:
        yield fail(PLACE, f"can't be reached ({error})", f"Check {PLACE}.base_url and whether the service runs.")
    except WrongAddress as error:
        yield fail(PLACE, f"no request can be sent to its address ({error})", f"Change {PLACE}.base_url.")
    except (NotFound, Rejected) as error:
        yield warn(PLACE, f"lists no models, so the key isn't checked ({error})", f"Check {PLACE}.base_url.")
    except AgentError as error:
        yield fail(PLACE, f"answers like another service ({error})", f"Check {PLACE}.base_url.")
    else:
        if models and settings.model not in models:
            some = ", ".join(sorted(models)[:5])
            yield warn(
                PLACE,
                f"lists no model {settings.model!r}, but {some}",
                f"Check {PLACE}.model; some models aren't listed.",
            )
        else:
            yield ok(PLACE, f"answers, and takes the key; voice notes are written down by {settings.model}")
