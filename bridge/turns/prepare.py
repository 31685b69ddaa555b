"""From a stored turn to what the agent is asked: context, names, attachments on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from adapters import base
from adapters.base import Attachment, Decision, Exchange, Message
from adapters.text import safe_name
from bridge.inbound import Address, ContextMessage, Person, RemoteFile
from bridge.store.values import StoredTurn, storable
from bridge.turns.folder import Folder
from bridge.turns.person import Telling, from_platform
from bridge.turns.progress import LARGE, watched
from bridge.turns.retry import retry
from bridge.turns.surface import Emails, Surface, SurfaceError

MAX_ATTACHMENTS = 20  # of one turn, its context's included
FETCHES_AT_ONCE = 4
FETCHING = "Fetching your files: {percent} %"
YOU = "You"  # the agent, to itself
PATIENCE = 25.0  # seconds for what the platform doesn't give; then the question goes without it, and says so


@dataclass(frozen=True, slots=True)
class Prepared:
    """`missing` is what could not be had, in words for people."""

    message: Message
    person: Person  # with a name
    text: str  # the question, with names for ids
    missing: tuple[str, ...] = ()
    unheard: tuple[str, ...] = ()  # voice notes that nobody could write down


log = structlog.get_logger()


async def prepare(
    turn: StoredTurn,
    surface: Surface,
    folder: Folder,
    *,
    several: bool,
    max_bytes: int,
    address: Address,
    telling: Telling,
    tell: Callable[[str], None],
    history: tuple[Exchange, ...] = (),
    said: Sequence[str] = (),
    heard: str = "",
) -> Prepared:
    """What the agent is asked, its attachments in `folder`. `several`: more than one person asked in the thread.
    `said` is what was written here in the agent's name and its backend doesn't know; `heard`: words that its text
    doesn't have yet. `tell` is given a few words for people while large files are on their way."""
    name, text = await surface.resolve(turn.person, turn.text)
    text = f"{text}\n\n{heard}".strip() if heard else text
    person = replace(turn.person, name=name)
    missing: list[str] = []
    earlier: Sequence[ContextMessage] = ()
    if turn.mid_thread:
        try:
            earlier = await retry(lambda: surface.earlier(turn.message_id), patience=PATIENCE)
        except SurfaceError as error:
            log.warning("context left out", reason=str(error))
            missing.append("what was written here before")
    wanted = [file for message in earlier for file in message.files] + list(turn.files)
    attachments, lost = await _fetch_all(surface, wanted[-MAX_ATTACHMENTS:], folder, max_bytes, tell)
    lost += [safe_name(file.name) for file in wanted[:-MAX_ATTACHMENTS]]
    composed = compose(
        text,
        name,
        [*earlier, *(ContextMessage(YOU, one) for one in said)],
        named=several and not turn.direct and turn.decision is None,
        attached=[file.name for file in attachments],
        missing=lost,
    )
    # last, as what is signed doesn't hold for long
    decided = turn.decision
    who: base.Person | None = None
    decision: Decision | None = None
    if decided is None:
        who = await _who_asks(turn.asked_by, person, surface, address, telling)
    else:  # whoever decided did so, whoever has it sent again
        decision = Decision(decided.approved, decided.reason)
        if not decided.by_nobody:
            who = await _who_asks(None, person, surface, address, telling)
    message = Message(turn.asked_as or turn.id, storable(composed), attachments, history, who, decision)
    return Prepared(message, person, text, (*missing, *lost))


async def _who_asks(
    presser: Person | None, author: Person, surface: Surface, address: Address, telling: Telling
) -> base.Person | None:
    """Whoever wrote, unless somebody else had it sent again: then the agent acts for them."""
    who, name, email = presser or author, author.name, ""
    if telling.tells_all:
        if who.id != author.id:
            name, _ = await surface.resolve(who, "")
        if isinstance(surface, Emails):
            email = await surface.email(who)
    return telling.person(from_platform(who, address, name=name, email=email))


def compose(
    text: str,
    author: str,
    earlier: Sequence[ContextMessage],
    *,
    named: bool,
    attached: Sequence[str] = (),
    missing: Sequence[str] = (),
) -> str:
    """What the agent reads. `named`: several people talk in the thread, so each is told by name."""
    question = text.strip()
    if not question and attached:
        question = f"(Attached without a word: {', '.join(attached)})"
    elif not question:
        question = "(You were called without a word.)"
    if named or earlier:
        question = f"{author}: {question}"
    if missing:
        question += f"\n\n(Attached, but it could not be read: {', '.join(missing)})"
    if not earlier:
        return question
    before = "\n\n".join(f"{one.author_name}: {_with_files(one)}" for one in earlier)
    return f"Earlier in this thread:\n\n{before}\n\nNow:\n\n{question}"


def _with_files(message: ContextMessage) -> str:
    if not message.files:
        return message.text
    return f"{message.text}\n(attached: {', '.join(file.name for file in message.files)})".lstrip()


async def _fetch_all(
    surface: Surface, files: Sequence[RemoteFile], folder: Folder, max_bytes: int, tell: Callable[[str], None]
) -> tuple[tuple[Attachment, ...], list[str]]:
    if not files:
        return (), []
    gate = asyncio.Semaphore(FETCHES_AT_ONCE)
    missing: list[str] = []
    paths: list[Path] = []
    total = sum(file.size for file in files)

    async def fetch(file: RemoteFile) -> Attachment | None:
        name = safe_name(file.name)
        path = folder.new()
        paths.append(path)
        try:
            async with gate:
                await retry(lambda: surface.fetch(file, path, max_bytes), patience=PATIENCE)
        except SurfaceError as error:
            log.warning("attachment left out", file=file.id, reason=str(error))
            missing.append(name)
            return None
        return Attachment(name=name, media_type=file.media_type, path=path, size=path.stat().st_size)

    def line() -> str:
        if total <= LARGE:
            return ""
        return FETCHING.format(percent=min(100, 100 * sum(map(_size, paths)) // total))

    async def show(words: str) -> None:
        tell(words)

    async with watched(line, show), asyncio.TaskGroup() as group:
        fetches = [group.create_task(fetch(file)) for file in files]
    return tuple(done for task in fetches if (done := task.result()) is not None), missing


def _size(path: Path) -> int:
    """Of a file that is being written, or isn't there."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
