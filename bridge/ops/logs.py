"""Structured logs on standard error: one line an event, with the turn's id wherever a turn is at work.

No line holds what people wrote or agents answered, at any level. So an exception shows its kind and where it came
from, never its words; and what a library logs, as a template without its values.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from itertools import islice
from typing import Literal

import structlog

from bridge.printable import printable

MAX_LINKED = 10  # exceptions of one line: causes, and those of a group
MAX_FRAMES = 30  # of each, the innermost

Format = Literal["auto", "json", "text"]


def set_up_logs(*, format: Format = "auto", level: int = logging.INFO) -> None:  # noqa: A002  # the setting's name
    """`auto`: lines for people on a terminal, JSON otherwise."""
    as_json = format == "json" or (format == "auto" and not sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(where),
    ]
    last: list[structlog.typing.Processor] = (
        [structlog.processors.JSONRenderer()] if as_json else [_cleaned, structlog.dev.ConsoleRenderer()]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # The libraries speak through the standard library's logging; only their warnings are worth a line, and below that
    # some write down whole requests.
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(max(level, logging.WARNING))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _first_line],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
            use_get_message=False,  # a template's values may be anything
        )
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


def where(exc_info: structlog.typing.ExcInfo) -> str:
    """Kinds and places of an exception and its causes, without their words: those may quote anybody."""
    lines: list[str] = []
    for error in islice(_linked(exc_info[1]), MAX_LINKED):
        lines.append(f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins."))
        frames = traceback.extract_tb(error.__traceback__, limit=-MAX_FRAMES)
        lines += [f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}' for frame in frames]
    return "\n".join(lines)


def _linked(error: BaseException) -> Iterator[BaseException]:
    yield error
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _linked(one)
    if error.__cause__ is not None:
        yield from _linked(error.__cause__)
    elif error.__context__ is not None and not error.__suppress_context__:
        yield from _linked(error.__context__)


def _first_line(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """asyncio tells of a task's exception below it, in the exception's words."""
    return {**event, "event": str(event["event"]).partition("\n")[0]}


def _cleaned(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """What others wrote can't steer the terminal. JSON escapes it by itself."""
    return {
        name: printable(value) if isinstance(value, str) and name != "exception" else value
        for name, value in event.items()
    }
