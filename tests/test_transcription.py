"""The transcription service's client against the simulated service, and what doctor says of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import stamina
from pydantic import SecretStr

from adapters.base import AgentError, Attachment, AuthenticationFailed, ProtocolError, Rejected, Uncertain
from adapters.http.failures import ATTEMPTS
from adapters.http.service import create_client
from adapters.testing.backends import faults
from adapters.testing.backends.transcription import MAX_FILE, TranscriptionBackend, recording
from bridge.findings import Mark
from bridge.settings import TranscriptionSettings
from bridge.transcription import Transcription, check_transcription

pytestmark = pytest.mark.usefixtures("quickly")


@pytest.fixture
def quickly() -> Iterator[None]:
    with stamina.set_testing(True, attempts=ATTEMPTS):
        yield


@pytest.fixture
def backend() -> TranscriptionBackend:
    return TranscriptionBackend()


@pytest.fixture
async def client(backend: TranscriptionBackend) -> AsyncIterator[httpx.AsyncClient]:
    async with create_client(transport=httpx.ASGITransport(backend.app)) as client:
        yield client


def settings(backend: TranscriptionBackend, **more: object) -> TranscriptionSettings:
    values = {"base_url": "http://ears/v1", "api_key": SecretStr(backend.key), "model": "whisper-1"} | more
    return TranscriptionSettings.model_validate(values)


def note(folder: Path, content: bytes, name: str = "note.ogg") -> Attachment:
    path = folder / "note"
    path.write_bytes(content)
    return Attachment(name, "audio/ogg", path, len(content))


async def test_it_writes_down_what_is_said(
    backend: TranscriptionBackend, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    ears = Transcription(settings(backend, language="de"), client)
    assert await ears.words(note(tmp_path, recording("Wie geht's, 東京?"))) == "Wie geht's, 東京?"
    assert backend.heard == [("note.ogg", "de", "Wie geht's, 東京?")]


async def test_a_recording_is_sent_once(
    backend: TranscriptionBackend, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    backend.faults.add("transcribe", faults.refuse(500, after=True))
    with pytest.raises(Uncertain):
        await Transcription(settings(backend), client).words(note(tmp_path, recording("hello")))
    assert len(backend.heard) == 1


@pytest.mark.parametrize(
    ("change", "content", "name", "error"),
    [
        ({"api_key": SecretStr("wrong")}, recording("x"), "note.ogg", AuthenticationFailed),
        ({"model": "no-such"}, recording("x"), "note.ogg", AgentError),
        ({"language": "deutsch"}, recording("x"), "note.ogg", Rejected),
        ({}, recording("x"), "note.txt", Rejected),
        ({}, recording("x", "m4a"), "note.ogg", Rejected),
        ({}, recording("x" * MAX_FILE), "note.ogg", Rejected),
    ],
    ids=["key", "model", "language", "ending", "format", "size"],
)
async def test_what_it_refuses_is_an_error(
    backend: TranscriptionBackend,
    client: httpx.AsyncClient,
    tmp_path: Path,
    change: dict[str, object],
    content: bytes,
    name: str,
    error: type[AgentError],
) -> None:
    with pytest.raises(error) as raised:
        await Transcription(settings(backend, **change), client).words(note(tmp_path, content, name))
    assert "wrong" not in str(raised.value)
    assert backend.heard == []


async def test_an_answer_without_a_text_is_one_of_another_service(
    backend: TranscriptionBackend, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    backend.faults.add("transcribe", faults.garbage(b'{"words": 1}', "application/json"))
    with pytest.raises(ProtocolError):
        await Transcription(settings(backend), client).words(note(tmp_path, recording("x")))


@pytest.mark.parametrize(
    ("change", "mark", "says"),
    [
        ({}, Mark.OK, "written down by whisper-1"),
        ({"api_key": SecretStr("wrong")}, Mark.FAIL, "the key was refused"),
        ({"model": "whisper-9"}, Mark.WARN, "lists no model 'whisper-9'"),
        ({"base_url": "http://ears/elsewhere"}, Mark.WARN, "lists no models"),
    ],
    ids=["right", "key", "model", "path"],
)
async def test_doctor_looks_without_having_anything_written_down(
    backend: TranscriptionBackend,
    client: httpx.AsyncClient,
    change: dict[str, object],
    mark: Mark,
    says: str,
) -> None:
    [finding] = [one async for one in check_transcription(settings(backend, **change), client)]
    assert finding.mark is mark
    assert says in finding.found
    assert "transcribe" not in backend.calls
