"""The platform's side of a thread, as the reply needs it. Implemented by each front end, in the same shape.

A reply is a list of parts. A part is posted once, grows by edits while the agent talks, and is finished by an
edit (or a post) with `last=True`. Every call may be repeated after a failure; none may show a thing twice.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from bridge.inbound import Address, ContextMessage, RemoteFile
from bridge.render.style import Style

Action = Literal["stop", "again", "leave"]


@dataclass(frozen=True, slots=True)
class Button:
    """A button under a part. `turn` comes back with the click, to `Intake.pressed`."""

    action: Action
    label: str
    turn: str


@dataclass(frozen=True, slots=True)
class PartKey:
    """Names a part for ever, in every process: `nonce` is at most 25 characters (Discord's limit)."""

    turn: str  # 16 characters
    name: str  # "0", "1", … for text; "f0" a file, "t0" a table, "n0" a notice

    @property
    def nonce(self) -> str:
        return f"{self.turn}-{self.name}"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on this machine's disk that goes into the thread."""

    name: str
    path: Path
    media_type: str
    size: int


class SurfaceError(Exception):
    """Root of what a surface raises. `str(error)` is for the log and holds no secret."""


class Throttled(SurfaceError):
    """429: the same call may be repeated after `retry_after` seconds."""

    def __init__(self, detail: str, retry_after: float) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Unreachable(SurfaceError):
    """No connection or a 5xx: nobody knows whether the call took effect. `find` tells, or an edit is repeated."""


class PartFull(SurfaceError):
    """The part takes no more live text (a Slack stream that expired or filled up). The reply finishes it with
    `last=True` at the text it has by now, and goes on in a new part."""


class Gone(SurfaceError):
    """The channel, thread or message is deleted, or the bot was put out: no repeat will help."""


class Refused(SurfaceError):
    """The platform refuses this content for good (too long, a file too large, a type that isn't allowed)."""


class Surface(Protocol):
    """One turn's view of its thread."""

    style: Style

    async def working(self, label: str | None) -> None:
        """Show that the agent works (label "" for a plain sign of life); None ends the sign. Never raises:
        a sign of life must not cost a reply."""
        ...

    async def post(self, key: PartKey, text: str, *, last: bool, buttons: Sequence[Button] = ()) -> str:
        """Post a new part and return the platform's message id. `last=False`: it will grow."""
        ...

    async def edit(
        self,
        key: PartKey,
        message_id: str,
        text: str,
        *,
        shown: str | None,
        last: bool,
        buttons: Sequence[Button] = (),
    ) -> None:
        """Bring the part from `shown` to `text`; None where nobody knows what it shows (after a restart).
        `last=True` finishes it: the stream is stopped, the buttons are those given."""
        ...

    async def delete(self, message_id: str) -> None:
        """Take a part away that the final rendering has no use for; one that is gone already is fine."""
        ...

    async def upload(self, key: PartKey, files: Sequence[Upload], text: str = "") -> str:
        """Post files (at most `style.max_files`, each at most `style.max_file_bytes`) with a line of text."""
        ...

    async def find(self, key: PartKey, *, after: str, known: Collection[str]) -> str | None:
        """The message id of a part that an earlier try may have posted, None if it did not. Looks for the key
        where the platform keeps it, else for an own message after the message `after` that is not in `known`."""
        ...

    async def earlier(self, before: str) -> Sequence[ContextMessage]:
        """The messages of the thread before message `before`, oldest first, the bot's own left out; bounded."""
        ...

    async def fetch(self, file: RemoteFile, to: Path, max_bytes: int) -> None:
        """Download a person's attachment. Raises `Refused` if it is larger than `max_bytes` or not on the
        platform's own hosts."""
        ...


class FrontEnd(Protocol):
    """A platform that is being served."""

    platform: str

    async def serve(self) -> None:
        """Connect and serve until cancelled. Reconnects by itself; raises only what no retry can mend, a
        `ConfigurationError` with a sentence for the operator."""
        ...

    def surface(self, address: Address, *, author: str) -> Surface:
        """The surface for a turn of `author`, a user id of the platform: Slack streams to a person."""
        ...

    def trouble(self) -> str | None:
        """None while events really flow, else the reason in a few words, for `/readyz`."""
        ...


class ConfigurationError(Exception):
    """Something the operator must mend; `str(error)` is one sentence that says what and where."""
