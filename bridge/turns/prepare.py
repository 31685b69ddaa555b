"""From a stored turn to what the agent is asked: context, names, attachments on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import structlog

from adapters.base import Attachment, Exchange, Message
from adapters.text import safe_name
from bridge.inbound import ContextMessage, RemoteFile
from bridge.store.rows import storable
from bridge.store.tables import Turn
from bridge.turns.retry import retry
from bridge.turns.surface import Surface, SurfaceError

MAX_ATTACHMENTS = 20  # of one turn, its context's included
FETCHES_AT_ONCE = 4

log = structlog.get_logger()


async def prepare(
    turn: Turn,
    surface: Surface,
    folder: Path,
    *,
    named: bool,
    max_bytes: int,
    history: tuple[Exchange, ...] = (),
) -> tuple[Message, list[str]]:
    """The message for the agent, its attachments in `folder`, and the names of files that could not be had."""
    earlier: Sequence[ContextMessage] = ()
    if turn.mid_thread:
        earlier = await retry(lambda: surface.earlier(turn.message_id))
    wanted = [file for said in earlier for file in said.files]
    wanted += [RemoteFile(**file) for file in turn.attachments]
    attachments, missing = await _fetch_all(surface, wanted[-MAX_ATTACHMENTS:], folder, max_bytes)
    missing += [file.name for file in wanted[:-MAX_ATTACHMENTS]]
    text = compose(turn, earlier, named=named, attached=[file.name for file in attachments], missing=missing)
    message = Message(turn.asked_as or turn.id, storable(text), attachments, history)
    return message, missing


def compose(
    turn: Turn,
    earlier: Sequence[ContextMessage],
    *,
    named: bool,
    attached: Sequence[str] = (),
    missing: Sequence[str] = (),
) -> str:
    """What the agent reads. `named`: several people talk in the thread, so each is told by name."""
    question = turn.text.strip()
    if not question and attached:
        question = f"(Attached without a word: {', '.join(attached)})"
    elif not question:
        question = "(You were called without a word.)"
    if named or earlier:
        question = f"{turn.author_name}: {question}"
    if missing:
        question += f"\n\n(Attached, but it could not be read: {', '.join(missing)})"
    if not earlier:
        return question
    before = "\n\n".join(f"{said.author_name}: {_with_files(said)}" for said in earlier)
    return f"Earlier in this thread:\n\n{before}\n\nNow:\n\n{question}"


def _with_files(said: ContextMessage) -> str:
    if not said.files:
        return said.text
    return f"{said.text}\n(attached: {', '.join(file.name for file in said.files)})".lstrip()


async def _fetch_all(
    surface: Surface, files: Sequence[RemoteFile], folder: Path, max_bytes: int
) -> tuple[tuple[Attachment, ...], list[str]]:
    gate = asyncio.Semaphore(FETCHES_AT_ONCE)
    missing: list[str] = []

    async def fetch(index: int, file: RemoteFile) -> Attachment | None:
        name = safe_name(file.name)
        path = folder / f"{index}-{name}"
        try:
            async with gate:
                await retry(lambda: surface.fetch(file, path, max_bytes))
        except SurfaceError as error:
            log.warning("attachment left out", file=name, reason=str(error))
            missing.append(name)
            return None
        return Attachment(name=name, media_type=file.media_type, path=path, size=path.stat().st_size)

    async with asyncio.TaskGroup() as group:
        fetches = [group.create_task(fetch(index, file)) for index, file in enumerate(files)]
    return tuple(done for task in fetches if (done := task.result()) is not None), missing
