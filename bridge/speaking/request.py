"""What may be asked of the endpoint: values, checked. No I/O."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bridge.settings import sentences

MAX_TEXT = 40_000  # characters of Markdown
MAX_TITLE = 200  # characters; a platform may show fewer
MAX_KEY = 200  # characters of an idempotency key
MAX_LINES = 100  # read back at once

_KEY = re.compile(rf"[!-~]{{1,{MAX_KEY}}}")
_OWN = re.compile(r"[0-9a-f]{16}")
# Of many workspaces one is named before the channel or person.
_CHANNEL = {
    "slack": re.compile(r"(?:[TE][A-Z0-9]{1,30}:)?[A-Z][A-Z0-9]{1,30}"),
    "discord": re.compile(r"[0-9]{1,20}"),
}
_THREAD = {"slack": re.compile(r"[0-9]{1,12}\.[0-9]{6}"), "discord": re.compile(r"[0-9]{1,20}")}


class Wrong(Exception):
    """A request that can't be carried out. Each sentence is for whoever made it."""

    def __init__(self, status: int, *sentences: str, retry_after: int | None = None) -> None:
        super().__init__(" ".join(sentences))
        self.status = status
        self.sentences = sentences
        self.retry_after = retry_after  # seconds


class Request(BaseModel):
    """What is to be said, and where: in a channel, to a person, or in a thread that is known."""

    model_config = ConfigDict(extra="forbid", strict=True)

    platform: Literal["slack", "discord"] | None = None
    channel: str | None = None
    person: str | None = None
    thread: str | None = None  # the id of an earlier message of ours, or with a channel the platform's own id
    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
    title: Annotated[str, Field(max_length=MAX_TITLE)] = ""
    agent: Annotated[str, Field(max_length=64)] = ""
    conversation: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None

    @model_validator(mode="after")
    def _says_one_place(self) -> Request:
        if not self.text.strip():
            raise ValueError("text is empty")
        if self.conversation is not None and not self.conversation.isprintable():
            raise ValueError("`conversation` holds characters that no id has")
        if self.own_thread:
            self._needs_no("platform", "channel", "person", why="`thread` is one of ours already")
        else:
            self._is_a_place()
        if self.thread is not None:
            self._needs_no("agent", "title", why="the thread is there already")
        return self

    def _is_a_place(self) -> None:
        if self.platform is None:
            raise ValueError('`platform` is missing: "slack" or "discord"')
        if (self.channel is None) == (self.person is None):
            raise ValueError("name a `channel` or a `person`, one of the two")
        if self.person is not None and self.thread is not None:
            raise ValueError("a `thread` goes with the `channel` that it is in")
        place = self.channel if self.person is None else self.person
        if place is None or not _CHANNEL[self.platform].fullmatch(place):
            raise ValueError(f"the channel or person must be its id on {self.platform}, not a name")
        if self.thread is not None and not _THREAD[self.platform].fullmatch(self.thread):
            raise ValueError(
                f"`thread` must be a thread's id on {self.platform}, or an `id` that was answered here"
            )

    def _needs_no(self, *names: str, why: str) -> None:
        for name in names:
            if getattr(self, name):
                raise ValueError(f"`{name}` can't be given here: {why}")

    @property
    def bare_channel(self) -> str:
        """The channel without the workspace that was named before it."""
        return (self.channel or "").rpartition(":")[2]

    @property
    def own_thread(self) -> bool:
        """Whether `thread` is an id that was answered here."""
        return self.thread is not None and _OWN.fullmatch(self.thread) is not None

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode("utf-8", "surrogatepass")).hexdigest()


def read_request(values: object) -> Request:
    """:raises Wrong: with a sentence for each wrong field."""
    if not isinstance(values, dict):
        raise Wrong(422, "the request must be a JSON object")
    try:
        return Request.model_validate(values)
    except ValidationError as error:
        said = (one.removeprefix("request: ").removeprefix("request.") for one in sentences(
            error, "request", list(Request.model_fields)
        ))  # fmt: skip
        raise Wrong(422, *said) from None


def read_key(key: str | None) -> str:
    """The idempotency key as it is stored. :raises Wrong:"""
    if key is None or not _KEY.fullmatch(key):
        raise Wrong(
            400,
            f"an idempotency key is needed: 1 to {MAX_KEY} printable ASCII characters, another for each message",
        )
    return hashlib.sha256(key.encode()).hexdigest()


def read_id(given: str) -> str:
    """:raises Wrong:"""
    if not _OWN.fullmatch(given):
        raise Wrong(404, "there is no such message")
    return given
