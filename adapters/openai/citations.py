"""What an answer quotes: markers in its text, and the list of footnotes. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from adapters.base import Source
from adapters.openai.steps import as_dict
from adapters.speech import spoken
from adapters.steps import Sources


@dataclass(frozen=True, slots=True)
class Quote:
    """A source, and the part of the text that it stands behind."""

    start: int
    end: int
    source: Source


def cited(items: Iterable[Any] | None) -> tuple[str, tuple[Source, ...]]:
    """What is said in these items with a marker behind each quote, and the sources in the order of their numbers."""
    sources = Sources()
    blocks: list[str] = []
    for item in items or ():
        if item.type == "message":
            for part in item.content or ():
                text = getattr(part, "text", None) or getattr(part, "refusal", None) or ""
                blocks.append(marked(text, quotes_in(getattr(part, "annotations", None), len(text)), sources))
    return spoken(blocks, complete=True).said, sources.all()


def quotes_in(annotations: Iterable[Any] | None, length: int) -> list[Quote]:
    """The quotes that annotations of a text of `length` characters tell of: of Responses, or of a chat."""
    quotes: list[Quote] = []
    for annotation in map(as_dict, annotations or ()):
        kind = annotation.get("type")
        nested = annotation.get("url_citation")
        about: dict[str, Any] = nested if isinstance(nested, dict) else annotation
        if kind == "url_citation" and isinstance(about.get("url"), str):
            source = Source(about["url"], str(about.get("title") or ""))
        elif kind == "file_citation":
            source = Source("", str(about.get("filename") or about.get("file_id") or ""))
        else:
            continue
        end = _place(about.get("end_index", about.get("index")), length, length)
        quotes.append(Quote(min(_place(about.get("start_index"), end, length), end), end, source))
    return sorted(quotes, key=lambda quote: (quote.end, quote.start))


def marked(text: str, quotes: Iterable[Quote], sources: Sources) -> str:
    """The text with `[1]` behind each quote. A quote that is nothing but a link to its source gives way to it."""
    marks: dict[tuple[int, int], tuple[int, int]] = {}
    for quote in quotes:
        if number := sources.number(quote.source):
            start = quote.start if _is_link(text[quote.start : quote.end], quote.source.url) else quote.end
            marks[quote.end, number] = (start, quote.end)
    for (_, number), (start, end) in reversed(marks.items()):
        before, after = text[:start], text[end:]
        gap = " " if before and not before[-1].isspace() else ""
        stop = " " if after[:1] in {"(", "[", ":"} else ""  # else it would be a link's text
        text = f"{before}{gap}[{number}]{stop}{after}"
    return text


def _is_link(text: str, url: str) -> bool:
    text = text.strip().removeprefix("(").removesuffix(")")
    return bool(url) and text.startswith("[") and text.rstrip(")").endswith(f"]({url}")


def _place(value: object, default: int, length: int) -> int:
    return min(max(value, 0), length) if isinstance(value, int) else default
