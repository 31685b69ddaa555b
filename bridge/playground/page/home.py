"""The Home tab of Slack's app as the page shows it: its blocks as rows."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from bridge.playground.page.markdown import to_html
from bridge.playground.page.views import HomeButtonView, HomeRowView
from bridge.render.incoming import from_slack

NameOf = Callable[[str], str | None]

_DATE = re.compile(r"<!date\^(\d{1,11})\^[^|>]*\|[^>]*>")
_PERMALINK = re.compile(r"https://[^/]+/archives/(\w+)/p(\d+)(\d{6})")


def home_rows(blocks: Sequence[dict[str, Any]], name_of: NameOf, direct: str) -> list[HomeRowView]:
    """`direct` is the channel of the direct message with the app."""
    return [row for block in blocks for row in _rows(block, name_of, direct)]


def _rows(block: dict[str, Any], name_of: NameOf, direct: str) -> Iterator[HomeRowView]:
    match block["type"]:
        case "header":
            yield {"kind": "header", "html": _html(block["text"], name_of), "buttons": []}
        case "section":
            pressed = [block["accessory"]] if "accessory" in block else []
            shown = _html(block["text"], name_of)
            yield {"kind": "text", "html": shown, "buttons": [_button(one, direct) for one in pressed]}
        case "context":
            shown = " ".join(_html(one, name_of) for one in block["elements"])
            yield {"kind": "note", "html": shown, "buttons": []}
        case "actions":
            yield {"kind": "text", "html": "", "buttons": [_button(one, direct) for one in block["elements"]]}


def _html(text: dict[str, Any], name_of: NameOf) -> str:
    if text["type"] == "plain_text":
        return html.escape(text["text"]).replace("\n", "<br>")
    dated = _DATE.sub(lambda found: f"{datetime.fromtimestamp(int(found[1]), UTC):%b %d at %H:%M}", text["text"])
    return to_html(from_slack(dated, name_of).replace("\n", "  \n"))


def _button(element: dict[str, Any], direct: str) -> HomeButtonView:
    channel, thread, url = "", "", str(element.get("url", ""))
    if found := _PERMALINK.match(url):
        channel, thread = found[1], f"{found[2]}.{found[3]}"
    elif url.startswith("slack://app"):
        channel = direct
    return {"id": element["action_id"], "label": element["text"]["text"], "channel": channel, "thread": thread}
