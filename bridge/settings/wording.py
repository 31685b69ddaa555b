"""A mistake in the settings as one sentence: what pydantic finds, in a settings file's words."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

# By pydantic's type of a mistake. What isn't here keeps pydantic's own words.
WORDING = {
    "less_than_equal": "must be {le} or less",
    "less_than": "must be less than {lt}",
    "greater_than_equal": "must be {ge} or more",
    "greater_than": "must be more than {gt}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text in quotes",
    "string_too_short": "must have {min_length} characters or more",
    "string_too_long": "must have {max_length} characters or less",
    "too_long": "may have {max_length} entries at most",
    "list_type": "must be a list, as in [1, 2]",
    "tuple_type": "must be a list, as in [1, 2]",
    "dict_type": "must be a table of keys and values",
    "model_type": "must be a table of keys and values",
    "model_attributes_type": "must be a table of keys and values",
}


class SettingsError(Exception):
    """A wrong setting; `str(error)` is one sentence with its place and what to do."""


def sentences(error: ValidationError, place: str, known: Sequence[str] = ()) -> Iterator[str]:
    """What is wrong with the keys of one table, without their values. `known` are those that it may have."""
    for problem in error.errors(include_input=False, include_url=False):
        path = ".".join([place, *map(str, problem["loc"])])
        match problem["type"]:
            case "extra_forbidden":
                yield f"{path} is unknown{meant(str(problem['loc'][-1]), known)}"
            case "missing":
                yield f"{path} is missing"
            case _:
                yield f"{path} {wording(problem)}" if problem["type"] in WORDING else f"{path}: {wording(problem)}"


def wording(problem: ErrorDetails) -> str:
    """What is wrong with a value, in a settings file's words and without the value."""
    if problem["type"] in WORDING:
        return WORDING[problem["type"]].format(**problem.get("ctx", {}))
    message = problem["msg"].removeprefix("Value error, ")
    return f"{message[:1].lower()}{message[1:]}"


def meant(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}" if known else ""
