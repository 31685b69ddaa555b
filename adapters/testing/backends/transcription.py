"""A simulated transcription service: OpenAI's `/audio/transcriptions`, which writes down what a recording holds.

A recording begins with the first bytes of its format, as real ones do; what follows is what is said in it. `recording`
makes one.
"""

from __future__ import annotations

from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from adapters.testing.backends.base import Backend

MODEL = "whisper-1"
MODELS = (MODEL, "gpt-4o-mini-transcribe", "gpt-4o-transcribe")
MAX_FILE = 25 * 2**20  # bytes
FORMATS = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")
FIELDS = {"file", "model", "language", "prompt", "response_format", "temperature"}
_BEGINNINGS = {"ogg": b"OggS", "oga": b"OggS", "m4a": b"\0\0\0\x1cftyp", "mp4": b"\0\0\0\x1cftyp", "wav": b"RIFF"}


def spoken_seconds(words: str) -> float:
    """How long it takes to say them."""
    return max(1.0, len(words) / 15)


def recording(words: str, ending: str = "ogg") -> bytes:
    return _BEGINNINGS[ending] + words.encode()


class TranscriptionBackend(Backend):
    """`heard`: the recordings that it wrote down, by name, with the language that they were said to be in."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.heard: list[tuple[str, str, str]] = []  # name, language, words

    def routes(self) -> list[Route]:
        return [
            self.operation("transcribe", "/v1/audio/transcriptions", self._transcribe, "POST"),
            self.operation("models", "/v1/models", self._models),
        ]

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer {self.key}"

    def refusal(self, status: int, message: str) -> Response:
        return JSONResponse({"error": {"message": message, "type": "invalid_request_error"}}, status)

    async def _models(self, _: Request) -> Response:
        listed = [{"id": one, "object": "model", "created": 0, "owned_by": "openai"} for one in MODELS]
        return JSONResponse({"object": "list", "data": listed})

    async def _transcribe(self, request: Request) -> Response:
        if not request.headers.get("content-type", "").startswith("multipart/form-data"):
            return self.refusal(400, "Could not parse multipart form")
        async with request.form(max_part_size=2 * MAX_FILE) as form:
            unknown = set(form) - FIELDS
            file, model, language = form.get("file"), form.get("model"), str(form.get("language") or "")
            kind = form.get("response_format") or "json"
            if unknown:
                return self.refusal(400, f"Unrecognized request argument supplied: {min(unknown)}")
            if not isinstance(file, UploadFile):
                return self.refusal(400, "file is required")
            if model not in MODELS:
                return self.refusal(404, f"The model `{model}` does not exist")
            if language and not (len(language) == 2 and language.isalpha()):
                return self.refusal(
                    400, f"Invalid language '{language}'. Language parameter must be in ISO-639-1 format."
                )
            if kind not in ("json", "text") or (kind != "json" and model != MODEL):
                return self.refusal(400, f"response_format '{kind}' is not compatible with model '{model}'")
            content, name = await file.read(), file.filename or ""
        if len(content) > MAX_FILE:
            return self.refusal(413, f"Maximum content size limit ({MAX_FILE}) exceeded")
        ending = name.rpartition(".")[2].lower()
        beginning = _BEGINNINGS.get(ending, b"")
        if ending not in FORMATS or not content.startswith(beginning):
            return self.refusal(400, f"Invalid file format. Supported formats: {list(FORMATS)}")
        words = content.removeprefix(beginning).decode("utf-8", "replace")
        self.heard.append((name, language, words))
        return JSONResponse({"text": words}) if kind == "json" else PlainTextResponse(words)
