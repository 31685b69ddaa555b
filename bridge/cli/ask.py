"""One turn from the terminal: `threadbridge ask` and `threadbridge files`."""

from __future__ import annotations

import asyncio
import getpass
import mimetypes
import os
import stat
import sys
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from secrets import token_hex
from typing import Any

from adapters.base import (
    Agent,
    Approval,
    Attachment,
    Cancels,
    Chart,
    Checkpoint,
    Decision,
    Done,
    Event,
    File,
    Files,
    InputRequest,
    Message,
    Person,
    Rejected,
    Stateless,
    Status,
    Step,
    StepState,
    Table,
    Text,
    TimedOut,
)
from adapters.person import as_object
from adapters.text import safe_name
from bridge.cli.output import aside, write
from bridge.printable import printable_json
from bridge.render.data import Data
from bridge.turns.person import Telling

MAX_FILE_BYTES = 1024 * 1024 * 1024  # one file from an agent
MAX_SAME_NAME = 1_000  # files of one name in a folder
_YES = {"y", "yes"}
_NOBODY = "Nobody answered at the terminal."


class Terminal:
    """A person at a terminal: text on standard output, everything else on standard error."""

    def __init__(self, agent: Agent, telling: Telling, *, out: Path, as_json: bool) -> None:
        self._agent = agent
        self._telling = telling
        self._who = Person("terminal", login_name())
        self._out = out
        self._as_json = as_json
        self._ends_line = True
        self._input = _StandardInput()
        self._checkpoint: Checkpoint | None = None
        self._begun: set[str] = set()  # steps
        self.conversation: str | None = None

    async def ask(self, text: str, files: Sequence[Path], conversation: str | None, deadline: float) -> None:
        """Raises `AgentError` when the turn fails."""
        if conversation and isinstance(self._agent, Stateless):
            raise Rejected(
                "--conversation of a Stateless agent",
                sentence="This agent keeps no conversation: each question stands alone.",
            )
        self.conversation = conversation
        message = self._message(text, tuple(_attachment(path) for path in files))
        if self._as_json:
            write(printable_json({"event": "person", **as_object(self._who), "told": self._telling.level}))
        try:
            while (question := await self._listen(message, deadline)) is not None:
                self._begun.clear()
                message = await self._answer(question)
        except asyncio.CancelledError:
            await self._cancel()
            raise
        finally:
            self._end_line()

    def _message(self, text: str, files: tuple[Attachment, ...] = (), decision: Decision | None = None) -> Message:
        return Message(token_hex(8), text, files, person=self._telling.person(self._who), decision=decision)

    async def _listen(self, message: Message, deadline: float) -> InputRequest | Approval | None:
        try:
            async with asyncio.timeout(deadline):
                return await self._hear(message)
        except TimeoutError:
            raise TimedOut(f"no answer within {deadline:g} s") from None

    async def _hear(self, message: Message) -> InputRequest | Approval | None:
        events = self._agent.ask(self.conversation, message, resume=self._checkpoint)
        async with aclosing(events) as events:  # type: ignore[type-var]  # an adapter's ask is a generator
            async for event in events:
                if isinstance(event, Checkpoint):
                    self._checkpoint = event
                    self.conversation = event.conversation or self.conversation
                if isinstance(event, InputRequest | Approval):
                    await self._show(event)
                    return event
                await self._show(event)
        return None

    async def _show(self, event: Event) -> None:
        if self._as_json:
            extra = {"path": str(path)} if (path := await self._save(event)) else {}
            write(printable_json(event_json(event) | extra))
            return
        match event:
            case Text(delta):
                write(delta, end="")
                self._ends_line = delta.endswith("\n") if delta else self._ends_line
            case Done():
                self._end_line()
                for number, source in enumerate(event.sources, 1):
                    aside(" ".join(filter(None, (f"[{number}]", source.title, source.url))))
            case Status(label):
                self._aside(f"[{label}]")
            case Step():
                self._show_step(event)
            case File() | Table() | Chart():
                self._aside(f"saved {await self._save(event)}")
            case InputRequest(text, choices):
                self._end_line()
                write("\n".join([text, *(f"- {choice}" for choice in choices)]))
            case Approval(title, detail):
                self._end_line()
                write("\n".join(filter(None, (title, detail))))
            case _:
                pass

    def _show_step(self, step: Step) -> None:
        """A line when it begins, and one if it fails."""
        if step.id not in self._begun:
            self._begun.add(step.id)
            self._aside(f"· {step.title}: {step.detail}" if step.detail else f"· {step.title}")
        if step.state is StepState.FAILED:
            self._aside(f"· {step.title}: failed")

    def _aside(self, line: str) -> None:
        self._end_line()
        aside(line)

    def _end_line(self) -> None:
        if not self._ends_line and not self._as_json:
            write("")
            self._ends_line = True

    async def _answer(self, question: InputRequest | Approval) -> Message:
        if isinstance(question, Approval):
            return await self._decide()
        aside("> ", end="")
        line = await self._input.line()
        if not line.strip():
            raise Rejected("no answer", sentence=f"The agent asked “{question.text}” and got no answer.")
        return self._message(line.strip())

    async def _decide(self) -> Message:
        """Whatever isn't a yes declines, silence too."""
        aside("Approve? y or n, and a reason if you like [y/N] ", end="")
        word, _, reason = (await self._input.line()).strip().partition(" ")
        decision = Decision(word.lower() in _YES, reason.strip() if word else _NOBODY)
        if self._as_json:
            write(printable_json({"event": "decision"} | asdict(decision)))
        words = " ".join(filter(None, ("Approved." if decision.approved else "Declined.", decision.reason)))
        return self._message(words, decision=decision)

    async def _cancel(self) -> None:
        if isinstance(self._agent, Cancels) and self._checkpoint and self.conversation:
            await self._agent.cancel(self.conversation, self._checkpoint)

    async def _save(self, event: Event) -> Path | None:
        match event:
            case File(name, ref):
                return await save_file(self._agent, self.conversation or "", name, ref, self._out)
            case Table() | Chart():
                path = _free_path(self._out, f"{Path(safe_name(event.name)).stem}.csv")
                path.write_bytes(Data.of(event).csv())
                return path
            case _:
                return None


async def save_file(agent: Agent, conversation: str, name: str, ref: str, out: Path) -> Path:
    """Download a conversation's file into the folder `out` under a harmless name that is still free."""
    if not isinstance(agent, Files):
        raise Rejected("no files", sentence="This agent has no files to give.")
    path = _free_path(out, safe_name(name))
    unfinished = path.with_name(f".{path.name}.part")
    try:
        size = 0
        with unfinished.open("wb") as target:
            async for chunk in agent.download(conversation, ref):
                size += len(chunk)
                if size > MAX_FILE_BYTES:
                    raise Rejected(
                        "file too large", sentence=f"{path.name} is larger than {MAX_FILE_BYTES} bytes."
                    )
                target.write(chunk)
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def login_name() -> str:
    """Whom the system takes this person for; where it has no name for them, their number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"


def event_json(event: Event) -> dict[str, Any]:
    """One event as `threadbridge ask --json` prints it: `event` names it, the rest are its fields."""
    return {"event": type(event).__name__.lower()} | asdict(event)


def _attachment(path: Path) -> Attachment:
    if not path.is_file():
        raise Rejected("no such file", sentence=f"There is no file {path}.")
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Attachment(path.name, media_type, path, path.stat().st_size)


def _free_path(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    first = folder / name
    numbered = (folder / f"{first.stem}-{number}{first.suffix}" for number in range(2, MAX_SAME_NAME))
    for path in (first, *numbered):
        if not path.exists():
            return path
    raise Rejected("folder full", sentence=f"{folder} holds too many files named {name}.")


class _StandardInput:
    """Lines from standard input without blocking the loop, where it is a terminal or a pipe."""

    def __init__(self) -> None:
        self._reader: asyncio.StreamReader | None = None

    async def line(self) -> str:
        if self._reader is None:
            mode = os.fstat(sys.stdin.fileno()).st_mode
            if not (sys.stdin.isatty() or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
                return sys.stdin.readline()  # a file never blocks, and the loop can't watch it
            self._reader = asyncio.StreamReader()
            protocol = asyncio.StreamReaderProtocol(self._reader)
            own = os.fdopen(os.dup(sys.stdin.fileno()))  # the transport closes what it is given
            await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, own)
        return (await self._reader.readline()).decode(errors="replace")
