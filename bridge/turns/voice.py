"""A voice note becomes words: the question that is asked, quoted back in its thread.

The words are stored with the turn before they are quoted or asked, so that whoever takes it up again hears no other
ones. What can't be heard goes to the agent as the file that it is.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import structlog

from adapters.base import AgentError, Attachment
from adapters.text import safe_name
from bridge.inbound import RemoteFile
from bridge.render.characters import boundary
from bridge.render.style import Dialect
from bridge.store.values import StoredTurn, storable
from bridge.turns.folder import Folder
from bridge.turns.retry import retry
from bridge.turns.surface import Refused, Surface, SurfaceError

MAX_BYTES = 25 * 10**6  # of one voice note; OpenAI's limit, which other services have too
MAX_SECONDS = 1_500.0  # that it lasts; the same
MAX_NOTES = 5  # of one message
MAX_QUOTED = 700  # characters; written out for Discord they may be twice as many
PATIENCE = 25.0  # seconds for what the platform doesn't give
HEARD_WITHIN = 180.0  # seconds for the service's answer

QUOTED = 3  # notice of a reply
UNHEARD = "I couldn't make out the words of {names}, so the agent gets the recording itself."

# By media type, where a name's ending doesn't say it: services tell a recording's format by its ending.
_ENDINGS = {
    "audio/aac": ".m4a",
    "audio/flac": ".flac",
    "audio/mp4": ".m4a",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "audio/wav": ".wav",
    "audio/webm": ".webm",
    "audio/x-m4a": ".m4a",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
}
_KNOWN = re.compile(r"\.(?:flac|m4a|mp3|mp4|mpeg|mpga|oga|ogg|wav|webm)", re.IGNORECASE)

log = structlog.get_logger()


class Hears(Protocol):
    """A service that writes speech down."""

    async def words(self, recording: Attachment) -> str:
        """What is said in it; "" for nothing. Raises an `AgentError`."""
        ...


@dataclass(frozen=True, slots=True)
class Listened:
    """`words` is what was said; `unheard` names the notes whose words couldn't be had."""

    words: str = ""
    unheard: tuple[str, ...] = ()


def voice_notes(turn: StoredTurn) -> Sequence[RemoteFile]:
    return [file for file in turn.files if file.seconds is not None][:MAX_NOTES]


def without_notes(turn: StoredTurn) -> StoredTurn:
    """The turn as it is asked once its notes were heard."""
    notes = voice_notes(turn)
    return replace(turn, files=tuple(file for file in turn.files if file not in notes))


async def listen(turn: StoredTurn, surface: Surface, folder: Folder, hears: Hears) -> Listened:
    """The words of a turn's voice notes; of all of them, or else none is taken for heard."""
    notes = voice_notes(turn)
    said: list[str] = []
    for note in notes:
        try:
            async with asyncio.timeout(PATIENCE + HEARD_WITHIN):
                words = await _words(note, surface, folder.new(), hears)
        except (AgentError, SurfaceError, TimeoutError) as error:
            log.warning("voice note not heard", file=note.id, error=type(error).__name__)
            return Listened(unheard=tuple(safe_name(one.name) for one in notes))
        if not words:
            log.info("voice note without words", file=note.id)
            return Listened(unheard=tuple(safe_name(one.name) for one in notes))
        said.append(words)
    return Listened("\n\n".join(said))


async def _words(note: RemoteFile, surface: Surface, path: Path, hears: Hears) -> str:
    if (note.seconds or 0) > MAX_SECONDS or note.size > MAX_BYTES:
        raise Refused(f"{note.size} bytes, {note.seconds:g} seconds are too much")
    await retry(lambda: surface.fetch(note, path, MAX_BYTES), patience=PATIENCE)
    size = (await asyncio.to_thread(path.stat)).st_size
    recording = Attachment(_named(note), note.media_type, path, size)
    return storable((await hears.words(recording)).strip())


def _named(note: RemoteFile) -> str:
    name = Path(safe_name(note.name))
    if _KNOWN.fullmatch(name.suffix):
        return name.name
    return f"{name.stem or 'voice'}{_ENDINGS.get(note.media_type.partition(';')[0].strip().lower(), '.m4a')}"


def quoted(words: str, dialect: Dialect) -> str:
    """The words as they stand in the thread."""
    line = " ".join(words.split())
    shown = line if len(line) <= MAX_QUOTED else f"{line[: boundary(line, MAX_QUOTED - 1)]}…"
    return f"> 🎤 {dialect.literal(shown)}"
