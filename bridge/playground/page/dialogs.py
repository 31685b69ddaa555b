"""A form that the app opened, the same for both platforms: what it asks for, and what a person filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

NamedFile = tuple[str, str, bytes]  # name, media type, content

# Kinds of Discord's components.
LABEL, TEXT, SELECT, FILES = 18, 4, 3, 19
LONG = 2  # style of a text


class OptionView(TypedDict):
    label: str
    value: str


class FieldView(TypedDict):
    name: str
    label: str
    kind: Literal["line", "text", "files", "choice"]
    optional: bool
    value: str
    most: NotRequired[int]  # files
    options: NotRequired[list[OptionView]]


class DialogView(TypedDict):
    id: str
    title: str
    send: str
    words: str  # above the fields
    fields: list[FieldView]


class Given:
    """What a person filled in, by the fields' names."""

    def __init__(self, texts: Mapping[str, str], files: Mapping[str, Sequence[NamedFile]]) -> None:
        self.texts = texts
        self.files = files

    def values(self, fields: Sequence[FieldView]) -> dict[str, Any]:
        """As the worlds take them; what was left empty is left out."""
        values: dict[str, Any] = {}
        for field in fields:
            name = field["name"]
            given: Any = self.files.get(name) if field["kind"] == "files" else self.texts.get(name)
            if given:
                values[name] = given
        return values


def of_slack(view_id: str, body: Mapping[str, Any]) -> DialogView:
    return {
        "id": view_id,
        "title": body["title"]["text"],
        "send": (body.get("submit") or {}).get("text", "Submit"),
        "words": "\n".join(
            block["text"]["text"] for block in body["blocks"] if block["type"] == "section" and "text" in block
        ),
        "fields": [_slack_field(block) for block in body["blocks"] if block["type"] == "input"],
    }


def _slack_field(block: Mapping[str, Any]) -> FieldView:
    element = block["element"]
    field: FieldView = {
        "name": block["block_id"],
        "label": block["label"]["text"],
        "kind": "text" if element.get("multiline") else "line",
        "optional": bool(block.get("optional")),
        "value": str(element.get("initial_value") or ""),
    }
    if element["type"] == "file_input":
        field |= {"kind": "files", "most": int(element.get("max_files", 10))}
    elif "options" in element:
        options: list[OptionView] = [
            {"label": one["text"]["text"], "value": one["value"]} for one in element["options"]
        ]
        chosen = (element.get("initial_option") or {}).get("value", "")
        field |= {"kind": "choice", "options": options, "value": chosen}
    return field


def of_discord(interaction: int, modal: Mapping[str, Any]) -> DialogView:
    return {
        "id": str(interaction),
        "title": modal["title"],
        "send": "Submit",
        "words": "",
        "fields": [_discord_field(one) for one in modal["components"] if one.get("type") == LABEL],
    }


def _discord_field(label: Mapping[str, Any]) -> FieldView:
    inner = label["component"]
    field: FieldView = {
        "name": inner["custom_id"],
        "label": label["label"],
        "kind": "text" if inner.get("style") == LONG else "line",
        "optional": not inner.get("required", True),
        "value": str(inner.get("value") or ""),
    }
    if inner["type"] == FILES:
        field |= {"kind": "files", "most": int(inner.get("max_values") or 1)}
    elif inner["type"] == SELECT:
        options: list[OptionView] = [{"label": one["label"], "value": one["value"]} for one in inner["options"]]
        chosen = next((one["value"] for one in inner["options"] if one.get("default")), "")
        field |= {"kind": "choice", "options": options, "value": chosen}
    return field
