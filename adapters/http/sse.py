"""Server-sent events from bytes. No I/O.

httpx-sse reads a stream by the letter of the standard. The services here need more: a bound on what one event
may hold, the last event of a stream that ends without a blank line, and events that no blank line separates.
"""

from __future__ import annotations

import codecs
import json

from httpx_sse import ServerSentEvent

MAX_EVENT = 1024 * 1024  # characters of one event; the longest answers are some 100 KB
_SMALL = 64 * 1024  # characters of a chunk that is looked at as a whole, without counting


class EventTooLong(ValueError):
    """An event, or a line that never ends, is longer than `MAX_EVENT`."""


class EventDecoder:
    """Bytes in, events out. Line ends may be LF, CRLF or CR, and chunks may fall anywhere, inside a letter too.

    `unseparated` is for services that put no blank line between events: a `data:` line that is a whole JSON
    object or `[DONE]` ends the event before it, if that is one also.
    """

    def __init__(self, *, unseparated: bool = False, max_event: int = MAX_EVENT) -> None:
        self._text = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._unseparated = unseparated
        self._max_event = max_event
        self._line: list[str] = []  # pieces of the line that is being read
        self._after_cr = False
        self._data: list[str] = []
        self._event = ""
        self._id = ""
        self._size = 0

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that this chunk completes. Raises `EventTooLong`."""
        return self._feed(self._text.decode(chunk))

    def end(self) -> list[ServerSentEvent]:
        """The event that the end of the stream left without its blank line."""
        events = self._feed(self._text.decode(b"", final=True) + "\n\n")
        return [event for event in events if event.data]

    def _feed(self, text: str) -> list[ServerSentEvent]:
        if not text:
            return []
        if (
            text.startswith("data: ")
            and text.endswith("\n\n")
            and self._is_between_events()
            and len(text) < _SMALL
        ):
            data = text[6:-2]
            if "\n" not in data and "\r" not in data:  # one event in one chunk, as most come
                return [ServerSentEvent(data=data, id=self._id)]
        if self._after_cr:
            text = text.removeprefix("\n")
        self._after_cr = text.endswith("\r")
        *ended, rest = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        events: list[ServerSentEvent] = []
        for line in ended:
            self._grow(len(line))
            whole = "".join([*self._line, line])
            self._line = []
            events += self._take(whole)
        if rest:
            self._grow(len(rest))
            self._line.append(rest)
        return events

    def _is_between_events(self) -> bool:
        return not (self._size or self._line or self._data or self._event or self._after_cr)

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > self._max_event:
            raise EventTooLong(f"an event of more than {self._max_event} characters")

    def _take(self, line: str) -> list[ServerSentEvent]:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not name:  # a comment: keeps the connection alive, and must not use up the bound
            self._size -= len(line)
        elif name == "data":
            before: list[ServerSentEvent] = []
            if self._unseparated and self._data and _whole(value) and _whole("\n".join(self._data)):
                before = self._dispatch()
                self._size = len(line)
            self._data.append(value)
            return before
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        return []

    def _dispatch(self) -> list[ServerSentEvent]:
        data, event = self._data, self._event
        self._data, self._event, self._size = [], "", 0
        if not data:
            return []
        return [ServerSentEvent(event=event, data="\n".join(data), id=self._id)]


def _whole(data: str) -> bool:
    if data.strip() == "[DONE]":
        return True
    if not data.lstrip().startswith("{"):
        return False
    try:
        json.loads(data)
    except ValueError:
        return False
    return True
