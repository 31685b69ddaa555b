"""Buttons and inputs: what Slack sends of them when a person uses them. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bridge.playground.slack.checks import elements
from bridge.playground.slack.values import Json


def find_element(blocks: Sequence[Json], action_id: str) -> tuple[Json, Json]:
    """The block and the element with this action id. Raises `KeyError`."""
    for block in blocks:
        for element in elements(block):
            if element.get("action_id") == action_id:
                return block, element
    raise KeyError(action_id)


def pressed(block: Json, element: Json, value: str | None) -> Json:
    """One of a block_actions payload's `actions`."""
    action: Json = {
        "type": element["type"],
        "action_id": element["action_id"],
        "block_id": block["block_id"],
    }
    match element["type"]:
        case "feedback_buttons":
            buttons = [element["positive_button"], element["negative_button"]]
            chosen = next(button for button in buttons if value in (None, button.get("value")))
            return action | {"text": chosen["text"], "value": chosen.get("value", "")}
        case "button" | "icon_button":
            action["text"] = element["text"]
            if "value" in element:
                action["value"] = element["value"]
            return action
        case _:
            return action | filled_in(element, value)


def filled_in(element: Json, given: Any) -> Json:
    """The part of `state.values` for an input."""
    match element["type"]:
        case "static_select" | "radio_buttons" | "overflow":
            if given is None:
                return {"selected_option": element.get("initial_option")}
            return {"selected_option": _option(element, given)}
        case "multi_static_select" | "checkboxes":
            if given is None:
                return {"selected_options": element.get("initial_options", [])}
            return {"selected_options": [_option(element, one) for one in given]}
        case "users_select":
            return {"selected_user": given or element.get("initial_user")}
        case "conversations_select":
            return {"selected_conversation": given or element.get("initial_conversation")}
        case "channels_select":
            return {"selected_channel": given or element.get("initial_channel")}
        case _:
            return {"value": given if given is not None else element.get("initial_value")}


def _option(element: Json, value: str) -> Json:
    groups = [group["options"] for group in element.get("option_groups", [])]
    for options in [element.get("options", []), *groups]:
        for option in options:
            if option["value"] == value:
                return dict(option)
    raise ValueError(f"{value!r} can't be chosen")


def has_initial(element: Json) -> bool:
    """Whether an input is filled in before the person does anything."""
    return any(name.startswith("initial_") for name in element)
