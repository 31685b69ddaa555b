"""What Slack refuses about a message's or a view's content. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bridge.playground.slack.data_blocks import data_table, data_visualization, too_many
from bridge.playground.slack.errors import SlackError
from bridge.playground.slack.tasks import card_problems, check_update, plan_problems
from bridge.playground.slack.values import Json

# Documented limits of Slack's messages.
MAX_TEXT = 40_000  # characters of `text`; the rest is cut off
MAX_MARKDOWN = 12_000  # characters of `markdown_text`, and of all markdown blocks of a message together
MAX_BLOCKS = 50
MAX_ATTACHMENTS = 100
MAX_VIEW_BLOCKS = 100
MAX_INPUT_TEXT = 3_000  # characters of a text input
MAX_METADATA = 8_000  # characters of the payload's JSON
# Not documented; what other projects measured.
MAX_UPDATE_TEXT = 4_000  # characters of `text` in chat.update
MAX_ALL_BLOCKS = 13_200  # characters of the texts of all blocks

MESSAGES_ONLY = frozenset({"context_actions", "data_table", "data_visualization", "table"})
INTERACTIVE = frozenset(
    {
        "button",
        "checkboxes",
        "channels_select",
        "conversations_select",
        "datepicker",
        "external_select",
        "feedback_buttons",
        "file_input",
        "icon_button",
        "multi_conversations_select",
        "multi_static_select",
        "multi_users_select",
        "number_input",
        "overflow",
        "plain_text_input",
        "radio_buttons",
        "rich_text_input",
        "static_select",
        "timepicker",
        "url_text_input",
        "users_select",
        "workflow_button",
    }
)


def check_message(blocks: Sequence[Json]) -> None:
    """Raise `invalid_blocks` or `msg_blocks_too_long` for what can't be a message's blocks."""
    _check(blocks, MAX_BLOCKS, "message")
    markdown = sum(len(block["text"]) for block in blocks if block["type"] == "markdown")
    if markdown > MAX_MARKDOWN:
        raise _invalid([_problem("/blocks", f"markdown text must be at most {MAX_MARKDOWN} characters in all")])
    if sum(len(text) for text in texts(blocks)) > MAX_ALL_BLOCKS:
        raise SlackError("msg_blocks_too_long")


def check_view(view: Json) -> None:
    """Raise `invalid_arguments` for what can't be a modal or a home tab."""
    kind = view.get("type")
    problems: list[str] = []
    if kind not in ("modal", "home"):
        problems.append("must provide a supported view type [json-pointer:/view/type]")
    if kind == "modal":
        title = view.get("title") or {}
        if not 1 <= len(str(title.get("text", ""))) <= 24:
            problems.append("must be between 1 and 24 characters [json-pointer:/view/title/text]")
        for name in ("submit", "close"):
            if name in view and not 1 <= len(str(view[name].get("text", ""))) <= 24:
                problems.append(f"must be between 1 and 24 characters [json-pointer:/view/{name}/text]")
        if "submit" not in view and any(block.get("type") == "input" for block in view.get("blocks", [])):
            problems.append("missing required field: submit [json-pointer:/view]")
    if len(str(view.get("private_metadata", ""))) > 3_000:
        problems.append("must be less than 3001 characters [json-pointer:/view/private_metadata]")
    if len(str(view.get("callback_id", ""))) > 255:
        problems.append("must be less than 256 characters [json-pointer:/view/callback_id]")
    if problems:
        raise SlackError("invalid_arguments", *problems)
    try:
        _check(view.get("blocks", []), MAX_VIEW_BLOCKS, str(kind))
    except SlackError as refusal:
        raise SlackError("invalid_arguments", *refusal.body["errors"]) from None


def check_metadata(metadata: object) -> Json:
    """Message metadata as it is stored."""
    if not isinstance(metadata, dict):
        raise SlackError("invalid_metadata_format")
    if not isinstance(metadata.get("event_type"), str):
        raise SlackError("invalid_metadata_format")
    payload = metadata.get("event_payload")
    if not metadata["event_type"] or not isinstance(payload, dict):
        raise SlackError("invalid_metadata_format")
    if len(json.dumps(payload)) > MAX_METADATA:
        raise SlackError("metadata_too_large")
    return {"event_type": metadata["event_type"], "event_payload": payload}


def check_chunks(chunks: Sequence[Json]) -> None:
    """Raise `invalid_chunks` for what can't be a stream's chunks."""
    for chunk in chunks:
        match chunk:
            case {"type": "markdown_text", "text": str()}:
                pass
            case {"type": "plan_update" | "task_update"}:
                check_update(chunk)
            case {"type": "blocks", "blocks": list(blocks)}:
                check_message(blocks)
            case _:
                raise SlackError("invalid_chunks")


def texts(node: Any) -> Iterator[str]:
    """Every text that blocks show."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name in ("text", "title") and isinstance(value, str):
                yield value
            elif isinstance(value, dict | list):
                yield from texts(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from texts(value)


def elements(block: Json) -> Iterator[Json]:
    """The interactive elements of a block."""
    candidates = [*block.get("elements", []), block.get("element"), block.get("accessory")]
    for element in candidates:
        if isinstance(element, dict) and element.get("type") in INTERACTIVE:
            yield element


def notifying(node: Any) -> Iterator[str]:
    """What in blocks can notify people: marked-up texts, and the tokens of rich text's mentions."""
    if isinstance(node, list | tuple):
        for value in node:
            yield from notifying(value)
    elif isinstance(node, dict):
        match node:
            case {"type": "mrkdwn" | "markdown", "text": str(text)}:
                yield text
            case {"type": "user", "user_id": str(user)}:
                yield f"<@{user}>"
            case {"type": "broadcast", "range": str(name)}:
                yield f"<!{name}>"
            case {"type": "usergroup", "usergroup_id": str(group)}:
                yield f"<!subteam^{group}>"
            case _:
                yield from notifying(list(node.values()))


_PING = re.compile(r"<(?:@[UWB][A-Z0-9]+|!(?:channel|here|everyone)|!subteam\^[A-Z0-9]+)(?:\|[^>]*)?>")
_NAMED_PING = re.compile(r"(?<!\w)@(?:channel|here|everyone)\b")
_CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
_LINK = re.compile(r"https?://[^\s<>|)\]]+")


def pings(text: str, *, link_names: bool = False) -> list[str]:
    """The tokens in a text that notify people; with `link_names` the plain `@channel` does too."""
    return [*_PING.findall(text), *(_NAMED_PING.findall(text) if link_names else ())]


def links(text: str) -> list[str]:
    """The addresses in a text that Slack would unfurl: all outside code."""
    return _LINK.findall(_CODE.sub("", text))


def _problem(pointer: str, message: str) -> str:
    return f"{message} [json-pointer:{pointer}]"


def _invalid(problems: list[str]) -> SlackError:
    return SlackError("invalid_blocks", *problems, errors=problems)


def _check(blocks: Sequence[Json], most: int, surface: str) -> None:
    if not isinstance(blocks, list | tuple) or not all(isinstance(block, dict) for block in blocks):
        raise SlackError("invalid_blocks_format")
    problems: list[str] = []
    if len(blocks) > most:
        problems.append(_problem("/blocks", f"no more than {most} items allowed"))
    seen_blocks: set[str] = set()
    for index, block in enumerate(blocks):
        at = f"/blocks/{index}"
        checker = _CHECKERS.get(str(block.get("type")))
        if checker is None or (surface == "message" and block["type"] in ("input", "file")):
            problems.append(_problem(f"{at}/type", f"unsupported type: {block.get('type')}"))
            continue
        if surface != "message" and block["type"] in MESSAGES_ONLY:
            problems.append(_problem(f"{at}/type", f"unsupported type: {block['type']}"))
            continue
        block_id = block.get("block_id")
        if block_id is not None:
            if not isinstance(block_id, str) or not 1 <= len(block_id) <= 255:
                problems.append(_problem(f"{at}/block_id", "must be less than 256 characters"))
            elif block_id in seen_blocks:
                problems.append(_problem(f"{at}/block_id", "`block_id` must be unique"))
            seen_blocks.add(str(block_id))
        problems.extend(checker(block, at))
        seen_actions: set[str] = set()
        for element in elements(block):
            action = element.get("action_id")
            if action is None:
                continue
            if len(str(action)) > 255:
                problems.append(_problem(f"{at}/elements", "action_id must be less than 256 characters"))
            if action in seen_actions:
                problems.append(_problem(f"{at}/elements", f"`action_id` {action} already exists"))
            seen_actions.add(action)
    tables = sum(1 for block in blocks if block.get("type") == "table")
    if tables > 1:
        problems.append(_problem("/blocks", "only_one_table_allowed"))
    problems += too_many(blocks)
    if problems:
        raise _invalid(problems)


def _text(value: Any, at: str, most: int, *, kinds: tuple[str, ...]) -> list[str]:
    if not isinstance(value, dict) or value.get("type") not in kinds:
        return [_problem(at, f"must be a text object of type {' or '.join(kinds)}")]
    text = value.get("text")
    if not isinstance(text, str) or not text:
        return [_problem(f"{at}/text", "must be more than 0 characters")]
    if len(text) > most:
        return [_problem(f"{at}/text", f"must be less than {most + 1} characters")]
    return []


_ANY_TEXT = ("plain_text", "mrkdwn")
_PLAIN = ("plain_text",)


def _section(block: Json, at: str) -> list[str]:
    problems: list[str] = []
    fields = block.get("fields")
    if "text" in block:
        problems += _text(block["text"], f"{at}/text", 3_000, kinds=_ANY_TEXT)
    elif not fields:
        problems.append(_problem(at, "missing required field: text"))
    if fields is not None:
        if not 1 <= len(fields) <= 10:
            problems.append(_problem(f"{at}/fields", "no more than 10 items allowed"))
        for index, one in enumerate(fields):
            problems += _text(one, f"{at}/fields/{index}", 2_000, kinds=_ANY_TEXT)
    if "accessory" in block:
        problems += _element(block["accessory"], f"{at}/accessory")
    return problems


def _markdown(block: Json, at: str) -> list[str]:
    text = block.get("text")
    if not isinstance(text, str) or not text:
        return [_problem(f"{at}/text", "must be more than 0 characters")]
    if len(text) > MAX_MARKDOWN:
        return [_problem(f"{at}/text", f"must be less than {MAX_MARKDOWN + 1} characters")]
    return []


def _header(block: Json, at: str) -> list[str]:
    return _text(block.get("text"), f"{at}/text", 150, kinds=_PLAIN)


def _context(block: Json, at: str) -> list[str]:
    inside = block.get("elements")
    if not isinstance(inside, list) or not 1 <= len(inside) <= 10:
        return [_problem(f"{at}/elements", "must have between 1 and 10 items")]
    problems: list[str] = []
    for index, element in enumerate(inside):
        if element.get("type") != "image":
            problems += _text(element, f"{at}/elements/{index}", 2_000, kinds=_ANY_TEXT)
    return problems


def _actions(block: Json, at: str) -> list[str]:
    inside = block.get("elements")
    if not isinstance(inside, list) or not 1 <= len(inside) <= 25:
        return [_problem(f"{at}/elements", "must have between 1 and 25 items")]
    problems: list[str] = []
    for index, element in enumerate(inside):
        if element.get("type") in ("feedback_buttons", "icon_button", "file_input", "plain_text_input"):
            problems.append(_problem(f"{at}/elements/{index}/type", f"unsupported type: {element.get('type')}"))
        problems += _element(element, f"{at}/elements/{index}")
    return problems


def _context_actions(block: Json, at: str) -> list[str]:
    inside = block.get("elements")
    if not isinstance(inside, list) or not 1 <= len(inside) <= 5:
        return [_problem(f"{at}/elements", "must have between 1 and 5 items")]
    problems: list[str] = []
    for index, element in enumerate(inside):
        if element.get("type") not in ("feedback_buttons", "icon_button"):
            problems.append(_problem(f"{at}/elements/{index}/type", f"unsupported type: {element.get('type')}"))
        problems += _element(element, f"{at}/elements/{index}")
    return problems


def _input(block: Json, at: str) -> list[str]:
    problems = _text(block.get("label"), f"{at}/label", 2_000, kinds=_PLAIN)
    if "hint" in block:
        problems += _text(block["hint"], f"{at}/hint", 2_000, kinds=_PLAIN)
    return problems + _element(block.get("element"), f"{at}/element")


def _table(block: Json, at: str) -> list[str]:
    rows = block.get("rows")
    if not isinstance(rows, list) or not 1 <= len(rows) <= 100:
        return [_problem(f"{at}/rows", "must have between 1 and 100 items")]
    problems: list[str] = []
    for index, row in enumerate(rows):
        if not isinstance(row, list) or not 1 <= len(row) <= 20:
            problems.append(_problem(f"{at}/rows/{index}", "must have between 1 and 20 items"))
            continue
        for column, cell in enumerate(row):
            if not isinstance(cell, dict) or cell.get("type") not in ("raw_text", "raw_number", "rich_text"):
                problems.append(_problem(f"{at}/rows/{index}/{column}/type", "unsupported type"))
            elif cell["type"] == "raw_text" and not cell.get("text"):
                problems.append(_problem(f"{at}/rows/{index}/{column}/text", "must be more than 0 characters"))
    if len(block.get("column_settings", [])) > 20:
        problems.append(_problem(f"{at}/column_settings", "no more than 20 items allowed"))
    return problems


def _image(block: Json, at: str) -> list[str]:
    if not block.get("alt_text") or not (block.get("image_url") or block.get("slack_file")):
        return [_problem(at, "missing required field: alt_text or image_url")]
    return []


def _rich_text(block: Json, at: str) -> list[str]:
    return [] if isinstance(block.get("elements"), list) else [_problem(at, "missing required field: elements")]


def _plan(block: Json, at: str) -> list[str]:
    return [_problem(where, what) for where, what in plan_problems(block, at)]


def _task_card(block: Json, at: str) -> list[str]:
    return [_problem(where, what) for where, what in card_problems(block, at)]


def _anything(_block: Json, _at: str) -> list[str]:
    return []


def _element(element: Any, at: str) -> list[str]:
    if not isinstance(element, dict):
        return [_problem(at, "must be an object")]
    kind = element.get("type")
    problems: list[str] = []
    match kind:
        case "button":
            problems += _text(element.get("text"), f"{at}/text", 75, kinds=_PLAIN)
            problems += _value(element, at)
            if len(str(element.get("url", ""))) > 3_000:
                problems.append(_problem(f"{at}/url", "must be less than 3001 characters"))
            if element.get("style") not in (None, "primary", "danger"):
                problems.append(_problem(f"{at}/style", "must be primary or danger"))
        case "feedback_buttons":
            for name in ("positive_button", "negative_button"):
                button = element.get(name)
                if not isinstance(button, dict):
                    problems.append(_problem(at, f"missing required field: {name}"))
                    continue
                problems += _text(button.get("text"), f"{at}/{name}/text", 75, kinds=_PLAIN)
                problems += _value(button, f"{at}/{name}")
        case "icon_button":
            problems += _text(element.get("text"), f"{at}/text", 75, kinds=_PLAIN)
            if element.get("icon") != "trash":
                problems.append(_problem(f"{at}/icon", "unsupported icon"))
        case "static_select" | "multi_static_select" | "radio_buttons" | "checkboxes" | "overflow":
            problems += _options(element, at)
            if "placeholder" in element:
                problems += _text(element["placeholder"], f"{at}/placeholder", 150, kinds=_PLAIN)
        case "plain_text_input":
            problems += _text_input(element, at)
        case "file_input":
            if not 1 <= int(element.get("max_files", 10)) <= 10:
                problems.append(_problem(f"{at}/max_files", "must be between 1 and 10"))
        case "image":
            problems += _image(element, at)
        case _ if kind not in INTERACTIVE:
            problems.append(_problem(f"{at}/type", f"unsupported type: {kind}"))
    return problems


def _text_input(element: Json, at: str) -> list[str]:
    problems: list[str] = []
    if "placeholder" in element:
        problems += _text(element["placeholder"], f"{at}/placeholder", 150, kinds=_PLAIN)
    for name, low in (("min_length", 0), ("max_length", 1)):
        if name in element and not low <= int(element[name]) <= MAX_INPUT_TEXT:
            problems.append(_problem(f"{at}/{name}", f"must be between {low} and {MAX_INPUT_TEXT}"))
    if len(str(element.get("initial_value") or "")) > int(element.get("max_length", MAX_INPUT_TEXT)):
        problems.append(_problem(f"{at}/initial_value", "must be shorter than max_length"))
    return problems


def _value(element: Json, at: str) -> list[str]:
    if len(str(element.get("value", ""))) > 2_000:
        return [_problem(f"{at}/value", "must be less than 2001 characters")]
    return []


def _options(element: Json, at: str) -> list[str]:
    most = {"radio_buttons": 10, "checkboxes": 10, "overflow": 5}.get(element["type"], 100)
    options = element.get("options")
    if options is None and "option_groups" in element:
        options = [option for group in element["option_groups"] for option in group.get("options", [])]
    if not isinstance(options, list) or not 1 <= len(options) <= most:
        return [_problem(f"{at}/options", f"must have between 1 and {most} items")]
    problems: list[str] = []
    for index, option in enumerate(options):
        problems += _text(option.get("text"), f"{at}/options/{index}/text", 75, kinds=_ANY_TEXT)
        if not 1 <= len(str(option.get("value", ""))) <= 150:
            problems.append(_problem(f"{at}/options/{index}/value", "must be less than 151 characters"))
    return problems


_CHECKERS: dict[str, Callable[[Json, str], list[str]]] = {
    "actions": _actions,
    "context": _context,
    "context_actions": _context_actions,
    "data_table": data_table,
    "data_visualization": data_visualization,
    "divider": _anything,
    "file": _anything,
    "header": _header,
    "image": _image,
    "input": _input,
    "markdown": _markdown,
    "plan": _plan,
    "rich_text": _rich_text,
    "section": _section,
    "table": _table,
    "task_card": _task_card,
    "video": _anything,
}
