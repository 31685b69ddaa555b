"""Answers as values: checked bodies, and what headers and body say about a failure. No I/O."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from adapters.base import ProtocolError
from adapters.text import one_line

_EPOCH = 1e9  # a reset above it is a moment in time, below it a number of seconds
_EPOCH_MS = 1e11  # above it the moment is in milliseconds


class Wire(BaseModel):
    """A part of a service's answer: what isn't named is ignored, and an id may be a number."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)


W = TypeVar("W", bound=Wire)


def parsed(model: type[W], value: Any, what: str) -> W:
    """The value as `model`. Raises `ProtocolError` that names the places, never what stood there."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        places = ", ".join(f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['type']}" for e in error.errors()[:5])
        raise ProtocolError(f"{what}: {places}") from None


def retry_after(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """Seconds that a backend wants us to wait: `Retry-After` as seconds or as a date, else `X-RateLimit-Reset`
    where nothing remains. None if it doesn't say. Never negative."""
    wanted = headers.get("retry-after", "").strip()
    if wanted:
        seconds = _number(wanted)
        if seconds is not None:
            return max(0.0, seconds)
        try:
            return max(0.0, parsedate_to_datetime(wanted).timestamp() - now())
        except (ValueError, OverflowError):
            return None
    if headers.get("x-ratelimit-remaining", "").strip() != "0":
        return None
    reset = _number(headers.get("x-ratelimit-reset", ""))
    if reset is None:
        return None
    if reset > _EPOCH_MS:
        reset /= 1000
    return max(0.0, reset - now() if reset > _EPOCH else reset)


def message_in(body: bytes) -> str:
    """The sentence in an error's body, in any of the shapes services use; empty if there is none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    return one_line(_message(value, depth=4))


def _message(value: Any, depth: int) -> str:
    if isinstance(value, str):
        return value
    if depth and isinstance(value, list):
        return "; ".join(filter(None, (_message(item, depth - 1) for item in value[:5])))
    if depth and isinstance(value, dict):
        for key in ("message", "msg", "detail", "error", "errors", "title"):
            if value.get(key):
                return _message(value[key], depth - 1)
        fields = [(str(key), _message(item, depth - 1)) for key, item in list(value.items())[:5]]
        return "; ".join(f"{key}: {text}" for key, text in fields if text)
    return ""


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None
