"""How a person fills in a modal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bridge.playground.discord.components import (
    CHECKBOX,
    CHECKBOX_GROUP,
    FILE_UPLOAD,
    LABEL,
    RADIO_GROUP,
    ROW,
    SELECTS,
    TEXT,
    TEXT_INPUT,
)
from bridge.playground.discord.model import Attachment, Json

NamedFile = tuple[str, str, bytes]
"""Name, media type, content."""

Filled = str | bool | Sequence[str] | Sequence[NamedFile]
"""What a person puts into one component."""


class FilledForm:
    """The components of a modal with a person's values, by custom id. `store` keeps their files, which `files`
    then lists."""

    def __init__(
        self, store: Callable[[Sequence[NamedFile]], list[Attachment]], values: Mapping[str, Any]
    ) -> None:
        self._store = store
        self._values = values
        self.files: list[Attachment] = []

    def fill(self, component: Json) -> Json:
        """The component as a submission carries it. Raises ValueError for what Discord's form wouldn't take."""
        kind = component["type"]
        answer: Json = {"type": kind, "id": component.get("id", 0)}
        if kind == LABEL:
            return answer | {"component": self.fill(component["component"])}
        if kind == ROW:
            return answer | {"components": [self.fill(item) for item in component["components"]]}
        if kind == TEXT:
            return answer
        value = self._values.get(component["custom_id"])
        answer["custom_id"] = component["custom_id"]
        if kind == FILE_UPLOAD:
            _check_count(component, len(value or ()))
            files = self._store(value or ())
            self.files += files
            return answer | {"values": [str(file.id) for file in files]}
        if kind in (*SELECTS, CHECKBOX_GROUP):
            _check_count(component, len(value or ()))
            return answer | {"values": list(value or ())}
        if kind == CHECKBOX:
            return answer | {"value": bool(value)}
        if not value and component.get("required", True):
            raise ValueError(f"required: {component['custom_id']}")
        if kind == RADIO_GROUP:
            return answer | {"value": value}
        if len(str(value or "")) > component.get("max_length", TEXT_INPUT):
            raise ValueError(f"too long: {component['custom_id']}")
        return answer | {"value": str(component.get("value", "") if value is None else value)}


def _check_count(component: Json, count: int) -> None:
    if not component.get("required", True) and count == 0:
        return
    low, high = (1 if component.get(name) is None else component[name] for name in ("min_values", "max_values"))
    if not low <= count <= high:
        raise ValueError(f"{component['custom_id']} takes {low} to {high}")
