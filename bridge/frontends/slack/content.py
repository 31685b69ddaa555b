"""The words of a message that came as blocks and attachments, as Slack's own mrkdwn. No I/O.

An alert has no `text`, or only its first line: what it says lies in blocks, and in attachments, which hold blocks
again. What is of a kind that isn't known here gives the texts that lie in it.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Payload = Mapping[str, Any]  # JSON as Slack sends it

MAX_WORDS = (
    20_000  # characters of one message; an alert with everything that was attached to it has a few thousand
)
MAX_DEPTH = 10  # of blocks in attachments in blocks
MAX_PIECES = 2_000  # blocks, cells and the like of one message

_MARKS = {"bold": "*", "italic": "_", "strike": "~"}  # of mrkdwn


def words(message: Payload) -> str:
    """The text of a message, what its blocks and attachments say, and what it forwards as a quote below."""
    text = str(message.get("text") or "")
    reader = _Reader()
    # A person's blocks are the text once more; a bot's text is often only what its notification shows.
    blocks = "\n".join(reader.blocks(message.get("blocks"), 0)) if message.get("bot_id") or not text else ""
    said = [text if text not in blocks or not blocks else "", blocks]
    said += ["\n".join(reader.attachment(one, 0)) for one in _alerts_in(message)]
    said += [_quoted(reader, one) for one in forwarded_in(message)]
    return "\n\n".join(one for one in said if one.strip())[:MAX_WORDS]


def forwarded_in(message: Payload) -> list[Payload]:
    return [one for one in _dicts(message.get("attachments")) if _is_forwarded(one)]


def _is_forwarded(attachment: Payload) -> bool:
    return bool(attachment.get("is_share") or attachment.get("is_msg_unfurl"))


def _alerts_in(message: Payload) -> Iterator[Payload]:
    """The attachments that someone wrote; Slack makes others, of the links in a text."""
    for one in _dicts(message.get("attachments")):
        if not _is_forwarded(one) and not (one.get("from_url") or one.get("is_app_unfurl")):
            yield one


def _quoted(reader: _Reader, forwarded: Payload) -> str:
    text = str(forwarded.get("text") or "")
    if not text:
        inner = [one.get("message") or {} for one in _dicts(forwarded.get("message_blocks"))]
        lines = [line for one in inner for line in reader.blocks(one.get("blocks"), 1)]
        lines += [line for one in _dicts(forwarded.get("attachments")) for line in reader.attachment(one, 1)]
        text = "\n".join(lines) or str(forwarded.get("fallback") or "")
    return "\n".join(f"&gt; {line}" for line in text.splitlines())


class _Reader:
    """Reads the blocks of one message, so many and no more. What comes may be of any shape."""

    def __init__(self) -> None:
        self._left = MAX_PIECES

    def blocks(self, blocks: object, depth: int) -> Iterator[str]:
        for block in _dicts(blocks):
            if self._left <= 0 or depth > MAX_DEPTH:
                return
            self._left -= 1
            yield from filter(None, self._block(block, depth))

    def attachment(self, attachment: Payload, depth: int) -> Iterator[str]:
        if depth > MAX_DEPTH:
            return
        pieces = [
            _plain(attachment.get("pretext")),
            _plain(attachment.get("author_name")),
            _linked(attachment.get("title"), attachment.get("title_link")),
            _plain(attachment.get("text")),
        ]
        for one in _dicts(attachment.get("fields")):
            title, value = _plain(one.get("title")), _plain(one.get("value"))
            pieces.append(f"{title}: {value}" if title and value else title or value)
        pieces += self.blocks(attachment.get("blocks"), depth + 1)
        for one in _dicts(attachment.get("attachments")):
            pieces += self.attachment(one, depth + 1)
        pieces = [piece for piece in pieces if piece]
        if not pieces:
            pieces = [_plain(attachment.get("fallback"))]
        yield from filter(None, [*pieces, _plain(attachment.get("footer"))])

    def _block(self, block: Payload, depth: int) -> Iterator[str]:
        match block.get("type"):
            case "section":
                yield self._text(block.get("text"))
                for one in _dicts(block.get("fields")):
                    yield self._text(one).replace("\n", " ")
            case "header":
                title = self._text(block.get("text"))
                yield f"*{title}*" if title else ""
            case "context" | "context_actions":
                yield " ".join(filter(None, map(self._text, _dicts(block.get("elements")))))
            case "rich_text":
                yield from self._rich(block, depth)
            case "markdown":
                yield html.escape(_plain(block.get("text")), quote=False)
            case "table" | "data_table":
                for row in _lists(block.get("rows")):
                    yield " | ".join(self._cell(cell, depth) for cell in _dicts(row))
            case "image" | "video":
                yield self._text(block.get("title")) or _escaped(block.get("alt_text"))
            case "actions":
                for one in _dicts(block.get("elements")):
                    if one.get("url"):
                        yield _linked(self._text(one.get("text")), one.get("url"))
            case "divider" | "input":
                return
            case _:
                yield from self._anything(block, depth)

    def _anything(self, node: object, depth: int) -> Iterator[str]:
        """The texts in what isn't known."""
        if depth > MAX_DEPTH or self._left <= 0:
            return
        self._left -= 1
        if isinstance(node, Mapping):
            if node.get("type") in ("plain_text", "mrkdwn"):
                yield self._text(node)
            elif node.get("type") in ("rich_text", "section", "header", "context"):
                yield from self._block(node, depth + 1)
            else:
                for name, value in node.items():
                    if isinstance(value, Mapping | list):
                        yield from self._anything(value, depth + 1)
                    elif name in ("text", "title", "description") and isinstance(value, str):
                        yield _escaped(value)
        elif isinstance(node, list):
            for value in node:
                yield from self._anything(value, depth + 1)

    def _text(self, node: object) -> str:
        """A text object, or an image among them."""
        if not isinstance(node, Mapping):
            return ""
        if node.get("type") == "image":
            return _escaped(node.get("alt_text"))
        text = _plain(node.get("text"))
        return text if node.get("type") == "mrkdwn" else _escaped(text)

    def _cell(self, cell: Payload, depth: int) -> str:
        if cell.get("type") == "rich_text":
            return " ".join(self._rich(cell, depth))
        value = cell.get("text", cell.get("value"))
        return "" if value is None else _escaped(str(value)).replace("\n", " ")

    def _rich(self, block: Payload, depth: int) -> Iterator[str]:
        if depth > MAX_DEPTH:
            return
        for part in _dicts(block.get("elements")):
            self._left -= 1
            if self._left <= 0:
                return
            match part.get("type"):
                case "rich_text_list":
                    yield from self._list(part, depth)
                case "rich_text_quote":
                    yield "\n".join(f"&gt; {line}" for line in self._inline(part).splitlines())
                case "rich_text_preformatted":
                    yield f"```\n{self._inline(part)}\n```"
                case "rich_text_section":
                    yield self._inline(part)
                case _:
                    yield self._inline({"elements": [part]}) or " ".join(self._rich(part, depth + 1))

    def _list(self, part: Payload, depth: int) -> Iterator[str]:
        indent = "    " * _number(part.get("indent"), most=MAX_DEPTH)
        ordered = part.get("style") == "ordered"
        first = _number(part.get("offset"), most=MAX_PIECES) + 1
        for number, item in enumerate(_dicts(part.get("elements")), first):
            marker = f"{number}." if ordered else "•"
            nested = item.get("type") == "rich_text_list"
            said = "\n".join(self._list(item, depth + 1)) if nested and depth < MAX_DEPTH else self._inline(item)
            yield said if nested else f"{indent}{marker} {said}"

    def _inline(self, part: Payload) -> str:
        pieces = []
        for one in _dicts(part.get("elements")):
            self._left -= 1
            if self._left <= 0:
                break
            pieces.append(_inline(one))
        return "".join(pieces).strip("\n")


def _inline(element: Payload) -> str:
    match element.get("type"):
        case "text":
            return _styled(_escaped(element.get("text")), element.get("style"))
        case "link":
            return _linked(element.get("text"), element.get("url"))
        case "user":
            return f"<@{_plain(element.get('user_id'))}>"
        case "usergroup":
            return f"<!subteam^{_plain(element.get('usergroup_id'))}>"
        case "channel":
            return f"<#{_plain(element.get('channel_id'))}>"
        case "broadcast":
            return f"@{_escaped(element.get('range'))}"
        case "emoji":
            return f":{_plain(element.get('name'))}:"
        case "date":
            return _escaped(element.get("fallback")) or str(element.get("timestamp") or "")
        case "color":
            return _escaped(element.get("value"))
        case _:
            return _escaped(element.get("text"))


def _styled(text: str, style: object) -> str:
    if not isinstance(style, Mapping) or not text.strip():
        return text
    if style.get("code"):
        return f"`{text}`"
    inner = text.strip()
    before, _, after = text.partition(inner)
    for name, mark in _MARKS.items():
        if style.get(name):
            inner = f"{mark}{inner}{mark}"
    return f"{before}{inner}{after}"


def _linked(text: object, url: object) -> str:
    label, target = _plain(text), _plain(url)
    if not target:
        return label
    return f"<{_escaped(target)}|{_escaped(label).replace('|', '¦')}>" if label else f"<{_escaped(target)}>"


def _plain(value: object) -> str:
    return value if isinstance(value, str) else str(value) if isinstance(value, int | float) else ""


def _escaped(value: object) -> str:
    return html.escape(html.unescape(_plain(value)), quote=False)


def _number(value: object, *, most: int) -> int:
    return min(max(value, 0), most) if isinstance(value, int) else 0


def _dicts(value: object) -> Sequence[Payload]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, Sequence) else []


def _lists(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else []
