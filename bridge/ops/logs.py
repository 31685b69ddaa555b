"""Structured logs on standard error: one line an event, with the turn's id wherever a turn is at work."""

from __future__ import annotations

import logging
import sys

import structlog

from bridge.printable import printable

# Without the frames' variables, which structlog shows by default: they hold tokens and what people wrote.
_tracebacks = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


def _cleaned(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """What others wrote can't steer the terminal. JSON escapes it by itself."""
    return {name: printable(value) if isinstance(value, str) else value for name, value in event.items()}


CHATTY = ("slack_bolt", "slack_sdk", "discord", "httpx", "httpx2", "httpcore", "aiosqlite", "alembic")


def set_up_logs(*, json: bool | None = None, level: int = logging.INFO) -> None:
    """Lines for people on a terminal, JSON otherwise."""
    as_json = not sys.stderr.isatty() if json is None else json
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor] = (
        [_tracebacks, structlog.processors.JSONRenderer()]
        if as_json
        else [_cleaned, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # The libraries speak through the standard library's logging; only their warnings are worth a line.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
