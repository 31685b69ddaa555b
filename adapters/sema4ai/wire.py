"""What the Sema4.ai Agent API sends, as values. No I/O."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydantic import AliasChoices, Field

from adapters.base import File, ProtocolError, Scalar
from adapters.http.entries import Maybe
from adapters.http.wire import Wire
from adapters.sema4ai.text import content_text
from adapters.text import safe_name, without_thoughts


class Page(Wire):
    data: list[Any]
    next: Maybe[str] = None
    has_more: Maybe[bool] = None


class AgentEntry(Wire):
    id: str = Field(validation_alias=AliasChoices("id", "agent_id"), min_length=1)
    called: Maybe[str] = Field(None, validation_alias="name")

    @property
    def name(self) -> str:
        return self.called or ""


class ConversationEntry(Wire):
    id: str = Field(validation_alias=AliasChoices("id", "conversation_id"), min_length=1)


class Item(Wire):
    role: str  # "" for a message that isn't understood
    content: Any = None

    @property
    def is_agents(self) -> bool:
        return self.role == "agent"

    @property
    def is_nobodys(self) -> bool:
        return not self.role

    @property
    def goes_on(self) -> bool:
        """Whether its last part is none that people see: the agent is likely to say more."""
        return isinstance(self.content, list) and bool(self.content) and not content_text(self.content[-1:])

    @property
    def text(self) -> str:
        return without_thoughts(content_text(self.content))


class FileEntry(Wire):
    ref: str = Field(validation_alias=AliasChoices("file_ref", "ref", "name"), min_length=1)
    name: Maybe[str] = Field(None, validation_alias=AliasChoices("name", "file_name"))
    media_type: Maybe[str] = Field(None, validation_alias=AliasChoices("mime_type", "content_type", "media_type"))
    size: Maybe[int] = Field(None, validation_alias=AliasChoices("file_size", "size", "size_bytes"))
    id: Maybe[str] = Field(None, validation_alias=AliasChoices("file_id", "id"))

    def as_file(self) -> File:
        name = safe_name(self.name or self.ref)
        return File(name, self.ref, self.media_type or "application/octet-stream", self.size)

    @property
    def mark(self) -> str:
        return mark_of(self.ref, self.id, self.size)


class FrameEntry(Wire):
    name: str = Field(min_length=1)
    columns: Maybe[tuple[str, ...]] = Field(None, validation_alias=AliasChoices("column_headers", "columns"))
    rows: Maybe[int] = Field(None, validation_alias=AliasChoices("num_rows", "row_count"))

    @property
    def mark(self) -> str:
        return mark_of(self.name, self.columns, self.rows)


def answer_in(value: Any) -> str | None:
    """The answer in what a call returned in one piece: a message, or a conversation that ends with it."""
    for key in ("messages", "data", "message"):
        if isinstance(value, dict) and value.get(key):
            value = value[key]
    items = value if isinstance(value, list) else [value]
    for item in reversed(items):
        if isinstance(item, dict) and item.get("role") == "agent":
            return without_thoughts(content_text(item.get("content")))
    return None


def turn_in(value: Any) -> list[Item]:
    """The agent's messages after the last question, in what a call returned in one piece."""
    for key in ("messages", "data", "message"):
        if isinstance(value, dict) and value.get(key):
            value = value[key]
    turn: list[Item] = []
    for raw in value if isinstance(value, list) else [value]:
        if isinstance(raw, dict) and isinstance(raw.get("role"), str):
            item = Item(role=raw["role"], content=raw.get("content"))
            turn = [*turn, item] if item.is_agents else []
    return turn


def rows_in(value: Any, columns: tuple[str, ...]) -> tuple[tuple[str, ...], list[tuple[Scalar, ...]]]:
    """A page of a data frame, as records or as rows beside their columns."""
    if isinstance(value, dict):
        named = value.get("columns") or value.get("column_headers")
        if isinstance(named, list):
            columns = tuple(map(str, named))
        value = value.get("rows", value.get("data"))
    if not isinstance(value, list):
        raise ProtocolError("sema4ai data-frame: no rows")
    records = [row for row in value if isinstance(row, dict)]
    rows = [row for row in value if isinstance(row, list)]
    if value and not records and not rows:
        raise ProtocolError("sema4ai data-frame: nothing that is a row")
    if records:
        columns = columns or tuple(map(str, records[0]))
        return columns, [tuple(_cell(row.get(c)) for c in columns) for row in records]
    if any(len(row) != len(columns) for row in rows):
        raise ProtocolError("sema4ai data-frame: rows that don't fit the columns")
    return columns, [tuple(map(_cell, row)) for row in rows]


def _cell(value: Any) -> Scalar:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, Scalar) else json.dumps(value, ensure_ascii=False)


def next_page(mark: str) -> dict[str, str]:
    """The arguments for the next page: `next` is a mark, or an address of which only the query is taken."""
    query = parse_qs(urlsplit(mark).query) if "?" in mark else {}
    return {name: values[-1] for name, values in query.items()} or {"next": mark}


def mark_of(*values: object) -> str:
    """Six characters for a file or a frame as it is now."""
    return hashlib.blake2b(repr(values).encode("utf-8", "replace"), digest_size=3).hexdigest()
