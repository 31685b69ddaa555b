"""Answers that hold something odd in one place. No I/O.

What stands in one entry of a list must not cost the others, and a field that nothing depends on not its entry.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from adapters.base import ProtocolError
from adapters.http.wire import Wire

T = TypeVar("T")
W = TypeVar("W", bound=Wire)


def _none_if_odd(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(value)
    except ValidationError:
        return None


def _records(value: Any) -> list[Any]:
    known = value if isinstance(value, list | tuple) else ()
    return [entry for entry in known if isinstance(entry, dict | Wire)]


Maybe = Annotated[T | None, WrapValidator(_none_if_odd)]
"""A field that is None where something else stands there: a size of "12 KB"."""

Records = Annotated[tuple[T, ...], BeforeValidator(_records)]
"""A field whose entries are objects: others are left out, and what is no list holds none."""


def entries(model: type[W], values: Any, what: str) -> list[W | None]:
    """The entries of a list, None for each that isn't understood. Raises `ProtocolError` for what is no list, and
    where none of its entries is understood."""
    if not isinstance(values, list | tuple):
        raise ProtocolError(f"{what}: not a list")
    found: list[W | None] = []
    odd = ""
    for value in values:
        try:
            found.append(model.model_validate(value))
        except ValidationError as error:
            first = error.errors()[0]
            odd = f"{'.'.join(map(str, first['loc'])) or 'entry'}: {first['type']}"
            found.append(None)
    if found and not any(found):
        raise ProtocolError(f"{what}: {odd}")
    return found


def readable(model: type[W], values: Any, what: str) -> list[W]:
    """The entries of a list that are understood. Raises as `entries` does."""
    return [entry for entry in entries(model, values, what) if entry is not None]


class Odd:
    """Before the question no outage is waited out, but an answer that isn't understood may come once or twice:

    with odd:
        ...  # ask; the block is left where the answer is odd, for the next look
    """

    MOST = 3  # in a row

    def __init__(self) -> None:
        self._left = self.MOST

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        if not isinstance(error, ProtocolError):
            self._left = self.MOST
            return False
        self._left -= 1
        return self._left > 0
